//! What support sees.

use serde_json::{Value, json};

use crate::world::{DAY_MS, POLICY, START, World};

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

/// "Which policy version decided what is queryable, and every version ever used can be shown."
#[test]
fn every_policy_that_decided_anything_can_be_shown() {
    let mut world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    ana.download("film");
    let get = |world: &World, path: &str, etag: &str| {
        let call = world.call("GET", path).token(&world.operator());
        call.header("if-none-match", etag).send()
    };
    let decided = |world: &World| {
        let acquired = world.timeline("ana").into_iter().rev().find(|e| e["type"] == "acquired");
        acquired.unwrap()["policy"].as_str().unwrap().to_owned()
    };
    let first = decided(&world);
    let shown = get(&world, &format!("/v1/operator/policies/{first}"), "");
    assert_eq!((shown.status, &shown.json["in_effect"]), (200, &json!(true)), "{shown:?}");
    assert!(shown.json["text"].as_str().unwrap().contains(POLICY));
    let list = get(&world, "/v1/operator/policies", "");
    let entry = |version: &str, name: &str, effective_from: &str, in_effect: bool| {
        json!({
            "version": version, "name": name, "effective_from": effective_from, "in_effect": in_effect,
        })
    };
    let old = |in_effect| entry(&first, "test", "2026-01-01T00:00:00.000Z", in_effect);
    assert_eq!(list.json["policies"], json!([old(true)]));

    let next = POLICY.replace("\"test\"", "\"next\"").replace("2026-01-01", "2026-03-02");
    let next = codec::policy::parse(&[("policy.toml", &next)]).unwrap();
    let second = next.policy.version.to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(world.state().policies.publish(next)).unwrap();
    let tag = |answer: &crate::world::Answer| answer.header("etag").unwrap().to_owned();
    let changed = get(&world, "/v1/operator/policies", &tag(&list));
    let new = |in_effect| entry(&second, "next", "2026-03-02T00:00:00.000Z", in_effect);
    assert_eq!(changed.json["policies"], json!([old(true), new(false)]));
    assert_eq!(get(&world, "/v1/operator/policies", &tag(&changed)).status, 304);
    world.pass_ms(DAY_MS);
    let turned = get(&world, "/v1/operator/policies", &tag(&changed));
    assert_eq!(turned.json["policies"], json!([old(false), new(true)]));
    let ana = world.stranger_with_device("bea", "standard", "phone");
    ana.register();
    ana.download("film");
    let of_bea = world.timeline("bea").pop().unwrap();
    assert_eq!(of_bea["policy"], Value::from(second.clone()), "what decided is told");
    let path = format!("/v1/operator/policies/{first}");
    let past = get(&world, &path, &tag(&shown));
    assert_eq!((past.status, &past.json["in_effect"]), (200, &json!(false)));
    assert_eq!(get(&world, &path, &tag(&past)).status, 304);
    let nothing = get(&world, "/v1/operator/policies/p1-none", "");
    assert_eq!((nothing.status, nothing.code()), (404, "policy_unknown"));

    world.restart();
    let list = get(&world, "/v1/operator/policies", "").json;
    let versions: Vec<&str> = list["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["version"].as_str().unwrap())
        .collect();
    assert_eq!(versions, [first, second], "also after a restart");
}
