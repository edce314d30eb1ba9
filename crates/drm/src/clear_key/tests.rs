use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::content_keys::{MasterKey, seal, write_sealed};
use crate::grant::Grant;

const NOW_MS: i64 = 1_800_000_000_000;

fn kid(byte: u8) -> KeyId {
    KeyId::new([byte; 16])
}

/// The key of key id `n` is sixteen times `n + 0x10`; there are keys for 1, 2 and 3.
fn content_keys() -> ContentKeys {
    let entries: Vec<Value> = (1..=3_u8)
        .map(|n| json!({"kid": kid(n), "key": format!("{:02x}", n + 0x10).repeat(16)}))
        .collect();
    let master = MasterKey::parse(&MasterKey::generate().unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys.json");
    let sealed = seal(&json!({"keys": entries}).to_string(), &master).unwrap();
    write_sealed(&path, &sealed).unwrap();
    ContentKeys::load(&path, &master).unwrap()
}

fn request(kids: &[u8], session: SessionType) -> Request {
    Request { kids: kids.iter().copied().map(kid).collect(), session }
}

fn grant(session: SessionType) -> VerifiedGrant {
    let grant = Grant {
        id: "01J".to_owned(),
        member: "m".to_owned(),
        device: "d".to_owned(),
        title: "t".to_owned(),
        license: None,
        kids: vec![kid(1), kid(2), kid(9)],
        session,
    };
    VerifiedGrant { grant, ends_at_ms: NOW_MS + 60_000 }
}

#[test]
fn a_request_reads_like_the_one_in_the_standard() {
    // W3C Encrypted Media Extensions, section 9.1.3, example.
    let body =
        br#"{"kids":["LwVHf8JLtPrv2GUXFW2v_A","0DdtU9od-Bh5L3xbv0Xf_A"],"type":"temporary"}"#;
    let request = Request::parse(body).unwrap();
    let kids: Vec<_> = request.kids.iter().map(ToString::to_string).collect();
    assert_eq!(kids, ["2f05477fc24bb4faefd86517156daffc", "d0376d53da1df818792f7c5bbf45dffc"]);
    assert_eq!(request.session, SessionType::Temporary);
}

#[test]
fn requests_are_read_by_what_they_say() {
    let a = kid(1).to_base64url();
    let rows = [
        (json!({"kids": [a], "type": "persistent-license"}), SessionType::PersistentLicense),
        (json!({"kids": [a], "type": "temporary", "more": {"x": 1}}), SessionType::Temporary),
        (json!({"kids": [a, a]}), SessionType::Temporary),
    ];
    for (body, session) in rows {
        let expected = Request { kids: vec![kid(1)], session };
        assert_eq!(Request::parse(body.to_string().as_bytes()), Ok(expected), "{body}");
    }
}

#[test]
fn a_malformed_request_is_refused_by_what_is_wrong_with_it() {
    use ClearKeyError::*;
    let a = kid(1).to_base64url();
    let many: Vec<_> = (0..=KIDS_MAX).map(|_| a.clone()).collect();
    let rows = [
        (
            json!({"kids": [a], "type": "persistent-usage-record"}),
            UnknownType("persistent-usage-record".into()),
        ),
        (json!({"kids": []}), NoKeyIds),
        (json!({"kids": many}), TooManyKeyIds),
        (json!({"kids": [a, "AQ"]}), BadKeyId("AQ".into())),
        (json!({"kids": [format!("{a}==")]}), BadKeyId(format!("{a}=="))),
        (json!({"kids": ["01".repeat(16)]}), BadKeyId("01".repeat(16))),
    ];
    for (body, expected) in rows {
        assert_eq!(Request::parse(body.to_string().as_bytes()), Err(expected), "{body}");
    }
    for body in
        [&b""[..], b"\x08\x04", b"[]", b"{}", b"{\"kids\":\"a\"}", b"{\"kids\":[1]}", b"\xff"]
    {
        assert!(matches!(Request::parse(body), Err(Malformed(_))), "{body:?}");
    }
    let long = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert_eq!(Request::parse(&long), Err(TooLong));
}

#[test]
fn a_license_has_the_keys_asked_for_and_echoes_the_type() {
    let keys = content_keys();
    for session in [SessionType::Temporary, SessionType::PersistentLicense] {
        let granted = SessionType::PersistentLicense;
        let license =
            license(&request(&[2, 1], session), granted, &[kid(1), kid(2)], &keys, None).unwrap();
        let expected = json!({
            "keys": [
                {"kty": "oct", "k": base64url([0x12; 16]), "kid": base64url([2; 16])},
                {"kty": "oct", "k": base64url([0x11; 16]), "kid": base64url([1; 16])},
            ],
            "type": session.name(),
        });
        assert_eq!(serde_json::from_str::<Value>(&license).unwrap(), expected);
    }
}

#[test]
fn the_lease_rides_along_as_one_more_member() {
    let request = request(&[1], SessionType::Temporary);
    let granted = SessionType::Temporary;
    let license = license(&request, granted, &[kid(1)], &content_keys(), Some("a.b.c")).unwrap();
    let license: Value = serde_json::from_str(&license).unwrap();
    assert_eq!(license["lease"], "a.b.c");
    assert_eq!(license["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn unknown_key_ids_are_refused_and_use_nothing_up() {
    use ClearKeyError::*;
    use SessionType::{PersistentLicense, Temporary};
    let keys = content_keys();
    let memory = GrantMemory::new(10);
    let answer = |request: &Request, session| {
        license_for_grant(request, &grant(session), &memory, &keys, NOW_MS).map(drop)
    };
    // 3 has a key and is not granted, 9 is granted and has no key.
    assert_eq!(answer(&request(&[1, 3], Temporary), Temporary), Err(NotGranted(kid(3))));
    assert_eq!(answer(&request(&[1, 9], Temporary), Temporary), Err(NoContentKey(kid(9))));
    assert_eq!(answer(&request(&[1], PersistentLicense), Temporary), Err(SessionNotGranted));
    assert!(memory.is_empty());
    assert_eq!(answer(&request(&[1, 2], Temporary), Temporary), Ok(()));
    assert_eq!(answer(&request(&[2, 1], Temporary), Temporary), Ok(()), "a retry");
    let other = Err(Use(GrantUseError::UsedForOtherKeys));
    assert_eq!(answer(&request(&[1], Temporary), Temporary), other);
}

#[test]
fn a_release_and_its_acknowledgement_are_lists_of_key_ids() {
    let ids = json!([kid(1).to_base64url(), kid(2).to_base64url()]);
    // Shaka adds a `type` to every Clear Key body.
    for body in [
        json!({"kids": ids}),
        json!({"kids": ids, "type": "temporary"}),
        json!({"kids": ids, "type": "x"}),
    ] {
        let kids = parse_release(body.to_string().as_bytes()).unwrap();
        assert_eq!(kids, [kid(1), kid(2)]);
        let acknowledgement: Value = serde_json::from_str(&release_acknowledgement(&kids)).unwrap();
        assert_eq!(acknowledgement, json!({"kids": ids}));
    }
    assert_eq!(parse_release(b"{\"kids\":[]}"), Err(ClearKeyError::NoKeyIds));
}

proptest! {
    #[test]
    fn no_body_makes_the_parsers_panic(bytes in proptest::collection::vec(0_u8.., 0..300), text in ".*") {
        for body in [&bytes[..], text.as_bytes(), json!({"kids": [text]}).to_string().as_bytes()] {
            let _ = Request::parse(body);
            let _ = parse_release(body);
        }
    }
}
