use std::sync::LazyLock;

use drm::jws::JwsError;
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::super::test_keys::TestKey;
use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const NOW_S: i64 = 1_800_000_000;
const URL: &str = "https://carnet.example/v1/licenses";
/// Of a token somewhere else.
static TOKEN_HASH: LazyLock<String> = LazyLock::new(|| token_hash("header.payload.signature"));

fn token_hash(token: &str) -> String {
    drm::encoding::base64url(digest(&SHA256, token.as_bytes()))
}

fn request() -> ProvenRequest<'static> {
    ProvenRequest { method: "POST", url: URL, token_hash: Some(&TOKEN_HASH) }
}

fn claims() -> Value {
    json!({"jti": "one", "htm": "POST", "htu": URL, "iat": NOW_S, "ath": *TOKEN_HASH})
}

fn header(key: &TestKey) -> Value {
    json!({"typ": "dpop+jwt", "alg": key.alg(), "jwk": key.jwk("ignored")})
}

fn proof(key: &TestKey, claims: &Value) -> String {
    key.sign_with(&header(key), &claims.to_string())
}

fn verifier() -> ProofVerifier {
    ProofVerifier::new(60, 1000)
}

/// The answer to the claims above, changed.
fn changed(change: impl Fn(&mut Value)) -> Result<(), AuthError> {
    let mut claims = claims();
    change(&mut claims);
    verifier().verify(&proof(&TestKey::p256(), &claims), request(), NOW_MS).map(drop)
}

/// The answer to the header above, changed.
fn with_header(key: &TestKey, change: impl Fn(&mut Value)) -> Result<(), AuthError> {
    let mut header = header(key);
    change(&mut header);
    let proof = key.sign_with(&header, &claims().to_string());
    verifier().verify(&proof, request(), NOW_MS).map(drop)
}

fn problem(problem: ProofProblem) -> Result<(), AuthError> {
    Err(AuthError::Proof(problem))
}

/// RFC 9449, figure 2 and section 7: the access token, proof and thumbprint of its examples.
#[test]
fn the_example_of_the_rfc_verifies() {
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    let request = ProvenRequest {
        method: "GET",
        url: "https://resource.example.org/protectedresource",
        token_hash: Some(&token_hash("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")),
    };
    let proven = verifier().verify(proof, request, 1_562_262_618_000).unwrap();
    assert_eq!(proven.key.as_str(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!(proven.issued_at_ms, 1_562_262_618_000);
}

#[test]
fn a_proof_shows_who_holds_the_key() {
    for key in [TestKey::p256(), TestKey::ed25519()] {
        let proven = verifier().verify(&proof(&key, &claims()), request(), NOW_MS).unwrap();
        assert_eq!(proven.key.as_str(), key.public().thumbprint());
        assert_eq!(proven.jwk.key, key.public());
    }
}

#[test]
fn rsa_keys_are_not_for_devices() {
    let key = TestKey::rsa();
    let answer = verifier().verify(&proof(&key, &claims()), request(), NOW_MS).map(drop);
    assert_eq!(answer, problem(ProofProblem::Key));
}

#[test]
fn the_header_is_read_strictly() {
    let key = TestKey::p256();
    assert_eq!(with_header(&key, |_| ()), Ok(()));
    let missing =
        |name: &'static str| with_header(&key, |h| drop(h.as_object_mut().unwrap().remove(name)));
    assert_eq!(missing("typ"), problem(ProofProblem::Type));
    assert_eq!(missing("jwk"), problem(ProofProblem::Key));
    assert_eq!(missing("alg"), problem(JwsError::Malformed.into()));
    assert_eq!(with_header(&key, |h| h["typ"] = json!("JWT")), problem(ProofProblem::Type));
    assert_eq!(
        with_header(&key, |h| h["alg"] = json!("none")),
        problem(JwsError::UnsupportedAlgorithm.into())
    );
    assert_eq!(
        with_header(&key, |h| h["jwk"]["d"] = json!("AAAA")),
        problem(JwsError::BadHeaderKey.into())
    );
    assert_eq!(
        with_header(&key, |h| h["crit"] = json!(["x"])),
        problem(JwsError::UnsupportedExtension.into())
    );
    // Another key than the one that signed.
    let other = TestKey::p256().jwk("x");
    assert_eq!(
        with_header(&key, |h| h["jwk"] = json!(other)),
        problem(JwsError::BadSignature.into())
    );
    let ed25519 = TestKey::ed25519().jwk("x");
    assert_eq!(
        with_header(&key, |h| h["jwk"] = json!(ed25519)),
        problem(JwsError::AlgorithmMismatch.into())
    );
}

#[test]
fn the_claims_must_be_those_of_this_request() {
    use ProofProblem::*;
    let rows: Vec<(&str, Value, ProofProblem)> = vec![
        ("htm", json!("GET"), Method),
        ("htm", json!("post"), Method),
        ("htm", json!(1), Malformed),
        ("htu", json!("https://carnet.example/v1/license"), Url),
        ("htu", json!("http://carnet.example/v1/licenses"), Url),
        ("htu", json!("https://evil.example/v1/licenses"), Url),
        ("htu", json!("https://carnet.example:444/v1/licenses"), Url),
        ("htu", json!("https://carnet.example/V1/licenses"), Url),
        ("htu", json!("https://carnet.example/v1/licenses/"), Url),
        ("htu", json!("https://carnet.example@evil.example/v1/licenses"), Malformed),
        ("htu", json!("/v1/licenses"), Malformed),
        ("htu", json!("file:///v1/licenses"), Malformed),
        ("jti", json!(""), Malformed),
        ("jti", json!("x".repeat(129)), Malformed),
        ("jti", json!(7), Malformed),
        ("iat", json!("1800000000"), Malformed),
        ("iat", json!(null), Malformed),
        ("iat", json!(NOW_S - 60), Time),
        ("iat", json!(NOW_S + 61), Time),
        ("iat", json!(1e300), Time),
        ("iat", json!(i64::MIN), Time),
        ("ath", json!(token_hash("other")), TokenHash),
        ("ath", json!(""), TokenHash),
        ("ath", json!(7), Malformed),
    ];
    for (claim, value, expected) in rows {
        let answer = changed(|claims| claims[claim] = value.clone());
        assert_eq!(answer, problem(expected), "{claim} {value}");
    }
    for claim in ["jti", "htm", "htu", "iat", "ath"] {
        let answer = changed(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(answer, problem(Malformed), "{claim}");
    }
    for (claim, value) in [
        ("iat", json!(NOW_S - 59)),
        ("iat", json!(NOW_S + 60)),
        ("iat", json!(NOW_S as f64 + 0.5)),
        ("htu", json!("HTTPS://Carnet.Example:443/v1/licenses?a=1#b")),
        ("htu", json!("https://carnet.example/%76%31/licenses")),
        ("nonce", json!("x")),
    ] {
        assert_eq!(changed(|claims| claims[claim] = value.clone()), Ok(()), "{claim} {value}");
    }
}

#[test]
fn equivalent_urls_are_one_target() {
    for (url, expected) in [
        ("https://a.example", Some("https://a.example/")),
        ("http://a.example:80/x?y", Some("http://a.example/x")),
        ("http://a.example:8080/x#y", Some("http://a.example:8080/x")),
        ("https://a.example:/x", Some("https://a.example/x")),
        ("https://a.example?x=/y", Some("https://a.example/")),
        ("https://a.example/%7Ea%2fb", Some("https://a.example/~a%2Fb")),
        ("https://a.example/%3%30", None),
        ("https://a.example/%zz", None),
        ("https://a.example/%", None),
        ("https://a.example/ä%c3%a4", Some("https://a.example/ä%C3%A4")),
        ("https://[::1]:443/", Some("https://[::1]/")),
        ("https://", None),
        ("https:///x", None),
        ("https://user@a.example/", None),
        ("ftp://a.example/", None),
        ("", None),
    ] {
        assert_eq!(target(url).as_deref(), expected, "{url}");
    }
}

#[test]
fn a_proof_serves_once() {
    let verifier = verifier();
    let (key, other) = (TestKey::p256(), TestKey::p256());
    let at = |proof: &str, ms| verifier.verify(proof, request(), ms).map(drop);
    let first = proof(&key, &claims());
    assert_eq!(at(&first, NOW_MS), Ok(()));
    let replayed = problem(ProofProblem::Replayed);
    assert_eq!(at(&first, NOW_MS), replayed);
    assert_eq!(at(&proof(&key, &claims()), NOW_MS + 59_999), replayed, "signed anew, same id");
    assert_eq!(at(&first, NOW_MS + 60_000), problem(ProofProblem::Time));
    assert_eq!(at(&proof(&other, &claims()), NOW_MS), Ok(()), "another device's id");
    // From the device's future: remembered until its own time is over.
    let mut early = claims();
    early["iat"] = json!(NOW_S + 60);
    early["jti"] = json!("two");
    let early = proof(&key, &early);
    assert_eq!(at(&early, NOW_MS), Ok(()));
    assert_eq!(at(&early, NOW_MS + 119_999), replayed);
}

#[test]
fn a_refused_proof_uses_no_id_up_and_a_full_memory_lets_nobody_in() {
    let verifier = ProofVerifier::new(60, 2);
    let key = TestKey::ed25519();
    let verify = |jti: &str, method: &str| {
        let mut claims = claims();
        claims["jti"] = json!(jti);
        claims["htm"] = json!(method);
        verifier.verify(&proof(&key, &claims), request(), NOW_MS).map(drop)
    };
    assert_eq!(verify("a", "GET"), problem(ProofProblem::Method));
    assert_eq!((verify("a", "POST"), verify("b", "POST")), (Ok(()), Ok(())));
    assert_eq!(verify("c", "POST"), Err(AuthError::ProofMemoryFull));
    assert_eq!(verify("a", "POST"), problem(ProofProblem::Replayed));
}

#[test]
fn without_a_token_no_hash_is_asked_for() {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("ath");
    let request = ProvenRequest { token_hash: None, ..request() };
    let proof = proof(&TestKey::p256(), &claims);
    assert!(verifier().verify(&proof, request, NOW_MS).is_ok());
}

#[test]
fn every_changed_character_is_noticed() {
    let verifier = verifier();
    let proof = proof(&TestKey::p256(), &claims());
    for position in 0..proof.len() {
        let mut bytes = proof.clone().into_bytes();
        bytes[position] ^= 1;
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier.verify(&changed, request(), NOW_MS).is_err(), "{position}");
    }
    assert!(verifier.verify(&proof, request(), NOW_MS).is_ok());
    let long = "a".repeat(PROOF_BYTES_MAX + 1);
    let answer = verifier.verify(&long, request(), NOW_MS).map(drop);
    assert_eq!(answer, problem(JwsError::TooLong.into()));
}

proptest! {
    #[test]
    fn nothing_makes_the_verifier_panic(text in ".*", url in ".*", payload in ".*") {
        let verifier = verifier();
        let key = TestKey::ed25519();
        prop_assert!(verifier.verify(&text, request(), NOW_MS).is_err());
        let signed = key.sign_with(&header(&key), &payload);
        prop_assert!(verifier.verify(&signed, request(), NOW_MS).is_err());
        if let Some(once) = target(&url) {
            prop_assert_eq!(target(&once), Some(once), "normal is normal");
        }
    }

    #[test]
    fn normalizing_twice_changes_nothing(path in "(%[0-9a-fA-F]{2}|%?|[a-zA-Z0-9~/._-]){0,20}") {
        let url = format!("https://a.example/{path}");
        if let Some(once) = target(&url) {
            prop_assert_eq!(target(&once), Some(once));
        }
    }
}
