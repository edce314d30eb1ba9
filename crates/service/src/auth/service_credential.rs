//! The customer's services and operators: an API key that the configuration knows by its hash, or a
//! token with the right role.

use std::fmt;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer, de};
use subtle::ConstantTimeEq as _;

use super::error::AuthError;
use super::token::{Role, TokenVerifier, VerifiedToken};

/// What API keys begin with. Tells them from tokens, and lets secret scanners find leaked ones.
pub const API_KEY_PREFIX: &str = "carnet_";

/// Shorter keys could be guessed from their hash. 32 characters after the prefix are 128 bits even
/// in hex.
const API_KEY_BYTES_MIN: usize = API_KEY_PREFIX.len() + 32;
const API_KEY_BYTES_MAX: usize = 256;

/// An API key as configured: who bears it, its hash, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// For the records: which service or person this is.
    pub name: String,
    pub sha256: ApiKeyHash,
    pub roles: Vec<Role>,
}

/// The SHA-256 of an API key's text, in the configuration as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyHash([u8; 32]);

impl ApiKeyHash {
    pub fn of(api_key: &str) -> Self {
        let mut bytes = [0; 32];
        let hashed = digest(&SHA256, api_key.as_bytes());
        bytes.iter_mut().zip(hashed.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ApiKeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeyHash(..)")
    }
}

impl<'de> Deserialize<'de> for ApiKeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        drm::encoding::array_from_hex(&text).map(Self).ok_or_else(|| {
            // The text is not quoted: somebody may have pasted the key itself.
            de::Error::custom(
                "the `sha256` of an API key is 64 hex digits, as `printf %s KEY | sha256sum` prints them",
            )
        })
    }
}

/// Whoever acts with a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    ApiKey { name: Arc<str> },
    Token(Arc<VerifiedToken>),
}

impl Caller {
    /// Who did it, for the records.
    pub fn name(&self) -> &str {
        match self {
            Self::ApiKey { name } => name,
            Self::Token(token) => token.subject.as_deref().unwrap_or(&token.issuer),
        }
    }
}

#[derive(Debug)]
struct ApiKey {
    name: Arc<str>,
    hash: ApiKeyHash,
    roles: Vec<Role>,
}

#[derive(Debug, Default)]
pub struct ServiceCredentials {
    api_keys: Vec<ApiKey>,
}

impl ServiceCredentials {
    pub fn new(configs: Vec<ApiKeyConfig>) -> Self {
        let api_keys = configs
            .into_iter()
            .map(|ApiKeyConfig { name, sha256, roles }| ApiKey {
                name: name.into(),
                hash: sha256,
                roles,
            })
            .collect();
        Self { api_keys }
    }

    /// Lets in who bears `role`, by API key or by token.
    pub async fn verify(
        &self,
        credential: &str,
        role: Role,
        tokens: &TokenVerifier,
        now_ms: i64,
    ) -> Result<Caller, AuthError> {
        if credential.starts_with(API_KEY_PREFIX) {
            return self.verify_api_key(credential, role);
        }
        let token = tokens.verify(credential, now_ms).await?;
        token.require(role)?;
        Ok(Caller::Token(token))
    }

    pub fn verify_api_key(&self, api_key: &str, role: Role) -> Result<Caller, AuthError> {
        if !(API_KEY_BYTES_MIN..=API_KEY_BYTES_MAX).contains(&api_key.len()) {
            return Err(AuthError::ApiKeyUnknown);
        }
        let hash = ApiKeyHash::of(api_key);
        // Every key is compared, and each in constant time.
        let mut found = None;
        for known in &self.api_keys {
            if bool::from(known.hash.0.ct_eq(&hash.0)) {
                found = Some(known);
            }
        }
        let known = found.ok_or(AuthError::ApiKeyUnknown)?;
        match known.roles.contains(&role) {
            true => Ok(Caller::ApiKey { name: Arc::clone(&known.name) }),
            false => Err(AuthError::RoleMissing { role: role.name() }),
        }
    }
}

#[cfg(test)]
mod tests;
