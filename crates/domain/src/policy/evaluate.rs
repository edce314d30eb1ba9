//! Asks every gate and every cap of a policy about one request.
//!
//! Counting has a short way, taken by every request, and a long way, taken only to explain: the
//! long way names each contributor and says when it stops counting.

mod count;

use std::cell::OnceCell;
use std::collections::BTreeMap;

use self::count::Count;
use crate::facts::{DeviceClass, Fact, MemberFacts, TitleFacts};
use crate::ids::{DeviceId, LicenseId, RuleId, Tag, TitleId};
use crate::member::{CapState, Code, CountedKind, Finding, License, Member};
use crate::policy::effective::{Effective, Level};
use crate::policy::{Asked, Cap, Condition, Counts, Gate, Guard, Keep, Of, ScopeKey, When, Window};
use crate::time::Timestamp;

/// One command as the policy sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub member: &'a Member,
    pub at: Timestamp,
    pub facts: &'a MemberFacts,
    pub device: &'a DeviceId,
    pub class: DeviceClass,
    /// `None` where a device comes or goes.
    pub title: Option<(&'a TitleId, &'a TitleFacts)>,
    pub rules: Effective<'a>,
    /// The license that is renewed, revived or replaced: active counts leave it out.
    pub license: Option<&'a LicenseId>,
    /// When the license that is renewed was acquired: the day of its own.
    pub acquired_at: Option<Timestamp>,
    pub adds: Adds,
    /// Position of the command in its list.
    pub command: u16,
    pub in_list: &'a InList,
}

/// What earlier commands of the same list would add, by their positions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InList {
    pub licenses: BTreeMap<LicenseId, u16>,
    pub devices: BTreeMap<DeviceId, u16>,
}

/// What the command would add to counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    Acquisition,
    Renewal,
    /// A check-in brings a lapsed license back: it adds to what is active, and is no event.
    Revival,
    Registration,
    Removal,
}

impl<'a> Ask<'a> {
    fn tags(&self) -> &'a [Tag] {
        self.title.map(|(_, facts)| &*facts.tags).unwrap_or_default()
    }
}

/// Gates and what the catalogue says, in the documented order.
pub fn gate_findings(ask: &Ask<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((_, title)) = ask.title {
        catalogue_findings(ask, title, &mut findings);
    }
    let of_devices = ask.title.is_none();
    let asked = |gate: &&Gate| {
        gate.condition.is_of_devices() == of_devices
            && ask.selected(&gate.of, &gate.when, &gate.needs)
    };
    for gate in ask.rules.gates().filter(asked) {
        let excepted = || ask.member.allowed(&gate.id, ask.at).is_some();
        if let Some((code, frees_at)) = closed(gate, ask).filter(|_| !excepted()) {
            findings.push(finding(ask, code, Some(&gate.id), frees_at));
        }
    }
    findings
}

fn finding(
    ask: &Ask<'_>,
    code: Code,
    rule: Option<&RuleId>,
    frees_at: Option<Timestamp>,
) -> Finding {
    Finding { command: ask.command, code, rule: rule.cloned(), cap: None, frees_at }
}

fn catalogue_findings(ask: &Ask<'_>, title: &TitleFacts, findings: &mut Vec<Finding>) {
    let finding = |code, rule, frees_at| finding(ask, code, rule, frees_at);
    if !title.offered {
        findings.push(finding(Code::TitleNotOffered, None, None));
    } else if title.available_from.is_some_and(|from| ask.at < from) {
        findings.push(finding(Code::TitleNotYetAvailable, None, title.available_from));
    } else if title.available_until.is_some_and(|until| ask.at >= until) {
        findings.push(finding(Code::TitleNoLongerAvailable, None, None));
    }
    // The catalogue's word holds whether or not a gate of the policy gives it a name.
    if !title.downloadable {
        let gate = ask.rules.gates().find(|gate| gate.condition == Condition::Downloadable);
        findings.push(finding(Code::TitleNotDownloadable, gate.map(|gate| &gate.id), None));
    }
}

/// Why it does not let the request pass, and until when if time alone opens it.
fn closed(gate: &Gate, ask: &Ask<'_>) -> Option<(Code, Option<Timestamp>)> {
    let facts = ask.facts;
    let mut opens_at = None;
    let open = match &gate.condition {
        Condition::Plans(plans) => facts.plan.as_ref().is_some_and(|plan| plans.contains(plan)),
        Condition::Territories(territories) => {
            facts.territory.as_ref().is_some_and(|territory| territories.contains(territory))
        }
        Condition::NotTerritories(territories) => {
            facts.territory.as_ref().is_some_and(|territory| !territories.contains(territory))
        }
        Condition::Classes(classes) => classes.contains(&ask.class),
        Condition::SecurityLevels(levels) => {
            facts.security_level.as_ref().is_some_and(|level| levels.contains(level))
        }
        Condition::Accounts(accounts) => {
            facts.account.as_ref().is_some_and(|account| accounts.contains(account))
        }
        Condition::Maturity => {
            let rating = ask.title.and_then(|(_, title)| title.maturity_rating);
            rating.zip(facts.maturity_limit).is_some_and(|(rating, limit)| rating <= limit)
        }
        Condition::ConcurrentStreams(limit) => {
            let limit = limit.of(facts, ask.class, ask.tags());
            facts.concurrent_streams.is_some_and(|streams| streams <= limit)
        }
        Condition::NotElsewhereFor(length) => {
            opens_at = facts.elsewhere_at.map(|elsewhere_at| elsewhere_at + *length);
            opens_at.is_some_and(|opens_at| opens_at <= ask.at)
        }
        Condition::Downloadable => true, // reported above
        Condition::Closed => false,
    };
    let code = match &gate.condition {
        Condition::Plans(_) => Code::PlanNotAllowed,
        Condition::Territories(_) | Condition::NotTerritories(_) => Code::TerritoryNotAllowed,
        Condition::Classes(_) => Code::DeviceClassNotAllowed,
        Condition::SecurityLevels(_) => Code::SecurityLevelNotAllowed,
        Condition::Accounts(_) => Code::AccountNotAllowed,
        Condition::Maturity => Code::MaturityNotAllowed,
        Condition::ConcurrentStreams(_) => Code::TooManyStreams,
        Condition::NotElsewhereFor(_) => Code::DeviceElsewhere,
        Condition::Downloadable | Condition::Closed => Code::TitleNotDownloadable,
    };
    (!open).then_some((code, opens_at))
}

/// Every cap that the command does not fit into, and the ids of all those it is counted under.
pub fn cap_findings(ask: &Ask<'_>) -> (Vec<Finding>, Vec<RuleId>) {
    let active = Active::new(ask);
    let mut findings = Vec::new();
    let mut applying = Vec::new();
    for (level, cap) in applying_caps(ask) {
        // For each tag by itself, and told is the one that frees last.
        let found = counts(ask, level, cap, &active).filter_map(|count| count.finding());
        findings.extend(found.max_by_key(|finding| finding.frees_at.unwrap_or(Timestamp::MAX)));
        applying.push(cap.id.clone());
    }
    (findings, applying)
}

/// Every cap that is asked about the command, with what is left of it.
pub fn cap_states(ask: &Ask<'_>) -> Vec<CapState> {
    let active = Active::new(ask);
    let states = |(level, cap)| {
        let states = counts(ask, level, cap, &active).map(|count| count.state());
        states.min_by_key(CapState::left)
    };
    let mut all = Vec::with_capacity(ask.rules.caps().count());
    all.extend(applying_caps(ask).filter_map(states));
    all
}

/// The devices that caps on devices have no room for, by what leaves: `true` where the device is
/// not even registered any longer. Only what no title splits is looked at.
pub fn surplus_devices(ask: &Ask<'_>, keep: Keep) -> BTreeMap<DeviceId, bool> {
    let active = Active::new(ask);
    let mut surplus: BTreeMap<DeviceId, bool> = BTreeMap::new();
    let caps = ask.rules.caps().filter(|(_, cap)| {
        matches!(cap.counts, Counts::DevicesHolding | Counts::DevicesRegistered)
            && cap.of.tags.is_empty()
            && !cap.when.guard.as_ref().is_some_and(Guard::is_of_titles)
            && cap.per.iter().all(|key| *key == ScopeKey::DeviceClass)
    });
    for (level, cap) in caps {
        let of_class =
            |class: &DeviceClass| cap.of.classes.is_empty() || cap.of.classes.contains(class);
        let of_each = DeviceClass::ALL.into_iter().filter(of_class).map(|class| {
            let ask = Ask { class, ..*ask };
            let count = Count { ask: &ask, level, cap, active: &active, tag: None };
            let asked = ask.selected(&cap.of, &cap.when, &cap.needs);
            if asked { count.surplus(keep) } else { Vec::new() }
        });
        let devices: Vec<DeviceId> = if cap.per.contains(&ScopeKey::DeviceClass) {
            of_each.flatten().collect()
        } else {
            // Each list is the end of the same one: the shortest leaves whatever device asks.
            of_each.min_by_key(Vec::len).unwrap_or_default()
        };
        let removed = cap.counts == Counts::DevicesRegistered;
        for device in devices {
            *surplus.entry(device).or_default() |= removed;
        }
    }
    surplus
}

fn applying_caps<'a, 'b>(ask: &'b Ask<'a>) -> impl Iterator<Item = (Level, &'a Cap)> + 'b {
    ask.rules.caps().filter(move |(_, cap)| {
        asked(cap, ask.adds) && splits(cap, ask) && ask.selected(&cap.of, &cap.when, &cap.needs)
    })
}

fn asked(cap: &Cap, adds: Adds) -> bool {
    use CountedKind::{
        Acquired, DeviceRegistered, DeviceRemoved, DeviceSwapped, FirstPlayed, Played, Renewed,
    };
    let of_licenses = !matches!(adds, Adds::Registration | Adds::Removal);
    match cap.counts {
        Counts::ActiveLicenses | Counts::DevicesHolding => of_licenses,
        Counts::DistinctTitles if cap.window == Window::Now => of_licenses,
        Counts::DistinctTitles => adds == Adds::Acquisition,
        Counts::DevicesRegistered => adds == Adds::Registration,
        // Nobody asks before playing offline: a cap on plays is asked where a term opens that
        // could be played.
        Counts::Events(kinds) => {
            let any = |of: &[CountedKind]| of.iter().any(|kind| kinds.contains(*kind));
            match adds {
                Adds::Acquisition => any(&[Acquired, FirstPlayed, Played]),
                Adds::Renewal => any(&[Renewed, FirstPlayed, Played]),
                Adds::Revival => false,
                Adds::Registration => any(&[DeviceRegistered, DeviceSwapped]),
                Adds::Removal => any(&[DeviceRemoved]),
            }
        }
    }
}

/// A title that is in no series is counted in none, and one without tags under none.
fn splits(cap: &Cap, ask: &Ask<'_>) -> bool {
    cap.per.iter().all(|key| match key {
        ScopeKey::Series => ask.title.is_none_or(|(_, facts)| facts.series.is_some()),
        ScopeKey::Tag => !ask.tags().is_empty(),
        _ => true,
    })
}

/// One count, or one for each tag.
fn counts<'a, 'b>(
    ask: &'b Ask<'a>,
    level: Level,
    cap: &'a Cap,
    active: &'b Active<'a>,
) -> impl Iterator<Item = Count<'a, 'b>> {
    let by_tag = cap.per.contains(&ScopeKey::Tag);
    let tags = if by_tag { ask.tags() } else { &[] };
    let once = (!by_tag).then_some(None);
    let tags = once.into_iter().chain(tags.iter().map(Some));
    tags.map(move |tag| Count { ask, level, cap, active, tag })
}

impl Ask<'_> {
    fn selected(&self, of: &Of, when: &When, needs: &[Fact]) -> bool {
        let asked = Asked { member: self.facts, class: self.class, title: self.title };
        selects(of, when, &asked)
            && needs
                .iter()
                .all(|fact| fact.is_known(self.facts, self.title.map(|(_, title)| title)))
    }
}

/// An absent fact matches: a rule is never escaped by leaving a fact out.
pub fn selects(of: &Of, when: &When, asked: &Asked<'_>) -> bool {
    let Asked { member, class, title } = *asked;
    let tags = title.map(|(_, title)| &*title.tags).unwrap_or_default();
    of_matches(of, class, tags)
        && listed(&when.plans, member.plan.as_ref())
        && listed(&when.territories, member.territory.as_ref())
        && listed(&when.security_levels, member.security_level.as_ref())
        && listed(&when.accounts, member.account.as_ref())
        && when.guard.as_ref().is_none_or(|guard| guard.holds(asked) != Some(false))
}

fn listed<T: PartialEq>(list: &[T], fact: Option<&T>) -> bool {
    list.is_empty() || fact.is_none_or(|fact| list.contains(fact))
}

fn of_matches(of: &Of, class: DeviceClass, tags: &[Tag]) -> bool {
    (of.tags.is_empty() || tags.iter().any(|tag| of.tags.contains(tag)))
        && (of.classes.is_empty() || of.classes.contains(&class))
}

/// What is active beside the license in question: looked up once for all caps, by the first that
/// needs it.
struct Active<'a> {
    ask: Ask<'a>,
    licenses: OnceCell<Vec<(&'a LicenseId, &'a License)>>,
}

impl<'a> Active<'a> {
    fn new(ask: &Ask<'a>) -> Self {
        Self { ask: *ask, licenses: OnceCell::new() }
    }

    fn licenses(&self) -> &[(&'a LicenseId, &'a License)] {
        self.licenses.get_or_init(|| {
            let Ask { member, license, at, .. } = self.ask;
            let beside = member.licenses.iter().filter(|(id, _)| license != Some(*id));
            beside.filter(|(_, license)| license.active(at)).collect()
        })
    }
}
