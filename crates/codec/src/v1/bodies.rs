//! The head of an event, and a body for each kind.

use std::sync::Arc;

use domain::member::{self, Cause, EventBody, Idempotency};
use domain::{
    DeviceClass, DeviceId, IdempotencyKey, KeyThumbprint, LicenseId, PolicyVersion, RuleId,
    Timestamp, TitleId,
};
use minicbor::{CborLen, Decode, Encode};

use super::facts::{Facts, MemberFacts, Term};
use super::scalar::{At, Class, Key, Policy, absolute, list, nothing, optional};
use crate::event::DecodeError;

/// Number 3 is kept for the source of facts that are imported from before us.
#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Head<'b> {
    #[n(0)]
    at: i64,
    #[b(1)]
    idempotency: Option<Bound<'b>>,
    #[n(2)]
    #[cbor(skip_if = "nothing")]
    command: u16,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Bound<'b> {
    #[b(0)]
    key: &'b str,
    #[cbor(n(1), with = "minicbor::bytes")]
    body_digest: [u8; 32],
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct DeviceRegistered<'b> {
    #[b(0)]
    device: &'b str,
    #[n(1)]
    class: Class,
    #[b(2)]
    key: Key<'b>,
    #[b(3)]
    name: &'b str,
    #[b(4)]
    decided: Option<DeviceDecided<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct DeviceRemoved<'b> {
    #[b(0)]
    device: &'b str,
    #[b(1)]
    decided: Option<DeviceDecided<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct DeviceDecided<'b> {
    #[b(0)]
    facts: MemberFacts<'b>,
    #[b(1)]
    policy: Policy<'b>,
    #[b(2)]
    #[cbor(skip_if = "Vec::is_empty")]
    caps: Vec<&'b str>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Acquired<'b> {
    #[b(0)]
    license: &'b str,
    #[b(1)]
    device: &'b str,
    #[b(2)]
    title: &'b str,
    #[b(3)]
    facts: Facts<'b>,
    #[b(4)]
    policy: Policy<'b>,
    #[n(5)]
    term: Term,
    #[b(6)]
    #[cbor(skip_if = "Vec::is_empty")]
    caps: Vec<&'b str>,
    #[b(7)]
    replaces: Option<&'b str>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Reissued<'b> {
    #[b(0)]
    license: &'b str,
    #[n(1)]
    term: u32,
    #[b(2)]
    facts: Facts<'b>,
    #[b(3)]
    policy: Policy<'b>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Renewed<'b> {
    #[b(0)]
    license: &'b str,
    #[b(1)]
    facts: Facts<'b>,
    #[b(2)]
    policy: Policy<'b>,
    #[n(3)]
    term: Term,
    #[b(4)]
    #[cbor(skip_if = "Vec::is_empty")]
    caps: Vec<&'b str>,
    #[n(5)]
    #[cbor(skip_if = "nothing")]
    automatic: bool,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Released<'b> {
    #[b(0)]
    license: &'b str,
    #[b(1)]
    by: Option<&'b str>,
    #[n(2)]
    #[cbor(skip_if = "nothing")]
    returned: bool,
    #[n(3)]
    #[cbor(skip_if = "nothing")]
    waits: bool,
    #[b(4)]
    policy: Option<Policy<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct NeverStarted<'b> {
    #[b(0)]
    license: &'b str,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct CheckedIn<'b> {
    #[b(0)]
    device: &'b str,
    #[b(1)]
    #[cbor(skip_if = "Vec::is_empty")]
    moved: Vec<Moved<'b>>,
    #[b(2)]
    facts: MemberFacts<'b>,
    #[b(3)]
    policy: Policy<'b>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Moved<'b> {
    #[b(0)]
    license: &'b str,
    #[n(1)]
    term: u32,
    #[n(2)]
    check_in_by: i64,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct PlaysRecorded<'b> {
    #[b(0)]
    device: &'b str,
    #[n(1)]
    #[cbor(skip_if = "Vec::is_empty")]
    sequences: Vec<(u64, u64)>,
    #[b(2)]
    #[cbor(skip_if = "Vec::is_empty")]
    plays: Vec<Play<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Play<'b> {
    #[n(0)]
    sequence: u64,
    #[b(1)]
    license: &'b str,
    #[n(2)]
    term: u32,
    #[n(3)]
    occurred_at: i64,
    #[n(4)]
    device_at: i64,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct DrmFailed<'b> {
    #[b(0)]
    license: &'b str,
    #[n(1)]
    term: u32,
}

impl<'b> Head<'b> {
    pub(crate) fn of(at: Timestamp, cause: &'b Cause) -> Self {
        let Cause { idempotency, command } = cause;
        let bound = |Idempotency { key, body_digest }: &'b Idempotency| Bound {
            key: key.as_str(),
            body_digest: *body_digest,
        };
        Self { at: at.as_millis(), idempotency: idempotency.as_ref().map(bound), command: *command }
    }

    pub(crate) fn into_domain(self) -> Result<(Timestamp, Cause), DecodeError> {
        let Self { at, idempotency, command } = self;
        let bound = |Bound { key, body_digest }: Bound<'b>| {
            Ok::<_, DecodeError>(Idempotency { key: IdempotencyKey::new(key)?, body_digest })
        };
        let idempotency = idempotency.map(bound).transpose()?;
        Ok((absolute(at)?, Cause { idempotency, command }))
    }
}

impl<'b> DeviceRegistered<'b> {
    pub(crate) fn of(
        device: &'b DeviceId,
        class: DeviceClass,
        key: &'b KeyThumbprint,
        name: &'b str,
        decided: Option<&'b member::DeviceDecided>,
        at: At,
    ) -> Self {
        let decided = decided.map(|decided| DeviceDecided::of(decided, at));
        Self { device: device.as_str(), class: class.into(), key: Key::of(key), name, decided }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { device, class, key, name, decided } = self;
        Ok(EventBody::DeviceRegistered {
            device: DeviceId::new(device)?,
            class: class.into(),
            key: key.into_domain()?,
            name: name.to_owned(),
            decided: optional(decided, |decided| decided.into_domain(at))?,
        })
    }
}

impl<'b> DeviceRemoved<'b> {
    pub(crate) fn of(
        device: &'b DeviceId,
        decided: Option<&'b member::DeviceDecided>,
        at: At,
    ) -> Self {
        let decided = decided.map(|decided| DeviceDecided::of(decided, at));
        Self { device: device.as_str(), decided }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { device, decided } = self;
        Ok(EventBody::DeviceRemoved {
            device: DeviceId::new(device)?,
            decided: optional(decided, |decided| decided.into_domain(at))?,
        })
    }
}

impl<'b> DeviceDecided<'b> {
    fn of(decided: &'b member::DeviceDecided, at: At) -> Self {
        let member::DeviceDecided { facts, policy, caps } = decided;
        Self {
            facts: MemberFacts::of(facts, at),
            policy: Policy::of(policy),
            caps: caps.iter().map(RuleId::as_str).collect(),
        }
    }

    fn into_domain(self, at: At) -> Result<Box<member::DeviceDecided>, DecodeError> {
        let Self { facts, policy, caps } = self;
        Ok(Box::new(member::DeviceDecided {
            facts: facts.into_domain(at)?,
            policy: policy.into_domain()?,
            caps: list(caps, |cap| Ok(RuleId::new(cap)?))?,
        }))
    }
}

impl<'b> Acquired<'b> {
    pub(crate) fn of(acquired: &'b member::Acquired, at: At) -> Self {
        let member::Acquired { license, device, title, facts, policy, term, caps, replaces } =
            acquired;
        Self {
            license: license.as_str(),
            device: device.as_str(),
            title: title.as_str(),
            facts: Facts::of(facts, at),
            policy: Policy::of(policy),
            term: Term::of(term, at),
            caps: caps.iter().map(RuleId::as_str).collect(),
            replaces: replaces.as_ref().map(LicenseId::as_str),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { license, device, title, facts, policy, term, caps, replaces } = self;
        Ok(EventBody::Acquired(member::Acquired {
            license: LicenseId::new(license)?,
            device: DeviceId::new(device)?,
            title: TitleId::new(title)?,
            facts: Arc::new(facts.into_domain(at)?),
            policy: policy.into_domain()?,
            term: term.into_domain(at)?,
            caps: list(caps, |cap| Ok(RuleId::new(cap)?))?,
            replaces: replaces.map(LicenseId::new).transpose()?,
        }))
    }
}

impl<'b> Reissued<'b> {
    pub(crate) fn of(
        license: &'b LicenseId,
        term: u32,
        facts: &'b domain::Facts,
        policy: &'b PolicyVersion,
        at: At,
    ) -> Self {
        Self {
            license: license.as_str(),
            term,
            facts: Facts::of(facts, at),
            policy: Policy::of(policy),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { license, term, facts, policy } = self;
        Ok(EventBody::Reissued {
            license: LicenseId::new(license)?,
            term,
            facts: Arc::new(facts.into_domain(at)?),
            policy: policy.into_domain()?,
        })
    }
}

impl<'b> Renewed<'b> {
    pub(crate) fn of(renewed: &'b member::Renewed, at: At) -> Self {
        let member::Renewed { license, facts, policy, term, caps, automatic } = renewed;
        Self {
            license: license.as_str(),
            facts: Facts::of(facts, at),
            policy: Policy::of(policy),
            term: Term::of(term, at),
            caps: caps.iter().map(RuleId::as_str).collect(),
            automatic: *automatic,
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { license, facts, policy, term, caps, automatic } = self;
        Ok(EventBody::Renewed(member::Renewed {
            license: LicenseId::new(license)?,
            facts: Arc::new(facts.into_domain(at)?),
            policy: policy.into_domain()?,
            term: term.into_domain(at)?,
            caps: list(caps, |cap| Ok(RuleId::new(cap)?))?,
            automatic,
        }))
    }
}

impl<'b> Released<'b> {
    pub(crate) fn of(
        license: &'b LicenseId,
        by: Option<&'b DeviceId>,
        (returned, waits): (bool, bool),
        policy: Option<&'b PolicyVersion>,
    ) -> Self {
        let by = by.map(DeviceId::as_str);
        Self { license: license.as_str(), by, returned, waits, policy: policy.map(Policy::of) }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        let Self { license, by, returned, waits, policy } = self;
        Ok(EventBody::Released {
            license: LicenseId::new(license)?,
            by: by.map(DeviceId::new).transpose()?,
            returned,
            waits,
            policy: policy.map(Policy::into_domain).transpose()?,
        })
    }
}

impl<'b> NeverStarted<'b> {
    pub(crate) fn of(license: &'b LicenseId) -> Self {
        Self { license: license.as_str() }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        let Self { license } = self;
        Ok(EventBody::NeverStarted { license: LicenseId::new(license)? })
    }
}

impl<'b> CheckedIn<'b> {
    pub(crate) fn of(
        device: &'b DeviceId,
        moved: &'b [member::CheckInMoved],
        facts: &'b domain::MemberFacts,
        policy: &'b PolicyVersion,
        at: At,
    ) -> Self {
        let stored = |moved: &'b member::CheckInMoved| {
            let member::CheckInMoved { license, term, check_in_by } = moved;
            Moved { license: license.as_str(), term: *term, check_in_by: at.to(*check_in_by) }
        };
        Self {
            device: device.as_str(),
            moved: moved.iter().map(stored).collect(),
            facts: MemberFacts::of(facts, at),
            policy: Policy::of(policy),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { device, moved, facts, policy } = self;
        let read = |Moved { license, term, check_in_by }: Moved<'b>| {
            Ok(member::CheckInMoved {
                license: LicenseId::new(license)?,
                term,
                check_in_by: at.instant(check_in_by)?,
            })
        };
        Ok(EventBody::CheckedIn {
            device: DeviceId::new(device)?,
            moved: list(moved, read)?,
            facts: facts.into_domain(at)?,
            policy: policy.into_domain()?,
        })
    }
}

impl<'b> PlaysRecorded<'b> {
    pub(crate) fn of(
        device: &'b DeviceId,
        sequences: &[(u64, u64)],
        plays: &'b [member::Play],
        at: At,
    ) -> Self {
        let play = |play: &'b member::Play| {
            let member::Play { sequence, license, term, occurred_at, device_at } = play;
            Play {
                sequence: *sequence,
                license: license.as_str(),
                term: *term,
                occurred_at: at.to(*occurred_at),
                device_at: at.to(*device_at),
            }
        };
        Self {
            device: device.as_str(),
            sequences: sequences.to_vec(),
            plays: plays.iter().map(play).collect(),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { device, sequences, plays } = self;
        let read = |Play { sequence, license, term, occurred_at, device_at }: Play<'b>| {
            Ok(member::Play {
                sequence,
                license: LicenseId::new(license)?,
                term,
                occurred_at: at.instant(occurred_at)?,
                device_at: at.instant(device_at)?,
            })
        };
        Ok(EventBody::PlaysRecorded {
            device: DeviceId::new(device)?,
            sequences,
            plays: list(plays, read)?,
        })
    }
}

impl<'b> DrmFailed<'b> {
    pub(crate) fn of(license: &'b LicenseId, term: u32) -> Self {
        Self { license: license.as_str(), term }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        let Self { license, term } = self;
        Ok(EventBody::DrmFailed { license: LicenseId::new(license)?, term })
    }
}
