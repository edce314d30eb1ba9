use serde_json::{Value, json};

use super::*;

const AT: UnixMillis = UnixMillis(1_800_000_000_123);

fn key() -> SigningKey {
    SigningKey::generate().unwrap().0
}

fn keys(key: &SigningKey) -> JwkSet {
    JwkSet::new(vec![key.public_jwk()])
}

fn after(days: i64) -> UnixMillis {
    UnixMillis(AT.0 + days * 86_400_000)
}

/// A lease in which every clock runs.
fn full() -> LeaseClaims<'static> {
    LeaseClaims {
        iss: "https://carnet.example".into(),
        lease_version: LEASE_VERSION,
        license: "01JLICENSE".into(),
        member: "auth0|5f7c8ec7".into(),
        device: "phone-1".into(),
        device_key: Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".into()),
        title: "10.5240/7791-8534-2C23-9030-8610-5".into(),
        term: 2,
        issued_at: AT,
        started_at: AT,
        not_before: Some(AT),
        start_by: Some(after(30)),
        finish_within_ms: Some(172_800_000),
        first_played_at: Some(after(1)),
        check_in_by: Some(after(30)),
        grace_ms: 0,
        running_play_ms: 14_400_000,
        delete_at_end: true,
        hard_end: Some(after(60)),
        ends_at: Some(after(3)),
        may_play_until: Some(after(30)),
        renew_from: Some(AT),
        renew_until: Some(after(90)),
        kids: vec![KeyId::new([1; 16]), KeyId::new([0xab; 16])].into(),
        enforced_by: Enforcers {
            not_before: Some(Enforcer::Cdm),
            start_by: Some(Enforcer::App),
            finish_within: Some(Enforcer::App),
            check_in_by: Some(Enforcer::App),
            hard_end: Some(Enforcer::Cdm),
        },
    }
}

fn payload(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&crate::encoding::from_base64url(body).unwrap()).unwrap()
}

#[test]
fn a_lease_reads_like_this() {
    let token = LeaseSigner::new(&key()).sign(&full()).unwrap();
    let expected = json!({
        "iss": "https://carnet.example",
        "lease_version": 1,
        "license": "01JLICENSE",
        "member": "auth0|5f7c8ec7",
        "device": "phone-1",
        "device_key": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "title": "10.5240/7791-8534-2C23-9030-8610-5",
        "term": 2,
        "issued_at": "2027-01-15T08:00:00.123Z",
        "started_at": "2027-01-15T08:00:00.123Z",
        "not_before": "2027-01-15T08:00:00.123Z",
        "start_by": "2027-02-14T08:00:00.123Z",
        "finish_within_ms": 172_800_000,
        "first_played_at": "2027-01-16T08:00:00.123Z",
        "check_in_by": "2027-02-14T08:00:00.123Z",
        "grace_ms": 0,
        "running_play_ms": 14_400_000,
        "delete_at_end": true,
        "hard_end": "2027-03-16T08:00:00.123Z",
        "ends_at": "2027-01-18T08:00:00.123Z",
        "may_play_until": "2027-02-14T08:00:00.123Z",
        "renew_from": "2027-01-15T08:00:00.123Z",
        "renew_until": "2027-04-15T08:00:00.123Z",
        "kids": ["01010101010101010101010101010101", "abababababababababababababababab"],
        "enforced_by": {
            "not_before": "cdm", "start_by": "app", "finish_within": "app",
            "check_in_by": "app", "hard_end": "cdm",
        },
    });
    assert_eq!(payload(&token), expected);
}

#[test]
fn a_clock_that_does_not_run_is_absent() {
    let bare = LeaseClaims {
        device_key: None,
        not_before: None,
        start_by: None,
        finish_within_ms: None,
        first_played_at: None,
        check_in_by: None,
        hard_end: None,
        ends_at: None,
        may_play_until: None,
        renew_from: None,
        renew_until: None,
        enforced_by: Enforcers::default(),
        ..full()
    };
    let key = key();
    let token = LeaseSigner::new(&key).sign(&bare).unwrap();
    assert!(payload(&token).as_object().unwrap().values().all(|value| !value.is_null()));
    assert_eq!(verify(&token, &keys(&key)).unwrap(), bare);
}

#[test]
fn what_is_signed_verifies_and_reads_back() {
    let key = key();
    let token = LeaseSigner::new(&key).sign(&full()).unwrap();
    assert_eq!(verify(&token, &keys(&key)).unwrap(), full());
}

/// "Each clock of a lease says who enforces it, the CDM or the app."
#[test]
fn a_clock_that_nobody_enforces_is_neither_signed_nor_believed() {
    let signer = LeaseSigner::new(&key());
    let nobody = Enforcers::default();
    let error = signer.sign(&LeaseClaims { enforced_by: nobody, ..full() }).unwrap_err();
    assert!(matches!(error, LeaseError::NobodyEnforces("not_before")), "{error}");
    for clock in ["not_before", "start_by", "finish_within", "check_in_by", "hard_end"] {
        let mut by = full().enforced_by;
        *match clock {
            "not_before" => &mut by.not_before,
            "start_by" => &mut by.start_by,
            "finish_within" => &mut by.finish_within,
            "check_in_by" => &mut by.check_in_by,
            _ => &mut by.hard_end,
        } = None;
        let key = key();
        let claims = LeaseClaims { enforced_by: by, ..full() };
        let signed = key.signer(TYP).sign_compact(&serde_json::to_vec(&claims).unwrap());
        let error = verify(&signed, &keys(&key)).unwrap_err();
        assert!(matches!(error, LeaseError::NobodyEnforces(c) if c == clock), "{error}");
    }
}

#[test]
fn an_unknown_version_a_strange_time_and_another_token_are_refused() {
    let key = key();
    let signer = LeaseSigner::new(&key);
    let newer = LeaseClaims { lease_version: 2, ..full() };
    assert!(matches!(signer.sign(&newer), Err(LeaseError::Version(2))));
    let never = LeaseClaims { ends_at: Some(UnixMillis(i64::MAX)), ..full() };
    assert!(matches!(signer.sign(&never), Err(LeaseError::Malformed(_))));
    let signed = |typ: &str, claims: &LeaseClaims<'_>| {
        key.signer(typ).sign_compact(&serde_json::to_vec(claims).unwrap())
    };
    assert!(matches!(verify(&signed(TYP, &newer), &keys(&key)), Err(LeaseError::Version(2))));
    let grant_like = signed("carnet-grant+jwt", &full());
    assert!(matches!(verify(&grant_like, &keys(&key)), Err(LeaseError::NotALease)));
    let empty = key.signer(TYP).sign_compact(b"{}");
    assert!(matches!(verify(&empty, &keys(&key)), Err(LeaseError::Malformed(_))));
    let other = keys(&self::key());
    assert!(matches!(verify(&signed(TYP, &full()), &other), Err(LeaseError::Token(_))));
}

#[test]
fn every_changed_character_is_noticed() {
    let key = key();
    let keys = keys(&key);
    let token = LeaseSigner::new(&key).sign(&full()).unwrap();
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] ^= 1;
        assert!(verify(&String::from_utf8(bytes).unwrap(), &keys).is_err(), "{position}");
    }
}

proptest::proptest! {
    #[test]
    fn any_lease_reads_back(
        ids in proptest::collection::vec("[ -~äß\"\\\\]{1,128}", 4),
        times in proptest::collection::vec(-62_135_596_800_000_i64..253_402_128_000_000, 6),
        lengths in proptest::collection::vec(0_i64.., 3),
        term in 1_u32..,
    ) {
        let key = key();
        let lease = LeaseClaims {
            license: ids[0].as_str().into(),
            member: ids[1].as_str().into(),
            device: ids[2].as_str().into(),
            title: ids[3].as_str().into(),
            term,
            issued_at: UnixMillis(times[0]),
            start_by: Some(UnixMillis(times[1])),
            hard_end: Some(UnixMillis(times[2])),
            ends_at: Some(UnixMillis(times[3])),
            check_in_by: Some(UnixMillis(times[4])),
            first_played_at: Some(UnixMillis(times[5])),
            finish_within_ms: Some(lengths[0]),
            grace_ms: lengths[1],
            running_play_ms: lengths[2],
            ..full()
        };
        let token = LeaseSigner::new(&key).sign(&lease).unwrap();
        proptest::prop_assert_eq!(verify(&token, &keys(&key)).unwrap(), lease);
    }

    #[test]
    fn no_payload_makes_the_verifier_panic(payload in ".*") {
        let key = key();
        let signed = key.signer(TYP).sign_compact(payload.as_bytes());
        proptest::prop_assert!(verify(&signed, &keys(&key)).is_err());
    }
}
