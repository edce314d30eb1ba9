use serde_json::json;

use super::*;

fn members(json: Value) -> Map<String, Value> {
    json.as_object().unwrap().clone()
}

#[test]
fn a_path_finds_nested_namespaced_and_literal_claims() {
    let claims = members(json!({
        "plan": "gold",
        "realm_access": {"roles": ["a"]},
        "https://example.com/plan": "silver",
        "a.b": "dotted",
        "empty": null,
    }));
    let find = |path: &ClaimPath| path.find(&claims).cloned();
    assert_eq!(find(&ClaimPath::new("plan")), Some(json!("gold")));
    assert_eq!(find(&ClaimPath::new("realm_access.roles")), Some(json!(["a"])));
    assert_eq!(find(&ClaimPath::new("https://example.com/plan")), Some(json!("silver")));
    let literal: ClaimPath = serde_json::from_value(json!(["a.b"])).unwrap();
    assert_eq!(find(&literal), Some(json!("dotted")));
    let nested: ClaimPath = serde_json::from_value(json!(["realm_access", "roles"])).unwrap();
    assert_eq!(nested, serde_json::from_value(json!("realm_access.roles")).unwrap());
    for path in ["missing", "a.b", "realm_access.missing", "plan.gold", "empty", "", "."] {
        assert_eq!(find(&ClaimPath::new(path)), None, "{path}");
    }
    assert_eq!(find(&serde_json::from_value(json!([])).unwrap()), None);
}

#[test]
fn a_mapping_is_read_with_its_default_and_without_surprises() {
    let mapping: ClaimMapping = serde_json::from_value(json!({"plan": "x.plan"})).unwrap();
    assert_eq!(mapping.member, ClaimPath::new("sub"));
    assert_eq!(mapping.plan, Some(ClaimPath::new("x.plan")));
    assert!(serde_json::from_value::<ClaimMapping>(json!({"plam": "x"})).is_err());
}

fn mapping() -> ClaimMapping {
    ClaimMapping {
        device: Some(ClaimPath::new("device_id")),
        profile: Some(ClaimPath::new("profile")),
        plan: Some(ClaimPath::new("https://example.com/plan")),
        territory: Some(ClaimPath::new("geo.country")),
        security_level: Some(ClaimPath::new("level")),
        account: Some(ClaimPath::new("account")),
        maturity_limit: Some(ClaimPath::new("age")),
        member_since: Some(ClaimPath::new("since")),
        concurrent_streams: Some(ClaimPath::new("streams")),
        elsewhere_at: Some(ClaimPath::new("elsewhere")),
        roles: Some(ClaimPath::new("scope")),
        ..ClaimMapping::default()
    }
}

#[test]
fn claims_become_facts() {
    let mapped = mapping()
        .apply(&members(json!({
            "sub": "auth0|5f7c8ec7",
            "device_id": 17,
            "profile": "kids",
            "https://example.com/plan": "gold",
            "geo": {"country": "DE"},
            "level": "L1",
            "account": "extra",
            "age": 12,
            "since": 1_772_366_400,
            "streams": 2,
            "elsewhere": 1_772_366_400,
            "scope": "read  operate",
        })))
        .unwrap();
    assert_eq!(mapped.member.unwrap().as_str(), "auth0|5f7c8ec7");
    assert_eq!(mapped.device.unwrap().as_str(), "17");
    assert_eq!(mapped.facts.profile.unwrap().as_str(), "kids");
    assert_eq!(mapped.facts.plan.unwrap().as_str(), "gold");
    assert_eq!(mapped.facts.territory.unwrap().as_str(), "DE");
    assert_eq!(mapped.facts.security_level.unwrap().as_str(), "L1");
    assert_eq!(mapped.facts.account.unwrap().as_str(), "extra");
    assert_eq!(mapped.facts.maturity_limit, Some(12));
    let since = "2026-03-01T12:00:00Z";
    assert_eq!(mapped.facts.member_since, Some(since.parse().unwrap()));
    assert_eq!(mapped.facts.concurrent_streams, Some(2));
    assert_eq!(mapped.facts.elsewhere_at, Some(since.parse().unwrap()));
    assert_eq!(mapped.roles, ["read", "operate"]);

    let texts = mapping().apply(&members(json!({ "age": "12", "since": since }))).unwrap();
    assert_eq!(texts.facts.maturity_limit, Some(12));
    assert_eq!(texts.facts.member_since, mapped.facts.member_since);
}

/// "A fact that was absent is absent, not defaulted."
#[test]
fn an_absent_claim_is_an_absent_fact() {
    let mapped = mapping().apply(&members(json!({"geo": {}, "profile": null}))).unwrap();
    let expected =
        Mapped { member: None, device: None, facts: MemberFacts::default(), roles: vec![] };
    assert_eq!(mapped, expected);
}

#[test]
fn a_claim_that_cannot_be_used_refuses_the_token() {
    let long = "x".repeat(129);
    for (claim, value) in [
        ("sub", json!("")),
        ("sub", json!("two words")),
        ("sub", json!("..")),
        ("sub", json!(long)),
        ("sub", json!(["a"])),
        ("sub", json!(1.5)),
        ("sub", json!(true)),
        ("profile", json!("kinder\n")),
        ("level", json!({})),
        ("account", json!("two words")),
        ("age", json!(-1)),
        ("age", json!(65_536)),
        ("age", json!(12.0)),
        ("age", json!("12+")),
        ("age", json!(true)),
        ("streams", json!(4_294_967_296_u64)),
        ("elsewhere", json!("never")),
        ("since", json!("yesterday")),
        ("since", json!(1.5)),
        ("since", json!(i64::MAX)),
        ("since", json!([])),
        ("scope", json!(["a", 1])),
        ("scope", json!(7)),
    ] {
        let error = mapping().apply(&members(json!({claim: value}))).unwrap_err();
        assert!(
            matches!(&error, AuthError::ClaimInvalid { claim: named, .. } if named == claim),
            "{error}"
        );
    }
}
