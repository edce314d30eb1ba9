//! A title goes offline, stays, is renewed and comes back.

use domain::Timestamp;
use drm::jwk::JwkSet;
use serde_json::{Value, json};

use crate::world::{
    DAY_MS, HOUR_MS, START, VIDEO_KID, World, base64_json, claims, content_key_base64url,
    kid_base64url,
};

fn at(ms: i64) -> String {
    (START.parse::<Timestamp>().unwrap().as_millis() + ms).to_string_rfc3339()
}

trait Rfc3339 {
    fn to_string_rfc3339(self) -> String;
}

impl Rfc3339 for i64 {
    fn to_string_rfc3339(self) -> String {
        Timestamp::from_millis(self).to_string()
    }
}

#[test]
fn acquiring_answers_decision_license_signed_lease_and_grant() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let answer = ana.acquire("film", "first");
    assert_eq!(answer.status, 201, "{answer:?}");
    let decision = &answer.json["decision"];
    assert_eq!(*decision, json!({ "outcome": "acquired", "repeated": false, "at": START }));
    let license = &answer.json["license"];
    let id = license["id"].as_str().unwrap();
    assert_eq!(license["status"], "ready");
    assert_eq!(license["term"], 1);
    // The check-in clock of 20 days governs before the 30 days to start within.
    assert_eq!(license["clock"], "check_in");
    assert_eq!(license["ends_at"], at(20 * DAY_MS));
    assert_eq!(license["clocks"]["start_by"], at(30 * DAY_MS));
    assert_eq!(license["clocks"]["finish_within_ms"], 48 * HOUR_MS);
    assert_eq!(license["renewals"]["used"], 0);
    assert_eq!(license["renewals"]["renew_from"], at(13 * DAY_MS));
    assert_eq!(license["links"][0]["href"], format!("/v1/licenses/{id}/renew"));

    // The lease verifies with the published keys, and states the same.
    let keys = world.call("GET", "/.well-known/carnet/jwks.json").send();
    let keys = JwkSet::parse(&keys.text).unwrap();
    let lease = answer.json["lease"].as_str().unwrap();
    assert_eq!(drm::lease::verify(lease, &keys).unwrap().license, id);
    let lease = claims(&answer.json["lease"]);
    assert_eq!(lease["member"], "ana");
    assert_eq!(lease["device"], "phone");
    assert_eq!(lease["title"], "film");
    assert_eq!(lease["start_by"], license["clocks"]["start_by"]);
    assert_eq!(lease["ends_at"], license["ends_at"]);
    assert_eq!(lease["delete_at_end"], true);
    assert_eq!(lease["kids"], json!([VIDEO_KID]));
    // Each clock of a lease says who enforces it.
    assert_eq!(
        lease["enforced_by"],
        json!({ "start_by": "app", "finish_within": "app", "check_in_by": "app" })
    );

    // A grant names member, device and key ids and lives at most two minutes.
    let grant = claims(&answer.json["grant"]);
    assert_eq!((&grant["member"], &grant["device"]), (&json!("ana"), &json!("phone")));
    assert_eq!(grant["kids"], json!([VIDEO_KID]));
    assert!(grant["exp"].as_i64().unwrap() - grant["iat"].as_i64().unwrap() <= 120);
    assert!(answer.json.get("drm").is_none());
}

#[test]
fn with_a_challenge_the_drm_license_comes_in_the_same_answer() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    for (key, kind) in [("first", "persistent-license"), ("second", "temporary")] {
        let challenge = json!({ "kids": [kid_base64url(VIDEO_KID)], "type": kind });
        let answer = ana.acquire_with_challenge("film", key, &challenge);
        let license = base64_json(&answer.json["drm"]["body"]);
        assert_eq!(license["type"], kind, "the requested type is echoed");
        assert_eq!(license["keys"][0]["k"], content_key_base64url());
        assert_eq!(license["keys"][0]["kid"], kid_base64url(VIDEO_KID));
        assert!(answer.json["lease"].is_string(), "the lease always travels beside");
        assert!(answer.json.get("grant").is_none());
    }
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired", "reissued"]);
}

/// "A DRM step that fails leaves the license held: the answer says so, and asking again re-issues."
#[test]
fn a_drm_step_that_fails_leaves_the_license_held_and_a_release_returns_what_it_counted() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let unknown_kid = json!({ "kids": [kid_base64url(&"ee".repeat(16))], "type": "temporary" });
    for n in 0..3 {
        let answer = ana.acquire_with_challenge("film", &format!("try-{n}"), &unknown_kid);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.json["drm_error"]["code"], "key_not_granted");
        assert_eq!(answer.json["license"]["status"], "ready");
        assert!(answer.json["lease"].is_string());
        assert!(answer.json.get("grant").is_none() && answer.json.get("drm").is_none());
        // Only that lets a release return what the acquisition had counted: two a year are
        // allowed, and this goes on.
        let id = answer.json["license"]["id"].as_str().unwrap();
        assert_eq!(ana.release(id).json, json!({ "license": id, "already": false }));
    }
    let types = world.timeline_types("ana");
    assert_eq!(types[1..4], ["acquired", "drm_failed", "released"]);
    assert_eq!(world.timeline("ana")[3]["returned"], true);

    // Asking again re-issues; then the keys were given, and nothing is returned.
    let failed = ana.acquire_with_challenge("film", "again", &unknown_kid);
    let id = failed.json["license"]["id"].as_str().unwrap();
    let good = json!({ "kids": [kid_base64url(VIDEO_KID)], "type": "temporary" });
    let answer = ana.acquire_with_challenge("film", "again-2", &good);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["decision"]["outcome"], "reissued");
    assert_eq!(answer.json["license"]["id"], id);
    assert!(answer.json["drm"].is_object());
    ana.release(id);
    assert_eq!(world.timeline("ana").last().unwrap()["returned"], false);
}

#[test]
fn challenges_that_cannot_be_served_say_why() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let long = vec![kid_base64url(VIDEO_KID); 65];
    for (title, challenge, code) in [
        ("film", json!("no object"), "challenge_malformed"),
        ("film", json!({ "kids": [] }), "challenge_malformed"),
        ("film", json!({ "kids": ["short"] }), "challenge_malformed"),
        ("film", json!({ "kids": long }), "challenge_malformed"),
        ("film", json!({ "kids": [], "type": "rental" }), "challenge_malformed"),
        ("keyless", json!({ "kids": [kid_base64url(&"ff".repeat(16))] }), "no_content_key"),
    ] {
        let key = format!("{title}-{code}-{challenge}").replace([' ', '"'], "");
        let answer = ana.acquire_with_challenge(title, &key[..key.len().min(128)], &challenge);
        assert_eq!(answer.json["drm_error"]["code"], code, "{answer:?}");
    }
    let body = json!({
        "device": "phone", "title": "film",
        "challenge": { "system": "com.widevine.alpha", "body": "AAAA" },
    });
    let answer = ana.call("POST", "/v1/licenses").key("wv").json(&body).send();
    assert_eq!(answer.json["drm_error"]["errors"][0]["field"], "challenge.system", "{answer:?}");
}

#[test]
fn ids_with_any_character_travel_in_paths() {
    let world = World::new();
    let ana = world.signed_in("auth0|ana", "standard", "phone/1");
    ana.download("10.5240/77|x");
    let path = "/v1/titles/10.5240%2F77%7Cx/eligibility?device=phone%2F1";
    let answer = ana.call("GET", path).send();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json["holding"]["license"].is_string());
    let path = "/v1/operator/members/auth0%7Cana";
    let answer = world.call("GET", path).token(&world.operator()).send();
    assert_eq!(answer.json["member"], "auth0|ana");
}

#[test]
fn eligibility_tells_what_a_download_would_do_and_records_nothing() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let path = "/v1/titles/film/eligibility?device=phone";
    let before = ana.call("GET", path).send();
    assert_eq!(before.json["allowed"], true, "{before:?}");
    assert_eq!(before.json["terms"]["start_within_ms"], 30 * DAY_MS);
    assert_eq!(before.json["would_end_at"], at(20 * DAY_MS));
    let cap = &before.json["caps"][0];
    assert_eq!(
        (&cap["rule"], &cap["limit"], &cap["remaining"]),
        (&json!("devices"), &json!(1), &json!(1))
    );
    assert_eq!(world.timeline_types("ana"), ["device_registered"]);

    let id = ana.download("film");
    let held = ana.call("GET", path).send();
    assert_eq!(held.json["allowed"], true);
    assert_eq!(held.json["holding"], json!({ "license": id, "ends_at": at(20 * DAY_MS) }));

    let refused = ana.call("GET", "/v1/titles/stream-only/eligibility?device=phone").send();
    assert_eq!(refused.status, 200);
    assert_eq!(refused.json["allowed"], false);
    assert_eq!(refused.json["refusal"]["findings"][0]["code"], "title_not_downloadable");
    assert_eq!(world.timeline_types("ana"), ["device_registered", "acquired"]);
}

#[test]
fn a_license_is_checked_in_played_renewed_and_released() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");

    world.pass_ms(10 * DAY_MS);
    let answer = ana.check_in(&json!([{ "license": id, "started": false }]));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["leases"][0]["license"], id);
    // A check-in moves its own clock only and answers with re-signed leases.
    let lease = claims(&answer.json["leases"][0]["lease"]);
    assert_eq!(lease["check_in_by"], at(30 * DAY_MS));
    assert_eq!(lease["start_by"], at(30 * DAY_MS));
    assert_eq!(lease["issued_at"], at(10 * DAY_MS));

    world.pass_ms(DAY_MS);
    let play = json!([{
        "sequence": 1, "session": "s1", "title": "film", "license": id, "term": 1,
        "type": "start", "device_at": world.now().to_string(),
    }]);
    let answer = ana.upload(world.now(), &play);
    assert_eq!(answer.json, json!({ "accepted": 1, "repeated": 0, "unknown": 0, "highest": 1 }));
    let status = ana.status(&id).json;
    assert_eq!(status["status"], "active");
    assert_eq!(status["clock"], "finish");
    assert_eq!(status["ends_at"], at(13 * DAY_MS));
    assert_eq!(status["first_played_at"], at(11 * DAY_MS));
    assert!(status["clocks"].get("start_by").is_none(), "over once it has been played");

    world.pass_ms(3 * DAY_MS);
    assert_eq!(ana.status(&id).json["status"], "expired");
    let answer = ana.renew(&id, 1, "renew");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["decision"]["outcome"], "renewed");
    assert_eq!(answer.json["license"]["term"], 2);
    assert_eq!(answer.json["license"]["status"], "ready");
    assert_eq!(claims(&answer.json["lease"])["term"], 2);
    assert!(claims(&answer.json["lease"]).get("renew_from").is_none(), "no renewal is left");

    // Renew names the term it expects; when a newer one exists, that one is re-issued.
    let again = ana.renew(&id, 1, "renew-again");
    assert_eq!(again.json["decision"]["outcome"], "reissued");
    assert_eq!(again.json["license"]["term"], 2);

    let downloads = ana.call("GET", "/v1/downloads").send();
    assert_eq!(downloads.json["licenses"][0]["id"], id);

    assert_eq!(ana.release(&id).json, json!({ "license": id, "already": false }));
    assert_eq!(ana.release(&id).json, json!({ "license": id, "already": true }));
    let downloads = ana.call("GET", "/v1/downloads").send();
    assert_eq!(downloads.json["licenses"], json!([]));
    let status = ana.status(&id).json;
    assert_eq!(status["status"], "returned");
    let kinds: Vec<&Value> =
        status["events"].as_array().unwrap().iter().map(|event| &event["type"]).collect();
    assert_eq!(kinds, ["register", "play", "renew", "reissue", "return"]);
}

#[test]
fn devices_are_listed_removed_by_another_and_come_back_with_their_key() {
    let world = World::new();
    let phone = world.signed_in("ana", "premium", "phone");
    let tablet = world.signed_in("ana", "premium", "tablet");
    let id = tablet.download("film");
    assert_eq!(phone.register().status, 200, "it was registered before");

    let listed = phone.call("GET", "/v1/devices").send();
    let listed = listed.json["devices"].as_array().unwrap().clone();
    assert_eq!(listed[0]["device"], "phone");
    assert_eq!((&listed[0]["this"], &listed[0]["licenses"]), (&json!(true), &json!(0)));
    assert_eq!((listed[1].get("this"), &listed[1]["licenses"]), (None, &json!(1)));

    let removed = phone.remove("tablet");
    assert_eq!(removed.json, json!({ "device": "tablet", "caps": [], "closed": [id] }));
    assert_eq!(phone.remove("tablet").json["closed"], json!([]), "removing again changes nothing");
    assert_eq!(phone.status(&id).json["status"], "revoked");
    assert_eq!(tablet.acquire("film", "k").code(), "device_removed");

    // A removed key may still upload and release.
    assert_eq!(tablet.release(&id).json["already"], true);
    let event = json!([{ "sequence": 1, "session": "s", "title": "film", "type": "stop", "device_at": START }]);
    assert_eq!(tablet.upload(world.now(), &event).json["accepted"], 1);

    // The same key may come back and counts as the same device.
    assert_eq!(tablet.register().status, 201);
    assert_eq!(tablet.upload(world.now(), &event).json["repeated"], 1, "its sequence survived");
}

#[test]
fn any_device_of_a_member_may_release_and_an_unknown_license_is_acknowledged() {
    let world = World::new();
    let phone = world.signed_in("ana", "premium", "phone");
    let tablet = world.signed_in("ana", "premium", "tablet");
    let id = phone.download("film");
    assert_eq!(tablet.release(&id).json["already"], false);
    assert_eq!(
        tablet.release("lic_never").json,
        json!({ "license": "lic_never", "already": true })
    );
    let ben = world.signed_in("ben", "premium", "phone");
    let id = phone.download("film-2");
    assert_eq!(ben.release(&id).json["already"], true, "another member's is not known here");
    assert_eq!(phone.status(&id).json["status"], "ready");
    assert_eq!(ben.status(&id).status, 404);
}

#[test]
fn a_license_that_lapsed_for_want_of_a_check_in_is_revived_by_one() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    world.pass_ms(21 * DAY_MS);
    assert_eq!(ana.status(&id).json["status"], "expired");
    let answer = ana.check_in(&json!([{ "license": id, "started": false }]));
    assert_eq!(answer.json["leases"][0]["license"], id);
    assert_eq!(ana.status(&id).json["status"], "ready");
    // Never started closes for good; the device hears that it ended.
    world.pass_ms(15 * DAY_MS);
    let answer = ana.check_in(&json!([{ "license": id, "started": false }]));
    assert_eq!(answer.json["ended"], json!([id]));
    assert_eq!(ana.status(&id).json["status"], "cancelled");
}
