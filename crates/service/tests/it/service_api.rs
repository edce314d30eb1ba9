//! A service of the customer acts for a member and supplies the facts.

use serde_json::{Value, json};

use crate::world::{Answer, DAY_MS, SERVICE_KEY, THUMBPRINT, World, claims};

fn send(world: &World, key: &str, facts: &Value, commands: &Value) -> Answer {
    let body = json!({ "facts": facts, "commands": commands });
    let call = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
    call.key(key).json(&body).send()
}

fn register() -> Value {
    json!({ "do": "register_device", "device": "phone", "name": "Phone", "class": "phone", "key_thumbprint": THUMBPRINT })
}

#[test]
fn a_list_is_decided_together_and_answers_one_outcome_each() {
    let world = World::new();
    let facts = json!({ "plan": "standard", "territory": "DE", "profile": "kid" });
    let commands = json!([
        register(),
        { "do": "acquire", "device": "phone", "title": "film" },
        { "do": "acquire", "device": "phone", "title": "film" },
        { "do": "check_in", "device": "phone", "holdings": [] },
        { "do": "release", "license": "lic_none" },
    ]);
    let answer = send(&world, "list", &facts, &commands);
    assert_eq!(answer.status, 200, "{answer:?}");
    let outcomes = answer.json["outcomes"].as_array().unwrap();
    assert_eq!(
        (&outcomes[0]["do"], &outcomes[0]["device"], &outcomes[0]["already"]),
        (&json!("register_device"), &json!("phone"), &json!(false))
    );
    assert_eq!(
        (&outcomes[1]["do"], &outcomes[1]["outcome"]),
        (&json!("acquire"), &json!("acquired"))
    );
    assert_eq!(outcomes[2]["outcome"], "reissued", "as if those before it had happened");
    assert_eq!(outcomes[2]["license"], outcomes[1]["license"]);
    assert_eq!(claims(&outcomes[1]["lease"])["license"], outcomes[1]["license"]);
    assert!(outcomes[1]["grant"].is_string());
    assert_eq!(outcomes[3]["leases"][0]["license"], outcomes[1]["license"]);
    assert_eq!(outcomes[4], json!({ "do": "release", "license": "lic_none", "already": true }));
    let acquired = &world.timeline("ana")[1];
    assert_eq!(acquired["facts"]["profile"], "kid");
    assert_eq!((&acquired["command"], &acquired["idempotency_key"]), (&json!(1), &json!("list")));

    let again = send(&world, "list", &json!({ "plan": "premium" }), &commands);
    assert_eq!((again.status, &again.json["repeated"]), (200, &json!(true)), "{again:?}");
    assert_eq!(again.json["outcomes"][1]["license"], outcomes[1]["license"]);
    let other = send(&world, "list", &facts, &json!([register()]));
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
}

/// However much has happened to the member since, a status document is read from the newest events.
#[test]
fn a_status_document_tells_of_the_members_newest_events() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    let id = ana.download("film");
    let facts = json!({ "plan": "standard", "territory": "DE" });
    let again = vec![json!({ "do": "acquire", "device": "phone", "title": "film" }); 50];
    let kinds = || {
        let events = ana.status(&id).json["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for n in 1..=22 {
        world.pass_ms(1_000);
        assert_eq!(send(&world, &format!("again-{n}"), &facts, &json!(again)).status, 200);
        if [1, 3, 19].contains(&n) {
            let expected = [vec!["register"], vec!["reissue"; 50 * n]].concat();
            assert_eq!(kinds(), expected);
        }
    }
    let known = [vec!["register"], vec!["reissue"; 1_024]].concat();
    assert_eq!(kinds(), known);
    assert_eq!(ana.release(&id).status, 200);
    assert_eq!(kinds().last().unwrap(), "return");
}

#[test]
fn title_facts_of_the_caller_stand_for_the_catalogues() {
    let world = World::new();
    let facts = json!({ "plan": "standard" });
    let title_facts = json!({
        "partner": "borders", "series": "s", "tags": ["kids"], "downloadable": true,
        "available_until": "2026-03-05T00:00:00Z",
    });
    let acquire = |facts: &Value| json!({ "do": "acquire", "device": "phone", "title": "theirs", "title_facts": facts });
    let refused = send(&world, "a", &facts, &json!([register(), acquire(&title_facts)]));
    assert_eq!(refused.findings(), ["territory_not_allowed"], "a fact that is absent is absent");
    let facts = json!({ "plan": "standard", "territory": "DE" });
    let answer = send(&world, "b", &facts, &json!([register(), acquire(&title_facts)]));
    assert_eq!(answer.status, 200, "{answer:?}");
    let lease = claims(&answer.json["outcomes"][1]["lease"]);
    assert_eq!(
        lease["hard_end"], "2026-03-05T00:00:00.000Z",
        "all copies end when the title leaves"
    );
    assert_eq!(lease["kids"], json!([]), "the catalogue does not know it");

    let id = answer.json["outcomes"][1]["license"].clone();
    let renew = |facts: &Value| json!([{ "do": "renew", "device": "phone", "license": id, "term": 1, "title_facts": facts }]);
    assert_eq!(send(&world, "c", &facts, &renew(&Value::Null)).code(), "title_unknown");
    let longer = json!({ "partner": "borders", "downloadable": true });
    world.pass_ms(DAY_MS);
    let renewed = send(&world, "d", &facts, &renew(&longer));
    assert_eq!(renewed.json["outcomes"][0]["outcome"], "renewed", "{renewed:?}");
    assert_eq!(renewed.json["outcomes"][0]["do"], "renew");
    assert!(claims(&renewed.json["outcomes"][0]["lease"]).get("hard_end").is_none());

    let rated = json!({ "partner": "p", "downloadable": true, "maturity_rating": 18 });
    let thriller =
        json!([{ "do": "acquire", "device": "phone", "title": "thriller", "title_facts": rated }]);
    let child = json!({ "plan": "standard", "territory": "DE", "maturity_limit": 17 });
    let refused = send(&world, "child", &child, &thriller);
    assert_eq!(refused.findings(), ["maturity_not_allowed"]);
    let since = "2023-11-14T22:13:20.000Z";
    let adult = json!({
        "plan": "standard", "territory": "DE", "maturity_limit": 18, "account": "owner", "member_since": since,
    });
    assert_eq!(send(&world, "adult", &adult, &thriller).status, 200);
    let told = &world.timeline("ana").pop().unwrap()["facts"];
    assert_eq!((&told["account"], &told["member_since"]), (&json!("owner"), &json!(since)));
    let streaming = json!({
        "plan": "standard", "territory": "DE", "concurrent_streams": 3, "elsewhere_at": since,
    });
    assert_eq!(send(&world, "streaming", &streaming, &thriller).findings()[0], "too_many_streams");
    let told = &world.timeline("ana").pop().unwrap()["facts"];
    assert_eq!((&told["concurrent_streams"], &told["elsewhere_at"]), (&json!(3), &json!(since)));

    let off = json!({ "partner": "p", "downloadable": true, "offered": false });
    let refused = send(&world, "e", &facts, &json!([acquire(&off)]));
    assert_eq!(refused.findings(), ["title_not_offered"]);
}

#[test]
fn a_service_registers_by_key_releases_by_itself_and_removes() {
    let world = World::new();
    let facts = json!({ "plan": "standard", "territory": "DE" });
    let ana = world.stranger_with_device("ana", "standard", "phone");
    let by_key = json!([{
        "do": "register_device", "device": "phone", "name": "Phone", "class": "phone", "jwk": ana.key.jwk(),
    }]);
    assert_eq!(send(&world, "a", &facts, &by_key).status, 200);
    assert_eq!(ana.register().status, 200, "the device's own word is the same");
    let id = ana.download("film");
    let released = send(&world, "b", &facts, &json!([{ "do": "release", "license": id }]));
    assert_eq!(released.json["outcomes"][0]["already"], false);
    assert!(world.timeline("ana").last().unwrap().get("by").is_none(), "a service did");
    let removed = send(&world, "c", &facts, &json!([{ "do": "remove_device", "device": "phone" }]));
    assert_eq!(
        removed.json["outcomes"][0],
        json!({ "do": "remove_device", "device": "phone", "closed": [], "caps": [] })
    );
    let missing = world.call("POST", "/v1/service/members/ana/commands").token(SERVICE_KEY);
    let missing = missing.json(&json!({ "commands": by_key })).send();
    assert_eq!(missing.json["errors"][0]["field"], "header.idempotency-key");
}
