//! What members are told, in the words of the policy and in the language that they want.

use std::path::Path;

use futures::executor::block_on;
use serde_json::json;

use crate::world::{Answer, Client, DAY_MS, World};

/// A world under the demo's policy, which speaks German beside our English.
fn world() -> World {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/examples/demo");
    let policy = codec::policy::load_dir(&demo).unwrap();
    let world = World::new();
    block_on(world.state().policies.publish(policy)).unwrap();
    world
}

fn asking(client: &Client<'_>, languages: &str, title: &str, key: &str) -> Answer {
    let body = json!({ "device": client.device, "title": title });
    let call = client.call("POST", "/v1/licenses").header("accept-language", languages);
    call.key(key).json(&body).send()
}

#[track_caller]
fn check(answer: &Answer, language: &str, message: &str) {
    assert_eq!(answer.header("content-language"), Some(language), "{answer:?}");
    assert_eq!(answer.header("vary"), Some("accept-language"), "{answer:?}");
    assert_eq!(answer.json["refusal"]["findings"][0]["message"], message);
    assert_eq!(answer.json["detail"], message);
}

#[test]
fn a_refusal_speaks_the_language_that_is_wanted() {
    let world = world();
    let ana = world.signed_in("ana", "standard", "phone");
    for _ in 0..4 {
        let id = ana.download("film");
        ana.release(&id);
        world.pass_ms(1_000);
    }
    let german = "Von „The film“ sind 4 von 4 Downloads verbraucht; ab 1.3.2027, 13:00 CET geht es \
                  wieder.";
    let english = "4 of 4 downloads of “The film” in this period are used.";
    for (languages, spoken, message) in [
        ("de", "de", german),
        ("de-AT, fr;q=0.9, en;q=0.8", "de", german),
        ("fr, de;q=0.1", "de", german),
        ("en-GB, de;q=0.9", "en", english),
        ("fr", "en", english),
        ("*", "en", english),
    ] {
        check(&asking(&ana, languages, "film", "k"), spoken, message);
    }
    check(&ana.acquire("film", "k"), "en", english);

    // Of a gate by its id, and of a code.
    let mut tv = world.stranger_with_device("ana", "standard", "tv");
    tv.class = "tv".to_owned();
    tv.register();
    let gate = "Downloads sind für unterwegs: Auf Fernseher gehen sie nicht.";
    check(&asking(&tv, "de", "film-2", "k-2"), "de", gate);
    let code = "„The future“ gibt es ab 1.6.2026, 02:00 CEST.";
    check(&asking(&ana, "de", "future", "k-3"), "de", code);
}

#[test]
fn remedies_what_is_left_and_the_state_of_a_license_are_texts_as_well() {
    let world = world();
    let phone = world.signed_in("ben", "standard", "phone");
    let tablet = world.signed_in("ben", "standard", "tablet");
    let third = world.signed_in("ben", "standard", "third");
    let id = phone.download("film");
    tablet.download("film-2");
    tablet.download("film-4");
    let refused = asking(&third, "de", "film-3", "k");
    let message = "Downloads sind schon auf 2 Geräten, und mehr als 2 dürfen es nicht sein.";
    check(&refused, "de", message);
    let remedies = refused.json["refusal"]["remedies"].as_array().unwrap();
    let remedies: Vec<&str> = remedies.iter().map(|r| r["message"].as_str().unwrap()).collect();
    assert!(remedies.contains(&"„The film“ von „ben's phone“ entfernen"), "{remedies:?}");
    assert!(remedies.iter().any(|r| r.contains(" und 1 weitere von ")), "{remedies:?}");

    let state = |languages: &str| {
        let call = phone.call("GET", &format!("/v1/licenses/{id}"));
        call.header("accept-language", languages).send()
    };
    assert_eq!(state("de").json["message"], "Bereit zum Abspielen.");
    assert_eq!(state("fr").json["message"], "Ready to play.");
    assert_eq!(state("de").header("content-language"), Some("de"));

    let left = |languages: &str| {
        let path = "/v1/titles/film/eligibility?device=third";
        let answer = third.call("GET", path).header("accept-language", languages).send();
        let caps = answer.json["caps"].as_array().unwrap().clone();
        caps.into_iter().find(|cap| cap["rule"] == "downloads-per-title-and-year").unwrap()
    };
    assert_eq!(left("de")["message"], "Noch 3 Mal bis 1.3.2027, 13:00 CET.");
    let mut id = id;
    for _ in 0..2 {
        phone.release(&id);
        world.pass_ms(DAY_MS);
        id = phone.download("film");
    }
    assert_eq!(left("de")["message"], "Noch 1 Mal bis 1.3.2027, 13:00 CET.");
    assert_eq!(left("fr")["message"], "1 more download of “The film” before 1 March 2027.");
}

/// What a cache may keep for one reader is not another's.
#[test]
fn an_etag_is_of_the_words_as_well() {
    let world = world();
    world.signed_in("cleo", "standard", "phone").download("film");
    let state = |languages: &str, etag: &str| {
        let call = world.call("GET", "/v1/operator/members/cleo").token(&world.operator());
        call.header("accept-language", languages).header("if-none-match", etag).send()
    };
    let german = state("de", "");
    assert_eq!(german.json["licenses"][0]["message"], "Bereit zum Abspielen.");
    let etag = german.header("etag").unwrap();
    let again = state("de", etag);
    assert_eq!((again.status, again.header("vary")), (304, Some("accept-language")));
    assert_eq!(state("en", etag).status, 200);
}

#[test]
fn an_answer_without_words_for_members_names_no_language() {
    let world = world();
    let dora = world.signed_in("dora", "standard", "phone");
    let call = dora.call("GET", "/v1/devices").header("accept-language", "de");
    let devices = call.send();
    assert_eq!((devices.status, devices.header("content-language")), (200, None));
    assert_eq!(devices.header("vary"), None);
}

/// Old refusals are told by the policy in effect, as our own sentences are by the program in use.
#[test]
fn the_history_is_told_in_the_language_of_the_operator() {
    let world = world();
    let eve = world.signed_in("eve", "standard", "phone");
    eve.acquire("stream-only", "k");
    world.pass_ms(DAY_MS);
    let path = "/v1/operator/members/eve/timeline";
    let told = |languages: &str| {
        let call = world.call("GET", path).token(&world.operator());
        let answer = call.header("accept-language", languages).send();
        answer.json["events"][1]["refusal"]["findings"][0]["message"].clone()
    };
    assert_eq!(told("de"), "„The stream-only“ kannst du streamen, aber nicht herunterladen.");
    assert_eq!(told("en"), "This title cannot be downloaded. You can stream it.");
}
