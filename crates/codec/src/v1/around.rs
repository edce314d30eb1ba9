//! What changes around a member.

use domain::member::{self, EventBody};
use domain::{DeviceId, ExceptionId, LicenseId, PolicyVersion, RuleId, TitleId};
use minicbor::{CborLen, Decode, Encode};

use super::facts::MemberFacts;
use super::scalar::{At, Policy, list, nothing, optional};
use crate::event::DecodeError;

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct MemberChanged<'b> {
    #[b(0)]
    facts: MemberFacts<'b>,
    #[b(1)]
    policy: Policy<'b>,
    #[b(2)]
    #[cbor(skip_if = "Vec::is_empty")]
    leaving: Vec<Leaving<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
struct Leaving<'b> {
    #[b(0)]
    device: &'b str,
    #[n(1)]
    at: i64,
    #[n(2)]
    #[cbor(skip_if = "nothing")]
    removed: bool,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct MembershipLapsed<'b> {
    #[b(0)]
    policy: Policy<'b>,
    #[n(1)]
    ends_at: Option<i64>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct MembershipResumed<'b> {
    #[b(0)]
    warrant: Option<Warrant<'b>>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Revoked<'b> {
    #[b(0)]
    target: Target<'b>,
    #[b(1)]
    warrant: Warrant<'b>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) enum Target<'b> {
    #[n(0)]
    License(#[b(0)] &'b str),
    #[n(1)]
    Device(#[b(0)] &'b str),
    #[n(2)]
    Member,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Warrant<'b> {
    #[b(0)]
    actor: &'b str,
    #[b(1)]
    reason: &'b str,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct TitleWithdrawn<'b> {
    #[b(0)]
    title: &'b str,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct ExceptionGranted<'b> {
    #[b(0)]
    exception: &'b str,
    #[b(1)]
    allowance: Allowance<'b>,
    #[b(2)]
    warrant: Warrant<'b>,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct Allowance<'b> {
    #[b(0)]
    rule: &'b str,
    #[n(1)]
    #[cbor(skip_if = "nothing")]
    amount: u32,
    #[n(2)]
    until: i64,
}

#[derive(Debug, Encode, Decode, CborLen)]
#[cbor(map)]
pub(crate) struct ExceptionEnded<'b> {
    #[b(0)]
    exception: &'b str,
    #[b(1)]
    warrant: Warrant<'b>,
}

impl<'b> MemberChanged<'b> {
    pub(crate) fn of(
        facts: &'b domain::MemberFacts,
        policy: &'b PolicyVersion,
        leaving: &'b [member::Leaving],
        at: At,
    ) -> Self {
        let stored = |leaving: &'b member::Leaving| {
            let member::Leaving { device, at: leaves_at, removed } = leaving;
            Leaving { device: device.as_str(), at: at.to(*leaves_at), removed: *removed }
        };
        Self {
            facts: MemberFacts::of(facts, at),
            policy: Policy::of(policy),
            leaving: leaving.iter().map(stored).collect(),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { facts, policy, leaving } = self;
        let read = |Leaving { device, at: leaves_at, removed }: Leaving<'b>| {
            let device = DeviceId::new(device)?;
            Ok(member::Leaving { device, at: at.instant(leaves_at)?, removed })
        };
        Ok(EventBody::MemberChanged {
            facts: facts.into_domain(at)?,
            policy: policy.into_domain()?,
            leaving: list(leaving, read)?,
        })
    }
}

impl<'b> MembershipLapsed<'b> {
    pub(crate) fn of(
        policy: &'b PolicyVersion,
        ends_at: Option<domain::Timestamp>,
        at: At,
    ) -> Self {
        Self { policy: Policy::of(policy), ends_at: ends_at.map(|ends_at| at.to(ends_at)) }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { policy, ends_at } = self;
        Ok(EventBody::MembershipLapsed {
            policy: policy.into_domain()?,
            ends_at: optional(ends_at, |ends_at| at.instant(ends_at))?,
        })
    }
}

impl<'b> Revoked<'b> {
    pub(crate) fn of(target: &'b member::Target, warrant: &'b member::Warrant) -> Self {
        Self { target: Target::of(target), warrant: Warrant::of(warrant) }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        let Self { target, warrant } = self;
        Ok(EventBody::Revoked { target: target.into_domain()?, warrant: warrant.into_domain() })
    }
}

impl<'b> Target<'b> {
    pub(super) fn of(target: &'b member::Target) -> Self {
        match target {
            member::Target::License(license) => Self::License(license.as_str()),
            member::Target::Device(device) => Self::Device(device.as_str()),
            member::Target::Member => Self::Member,
        }
    }

    pub(super) fn into_domain(self) -> Result<member::Target, DecodeError> {
        Ok(match self {
            Self::License(license) => member::Target::License(LicenseId::new(license)?),
            Self::Device(device) => member::Target::Device(DeviceId::new(device)?),
            Self::Member => member::Target::Member,
        })
    }
}

impl<'b> Warrant<'b> {
    pub(crate) fn of(warrant: &'b member::Warrant) -> Self {
        let member::Warrant { actor, reason } = warrant;
        Self { actor, reason }
    }

    pub(crate) fn into_domain(self) -> member::Warrant {
        let Self { actor, reason } = self;
        member::Warrant { actor: actor.to_owned(), reason: reason.to_owned() }
    }
}

impl<'b> Allowance<'b> {
    pub(crate) fn of(allowance: &'b member::Allowance, at: At) -> Self {
        let member::Allowance { rule, amount, until } = allowance;
        Self { rule: rule.as_str(), amount: *amount, until: at.to(*until) }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<member::Allowance, DecodeError> {
        let Self { rule, amount, until } = self;
        Ok(member::Allowance { rule: RuleId::new(rule)?, amount, until: at.instant(until)? })
    }
}

impl<'b> MembershipResumed<'b> {
    pub(crate) fn of(warrant: Option<&'b member::Warrant>) -> Self {
        Self { warrant: warrant.map(Warrant::of) }
    }

    pub(crate) fn into_domain(self) -> EventBody {
        EventBody::MembershipResumed { warrant: self.warrant.map(Warrant::into_domain) }
    }
}

impl<'b> TitleWithdrawn<'b> {
    pub(crate) fn of(title: &'b TitleId) -> Self {
        Self { title: title.as_str() }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        Ok(EventBody::TitleWithdrawn { title: TitleId::new(self.title)? })
    }
}

impl<'b> ExceptionGranted<'b> {
    pub(crate) fn of(
        exception: &'b ExceptionId,
        allowance: &'b member::Allowance,
        warrant: &'b member::Warrant,
        at: At,
    ) -> Self {
        Self {
            exception: exception.as_str(),
            allowance: Allowance::of(allowance, at),
            warrant: Warrant::of(warrant),
        }
    }

    pub(crate) fn into_domain(self, at: At) -> Result<EventBody, DecodeError> {
        let Self { exception, allowance, warrant } = self;
        Ok(EventBody::ExceptionGranted {
            exception: ExceptionId::new(exception)?,
            allowance: allowance.into_domain(at)?,
            warrant: warrant.into_domain(),
        })
    }
}

impl<'b> ExceptionEnded<'b> {
    pub(crate) fn of(exception: &'b ExceptionId, warrant: &'b member::Warrant) -> Self {
        Self { exception: exception.as_str(), warrant: Warrant::of(warrant) }
    }

    pub(crate) fn into_domain(self) -> Result<EventBody, DecodeError> {
        let Self { exception, warrant } = self;
        Ok(EventBody::ExceptionEnded {
            exception: ExceptionId::new(exception)?,
            warrant: warrant.into_domain(),
        })
    }
}
