use drm::jwk::JwkSet;
use proptest::prelude::*;
use serde_json::json;

use super::super::test_keys::TestKey;
use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const NOW_S: i64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "carnet";

fn issuer(keys: Vec<drm::jwk::Jwk>) -> IssuerConfig {
    IssuerConfig {
        issuer: ISSUER.to_owned(),
        audiences: vec![AUDIENCE.to_owned(), "carnet-too".to_owned()],
        keys: KeySource::Fixed(JwkSet::new(keys)),
        claims: ClaimMapping {
            roles: Some(super::super::claims::ClaimPath::new("roles")),
            ..ClaimMapping::default()
        },
        operator_role: Some("support".to_owned()),
        service_role: Some("licensing".to_owned()),
        leeway_seconds: 5,
    }
}

fn verifier(issuers: Vec<IssuerConfig>) -> TokenVerifier {
    TokenVerifier::new(issuers, 100).unwrap()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "member-1", "exp": NOW_S + 600})
}

fn with(change: impl Fn(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

/// The answer to claims that are well signed.
fn answer(claims: &Value) -> Result<Arc<VerifiedToken>, AuthError> {
    let key = TestKey::ed25519();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    verifier.verify_with_known_keys(&key.sign("k", claims), NOW_MS)
}

#[test]
fn tokens_of_all_three_algorithms_verify() {
    for key in TestKey::all() {
        let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
        let token = key.sign("k", &claims());
        let verified = verifier.verify_with_known_keys(&token, NOW_MS).unwrap();
        assert_eq!(verified.member().unwrap().as_str(), "member-1");
        assert_eq!(&*verified.issuer, ISSUER);
        assert_eq!(verified.roles, []);
        // Remembered or not, the answer is the same.
        let again = verifier.verify_with_known_keys(&token, NOW_MS).unwrap();
        assert!(Arc::ptr_eq(&verified, &again), "{}", key.alg());
    }
}

#[test]
fn every_changed_character_is_noticed_also_when_the_token_is_remembered() {
    for key in TestKey::all() {
        let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
        let token = key.sign("k", &claims());
        assert!(verifier.verify_with_known_keys(&token, NOW_MS).is_ok());
        for position in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[position] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            let answer = verifier.verify_with_known_keys(&changed, NOW_MS);
            assert!(answer.is_err(), "{} {position}", key.alg());
        }
    }
}

#[test]
fn claims_are_checked_one_by_one() {
    use AuthError::*;
    let missing = |claim: &str| ClaimMissing { claim: claim.to_owned() };
    let no_date = |claim: &str| ClaimInvalid {
        claim: claim.to_owned(),
        problem: "it is not a number of seconds since 1970".to_owned(),
    };
    let drop_claim = |name: &'static str| {
        move |c: &mut Value| {
            c.as_object_mut().unwrap().remove(name);
        }
    };
    let rows: Vec<(Value, Result<(), AuthError>)> = vec![
        (claims(), Ok(())),
        (with(|c| c["aud"] = json!("carnet-too")), Ok(())),
        (with(|c| c["aud"] = json!(["other", AUDIENCE])), Ok(())),
        (with(|c| c["aud"] = json!("other")), Err(TokenAudience)),
        (with(|c| c["aud"] = json!([])), Err(TokenAudience)),
        (with(|c| c["aud"] = json!([[AUDIENCE]])), Err(TokenAudience)),
        (with(drop_claim("aud")), Err(TokenAudience)),
        (with(|c| c["iss"] = json!("https://evil.example")), Err(TokenIssuer)),
        (with(|c| c["iss"] = json!(format!("{ISSUER}/"))), Err(TokenIssuer)),
        (with(drop_claim("iss")), Err(TokenIssuer)),
        (with(|c| c["iss"] = json!([ISSUER])), Err(TokenMalformed)),
        (with(drop_claim("exp")), Err(missing("exp"))),
        (with(|c| c["exp"] = json!("1900000000")), Err(no_date("exp"))),
        (with(|c| c["exp"] = json!(null)), Err(no_date("exp"))),
        (with(|c| c["exp"] = json!(NOW_S - 4)), Ok(())),
        (with(|c| c["exp"] = json!(NOW_S - 5)), Err(TokenExpired)),
        (with(|c| c["exp"] = json!(NOW_S as f64 - 4.5)), Ok(())),
        (with(|c| c["exp"] = json!(i64::MIN)), Err(TokenExpired)),
        (with(|c| c["exp"] = json!(u64::MAX)), Ok(())),
        (with(|c| c["exp"] = json!(1e300)), Ok(())),
        (with(|c| c["nbf"] = json!(NOW_S + 5)), Ok(())),
        (with(|c| c["nbf"] = json!(NOW_S + 6)), Err(TokenNotYet)),
        (with(|c| c["nbf"] = json!(i64::MAX)), Err(TokenNotYet)),
        (with(|c| c["nbf"] = json!("now")), Err(no_date("nbf"))),
    ];
    for (claims, expected) in rows {
        assert_eq!(answer(&claims).map(drop), expected, "{claims}");
    }
}

#[test]
fn a_token_that_says_something_twice_is_refused() {
    let key = TestKey::ed25519();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    let header = json!({"alg": "EdDSA", "kid": "k"});
    let twice = claims().to_string().replace("{", r#"{"sub":"other","#);
    let token = key.sign_with(&header, &twice);
    assert_eq!(verifier.verify_with_known_keys(&token, NOW_MS), Err(AuthError::TokenMalformed));
    for payload in ["", "[]", "null", "{", "\"x\""] {
        let token = key.sign_with(&header, payload);
        assert!(verifier.verify_with_known_keys(&token, NOW_MS).is_err(), "{payload}");
    }
}

#[test]
fn only_access_tokens_pass_for_tokens() {
    let key = TestKey::ed25519();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    let outcome = |typ: Value| {
        let header = match typ {
            Value::Null => json!({"alg": "EdDSA", "kid": "k"}),
            typ => json!({"alg": "EdDSA", "kid": "k", "typ": typ}),
        };
        let token = key.sign_with(&header, &claims().to_string());
        verifier.verify_with_known_keys(&token, NOW_MS).map(drop)
    };
    for typ in
        [json!(null), json!("JWT"), json!("jwt"), json!("at+jwt"), json!("application/at+JWT")]
    {
        assert_eq!(outcome(typ.clone()), Ok(()), "{typ}");
    }
    for typ in ["dpop+jwt", "carnet-grant+jwt", "carnet-lease+jwt", "", "logout+jwt"] {
        assert_eq!(outcome(json!(typ)), Err(AuthError::TokenType), "{typ}");
    }
}

#[test]
fn algorithms_cannot_be_confused() {
    let key = TestKey::rsa();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    for alg in ["none", "HS256", "RS512", "PS256"] {
        let token = key.sign_with(&json!({"alg": alg, "kid": "k"}), &claims().to_string());
        let expected = Err(AuthError::Token(JwsError::UnsupportedAlgorithm));
        assert_eq!(verifier.verify_with_known_keys(&token, NOW_MS), expected, "{alg}");
    }
    let token = key.sign_with(&json!({"alg": "ES256", "kid": "k"}), &claims().to_string());
    let expected = Err(AuthError::Token(JwsError::AlgorithmMismatch));
    assert_eq!(verifier.verify_with_known_keys(&token, NOW_MS), expected);
}

#[test]
fn each_issuer_vouches_only_with_its_own_keys() {
    let (ours, theirs) = (TestKey::p256(), TestKey::p256());
    let other = IssuerConfig {
        issuer: "https://other.example".to_owned(),
        ..issuer(vec![theirs.jwk("k")])
    };
    let verifier = verifier(vec![issuer(vec![ours.jwk("k")]), other]);
    let from_other = with(|c| c["iss"] = json!("https://other.example"));
    let outcome = |key: &TestKey, claims: &Value| {
        verifier.verify_with_known_keys(&key.sign("k", claims), NOW_MS).map(drop)
    };
    assert_eq!(outcome(&ours, &claims()), Ok(()));
    assert_eq!(outcome(&theirs, &from_other), Ok(()));
    let bad = Err(AuthError::Token(JwsError::BadSignature));
    assert_eq!(outcome(&theirs, &claims()), bad);
    assert_eq!(outcome(&ours, &from_other), bad);
}

#[test]
fn a_remembered_token_still_expires_and_is_not_valid_early() {
    let key = TestKey::ed25519();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    let token = key.sign("k", &with(|c| c["nbf"] = json!(NOW_S)));
    let at = |ms| verifier.verify_with_known_keys(&token, ms).map(drop);
    assert_eq!(at(NOW_MS), Ok(()));
    assert_eq!(at(NOW_MS + 604_999), Ok(()));
    assert_eq!(at(NOW_MS + 605_000), Err(AuthError::TokenExpired));
    assert_eq!(at(NOW_MS - 5_000), Ok(()));
    assert_eq!(at(NOW_MS - 5_001), Err(AuthError::TokenNotYet), "a clock that went back");
}

#[test]
fn the_memory_of_tokens_is_bounded() {
    let key = TestKey::ed25519();
    let verifier = TokenVerifier::new(vec![issuer(vec![key.jwk("k")])], 16).unwrap();
    for n in 0..200 {
        let token = key.sign("k", &with(|c| c["sub"] = json!(format!("member-{n}"))));
        assert!(verifier.verify_with_known_keys(&token, NOW_MS).is_ok());
    }
    assert!(verifier.remembered.len() <= 16, "{}", verifier.remembered.len());
}

#[test]
fn roles_are_what_the_issuer_was_configured_to_give() {
    let roles = |roles: Value| answer(&with(|c| c["roles"] = roles.clone())).unwrap().roles.clone();
    assert_eq!(roles(json!(["support", "x"])), [Role::Operator]);
    assert_eq!(roles(json!("support licensing")), [Role::Service, Role::Operator]);
    assert_eq!(roles(json!(["Support", "operator", "service"])), []);
    let member = answer(&claims()).unwrap();
    assert_eq!(member.require(Role::Operator), Err(AuthError::RoleMissing { role: "operator" }));
    let key = TestKey::ed25519();
    let plain =
        IssuerConfig { operator_role: None, service_role: None, ..issuer(vec![key.jwk("k")]) };
    let token = key.sign("k", &with(|c| c["roles"] = json!(["support", "licensing"])));
    let verified = verifier(vec![plain]).verify_with_known_keys(&token, NOW_MS).unwrap();
    assert_eq!(verified.roles, [], "no role is configured for this issuer");
}

#[test]
fn a_token_may_have_no_member_until_one_is_needed() {
    let token = answer(&with(|c| {
        c.as_object_mut().unwrap().remove("sub");
    }))
    .unwrap();
    assert_eq!(token.member(), Err(AuthError::ClaimMissing { claim: "sub".to_owned() }));
}

#[test]
fn a_confirmation_is_read_or_refused_and_never_passed_over() {
    let jkt = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    let token = answer(&with(|c| c["cnf"] = json!({"jkt": jkt, "kid": "x"}))).unwrap();
    assert_eq!(token.bound_key.as_ref().unwrap().as_str(), jkt);
    assert_eq!(answer(&claims()).unwrap().bound_key, None);
    for cnf in
        [json!({"x5t#S256": "abc"}), json!({}), json!(null), json!({"jkt": 7}), json!({"jkt": ""})]
    {
        let error = answer(&with(|c| c["cnf"] = cnf.clone())).unwrap_err();
        assert_eq!(error.code(), "claim_invalid", "{cnf}");
    }
}

#[test]
fn configurations_that_cannot_be_meant_are_refused() {
    use IssuerConfigError::*;
    let name = || ISSUER.to_owned();
    let base = || issuer(vec![]);
    let outcome = |configs| TokenVerifier::new(configs, 10).map(drop);
    assert_eq!(outcome(vec![base()]), Ok(()));
    assert_eq!(outcome(vec![base(), base()]), Err(Duplicate(name())));
    let none = IssuerConfig { audiences: vec![], ..base() };
    assert_eq!(outcome(vec![none]), Err(NoAudience(name())));
    let no_roles = IssuerConfig { claims: ClaimMapping::default(), ..base() };
    assert_eq!(outcome(vec![no_roles]), Err(NoRolesClaim(name())));
    let leeway = IssuerConfig { leeway_seconds: 121, ..base() };
    assert_eq!(outcome(vec![leeway]), Err(Leeway(name())));
    let read: IssuerConfig = serde_json::from_value(json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "keys": "https://idp.example/jwks.json",
    }))
    .unwrap();
    assert_eq!(read.leeway_seconds, 5);
    assert_eq!(read.keys, KeySource::Url("https://idp.example/jwks.json".to_owned()));
    assert_eq!(read.claims, ClaimMapping::default());
    let typo = json!({"issuer": ISSUER, "audience": [AUDIENCE], "keys": "x"});
    assert!(serde_json::from_value::<IssuerConfig>(typo).is_err());
}

#[test]
fn nothing_shows_a_token() {
    let key = TestKey::ed25519();
    let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
    let token = key.sign("k", &claims());
    assert!(verifier.verify_with_known_keys(&token, NOW_MS).is_ok());
    let shown = format!("{verifier:?}");
    assert!(token.split('.').all(|part| !shown.contains(part)));
}

fn write_keys(path: &std::path::Path, keys: Vec<drm::jwk::Jwk>) {
    std::fs::write(path, serde_json::to_string(&JwkSet::new(keys)).unwrap()).unwrap();
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_stops_to_count() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let (old, new) = (TestKey::p256(), TestKey::ed25519());
    let config = IssuerConfig { keys: KeySource::File(path.clone()), ..issuer(vec![]) };
    let verifier = verifier(vec![config]);
    let old_token = old.sign("old", &claims());
    let new_token = new.sign("new", &claims());

    assert!(!verifier.is_ready());
    let unavailable = verifier.verify(&old_token, NOW_MS).await;
    assert_eq!(unavailable, Err(AuthError::KeysUnavailable), "there is no file yet");
    write_keys(&path, vec![old.jwk("old")]);
    let soon = verifier.verify(&old_token, NOW_MS + 9_999).await;
    assert_eq!(soon, Err(AuthError::KeysUnavailable), "tried a moment ago");
    assert!(verifier.verify(&old_token, NOW_MS + 10_000).await.is_ok());
    assert!(verifier.is_ready());

    let unknown = Err(AuthError::Token(JwsError::UnknownKey));
    assert_eq!(verifier.verify(&new_token, NOW_MS + 30_000).await, unknown);
    write_keys(&path, vec![new.jwk("new")]);
    assert_eq!(verifier.verify(&new_token, NOW_MS + 31_000).await, unknown, "too soon");
    assert!(verifier.verify(&old_token, NOW_MS + 31_000).await.is_ok());
    assert!(verifier.verify(&new_token, NOW_MS + 40_000).await.is_ok());
    // Remembered, and still not good any more: its key is gone.
    assert_eq!(verifier.verify(&old_token, NOW_MS + 41_000).await, unknown);
}

#[tokio::test]
async fn refreshing_names_what_failed_and_keeps_the_last_good_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let key = TestKey::rsa();
    write_keys(&path, vec![key.jwk("k")]);
    let config = IssuerConfig { keys: KeySource::File(path.clone()), ..issuer(vec![]) };
    let verifier = verifier(vec![config]);
    assert!(verifier.refresh_keys(NOW_MS).await.is_empty());
    let token = key.sign("k", &claims());
    for broken in ["", "{\"keys\":[]}", "no JSON"] {
        std::fs::write(&path, broken).unwrap();
        let errors = verifier.refresh_keys(NOW_MS).await;
        assert!(errors[0].to_string().contains("jwks.json"), "{errors:?}");
        assert!(verifier.verify(&token, NOW_MS).await.is_ok(), "{broken}");
    }
}

proptest! {
    #[test]
    fn no_token_makes_the_verifier_panic(text in ".*", payload in ".*") {
        let key = TestKey::ed25519();
        let verifier = verifier(vec![issuer(vec![key.jwk("k")])]);
        prop_assert!(verifier.verify_with_known_keys(&text, NOW_MS).is_err());
        let signed = key.sign_with(&json!({"alg": "EdDSA", "kid": "k"}), &payload);
        prop_assert!(verifier.verify_with_known_keys(&signed, NOW_MS).is_err());
    }
}
