//! Compact JSON Web Signatures (RFC 7515): how tokens, grants, leases and device proofs are signed.
//!
//! It signs with Ed25519 alone and verifies Ed25519, ES256 and RS256. It does not know what a claim
//! means, nor what time it is.

use std::fmt;
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::encoding::{array_from_base64url, base64url, base64url_onto, from_base64url};
use crate::jwk::{Algorithm, Jwk, JwkSet, PublicKey};

/// Longer text is refused unread. Real tokens have 1 to 4 KiB.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

const SIGNATURE_BASE64_BYTES: usize = 86;

/// In order of precedence. None of them carries a part of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is not a compact JWS of three base64url parts with a JSON header")]
    Malformed,
    #[error("the token's `alg` is none of `Ed25519`, `EdDSA`, `ES256` and `RS256`")]
    UnsupportedAlgorithm,
    #[error("the token's header asks for an extension (`crit` or `b64`) that is not understood")]
    UnsupportedExtension,
    #[error("the `jwk` in the token's header is not a public key that is understood")]
    BadHeaderKey,
    #[error("the token's `alg` does not fit the key")]
    AlgorithmMismatch,
    #[error("no known key bears the token's `kid`")]
    UnknownKey,
    #[error("the token bears no `kid`, and several known keys could have signed it")]
    AmbiguousKey,
    #[error("the token's signature does not verify")]
    BadSignature,
}

/// A token taken apart, nothing of which is to be believed yet.
#[derive(Debug)]
pub struct Unverified<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    jwk: Option<Jwk>,
    signing_input: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

/// A repeated member does not parse; members we do not use (`jku`, `x5c`, …) are never followed.
#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    #[serde(default, deserialize_with = "even_null")]
    jwk: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "even_null")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "even_null")]
    b64: Option<IgnoredAny>,
}

/// For members whose mere presence matters.
fn even_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

impl<'t> Unverified<'t> {
    pub fn parse(token: &'t str) -> Result<Self, JwsError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(JwsError::TooLong);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        // A third dot would be the payload's, which is not base64url then.
        let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Malformed)?;
        let header = from_base64url(header).ok_or(JwsError::Malformed)?;
        let header: RawHeader = serde_json::from_slice(&header).map_err(|_| JwsError::Malformed)?;
        let algorithm = Algorithm::parse(&header.alg).ok_or(JwsError::UnsupportedAlgorithm)?;
        if header.crit.is_some() || header.b64.is_some() {
            return Err(JwsError::UnsupportedExtension);
        }
        let jwk = header.jwk.map(serde_json::from_value).transpose();
        Ok(Self {
            algorithm,
            kid: header.kid,
            typ: header.typ,
            jwk: jwk.map_err(|_| JwsError::BadHeaderKey)?,
            signing_input,
            payload,
            signature: from_base64url(signature).ok_or(JwsError::Malformed)?,
        })
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    pub fn typ(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// The key that the token itself brings along, as device proofs do. Verifying with it shows
    /// that the sender holds that key, and nothing else.
    pub fn header_key(&self) -> Option<&Jwk> {
        self.jwk.as_ref()
    }

    /// For choosing the issuer whose keys to verify with. Believe nothing in it.
    pub fn unverified_payload(&self) -> Result<Vec<u8>, JwsError> {
        from_base64url(self.payload).ok_or(JwsError::Malformed)
    }

    /// The payload, once the signature is seen to be by `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<u8>, JwsError> {
        if key.algorithm() != self.algorithm {
            return Err(JwsError::AlgorithmMismatch);
        }
        let payload = self.unverified_payload()?;
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(JwsError::BadSignature);
        }
        Ok(payload)
    }

    /// The payload, once the signature is seen to be by a key of `keys`: one that bears the token's
    /// key id, or the only one that fits its algorithm when the token names none.
    pub fn verify_with(&self, keys: &JwkSet) -> Result<Vec<u8>, JwsError> {
        let Some(kid) = self.kid.as_deref() else {
            let mut fitting =
                keys.keys().iter().filter(|jwk| jwk.key.algorithm() == self.algorithm);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => self.verify(&only.key),
                (Some(_), Some(_)) => Err(JwsError::AmbiguousKey),
                (None, _) => Err(JwsError::UnknownKey),
            };
        };
        let mut answer = Err(JwsError::UnknownKey);
        for jwk in keys.keys().iter().filter(|jwk| jwk.kid.as_deref() == Some(kid)) {
            answer = self.verify(&jwk.key);
            if answer.is_ok() {
                break;
            }
        }
        answer
    }
}

/// An Ed25519 key that signs. Cheap to clone; its id is its thumbprint.
///
/// Buffers of this crate that held the private part are overwritten; the expanded key inside of the
/// cryptographic library is not.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    pair: Ed25519KeyPair,
    public: PublicKey,
    kid: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("the system's source of randomness failed")]
    NoRandomness,
    #[error("the file is neither a PEM `PRIVATE KEY` (PKCS#8) nor a JWK of an Ed25519 key")]
    NotAnEd25519Key,
    #[error("the private and the public part of the key do not belong together")]
    Inconsistent,
}

/// The DER of a PKCS#8 Ed25519 private key (RFC 8410) up to its 32 bytes.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

impl SigningKey {
    /// A new key, and its PKCS#8 form for keeping.
    pub fn generate() -> Result<(Self, Zeroizing<Vec<u8>>), SigningKeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(seed.as_mut()).map_err(|_| SigningKeyError::NoRandomness)?;
        let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
        pkcs8.extend_from_slice(&PKCS8_PREFIX);
        pkcs8.extend_from_slice(seed.as_ref());
        Ok((Self::from_pkcs8(&pkcs8)?, pkcs8))
    }

    /// With or without the public part, as different tools write it.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, SigningKeyError> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(Self::from_pair)
            .map_err(|_| SigningKeyError::NotAnEd25519Key)
    }

    /// A private JWK (RFC 8037): `kty` `OKP`, `crv` `Ed25519`, `x` and `d`.
    pub fn from_jwk(json: &str) -> Result<Self, SigningKeyError> {
        #[derive(Deserialize)]
        struct PrivateJwk {
            kty: String,
            crv: String,
            x: String,
            d: Zeroizing<String>,
        }
        let jwk: PrivateJwk =
            serde_json::from_str(json).map_err(|_| SigningKeyError::NotAnEd25519Key)?;
        if jwk.kty != "OKP" || jwk.crv != "Ed25519" {
            return Err(SigningKeyError::NotAnEd25519Key);
        }
        let seed = array_from_base64url::<32>(&jwk.d).map(Zeroizing::new);
        let public = array_from_base64url::<32>(&jwk.x);
        let (Some(seed), Some(public)) = (seed, public) else {
            return Err(SigningKeyError::NotAnEd25519Key);
        };
        Ed25519KeyPair::from_seed_and_public_key(seed.as_ref(), &public)
            .map(Self::from_pair)
            .map_err(|_| SigningKeyError::Inconsistent)
    }

    fn from_pair(pair: Ed25519KeyPair) -> Self {
        let mut x = [0; 32];
        x.iter_mut().zip(pair.public_key().as_ref()).for_each(|(to, from)| *to = *from);
        let public = PublicKey::Ed25519 { x };
        let kid = public.thumbprint();
        Self(Arc::new(Inner { pair, public, kid }))
    }

    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    pub fn public_jwk(&self) -> Jwk {
        Jwk { kid: Some(self.0.kid.clone()), key: self.0.public.clone() }
    }

    /// Signs tokens of one type. The header is encoded here, once.
    pub fn signer(&self, typ: &str) -> Signer {
        let header =
            serde_json::json!({ "alg": "Ed25519", "typ": typ, "kid": self.kid() }).to_string();
        Signer { key: self.clone(), prefix: base64url(header) + "." }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.kid())
    }
}

/// A signing key together with the header that all its tokens share.
#[derive(Debug, Clone)]
pub struct Signer {
    key: SigningKey,
    prefix: String,
}

impl Signer {
    /// One allocation and one signature: this stands in the way of every acquisition.
    pub fn sign_compact(&self, payload: &[u8]) -> String {
        let payload_bytes = payload.len().div_ceil(3) * 4;
        let mut token =
            String::with_capacity(self.prefix.len() + payload_bytes + 1 + SIGNATURE_BASE64_BYTES);
        token.push_str(&self.prefix);
        base64url_onto(payload, &mut token);
        let signature = self.key.0.pair.sign(token.as_bytes());
        token.push('.');
        base64url_onto(signature.as_ref(), &mut token);
        token
    }
}

#[cfg(test)]
mod tests;
