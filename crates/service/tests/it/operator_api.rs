//! What support sees.

use serde_json::json;

use crate::world::{DAY_MS, START, World};

#[test]
fn a_timeline_tells_everything_page_by_page() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    ana.acquire("stream-only", "no");
    ana.check_in(&json!([{ "license": id, "started": false }]));
    ana.release(&id);
    let operator = world.operator();
    let page = |query: &str| {
        let path = format!("/v1/operator/members/ana/timeline{query}");
        world.call("GET", &path).token(&operator).send().json
    };
    let all = page("");
    let events = all["events"].as_array().unwrap();
    let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["device_registered", "acquired", "refused", "checked_in", "released"]);
    assert!(all.get("next").is_none());
    let acquired = &events[1];
    assert_eq!((&acquired["version"], &acquired["at"]), (&json!(2), &json!(START)));
    assert_eq!(acquired["caps"], json!(["devices", "per-device", "title-per-year"]));
    assert_eq!(acquired["term"]["finish_within_ms"], 172_800_000);
    assert_eq!(acquired["facts"]["title"]["partner"], "aurora");
    assert_eq!(acquired["facts"]["class"], "phone");
    assert_eq!(acquired["policy"], events[2]["refusal"]["policy"]);
    assert_eq!(events[3]["moved"][0]["license"], id);
    assert_eq!(events[4]["by"], "phone");

    let first = page("?limit=2");
    assert_eq!((first["events"].as_array().unwrap().len(), &first["next"]), (2, &json!(2)));
    let rest = page("?after=2&limit=3");
    assert_eq!(rest["events"][0]["version"], 3);
    assert_eq!(page("?after=5")["events"], json!([]));
}

#[test]
fn the_current_state_bears_an_etag_that_changes_with_events_and_with_time() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let state = |etag: &str| {
        let call = world.call("GET", "/v1/operator/members/ana").token(&world.operator());
        call.header("if-none-match", etag).send()
    };
    let answer = state("");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["member"], "ana");
    assert_eq!(answer.json["version"], 2);
    assert_eq!(answer.json["devices"][0]["licenses"], 1);
    let license = &answer.json["licenses"][0];
    assert_eq!((&license["id"], &license["deliveries"]), (&json!(id), &json!(1)));
    assert_eq!(license["facts"]["plan"], "standard");
    let etag = answer.header("etag").unwrap().to_owned();
    let same = state(&etag);
    assert_eq!((same.status, same.text.as_str()), (304, ""));
    world.pass_ms(40 * DAY_MS);
    let ended = state(&etag);
    assert_eq!(ended.status, 200, "a license ended without an event");
    assert_eq!(ended.json["licenses"][0]["status"], "expired");
    ana.release(&id);
    assert_eq!(state(&etag).json["past"][0]["status"], "returned");
}
