//! The lease: the signed statement of a term's clocks, which the device stores and enforces.
//!
//! It only states what was decided elsewhere. Whoever holds it can verify it for as long as the key
//! stays published, without asking anyone; so names and meanings here are for ever, and a change of
//! meaning is a new [`LEASE_VERSION`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::jwk::JwkSet;
use crate::jws::{JwsError, Signer, SigningKey, Unverified};
use crate::key_id::KeyId;
use crate::time::UnixMillis;

pub const LEASE_VERSION: u32 = 1;

/// Tells a lease from a grant, which the same keys sign.
const TYP: &str = "carnet-lease+jwt";

/// Enough for the payload of an ordinary lease, so that writing one does not grow the buffer.
const PAYLOAD_BYTES_USUAL: usize = 1536;

/// Who holds the device to a clock. Never absent: with a clock that nobody enforces, the app would
/// rely on the CDM and the CDM would not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcer {
    App,
    Cdm,
}

/// One entry for each clock that the lease has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Enforcer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Enforcer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_within: Option<Enforcer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_by: Option<Enforcer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<Enforcer>,
}

/// Instants are RFC 3339 in UTC with milliseconds; lengths of time are integers with `_ms`. A clock
/// that is absent does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseClaims<'a> {
    #[serde(borrow)]
    pub iss: Cow<'a, str>,
    /// [`LEASE_VERSION`]; a device refuses one that it does not know.
    pub lease_version: u32,
    pub license: Cow<'a, str>,
    pub member: Cow<'a, str>,
    pub device: Cow<'a, str>,
    /// The RFC 7638 thumbprint of the device's key, when it has registered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_key: Option<Cow<'a, str>>,
    pub title: Cow<'a, str>,
    /// The term's number, from 1. A first play is reported with it.
    pub term: u32,
    /// When this statement was made; of two leases of one term the later one holds.
    pub issued_at: UnixMillis,
    /// When the term began.
    pub started_at: UnixMillis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<UnixMillis>,
    /// The first play begins before this. Over once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_by: Option<UnixMillis>,
    /// From the first play to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_within_ms: Option<i64>,
    /// As far as the ledger knows. The device may know of an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_played_at: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_by: Option<UnixMillis>,
    /// Play goes on for so long when a renewal is due and the server cannot be reached.
    pub grace_ms: i64,
    /// A play that is running at the end may go on for so long.
    pub running_play_ms: i64,
    /// The device deletes its copy once the term has ended; not when only a check-in is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_at_end: bool,
    /// No play at or after, whatever the other clocks say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<UnixMillis>,
    /// The end from what is known; absent when nothing ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<UnixMillis>,
    /// The latest end that the device could still be inside while offline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_play_until: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_from: Option<UnixMillis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renew_until: Option<UnixMillis>,
    pub kids: Cow<'a, [KeyId]>,
    pub enforced_by: Enforcers,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("the lease is not a valid signed token: {0}")]
    Token(#[from] JwsError),
    #[error("the token is not a lease: its `typ` is not `{TYP}`")]
    NotALease,
    #[error("a claim of the lease is missing or malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the lease is of version {0}, and this program knows {LEASE_VERSION}")]
    Version(u32),
    #[error("the lease has the clock `{0}` and does not say who enforces it")]
    NobodyEnforces(&'static str),
}

impl LeaseClaims<'_> {
    fn check(&self) -> Result<(), LeaseError> {
        if self.lease_version != LEASE_VERSION {
            return Err(LeaseError::Version(self.lease_version));
        }
        let by = &self.enforced_by;
        for (clock, runs, enforcer) in [
            ("not_before", self.not_before.is_some(), by.not_before),
            ("start_by", self.start_by.is_some(), by.start_by),
            ("finish_within", self.finish_within_ms.is_some(), by.finish_within),
            ("check_in_by", self.check_in_by.is_some(), by.check_in_by),
            ("hard_end", self.hard_end.is_some(), by.hard_end),
        ] {
            if runs && enforcer.is_none() {
                return Err(LeaseError::NobodyEnforces(clock));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub struct LeaseSigner {
    signer: Signer,
}

impl LeaseSigner {
    pub fn new(key: &SigningKey) -> Self {
        Self { signer: key.signer(TYP) }
    }

    /// Fails for claims that no device could obey: a clock outside of the calendar, or one that
    /// nobody enforces.
    pub fn sign(&self, claims: &LeaseClaims<'_>) -> Result<String, LeaseError> {
        claims.check()?;
        let mut payload = Vec::with_capacity(PAYLOAD_BYTES_USUAL);
        serde_json::to_writer(&mut payload, claims)?;
        Ok(self.signer.sign_compact(&payload))
    }
}

/// Checks who signed it and that it is whole; its clocks are for the reader to obey.
pub fn verify(token: &str, keys: &JwkSet) -> Result<LeaseClaims<'static>, LeaseError> {
    let token = Unverified::parse(token)?;
    if token.typ() != Some(TYP) {
        return Err(LeaseError::NotALease);
    }
    let payload = token.verify_with(keys)?;
    let claims: LeaseClaims<'_> = serde_json::from_slice(&payload)?;
    claims.check()?;
    Ok(claims.into_owned())
}

impl LeaseClaims<'_> {
    fn into_owned(self) -> LeaseClaims<'static> {
        fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        LeaseClaims {
            iss: owned(self.iss),
            license: owned(self.license),
            member: owned(self.member),
            device: owned(self.device),
            device_key: self.device_key.map(owned),
            title: owned(self.title),
            kids: Cow::Owned(self.kids.into_owned()),
            lease_version: self.lease_version,
            term: self.term,
            issued_at: self.issued_at,
            started_at: self.started_at,
            not_before: self.not_before,
            start_by: self.start_by,
            finish_within_ms: self.finish_within_ms,
            first_played_at: self.first_played_at,
            check_in_by: self.check_in_by,
            grace_ms: self.grace_ms,
            running_play_ms: self.running_play_ms,
            delete_at_end: self.delete_at_end,
            hard_end: self.hard_end,
            ends_at: self.ends_at,
            may_play_until: self.may_play_until,
            renew_from: self.renew_from,
            renew_until: self.renew_until,
            enforced_by: self.enforced_by,
        }
    }
}

#[cfg(test)]
mod tests;
