//! A title is withdrawn for all members.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Answer, World};

const ALL: &str = "/v1/operator/withdrawals";

fn withdraw(world: &World, title: &str, key: Option<&str>) -> Answer {
    let body = json!({ "title": title, "reason": "the rights ended" });
    let call = world.call("POST", ALL).token(&world.operator()).json(&body);
    key.into_iter().fold(call, |call, key| call.key(key)).send()
}

fn look(world: &World, path: &str) -> Value {
    let answer = world.call("GET", path).token(&world.operator()).send();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json
}

fn when_done(world: &World, path: &str) -> Value {
    loop {
        let found = look(world, path);
        if found["state"] != "running" {
            return found;
        }
        sleep(Duration::from_millis(5));
    }
}

fn lift(world: &World, path: &str) -> Answer {
    let call = world.call("POST", &format!("{path}/lift")).token(&world.operator());
    call.json(&json!({ "reason": "signed again" })).send()
}

#[test]
fn a_withdrawn_title_ends_for_all_and_devices_hear_it_at_check_in() {
    let world = World::new();
    let members = ["ana", "ben", "cyd"].map(|id| world.signed_in(id, "standard", "phone"));
    let licenses: Vec<String> = members.iter().map(|client| client.download("film")).collect();
    let other = members[0].download("film-2");
    let ordered = withdraw(&world, "film", None);
    assert_eq!((ordered.status, &ordered.json["title"]), (202, &json!("film")), "{ordered:?}");
    let dan = world.signed_in("dan", "standard", "phone");
    let late = dan.acquire("film", "late");
    assert!(late.findings().contains(&"title_no_longer_available"), "from then on: {late:?}");
    let button = dan.call("GET", "/v1/titles/film/eligibility?device=phone").send();
    assert_eq!(button.json["allowed"], false);

    let path = ordered.header("location").unwrap();
    let done = when_done(&world, path);
    assert_eq!((&done["state"], &done["failures"]), (&json!("done"), &json!(0)), "{done}");
    assert_eq!((&done["members"], &done["licenses"]), (&json!(3), &json!(3)));
    assert_eq!((&done["actor"], &done["reason"]), (&json!("olga"), &json!("the rights ended")));
    assert!(done["finished_at"].is_string() && done.get("events_total").is_none());
    for (client, license) in members.iter().zip(&licenses) {
        let holding = json!([{ "license": license, "started": false }]);
        let heard = client.check_in(&holding).json;
        assert_eq!(heard["ended"], json!([license]), "{heard}");
        assert_eq!(client.status(license).json["message"], "This title is no longer offered.");
        let last = world.timeline(&client.member).into_iter().rev();
        assert!(last.take(2).any(|event| event["type"] == "title_withdrawn"));
    }
    let held = members[0].check_in(&json!([{ "license": other, "started": false }])).json;
    assert_eq!(held["leases"][0]["license"], json!(other), "another title stays");
    let metrics = world.call("GET", "/metrics").send().text;
    assert!(metrics.contains("\ncarnet_withdrawals_licenses 3\n"), "{metrics}");
    assert!(metrics.contains("\ncarnet_withdrawals_running 0\n"), "{metrics}");
}

fn kinds(status: &Value) -> Vec<&str> {
    let events = status["events"].as_array().unwrap().iter();
    events.map(|event| event["type"].as_str().unwrap()).collect()
}

/// While the feed cannot be read no walk gets anywhere, and a device that asks hears all the same.
#[test]
fn a_withdrawal_that_does_not_get_on_says_so_and_devices_hear_of_it_at_once() {
    let world = World::new();
    let ana = world.signed_in("ana", "premium", "phone");
    let (film, other) = (ana.download("film"), ana.download("film-2"));
    let [ben, cyd] = ["ben", "cyd"].map(|id| world.signed_in(id, "standard", "phone"));
    let (of_ben, _) = (ben.download("film"), cyd.download("film"));
    world.feed_fails(true);
    let ordered = withdraw(&world, "film", None);
    let path = ordered.header("location").unwrap();
    let stalled = loop {
        let found = look(&world, path);
        assert_eq!(found["state"], "running", "{found}");
        if found.get("stalled").is_some() {
            break found["stalled"].clone();
        }
        sleep(Duration::from_millis(5));
    };
    assert_eq!(stalled["code"], "store_damaged");
    assert!(stalled["since"].is_string());
    let detail = stalled["detail"].as_str().unwrap();
    assert!(detail.contains("block 7 is damaged") && detail.contains("carnet store verify"));
    let metrics = || world.call("GET", "/metrics").send().text;
    assert!(metrics().contains("\ncarnet_withdrawals_stalled 1\n"));

    let of_ana = || world.timeline_types("ana").len();
    let before = of_ana();
    let status = ana.status(&film).json;
    assert_eq!((&status["status"], of_ana()), (&json!("revoked"), before), "{status}");
    assert_eq!(status["message"], "This title is no longer offered.");
    assert_eq!(kinds(&status), ["register", "revoke"], "also where nothing is recorded: {status}");
    assert_eq!(status["events"][1]["timestamp"], status["updated"]["status"]);
    let downloads = ana.call("GET", "/v1/downloads").send().json;
    assert_eq!(downloads["licenses"].as_array().unwrap().len(), 1, "{downloads}");
    let holding = |license: &str| json!({ "license": license, "started": false });
    let heard = ana.check_in(&json!([holding(&film), holding(&other)])).json;
    assert_eq!(heard["ended"], json!([film]), "{heard}");
    assert_eq!(heard["leases"].as_array().unwrap().len(), 1);
    assert_eq!(world.timeline_types("ana")[before..], ["title_withdrawn", "checked_in"]);
    let renewed = ben.renew(&of_ben, 1, "renewed");
    assert_eq!((renewed.status, renewed.code()), (410, "license_closed"), "{renewed:?}");
    assert!(renewed.text.contains("This title is no longer offered."), "{renewed:?}");
    let again = cyd.acquire("film", "again");
    assert!(again.findings().contains(&"title_no_longer_available"), "{again:?}");

    world.feed_fails(false);
    let done = when_done(&world, path);
    assert_eq!((&done["state"], done.get("stalled")), (&json!("done"), None), "{done}");
    assert_eq!((&done["members"], &done["licenses"]), (&json!(3), &json!(3)), "each once");
    assert!(metrics().contains("\ncarnet_withdrawals_stalled 0\n"));
    assert_eq!(kinds(&ana.status(&film).json), ["register", "revoke"], "told once");
}

#[test]
fn a_title_is_withdrawn_once_and_comes_back_when_it_is_lifted() {
    let mut world = World::new();
    let id = world.signed_in("ana", "standard", "phone").download("film");
    let first = withdraw(&world, "film", Some("k-1"));
    let path = first.header("location").unwrap().to_owned();
    let again = withdraw(&world, "film", Some("k-2"));
    assert_eq!((again.status, &again.json["id"]), (200, &first.json["id"]));
    let other = withdraw(&world, "film-2", Some("k-1"));
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    when_done(&world, &path);

    let lifted = lift(&world, &path);
    assert_eq!((lifted.status, &lifted.json["state"]), (200, &json!("lifted")), "{lifted:?}");
    assert_eq!(lifted.json["lifted"]["reason"], "signed again");
    assert_eq!(lift(&world, &path).json["lifted"], lifted.json["lifted"], "once");
    let late = withdraw(&world, "film", Some("k-1"));
    assert_eq!((late.status, &late.json["state"]), (200, &json!("lifted")), "a late retry");
    let ana = world.stranger_with_device("ana", "standard", "phone");
    assert_eq!(ana.status(&id).json["status"], "revoked", "what has ended stays ended");

    world.restart();
    let ana = world.signed_in("ana", "standard", "tablet");
    assert_eq!(ana.acquire("film", "anew").status, 201);
    let second = withdraw(&world, "film", None);
    assert_eq!((second.status, second.json["id"] != first.json["id"]), (202, true));
    let list = look(&world, ALL);
    let ids: Vec<&Value> =
        list["withdrawals"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&second.json["id"], &first.json["id"]], "the newest first");
}

#[test]
fn a_withdrawal_goes_on_after_a_restart() {
    let mut world = World::new();
    for member in 0..20 {
        world.signed_in(&format!("m{member}"), "standard", "phone").download("film");
    }
    let ordered = withdraw(&world, "film", None);
    let path = ordered.header("location").unwrap().to_owned();
    world.restart();
    let refused = world.signed_in("late", "standard", "phone").acquire("film", "late");
    assert!(refused.findings().contains(&"title_no_longer_available"), "{refused:?}");
    let done = when_done(&world, &path);
    assert_eq!((&done["state"], &done["licenses"]), (&json!("done"), &json!(20)), "{done}");
    world.restart();
    assert_eq!(look(&world, &path), done);
}
