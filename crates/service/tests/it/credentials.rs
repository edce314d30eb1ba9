//! Who is let in, who is not, and how they are told.

use domain::Timestamp;
use serde_json::{Value, json};
use service::auth::proof::ProofMode;

use crate::world::{Answer, Call, DeviceKey, HOUR_MS, SERVICE_KEY, Setup, World};

fn catalogue<'w>(world: &'w World) -> Call<'w> {
    world.call("GET", "/v1/catalogue")
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json["status"], status);
    assert_eq!(answer.json["type"], format!("urn:carnet:problem:{code}"));
    assert_eq!(answer.json["request_id"].as_str(), answer.header("x-request-id"));
    if status == 401 {
        assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
    }
}

#[test]
fn tokens_are_checked_in_every_part() {
    let world = World::new();
    let now = world.now().as_millis() / 1_000;
    let good = json!({ "sub": "ana", "plan": "standard" });
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    assert_eq!(catalogue(&world).token(&world.token(good.clone())).send().status, 200);
    for (claims, code) in [
        (with("exp", json!(now - 1)), "token_expired"),
        (with("exp", Value::Null), "claim_invalid"),
        (with("nbf", json!(now + 60)), "token_not_yet_valid"),
        (with("aud", json!("somebody-else")), "token_audience"),
        (with("iss", json!("https://evil.example.com")), "token_issuer"),
        (with("sub", Value::Null), "claim_missing"),
        (with("sub", json!("two words")), "claim_invalid"),
        (with("plan", json!({})), "claim_invalid"),
        (with("cnf", json!({ "jkt": "other" })), "proof_missing"),
    ] {
        refused(&catalogue(&world).token(&world.token(claims)).send(), 401, code);
    }
    refused(&catalogue(&world).token(&world.forged(good.clone())).send(), 401, "token_invalid");
    refused(&catalogue(&world).send(), 401, "credential_missing");
    for header in ["Basic YW5hOg==", "Bearer", "Bearer a b"] {
        let answer = catalogue(&world).header("authorization", header).send();
        refused(&answer, 401, "credential_malformed");
    }
    for token in ["not-a-token", "a.b.c", &"x".repeat(20_000)] {
        refused(&catalogue(&world).token(token).send(), 401, "token_invalid");
    }
    // A token that was remembered is over all the same when its time is.
    let token = world.token(good);
    assert_eq!(catalogue(&world).token(&token).send().status, 200);
    world.pass_ms(HOUR_MS);
    refused(&catalogue(&world).token(&token).send(), 401, "token_expired");
}

#[test]
fn a_grant_or_a_lease_is_no_token_and_a_token_is_no_grant() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let answer = ana.acquire("film", "k");
    for name in ["lease", "grant"] {
        let token = answer.json[name].as_str().unwrap();
        let told = catalogue(&world).token(token).send();
        assert_eq!(told.status, 401, "{name}: {told:?}");
    }
    let token = ana.token();
    let told = world.call("POST", "/v1/drm/clear-key").token(&token).json(&json!({})).send();
    refused(&told, 401, "grant_invalid");
}

/// "A device is a key … from then on its commands carry a proof by that key."
#[test]
fn commands_need_a_proof_by_the_devices_own_key() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let body = json!({ "device": "phone", "title": "film" });
    let acquire = || world.call("POST", "/v1/licenses").token(&ana.token()).key("k").json(&body);
    refused(&acquire().send(), 401, "proof_missing");
    refused(&acquire().header("dpop", "nonsense").send(), 401, "proof_invalid");
    let other = DeviceKey::new();
    refused(&acquire().proven(&other, &ana.token()).send(), 403, "device_mismatch");

    let url = acquire().url();
    let now = world.now();
    let token = ana.token();
    let late = Timestamp::from_millis(now.as_millis() - 61_000);
    let stolen = world.member("ben", "standard");
    for (proof, code) in [
        (ana.key.proof("GET", &url, &token, now), "proof_invalid"),
        (ana.key.proof("POST", "http://elsewhere/v1/licenses", &token, now), "proof_invalid"),
        (ana.key.proof("POST", &url, &stolen, now), "proof_invalid"),
        (ana.key.proof("POST", &url, &token, late), "proof_time"),
    ] {
        refused(&acquire().header("dpop", &proof).send(), 401, code);
    }
    let proof = ana.key.proof("POST", &url, &token, now);
    assert_eq!(acquire().header("dpop", &proof).send().status, 201);
    refused(&acquire().header("dpop", &proof).send(), 401, "proof_replayed");
    let twice = acquire().header("dpop", &proof).header("dpop", &proof).send();
    refused(&twice, 401, "proof_missing");
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
}

#[test]
fn every_route_of_a_device_asks_for_its_key() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let token = ana.token();
    let device = json!({ "device": "phone" });
    let renew = json!({ "device": "phone", "term": 1 });
    let events = json!({ "sent_at": world.now().to_string(), "events": [] });
    let register =
        json!({ "device": "new", "name": "n", "class": "web", "jwk": DeviceKey::new().jwk() });
    for (method, path, body) in [
        ("POST", "/v1/devices".to_owned(), Some(register)),
        ("DELETE", "/v1/devices/phone".to_owned(), None),
        ("POST", "/v1/devices/phone/check-in".to_owned(), Some(json!({ "holdings": [] }))),
        ("POST", "/v1/devices/phone/session-events".to_owned(), Some(events)),
        ("POST", "/v1/licenses".to_owned(), Some(json!({ "device": "phone", "title": "film" }))),
        ("POST", format!("/v1/licenses/{id}/renew"), Some(renew)),
        ("POST", format!("/v1/licenses/{id}/release"), Some(device)),
        ("GET", "/v1/titles/film/eligibility?device=phone".to_owned(), None),
        ("GET", "/v1/titles/film/playback-context?intent=stream&device=phone".to_owned(), None),
    ] {
        let call = || {
            let call = world.call(method, &path).key("k");
            body.as_ref().map_or(call, |body| world.call(method, &path).key("k").json(body))
        };
        refused(&call().send(), 401, "credential_missing");
        refused(&call().token(&token).send(), 401, "proof_missing");
        if !path.contains("intent=stream") {
            // Streaming checks the proof by its own key, with no registration.
            let answer = call().token(&token).proven(&DeviceKey::new(), &token).send();
            refused(&answer, 403, "device_mismatch");
        }
    }
    for path in ["/v1/catalogue", "/v1/devices", "/v1/downloads"] {
        refused(&world.call("GET", path).send(), 401, "credential_missing");
    }
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
}

#[test]
fn a_token_that_names_a_device_speaks_for_no_other() {
    let world = World::new();
    let ana = world.signed_in("ana", "premium", "phone");
    world.signed_in("ana", "premium", "tablet");
    let token = world.token(json!({ "sub": "ana", "plan": "premium", "device": "tablet" }));
    let body = json!({ "device": "phone", "title": "film" });
    let call = world.call("POST", "/v1/licenses").token(&token).key("k").json(&body);
    refused(&call.proven(&ana.key, &token).send(), 403, "device_mismatch");
}

#[test]
fn a_token_bound_to_a_key_needs_that_key_even_where_proofs_are_off() {
    let world = World::with(Setup { proofs: ProofMode::Off, ..Setup::default() });
    let key = DeviceKey::new();
    let jwk = drm::jwk::Jwk::parse(&key.jwk().to_string()).unwrap();
    let token = world.token(json!({ "sub": "ana", "cnf": { "jkt": jwk.thumbprint() } }));
    refused(&catalogue(&world).token(&token).send(), 401, "proof_missing");
    let other = DeviceKey::new();
    refused(
        &catalogue(&world).token(&token).proven(&other, &token).send(),
        401,
        "proof_by_other_key",
    );
    assert_eq!(catalogue(&world).token(&token).proven(&key, &token).send().status, 200);
}

/// "A deployment sets proofs to required, when registered, or off."
#[test]
fn proofs_are_asked_for_as_the_deployment_says() {
    let acquire = |world: &World, device: &str| {
        let body = json!({ "device": device, "title": "film" });
        let token = world.member("ana", "premium");
        world.call("POST", "/v1/licenses").token(&token).key(device).json(&body).send()
    };
    let world = World::with(Setup { proofs: ProofMode::WhenRegistered, ..Setup::default() });
    let ana = world.signed_in("ana", "premium", "phone");
    refused(&acquire(&world, "phone"), 401, "proof_missing");
    assert_eq!(acquire(&world, "unregistered").code(), "device_unknown");
    assert_eq!(ana.acquire("film", "k").status, 201);

    let world = World::with(Setup { proofs: ProofMode::Off, ..Setup::default() });
    let body = json!({
        "device": "phone", "name": "p", "class": "phone", "jwk": DeviceKey::new().jwk(),
    });
    let token = world.member("ana", "premium");
    let registered = world.call("POST", "/v1/devices").token(&token).json(&body).send();
    assert_eq!(registered.status, 201, "{registered:?}");
    assert_eq!(acquire(&world, "phone").status, 201);
    let removed = world.call("DELETE", "/v1/devices/phone").token(&token).send();
    assert_eq!(removed.status, 200);
}

#[test]
fn registering_proves_possession_of_the_very_key() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let body = |jwk: Value| json!({ "device": "phone", "name": "p", "class": "phone", "jwk": jwk });
    let other = ana.call("POST", "/v1/devices").json(&body(DeviceKey::new().jwk())).send();
    refused(&other, 403, "device_mismatch");
    let mut private = ana.key.jwk();
    private["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let answer = ana.call("POST", "/v1/devices").json(&body(private)).send();
    refused(&answer, 400, "invalid_request");
    assert_eq!(answer.json["errors"][0]["field"], "jwk");
    assert!(!answer.text.contains("AAAAAAAA"), "a key is not quoted");
}

#[test]
fn operators_and_services_have_roles_of_their_own() {
    let world = World::new();
    let member = world.member("ana", "standard");
    let service = world.token(json!({ "sub": "svc", "carnet_role": ["service"] }));
    let operator_paths =
        ["", "/timeline", "/viewing"].map(|end| format!("/v1/operator/members/ana{end}"));
    for path in &operator_paths {
        let call = || world.call("GET", path);
        refused(&call().send(), 401, "credential_missing");
        refused(&call().token(&member).send(), 403, "role_missing");
        refused(&call().token(&service).send(), 403, "role_missing");
        refused(&call().token(SERVICE_KEY).send(), 403, "role_missing");
        let unknown = format!("carnet_{}", "f".repeat(32));
        refused(&call().token(&unknown).send(), 401, "api_key_unknown");
    }
    let body = json!({ "commands": [{ "do": "remove_device", "device": "d" }] });
    let call = || world.call("POST", "/v1/service/members/ana/commands").key("k").json(&body);
    refused(&call().token(&world.operator()).send(), 403, "role_missing");
    refused(&call().token(&member).send(), 403, "role_missing");
    assert_eq!(call().token(&service).send().code(), "device_unknown");
    assert_eq!(call().token(SERVICE_KEY).send().code(), "device_unknown");
    // Nor is a credential with a role a member's.
    refused(&catalogue(&world).token(SERVICE_KEY).send(), 401, "token_invalid");
}
