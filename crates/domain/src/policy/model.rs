//! What a policy is made of. A new kind of cap is a new variant here and a new arm in
//! `evaluate`.

use std::collections::BTreeMap;

use crate::facts::DeviceClass;
use crate::ids::{PartnerId, Plan, PolicyVersion, RuleId, SeriesId, Tag, Territory, TitleId};
use crate::time::{CalendarUnit, Duration, Timestamp, Zone};

/// How far back a member's state remembers what counted. A policy with a longer window is
/// refused at load.
pub const HORIZON: Duration = Duration::days(400);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub version: PolicyVersion,
    /// By its author's name; appears in explanations.
    pub name: String,
    /// Not used for decisions before.
    pub effective_from: Timestamp,
    pub default: Rules,
    pub partners: BTreeMap<PartnerId, Rules>,
    pub series: BTreeMap<SeriesId, Rules>,
    pub titles: BTreeMap<TitleId, Rules>,
}

/// What one level of the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub terms: TermsPatch,
    pub gates: Vec<Gate>,
    pub caps: Vec<Cap>,
}

/// How long a license lasts and how it may be renewed, where this level says so. A narrower
/// level wins field by field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermsPatch {
    pub start_within: Option<Duration>,
    pub finish_within: Option<Duration>,
    pub check_in_within: Option<Duration>,
    pub grace: Option<Duration>,
    pub running_play: Option<Duration>,
    pub not_before: Option<Timestamp>,
    pub hard_end: Option<Timestamp>,
    /// Whether all copies end when the title leaves the catalogue.
    pub end_with_availability: Option<bool>,
    pub renewals_max: Option<u32>,
    pub renew_before_end: Option<Duration>,
    pub renew_after_end: Option<Duration>,
}

/// A counted limit: what is counted, per which scope, in which window, up to how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    pub id: RuleId,
    pub counts: Counts,
    /// Beside the member itself: what must be equal to the request's for an event to be counted.
    pub per: Vec<ScopeKey>,
    /// Selects the request and the events counted, by each event's frozen facts.
    pub of: Of,
    /// Selects the request only.
    pub when: When,
    pub window: Window,
    pub limit: Limit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counts {
    /// Licenses that a device could still be playing.
    ActiveLicenses,
    /// Devices with at least one such license.
    DevicesHolding,
    /// Events in the window.
    Events { acquisitions: bool, renewals: bool },
}

impl Counts {
    pub const fn name(self) -> &'static str {
        match self {
            Self::ActiveLicenses => "active_licenses",
            Self::DevicesHolding => "devices_holding",
            Self::Events { acquisitions: true, renewals: true } => "acquisitions_and_renewals",
            Self::Events { acquisitions: false, renewals: true } => "renewals",
            Self::Events { .. } => "acquisitions",
        }
    }
}

/// A fact that splits a count. The member always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScopeKey {
    Profile,
    Device,
    DeviceClass,
    Partner,
    Series,
    Title,
}

impl ScopeKey {
    pub const ALL: [Self; 6] =
        [Self::Profile, Self::Device, Self::DeviceClass, Self::Partner, Self::Series, Self::Title];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Device => "device",
            Self::DeviceClass => "device_class",
            Self::Partner => "partner",
            Self::Series => "series",
            Self::Title => "title",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }
}

/// Matching on title facts and device class. Empty: everything matches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Of {
    /// Any of these.
    pub tags: Vec<Tag>,
    /// Any of these.
    pub classes: Vec<DeviceClass>,
}

/// Matching on who asks. Empty: everyone. A listed fact that is absent matches, so that a rule
/// is never escaped by leaving a fact out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    pub plans: Vec<Plan>,
    pub territories: Vec<Territory>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// What is true now, for caps on what is active.
    Now,
    /// `(at - length, at]`: an event stops counting exactly `length` after it happened.
    Rolling(Duration),
    Calendar(CalendarUnit, Zone),
}

/// Up to how many. Without a plan among the facts, the smallest of the table holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limit {
    /// For plans that are not in the table; `None`: the table names every plan, and another plan
    /// gets nothing.
    pub otherwise: Option<u32>,
    pub by_plan: BTreeMap<Plan, u32>,
}

/// A yes-or-no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub id: RuleId,
    pub of: Of,
    pub when: When,
    pub condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The plan is one of these. Without a plan: refused.
    Plans(Vec<Plan>),
    /// The territory is one of these. Without a territory: refused.
    Territories(Vec<Territory>),
    /// The territory is none of these. Without a territory: refused.
    NotTerritories(Vec<Territory>),
    Classes(Vec<DeviceClass>),
    /// The catalogue says that the title may be taken offline.
    Downloadable,
    /// Never: downloads are closed at this level.
    Closed,
}

impl Limit {
    pub fn of(&self, plan: Option<&Plan>) -> u32 {
        match plan {
            Some(plan) => self.by_plan.get(plan).copied().or(self.otherwise).unwrap_or(0),
            None => self.by_plan.values().copied().chain(self.otherwise).min().unwrap_or(0),
        }
    }
}
