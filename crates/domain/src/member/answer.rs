//! What the ledger answers.

use crate::ids::{DeviceId, ExceptionId, LicenseId, RuleId, Tag, TitleId};
use crate::member::event::{Event, Leaving, Refused};
use crate::policy::{Counts, ScopeKey};
use crate::time::Timestamp;

/// The answer, and what has to be durable before anybody hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The time of the decision: the request's, or the member's last event if that is later.
    pub at: Timestamp,
    pub answer: Answer,
    pub events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// One outcome for each command, in their order.
    Accepted {
        outcomes: Vec<Outcome>,
        /// This answers a retry: decided before, counted once.
        repeated: bool,
    },
    Refused(Box<Refused>),
    /// The idempotency key was used for another body.
    KeyReused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// `already`: the same key was registered, and nothing changed.
    DeviceRegistered {
        device: DeviceId,
        already: bool,
    },
    DeviceRemoved {
        device: DeviceId,
        closed: Vec<LicenseId>,
    },
    /// The device holds the license. Its lease and grant are made from the member's state, and
    /// only while the license is live.
    Held {
        license: LicenseId,
        term: u32,
        how: Held,
    },
    /// `already`: it was closed before, or never known here.
    Released {
        license: LicenseId,
        already: bool,
    },
    CheckedIn(CheckedIn),
    PlaysRecorded {
        counted: u32,
        repeated: u32,
        unknown: u32,
    },
    DrmFailureRecorded {
        license: LicenseId,
    },
    /// The devices that have notice now.
    MemberChanged {
        leaving: Vec<Leaving>,
    },
    /// `already`: nothing changed.
    MembershipLapsed {
        already: bool,
    },
    MembershipResumed {
        already: bool,
    },
    Revoked {
        closed: Vec<LicenseId>,
        already: bool,
    },
    TitleWithdrawn {
        closed: Vec<LicenseId>,
    },
    ExceptionGranted {
        exception: ExceptionId,
    },
    ExceptionEnded {
        exception: ExceptionId,
        already: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Acquired,
    Reissued,
    Renewed,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CheckedIn {
    /// Licenses of this device that are held: their leases are signed again.
    pub held: Vec<LicenseId>,
    /// Licenses of this device that ended or were closed: the device drops them.
    pub ended: Vec<LicenseId>,
    /// Lapsed for want of a check-in, and reviving them does not fit the caps now.
    pub lapsed: Vec<LicenseId>,
}

/// One thing that stands in the way. Findings come in the order of the commands; for each
/// command what the ledger itself demands, then gates, then caps, these as the policy lists
/// them: default, partner, series, title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Position in the request's list of commands.
    pub command: u16,
    pub code: Code,
    /// The gate or cap; `None` for what the ledger itself demands.
    pub rule: Option<RuleId>,
    pub cap: Option<CapFinding>,
    /// The first instant at which this alone no longer stands in the way, if there is one.
    pub frees_at: Option<Timestamp>,
}

/// Stable codes, in order of precedence; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    MemberRevoked,
    MembershipLapsed,
    DeviceUnknown,
    DeviceRemoved,
    /// Its key was taken from it for good.
    DeviceRevoked,
    /// The device has notice: nothing new is given to it.
    DeviceLeaving,
    /// The device id belongs to another key.
    DeviceKeyMismatch,
    LicenseUnknown,
    LicenseClosed,
    /// Another device holds the license.
    LicenseOfOtherDevice,
    /// The caller names a term that the license has not reached.
    TermUnknown,
    TitleUnknown,
    RenewalTooEarly,
    RenewalTooLate,
    RenewalsExhausted,
    /// It was renewed without anybody asking a short while ago.
    AutoRenewalTooSoon,
    /// The new term would be over before it began.
    TermOverAtBirth,
    /// Not offered in this territory.
    TitleNotOffered,
    TitleNotYetAvailable,
    TitleNoLongerAvailable,
    TitleNotDownloadable,
    PlanNotAllowed,
    TerritoryNotAllowed,
    DeviceClassNotAllowed,
    SecurityLevelNotAllowed,
    /// The kind of account.
    AccountNotAllowed,
    MaturityNotAllowed,
    /// More streams run beside the request than the plan has.
    TooManyStreams,
    /// The device was with another member a short while ago.
    DeviceElsewhere,
    CapReached,
    /// The policy has no rule of this id to make an exception of.
    RuleUnknown,
    /// The exception would be over before it began.
    ExceptionOver,
    ExceptionUnknown,
}

impl Code {
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeviceUnknown => "device_unknown",
            Self::DeviceRemoved => "device_removed",
            Self::DeviceKeyMismatch => "device_key_mismatch",
            Self::LicenseUnknown => "license_unknown",
            Self::LicenseClosed => "license_closed",
            Self::LicenseOfOtherDevice => "license_of_other_device",
            Self::TermUnknown => "term_unknown",
            Self::TitleUnknown => "title_unknown",
            Self::RenewalTooEarly => "renewal_too_early",
            Self::RenewalTooLate => "renewal_too_late",
            Self::RenewalsExhausted => "renewals_exhausted",
            Self::AutoRenewalTooSoon => "auto_renewal_too_soon",
            Self::TermOverAtBirth => "term_over_at_birth",
            Self::TitleNotOffered => "title_not_offered",
            Self::TitleNotYetAvailable => "title_not_yet_available",
            Self::TitleNoLongerAvailable => "title_no_longer_available",
            Self::TitleNotDownloadable => "title_not_downloadable",
            Self::PlanNotAllowed => "plan_not_allowed",
            Self::TerritoryNotAllowed => "territory_not_allowed",
            Self::DeviceClassNotAllowed => "device_class_not_allowed",
            Self::SecurityLevelNotAllowed => "security_level_not_allowed",
            Self::AccountNotAllowed => "account_not_allowed",
            Self::MaturityNotAllowed => "maturity_not_allowed",
            Self::CapReached => "cap_reached",
            Self::MemberRevoked => "member_revoked",
            Self::MembershipLapsed => "membership_lapsed",
            Self::DeviceRevoked => "device_revoked",
            Self::DeviceLeaving => "device_leaving",
            Self::RuleUnknown => "rule_unknown",
            Self::ExceptionOver => "exception_over",
            Self::ExceptionUnknown => "exception_unknown",
            Self::TooManyStreams => "too_many_streams",
            Self::DeviceElsewhere => "device_elsewhere",
        }
    }

    /// In the order in which they came to be.
    pub const ALL: [Self; 33] = [
        Self::DeviceUnknown,
        Self::DeviceRemoved,
        Self::DeviceKeyMismatch,
        Self::LicenseUnknown,
        Self::LicenseClosed,
        Self::LicenseOfOtherDevice,
        Self::TermUnknown,
        Self::TitleUnknown,
        Self::RenewalTooEarly,
        Self::RenewalTooLate,
        Self::RenewalsExhausted,
        Self::TermOverAtBirth,
        Self::TitleNotOffered,
        Self::TitleNotYetAvailable,
        Self::TitleNoLongerAvailable,
        Self::TitleNotDownloadable,
        Self::PlanNotAllowed,
        Self::TerritoryNotAllowed,
        Self::DeviceClassNotAllowed,
        Self::CapReached,
        Self::AutoRenewalTooSoon,
        Self::SecurityLevelNotAllowed,
        Self::AccountNotAllowed,
        Self::MaturityNotAllowed,
        Self::MemberRevoked,
        Self::MembershipLapsed,
        Self::DeviceRevoked,
        Self::DeviceLeaving,
        Self::RuleUnknown,
        Self::ExceptionOver,
        Self::ExceptionUnknown,
        Self::TooManyStreams,
        Self::DeviceElsewhere,
    ];
}

/// What a cap counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapFinding {
    pub counts: Counts,
    pub per: Vec<ScopeKey>,
    /// Of a cap per tag, the tag that stands in the way longest.
    pub tag: Option<Tag>,
    pub limit: u32,
    /// How much of the limit is by exceptions.
    pub raised: u32,
    /// As counted before the command.
    pub used: u32,
    /// The half-open stretch of time that was counted; `None`: what is true now, or ever was.
    pub window: Option<(Timestamp, Timestamp)>,
    /// What used the cap up, oldest first; not what is remembered as a number only.
    pub contributors: Vec<Contributor>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contributor {
    pub at: Timestamp,
    /// `None` of a device that came or went.
    pub license: Option<LicenseId>,
    pub title: Option<TitleId>,
    pub device: DeviceId,
    /// When it stops counting; `None`: not by itself.
    pub frees_at: Option<Timestamp>,
    /// It is not recorded: an earlier command of the same list would add it.
    pub in_list: Option<u16>,
}

/// How a cap stands for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapState {
    pub rule: RuleId,
    pub counts: Counts,
    pub per: Vec<ScopeKey>,
    /// Of a cap per tag, the tag of which the least is left.
    pub tag: Option<Tag>,
    pub limit: u32,
    /// How much of the limit is by exceptions.
    pub raised: u32,
    pub used: u32,
    pub window: Option<(Timestamp, Timestamp)>,
    /// When the next unit frees, if any is used.
    pub frees_at: Option<Timestamp>,
    /// So little is left that the member should hear of it.
    pub warns: bool,
}

impl CapState {
    pub fn left(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// A complete set of actions after which the request passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    pub actions: Vec<RemedyAction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemedyAction {
    Release { license: LicenseId, device: DeviceId, title: TitleId },
    RemoveDevice { device: DeviceId },
}
