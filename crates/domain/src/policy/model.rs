//! What a policy is made of. A new kind of cap is a new variant here and a new arm in
//! `evaluate`.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, iter};

use crate::facts::{DeviceClass, Fact, MemberFacts};
use crate::ids::{
    Account, PartnerId, Plan, PolicyVersion, RuleId, SecurityLevel, SeriesId, Tag, Territory,
    TitleId,
};
use crate::member::CountedKind;
use crate::policy::guard::{Guard, GuardFact};
use crate::time::{CalendarUnit, Duration, Timestamp, Zone};

/// How far back a member's state remembers what counted, where nobody raised it. A policy with a longer
/// window than what is remembered is refused at load.
pub const HORIZON: Duration = Duration::days(400);
/// It may be raised to so much: ten years.
pub const HORIZON_MAX: Duration = Duration::days(3_660);

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
    /// What leaves when a membership allows fewer devices; `None`: nothing.
    pub downgrade: Option<Downgrade>,
    /// How long after a lapse all licenses end; `None`: each by its own clocks.
    pub lapse_ends_within: Option<Duration>,
}

impl Policy {
    /// How far back its windows ask, beyond the periods of calendars.
    pub fn reach(&self) -> Duration {
        let narrower =
            self.partners.values().chain(self.series.values()).chain(self.titles.values());
        let caps = iter::once(&self.default).chain(narrower).flat_map(|rules| &rules.caps);
        let lengths = caps.filter_map(|cap| match cap.window {
            Window::Rolling(length) | Window::FirstUse(length) => Some(length),
            _ => None,
        });
        lengths.max().unwrap_or(Duration::ZERO)
    }

    /// Whether a cap or gate of any level has this id. Looks at all of them: for an operator's
    /// deed, and for no decision.
    pub fn has_rule(&self, id: &RuleId) -> bool {
        let levels = self.partners.values().chain(self.series.values()).chain(self.titles.values());
        [&self.default].into_iter().chain(levels).any(|rules| {
            rules.caps.iter().any(|cap| cap.id == *id)
                || rules.gates.iter().any(|gate| gate.id == *id)
        })
    }
}

/// What a downgrade does to devices beyond the new limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downgrade {
    pub keep: Keep,
    /// How long they have until they leave.
    pub notice: Duration,
}

/// Which devices stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    LastSeen,
    FirstRegistered,
}

/// What one level of the policy says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    pub terms: TermsPatch,
    pub tighten: Vec<Tighten>,
    pub gates: Vec<Gate>,
    pub caps: Vec<Cap>,
}

/// How long a license lasts and how it may be renewed, where this level says so. A narrower
/// level wins field by field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TermsPatch {
    pub start_within: Option<Duration>,
    pub finish_within: Option<Duration>,
    /// Since when `finish_within` runs.
    pub finish_anchor: Option<FinishAnchor>,
    pub check_in_within: Option<Duration>,
    /// From the start of the term to a hard end.
    pub end_within: Option<Duration>,
    pub grace: Option<Duration>,
    pub running_play: Option<Duration>,
    pub not_before: Option<Timestamp>,
    pub hard_end: Option<Timestamp>,
    /// Whether all copies end when the title leaves the catalogue.
    pub end_with_availability: Option<bool>,
    pub renewals_max: Option<u32>,
    pub renew_before_end: Option<Duration>,
    pub renew_after_end: Option<Duration>,
    /// From when on the next term's lengths run.
    pub renew_from: Option<RenewFrom>,
    /// A license is renewed without anybody asking at most once in so long.
    pub auto_renew_every: Option<Duration>,
    /// When a license that another device closed stops counting.
    pub release_frees: Option<ReleaseFrees>,
    /// Whether the device deletes what has ended.
    pub delete_at_end: Option<bool>,
}

/// The order is from loose to tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReleaseFrees {
    AtOnce,
    /// Its own device says that the copy is gone, or can no longer play it.
    WhenConfirmed,
}

/// Whose first play starts the finish clock. The order is from loose to tight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FinishAnchor {
    Term,
    /// A renewal does not open it anew.
    License,
    /// Of the title, by this member: nor does a second copy or a new download.
    Title,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RenewFrom {
    Now,
    /// From the end of the term before, if that is still to come.
    End,
}

/// Terms for some titles, devices or members: of each field the tighter one holds, whatever
/// level says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tighten {
    pub id: RuleId,
    pub of: Of,
    pub when: When,
    pub terms: TermsPatch,
    /// Without one of these facts it does not tighten.
    pub needs: Vec<Fact>,
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
    /// A device that was not seen for so long is not counted, for caps on devices.
    pub idle_after: Option<Duration>,
    /// Warns when so many are left, or fewer.
    pub warn_at_left: Option<u32>,
    /// Without one of these facts it is not asked.
    pub needs: Vec<Fact>,
}

impl Cap {
    /// The facts that may be absent and that it goes by.
    pub fn facts(&self) -> BTreeSet<Fact> {
        let mut facts = self.when.facts();
        facts.extend(self.limit.fact());
        facts.extend(self.per.contains(&ScopeKey::Profile).then_some(Fact::Profile));
        facts.extend(
            matches!(self.window, Window::Anniversary(Since::Member, ..))
                .then_some(Fact::MemberSince),
        );
        facts
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counts {
    /// Licenses that a device could still be playing.
    ActiveLicenses,
    /// Devices with at least one such license.
    DevicesHolding,
    /// Titles with at least one such license; in a window, titles that were acquired in it.
    DistinctTitles,
    /// Devices that are registered now.
    DevicesRegistered,
    /// Events in the window.
    Events(Kinds),
}

impl Counts {
    /// As the policy writes it; of several kinds of events, `acquisitions_and_renewals`.
    pub fn name(self) -> String {
        match self {
            Self::ActiveLicenses => "active_licenses".to_owned(),
            Self::DevicesHolding => "devices_holding".to_owned(),
            Self::DistinctTitles => "distinct_titles".to_owned(),
            Self::DevicesRegistered => "devices_registered".to_owned(),
            Self::Events(kinds) => {
                kinds.iter().map(CountedKind::name).collect::<Vec<_>>().join("_and_")
            }
        }
    }

    /// Whether it is asked when devices come and go, rather than licenses.
    pub fn is_of_devices(self) -> bool {
        match self {
            Self::DevicesRegistered => true,
            Self::Events(kinds) => kinds.iter().any(CountedKind::is_of_devices),
            _ => false,
        }
    }
}

/// Kinds of events that one cap counts together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kinds(u8);

impl Kinds {
    pub const fn of(kinds: &[CountedKind]) -> Self {
        let mut bits = 0;
        let mut rest = kinds;
        while let [kind, others @ ..] = rest {
            bits |= 1 << *kind as u8;
            rest = others;
        }
        Self(bits)
    }

    pub const fn contains(self, kind: CountedKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    pub fn iter(self) -> impl Iterator<Item = CountedKind> {
        CountedKind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
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
    /// For each tag of the title by itself.
    Tag,
}

impl ScopeKey {
    pub const ALL: [Self; 7] = [
        Self::Profile,
        Self::Device,
        Self::DeviceClass,
        Self::Partner,
        Self::Series,
        Self::Title,
        Self::Tag,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Device => "device",
            Self::DeviceClass => "device_class",
            Self::Partner => "partner",
            Self::Series => "series",
            Self::Title => "title",
            Self::Tag => "tag",
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
/// is never escaped by leaving a fact out, but where the rule says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    pub plans: Vec<Plan>,
    pub territories: Vec<Territory>,
    pub security_levels: Vec<SecurityLevel>,
    pub accounts: Vec<Account>,
    /// Where that hangs on a fact that is absent, it holds.
    pub guard: Option<Guard>,
}

impl When {
    /// The facts that it goes by.
    pub fn facts(&self) -> BTreeSet<Fact> {
        let used = [
            (self.plans.is_empty(), Fact::Plan),
            (self.territories.is_empty(), Fact::Territory),
            (self.security_levels.is_empty(), Fact::SecurityLevel),
            (self.accounts.is_empty(), Fact::Account),
        ];
        let listed = used.into_iter().filter_map(|(empty, fact)| (!empty).then_some(fact));
        let guarded = self.guard.iter().flat_map(Guard::operands);
        listed.chain(guarded.filter_map(GuardFact::may_be_absent)).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Window {
    /// What is true now, for caps on what is active or registered.
    Now,
    /// `(at - length, at]`: an event stops counting exactly `length` after it happened.
    Rolling(Duration),
    Calendar(CalendarUnit, Zone),
    /// Turns on the day on which something began. Where that is not known, as far back as such a
    /// period can reach.
    Anniversary(Since, CalendarUnit, Zone),
    /// A fixed length, opened by the first event counted; the first one after its end opens the
    /// next.
    FirstUse(Duration),
    /// Never resets.
    Lifetime,
}

/// What began on the day on which an anniversary turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The membership.
    Member,
    /// The license that is renewed.
    License,
}

/// Up to how many: one number, or one by a fact of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limit {
    /// For what the table does not name; `None`: it gets nothing.
    pub otherwise: Option<u32>,
    pub by: LimitBy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitBy {
    Plan(BTreeMap<Plan, u32>),
    Territory(BTreeMap<Territory, u32>),
    Class(BTreeMap<DeviceClass, u32>),
    /// Of several tags that are named, the smallest number holds.
    Tag(BTreeMap<Tag, u32>),
}

impl Default for LimitBy {
    fn default() -> Self {
        Self::Plan(BTreeMap::new())
    }
}

/// A yes-or-no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub id: RuleId,
    pub of: Of,
    pub when: When,
    pub condition: Condition,
    /// Without one of these facts it is not asked.
    pub needs: Vec<Fact>,
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
    /// The security level is one of these. Without one: refused.
    SecurityLevels(Vec<SecurityLevel>),
    /// The kind of account is one of these. Without one: refused.
    Accounts(Vec<Account>),
    /// The title is rated no higher than the profile may see. Without either: refused.
    Maturity,
    /// No more streams than this run beside the request. Where that is not known: refused.
    ConcurrentStreams(Limit),
    /// The device was with no other member for so long. Where that is not known: refused. Asked
    /// when a device is registered, and never of titles.
    NotElsewhereFor(Duration),
    /// The catalogue says that the title may be taken offline.
    Downloadable,
    /// Never: downloads are closed at this level.
    Closed,
}

impl Condition {
    /// The facts that may be absent and that it decides by.
    pub fn facts(&self) -> BTreeSet<Fact> {
        let facts: &[Fact] = match self {
            Self::ConcurrentStreams(_) => &[Fact::ConcurrentStreams],
            Self::NotElsewhereFor(_) => &[Fact::ElsewhereAt],
            Self::Plans(_) => &[Fact::Plan],
            Self::Territories(_) | Self::NotTerritories(_) => &[Fact::Territory],
            Self::SecurityLevels(_) => &[Fact::SecurityLevel],
            Self::Accounts(_) => &[Fact::Account],
            Self::Maturity => &[Fact::MaturityLimit, Fact::MaturityRating],
            Self::Classes(_) | Self::Downloadable | Self::Closed => &[],
        };
        facts.iter().copied().collect()
    }

    /// A number that it goes by.
    pub fn limit(&self) -> Option<&Limit> {
        match self {
            Self::ConcurrentStreams(limit) => Some(limit),
            _ => None,
        }
    }

    /// Whether it is asked when a device comes, rather than of titles.
    pub fn is_of_devices(&self) -> bool {
        matches!(self, Self::NotElsewhereFor(_))
    }
}

impl Limit {
    pub fn constant(limit: u32) -> Self {
        Self { otherwise: Some(limit), ..Self::default() }
    }

    /// The fact that may be absent and that it goes by.
    pub fn fact(&self) -> Option<Fact> {
        match &self.by {
            LimitBy::Plan(table) if !table.is_empty() => Some(Fact::Plan),
            LimitBy::Territory(_) => Some(Fact::Territory),
            _ => None,
        }
    }

    /// Without the fact that it goes by, the smallest of the table holds.
    pub fn of(&self, facts: &MemberFacts, class: DeviceClass, tags: &[Tag]) -> u32 {
        let by = |named: Option<u32>| named.or(self.otherwise).unwrap_or(0);
        match &self.by {
            LimitBy::Plan(table) => match &facts.plan {
                Some(plan) => by(table.get(plan).copied()),
                None => self.smallest(table),
            },
            LimitBy::Territory(table) => match &facts.territory {
                Some(territory) => by(table.get(territory).copied()),
                None => self.smallest(table),
            },
            LimitBy::Class(table) => by(table.get(&class).copied()),
            LimitBy::Tag(table) => by(tags.iter().filter_map(|tag| table.get(tag)).min().copied()),
        }
    }

    fn smallest<K>(&self, table: &BTreeMap<K, u32>) -> u32 {
        table.values().copied().chain(self.otherwise).min().unwrap_or(0)
    }
}
