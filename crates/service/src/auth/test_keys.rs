//! Keys of the three algorithms that sign for the tests, as an identity provider or a device would.

use drm::encoding::base64url;
use drm::jwk::{Jwk, PublicKey};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

/// Made for these tests by `openssl genpkey` and used nowhere else: making one takes a while, and
/// the library cannot.
const RSA_PKCS8: &[u8] = include_bytes!("fixtures/rs256.pkcs8.der");

pub(super) enum TestKey {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl TestKey {
    pub(super) fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    pub(super) fn p256() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
    }

    pub(super) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(RSA_PKCS8).unwrap())
    }

    pub(super) fn all() -> [Self; 3] {
        [Self::ed25519(), Self::p256(), Self::rsa()]
    }

    pub(super) fn alg(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(super) fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(pair) => {
                PublicKey::Ed25519 { x: pair.public_key().as_ref().try_into().unwrap() }
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                PublicKey::P256 {
                    x: point[1..33].try_into().unwrap(),
                    y: point[33..65].try_into().unwrap(),
                }
            }
            Self::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::from(pair.public());
                PublicKey::Rsa { n, e }
            }
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Jwk {
        Jwk { kid: Some(kid.to_owned()), key: self.public() }
    }

    /// A compact JWS of exactly this header.
    pub(super) fn sign_with(&self, header: &Value, claims: &str) -> String {
        let input = format!("{}.{}", base64url(header.to_string()), base64url(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Ed25519(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
            Self::P256(pair) => pair.sign(&random, input.as_bytes()).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{input}.{}", base64url(signature))
    }

    /// A token as identity providers sign them.
    pub(super) fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.alg(), "typ": "JWT", "kid": kid});
        self.sign_with(&header, &claims.to_string())
    }
}
