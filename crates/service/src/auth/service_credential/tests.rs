use drm::jwk::JwkSet;
use serde_json::json;

use super::super::claims::{ClaimMapping, ClaimPath};
use super::super::jwks::KeySource;
use super::super::test_keys::TestKey;
use super::super::token::IssuerConfig;
use super::*;

const NOW_MS: i64 = 1_800_000_000_000;
const SERVICE_KEY: &str = "carnet_0123456789abcdef0123456789abcdef";
const OPERATOR_KEY: &str = "carnet_fedcba9876543210fedcba9876543210";

fn credentials() -> ServiceCredentials {
    let config = |name: &str, api_key: &str, role| ApiKeyConfig {
        name: name.to_owned(),
        sha256: ApiKeyHash::of(api_key),
        roles: vec![role],
    };
    ServiceCredentials::new(vec![
        config("licensing", SERVICE_KEY, Role::Service),
        config("support", OPERATOR_KEY, Role::Operator),
    ])
}

#[test]
fn an_api_key_lets_in_with_its_roles_and_no_other() {
    let credentials = credentials();
    let verify = |api_key: &str, role| {
        credentials.verify_api_key(api_key, role).map(|caller| caller.name().to_owned())
    };
    assert_eq!(verify(SERVICE_KEY, Role::Service), Ok("licensing".to_owned()));
    assert_eq!(verify(OPERATOR_KEY, Role::Operator), Ok("support".to_owned()));
    let missing = |role| Err(AuthError::RoleMissing { role });
    assert_eq!(verify(SERVICE_KEY, Role::Operator), missing("operator"));
    assert_eq!(verify(OPERATOR_KEY, Role::Service), missing("service"));
    let upper = SERVICE_KEY.to_uppercase();
    let (longer, longest) = (format!("{SERVICE_KEY}0"), "carnet_".repeat(100));
    for unknown in ["", "carnet_", &SERVICE_KEY[..38], &longer, &longest, &upper] {
        assert_eq!(verify(unknown, Role::Service), Err(AuthError::ApiKeyUnknown), "{unknown}");
    }
    let none = ServiceCredentials::default().verify_api_key(SERVICE_KEY, Role::Service);
    assert_eq!(none, Err(AuthError::ApiKeyUnknown));
}

#[test]
fn the_configuration_holds_the_hash_as_sha256sum_prints_it() {
    let config: ApiKeyConfig = serde_json::from_value(json!({
        "name": "licensing",
        "sha256": "B94D27B9934D3E08A52E52D7DA7DABFAC484EFE37A5380EE9088F7ACE2EFCDE9",
        "roles": ["service", "operator"],
    }))
    .unwrap();
    let hello = ApiKeyHash::of("hello world");
    assert_eq!(config.sha256, hello);
    assert_eq!(
        hello.to_string(),
        "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
    );
    assert_eq!(format!("{hello:?}"), "ApiKeyHash(..)");
    for broken in [
        json!({"name": "x", "sha256": SERVICE_KEY, "roles": []}),
        json!({"name": "x", "sha256": "b94d", "roles": []}),
        json!({"name": "x", "sha256": hello.to_string(), "roles": ["admin"]}),
        json!({"name": "x", "sha256": hello.to_string()}),
    ] {
        let error = serde_json::from_value::<ApiKeyConfig>(broken).unwrap_err().to_string();
        assert!(!error.contains(SERVICE_KEY), "{error}");
    }
}

#[tokio::test]
async fn a_token_lets_in_by_the_role_its_issuer_gives() {
    let key = TestKey::p256();
    let tokens = TokenVerifier::new(
        vec![IssuerConfig {
            issuer: "https://idp.example".to_owned(),
            audiences: vec!["carnet".to_owned()],
            keys: KeySource::Fixed(JwkSet::new(vec![key.jwk("k")])),
            claims: ClaimMapping {
                roles: Some(ClaimPath::new("realm_access.roles")),
                ..ClaimMapping::default()
            },
            operator_role: Some("support".to_owned()),
            service_role: None,
            leeway_seconds: 0,
        }],
        10,
    )
    .unwrap();
    let token = key.sign(
        "k",
        &json!({
            "iss": "https://idp.example", "aud": "carnet", "sub": "ada", "exp": 1_900_000_000,
            "realm_access": {"roles": ["support"]},
        }),
    );
    let credentials = credentials();
    let operator = credentials.verify(&token, Role::Operator, &tokens, NOW_MS).await.unwrap();
    assert_eq!(operator.name(), "ada");
    let service = credentials.verify(&token, Role::Service, &tokens, NOW_MS).await;
    assert_eq!(service, Err(AuthError::RoleMissing { role: "service" }));
    let by_key = credentials.verify(SERVICE_KEY, Role::Service, &tokens, NOW_MS).await.unwrap();
    assert_eq!(by_key.name(), "licensing");
    let nonsense = credentials.verify("nonsense", Role::Service, &tokens, NOW_MS).await;
    assert_eq!(nonsense.unwrap_err().code(), "token_invalid");
}
