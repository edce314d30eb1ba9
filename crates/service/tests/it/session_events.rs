//! Session events: offline for weeks, out of order, repeated, by clocks that are wrong.

use domain::Timestamp;
use serde_json::{Value, json};

use crate::world::{DAY_MS, HOUR_MS, World};

fn event(sequence: u64, kind: &str, device_at: Timestamp, license: Option<(&str, u32)>) -> Value {
    let mut event = json!({
        "sequence": sequence, "session": format!("s{sequence}"), "title": "film", "type": kind,
        "device_at": device_at.to_string(), "position_ms": 1_000,
    });
    if let Some((license, term)) = license {
        event["license"] = json!(license);
        event["term"] = json!(term);
    }
    event
}

fn counted(accepted: u64, repeated: u64, unknown: u64, highest: u64) -> Value {
    json!({ "accepted": accepted, "repeated": repeated, "unknown": unknown, "highest": highest })
}

fn ms(at: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_millis(at.as_millis() + ms)
}

/// "Out of order, repeated: each counts once."
#[test]
fn each_event_counts_once_in_whatever_order_it_comes() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    world.pass_ms(DAY_MS);
    let now = world.now();
    let late = event(7, "start", ms(now, -HOUR_MS), Some((&id, 1)));
    let early = event(3, "start", ms(now, -2 * HOUR_MS), Some((&id, 1)));
    let pause = event(4, "pause", ms(now, -HOUR_MS), Some((&id, 1)));
    assert_eq!(ana.upload(now, &json!([late])).json, counted(1, 0, 0, 7));
    assert_eq!(ana.status(&id).json["first_played_at"], ms(now, -HOUR_MS).to_string());
    // First play may move earlier, never later.
    assert_eq!(ana.upload(now, &json!([pause, early, late])).json, counted(2, 1, 0, 7));
    assert_eq!(ana.status(&id).json["first_played_at"], ms(now, -2 * HOUR_MS).to_string());
    assert_eq!(ana.upload(now, &json!([early, late, pause])).json, counted(0, 3, 0, 7));
    assert_eq!(
        ana.upload(now, &json!([event(9, "stop", now, None), event(9, "stop", now, None)])).json,
        counted(1, 1, 0, 9)
    );
    assert_eq!(ana.upload(now, &json!([])).json, counted(0, 0, 0, 9));
    let types = world.timeline_types("ana");
    assert_eq!(types[2..], ["plays_recorded", "plays_recorded", "plays_recorded"]);

    let viewing =
        world.call("GET", "/v1/operator/members/ana/viewing").token(&world.operator()).send();
    let sequences: Vec<u64> = viewing.json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, [7, 4, 3, 9]);
}

/// A clock that was set back is a thing that support wants to see.
#[test]
fn how_far_a_devices_clock_stood_behind_is_kept_and_shown() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let now = world.now();
    let mut behind = event(1, "start", now, None);
    behind["clock_behind_ms"] = json!(90_000);
    ana.upload(now, &json!([behind, event(2, "stop", now, None)]));
    let viewing =
        world.call("GET", "/v1/operator/members/ana/viewing").token(&world.operator()).send();
    let events = &viewing.json["events"];
    assert_eq!(events[0]["clock_behind_ms"], 90_000);
    assert_eq!(events[1].get("clock_behind_ms"), None);
}

/// "The device clock's offset is corrected and the raw times kept"; "clamped into [term start,
/// receipt]".
#[test]
fn times_of_a_wrong_clock_are_corrected_clamped_and_kept() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let acquired_at = world.now();
    world.pass_ms(DAY_MS);
    let now = world.now();
    // A device whose clock is 30 days slow played one hour ago.
    let wrong = ms(now, -30 * DAY_MS);
    let played = event(1, "start", ms(wrong, -HOUR_MS), Some((&id, 1)));
    assert_eq!(ana.upload(wrong, &json!([played])).json, counted(1, 0, 0, 1));
    assert_eq!(ana.status(&id).json["first_played_at"], ms(now, -HOUR_MS).to_string());
    let recorded = world.timeline("ana")[2]["plays"][0].clone();
    assert_eq!(recorded["occurred_at"], ms(now, -HOUR_MS).to_string());
    assert_eq!(recorded["device_at"], ms(wrong, -HOUR_MS).to_string());

    // Before the term began, or after it was told: neither happened.
    let before = event(2, "start", ms(now, -3 * DAY_MS), Some((&id, 1)));
    let after = event(3, "start", ms(now, 3 * DAY_MS), Some((&id, 1)));
    assert_eq!(ana.upload(now, &json!([before, after])).json, counted(2, 0, 0, 3));
    let plays = world.timeline("ana")[3]["plays"].clone();
    assert_eq!(plays[0]["occurred_at"], acquired_at.to_string());
    assert_eq!(plays[1]["occurred_at"], now.to_string());
}

/// A clock that is three days fast offline, and set right on coming online.
#[test]
fn a_clock_that_was_set_before_the_upload_is_corrected_by_what_the_device_knew_before() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    world.pass_ms(10 * DAY_MS);
    let now = world.now();
    let played_at = ms(now, -4 * DAY_MS);
    let mut played = event(1, "start", ms(played_at, 3 * DAY_MS), Some((&id, 1)));
    played["clock_offset_ms"] = json!(-3 * DAY_MS);
    assert_eq!(ana.upload(now, &json!([played])).json, counted(1, 0, 0, 1));
    assert_eq!(ana.status(&id).json["first_played_at"], played_at.to_string());
    let recorded = world.timeline("ana")[2]["plays"][0].clone();
    assert_eq!(recorded["device_at"], ms(played_at, 3 * DAY_MS).to_string(), "as it was told");
    let viewing =
        world.call("GET", "/v1/operator/members/ana/viewing").token(&world.operator()).send();
    assert_eq!(viewing.json["events"][0]["occurred_at"], played_at.to_string());

    // Whatever it says, nothing that was told has yet to happen.
    let mut later = event(2, "start", now, Some((&id, 1)));
    later["clock_offset_ms"] = json!(i64::MAX);
    let mut earlier = event(3, "start", now, Some((&id, 1)));
    earlier["clock_offset_ms"] = json!(i64::MIN);
    assert_eq!(ana.upload(now, &json!([later, earlier])).json, counted(2, 0, 0, 3));
    let plays = world.timeline("ana")[3]["plays"].clone();
    let acquired_at = ms(now, -10 * DAY_MS).to_string();
    assert_eq!(plays[0]["occurred_at"], now.to_string());
    assert_eq!(plays[1]["occurred_at"], acquired_at);
}

#[test]
fn plays_under_licenses_that_are_not_the_devices_own_are_unknown() {
    let world = World::new();
    let phone = world.signed_in("ana", "premium", "phone");
    let tablet = world.signed_in("ana", "premium", "tablet");
    let id = phone.download("film");
    let now = world.now();
    let events = json!([
        event(1, "start", now, Some((&id, 1))),
        event(2, "start", now, Some(("lic_none", 1))),
        event(3, "start", now, None),
    ]);
    assert_eq!(tablet.upload(now, &events).json, counted(3, 0, 2, 3));
    let events = json!([event(1, "start", now, Some((&id, 2)))]);
    assert_eq!(phone.upload(now, &events).json, counted(1, 0, 1, 1), "a term it never had");
    assert_eq!(phone.status(&id).json["status"], "ready");
}

/// A late fact may raise counts; it never revokes what was promised.
#[test]
fn a_play_reported_after_everything_is_over_still_counts() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let played_at = ms(world.now(), DAY_MS);
    world.pass_ms(60 * DAY_MS);
    assert_eq!(ana.status(&id).json["status"], "expired");
    let events = json!([event(1, "start", played_at, Some((&id, 1)))]);
    assert_eq!(ana.upload(world.now(), &events).json, counted(1, 0, 0, 1));
    let status = ana.status(&id).json;
    assert_eq!(status["first_played_at"], played_at.to_string());
    assert_eq!(status["ends_at"], ms(played_at, 48 * HOUR_MS).to_string());
}

#[test]
fn a_device_that_only_streams_uploads_to_the_viewing_log_alone() {
    let world = World::new();
    let ana = world.stranger_with_device("ana", "free", "browser");
    let now = world.now();
    let events = json!([event(1, "start", now, None), event(2, "stop", now, None)]);
    assert_eq!(ana.upload(now, &events).json, counted(2, 0, 0, 2));
    assert_eq!(ana.upload(now, &events).json, counted(2, 0, 0, 2), "nobody keeps its numbers");
    let operator = world.operator();
    let viewing = |query: &str| {
        let path = format!("/v1/operator/members/ana/viewing{query}");
        world.call("GET", &path).token(&operator).send().json
    };
    let all = viewing("");
    assert_eq!(all["events"].as_array().unwrap().len(), 2, "and no reader sees them twice");
    assert_eq!(all["events"][0]["device"], "browser");
    assert_eq!(world.call("GET", "/v1/operator/members/ana").token(&operator).send().status, 404);

    // A page ends with a whole upload.
    ana.upload(now, &json!([event(3, "start", now, None)]));
    let page = viewing("?limit=1");
    assert_eq!(page["events"].as_array().unwrap().len(), 2);
    let rest = viewing(&format!("?after={}", page["next"]));
    assert_eq!((rest["events"].as_array().unwrap().len(), rest.get("next")), (1, None));
}

#[test]
fn a_full_batch_is_taken_at_once() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let now = world.now();
    let kinds = ["start", "pause", "resume", "keep_alive", "stop"];
    let kind = |n: u64| kinds[usize::try_from(n % 5).unwrap()];
    let events: Vec<Value> = (1..=500).map(|n| event(n, kind(n), now, Some((&id, 1)))).collect();
    assert_eq!(ana.upload(now, &json!(events)).json, counted(500, 0, 0, 500));
    let plays = world.timeline("ana")[2]["plays"].as_array().unwrap().len();
    assert_eq!(plays, 100);
    assert_eq!(world.timeline("ana")[2]["sequences"], json!([[1, 500]]));
}
