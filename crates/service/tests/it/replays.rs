//! What would a draft policy have answered?

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{POLICY, START, World};

/// Asks, and comes back until it is done.
pub(crate) fn replay_until_done(world: &World, draft: &str, partner: Option<&str>) -> Value {
    let operator = world.operator();
    let mut body = json!({ "draft": { "policy.toml": draft }, "since": START });
    if let Some(partner) = partner {
        body["partner"] = json!(partner);
    }
    world.pass_ms(1_000);
    let begun = world.call("POST", "/v1/operator/replays").token(&operator).json(&body).send();
    assert_eq!(begun.status, 202, "{begun:?}");
    let location = begun.header("location").unwrap().to_owned();
    loop {
        let answer = world.call("GET", &location).token(&operator).send();
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.json["state"] != "running" {
            return answer.json;
        }
        sleep(Duration::from_millis(5));
    }
}

fn stricter() -> String {
    POLICY.replace(
        "window = { rolling = \"365d\" }\nlimit = 2\nwarn_at_left = 1",
        "window = { rolling = \"365d\" }\nlimit = 1",
    )
}

/// A film that is downloaded, deleted and downloaded again.
fn world() -> World {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    ana.release(&id);
    assert_eq!(ana.acquire("film", "again").status, 201);
    world.signed_in("ben", "standard", "phone").download("film");
    world
}

#[test]
fn an_unchanged_policy_would_have_answered_the_same() {
    let world = world();
    let answer = replay_until_done(&world, POLICY, None);
    let report = &answer["report"];
    assert_eq!((&answer["state"], &report["unchanged"]), (&json!("done"), &json!(true)));
    assert_eq!((&report["members"], &report["requests"]), (&json!(2), &json!(5)));
    assert!(report["history_cannot_know"][0].as_str().unwrap().contains("never made"));
}

#[test]
fn a_stricter_draft_names_whom_it_would_have_refused() {
    let world = world();
    let before = world.timeline("ana");
    let answer = replay_until_done(&world, &stricter(), None);
    let refused = &answer["report"]["refused_instead"];
    assert_eq!((&refused["requests"], &refused["members"]), (&json!(1), &json!(1)));
    assert_eq!(refused["most_titles"], json!([{ "title": "film", "requests": 1 }]));
    assert_eq!(refused["most_partners"], json!([{ "partner": "aurora", "requests": 1 }]));
    let reason = json!({ "code": "cap_reached", "rule": "title-per-year" });
    assert_eq!(refused["reasons"][0]["rule"], "title-per-year");
    let example = &refused["examples"][0];
    assert_eq!((&example["member"], &example["asked_for"]), (&json!("ana"), &json!(["acquire"])));
    assert_eq!(example["would_be"], json!({ "answer": "refused", "reasons": [reason] }));
    assert_eq!(world.timeline("ana"), before, "nothing is recorded");

    let path = format!("/v1/operator/replays/{}/differences", answer["id"].as_str().unwrap());
    let csv = world.call("GET", &path).token(&world.operator()).send();
    assert_eq!(csv.header("content-type").unwrap(), "text/csv; charset=utf-8");
    assert_eq!(csv.header("carnet-cut").unwrap(), "false");
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(lines[0], "difference,member,at,asked_for,titles,partners,was,would_be");
    assert!(lines[1].starts_with("refused_instead,ana,2026-"), "{lines:?}");
    assert!(
        lines[1].ends_with(",acquire,film,aurora,accepted,cap_reached:title-per-year"),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 2);

    let of_another = replay_until_done(&world, &stricter(), Some("borders"));
    assert_eq!(of_another["report"]["requests"], 0);
}

#[test]
fn a_draft_that_is_wrong_is_refused_with_its_lines() {
    let world = World::new();
    let ask = |body: Value| {
        world.call("POST", "/v1/operator/replays").token(&world.operator()).json(&body).send()
    };
    let wrong =
        ask(json!({ "draft": { "policy.toml": "format = 1\nnam = \"x\"\n" }, "since": START }));
    assert_eq!((wrong.status, wrong.code()), (400, "invalid_request"));
    assert!(wrong.text.contains("policy.toml, line 2, field `nam`"), "{}", wrong.text);
    let later = ask(json!({ "draft": { "policy.toml": POLICY }, "since": "2999-01-01T00:00:00Z" }));
    assert_eq!((later.status, later.code()), (400, "invalid_request"));
    let unknown = ask(json!({ "drafts": {}, "since": START }));
    assert_eq!(unknown.status, 400);
}
