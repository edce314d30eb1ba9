//! What changes around a member: the membership, what is taken back, and what support allows.

use serde_json::{Value, json};

use crate::world::{Answer, Client, DAY_MS, SERVICE_KEY, World};

/// One command of a customer's service.
pub(crate) fn serve(world: &World, member: &str, key: &str, plan: &str, command: &Value) -> Answer {
    let facts = json!({ "plan": plan, "territory": "DE" });
    let body = json!({ "facts": facts, "commands": [command] });
    let path = format!("/v1/service/members/{member}/commands");
    world.call("POST", &path).token(SERVICE_KEY).key(key).json(&body).send()
}

/// What an operator does to a member.
pub(crate) fn operate(world: &World, member: &str, below: &str, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/operator/members/{member}/{below}");
    world.call("POST", &path).token(&world.operator()).key(key).json(body).send()
}

fn state(world: &World, member: &str) -> Value {
    let path = format!("/v1/operator/members/{member}");
    world.call("GET", &path).token(&world.operator()).send().json
}

fn last(world: &World, member: &str) -> Value {
    world.timeline(member).pop().unwrap()
}

fn ends_at(client: &Client<'_>, license: &str) -> String {
    client.status(license).json["ends_at"].as_str().unwrap().to_owned()
}

#[test]
fn a_smaller_plan_gives_notice_to_the_devices_it_has_no_room_for() {
    let world = World::new();
    let phone = world.signed_in("ana", "premium", "phone");
    let tablet = world.signed_in("ana", "premium", "tablet");
    let id = tablet.download("film");
    world.pass_ms(DAY_MS);
    phone.download("film");

    let change = json!({ "do": "change_member" });
    let changed = serve(&world, "ana", "k-1", "standard", &change);
    let at = "2026-03-09T12:00:00.000Z";
    assert_eq!(
        changed.json["outcomes"],
        json!([{ "do": "change_member", "leaving": [{ "device": "tablet", "at": at, "removed": false }] }])
    );
    assert_eq!(ends_at(&tablet, &id), at);
    let devices = tablet.call("GET", "/v1/devices").send();
    assert_eq!(devices.json["devices"][1]["leaves_at"], at);
    let refused = tablet.acquire("film-2", "k-2");
    assert!(refused.findings().contains(&"device_leaving"), "{refused:?}");
    let event = world.timeline("ana").into_iter().find(|event| event["type"] == "member_changed");
    let event = event.unwrap();
    assert_eq!(
        (&event["facts"]["plan"], &event["leaving"][0]["device"]),
        (&json!("standard"), &json!("tablet"))
    );
    // Room again: the notice is void.
    serve(&world, "ana", "k-3", "premium", &change);
    assert_eq!(state(&world, "ana")["devices"][1].get("leaves_at"), None);
    assert_ne!(ends_at(&tablet, &id), at);
}

#[test]
fn a_device_whose_notice_has_run_out_is_listed_as_gone() {
    let world = World::new();
    let devices: Vec<String> = (0..4).map(|n| format!("d{n}")).collect();
    let signed_in: Vec<_> =
        devices.iter().map(|device| world.signed_in("ana", "premium", device)).collect();
    let change = json!({ "do": "change_member" });
    let changed = serve(&world, "ana", "k-1", "tiny", &change);
    let leaving = changed.json["outcomes"][0]["leaving"].as_array().unwrap().clone();
    assert_eq!(leaving.len(), 1, "{changed:?}");
    assert_eq!(leaving[0]["removed"], true);
    let gone = leaving[0]["device"].as_str().unwrap();
    let at = leaving[0]["at"].clone();
    let listed = |world: &World| -> (Value, Value) {
        let state = state(world, "ana");
        let devices = state["devices"].as_array().unwrap().clone();
        let device = devices.into_iter().find(|device| device["device"] == gone).unwrap();
        (device["leaves_at"].clone(), device["removed_at"].clone())
    };
    assert_eq!(listed(&world), (at.clone(), Value::Null));
    world.pass_ms(7 * DAY_MS);
    assert_eq!(listed(&world), (Value::Null, at));
    drop(signed_in);
}

#[test]
fn a_lapsed_membership_acquires_nothing_until_it_resumes() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let lapse = json!({ "do": "lapse_membership" });
    let lapsed = serve(&world, "ana", "k-1", "standard", &lapse);
    assert_eq!(lapsed.json["outcomes"], json!([{ "do": "lapse_membership", "already": false }]));
    let again = serve(&world, "ana", "k-2", "standard", &lapse);
    assert_eq!(again.json["outcomes"][0]["already"], true);
    assert_eq!(ana.acquire("film-2", "k").findings(), ["membership_lapsed"]);
    assert_eq!(state(&world, "ana")["lapsed_at"], world.now().to_string());
    assert_eq!(ana.status(&id).json["status"], "ready", "the policy takes nothing away");
    serve(&world, "ana", "k-3", "standard", &json!({ "do": "resume_membership" }));
    assert_eq!(last(&world, "ana")["type"], "membership_resumed");
    assert_eq!(ana.acquire("film-2", "k").status, 201);
}

#[test]
fn what_is_revoked_says_by_whom_and_why() {
    let world = World::new();
    let ana = world.signed_in("ana", "premium", "phone");
    let (first, second) = (ana.download("film"), ana.download("film-2"));
    let body = |target: Value| json!({ "target": target, "reason": "a stolen phone" });
    let license = operate(&world, "ana", "revocations", "k-1", &body(json!({ "license": first })));
    assert_eq!(license.json, json!({ "closed": [first], "already": false }), "{license:?}");
    let event = last(&world, "ana");
    assert_eq!((&event["type"], &event["license"]), (&json!("revoked"), &json!(first)));
    assert_eq!((&event["actor"], &event["reason"]), (&json!("olga"), &json!("a stolen phone")));
    assert_eq!(ana.status(&first).json["status"], "revoked");
    let holdings = json!([{ "license": first, "started": false }]);
    assert_eq!(ana.check_in(&holdings).json["ended"], json!([first]), "the device hears it");
    let again = operate(&world, "ana", "revocations", "k-2", &body(json!({ "license": first })));
    assert_eq!(again.json, json!({ "closed": [], "already": true }));

    let device = operate(&world, "ana", "revocations", "k-3", &body(json!({ "device": "phone" })));
    assert_eq!(device.json["closed"], json!([second]));
    assert_eq!(ana.acquire("film", "k-4").findings(), ["device_revoked"]);
    assert!(ana.register().findings().contains(&"device_revoked"), "its key does not come back");
    assert_eq!(state(&world, "ana")["devices"][0]["revoked"], true);

    let tablet = world.signed_in("ana", "premium", "tablet");
    let third = tablet.download("film-3");
    let revoke =
        json!({ "do": "revoke", "target": "member", "actor": "fraud desk", "reason": "resold" });
    let member = serve(&world, "ana", "k-5", "premium", &revoke);
    assert_eq!(
        member.json["outcomes"],
        json!([{ "do": "revoke", "closed": [third], "already": false }])
    );
    assert_eq!(last(&world, "ana")["actor"], "fraud desk");
    assert_eq!(tablet.acquire("film", "k-6").findings(), ["member_revoked"]);
    assert!(state(&world, "ana")["revoked_at"].is_string());
    serve(&world, "ana", "k-7", "premium", &json!({ "do": "resume_membership" }));
    assert_eq!(tablet.acquire("film-3", "k-8").status, 201);
    // An operator takes a revocation back as well, and says why.
    operate(&world, "ana", "revocations", "k-10", &body(json!("member")));
    serve(&world, "ana", "k-11", "premium", &json!({ "do": "lapse_membership" }));
    let reason = json!({ "reason": "a mistake" });
    let resumed = operate(&world, "ana", "resumptions", "k-12", &reason);
    assert_eq!((resumed.status, &resumed.json), (200, &json!({ "already": false })), "{resumed:?}");
    let event = last(&world, "ana");
    assert_eq!((&event["actor"], &event["reason"]), (&json!("olga"), &json!("a mistake")));
    assert_eq!(tablet.acquire("film-4", "k-13").findings(), ["membership_lapsed"]);
    let again = operate(&world, "ana", "resumptions", "k-14", &reason);
    assert_eq!(again.json, json!({ "already": true }));
    serve(&world, "ana", "k-15", "premium", &json!({ "do": "resume_membership" }));
    assert_eq!(tablet.acquire("film-4", "k-16").status, 201);

    let withdraw = json!({ "do": "withdraw_title", "title": "film-4" });
    let withdrawn = serve(&world, "ana", "k-9", "premium", &withdraw);
    assert_eq!(withdrawn.json["outcomes"][0]["closed"].as_array().unwrap().len(), 1);
    assert_eq!(last(&world, "ana")["type"], "title_withdrawn");
}

#[test]
fn an_exception_raises_a_limit_until_it_ends_and_every_answer_says_so() {
    let world = World::new();
    let phone = world.signed_in("ana", "standard", "phone");
    let tablet = world.signed_in("ana", "standard", "tablet");
    phone.download("film");
    assert_eq!(tablet.acquire("film-2", "k").findings(), ["cap_reached"]);
    let body =
        json!({ "rule": "devices", "until": "2026-04-01T00:00:00Z", "reason": "moving house" });
    let granted = operate(&world, "ana", "exceptions", "grant", &body);
    assert_eq!(granted.status, 201, "{granted:?}");
    let exception = granted.json["exception"].as_str().unwrap();
    let again = operate(&world, "ana", "exceptions", "grant", &body);
    assert_eq!(again.json["exception"], exception, "a retry grants nothing more");
    let event = last(&world, "ana");
    assert_eq!((&event["rule"], &event["amount"]), (&json!("devices"), &json!(1)));
    assert_eq!((&event["actor"], &event["reason"]), (&json!("olga"), &json!("moving house")));
    let listed = &state(&world, "ana")["exceptions"];
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["exception"], &listed[0]["rule"]),
        (&json!(exception), &json!("devices"))
    );

    let acquired = tablet.acquire("film-2", "k");
    assert_eq!(acquired.status, 201);
    let cap = &acquired.json["caps"][0];
    assert_eq!(
        (&cap["limit"], &cap["raised"], &cap["remaining"]),
        (&json!(2), &json!(1), &json!(0))
    );
    let third = world.signed_in("ana", "standard", "third");
    let refused = third.acquire("film-3", "k-3");
    let finding = &refused.json["refusal"]["findings"][0];
    assert_eq!((&finding["cap"]["limit"], &finding["cap"]["raised"]), (&json!(2), &json!(1)));
    assert_eq!(
        finding["message"],
        "Downloads are already on 2 devices, and 2 may have them. 1 of these is by exception."
    );

    let end = format!("exceptions/{exception}/end");
    let ended = operate(&world, "ana", &end, "end", &json!({ "reason": "moved" }));
    assert_eq!(ended.json, json!({ "exception": exception, "already": false }));
    assert_eq!(last(&world, "ana")["type"], "exception_ended");
    let refused = third.acquire("film-3", "k-4");
    assert_eq!(refused.json["refusal"]["findings"][0]["cap"]["limit"], 1);
}

#[test]
fn support_cannot_begin_a_member_by_a_slip_nor_act_without_a_reason() {
    let world = World::new();
    let revoke = json!({ "target": "member", "reason": "why not" });
    let nobody = operate(&world, "nobody", "revocations", "k", &revoke);
    assert_eq!((nobody.status, nobody.code()), (404, "member_unknown"));
    assert_eq!(world.timeline_types("nobody"), [""; 0]);
    world.signed_in("ana", "standard", "phone");
    let long = "x".repeat(1_001);
    for (below, body, field, message) in [
        ("revocations", json!({ "target": "member" }), "body", "missing field `reason`"),
        (
            "revocations",
            json!({ "target": "member", "reason": " " }),
            "reason",
            "1 to 1000 characters",
        ),
        ("revocations", json!({ "target": "member", "reason": long }), "reason", "1 to 1000"),
        ("revocations", json!({ "target": "member", "reason": "a\u{7}" }), "reason", "of control"),
        (
            "revocations",
            json!({ "target": "all", "reason": "r" }),
            "target",
            "unknown variant `all`",
        ),
        ("revocations", json!({ "reason": "r" }), "body", "missing field `target`"),
        (
            "exceptions",
            json!({ "rule": "devices", "reason": "r" }),
            "body",
            "missing field `until`",
        ),
        (
            "exceptions",
            json!({ "rule": "devices", "amount": 0, "until": "2027-01-01T00:00:00Z", "reason": "r" }),
            "amount",
            "1 or more",
        ),
        ("exceptions/exc/end", json!({ "reason": "" }), "reason", "1 to 1000 characters"),
    ] {
        let answer = operate(&world, "ana", below, "k", &body);
        let error = &answer.json["errors"][0];
        assert_eq!((answer.status, &error["field"]), (400, &json!(field)), "{answer:?}");
        let found = error["message"].as_str().unwrap();
        assert!(found.contains(message), "`{found}` says nothing of `{message}`");
    }
    let facts = json!({ "facts": {}, "commands": [{ "do": "change_member" }] });
    let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
    assert_eq!(call.key("k").json(&facts).send().json["errors"][0]["field"], "facts");
    assert_eq!(world.timeline_types("ana"), ["device_registered"], "nothing is recorded");
}
