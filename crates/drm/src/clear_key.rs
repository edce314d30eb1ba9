//! Clear Key, the DRM system that every browser has: the JSON exchange of W3C Encrypted Media
//! Extensions.
//!
//! It protects nothing against the device's owner and enforces no time (`expiration` is always
//! NaN): the app enforces the lease. Everything else about it is real.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::content_keys::ContentKeys;
use crate::encoding::base64url;
use crate::grant::{GrantMemory, GrantUseError, KIDS_MAX, SessionType, VerifiedGrant};
use crate::key_id::KeyId;

pub const KEY_SYSTEM: &str = "org.w3.clearkey";

/// A request with the most key ids we take has 2 KiB.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// What a session asks for: `{"kids":["…"],"type":"temporary"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Each once, in the order asked for.
    pub kids: Vec<KeyId>,
    pub session: SessionType,
}

/// In order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearKeyError {
    #[error("the request is longer than {REQUEST_BYTES_MAX} bytes")]
    TooLong,
    #[error(
        "the request is not JSON of the form `{{\"kids\":[\"…\"],\"type\":\"temporary\"}}`: {0}"
    )]
    Malformed(String),
    #[error("the request's `type` `{0}` is neither `temporary` nor `persistent-license`")]
    UnknownType(String),
    #[error("the request names no key id")]
    NoKeyIds,
    #[error("the request names more than {KIDS_MAX} key ids")]
    TooManyKeyIds,
    #[error("`{0}` in `kids` is not base64url, without padding, of 16 bytes")]
    BadKeyId(String),
    #[error("a license that is kept was asked for, and only a temporary one was granted")]
    SessionNotGranted,
    #[error("key id `{0}` was not granted")]
    NotGranted(KeyId),
    #[error(
        "there is no content key for key id `{0}`: add it to the key file with `carnet keys seal`"
    )]
    NoContentKey(KeyId),
    #[error(transparent)]
    Use(#[from] GrantUseError),
}

#[derive(Deserialize)]
struct RawRequest {
    kids: Vec<String>,
    #[serde(rename = "type")]
    session: Option<String>,
}

impl Request {
    /// Members that we do not know are ignored: clients may say more. A missing `type` means
    /// `temporary`, as the standard says of licenses.
    pub fn parse(body: &[u8]) -> Result<Self, ClearKeyError> {
        let raw = raw_request(body)?;
        let session = match raw.session.as_deref() {
            None | Some("temporary") => SessionType::Temporary,
            Some("persistent-license") => SessionType::PersistentLicense,
            Some(other) => return Err(ClearKeyError::UnknownType(excerpt(other))),
        };
        Ok(Self { kids: key_ids(&raw.kids)?, session })
    }
}

/// The body of a `license-release` message: `{"kids":["…"]}`. A `type` is ignored, since Shaka adds
/// one to every Clear Key body.
pub fn parse_release(body: &[u8]) -> Result<Vec<KeyId>, ClearKeyError> {
    key_ids(&raw_request(body)?.kids)
}

/// What ends a session whose release was heard.
pub fn release_acknowledgement(kids: &[KeyId]) -> String {
    let kids: Vec<String> = kids.iter().map(|kid| kid.to_base64url()).collect();
    serde_json::json!({ "kids": kids }).to_string()
}

/// The license for a request under a grant, which is bound to this use by it.
pub fn license_for_grant(
    request: &Request,
    grant: &VerifiedGrant,
    memory: &GrantMemory,
    keys: &ContentKeys,
    now_ms: i64,
) -> Result<Zeroizing<String>, ClearKeyError> {
    let license = license(request, grant.grant.session, &grant.grant.kids, keys, None)?;
    memory.admit(grant, request.session, &request.kids, now_ms)?;
    Ok(license)
}

/// The license for a request that was granted in the same breath, for all or some of
/// `granted_kids`. `lease` is the signed lease, which rides along as another member; browsers
/// ignore it, and dash.js drops it, so it never travels only there.
pub fn license(
    request: &Request,
    granted_session: SessionType,
    granted_kids: &[KeyId],
    keys: &ContentKeys,
    lease: Option<&str>,
) -> Result<Zeroizing<String>, ClearKeyError> {
    #[derive(Serialize)]
    struct License<'a> {
        keys: Vec<Key>,
        #[serde(rename = "type")]
        session: SessionType,
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<&'a str>,
    }
    #[derive(Serialize)]
    struct Key {
        kty: &'static str,
        k: Zeroizing<String>,
        kid: String,
    }
    if !granted_session.covers(request.session) {
        return Err(ClearKeyError::SessionNotGranted);
    }
    let mut found = Vec::with_capacity(request.kids.len());
    for &kid in &request.kids {
        if !granted_kids.contains(&kid) {
            return Err(ClearKeyError::NotGranted(kid));
        }
        let key = keys.get(kid).ok_or(ClearKeyError::NoContentKey(kid))?;
        let k = Zeroizing::new(base64url(key.expose()));
        found.push(Key { kty: "oct", k, kid: kid.to_base64url() });
    }
    // Firefox refuses a license whose type is not the one its session asked for.
    let license = License { keys: found, session: request.session, lease };
    serde_json::to_string(&license)
        .map(Zeroizing::new)
        .map_err(|error| ClearKeyError::Malformed(error.to_string()))
}

fn raw_request(body: &[u8]) -> Result<RawRequest, ClearKeyError> {
    if body.len() > REQUEST_BYTES_MAX {
        return Err(ClearKeyError::TooLong);
    }
    serde_json::from_slice(body).map_err(|error| ClearKeyError::Malformed(error.to_string()))
}

fn key_ids(texts: &[String]) -> Result<Vec<KeyId>, ClearKeyError> {
    if texts.is_empty() {
        return Err(ClearKeyError::NoKeyIds);
    }
    if texts.len() > KIDS_MAX {
        return Err(ClearKeyError::TooManyKeyIds);
    }
    let mut kids = Vec::with_capacity(texts.len());
    for text in texts {
        let kid = KeyId::from_base64url(text);
        let kid = kid.ok_or_else(|| ClearKeyError::BadKeyId(excerpt(text)))?;
        if !kids.contains(&kid) {
            kids.push(kid);
        }
    }
    Ok(kids)
}

/// The client's own words, short enough to be quoted back.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
