//! Counts for itself, and holds the world to three promises: no decision exceeds a cap as counted
//! from what was recorded, nothing acknowledged is lost, no retry counts twice.
//!
//! It sees what became durable and what was answered, as plain data, and takes no rule, clock or
//! count from the ledger: here are plain numbers of milliseconds and maps, and no index, window
//! or snapshot. The two can only agree by being right.

use std::collections::{BTreeMap, BTreeSet};

use domain::member::{
    Answer, CheckInMoved, Code, Command, EventBody, Finding, Held, Outcome, Refused,
    Term as Promise,
};
use domain::{Decision, Event, Facts, Request};

use crate::rules::{
    DAY_MS, HOUR_MS, PREMIUM, PREMIUM_PARTNER, Rules, STRICT_PARTNER, TITLE_WITH_OWN_CAP,
};

#[derive(Debug, Default)]
pub(crate) struct Auditor {
    /// By policy version.
    rules: BTreeMap<String, Rules>,
    /// Versions in the order in which they were published.
    published: Vec<String>,
    ledgers: BTreeMap<String, Ledger>,
    /// What each request was told when it was first accepted.
    told: BTreeMap<usize, Told>,
}

#[derive(Debug)]
struct Told {
    at: i64,
    held: Vec<Option<(String, u32, Held)>>,
    plays: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    /// As committed.
    pub(crate) events: Vec<Event>,
    /// What was acknowledged, by position in `events`.
    acknowledged: BTreeSet<usize>,
    devices: BTreeMap<String, Device>,
    copies: BTreeMap<String, Copy>,
    counted: Vec<Counted>,
    plays: BTreeSet<(String, u64)>,
    /// When a key was first recorded.
    keys: BTreeMap<String, i64>,
}

#[derive(Debug, Clone)]
struct Device {
    key: String,
    removed: bool,
}

/// A license, as far as counting goes.
#[derive(Debug, Clone)]
struct Copy {
    device: String,
    title: String,
    partner: String,
    terms: Vec<Term>,
    open: bool,
    deliveries: u32,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    started_at: i64,
    start_by: i64,
    finish_within: i64,
    overtime: i64,
    hard_end: i64,
    check_in_within: i64,
    check_in_by: i64,
    first_play: Option<i64>,
}

#[derive(Debug, Clone)]
struct Counted {
    at: i64,
    license: String,
    title: String,
    partner: String,
    renewal: bool,
}

/// What a command would add, to whom.
#[derive(Clone, Copy)]
struct Ask<'a> {
    rules: &'a Rules,
    at: i64,
    device: &'a str,
    title: &'a str,
    partner: &'a str,
    plan: Option<&'a str>,
    adds: Adds<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Adds<'a> {
    Acquisition,
    Renewal(&'a str),
    Revival(&'a str),
}

/// A cap that is full: its id, what is used, and up to how many.
type Full = (&'static str, u32, u32);

type Verdict = Result<(), String>;

const NEVER: i64 = i64::MAX;

impl Term {
    fn promised(at: i64, rules: &Rules, available_until: Option<i64>) -> Self {
        let check_in_within = rules.check_in_within_days * DAY_MS;
        Self {
            started_at: at,
            start_by: at + rules.start_within_days * DAY_MS,
            finish_within: rules.finish_within_hours * HOUR_MS,
            overtime: (rules.grace_hours + rules.running_play_hours) * HOUR_MS,
            hard_end: available_until.unwrap_or(NEVER),
            check_in_within,
            check_in_by: if check_in_within == 0 { NEVER } else { at + check_in_within },
            first_play: None,
        }
    }

    fn ends_at(&self) -> i64 {
        let by_plays = self.first_play.map_or(self.start_by, |first| first + self.finish_within);
        by_plays.min(self.hard_end).min(self.check_in_by)
    }

    /// Were there no check-in clock.
    fn ends_unless_lapsed(&self) -> i64 {
        Self { check_in_by: NEVER, ..*self }.ends_at()
    }

    fn may_play_until(&self) -> i64 {
        let first = self.first_play.unwrap_or(self.start_by - 1);
        (first + self.finish_within + self.overtime).min(self.hard_end).min(self.check_in_by)
    }

    fn is(&self, promise: &Promise) -> bool {
        let ms = |at: domain::Timestamp| at.as_millis();
        promise.started_at.as_millis() == self.started_at
            && promise.start_by.map(ms) == Some(self.start_by)
            && promise.finish_within.map(|w| w.as_millis()) == Some(self.finish_within)
            && promise.grace.as_millis() + promise.running_play.as_millis() == self.overtime
            && promise.hard_end.map_or(NEVER, ms) == self.hard_end
            && promise.check_in_within.map_or(0, |w| w.as_millis()) == self.check_in_within
    }
}

impl Copy {
    fn ends_at(&self) -> i64 {
        self.terms.last().map_or(0, Term::ends_at)
    }

    fn held(&self, at: i64) -> bool {
        self.open && at < self.ends_at()
    }

    fn active(&self, at: i64) -> bool {
        self.open && self.terms.iter().any(|term| at < term.may_play_until())
    }

    fn checks_in(&self) -> bool {
        self.terms.last().is_some_and(|term| term.check_in_within > 0)
    }

    /// Nothing but the check-in clock has ended it.
    fn revivable(&self, at: i64) -> bool {
        self.terms.last().is_some_and(|term| at < term.ends_unless_lapsed())
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

impl Auditor {
    /// From now on, decisions at or after its date are made under these rules.
    pub(crate) fn published(&mut self, version: &str, rules: Rules) {
        self.rules.insert(version.to_owned(), rules);
        self.published.push(version.to_owned());
    }

    pub(crate) fn ledger(&self, member: &str) -> Option<&Ledger> {
        self.ledgers.get(member)
    }

    pub(crate) fn in_effect(&self, at: i64) -> Option<(&str, &Rules)> {
        let version = self.published.iter().rev().find(|version| {
            self.rules.get(*version).is_some_and(|rules| rules.effective_from <= at)
        })?;
        Some((version, self.rules.get(version)?))
    }

    fn rules(&self, cited: &str, at: i64) -> Result<Rules, String> {
        let (version, rules) = self.in_effect(at).ok_or("no policy was in effect")?;
        ensure(version == cited, || format!("policy {cited} was cited, {version} was in effect"))?;
        Ok(rules.clone())
    }

    /// These became durable together.
    pub(crate) fn committed(&mut self, member: &str, first: u64, events: &[Event]) -> Verdict {
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        ensure(first == ledger.events.len() as u64 + 1, || {
            format!("{member}: version {first} follows {} events", ledger.events.len())
        })?;
        let keys: BTreeSet<&str> = events
            .iter()
            .filter_map(|event| Some(event.cause.idempotency.as_ref()?.key.as_str()))
            .collect();
        for key in keys {
            let at = events.first().map_or(0, |event| event.at.as_millis());
            let before = ledger.keys.insert(key.to_owned(), at);
            ensure(before.is_none_or(|before| at - before > DAY_MS), || {
                format!("{member}: what was asked under key {key} counts twice")
            })?;
        }
        for event in events {
            let at = event.at.as_millis();
            let describe = |what: String| format!("{member}, {}: {what}; {event:?}", event.at);
            let last = self.ledger(member).and_then(|ledger| ledger.events.last());
            ensure(last.is_none_or(|last| last.at <= event.at), || {
                describe("a decision went back in time".to_owned())
            })?;
            self.happened(member, at, &event.body).map_err(describe)?;
            self.ledgers.entry(member.to_owned()).or_default().events.push(event.clone());
        }
        Ok(())
    }

    /// These would be recorded: judged as if they were, and forgotten.
    pub(crate) fn imagined(&mut self, member: &str, events: &[Event]) -> Verdict {
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        let recorded = std::mem::take(&mut ledger.events);
        let before = ledger.clone();
        for event in events {
            self.happened(member, event.at.as_millis(), &event.body)
                .map_err(|what| format!("{member}, imagined at {}: {what}; {event:?}", event.at))?;
        }
        self.ledgers.insert(member.to_owned(), Ledger { events: recorded, ..before });
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one match over the kinds of events")]
    fn happened(&mut self, member: &str, at: i64, body: &EventBody) -> Verdict {
        let rules = match body {
            EventBody::Acquired(acquired) => Some(self.rules(acquired.policy.as_str(), at)?),
            EventBody::Renewed(renewed) => Some(self.rules(renewed.policy.as_str(), at)?),
            EventBody::Reissued { policy, .. } => Some(self.rules(policy.as_str(), at)?),
            EventBody::Refused(refused) => Some(self.rules(refused.policy.as_str(), at)?),
            EventBody::CheckedIn { policy, .. } => Some(self.rules(policy.as_str(), at)?),
            _ => self.in_effect(at).map(|(_, rules)| rules.clone()),
        };
        let rules = rules.ok_or("no policy was in effect")?;
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        match body {
            EventBody::DeviceRegistered { device, key, .. } => {
                let known = ledger.devices.get(device.as_str());
                ensure(
                    known.is_none_or(|known| known.key == key.as_str() && known.removed),
                    || "the device is registered, or by another key".to_owned(),
                )?;
                let device_now = Device { key: key.to_string(), removed: false };
                ledger.devices.insert(device.to_string(), device_now);
            }
            EventBody::DeviceRemoved { device, .. } => {
                ledger.registered(device.as_str())?;
                for copy in ledger.copies.values_mut().filter(|c| c.device == device.as_str()) {
                    copy.open = false;
                }
                ledger.devices.entry(device.to_string()).and_modify(|known| known.removed = true);
            }
            EventBody::Acquired(acquired) => ledger.acquired(at, &rules, acquired)?,
            EventBody::Renewed(renewed) => ledger.renewed(at, &rules, renewed)?,
            EventBody::Reissued { license, facts, .. } => {
                let copy = ledger.copy(license.as_str())?;
                ensure(copy.open, || "a closed license was re-issued".to_owned())?;
                // A retry of what was decided then goes by the gates of then.
                if copy.deliveries > 0 {
                    gates(at, facts)?;
                }
                ledger.copy_mut(license.as_str())?.deliveries += 1;
            }
            EventBody::Released { license, returned, .. } => {
                let copy = ledger.copy_mut(license.as_str())?;
                ensure(copy.open, || "a closed license was released again".to_owned())?;
                ensure(*returned == (copy.deliveries == 0), || {
                    format!("returned, and keys were given {} times", copy.deliveries)
                })?;
                copy.open = false;
                if *returned {
                    ledger.counted.retain(|one| one.renewal || one.license != license.as_str());
                }
            }
            EventBody::NeverStarted { license } => {
                let copy = ledger.copy_mut(license.as_str())?;
                let (last, earlier) = copy.terms.split_last().ok_or("no term")?;
                let never = last.first_play.is_none()
                    && at >= last.start_by
                    && earlier.iter().all(|term| at >= term.may_play_until());
                ensure(never, || "it was started, or still could be".to_owned())?;
                copy.open = false;
            }
            EventBody::CheckedIn { device, moved, facts, .. } => {
                let plan = facts.plan.as_ref().map(domain::Plan::as_str);
                ledger.checked_in(at, &rules, device.as_str(), plan, moved)?;
            }
            EventBody::PlaysRecorded { device, plays, .. } => {
                for play in plays {
                    let once = ledger.plays.insert((device.to_string(), play.sequence));
                    ensure(once, || format!("play {} counts twice", play.sequence))?;
                    let copy = ledger.copy_mut(play.license.as_str())?;
                    let term = usize::try_from(play.term).unwrap_or(0).checked_sub(1);
                    let term = term.and_then(|n| copy.terms.get_mut(n)).ok_or("no such term")?;
                    let when = play.occurred_at.as_millis();
                    ensure((term.started_at..=at).contains(&when), || {
                        "a play outside of [term start, receipt]".to_owned()
                    })?;
                    let when = when.min(term.start_by - 1);
                    term.first_play = Some(term.first_play.map_or(when, |first| first.min(when)));
                }
            }
            EventBody::DrmFailed { license, .. } => {
                let copy = ledger.copy_mut(license.as_str())?;
                copy.deliveries = copy.deliveries.saturating_sub(1);
            }
            EventBody::Refused(refused) => ledger.refused(at, &rules, refused)?,
            EventBody::MemberChanged { .. }
            | EventBody::MembershipLapsed { .. }
            | EventBody::MembershipResumed { .. }
            | EventBody::Revoked { .. }
            | EventBody::TitleWithdrawn { .. }
            | EventBody::ExceptionGranted { .. }
            | EventBody::ExceptionEnded { .. } => {
                return Err("this world asks for nothing around its members".to_owned());
            }
        }
        Ok(())
    }

    /// A caller heard this.
    pub(crate) fn answered(
        &mut self,
        member: &str,
        intent: usize,
        request: &Request,
        decision: &Decision,
    ) -> Verdict {
        ensure(decision.at >= request.at, || format!("{member}: decided before it was asked"))?;
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        for event in &decision.events {
            let found = ledger.events.iter().rposition(|recorded| recorded == event);
            let position = found
                .ok_or_else(|| format!("{member}: acknowledged, and not recorded: {event:?}"))?;
            ledger.acknowledged.insert(position);
        }
        let Answer::Accepted { outcomes, .. } = &decision.answer else { return Ok(()) };
        ensure(outcomes.len() == request.commands.len(), || {
            format!("{member}: {} outcomes for {request:?}", outcomes.len())
        })?;
        for (command, outcome) in request.commands.iter().zip(outcomes) {
            ledger.check_outcome(command, outcome).map_err(|what| format!("{member}: {what}"))?;
        }
        if request.idempotency.is_some() {
            self.told_the_same(intent, decision.at.as_millis(), outcomes)
                .map_err(|what| format!("{member}: a retry was told otherwise: {what}"))?;
        }
        Ok(())
    }

    fn told_the_same(&mut self, intent: usize, at: i64, outcomes: &[Outcome]) -> Verdict {
        let held = |outcome: &Outcome| match outcome {
            Outcome::Held { license, term, how } => Some((license.to_string(), *term, *how)),
            _ => None,
        };
        let plays = |outcome: &Outcome| match outcome {
            Outcome::PlaysRecorded { counted, .. } => Some(*counted),
            _ => None,
        };
        let now = Told {
            at,
            held: outcomes.iter().map(held).collect(),
            plays: outcomes.iter().map(plays).collect(),
        };
        let first = self.told.entry(intent).or_insert_with(|| Told {
            at,
            held: now.held.clone(),
            plays: now.plays.clone(),
        });
        let same = first.held == now.held && first.plays == now.plays;
        ensure(same || at - first.at > DAY_MS, || {
            format!("{:?} {:?}, then {:?} {:?}", first.held, first.plays, now.held, now.plays)
        })
    }

    /// What is read back in the end holds everything, acknowledged or not.
    pub(crate) fn read_back(&self, member: &str, events: &[Event]) -> Verdict {
        let Some(ledger) = self.ledgers.get(member) else {
            return ensure(events.is_empty(), || format!("{member}: events out of nowhere"));
        };
        for position in &ledger.acknowledged {
            ensure(events.get(*position) == ledger.events.get(*position), || {
                format!("{member}: version {} was acknowledged and is lost", position + 1)
            })?;
        }
        ensure(events == ledger.events, || format!("{member}: the stream is not what was written"))
    }
}

impl Ledger {
    /// At which something ends for an open license, as far as is known.
    pub(crate) fn instants(&self) -> Vec<i64> {
        let open = self.copies.values().filter(|copy| copy.open);
        let ends = |term: &Term| [term.ends_at(), term.may_play_until(), term.ends_unless_lapsed()];
        open.flat_map(|copy| &copy.terms).flat_map(ends).filter(|end| *end < NEVER).collect()
    }

    /// A license whose newest lease ends before an earlier one does: rare, and easily forgotten.
    pub(crate) fn has_early_lease_that_outlasts(&self) -> bool {
        let mut open = self.copies.values().filter(|copy| copy.open);
        open.any(|copy| {
            let newest = copy.terms.last().map_or(NEVER, Term::may_play_until);
            copy.terms.iter().any(|term| newest < term.may_play_until())
        })
    }

    fn registered(&self, device: &str) -> Verdict {
        let known = self.devices.get(device);
        ensure(known.is_some_and(|device| !device.removed), || "the device is not there".to_owned())
    }

    fn copy(&self, license: &str) -> Result<&Copy, String> {
        self.copies.get(license).ok_or_else(|| "no such license".to_owned())
    }

    fn copy_mut(&mut self, license: &str) -> Result<&mut Copy, String> {
        self.copies.get_mut(license).ok_or_else(|| "no such license".to_owned())
    }

    fn acquired(&mut self, at: i64, rules: &Rules, event: &domain::member::Acquired) -> Verdict {
        let (device, title) = (event.device.as_str(), event.title.as_str());
        self.registered(device)?;
        gates(at, &event.facts)?;
        let same = |copy: &Copy| copy.device == device && copy.title == title;
        ensure(!self.copies.values().any(|copy| same(copy) && copy.held(at)), || {
            "the device holds the title: that is no new license".to_owned()
        })?;
        let adds = Adds::Acquisition;
        let ask = Ask { device, title, adds, ..Ask::of(rules, at, &event.facts) };
        self.fits(&ask)?;
        let until = event.facts.title.available_until.map(domain::Timestamp::as_millis);
        let term = Term::promised(at, rules, until);
        ensure(event.term.number == 1 && term.is(&event.term), || {
            format!("promised is not {term:?}")
        })?;
        for copy in self.copies.values_mut().filter(|copy| same(copy)) {
            copy.open = false;
        }
        let copy = Copy {
            device: device.to_owned(),
            title: title.to_owned(),
            partner: event.facts.title.partner.to_string(),
            terms: vec![term],
            open: true,
            deliveries: 1,
        };
        self.count(at, event.license.as_str(), &copy, false);
        let before = self.copies.insert(event.license.to_string(), copy);
        ensure(before.is_none(), || "a license id was used twice".to_owned())
    }

    fn renewed(&mut self, at: i64, rules: &Rules, event: &domain::member::Renewed) -> Verdict {
        let id = event.license.as_str();
        let copy = self.copy(id)?;
        ensure(copy.open, || "a closed license was renewed".to_owned())?;
        self.registered(&copy.device)?;
        gates(at, &event.facts)?;
        let renewals = u32::try_from(copy.terms.len()).unwrap_or(u32::MAX);
        ensure(event.term.number == renewals + 1 && renewals <= rules.renewals_max, || {
            format!("renewal {renewals} of {}", rules.renewals_max)
        })?;
        let opens = copy.ends_at() - rules.renew_before_end_days * DAY_MS;
        let started_at = copy.terms.last().map_or(0, |term| term.started_at);
        ensure(at >= opens.max(started_at), || "renewed too early".to_owned())?;
        let ask = Ask {
            device: &copy.device,
            title: &copy.title,
            adds: Adds::Renewal(id),
            ..Ask::of(rules, at, &event.facts)
        };
        self.fits(&ask)?;
        let until = event.facts.title.available_until.map(domain::Timestamp::as_millis);
        let term = Term::promised(at, rules, until);
        ensure(term.is(&event.term), || format!("promised is not {term:?}"))?;
        let mut copy = self.copies.remove(id).ok_or("no such license")?;
        copy.terms.push(term);
        copy.deliveries += 1;
        self.count(at, id, &copy, true);
        self.copies.insert(id.to_owned(), copy);
        Ok(())
    }

    fn count(&mut self, at: i64, license: &str, copy: &Copy, renewal: bool) {
        self.counted.push(Counted {
            at,
            license: license.to_owned(),
            title: copy.title.clone(),
            partner: copy.partner.clone(),
            renewal,
        });
    }

    /// The clock of everything that the device holds moves; what lapsed for want of a check-in
    /// comes back exactly when it fits.
    fn checked_in(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        plan: Option<&str>,
        moved: &[CheckInMoved],
    ) -> Verdict {
        self.registered(device)?;
        for one in moved {
            let license = one.license.as_str();
            let copy = self.copy(license)?;
            ensure(copy.open && copy.device == device, || {
                format!("a check-in moved {license}, closed or of another device")
            })?;
            if !copy.held(at) {
                let full = self.full(&Ask::revival(rules, at, plan, license, copy));
                ensure(full.is_empty(), || format!("{license} was revived over {full:?}"))?;
            }
            let term = self.copy_mut(license)?.terms.last_mut().ok_or("no term")?;
            ensure(one.check_in_by.as_millis() == at + term.check_in_within, || {
                "the check-in clock moved elsewhere".to_owned()
            })?;
            term.check_in_by = at + term.check_in_within;
        }
        let unmoved = |license: &str| moved.iter().all(|one| one.license.as_str() != license);
        let left = self.copies.iter().filter(|(id, copy)| {
            copy.open && copy.device == device && copy.checks_in() && unmoved(id)
        });
        for (license, copy) in left {
            ensure(!copy.held(at), || format!("a check-in did not move the clock of {license}"))?;
            let full = self.full(&Ask::revival(rules, at, plan, license, copy));
            ensure(!copy.revivable(at) || !full.is_empty(), || {
                format!("{license} would fit, and was not revived by a check-in")
            })?;
        }
        Ok(())
    }

    fn fits(&self, ask: &Ask<'_>) -> Verdict {
        let full = self.full(ask);
        ensure(full.is_empty(), || format!("a cap is exceeded: {full:?}"))
    }

    /// The caps that have no room for what is asked.
    fn full(&self, ask: &Ask<'_>) -> Vec<Full> {
        let Ask { rules, at, device, title, partner, plan, adds } = *ask;
        let own = |id: &str, copy: &Copy| match adds {
            Adds::Acquisition => copy.device == device && copy.title == title,
            Adds::Renewal(license) | Adds::Revival(license) => id == license,
        };
        let others = || {
            let active = self.copies.iter().filter(|(_, copy)| copy.active(at));
            active.filter(|(id, copy)| !own(id, copy)).map(|(_, copy)| copy)
        };
        // What is counted as it is adds nothing by being renewed.
        let counted = match adds {
            Adds::Acquisition => false,
            Adds::Renewal(license) | Adds::Revival(license) => {
                self.copies.get(license).is_some_and(|copy| copy.active(at))
            }
        };
        let by_plan = |premium: u32, otherwise: u32| match plan {
            Some(PREMIUM) => premium,
            Some(_) => otherwise,
            None => premium.min(otherwise),
        };
        let since = |after: i64| self.counted.iter().filter(move |one| one.at > after);
        let week = |at: i64| (at.div_euclid(DAY_MS) + 3).div_euclid(7);
        let mut full: Vec<Full> = Vec::new();
        let mut cap = |id, used: usize, adds: bool, limit: u32| {
            let used = u32::try_from(used).unwrap_or(u32::MAX);
            if adds && used >= limit {
                full.push((id, used, limit));
            }
        };
        let on_device = others().filter(|copy| copy.device == device).count();
        cap("device-active", on_device, !counted, rules.device_active);
        let limit = by_plan(rules.member_active_premium, rules.member_active);
        cap("member-active", others().count(), !counted, limit);
        let holding: BTreeSet<&str> = others().map(|copy| copy.device.as_str()).collect();
        let limit = by_plan(rules.devices_holding_premium, rules.devices_holding);
        let adds_device = !counted && !holding.contains(device);
        cap("devices-holding", holding.len(), adds_device, limit);
        let acquires = adds == Adds::Acquisition;
        let in_week = self.counted.iter().filter(|one| week(one.at) == week(at) && !one.renewal);
        let own_cap = title == TITLE_WITH_OWN_CAP;
        let limit = if own_cap { rules.own_title_week } else { rules.title_week };
        cap("title-week", in_week.filter(|one| one.title == title).count(), acquires, limit);
        // Whose plan is not known could be on any other.
        let asked = plan != Some(PREMIUM) || partner == STRICT_PARTNER;
        let counts = asked && !matches!(adds, Adds::Revival(_));
        let in_window = since(at - rules.member_rolling_days * DAY_MS).count();
        cap("member-rolling", in_window, counts, rules.member_rolling);
        if partner == STRICT_PARTNER {
            let strict = others().filter(|copy| copy.partner == STRICT_PARTNER).count();
            cap("partner-active", strict, !counted, rules.partner_active);
            let in_window = since(at - rules.partner_rolling_hours * HOUR_MS);
            let strict = in_window.filter(|one| one.partner == STRICT_PARTNER && !one.renewal);
            cap("partner-rolling", strict.count(), acquires, rules.partner_rolling);
        }
        full
    }

    /// A refusal names every cap and gate that stands in the way, and no other.
    fn refused(&self, at: i64, rules: &Rules, refused: &Refused) -> Verdict {
        let [command] = refused.commands.as_slice() else { return Ok(()) };
        let (device, title, title_facts, adds) = match command {
            Command::Acquire { device, title, title_facts: Some(facts), .. } => {
                let same = |copy: &&Copy| {
                    copy.device == device.as_str() && copy.title == title.as_str() && copy.held(at)
                };
                if self.copies.values().any(|copy| same(&copy)) {
                    return Ok(()); // re-issued: gates, and no caps
                }
                (device, title.as_str(), facts, Adds::Acquisition)
            }
            Command::Renew { device, license, term, title_facts: Some(facts), .. } => {
                let Some(copy) = self.copies.get(license.as_str()) else { return Ok(()) };
                if usize::try_from(*term).is_ok_and(|term| term < copy.terms.len()) {
                    return Ok(()); // the newer term is re-issued
                }
                (device, copy.title.as_str(), facts, Adds::Renewal(license.as_str()))
            }
            _ => return Ok(()),
        };
        let by_the_ledger = |finding: &Finding| finding.code < Code::TitleUnknown;
        if refused.findings.iter().any(by_the_ledger) {
            return Ok(()); // the command means nothing here: no rule was asked
        }
        let ask = Ask {
            rules,
            at,
            device: device.as_str(),
            title,
            partner: title_facts.partner.as_str(),
            plan: refused.facts.plan.as_ref().map(domain::Plan::as_str),
            adds,
        };
        let mut expected: Vec<(String, u32, u32)> = self
            .full(&ask)
            .into_iter()
            .map(|(id, used, limit)| (id.to_owned(), used, limit))
            .collect();
        let named = |finding: &Finding| {
            let cap = finding.cap.as_ref()?;
            Some((finding.rule.as_ref()?.to_string(), cap.used, cap.limit))
        };
        let mut named: Vec<(String, u32, u32)> =
            refused.findings.iter().filter_map(named).collect();
        expected.sort_unstable();
        named.sort_unstable();
        ensure(expected == named, || format!("in the way stand {expected:?}, named are {named:?}"))
    }

    fn check_outcome(&self, command: &Command, outcome: &Outcome) -> Verdict {
        match (command, outcome) {
            (Command::Acquire { device, title, .. }, Outcome::Held { license, .. }) => {
                let copy = self.copy(license.as_str())?;
                let same = copy.device == device.as_str() && copy.title == title.as_str();
                ensure(same, || format!("{license} is not for {title} on {device}"))
            }
            (Command::Renew { license, .. }, Outcome::Held { license: held, term, .. }) => {
                let terms = self.copy(held.as_str())?.terms.len();
                let there = usize::try_from(*term).is_ok_and(|term| term <= terms);
                ensure(license == held && there, || format!("{held} has no term {term}"))
            }
            (Command::Release { license, .. }, Outcome::Released { .. }) => {
                let copy = self.copies.get(license.as_str());
                ensure(copy.is_none_or(|copy| !copy.open), || {
                    format!("the release of {license} was acknowledged, and it is open")
                })
            }
            (Command::RegisterDevice { .. }, Outcome::DeviceRegistered { .. })
            | (Command::RemoveDevice { .. }, Outcome::DeviceRemoved { .. })
            | (Command::CheckIn { .. }, Outcome::CheckedIn(_))
            | (Command::RecordPlays { .. }, Outcome::PlaysRecorded { .. })
            | (Command::DrmFailed { .. }, Outcome::DrmFailureRecorded { .. }) => Ok(()),
            (command, outcome) => Err(format!("{outcome:?} does not answer {command:?}")),
        }
    }
}

impl<'a> Ask<'a> {
    fn of(rules: &'a Rules, at: i64, facts: &'a Facts) -> Self {
        Self {
            rules,
            at,
            device: "",
            title: "",
            partner: facts.title.partner.as_str(),
            plan: facts.member.plan.as_ref().map(domain::Plan::as_str),
            adds: Adds::Acquisition,
        }
    }

    fn revival(
        rules: &'a Rules,
        at: i64,
        plan: Option<&'a str>,
        license: &'a str,
        copy: &'a Copy,
    ) -> Self {
        let Copy { device, title, partner, .. } = copy;
        Self { rules, at, device, title, partner, plan, adds: Adds::Revival(license) }
    }
}

fn gates(at: i64, facts: &Facts) -> Verdict {
    let title = &facts.title;
    let from = title.available_from.map_or(i64::MIN, domain::Timestamp::as_millis);
    let until = title.available_until.map_or(NEVER, domain::Timestamp::as_millis);
    let premium = facts.member.plan.as_ref().is_some_and(|plan| plan.as_str() == PREMIUM);
    let open = title.offered
        && title.downloadable
        && (from..until).contains(&at)
        && (premium || title.partner.as_str() != PREMIUM_PARTNER);
    ensure(open, || "a gate is closed".to_owned())
}
