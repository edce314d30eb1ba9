//! Public keys as JSON (RFC 7517, 7518, 8037) and their thumbprints (RFC 7638).
//!
//! Only keys that can verify one of our three algorithms are keys here; private members are
//! refused, so that a private key sent by mistake is not carried further.

use std::fmt;

use ring::digest::{SHA256, digest};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::encoding::{array_from_base64url, base64url, from_base64url};

/// Keys that one set may hold; identity providers publish two or three.
pub const KEYS_MAX: usize = 64;

/// Bytes of a key set's text.
pub const JWK_SET_BYTES_MAX: usize = 256 * 1024;

const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// The signature algorithms that are understood, each bound to one type of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `Ed25519` (RFC 9864), or `EdDSA` as it was called before.
    Ed25519,
    Es256,
    Rs256,
}

impl Algorithm {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "Ed25519" | "EdDSA" => Some(Self::Ed25519),
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    Ed25519 {
        x: [u8; 32],
    },
    P256 {
        x: [u8; 32],
        y: [u8; 32],
    },
    /// Big-endian, without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl PublicKey {
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ed25519 { .. } => Algorithm::Ed25519,
            Self::P256 { .. } => Algorithm::Es256,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// RFC 7638: base64url of the SHA-256 of the required members in a fixed order.
    pub fn thumbprint(&self) -> String {
        let members = match self {
            Self::Ed25519 { x } => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(x))
            }
            Self::P256 { x, y } => format!(
                r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                base64url(x),
                base64url(y)
            ),
            Self::Rsa { n, e } => {
                format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url(e), base64url(n))
            }
        };
        base64url(digest(&SHA256, members.as_bytes()))
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match self {
            Self::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
            Self::P256 { x, y } => {
                let mut point = [4; 65]; // 4: uncompressed
                point.iter_mut().skip(1).zip(x.iter().chain(y)).for_each(|(to, from)| *to = *from);
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Self::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                message,
                signature,
            ),
        };
        verified.is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?} {})", self.algorithm(), self.thumbprint())
    }
}

/// One public key, with the id under which tokens name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwk {
    pub kid: Option<String>,
    pub key: PublicKey,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("the key is not a JSON Web Key: {0}")]
    Malformed(String),
    #[error(
        "a key of type `{kty}` with curve `{crv}` is not understood: use OKP `Ed25519`, EC `P-256` or RSA"
    )]
    UnsupportedType { kty: String, crv: String },
    #[error(
        "the key is meant for `{0}`: use one whose `use`, `key_ops` and `alg` allow verifying with Ed25519, ES256 or RS256"
    )]
    OtherPurpose(String),
    #[error("member `{0}` is missing or is not base64url of the right length")]
    BadMember(&'static str),
    #[error(
        "the RSA key has {bits} bits: use one of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits with an odd exponent above 1"
    )]
    WeakRsa { bits: usize },
    #[error("the key holds its private part: publish only the public one")]
    Private,
}

impl Jwk {
    pub fn parse(json: &str) -> Result<Self, JwkError> {
        let raw: RawJwk =
            serde_json::from_str(json).map_err(|error| JwkError::Malformed(error.to_string()))?;
        Self::try_from(raw)
    }

    pub fn thumbprint(&self) -> String {
        self.key.thumbprint()
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawJwk::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(RawJwk::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The members that matter, as they are spelled. A repeated one does not parse.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RawJwk {
    kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    purpose: Option<String>,
    #[serde(skip_serializing)]
    key_ops: Option<Vec<String>>,
    #[serde(skip_serializing)]
    d: Option<IgnoredAny>,
    #[serde(skip_serializing)]
    k: Option<IgnoredAny>,
}

impl From<&Jwk> for RawJwk {
    fn from(jwk: &Jwk) -> Self {
        let common = Self {
            kid: jwk.kid.clone(),
            purpose: Some("sig".to_owned()),
            alg: Some(
                match jwk.key.algorithm() {
                    Algorithm::Ed25519 => "Ed25519",
                    Algorithm::Es256 => "ES256",
                    Algorithm::Rs256 => "RS256",
                }
                .to_owned(),
            ),
            ..Self::default()
        };
        match &jwk.key {
            PublicKey::Ed25519 { x } => Self {
                kty: "OKP".to_owned(),
                crv: Some("Ed25519".to_owned()),
                x: Some(base64url(x)),
                ..common
            },
            PublicKey::P256 { x, y } => Self {
                kty: "EC".to_owned(),
                crv: Some("P-256".to_owned()),
                x: Some(base64url(x)),
                y: Some(base64url(y)),
                ..common
            },
            PublicKey::Rsa { n, e } => Self {
                kty: "RSA".to_owned(),
                n: Some(base64url(n)),
                e: Some(base64url(e)),
                ..common
            },
        }
    }
}

impl TryFrom<RawJwk> for Jwk {
    type Error = JwkError;

    fn try_from(raw: RawJwk) -> Result<Self, JwkError> {
        if raw.d.is_some() || raw.k.is_some() {
            return Err(JwkError::Private);
        }
        let key = public_key(&raw)?;
        if let Some(purpose) = raw.purpose.filter(|purpose| purpose != "sig") {
            return Err(JwkError::OtherPurpose(purpose));
        }
        if let Some(operations) = raw.key_ops.filter(|ops| !ops.iter().any(|op| op == "verify")) {
            return Err(JwkError::OtherPurpose(operations.join(", ")));
        }
        if let Some(alg) = raw.alg.filter(|alg| Algorithm::parse(alg) != Some(key.algorithm())) {
            return Err(JwkError::OtherPurpose(alg));
        }
        Ok(Self { kid: raw.kid, key })
    }
}

fn public_key(raw: &RawJwk) -> Result<PublicKey, JwkError> {
    let member = |name, text: &Option<String>| {
        text.as_deref().and_then(array_from_base64url).ok_or(JwkError::BadMember(name))
    };
    match (raw.kty.as_str(), raw.crv.as_deref()) {
        ("OKP", Some("Ed25519")) => Ok(PublicKey::Ed25519 { x: member("x", &raw.x)? }),
        ("EC", Some("P-256")) => {
            Ok(PublicKey::P256 { x: member("x", &raw.x)?, y: member("y", &raw.y)? })
        }
        ("RSA", _) => rsa(raw),
        (kty, crv) => Err(JwkError::UnsupportedType {
            kty: kty.to_owned(),
            crv: crv.unwrap_or_default().to_owned(),
        }),
    }
}

fn rsa(raw: &RawJwk) -> Result<PublicKey, JwkError> {
    // Some providers write a leading zero; the number, and so the thumbprint, is the same.
    let number = |name, text: &Option<String>| {
        let bytes = text.as_deref().and_then(from_base64url).ok_or(JwkError::BadMember(name))?;
        Ok(bytes.into_iter().skip_while(|byte| *byte == 0).collect::<Vec<u8>>())
    };
    let n = number("n", &raw.n)?;
    let e = number("e", &raw.e)?;
    let unused = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - unused;
    let exponent_fits =
        e.len() <= RSA_EXPONENT_BYTES_MAX && e.last().is_some_and(|byte| byte % 2 == 1) && e != [1];
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || !exponent_fits {
        return Err(JwkError::WeakRsa { bits });
    }
    Ok(PublicKey::Rsa { n, e })
}

/// A published set of keys. Those that we could not verify with anyway are left out on parsing:
/// providers publish encryption keys and other curves beside the one that signs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Debug, thiserror::Error)]
pub enum JwkSetError {
    #[error("the key set has {bytes} bytes, more than the {JWK_SET_BYTES_MAX} that are read")]
    TooLong { bytes: usize },
    #[error("the key set is not a JSON object with a list `keys`: {0}")]
    Malformed(String),
    #[error("the key set holds {keys} keys, more than the {KEYS_MAX} that are kept")]
    TooMany { keys: usize },
    #[error("the key set holds no usable key: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    NoneUsable(Vec<JwkError>),
}

impl JwkSet {
    pub fn new(keys: Vec<Jwk>) -> Self {
        Self { keys }
    }

    pub fn parse(json: &str) -> Result<Self, JwkSetError> {
        #[derive(Deserialize)]
        struct Raw {
            keys: Vec<serde_json::Value>,
        }
        if json.len() > JWK_SET_BYTES_MAX {
            return Err(JwkSetError::TooLong { bytes: json.len() });
        }
        let raw: Raw = serde_json::from_str(json)
            .map_err(|error| JwkSetError::Malformed(error.to_string()))?;
        if raw.keys.len() > KEYS_MAX {
            return Err(JwkSetError::TooMany { keys: raw.keys.len() });
        }
        let mut keys = Vec::with_capacity(raw.keys.len());
        let mut left_out = Vec::new();
        for value in raw.keys {
            let parsed = serde_json::from_value::<RawJwk>(value)
                .map_err(|error| JwkError::Malformed(error.to_string()))
                .and_then(Jwk::try_from);
            match parsed {
                Ok(key) => keys.push(key),
                Err(error) => left_out.push(error),
            }
        }
        if keys.is_empty() {
            return Err(JwkSetError::NoneUsable(left_out));
        }
        Ok(Self { keys })
    }

    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }
}

#[cfg(test)]
mod tests;
