//! What changes around a member: the membership itself, what is taken back, and what support
//! allows beyond the rules.

use domain::ExceptionId;
use domain::member::{
    Allowance, Exception as DomainException, Leaving as DomainLeaving, Target as DomainTarget,
    Warrant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::wire::scalar::{Device, Exception as ExceptionRef, Instant, License, Rule};

const ACTOR_CHARACTERS_MAX: usize = 200;
const REASON_CHARACTERS_MAX: usize = 1_000;

/// What is taken back: `{"license": …}`, `{"device": …}` (its key does not come back), or
/// `"member"`: all of it, and nothing new until the membership is resumed.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    License(License),
    Device(Device),
    Member,
}

impl From<Target> for DomainTarget {
    fn from(target: Target) -> Self {
        match target {
            Target::License(id) => Self::License(id.0),
            Target::Device(id) => Self::Device(id.0),
            Target::Member => Self::Member,
        }
    }
}

/// What is allowed beyond the rules, until when and why.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExceptionBody {
    /// The cap whose limit it raises, or the gate that it opens.
    pub rule: Rule,
    /// By how much a limit is raised; a gate is open or not.
    #[serde(default = "one")]
    #[schema(minimum = 1)]
    pub amount: u32,
    /// It holds before this.
    pub until: Instant,
    pub reason: String,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevocationBody {
    pub target: Target,
    pub reason: String,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonBody {
    pub reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedAnswer {
    /// The licenses that were closed.
    pub closed: Vec<License>,
    /// It was revoked before, and nothing changed.
    pub already: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ResumedAnswer {
    /// It was not revoked, and nothing changed.
    pub already: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExceptionGrantedAnswer {
    pub exception: ExceptionRef,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExceptionEndedAnswer {
    pub exception: ExceptionRef,
    /// It was over before, and nothing changed.
    pub already: bool,
}

/// An allowance beyond a cap or gate.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Exception {
    pub exception: ExceptionRef,
    pub rule: Rule,
    pub amount: u32,
    pub granted_at: Instant,
    pub until: Instant,
    pub actor: String,
    pub reason: String,
}

impl Exception {
    pub(crate) fn new(id: &ExceptionId, exception: &DomainException) -> Self {
        let DomainException { allowance, warrant, granted_at } = exception;
        Self {
            exception: id.into(),
            rule: (&allowance.rule).into(),
            amount: allowance.amount,
            granted_at: (*granted_at).into(),
            until: allowance.until.into(),
            actor: warrant.actor.clone(),
            reason: warrant.reason.clone(),
        }
    }
}

/// A device that a changed membership has no room for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Leaving {
    pub device: Device,
    /// Until then it plays what it has; then its licenses end.
    pub at: Instant,
    /// Nor is it registered any longer.
    pub removed: bool,
}

impl From<&DomainLeaving> for Leaving {
    fn from(leaving: &DomainLeaving) -> Self {
        let DomainLeaving { device, at, removed } = leaving;
        Self { device: device.into(), at: (*at).into(), removed: *removed }
    }
}

/// The `field`s of a body say what is wrong with them.
pub(crate) fn allowance(
    field: impl Fn(&str) -> String,
    rule: Rule,
    amount: u32,
    until: Instant,
) -> Result<Allowance, Problem> {
    if amount == 0 {
        return Err(Problem::invalid(field("amount"), "raise a limit by 1 or more"));
    }
    Ok(Allowance { rule: rule.0, amount, until: until.0 })
}

pub(crate) fn warrant(
    field: impl Fn(&str) -> String,
    actor: String,
    reason: String,
) -> Result<Warrant, Problem> {
    let check = |name: &str, text: &str, characters_max: usize| {
        let is_blank = text.trim().is_empty();
        if is_blank || text.chars().count() > characters_max || text.chars().any(char::is_control) {
            let message = format!("say it in 1 to {characters_max} characters, none of control");
            return Err(Problem::invalid(field(name), message));
        }
        Ok(())
    };
    check("actor", &actor, ACTOR_CHARACTERS_MAX)?;
    check("reason", &reason, REASON_CHARACTERS_MAX)?;
    Ok(Warrant { actor, reason })
}
