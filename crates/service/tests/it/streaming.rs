//! Streaming: a grant by token and catalogue alone, and the license URL with raw bodies.

use serde_json::{Value, json};

use crate::world::{Answer, VIDEO_KID, World, claims, content_key_base64url, kid_base64url};

const CONTEXT: &str = "/v1/titles/film/playback-context?intent=stream&device=browser";

fn license(world: &World, grant: &Value, body: &Value) -> Answer {
    let grant = grant.as_str().unwrap();
    world.call("POST", "/v1/drm/clear-key").token(grant).json(body).send()
}

#[test]
fn the_catalogue_shows_what_is_available_here_and_now() {
    let world = World::new();
    let available = |territory: &str, title: &str| {
        let token = world.token(json!({ "sub": "ana", "territory": territory }));
        let answer = world.call("GET", "/v1/catalogue").token(&token).send();
        let titles = answer.json["titles"].as_array().unwrap().clone();
        let found = titles.iter().find(|found| found["id"] == title).unwrap().clone();
        assert_eq!(found["images"]["poster"]["url"], "/media/poster.png");
        found["available"].as_bool().unwrap()
    };
    assert!(available("DE", "film"));
    assert!(available("DE", "de-only"));
    assert!(!available("FR", "de-only"));
    assert!(!available("DE", "future"));
    assert!(!available("DE", "past"));
}

/// "Touches no ledger state … and counts in no cap."
#[test]
fn a_device_that_nobody_registered_streams_and_leaves_no_trace() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "free", "browser");
    let context = ana.call("GET", CONTEXT).send();
    assert_eq!(context.status, 200, "{context:?}");
    assert_eq!(
        context.json["streams"],
        json!({ "dash": "/media/manifest.mpd", "hls": "/media/master.m3u8" })
    );
    assert_eq!(context.json["key_ids"], json!({ "video": VIDEO_KID }));
    assert_eq!(context.json["drm"][0]["system"], "org.w3.clearkey");
    assert_eq!(context.json["drm"][0]["license_url"], "/v1/drm/clear-key");
    let grant = claims(&context.json["grant"]);
    assert_eq!((&grant["session"], grant.get("license")), (&json!("temporary"), None));

    let asked = json!({ "kids": [kid_base64url(VIDEO_KID)], "type": "temporary" });
    let given = license(&world, &context.json["grant"], &asked);
    assert_eq!(given.status, 200, "{given:?}");
    assert_eq!(given.json["keys"][0]["k"], content_key_base64url());
    assert_eq!(given.json["type"], "temporary");
    assert_eq!(given.header("cache-control"), Some("no-store"));
    let operator = world.call("GET", "/v1/operator/members/ana").token(&world.operator()).send();
    assert_eq!((operator.status, operator.code()), (404, "member_unknown"));
}

#[test]
fn a_download_context_has_no_grant_and_says_when_a_title_cannot_be_had() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "standard", "browser");
    let context = |title: &str, intent: &str| {
        let path = format!("/v1/titles/{title}/playback-context?intent={intent}&device=browser");
        ana.call("GET", &path).send()
    };
    let download = context("film", "download");
    assert_eq!((download.status, download.json.get("grant")), (200, None));
    for (title, intent, status, code) in [
        ("nothing", "stream", 404, "title_unknown"),
        ("future", "stream", 403, "title_not_yet_available"),
        ("past", "stream", 403, "title_no_longer_available"),
        ("stream-only", "download", 403, "title_not_downloadable"),
    ] {
        let answer = context(title, intent);
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    }
    let mut abroad = world.stranger_with_device("ana", "standard", "browser");
    abroad.territory = "FR".to_owned();
    let path = "/v1/titles/de-only/playback-context?intent=stream&device=browser";
    assert_eq!(abroad.call("GET", path).send().code(), "title_not_offered");
    let nowhere = world.token(json!({ "sub": "ana" }));
    let call = world.call("GET", path).token(&nowhere).proven(&ana.key, &nowhere);
    assert_eq!(call.send().code(), "territory_unknown");
}

/// "An instance that sees it again gives the same keys for the same key ids and refuses anything
/// else."
#[test]
fn a_grant_gives_what_it_names_once_and_for_two_minutes() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "standard", "browser");
    let grant = || ana.call("GET", CONTEXT).send().json["grant"].clone();
    let kid = kid_base64url(VIDEO_KID);
    let asked = json!({ "kids": [kid], "type": "temporary" });
    let one = grant();
    for (body, status, code) in [
        (json!({ "kids": [kid_base64url(&"ee".repeat(16))] }), 403, "key_not_granted"),
        (json!({ "kids": [kid], "type": "persistent-license" }), 403, "session_not_granted"),
        (json!({ "kids": [] }), 400, "challenge_malformed"),
        (json!({ "kids": [kid], "type": "rental" }), 400, "challenge_malformed"),
    ] {
        let answer = license(&world, &one, &body);
        assert_eq!((answer.status, answer.code()), (status, code), "{answer:?}");
    }
    let first = license(&world, &one, &asked);
    assert_eq!(first.status, 200, "a refused request uses nothing up");
    assert_eq!(license(&world, &one, &asked).text, first.text, "a retry");
    world.pass_ms(2 * 60 * 1_000 + 5_000);
    assert_eq!(license(&world, &one, &asked).code(), "grant_expired");

    let lease_like = world.call("POST", "/v1/drm/clear-key").token("a.b.c").json(&asked).send();
    assert_eq!((lease_like.status, lease_like.code()), (401, "grant_invalid"));
    let none = world.call("POST", "/v1/drm/clear-key").json(&asked).send();
    assert_eq!((none.status, none.code()), (401, "credential_missing"));
    let large = json!({ "kids": vec!["A".repeat(22); 1_000] });
    let large = license(&world, &grant(), &large);
    assert_eq!((large.status, large.code()), (413, "challenge_too_large"));
}

#[test]
fn the_grant_of_a_download_gives_a_license_to_keep_or_a_temporary_one() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    for (key, kind) in [("a", "persistent-license"), ("b", "temporary")] {
        let grant = ana.acquire("film", key).json["grant"].clone();
        let asked = json!({ "kids": [kid_base64url(VIDEO_KID)], "type": kind });
        let given = license(&world, &grant, &asked);
        assert_eq!(given.json["type"], kind, "{given:?}");
        let other = json!({ "kids": [kid_base64url(VIDEO_KID)], "type": if key == "a" { "temporary" } else { "persistent-license" } });
        assert_eq!(license(&world, &grant, &other).code(), "grant_used_for_other_keys");
    }
}
