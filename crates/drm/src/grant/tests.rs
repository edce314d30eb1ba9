use std::str::FromStr as _;

use serde_json::{Value, json};

use super::*;
use crate::lease;

const NOW_MS: i64 = 1_800_000_000_500;
const NOW_S: i64 = 1_800_000_000;
const ISSUER: &str = "https://carnet.example";
const AUDIENCE: &str = "carnet-drm";

fn kid(byte: u8) -> KeyId {
    KeyId::new([byte; 16])
}

fn key() -> SigningKey {
    SigningKey::generate().unwrap().0
}

fn grant() -> Grant {
    Grant {
        id: "01J".to_owned(),
        member: "auth0|5f7c".to_owned(),
        device: "phone-1".to_owned(),
        title: "10.5240/7791-8534".to_owned(),
        license: Some("license-1".to_owned()),
        kids: vec![kid(1), kid(2)],
        session: SessionType::PersistentLicense,
    }
}

fn verify(key: &SigningKey, token: &str, now_ms: i64) -> Result<VerifiedGrant, GrantError> {
    let keys = JwkSet::new(vec![key.public_jwk()]);
    GrantVerifier::new(ISSUER, AUDIENCE).verify(token, &keys, now_ms)
}

fn claims() -> Value {
    json!({
        "jti": "01J", "iss": ISSUER, "aud": AUDIENCE, "member": "m", "device": "d", "title": "t",
        "kids": ["01010101010101010101010101010101"], "session": "temporary",
        "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 120,
    })
}

/// The answer to the claims above, changed.
fn changed(change: impl Fn(&mut Value)) -> Result<VerifiedGrant, GrantError> {
    let key = key();
    let mut claims = claims();
    change(&mut claims);
    verify(&key, &key.signer(TYP).sign_compact(claims.to_string().as_bytes()), NOW_MS)
}

#[test]
fn a_grant_says_all_that_the_drm_tier_needs() {
    let key = key();
    let signer = GrantSigner::new(&key, ISSUER, AUDIENCE, 60);
    for grant in [grant(), Grant { license: None, session: SessionType::Temporary, ..grant() }] {
        let token = signer.sign(&grant, NOW_MS);
        let verified = verify(&key, &token, NOW_MS).unwrap();
        assert_eq!(verified.grant, grant);
        assert_eq!(verified.ends_at_ms, (NOW_S + 65) * 1000);
    }
}

#[test]
fn a_grant_lives_at_most_two_minutes() {
    let key = key();
    for (ttl, lives) in [(120, 120), (121, 120), (i64::MAX, 120), (30, 30), (0, 1), (-5, 1)] {
        let token = GrantSigner::new(&key, ISSUER, AUDIENCE, ttl).sign(&grant(), NOW_MS);
        let end_ms = (NOW_S + lives + SKEW_SECONDS) * 1000;
        assert!(verify(&key, &token, end_ms - 1).is_ok(), "{ttl}");
        assert_eq!(verify(&key, &token, end_ms), Err(GrantError::Expired), "{ttl}");
        let start_ms = (NOW_S - SKEW_SECONDS) * 1000;
        assert!(verify(&key, &token, start_ms).is_ok());
        assert_eq!(verify(&key, &token, start_ms - 1), Err(GrantError::NotYet));
    }
    for (claim, value) in [
        ("exp", NOW_S + 121),
        ("exp", i64::MAX),
        ("nbf", NOW_S - 1),
        ("iat", NOW_S - 1),
        ("iat", i64::MIN),
    ] {
        let answer = changed(|claims| claims[claim] = json!(value));
        assert_eq!(answer, Err(GrantError::LivesTooLong), "{claim} {value}");
    }
    for (claim, value, expected) in [
        ("nbf", NOW_S + 6, GrantError::NotYet),
        ("iat", NOW_S + 6, GrantError::NotYet),
        ("iat", i64::MAX, GrantError::NotYet),
        ("exp", NOW_S - 5, GrantError::Expired),
        ("exp", i64::MIN, GrantError::Expired),
    ] {
        assert_eq!(changed(|c| c[claim] = json!(value)), Err(expected), "{claim} {value}");
    }
}

#[test]
fn a_grant_for_somebody_else_is_refused() {
    assert!(changed(|_| ()).is_ok());
    assert_eq!(changed(|c| c["iss"] = json!("https://evil")), Err(GrantError::Issuer));
    assert_eq!(changed(|c| c["aud"] = json!("other")), Err(GrantError::Audience));
}

#[test]
fn missing_and_malformed_claims_are_refused() {
    for claim in
        ["jti", "iss", "aud", "member", "device", "title", "kids", "session", "iat", "nbf", "exp"]
    {
        let without = changed(|c| drop(c.as_object_mut().unwrap().remove(claim)));
        assert_eq!(without, Err(GrantError::Malformed), "{claim}");
        let strange = changed(|c| c[claim] = json!({}));
        assert_eq!(strange, Err(GrantError::Malformed), "{claim}");
    }
    let many = vec!["01".repeat(16); KIDS_MAX + 1];
    for (claim, value) in [
        ("kids", json!([])),
        ("kids", json!(["01"])),
        ("kids", json!(many)),
        ("session", json!("forever")),
        ("jti", json!("")),
        ("exp", json!("1800000060")),
        ("exp", json!(1_800_000_060.5)),
    ] {
        let answer = changed(|c| c[claim] = value.clone());
        assert_eq!(answer, Err(GrantError::Malformed), "{claim} {value}");
    }
}

#[test]
fn only_a_grant_is_a_grant() {
    let key = key();
    let lease_like = key.signer("carnet-lease+jwt").sign_compact(claims().to_string().as_bytes());
    assert_eq!(verify(&key, &lease_like, NOW_MS), Err(GrantError::NotAGrant));
    let token = GrantSigner::new(&key, ISSUER, AUDIENCE, 60).sign(&grant(), NOW_MS);
    let keys = JwkSet::new(vec![key.public_jwk()]);
    assert!(matches!(lease::verify(&token, &keys), Err(lease::LeaseError::NotALease)));
    let stranger = self::key();
    let answer = verify(&stranger, &token, NOW_MS);
    assert_eq!(answer, Err(GrantError::Token(JwsError::UnknownKey)));
}

#[test]
fn every_changed_character_is_noticed() {
    let key = key();
    let token = GrantSigner::new(&key, ISSUER, AUDIENCE, 60).sign(&grant(), NOW_MS);
    for position in 0..token.len() {
        for flip in [1, 2, 4, 0x20] {
            let mut bytes = token.clone().into_bytes();
            bytes[position] ^= flip;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&key, &changed, NOW_MS).is_err(), "{position}");
        }
    }
}

/// "An instance that sees it again gives the same keys for the same key ids (a retry) and refuses
/// anything else."
#[test]
fn a_grant_seen_again_serves_the_same_keys_and_nothing_else() {
    use SessionType::{PersistentLicense, Temporary};
    let memory = GrantMemory::new(10);
    let first = VerifiedGrant { grant: grant(), ends_at_ms: NOW_MS + 60_000 };
    let admit =
        |session, kids: &[KeyId], after_ms| memory.admit(&first, session, kids, NOW_MS + after_ms);
    assert_eq!(admit(Temporary, &[kid(1), kid(2)], 0), Ok(()));
    assert_eq!(admit(Temporary, &[kid(1), kid(2)], 1), Ok(()), "a retry");
    assert_eq!(admit(Temporary, &[kid(2), kid(1), kid(2)], 59_999), Ok(()), "in another order");
    let other = Err(GrantUseError::UsedForOtherKeys);
    assert_eq!(admit(Temporary, &[kid(1)], 2), other, "fewer keys");
    assert_eq!(admit(Temporary, &[kid(1), kid(2), kid(3)], 2), other, "more keys");
    assert_eq!(admit(PersistentLicense, &[kid(1), kid(2)], 2), other, "another session type");
    assert_eq!(admit(Temporary, &[kid(1), kid(2)], 60_000), Err(GrantUseError::Expired));
    assert_eq!(
        admit(Temporary, &[kid(1), kid(2)], 2),
        Err(GrantUseError::Expired),
        "clock went back"
    );
    let second = VerifiedGrant {
        grant: Grant { id: "01K".into(), ..grant() },
        ends_at_ms: NOW_MS + 200_000,
    };
    assert_eq!(memory.admit(&second, Temporary, &[kid(1)], NOW_MS), Ok(()), "its own memory");
}

#[test]
fn a_full_grant_memory_refuses_rather_than_forgets() {
    let memory = GrantMemory::new(2);
    let admit = |id: &str, at_ms| {
        let grant = Grant { id: id.to_owned(), ..grant() };
        let grant = VerifiedGrant { grant, ends_at_ms: at_ms + 125_000 };
        memory.admit(&grant, SessionType::Temporary, &[kid(1)], at_ms)
    };
    assert_eq!((admit("a", 0), admit("b", 0)), (Ok(()), Ok(())));
    assert_eq!(admit("c", 0), Err(GrantUseError::Full));
    assert_eq!(admit("a", 0), Ok(()), "retries go on");
    assert_eq!(admit("c", 126_000), Ok(()));
}

#[test]
fn a_kept_license_covers_a_temporary_one_and_not_the_reverse() {
    use SessionType::{PersistentLicense, Temporary};
    assert!(PersistentLicense.covers(PersistentLicense));
    assert!(PersistentLicense.covers(Temporary));
    assert!(Temporary.covers(Temporary));
    assert!(!Temporary.covers(PersistentLicense));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(text in ".*", payload in ".*") {
        let key = key();
        proptest::prop_assert!(verify(&key, &text, NOW_MS).is_err());
        let signed = key.signer(TYP).sign_compact(payload.as_bytes());
        proptest::prop_assert!(verify(&key, &signed, NOW_MS).is_err());
        let _ = KeyId::from_str(&text);
    }
}
