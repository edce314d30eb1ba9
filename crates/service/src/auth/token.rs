//! Tokens of the customer's identity provider: JWT (RFC 7519), verified with the issuer's published
//! keys, remembered until they expire.

use std::sync::Arc;

use domain::MemberFacts;
use domain::{DeviceId, KeyThumbprint, MemberId};
use drm::encoding::base64url;
use drm::jws::{JwsError, Unverified};
use quick_cache::sync::Cache;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::ClaimMapping;
use super::error::AuthError;
use super::jwks::{KeySet, KeySetError, KeySource};
use super::strict_json;

pub const LEEWAY_SECONDS_MAX: u32 = 120;
const LEEWAY_SECONDS_DEFAULT: u32 = 5;

/// One trusted issuer, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// Exactly the token's `iss`.
    pub issuer: String,
    /// The token's `aud` must name one of them.
    pub audiences: Vec<String>,
    /// The URL or file of the issuer's JWK set.
    pub keys: KeySource,
    #[serde(default)]
    pub claims: ClaimMapping,
    /// The word among the mapped roles that makes an operator. Without it, nobody from this issuer
    /// is one.
    #[serde(default)]
    pub operator_role: Option<String>,
    /// The same for the customer's services.
    #[serde(default)]
    pub service_role: Option<String>,
    /// How far `exp` and `nbf` may be overstepped.
    #[serde(default = "leeway_seconds_default")]
    pub leeway_seconds: u32,
}

fn leeway_seconds_default() -> u32 {
    LEEWAY_SECONDS_DEFAULT
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerConfigError {
    #[error("issuer `{0}` is configured twice: merge the two entries")]
    Duplicate(String),
    #[error("issuer `{0}` has no `audiences`: name the audience that its tokens for Carnet bear")]
    NoAudience(String),
    #[error("issuer `{0}` has an operator or service role and no `claims.roles` to find it in")]
    NoRolesClaim(String),
    #[error(
        "`leeway_seconds` of issuer `{0}` is above {LEEWAY_SECONDS_MAX}: set the clocks instead"
    )]
    Leeway(String),
}

/// What a role allows, whatever word the issuer has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A service of the customer that acts for any member and supplies the facts.
    Service,
    /// Support and studio operations.
    Operator,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Operator => "operator",
        }
    }
}

/// What a token says, once all of it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedToken {
    pub issuer: Arc<str>,
    /// `sub`, when there is one: who an operator is in the records.
    pub subject: Option<String>,
    /// Absent in tokens of services and operators.
    pub member: Option<MemberId>,
    pub device: Option<DeviceId>,
    pub facts: MemberFacts,
    pub roles: Vec<Role>,
    /// `cnf.jkt`: proofs must be by this key and no other.
    pub bound_key: Option<KeyThumbprint>,
    /// As device proofs name it (`ath`): base64url of the SHA-256 of its text.
    pub hash: String,
    member_claim: Arc<str>,
    starts_at_ms: i64,
    ends_at_ms: i64,
}

impl VerifiedToken {
    pub fn member(&self) -> Result<&MemberId, AuthError> {
        let missing = || AuthError::ClaimMissing { claim: self.member_claim.to_string() };
        self.member.as_ref().ok_or_else(missing)
    }

    pub fn require(&self, role: Role) -> Result<(), AuthError> {
        match self.roles.contains(&role) {
            true => Ok(()),
            false => Err(AuthError::RoleMissing { role: role.name() }),
        }
    }

    fn check_times(&self, now_ms: i64) -> Result<(), AuthError> {
        if now_ms < self.starts_at_ms {
            return Err(AuthError::TokenNotYet);
        }
        if now_ms >= self.ends_at_ms {
            return Err(AuthError::TokenExpired);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Issuer {
    name: Arc<str>,
    member_claim: Arc<str>,
    config: IssuerConfig,
    keys: KeySet,
}

/// Of one issuer's keys at one time.
#[derive(Debug, Clone)]
struct Remembered {
    token: Arc<VerifiedToken>,
    issuer: usize,
    generation: u64,
}

/// Verifies tokens of several issuers. An asymmetric signature is checked once per token, key set
/// and instance, not once per request.
#[derive(Debug)]
pub struct TokenVerifier {
    issuers: Vec<Issuer>,
    /// By the SHA-256 of the token's text: the text itself is not kept.
    remembered: Cache<[u8; 32], Remembered>,
}

impl TokenVerifier {
    /// `tokens_max`: how many tokens are remembered, at roughly half a kilobyte each.
    pub fn new(configs: Vec<IssuerConfig>, tokens_max: usize) -> Result<Self, IssuerConfigError> {
        let mut issuers: Vec<Issuer> = Vec::with_capacity(configs.len());
        for config in configs {
            if issuers.iter().any(|issuer| *issuer.name == *config.issuer) {
                return Err(IssuerConfigError::Duplicate(config.issuer));
            }
            issuers.push(Issuer::new(config)?);
        }
        Ok(Self { issuers, remembered: Cache::new(tokens_max) })
    }

    /// With the keys that are known now. [`verify`](Self::verify) is for requests.
    pub fn verify_with_known_keys(
        &self,
        token: &str,
        now_ms: i64,
    ) -> Result<Arc<VerifiedToken>, AuthError> {
        // The length is checked first: hashing is work as well.
        if token.len() > drm::jws::TOKEN_BYTES_MAX {
            return Err(AuthError::Token(JwsError::TooLong));
        }
        let key = hash(token);
        if let Some(remembered) = self.remembered.get(&key) {
            let generation = self.issuers.get(remembered.issuer).map(|i| i.keys.generation());
            if generation == Some(remembered.generation) {
                remembered.token.check_times(now_ms)?;
                return Ok(remembered.token);
            }
        }
        let parsed = Unverified::parse(token)?;
        let index = self.issuer_of(&parsed)?;
        let issuer = self.issuers.get(index).ok_or(AuthError::TokenIssuer)?;
        let (verified, generation) = issuer.verify(&parsed, base64url(key))?;
        verified.check_times(now_ms)?;
        let token = Arc::new(verified);
        let remembered = Remembered { token: Arc::clone(&token), issuer: index, generation };
        self.remembered.insert(key, remembered);
        Ok(token)
    }

    /// Fetches the issuer's keys again when the token names one that is not known.
    pub async fn verify(&self, token: &str, now_ms: i64) -> Result<Arc<VerifiedToken>, AuthError> {
        let first = self.verify_with_known_keys(token, now_ms);
        let is_key_unknown = matches!(
            first,
            Err(AuthError::Token(JwsError::UnknownKey) | AuthError::KeysUnavailable)
        );
        if !is_key_unknown {
            return first;
        }
        let index = self.issuer_of(&Unverified::parse(token)?)?;
        let issuer = self.issuers.get(index).ok_or(AuthError::TokenIssuer)?;
        match issuer.keys.refresh_for_unknown_key(now_ms).await {
            true => self.verify_with_known_keys(token, now_ms),
            false => first,
        }
    }

    /// Fetches all key sets: at the start, and then every few minutes so that a key that its issuer
    /// has withdrawn is not trusted for longer. The caller logs what failed; the old keys stay.
    pub async fn refresh_keys(&self, now_ms: i64) -> Vec<KeySetError> {
        let mut errors = Vec::new();
        for issuer in &self.issuers {
            errors.extend(issuer.keys.refresh(now_ms).await.err());
        }
        errors
    }

    /// Whether the keys of all issuers have been fetched at least once.
    pub fn is_ready(&self) -> bool {
        self.issuers.iter().all(|issuer| !issuer.keys.current().keys.keys().is_empty())
    }

    /// The unverified `iss` only chooses whose keys must have signed the token.
    fn issuer_of(&self, token: &Unverified<'_>) -> Result<usize, AuthError> {
        #[derive(Deserialize)]
        struct Iss {
            iss: Option<String>,
        }
        let payload = token.unverified_payload()?;
        let claims: Iss =
            serde_json::from_slice(&payload).map_err(|_| AuthError::TokenMalformed)?;
        let name = claims.iss.ok_or(AuthError::TokenIssuer)?;
        let position = self.issuers.iter().position(|issuer| *issuer.name == *name);
        position.ok_or(AuthError::TokenIssuer)
    }
}

impl Issuer {
    fn new(config: IssuerConfig) -> Result<Self, IssuerConfigError> {
        if config.audiences.is_empty() {
            return Err(IssuerConfigError::NoAudience(config.issuer));
        }
        let has_roles = config.operator_role.is_some() || config.service_role.is_some();
        if has_roles && config.claims.roles.is_none() {
            return Err(IssuerConfigError::NoRolesClaim(config.issuer));
        }
        if config.leeway_seconds > LEEWAY_SECONDS_MAX {
            return Err(IssuerConfigError::Leeway(config.issuer));
        }
        Ok(Self {
            name: config.issuer.as_str().into(),
            member_claim: config.claims.member.name().into(),
            keys: KeySet::new(config.keys.clone()),
            config,
        })
    }

    /// All but the times, and the generation of the keys that verified it.
    fn verify(
        &self,
        token: &Unverified<'_>,
        hash: String,
    ) -> Result<(VerifiedToken, u64), AuthError> {
        if !is_access_token(token.typ()) {
            return Err(AuthError::TokenType);
        }
        let snapshot = self.keys.current();
        if snapshot.keys.keys().is_empty() {
            return Err(AuthError::KeysUnavailable);
        }
        let payload = token.verify_with(&snapshot.keys)?;
        let claims = strict_json::object(&payload).ok_or(AuthError::TokenMalformed)?;
        if claims.get("iss").and_then(Value::as_str) != Some(&self.name) {
            return Err(AuthError::TokenIssuer);
        }
        if !self.is_for_us(&claims) {
            return Err(AuthError::TokenAudience);
        }
        Ok((self.read(&claims, hash)?, snapshot.generation))
    }

    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let is_ours = |aud: &Value| {
            aud.as_str().is_some_and(|aud| self.config.audiences.iter().any(|ours| ours == aud))
        };
        match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
            Some(audience) => is_ours(audience),
            None => false,
        }
    }

    fn read(&self, claims: &Map<String, Value>, hash: String) -> Result<VerifiedToken, AuthError> {
        let leeway_ms = i64::from(self.config.leeway_seconds) * 1000;
        let expires_at_ms = numeric_date_ms(claims, "exp")?
            .ok_or_else(|| AuthError::ClaimMissing { claim: "exp".to_owned() })?;
        let starts_at_ms = numeric_date_ms(claims, "nbf")?.unwrap_or(i64::MIN);
        let mapped = self.config.claims.apply(claims)?;
        let has = |word: &Option<String>| {
            word.as_ref().is_some_and(|word| mapped.roles.iter().any(|role| role == word))
        };
        let mut roles = Vec::new();
        if has(&self.config.service_role) {
            roles.push(Role::Service);
        }
        if has(&self.config.operator_role) {
            roles.push(Role::Operator);
        }
        Ok(VerifiedToken {
            issuer: Arc::clone(&self.name),
            subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned),
            member: mapped.member,
            device: mapped.device,
            facts: mapped.facts,
            roles,
            bound_key: bound_key(claims)?,
            hash,
            member_claim: Arc::clone(&self.member_claim),
            starts_at_ms: starts_at_ms.saturating_sub(leeway_ms),
            ends_at_ms: expires_at_ms.saturating_add(leeway_ms),
        })
    }
}

/// Explicit types keep a proof, a grant or a lease from passing for a token.
fn is_access_token(typ: Option<&str>) -> bool {
    let Some(typ) = typ else { return true };
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

/// Seconds since 1970; the standard allows decimals.
fn numeric_date_ms(claims: &Map<String, Value>, claim: &str) -> Result<Option<i64>, AuthError> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let ms = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => Some(seconds.saturating_mul(1000)),
        #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
        (None, Some(seconds)) => Some((seconds * 1000.0) as i64),
        (None, None) => None,
    };
    ms.map(Some).ok_or_else(|| AuthError::ClaimInvalid {
        claim: claim.to_owned(),
        problem: "it is not a number of seconds since 1970".to_owned(),
    })
}

/// A confirmation that is there and cannot be checked must not be passed over.
fn bound_key(claims: &Map<String, Value>) -> Result<Option<KeyThumbprint>, AuthError> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let invalid = || AuthError::ClaimInvalid {
        claim: "cnf".to_owned(),
        problem: "only `jkt`, the thumbprint of a key, can be checked here".to_owned(),
    };
    let jkt = confirmation.get("jkt").and_then(Value::as_str);
    jkt.and_then(|jkt| KeyThumbprint::new(jkt).ok()).map(Some).ok_or_else(invalid)
}

fn hash(token: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    let hashed = digest(&SHA256, token.as_bytes());
    bytes.iter_mut().zip(hashed.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

#[cfg(test)]
mod tests;
