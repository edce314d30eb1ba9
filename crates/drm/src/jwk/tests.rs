use super::*;

const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 7638, section 3.1.
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

fn rsa_json(n: &[u8], e: &[u8]) -> String {
    format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, base64url(n), base64url(e))
}

#[test]
fn thumbprints_are_those_of_the_rfcs() {
    let rsa =
        format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB","alg":"RS256","kid":"2011-04-29"}}"#);
    assert_eq!(
        Jwk::parse(&rsa).unwrap().thumbprint(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "RFC 7638, 3.1"
    );
    let ed25519 = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}}"#);
    assert_eq!(
        Jwk::parse(&ed25519).unwrap().thumbprint(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "RFC 8037, A.3"
    );
}

#[test]
fn a_leading_zero_is_the_same_rsa_key() {
    let n = from_base64url(RSA_N).unwrap();
    let padded = [&[0], n.as_slice()].concat();
    let plain = Jwk::parse(&rsa_json(&n, &[1, 0, 1])).unwrap();
    assert_eq!(Jwk::parse(&rsa_json(&padded, &[0, 1, 0, 1])).unwrap(), plain);
}

#[test]
fn what_is_written_reads_back() {
    let p256 = format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}","y":"{P256_Y}","kid":"a"}}"#);
    let rsa = format!(r#"{{"kty":"RSA","n":"{RSA_N}","e":"AQAB"}}"#);
    for json in [p256, rsa, format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"}}"#)] {
        let key = Jwk::parse(&json).unwrap();
        assert_eq!(Jwk::parse(&serde_json::to_string(&key).unwrap()), Ok(key));
    }
}

#[test]
fn the_purposes_that_allow_verifying_are_accepted() {
    for extra in [
        r#""use":"sig""#,
        r#""key_ops":["sign","verify"]"#,
        r#""alg":"EdDSA""#,
        r#""alg":"Ed25519""#,
    ] {
        let json = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}",{extra}}}"#);
        assert!(Jwk::parse(&json).is_ok(), "{extra}");
    }
}

#[test]
fn a_key_that_is_none_of_ours_is_refused_by_name() {
    let ed = |extra: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}"{extra}}}"#);
    let other = |purpose: &str| JwkError::OtherPurpose(purpose.to_owned());
    let unsupported =
        |kty: &str, crv: &str| JwkError::UnsupportedType { kty: kty.into(), crv: crv.into() };
    let rows = [
        (ed(r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#), JwkError::Private),
        (r#"{"kty":"oct","k":"AAAA"}"#.into(), JwkError::Private),
        (ed(r#","use":"enc""#), other("enc")),
        (ed(r#","key_ops":["sign"]"#), other("sign")),
        (ed(r#","alg":"ES256""#), other("ES256")),
        (ed(r#","alg":"none""#), other("none")),
        (r#"{"kty":"oct"}"#.into(), unsupported("oct", "")),
        (r#"{"kty":"EC","crv":"P-384"}"#.into(), unsupported("EC", "P-384")),
        (r#"{"kty":"OKP","crv":"X25519"}"#.into(), unsupported("OKP", "X25519")),
        ("{}".into(), unsupported("", "")),
        (r#"{"kty":"OKP","crv":"Ed25519"}"#.into(), JwkError::BadMember("x")),
        (
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}A"}}"#),
            JwkError::BadMember("x"),
        ),
        (format!(r#"{{"kty":"EC","crv":"P-256","x":"{P256_X}"}}"#), JwkError::BadMember("y")),
        (format!(r#"{{"kty":"RSA","n":"{RSA_N}="}}"#), JwkError::BadMember("n")),
    ];
    for (json, expected) in rows {
        assert_eq!(Jwk::parse(&json), Err(expected), "{json}");
    }
    let repeated = ed(&format!(r#","x":"{ED25519_X}""#));
    assert!(matches!(Jwk::parse(&repeated), Err(JwkError::Malformed(_))), "a repeated member");
}

#[test]
fn rsa_keys_below_2048_bits_are_refused() {
    let modulus = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (n.len() * 8 - bits);
        n
    };
    let outcome = |bits: usize, e: &[u8]| Jwk::parse(&rsa_json(&modulus(bits), e)).map(drop);
    let weak = |bits| Err(JwkError::WeakRsa { bits });
    assert_eq!(outcome(2048, &[1, 0, 1]), Ok(()));
    assert_eq!(outcome(8192, &[3]), Ok(()));
    for bits in [1, 1024, 2047, 8193, 16384] {
        assert_eq!(outcome(bits, &[1, 0, 1]), weak(bits));
    }
    for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(outcome(2048, e), weak(2048), "{e:?}");
    }
}

#[test]
fn a_set_keeps_the_keys_that_can_verify_and_leaves_the_others_out() {
    let json = format!(
        r#"{{"keys":[
            {{"kty":"RSA","use":"enc","n":"{RSA_N}","e":"AQAB"}},
            {{"kty":"EC","crv":"P-384","x":"","y":""}},
            17,
            {{"kty":"OKP","crv":"Ed25519","x":"{ED25519_X}","kid":"a"}}],
          "more":1}}"#
    );
    let set = JwkSet::parse(&json).unwrap();
    assert_eq!(set.keys().len(), 1);
    assert_eq!(set.keys()[0].kid.as_deref(), Some("a"));
    assert_eq!(JwkSet::parse(&serde_json::to_string(&set).unwrap()).unwrap(), set);
}

#[test]
fn a_set_that_is_none_is_refused() {
    for json in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(JwkSet::parse(json), Err(JwkSetError::Malformed(_))), "{json}");
    }
    assert!(matches!(JwkSet::parse(r#"{"keys":[1]}"#), Err(JwkSetError::NoneUsable(_))));
    let many = format!(r#"{{"keys":[{}1]}}"#, "1,".repeat(KEYS_MAX));
    assert!(matches!(JwkSet::parse(&many), Err(JwkSetError::TooMany { keys: 65 })));
    let long = " ".repeat(JWK_SET_BYTES_MAX + 1);
    assert!(matches!(JwkSet::parse(&long), Err(JwkSetError::TooLong { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in ".*", x in "[A-Za-z0-9_-]{0,60}") {
        let _ = Jwk::parse(&text);
        let _ = JwkSet::parse(&text);
        let _ = Jwk::parse(&format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#));
        let _ = Jwk::parse(&format!(r#"{{"kty":"RSA","n":"{x}","e":"{x}"}}"#));
    }
}
