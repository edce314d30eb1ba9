//! Asks every gate and every cap of a policy about one request.
//!
//! Counting has a short way, taken by every request, and a long way, taken only to explain: the
//! long way names each contributor and says when it stops counting.

use std::collections::BTreeMap;

use crate::facts::Facts;
use crate::ids::{DeviceId, LicenseId, RuleId, TitleId};
use crate::member::{
    CapFinding, CapState, Code, Contributor, Counted, CountedKind, Finding, License, Member,
};
use crate::policy::effective::{Effective, Level};
use crate::policy::{Cap, Condition, Counts, Gate, Of, ScopeKey, When, Window};
use crate::time::{Duration, Timestamp, calendar_period, calendar_start};

/// One command as the policy sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub member: &'a Member,
    pub at: Timestamp,
    pub device: &'a DeviceId,
    pub title: &'a TitleId,
    pub facts: &'a Facts,
    pub rules: Effective<'a>,
    /// The license that is renewed, revived or replaced: active counts leave it out.
    pub license: Option<&'a LicenseId>,
    pub adds: Adds,
    /// Position of the command in its list.
    pub command: u16,
    /// Licenses that earlier commands of the same list would acquire or renew at `at`.
    pub in_list: &'a BTreeMap<LicenseId, u16>,
}

/// What the command would add to counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adds {
    Acquisition,
    Renewal,
    /// A check-in brings a lapsed license back: it adds to what is active, and is no event.
    Revival,
}

/// Gates and what the catalogue says, in the documented order.
pub fn gate_findings(ask: &Ask<'_>) -> Vec<Finding> {
    let finding = |code, rule: Option<&RuleId>, frees_at| Finding {
        command: ask.command,
        code,
        rule: rule.cloned(),
        cap: None,
        frees_at,
    };
    let title = &ask.facts.title;
    let mut findings = Vec::new();
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
    for gate in ask.rules.gates().filter(|gate| selects(&gate.of, &gate.when, ask.facts)) {
        if let Some(code) = closed(gate, ask.facts) {
            findings.push(finding(code, Some(&gate.id), None));
        }
    }
    findings
}

fn closed(gate: &Gate, facts: &Facts) -> Option<Code> {
    let open = match &gate.condition {
        Condition::Plans(plans) => facts.plan.as_ref().is_some_and(|plan| plans.contains(plan)),
        Condition::Territories(territories) => {
            facts.territory.as_ref().is_some_and(|territory| territories.contains(territory))
        }
        Condition::NotTerritories(territories) => {
            facts.territory.as_ref().is_some_and(|territory| !territories.contains(territory))
        }
        Condition::Classes(classes) => classes.contains(&facts.class),
        Condition::Downloadable => true, // reported above
        Condition::Closed => false,
    };
    let code = match &gate.condition {
        Condition::Plans(_) => Code::PlanNotAllowed,
        Condition::Territories(_) | Condition::NotTerritories(_) => Code::TerritoryNotAllowed,
        Condition::Classes(_) => Code::DeviceClassNotAllowed,
        Condition::Downloadable | Condition::Closed => Code::TitleNotDownloadable,
    };
    (!open).then_some(code)
}

/// Every cap that the command does not fit into.
pub fn cap_findings(ask: &Ask<'_>) -> Vec<Finding> {
    let active = active(ask);
    let count = |(level, cap)| Count { ask, level, cap, active: &active }.finding();
    applying_caps(ask).filter_map(count).collect()
}

/// Every cap that is asked about the command, with what is left of it.
pub fn cap_states(ask: &Ask<'_>) -> Vec<CapState> {
    let active = active(ask);
    applying_caps(ask)
        .map(|(level, cap)| Count { ask, level, cap, active: &active }.state())
        .collect()
}

/// The ids of the caps that the command is counted under.
pub fn applying_cap_ids(ask: &Ask<'_>) -> Vec<RuleId> {
    applying_caps(ask).map(|(_, cap)| cap.id.clone()).collect()
}

fn applying_caps<'a>(ask: &Ask<'a>) -> impl Iterator<Item = (Level, &'a Cap)> {
    let (facts, adds) = (ask.facts, ask.adds);
    ask.rules.caps().filter(move |(_, cap)| {
        let asked = match (cap.counts, adds) {
            (Counts::ActiveLicenses | Counts::DevicesHolding, _) => true,
            (Counts::Events { acquisitions, .. }, Adds::Acquisition) => acquisitions,
            (Counts::Events { renewals, .. }, Adds::Renewal) => renewals,
            (Counts::Events { .. }, Adds::Revival) => false,
        };
        asked && selects(&cap.of, &cap.when, facts)
    })
}

/// An absent fact matches: a rule is never escaped by leaving a fact out.
fn selects(of: &Of, when: &When, facts: &Facts) -> bool {
    let listed = |empty: bool, found: Option<bool>| empty || found.unwrap_or(true);
    of_matches(of, facts)
        && listed(when.plans.is_empty(), facts.plan.as_ref().map(|p| when.plans.contains(p)))
        && listed(
            when.territories.is_empty(),
            facts.territory.as_ref().map(|t| when.territories.contains(t)),
        )
}

fn of_matches(of: &Of, facts: &Facts) -> bool {
    (of.tags.is_empty() || facts.title.tags.iter().any(|tag| of.tags.contains(tag)))
        && (of.classes.is_empty() || of.classes.contains(&facts.class))
}

/// What is active beside the license in question: looked up once for all caps.
fn active<'a>(ask: &Ask<'a>) -> Vec<(&'a LicenseId, &'a License)> {
    let licenses = ask.member.licenses.iter();
    licenses.filter(|(id, license)| ask.license != Some(*id) && license.active(ask.at)).collect()
}

/// One cap asked about one command.
struct Count<'a, 'b> {
    ask: &'b Ask<'a>,
    level: Level,
    cap: &'a Cap,
    active: &'b [(&'a LicenseId, &'a License)],
}

impl<'a> Count<'a, '_> {
    fn limit(&self) -> u32 {
        self.cap.limit.of(self.ask.facts.plan.as_ref())
    }

    fn finding(&self) -> Option<Finding> {
        let (limit, used, adds) = (self.limit(), self.used(), self.adds());
        // A cap refuses only what adds to it.
        if adds == 0 || used.saturating_add(adds) <= limit {
            return None;
        }
        let contributors = self.contributors();
        let over = (used + adds).saturating_sub(limit);
        Some(Finding {
            command: self.ask.command,
            code: Code::CapReached,
            rule: Some(self.cap.id.clone()),
            frees_at: self.frees_at(&contributors, over),
            cap: Some(CapFinding {
                counts: self.cap.counts,
                per: self.cap.per.clone(),
                limit,
                used,
                window: self.window(),
                contributors,
            }),
        })
    }

    fn state(&self) -> CapState {
        let contributors = self.contributors();
        CapState {
            rule: self.cap.id.clone(),
            counts: self.cap.counts,
            per: self.cap.per.clone(),
            limit: self.limit(),
            used: self.used(),
            window: self.window(),
            frees_at: self.frees_at(&contributors, 1),
        }
    }

    /// How many units the command would add.
    fn adds(&self) -> u32 {
        match self.cap.counts {
            Counts::Events { .. } => 1,
            Counts::ActiveLicenses => u32::from(!self.counted_already()),
            Counts::DevicesHolding => {
                let mut others = self.active();
                let holds = others.any(|(_, license)| license.device == *self.ask.device);
                u32::from(!holds && !self.counted_already())
            }
        }
    }

    /// Whether the license in question is counted by this cap as things stand. One that is
    /// replaced never is: it ended, and acquiring anew closes it.
    fn counted_already(&self) -> bool {
        let license = self.ask.license.and_then(|id| self.ask.member.licenses.get(id));
        self.ask.adds != Adds::Acquisition
            && license.is_some_and(|l| l.active(self.ask.at) && self.counts_license(l))
    }

    fn used(&self) -> u32 {
        let n = match self.cap.counts {
            Counts::Events { .. } => self.kinds().map(|kind| self.events_used(kind)).sum(),
            Counts::ActiveLicenses => self.active().count(),
            Counts::DevicesHolding => self.devices_until().len(),
        };
        u32::try_from(n).unwrap_or(u32::MAX)
    }

    fn kinds(&self) -> impl Iterator<Item = CountedKind> {
        let (acquisitions, renewals) = match self.cap.counts {
            Counts::Events { acquisitions, renewals } => (acquisitions, renewals),
            _ => (false, false),
        };
        let kinds = [(acquisitions, CountedKind::Acquired), (renewals, CountedKind::Renewed)];
        kinds.into_iter().filter_map(|(counted, kind)| counted.then_some(kind))
    }

    fn events_used(&self, kind: CountedKind) -> usize {
        let log = self.ask.member.history.log(kind);
        let (among, exact) = self.among();
        let entries = log.after(among, self.after());
        if exact {
            entries.len()
        } else {
            entries.filter(|counted| self.counts_event(counted)).count()
        }
    }

    /// Where to look in the history, and whether everything there is counted.
    fn among(&self) -> (crate::member::Among<'a>, bool) {
        use crate::member::Among;
        let per = |key: ScopeKey, level: Level| {
            let narrow = self.cap.per.contains(&key) || self.level == level;
            narrow.then_some((key, level))
        };
        let title = &self.ask.facts.title;
        // A title could have changed its partner or series, so only one of them is looked up.
        let looked_up = if let Some(looked_up) = per(ScopeKey::Title, Level::Title) {
            Some((Among::Title(self.ask.title), looked_up))
        } else if let (Some(looked_up), Some(series)) =
            (per(ScopeKey::Series, Level::Series), &title.series)
        {
            Some((Among::Series(series), looked_up))
        } else {
            per(ScopeKey::Partner, Level::Partner)
                .map(|looked_up| (Among::Partner(&title.partner), looked_up))
        };
        let (among, key, level) = match looked_up {
            Some((among, (key, level))) => (among, Some(key), level),
            None => (Among::All, None, Level::Default),
        };
        let exact = self.cap.per.iter().all(|per| Some(*per) == key)
            && (self.level == Level::Default || self.level == level)
            && self.cap.of == Of::default();
        (among, exact)
    }

    fn counts_event(&self, counted: &Counted) -> bool {
        self.same(&counted.facts, &counted.title, &counted.device)
    }

    fn counts_license(&self, license: &License) -> bool {
        self.same(&license.facts, &license.title, &license.device)
    }

    /// Whether something is counted together with the request, by its own frozen facts.
    fn same(&self, facts: &Facts, title: &TitleId, device: &DeviceId) -> bool {
        let ask = self.ask;
        let level = match self.level {
            Level::Default => true,
            Level::Partner => facts.title.partner == ask.facts.title.partner,
            Level::Series => facts.title.series == ask.facts.title.series,
            Level::Title => title == ask.title,
        };
        let scope = |key: &ScopeKey| match key {
            ScopeKey::Profile => facts.profile == ask.facts.profile,
            ScopeKey::Device => device == ask.device,
            ScopeKey::DeviceClass => facts.class == ask.facts.class,
            ScopeKey::Partner => facts.title.partner == ask.facts.title.partner,
            ScopeKey::Series => facts.title.series == ask.facts.title.series,
            ScopeKey::Title => title == ask.title,
        };
        level && self.cap.per.iter().all(scope) && of_matches(&self.cap.of, facts)
    }

    /// Active licenses that the cap counts, the one in question left out.
    fn active(&self) -> impl Iterator<Item = (&'a LicenseId, &'a License)> {
        self.active.iter().copied().filter(|(_, license)| self.counts_license(license))
    }

    /// For each device that holds something counted, until when it may.
    fn devices_until(&self) -> BTreeMap<&'a DeviceId, Timestamp> {
        let mut until = BTreeMap::new();
        for (_, license) in self.active() {
            let latest = until.entry(&license.device).or_insert(Timestamp::MIN);
            *latest = license.may_play_until().max(*latest);
        }
        until
    }

    /// Events after this instant (exclusive) are in the window.
    fn after(&self) -> Timestamp {
        match &self.cap.window {
            Window::Now => Timestamp::MIN,
            Window::Rolling(length) => self.ask.at - *length,
            Window::Calendar(unit, zone) => calendar_start(*unit, zone, self.ask.at).just_before(),
        }
    }

    fn window(&self) -> Option<(Timestamp, Timestamp)> {
        match &self.cap.window {
            Window::Now => None,
            // `(at - length, at]`, written half-open in milliseconds.
            Window::Rolling(length) => {
                let next = Duration::from_millis(1);
                Some((self.ask.at - *length + next, self.ask.at + next))
            }
            Window::Calendar(unit, zone) => Some(calendar_period(*unit, zone, self.ask.at)),
        }
    }

    fn contributors(&self) -> Vec<Contributor> {
        let mut contributors: Vec<Contributor> = match self.cap.counts {
            Counts::Events { .. } => self
                .kinds()
                .flat_map(|kind| {
                    let (among, _) = self.among();
                    self.ask.member.history.log(kind).after(among, self.after())
                })
                .filter(|counted| self.counts_event(counted))
                .map(|counted| self.event_contributor(counted))
                .collect(),
            Counts::ActiveLicenses | Counts::DevicesHolding => {
                self.active().map(|(id, license)| self.license_contributor(id, license)).collect()
            }
        };
        contributors.sort_by(|a, b| (a.at, &a.license).cmp(&(b.at, &b.license)));
        contributors
    }

    fn event_contributor(&self, counted: &Counted) -> Contributor {
        let in_list = self.in_list(&counted.license, counted.at);
        let frees_at = match &self.cap.window {
            Window::Now => None,
            Window::Rolling(length) => Some(counted.at + *length),
            Window::Calendar(unit, zone) => Some(calendar_period(*unit, zone, counted.at).1),
        };
        Contributor {
            at: counted.at,
            license: counted.license.clone(),
            title: counted.title.clone(),
            device: counted.device.clone(),
            frees_at: frees_at.filter(|_| in_list.is_none()),
            in_list,
        }
    }

    fn license_contributor(&self, id: &LicenseId, license: &License) -> Contributor {
        let started_at = license.term().term.started_at;
        let in_list = self.in_list(id, started_at);
        let until = license.may_play_until();
        Contributor {
            at: license.acquired_at,
            license: id.clone(),
            title: license.title.clone(),
            device: license.device.clone(),
            frees_at: Some(until).filter(|until| in_list.is_none() && *until < Timestamp::MAX),
            in_list,
        }
    }

    /// Asked at another time, the list would still add its own: those never free.
    fn in_list(&self, license: &LicenseId, at: Timestamp) -> Option<u16> {
        self.ask.in_list.get(license).copied().filter(|_| at == self.ask.at)
    }

    /// When so many units have freed, nothing else happening.
    fn frees_at(&self, contributors: &[Contributor], units: u32) -> Option<Timestamp> {
        let never = Timestamp::MAX;
        let mut frees: Vec<Timestamp> = match self.cap.counts {
            Counts::DevicesHolding => {
                let mut devices: BTreeMap<&DeviceId, Timestamp> = BTreeMap::new();
                for contributor in contributors {
                    let at = devices.entry(&contributor.device).or_insert(Timestamp::MIN);
                    *at = contributor.frees_at.unwrap_or(never).max(*at);
                }
                devices.into_values().collect()
            }
            _ => contributors.iter().map(|c| c.frees_at.unwrap_or(never)).collect(),
        };
        frees.sort_unstable();
        let nth = usize::try_from(units).ok()?.checked_sub(1)?;
        frees.get(nth).copied().filter(|at| *at < never)
    }
}
