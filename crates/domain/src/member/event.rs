//! What happened to a member, and everything that decided it.

use std::sync::Arc;

use crate::facts::{DeviceClass, Facts, MemberFacts};
use crate::ids::{DeviceId, ExceptionId, KeyThumbprint, LicenseId, PolicyVersion, RuleId, TitleId};
use crate::member::answer::{Finding, Remedy};
use crate::member::command::{Allowance, Command, Idempotency, Target, Warrant};
use crate::member::term::Term;
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Never before the member's previous event.
    pub at: Timestamp,
    pub cause: Cause,
    pub body: EventBody,
}

/// Which command of which request this follows from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cause {
    pub idempotency: Option<Idempotency>,
    /// Position in the request's list of commands.
    pub command: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBody {
    DeviceRegistered {
        device: DeviceId,
        class: DeviceClass,
        key: KeyThumbprint,
        name: String,
        /// `None` in events from before devices were counted.
        decided: Option<Box<DeviceDecided>>,
    },
    DeviceRemoved {
        device: DeviceId,
        decided: Option<Box<DeviceDecided>>,
    },
    Acquired(Acquired),
    /// The device asked again for what it holds. No cap counts this.
    Reissued {
        license: LicenseId,
        term: u32,
        facts: Arc<Facts>,
        policy: PolicyVersion,
    },
    Renewed(Renewed),
    Released {
        license: LicenseId,
        by: Option<DeviceId>,
        /// What the acquisition had counted is given back, because its DRM step had failed and no
        /// grant was given.
        returned: bool,
        /// It goes on counting until its own device confirms, or can no longer play.
        waits: bool,
        /// What said so. `None` where no policy was asked, and in events from before it was told.
        policy: Option<PolicyVersion>,
    },
    /// The device said after `start_by` that it never started. Closes for good.
    NeverStarted {
        license: LicenseId,
    },
    /// With what decided whether a lapsed license fits again.
    CheckedIn {
        device: DeviceId,
        moved: Vec<CheckInMoved>,
        facts: MemberFacts,
        policy: PolicyVersion,
    },
    PlaysRecorded {
        device: DeviceId,
        sequences: Vec<(u64, u64)>,
        plays: Vec<Play>,
    },
    DrmFailed {
        license: LicenseId,
        term: u32,
    },
    Refused(Box<Refused>),
    MemberChanged {
        facts: MemberFacts,
        policy: PolicyVersion,
        /// Everything that leaves for it; notices given before are void.
        leaving: Vec<Leaving>,
    },
    MembershipLapsed {
        policy: PolicyVersion,
        /// When all licenses end; `None`: each by its own clocks.
        ends_at: Option<Timestamp>,
    },
    /// With a warrant, only what was revoked resumes.
    MembershipResumed {
        warrant: Option<Warrant>,
    },
    Revoked {
        target: Target,
        warrant: Warrant,
    },
    TitleWithdrawn {
        title: TitleId,
    },
    ExceptionGranted {
        exception: ExceptionId,
        allowance: Allowance,
        warrant: Warrant,
    },
    ExceptionEnded {
        exception: ExceptionId,
        warrant: Warrant,
    },
}

/// A device that has notice: its licenses end then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    pub device: DeviceId,
    pub at: Timestamp,
    /// Nor is it registered any longer.
    pub removed: bool,
}

/// What a device came or went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceDecided {
    pub facts: MemberFacts,
    pub policy: PolicyVersion,
    /// The caps it was counted under.
    pub caps: Vec<RuleId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquired {
    pub license: LicenseId,
    pub device: DeviceId,
    pub title: TitleId,
    pub facts: Arc<Facts>,
    pub policy: PolicyVersion,
    pub term: Term,
    /// The caps it was counted under.
    pub caps: Vec<RuleId>,
    /// This device's ended license for the title, closed by acquiring anew.
    pub replaces: Option<LicenseId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    pub license: LicenseId,
    pub facts: Arc<Facts>,
    pub policy: PolicyVersion,
    pub term: Term,
    pub caps: Vec<RuleId>,
    pub automatic: bool,
}

/// A check-in clock that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckInMoved {
    pub license: LicenseId,
    pub term: u32,
    pub check_in_by: Timestamp,
}

/// A playback session that began under an offline license.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    pub sequence: u64,
    pub license: LicenseId,
    pub term: u32,
    /// Corrected for the device's clock and clamped into [term start, receipt].
    pub occurred_at: Timestamp,
    /// By the device's own clock.
    pub device_at: Timestamp,
}

/// A business "no", with everything needed to explain it and to ask it again of another policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub commands: Vec<Command>,
    pub facts: MemberFacts,
    pub policy: PolicyVersion,
    pub findings: Vec<Finding>,
    pub retry_at: Option<Timestamp>,
    pub remedies: Vec<Remedy>,
}
