//! A walk past every endpoint of the OpenAPI document, and every status that it names.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use service::openapi_json;

use crate::membership::operate;
use crate::world::{Answer, DeviceKey, SERVICE_KEY, Setup, VIDEO_KID, World, kid_base64url};

/// Method, path as documented, and status; `4XX` stands for any of them.
type Documented = BTreeSet<(String, String, String)>;

#[test]
fn every_endpoint_of_the_document_is_walked_with_every_status_it_names() {
    let (world, busy) = (World::new(), World::with(Setup { in_flight_max: 0, ..Setup::default() }));
    device_api(&world);
    other_apis(&world);
    ask_without_credentials(&world);
    overloaded(&busy);

    let documented = documented();
    let mut walked = Documented::new();
    for (method, path, status) in world.answered().into_iter().chain(busy.answered()) {
        let entries = documented.iter().filter(|(m, pattern, told)| {
            let is_told =
                *told == status.to_string() || told == "4XX" && (400..500).contains(&status);
            m == method && is_told && matches(pattern, &path)
        });
        walked.extend(entries.cloned());
    }
    let missing: Vec<_> = documented.difference(&walked).collect();
    assert!(missing.is_empty(), "documented and not walked: {missing:#?}");
}

fn documented() -> Documented {
    let document: Value = serde_json::from_str(&openapi_json()).unwrap();
    let mut documented = Documented::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for status in operation["responses"].as_object().unwrap().keys() {
                documented.insert((method.to_uppercase(), path.clone(), status.clone()));
            }
        }
    }
    assert!(documented.len() > 50, "{documented:?}");
    documented
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern
            .iter()
            .zip(path)
            .all(|(wanted, found)| wanted.starts_with('{') || *wanted == found)
}

#[track_caller]
fn expect(answer: Answer, status: u16) -> Answer {
    assert_eq!(answer.status, status, "{answer:?}");
    answer
}

fn device_api(world: &World) {
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let get = |path: &str| expect(ana.call("GET", path).send(), 200);
    expect(ana.register(), 201);
    expect(ana.register(), 200);
    let mut impostor = world.stranger_with_device("ana", "standard", "phone");
    impostor.key = DeviceKey::new();
    expect(impostor.register(), 409);
    get("/v1/catalogue");
    get("/v1/devices");
    get("/v1/titles/film/eligibility?device=phone");
    let context = get("/v1/titles/film/playback-context?intent=stream&device=phone");
    license_url(world, &context.json["grant"]);

    let held = expect(ana.acquire("film", "one"), 201);
    expect(ana.acquire("film", "two"), 200);
    expect(ana.acquire("stream-only", "three"), 403);
    let id = held.json["license"]["id"].as_str().unwrap();
    get("/v1/downloads");
    expect(ana.status(id), 200);
    expect(ana.status("lic_none"), 404);
    expect(ana.check_in(&json!([{ "license": id, "started": false }])), 200);
    expect(ana.renew(id, 1, "four"), 403);
    world.pass_ms(25 * crate::world::DAY_MS);
    expect(ana.renew(id, 1, "five"), 200);
    let started = json!({
        "sequence": 1, "session": "s", "title": "film", "type": "start",
        "device_at": world.now().to_string(), "license": id, "term": 2,
    });
    expect(ana.upload(world.now(), &json!([started])), 200);
    expect(ana.release(id), 200);
    expect(ana.remove("phone"), 200);
}

fn license_url(world: &World, grant: &Value) {
    let ask = |grant: &str, kid: &str| {
        let challenge = json!({ "kids": [kid_base64url(kid)] });
        world.call("POST", "/v1/drm/clear-key").token(grant).json(&challenge).send()
    };
    let grant = grant.as_str().unwrap();
    expect(ask("a.b.c", VIDEO_KID), 401);
    expect(ask(grant, &"ee".repeat(16)), 403);
    expect(ask(grant, VIDEO_KID), 200);
}

fn other_apis(world: &World) {
    let member = "/v1/operator/members/ana";
    let operator = world.operator();
    let get = |path: &str| world.call("GET", path).token(&operator);
    let state = expect(get(member).send(), 200);
    let etag = state.header("etag").unwrap();
    expect(get(member).header("if-none-match", etag).send(), 304);
    expect(get("/v1/operator/members/nobody").send(), 404);
    expect(get(&format!("{member}/timeline")).send(), 200);
    expect(get(&format!("{member}/viewing")).send(), 200);

    let list = expect(get("/v1/operator/policies").send(), 200);
    let version = list.json["policies"][0]["version"].as_str().unwrap();
    let policy = format!("/v1/operator/policies/{version}");
    for path in ["/v1/operator/policies", &policy] {
        let answer = expect(get(path).send(), 200);
        let etag = answer.header("etag").unwrap();
        expect(get(path).header("if-none-match", etag).send(), 304);
    }
    expect(get("/v1/operator/policies/p1-none").send(), 404);

    replays(world, &operator);
    withdrawals(world, &operator);
    support(world);

    expect(commands(world, "one", "release"), 200);
    expect(commands(world, "two", "remove_device"), 403);
    for path in ["/healthz", "/readyz", "/metrics", "/.well-known/carnet/jwks.json"] {
        expect(world.call("GET", path).send(), 200);
    }
}

fn support(world: &World) {
    let act = |below: &str, body: Value| operate(world, "ana", below, &body.to_string(), &body);
    let until = "2030-01-01T00:00:00Z";
    let except = |rule: &str, until: &str| {
        act("exceptions", json!({ "rule": rule, "until": until, "reason": "r" }))
    };
    let granted = expect(except("devices", until), 201);
    expect(except("no-such-rule", until), 404);
    expect(except("devices", "2020-01-01T00:00:00Z"), 409);
    let end = |id: &str| act(&format!("exceptions/{id}/end"), json!({ "reason": id }));
    expect(end(granted.json["exception"].as_str().unwrap()), 200);
    expect(end("exc_none"), 404);
    expect(act("revocations", json!({ "target": { "license": "none" }, "reason": "r" })), 404);
    expect(act("revocations", json!({ "target": "member", "reason": "r" })), 200);
}

fn replays(world: &World, operator: &str) {
    let call = |method: &'static str, path: &str| world.call(method, path).token(operator);
    let replay = crate::replays::replay_until_done(world, crate::world::POLICY, None);
    let path = format!("/v1/operator/replays/{}", replay["id"].as_str().unwrap());
    expect(call("GET", &format!("{path}/differences")).send(), 200);
    expect(call("DELETE", &path).send(), 204);
    for (method, path) in [
        ("GET", "/v1/operator/replays/none"),
        ("GET", "/v1/operator/replays/none/differences"),
        ("DELETE", "/v1/operator/replays/none"),
    ] {
        expect(call(method, path).send(), 404);
    }
}

fn withdrawals(world: &World, operator: &str) {
    let call = |method: &'static str, path: &str| world.call(method, path).token(operator);
    let (all, body) = ("/v1/operator/withdrawals", json!({ "title": "often", "reason": "r" }));
    let ordered = expect(call("POST", all).json(&body).send(), 202);
    expect(call("POST", all).json(&body).send(), 200);
    expect(call("GET", all).send(), 200);
    let one = ordered.header("location").unwrap();
    expect(call("GET", one).send(), 200);
    expect(call("GET", &format!("{all}/none")).send(), 404);
    let reason = json!({ "reason": "r" });
    expect(call("POST", &format!("{one}/lift")).json(&reason).send(), 200);
    expect(call("POST", &format!("{all}/none/lift")).json(&reason).send(), 404);
}

/// Of what nobody has: a license may be released all the same, a device not removed.
fn commands(world: &World, key: &str, what: &str) -> Answer {
    let command = match what {
        "release" => json!({ "do": what, "license": "lic_none" }),
        _ => json!({ "do": what, "device": "none" }),
    };
    let call = world.call("POST", "/v1/service/members/sam/commands").token(SERVICE_KEY);
    call.key(key).json(&json!({ "commands": [command] })).send()
}

/// Whatever is not public turns away who brings no credential, before it looks at anything else.
fn ask_without_credentials(world: &World) {
    for (method, path, status) in documented() {
        if status != "4XX" {
            continue;
        }
        let method = ["GET", "POST", "DELETE"].into_iter().find(|m| *m == method).unwrap();
        let path = path.replace(['{', '}'], "");
        let answer = expect(world.call(method, &path).send(), 401);
        assert_eq!(answer.code(), "credential_missing", "{path}");
    }
}

fn overloaded(world: &World) {
    let turned_away = |answer: Answer| {
        assert_eq!(expect(answer, 503).code(), "overloaded");
    };
    // Where proofs are looked at before the ledger is asked, they are in order.
    let ana = world.stranger_with_device("ana", "standard", "phone");
    turned_away(ana.acquire("film", "one"));
    turned_away(ana.renew("lic_none", 1, "two"));
    turned_away(commands(world, "three", "release"));
    expect(world.call("GET", "/readyz").send(), 503);
}

/// Refusals that need a service which is short of something.
#[test]
fn a_service_that_is_short_of_something_says_what() {
    let world = World::with(Setup { proofs_max: 1, grants_max: 1, ..Setup::default() });
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let context = "/v1/titles/film/playback-context?intent=stream&device=phone";
    let ask = || ana.call("GET", context).send();
    let license = |context: &Answer| {
        let grant = context.json["grant"].as_str().unwrap();
        let challenge = json!({ "kids": [kid_base64url(VIDEO_KID)] });
        world.call("POST", "/v1/drm/clear-key").token(grant).json(&challenge).send()
    };
    let first = ask();
    let full = ask();
    assert_eq!((full.status, full.code()), (503, "proof_memory_full"), "{full:?}");
    assert!(full.header("retry-after").is_some());
    expect(license(&first), 200);
    // Room for a proof again, and the first grant is not yet over.
    world.pass_ms(61_000);
    let full = license(&ask());
    assert_eq!((full.status, full.code()), (503, "grant_memory_full"), "{full:?}");
}

#[test]
fn a_grant_from_the_future_is_not_valid_yet() {
    let mut world = World::new();
    let grant = {
        let ana = world.stranger_with_device("ana", "standard", "phone");
        let context = "/v1/titles/film/playback-context?intent=stream&device=phone";
        ana.call("GET", context).send().json["grant"].as_str().unwrap().to_owned()
    };
    // As if another instance, whose clock is ahead, had made it.
    world.set_wall_clock_by_ms(-60_000);
    world.restart();
    let challenge = json!({ "kids": [kid_base64url(VIDEO_KID)] });
    let answer = world.call("POST", "/v1/drm/clear-key").token(&grant).json(&challenge).send();
    assert_eq!((answer.status, answer.code()), (401, "grant_not_yet_valid"), "{answer:?}");
}

#[test]
fn without_the_keys_of_an_issuer_nobody_is_told_that_a_token_is_bad() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let keys_url = Some(format!("http://{nobody}/jwks.json"));
    let world = World::with(Setup { keys_url, ..Setup::default() });
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let answer = ana.call("GET", "/v1/catalogue").send();
    assert_eq!((answer.status, answer.code()), (503, "keys_unavailable"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    let ready = world.call("GET", "/readyz").send();
    assert_eq!(
        ready.json["checks"][2],
        json!({
            "name": "issuer_keys", "ok": false,
            "problem": "the keys of an identity provider were never fetched",
        })
    );
}
