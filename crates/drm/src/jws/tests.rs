use super::*;

/// RFC 8037, appendix A.
const RFC_8037_PRIVATE: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const RFC_8037_TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

/// RFC 7515, appendix A.2.
const RFC_7515_RSA: &str = r#"{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#;
const RFC_7515_RS256: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";

/// RFC 7515, appendix A.3.
const RFC_7515_EC: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
const RFC_7515_ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn rfc_key() -> SigningKey {
    SigningKey::from_jwk(RFC_8037_PRIVATE).unwrap()
}

fn key(json: &str) -> PublicKey {
    Jwk::parse(json).unwrap().key
}

/// A token with any header, signed as that header is not.
fn with_header(header: &str) -> String {
    format!("{}.e30.{}", base64url(header), base64url([7; 64]))
}

#[track_caller]
fn outcome(token: &str, key: &PublicKey) -> Result<Vec<u8>, JwsError> {
    Unverified::parse(token)?.verify(key)
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    let claims =
        b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    for (token, key, payload) in [
        (RFC_8037_TOKEN, rfc_key().public_jwk().key, &b"Example of Ed25519 signing"[..]),
        (RFC_7515_RS256, key(RFC_7515_RSA), claims),
        (RFC_7515_ES256, key(RFC_7515_EC), claims),
    ] {
        assert_eq!(outcome(token, &key).as_deref(), Ok(payload), "{token}");
    }
}

#[test]
fn the_signature_of_rfc_8037_is_what_we_write() {
    let signer = Signer { key: rfc_key(), prefix: "eyJhbGciOiJFZERTQSJ9.".to_owned() };
    assert_eq!(signer.sign_compact(b"Example of Ed25519 signing"), RFC_8037_TOKEN);
}

#[test]
fn what_we_sign_says_ed25519_and_verifies_with_the_published_key() {
    let (key, pkcs8) = SigningKey::generate().unwrap();
    assert_eq!(SigningKey::from_pkcs8(&pkcs8).unwrap().kid(), key.kid());
    let keys = JwkSet::new(vec![rfc_key().public_jwk(), key.public_jwk()]);
    let payloads = [&b""[..], b"{}", &[0; 1000]];
    for payload in payloads {
        let token = key.signer("x+jwt").sign_compact(payload);
        let header = from_base64url(token.split_once('.').unwrap().0).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        let expected = serde_json::json!({"alg": "Ed25519", "typ": "x+jwt", "kid": key.kid()});
        assert_eq!(header, expected);
        let parsed = Unverified::parse(&token).unwrap();
        assert_eq!((parsed.kid(), parsed.typ()), (Some(key.kid()), Some("x+jwt")));
        assert_eq!(parsed.verify_with(&keys).as_deref(), Ok(payload));
    }
}

#[test]
fn every_changed_character_is_noticed() {
    const ALPHABET: &[u8] = b"ABab01-_.=! \x00";
    for (token, key) in [
        (RFC_8037_TOKEN, rfc_key().public_jwk().key),
        (RFC_7515_RS256, key(RFC_7515_RSA)),
        (RFC_7515_ES256, key(RFC_7515_EC)),
    ] {
        for position in 0..token.len() {
            let original = token.as_bytes()[position];
            // Also the neighbor in the alphabet: it may differ in bits that a lax decoder drops.
            for other in ALPHABET.iter().copied().chain([original ^ 1, original ^ 2]) {
                if other == original {
                    continue;
                }
                let mut bytes = token.as_bytes().to_vec();
                bytes[position] = other;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(outcome(&changed, &key).is_err(), "position {position}: {changed}");
            }
        }
        for cut in 0..token.len() {
            assert!(outcome(&token[..cut], &key).is_err(), "cut at {cut}");
        }
        assert!(outcome(&format!("{token}A"), &key).is_err());
    }
}

#[test]
fn an_algorithm_that_is_not_the_keys_is_refused() {
    let ed25519 = rfc_key().public_jwk().key;
    for (token, key) in [
        (RFC_8037_TOKEN, key(RFC_7515_RSA)),
        (RFC_7515_RS256, key(RFC_7515_EC)),
        (RFC_7515_ES256, ed25519),
    ] {
        assert_eq!(outcome(token, &key), Err(JwsError::AlgorithmMismatch));
    }
}

#[test]
fn headers_are_read_strictly() {
    use JwsError::*;
    let jwk = RFC_7515_EC;
    let private = RFC_8037_PRIVATE;
    let rows = [
        (r#"{"alg":"none"}"#.to_owned(), UnsupportedAlgorithm),
        (r#"{"alg":"HS256"}"#.into(), UnsupportedAlgorithm),
        (r#"{"alg":"PS256"}"#.into(), UnsupportedAlgorithm),
        (r#"{"alg":"ed25519"}"#.into(), UnsupportedAlgorithm),
        (r#"{"alg":""}"#.into(), UnsupportedAlgorithm),
        ("{}".into(), Malformed),
        ("[]".into(), Malformed),
        ("".into(), Malformed),
        (r#"{"alg":"ES256","alg":"ES256"}"#.into(), Malformed),
        (r#"{"alg":"ES256","kid":"a","kid":"b"}"#.into(), Malformed),
        (r#"{"alg":"ES256","kid":7}"#.into(), Malformed),
        (r#"{"alg":"ES256"} x"#.into(), Malformed),
        (r#"{"alg":"ES256","crit":["exp"]}"#.into(), UnsupportedExtension),
        (r#"{"alg":"ES256","crit":[]}"#.into(), UnsupportedExtension),
        (r#"{"alg":"ES256","crit":null}"#.into(), UnsupportedExtension),
        (r#"{"alg":"ES256","b64":false}"#.into(), UnsupportedExtension),
        (format!(r#"{{"alg":"ES256","jwk":{private}}}"#), BadHeaderKey),
        (r#"{"alg":"ES256","jwk":null}"#.into(), BadHeaderKey),
        (r#"{"alg":"ES256","jwk":"x"}"#.into(), BadHeaderKey),
    ];
    for (header, expected) in rows {
        let token = with_header(&header);
        assert_eq!(Unverified::parse(&token).map(drop), Err(expected), "{header}");
    }
    let token = with_header(&format!(r#"{{"alg":"ES256","jwk":{jwk},"jku":"https://evil"}}"#));
    assert_eq!(Unverified::parse(&token).unwrap().header_key().unwrap().key, key(jwk));
}

#[test]
fn what_is_not_three_parts_is_refused() {
    let header = base64url(r#"{"alg":"ES256"}"#);
    for token in ["", ".", "..", "a", &header, &format!("{header}.e30"), &format!("{header}..")] {
        assert!(outcome(token, &key(RFC_7515_EC)).is_err(), "{token}");
    }
    for token in [
        format!("{RFC_7515_ES256}."),
        format!(".{RFC_7515_ES256}"),
        format!("{RFC_7515_ES256}.x"),
        RFC_7515_ES256.replacen('.', "..", 1),
        format!(" {RFC_7515_ES256}"),
        format!("{RFC_7515_ES256}\n"),
    ] {
        assert!(outcome(&token, &key(RFC_7515_EC)).is_err(), "{token}");
    }
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(Unverified::parse(&long).map(drop), Err(JwsError::TooLong));
}

#[test]
fn a_key_set_is_asked_by_key_id() {
    let jwk = |kid: Option<&str>, json| Jwk { kid: kid.map(str::to_owned), key: key(json) };
    let signing = SigningKey::generate().unwrap().0;
    let token = signing.signer("t").sign_compact(b"{}");
    let verify = |token: &str, keys: Vec<Jwk>| {
        Unverified::parse(token).unwrap().verify_with(&JwkSet::new(keys)).map(drop)
    };
    let own = signing.public_jwk();
    let stranger = Jwk { kid: own.kid.clone(), ..rfc_key().public_jwk() };
    let other_type = jwk(own.kid.as_deref(), RFC_7515_EC);
    let unnamed = Jwk { kid: None, ..own.clone() };
    assert_eq!(verify(&token, vec![own.clone()]), Ok(()));
    assert_eq!(verify(&token, vec![]), Err(JwsError::UnknownKey));
    assert_eq!(verify(&token, vec![unnamed]), Err(JwsError::UnknownKey));
    assert_eq!(verify(&token, vec![stranger.clone()]), Err(JwsError::BadSignature));
    assert_eq!(verify(&token, vec![other_type.clone()]), Err(JwsError::AlgorithmMismatch));
    assert_eq!(verify(&token, vec![other_type, stranger, own]), Ok(()), "ids may be shared");
    // Without an id in the token, the only fitting key is the one.
    let rsa = jwk(Some("rsa"), RFC_7515_RSA);
    let ec = jwk(Some("ec"), RFC_7515_EC);
    assert_eq!(verify(RFC_7515_ES256, vec![rsa.clone(), ec.clone()]), Ok(()));
    assert_eq!(verify(RFC_7515_ES256, vec![rsa]), Err(JwsError::UnknownKey));
    assert_eq!(verify(RFC_7515_ES256, vec![ec.clone(), ec]), Err(JwsError::AmbiguousKey));
}

#[test]
fn private_keys_are_read_strictly_and_never_shown() {
    use SigningKeyError::*;
    assert_eq!(rfc_key().kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(
        format!("{:?}", rfc_key()),
        "SigningKey(kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k)"
    );
    assert!(!format!("{:?}", rfc_key().signer("x")).contains("nWGxne"));
    let other_x = RFC_8037_PRIVATE.replace("11qY", "21qY");
    for (json, expected) in [
        (other_x, Inconsistent),
        (RFC_8037_PRIVATE.replace("Ed25519", "X25519"), NotAnEd25519Key),
        (RFC_8037_PRIVATE.replace("nWGx", ""), NotAnEd25519Key),
        (RFC_7515_EC.to_owned(), NotAnEd25519Key),
        (String::new(), NotAnEd25519Key),
    ] {
        assert_eq!(SigningKey::from_jwk(&json).map(drop), Err(expected), "{json}");
    }
    assert_eq!(SigningKey::from_pkcs8(b"no DER").map(drop), Err(NotAnEd25519Key));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*", header in ".{0,80}") {
        let keys = JwkSet::new(vec![rfc_key().public_jwk()]);
        for token in [text, with_header(&header)] {
            if let Ok(parsed) = Unverified::parse(&token) {
                proptest::prop_assert!(parsed.verify_with(&keys).is_err());
            }
        }
    }

    #[test]
    fn any_payload_survives_signing(payload in proptest::collection::vec(0_u8.., 0..2000)) {
        let key = rfc_key();
        let token = key.signer("x").sign_compact(&payload);
        let parsed = Unverified::parse(&token).unwrap();
        proptest::prop_assert_eq!(parsed.verify(&key.public_jwk().key), Ok(payload));
    }
}
