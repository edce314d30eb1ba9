//! Every refusal there is, as a client meets it.

use std::collections::BTreeSet;

use domain::member::Code;
use serde_json::{Value, json};

use crate::membership::{operate, serve};
use crate::world::{Answer, DAY_MS, DeviceKey, SERVICE_KEY, THUMBPRINT, World};

const NOT_AUTHORIZED: &str = "https://dashif.org/drm-problems/not-authorized";

/// Each code of the ledger is met at least once, with its status, its sentence and its refusal.
#[test]
fn every_code_reaches_the_client_with_its_reason() {
    let world = World::new();
    let mut met = BTreeSet::new();
    for (code, status, answer) in walk(&world) {
        assert_eq!(answer.status, status, "{code:?}: {answer:?}");
        assert!(answer.findings().contains(&code.name()), "{code:?}: {answer:?}");
        let refusal = &answer.json["refusal"];
        for finding in refusal["findings"].as_array().unwrap() {
            let message = finding["message"].as_str().unwrap();
            assert!(message.ends_with('.') && !message.contains('_'), "{code:?}: {message}");
        }
        assert!(refusal["policy"].as_str().unwrap().starts_with("p1-"), "{refusal}");
        let kind = answer.json["type"].as_str().unwrap();
        assert_eq!(kind == NOT_AUTHORIZED, status == 403, "{kind}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        met.insert(code);
    }
    let all: BTreeSet<Code> = Code::ALL.into_iter().collect();
    assert_eq!(met, all, "a code is not walked");
}

fn walk(world: &World) -> Vec<(Code, u16, Answer)> {
    let mut walked = devices(world);
    walked.extend(titles(world));
    walked.extend(members(world));
    walked.extend(renewals(world));
    walked.extend(around(world));
    walked
}

fn devices(world: &World) -> Vec<(Code, u16, Answer)> {
    let stranger = world.stranger_with_device("dora", "standard", "phone");
    let unknown = stranger.acquire("film", "k");
    stranger.register();
    let removed = world.signed_in("dora", "standard", "tablet");
    stranger.remove("tablet");
    let removed = removed.acquire("film", "k");
    let mut impostor = world.stranger_with_device("dora", "standard", "phone");
    impostor.key = DeviceKey::new();
    let mut tv = world.stranger_with_device("dora", "standard", "tv");
    tv.class = "tv".to_owned();
    tv.register();
    let second = world.signed_in("dora", "standard", "second");
    let id = stranger.download("film");
    vec![
        (Code::DeviceUnknown, 403, unknown),
        (Code::DeviceRemoved, 403, removed),
        (Code::DeviceKeyMismatch, 409, impostor.register()),
        (Code::DeviceClassNotAllowed, 403, tv.acquire("film", "k-tv")),
        (Code::CapReached, 403, second.acquire("film", "k-2")),
        (Code::LicenseUnknown, 404, stranger.renew("lic_none", 1, "k-3")),
        (Code::LicenseOfOtherDevice, 403, second.renew(&id, 1, "k-4")),
        (Code::TermUnknown, 409, stranger.renew(&id, 2, "k-5")),
    ]
}

fn titles(world: &World) -> Vec<(Code, u16, Answer)> {
    let ana = world.signed_in("tina", "standard", "phone");
    let mut free = world.signed_in("free", "standard", "phone");
    free.plan = "free".to_owned();
    let mut abroad = world.signed_in("abroad", "standard", "phone");
    abroad.territory = "FR".to_owned();
    vec![
        (Code::TitleUnknown, 404, ana.acquire("nothing", "k-1")),
        (Code::TitleNotYetAvailable, 403, ana.acquire("future", "k-2")),
        (Code::TitleNoLongerAvailable, 403, ana.acquire("past", "k-3")),
        (Code::TitleNotDownloadable, 403, ana.acquire("stream-only", "k-4")),
        (Code::TermOverAtBirth, 403, ana.acquire("over", "k-5")),
        (Code::PlanNotAllowed, 403, free.acquire("film", "k-6")),
        (Code::TitleNotOffered, 403, abroad.acquire("de-only", "k-7")),
        (Code::TerritoryNotAllowed, 403, abroad.acquire("borders", "k-8")),
    ]
}

/// What the token says of the member, and the catalogue of the title.
fn members(world: &World) -> Vec<(Code, u16, Answer)> {
    let mut extra = world.signed_in("mona", "standard", "phone");
    let mut moved = world.stranger_with_device("mona", "standard", "moved");
    moved.claims = json!({ "elsewhere": "2026-02-20T00:00:00Z" });
    let elsewhere = moved.register();
    assert_eq!(elsewhere.json["refusal"]["retry_at"], "2026-05-21T00:00:00.000Z", "{elsewhere:?}");
    extra.claims = json!({ "streams": 3 });
    let streaming = extra.acquire("film", "k-0");
    extra.claims = json!({ "level": "L3", "account": "extra", "age": 12 });
    let refused = vec![
        (Code::DeviceElsewhere, 403, elsewhere),
        (Code::TooManyStreams, 403, streaming),
        (Code::SecurityLevelNotAllowed, 403, extra.acquire("vault", "k-1")),
        (Code::AccountNotAllowed, 403, extra.acquire("family", "k-2")),
        (Code::MaturityNotAllowed, 403, extra.acquire("thriller", "k-3")),
    ];
    extra.claims = json!({});
    for (title, code) in [
        ("vault", "security_level_not_allowed"),
        ("family", "account_not_allowed"),
        ("thriller", "maturity_not_allowed"),
    ] {
        assert_eq!(extra.acquire(title, "none").findings(), [code], "a fact that is absent");
    }
    extra.claims = json!({
        "level": "L1", "account": "owner", "age": 16, "since": 1_700_000_000, "streams": 2,
    });
    for title in ["vault", "family", "thriller"] {
        assert_eq!(extra.acquire(title, title).status, 201);
    }
    let facts = &world.timeline("mona").pop().unwrap()["facts"];
    assert_eq!(facts["member_since"], "2023-11-14T22:13:20.000Z");
    assert_eq!((&facts["maturity_limit"], &facts["account"]), (&json!(16), &json!("owner")));
    assert_eq!(facts["concurrent_streams"], 2);
    assert_eq!(facts["title"]["maturity_rating"], 16);
    refused
}

fn renewals(world: &World) -> Vec<(Code, u16, Answer)> {
    let ana = world.signed_in("rena", "standard", "phone");
    let id = ana.download("film");
    let early = ana.renew(&id, 1, "k-1");
    let often = ana.download("often");
    assert_eq!(ana.renew_automatically(&often, 1, "a-1").status, 200);
    let too_soon = ana.renew_automatically(&often, 2, "a-2");
    assert_eq!(ana.renew(&often, 2, "a-3").status, 200, "somebody asked");
    let timeline = world.timeline("rena");
    let automatic = |event: &Value| event["automatic"].as_bool().unwrap_or_default();
    let asked: Vec<bool> =
        timeline.iter().filter(|event| event["type"] == "renewed").map(automatic).collect();
    assert_eq!(asked, [true, false]);
    ana.release(&often);
    world.pass_ms(25 * DAY_MS);
    assert_eq!(ana.renew(&id, 1, "k-2").status, 200);
    world.pass_ms(25 * DAY_MS);
    let exhausted = ana.renew(&id, 2, "k-3");
    world.pass_ms(100 * DAY_MS);
    let late = ana.renew(&id, 2, "k-4");
    ana.release(&id);
    let closed = ana.renew(&id, 2, "k-5");
    vec![
        (Code::RenewalTooEarly, 403, early),
        (Code::AutoRenewalTooSoon, 403, too_soon),
        (Code::RenewalsExhausted, 403, exhausted),
        (Code::RenewalTooLate, 403, late),
        (Code::LicenseClosed, 410, closed),
    ]
}

/// What changes around a member.
fn around(world: &World) -> Vec<(Code, u16, Answer)> {
    let phone = world.signed_in("arno", "premium", "phone");
    let tablet = world.signed_in("arno", "premium", "tablet");
    phone.download("film");
    world.pass_ms(1);
    tablet.download("film");
    serve(world, "arno", "c-1", "standard", &json!({ "do": "change_member" }));
    let leaving = phone.acquire("film-2", "k-1");
    serve(world, "arno", "c-2", "premium", &json!({ "do": "lapse_membership" }));
    let lapsed = phone.acquire("film-2", "k-2");
    serve(world, "arno", "c-3", "premium", &json!({ "do": "resume_membership" }));
    let revoke = |target: Value| json!({ "do": "revoke", "target": target, "reason": "r" });
    serve(world, "arno", "c-4", "premium", &revoke(json!({ "device": "phone" })));
    let device = phone.acquire("film-2", "k-3");
    serve(world, "arno", "c-5", "premium", &revoke(json!("member")));
    let member = tablet.acquire("film-2", "k-4");
    let except = |rule: &str, until: &str| {
        let body = json!({ "rule": rule, "until": until, "reason": "r" });
        operate(world, "arno", "exceptions", "e", &body)
    };
    let reason = json!({ "reason": "r" });
    vec![
        (Code::DeviceLeaving, 403, leaving),
        (Code::MembershipLapsed, 403, lapsed),
        (Code::DeviceRevoked, 403, device),
        (Code::MemberRevoked, 403, member),
        (Code::RuleUnknown, 404, except("no-such-rule", "2030-01-01T00:00:00Z")),
        (Code::ExceptionOver, 409, except("devices", "2026-01-01T00:00:00Z")),
        (Code::ExceptionUnknown, 404, operate(world, "arno", "exceptions/exc/end", "x", &reason)),
    ]
}

/// "All failing caps and gates, not only the first; used / limit / window / `frees_at` of each;
/// `retry_at`; what the member can do now."
#[test]
fn one_device_too_many_is_explained_and_the_remedy_works() {
    let world = World::new();
    let phone = world.signed_in("ana", "standard", "phone");
    let tablet = world.signed_in("ana", "standard", "tablet");
    let id = phone.download("film");

    let refused = tablet.acquire("film-2", "k");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.code(), "refused");
    let finding = &refused.json["refusal"]["findings"][0];
    assert_eq!((&finding["code"], &finding["rule"]), (&json!("cap_reached"), &json!("devices")));
    assert_eq!(finding["message"], "Downloads are already on 1 device, and 1 may have them.");
    let cap = &finding["cap"];
    assert_eq!(
        (&cap["counts"], &cap["used"], &cap["limit"]),
        (&json!("devices_holding"), &json!(1), &json!(1))
    );
    assert_eq!(cap["contributors"][0]["license"], id);
    assert!(finding["frees_at"].is_string() && refused.json["refusal"]["retry_at"].is_string());
    let remedy = &refused.json["refusal"]["remedies"][0];
    assert_eq!(remedy["message"], "Remove “The film” from “ana's phone”");
    assert_eq!(
        remedy["actions"],
        json!([{ "do": "release", "license": id, "device": "phone", "title": "film" }])
    );
    // The same word from eligibility, before anybody tries.
    let asked = tablet.call("GET", "/v1/titles/film-2/eligibility?device=tablet").send();
    assert_eq!(asked.json["refusal"]["findings"], refused.json["refusal"]["findings"]);

    tablet.release(remedy["actions"][0]["license"].as_str().unwrap());
    assert_eq!(tablet.acquire("film-2", "k").status, 201, "refusals are decided again");
}

/// "Refusals are recorded … one identical to another of the last ten minutes is answered and not
/// recorded again."
#[test]
fn refusals_are_recorded_with_their_facts_once_in_ten_minutes() {
    let world = World::new();
    let ana = world.signed_in("ana", "standard", "phone");
    for n in 0..3 {
        assert_eq!(ana.acquire("stream-only", &format!("k-{n}")).status, 403);
    }
    assert_eq!(world.timeline_types("ana"), ["device_registered", "refused"]);
    let refused = &world.timeline("ana")[1];
    assert_eq!(refused["facts"], json!({ "plan": "standard", "territory": "DE" }));
    assert_eq!(refused["commands"][0]["do"], "acquire");
    assert_eq!(refused["commands"][0]["title"], "stream-only");
    assert_eq!(refused["refusal"]["findings"][0]["code"], "title_not_downloadable");
    world.pass_ms(11 * 60 * 1_000);
    ana.acquire("stream-only", "k-9");
    assert_eq!(world.timeline_types("ana").len(), 3);
}

/// "A refused list is one refusal event: all commands, their findings (contributors inside the list
/// named by index), one `retry_at`, remedies for the whole."
#[test]
fn a_list_is_refused_as_a_whole_and_names_its_own_commands() {
    let world = World::new();
    let acquire = |title: &str| json!({ "do": "acquire", "device": "phone", "title": title });
    let body = json!({
        "facts": { "plan": "standard", "territory": "DE" },
        "commands": [
            { "do": "register_device", "device": "phone", "name": "Phone", "class": "phone", "key_thumbprint": THUMBPRINT },
            acquire("film"), acquire("film-2"), acquire("film-3"), acquire("film-4"),
        ],
    });
    let path = "/v1/service/members/lena/commands";
    let refused = world.call("POST", path).token(SERVICE_KEY).key("list").json(&body).send();
    assert_eq!(refused.status, 403, "{refused:?}");
    let findings = refused.json["refusal"]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0]["command"], 4);
    assert_eq!(findings[0]["rule"], "per-device");
    let in_list: BTreeSet<u64> = findings[0]["cap"]["contributors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|contributor| contributor["in_list"].as_u64().unwrap())
        .collect();
    assert_eq!(in_list, BTreeSet::from([1, 2, 3]));
    assert_eq!(world.timeline_types("lena"), ["refused"], "appended whole or not at all");
}
