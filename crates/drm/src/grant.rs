//! The grant: a short-lived signed token that says "issue this DRM license".
//!
//! It is all that a DRM tier needs to be told. It carries no decision to argue with: whoever signed
//! it had decided. It is a bearer token, so it lives two minutes at most, and an instance that sees
//! one again gives the same keys for the same key ids and refuses anything else.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::expiring::{ExpiringMap, Seen, half_digest};
use crate::jwk::JwkSet;
use crate::jws::{JwsError, Signer, SigningKey, Unverified};
use crate::key_id::KeyId;

pub const TTL_SECONDS_MAX: i64 = 120;

/// How far the clocks of signer and verifier may lie apart.
pub const SKEW_SECONDS: i64 = 5;

/// A title has a handful: one for each kind of track.
pub const KIDS_MAX: usize = 64;

/// Tells a grant from a lease, which the same keys sign.
const TYP: &str = "carnet-grant+jwt";

/// What a license is for: one playback now, or keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionType {
    #[serde(rename = "temporary")]
    Temporary,
    #[serde(rename = "persistent-license")]
    PersistentLicense,
}

impl SessionType {
    /// A copy may also be played without being stored by the CDM: browsers whose Clear Key knows
    /// only temporary sessions keep the license in the app. The reverse would be a free download.
    pub fn covers(self, requested: Self) -> bool {
        self == Self::PersistentLicense || requested == Self::Temporary
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::PersistentLicense => "persistent-license",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Unique, from the caller's randomness.
    pub id: String,
    pub member: String,
    pub device: String,
    pub title: String,
    /// The offline license that this serves; a stream has none.
    pub license: Option<String>,
    pub kids: Vec<KeyId>,
    pub session: SessionType,
}

/// A grant whose signature, issuer, audience and times were found in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGrant {
    pub grant: Grant,
    /// When the last instance stops accepting it, skew included.
    pub ends_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    #[serde(borrow)]
    jti: Cow<'a, str>,
    iss: Cow<'a, str>,
    aud: Cow<'a, str>,
    member: Cow<'a, str>,
    device: Cow<'a, str>,
    title: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    license: Option<Cow<'a, str>>,
    kids: Cow<'a, [KeyId]>,
    session: SessionType,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// In order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    #[error("the grant is not a valid signed token: {0}")]
    Token(#[from] JwsError),
    #[error("the token is not a grant: its `typ` is not `{TYP}`")]
    NotAGrant,
    #[error("a claim of the grant is missing or malformed")]
    Malformed,
    #[error("the grant is from another issuer")]
    Issuer,
    #[error("the grant is for another audience")]
    Audience,
    #[error("the grant lives longer than {TTL_SECONDS_MAX} seconds")]
    LivesTooLong,
    #[error("the grant is not valid yet")]
    NotYet,
    #[error("the grant has expired: ask for a new one")]
    Expired,
}

#[derive(Debug, Clone)]
pub struct GrantSigner {
    signer: Signer,
    issuer: String,
    audience: String,
    ttl_seconds: i64,
}

impl GrantSigner {
    /// A `ttl_seconds` outside of 1 to [`TTL_SECONDS_MAX`] is brought inside.
    pub fn new(key: &SigningKey, issuer: &str, audience: &str, ttl_seconds: i64) -> Self {
        Self {
            signer: key.signer(TYP),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            ttl_seconds: ttl_seconds.clamp(1, TTL_SECONDS_MAX),
        }
    }

    pub fn sign(&self, grant: &Grant, now_ms: i64) -> String {
        let now_seconds = now_ms.div_euclid(1000);
        let claims = Claims {
            jti: Cow::Borrowed(&grant.id),
            iss: Cow::Borrowed(&self.issuer),
            aud: Cow::Borrowed(&self.audience),
            member: Cow::Borrowed(&grant.member),
            device: Cow::Borrowed(&grant.device),
            title: Cow::Borrowed(&grant.title),
            license: grant.license.as_deref().map(Cow::Borrowed),
            kids: Cow::Borrowed(&grant.kids),
            session: grant.session,
            iat: now_seconds,
            nbf: now_seconds,
            exp: now_seconds.saturating_add(self.ttl_seconds),
        };
        // Strings and numbers into memory: there is nothing that could fail.
        self.signer.sign_compact(&serde_json::to_vec(&claims).unwrap_or_default())
    }
}

#[derive(Debug, Clone)]
pub struct GrantVerifier {
    issuer: String,
    audience: String,
}

impl GrantVerifier {
    pub fn new(issuer: &str, audience: &str) -> Self {
        Self { issuer: issuer.to_owned(), audience: audience.to_owned() }
    }

    pub fn verify(
        &self,
        token: &str,
        keys: &JwkSet,
        now_ms: i64,
    ) -> Result<VerifiedGrant, GrantError> {
        let token = Unverified::parse(token)?;
        if token.typ() != Some(TYP) {
            return Err(GrantError::NotAGrant);
        }
        let payload = token.verify_with(keys)?;
        let claims: Claims<'_> =
            serde_json::from_slice(&payload).map_err(|_| GrantError::Malformed)?;
        if claims.kids.is_empty() || claims.kids.len() > KIDS_MAX || claims.jti.is_empty() {
            return Err(GrantError::Malformed);
        }
        if claims.iss != self.issuer {
            return Err(GrantError::Issuer);
        }
        if claims.aud != self.audience {
            return Err(GrantError::Audience);
        }
        let ends_at_ms = check_times(&claims, now_ms)?;
        Ok(VerifiedGrant { grant: claims.into(), ends_at_ms })
    }
}

fn check_times(claims: &Claims<'_>, now_ms: i64) -> Result<i64, GrantError> {
    let ms = |seconds: i64| seconds.saturating_mul(1000);
    let starts = claims.nbf.min(claims.iat);
    if claims.exp.saturating_sub(starts) > TTL_SECONDS_MAX {
        return Err(GrantError::LivesTooLong);
    }
    let latest_start = claims.nbf.max(claims.iat);
    if now_ms < ms(latest_start.saturating_sub(SKEW_SECONDS)) {
        return Err(GrantError::NotYet);
    }
    let ends_at_ms = ms(claims.exp.saturating_add(SKEW_SECONDS));
    if now_ms >= ends_at_ms {
        return Err(GrantError::Expired);
    }
    Ok(ends_at_ms)
}

impl From<Claims<'_>> for Grant {
    fn from(claims: Claims<'_>) -> Self {
        Self {
            id: claims.jti.into_owned(),
            member: claims.member.into_owned(),
            device: claims.device.into_owned(),
            title: claims.title.into_owned(),
            license: claims.license.map(Cow::into_owned),
            kids: claims.kids.into_owned(),
            session: claims.session,
        }
    }
}

/// What this instance has given for which grant.
///
/// It promises what one instance can: of several stateless instances each would give once for
/// a stolen grant within its two minutes. Routing requests by grant id makes it exact.
#[derive(Debug)]
pub struct GrantMemory {
    uses: ExpiringMap<[u8; 16]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantUseError {
    #[error("the grant was used for other keys: ask for a new one")]
    UsedForOtherKeys,
    #[error("the grant has expired: ask for a new one")]
    Expired,
    /// Safe rather than available: the alternative would be to forget a grant that is still valid.
    #[error("this instance remembers as many grants as it may: try again in a few seconds")]
    Full,
}

impl GrantMemory {
    /// An entry takes about 60 bytes and stays 125 s at most: for 1,000 licenses a second have
    /// room for 125,000.
    pub fn new(grants_max: usize) -> Self {
        Self { uses: ExpiringMap::new(grants_max) }
    }

    /// Binds the grant to this use, or finds that this is the use it is bound to. Call it last,
    /// when everything else about the request is in order: a refused request uses nothing up.
    pub fn admit(
        &self,
        grant: &VerifiedGrant,
        session: SessionType,
        kids: &[KeyId],
        now_ms: i64,
    ) -> Result<(), GrantUseError> {
        let this_use = fingerprint(session, kids);
        match self.uses.see(grant.grant.id.as_bytes(), this_use, grant.ends_at_ms, now_ms) {
            Seen::First => Ok(()),
            Seen::Before(first_use) if first_use == this_use => Ok(()),
            Seen::Before(_) => Err(GrantUseError::UsedForOtherKeys),
            Seen::Over => Err(GrantUseError::Expired),
            Seen::Full => Err(GrantUseError::Full),
        }
    }

    pub fn len(&self) -> usize {
        self.uses.len()
    }

    pub fn is_empty(&self) -> bool {
        self.uses.is_empty()
    }
}

/// The same for the same key ids in any order.
fn fingerprint(session: SessionType, kids: &[KeyId]) -> [u8; 16] {
    let mut kids = kids.to_vec();
    kids.sort_unstable();
    kids.dedup();
    let mut bytes = session.name().as_bytes().to_vec();
    kids.iter().for_each(|kid| bytes.extend_from_slice(kid.as_bytes()));
    half_digest(&bytes)
}

#[cfg(test)]
mod tests;
