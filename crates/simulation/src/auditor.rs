//! Counts for itself, and holds the world to three promises: no decision exceeds a cap as counted
//! from what was recorded, nothing acknowledged is lost, no retry counts twice.
//!
//! It sees what became durable and what was answered, as plain data, and takes no rule, clock or
//! count from the ledger: here are plain numbers of milliseconds and maps, and no index, window
//! or snapshot. The two can only agree by being right.

mod calendar;
mod count;

use std::collections::{BTreeMap, BTreeSet};

use domain::member::{
    Allowance, Answer, CheckInMoved, Code, Command, DeviceDecided, EventBody, Finding, Held,
    Leaving, Outcome, Play, Refused, Target, Term as Promise,
};
use domain::{Decision, DeviceClass, Event, Facts, MemberFacts, Request, TitleFacts, TitleId};

use self::count::{Adds, Ask, Counted, Full, Thing};
use crate::rules::{
    DAY_MS, HOUR_MS, PREMIUM, PREMIUM_GATE, PREMIUM_PARTNER, Rules, STANDARD, STREAMS_GATE,
    STREAMS_MAX,
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
    /// Members and licenses that the walk of a withdrawal ended.
    ended: BTreeMap<String, (u64, u64)>,
    horizon_ms: i64,
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
    /// What is remembered one by one.
    horizon_ms: i64,
    plays: BTreeSet<(String, u64)>,
    /// When each title was first played.
    first_plays: BTreeMap<String, i64>,
    exceptions: BTreeMap<String, Allowance>,
    /// Removals that no registration has taken the place of.
    vacancies: u32,
    lapsed: bool,
    revoked: bool,
    /// When a key was first recorded.
    keys: BTreeMap<String, i64>,
}

#[derive(Debug, Clone)]
struct Device {
    key: String,
    class: &'static str,
    removed: bool,
    revoked: bool,
    registered_at: i64,
    last_seen: i64,
    /// When its licenses end, and whether it leaves then.
    notice: Option<(i64, bool)>,
}

/// A license, as far as counting goes.
#[derive(Debug, Clone)]
struct Copy {
    device: String,
    title: String,
    /// Of the latest term.
    facts: Facts,
    acquired_at: i64,
    terms: Vec<Term>,
    open: bool,
    /// Closed from elsewhere, and not confirmed.
    waits: bool,
    deliveries: u32,
    /// When a notice and a lapse end it.
    cuts: (i64, i64),
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
    /// A play before the term that started its finish clock.
    begun_at: Option<i64>,
    first_play: Option<i64>,
    automatic: bool,
    cut_at: i64,
}

type Verdict = Result<(), String>;

const NEVER: i64 = i64::MAX;

fn ms(at: domain::Timestamp) -> i64 {
    at.as_millis()
}

impl Device {
    fn there(&self, at: i64) -> bool {
        !self.removed && self.notice.is_none_or(|(ends_at, leaves)| !leaves || at < ends_at)
    }
}

impl Term {
    /// `from` is when its lengths run from.
    fn promised(at: i64, from: i64, begun_at: Option<i64>, rules: &Rules, facts: &Facts) -> Self {
        let check_in_within = rules.check_in_within_days * DAY_MS;
        let standard = facts.member.plan.as_ref().is_none_or(|plan| plan.as_str() == STANDARD);
        let shorter = if standard { rules.finish_within_hours_standard } else { NEVER };
        let plain = match rules.end_within_days {
            0 => NEVER,
            days => from + days * DAY_MS,
        };
        Self {
            started_at: at,
            start_by: from + rules.start_within_days * DAY_MS,
            finish_within: rules.finish_within_hours.min(shorter) * HOUR_MS,
            overtime: (rules.grace_hours + rules.running_play_hours) * HOUR_MS,
            hard_end: facts.title.available_until.map_or(NEVER, ms).min(plain),
            check_in_within,
            check_in_by: if check_in_within == 0 { NEVER } else { at + check_in_within },
            begun_at,
            first_play: begun_at,
            automatic: false,
            cut_at: NEVER,
        }
    }

    fn ends_at(&self) -> i64 {
        let by_plays = self.first_play.map_or(self.start_by, |first| first + self.finish_within);
        by_plays.min(self.hard_end).min(self.cut_at).min(self.check_in_by)
    }

    /// Were there no check-in clock.
    fn ends_unless_lapsed(&self) -> i64 {
        Self { check_in_by: NEVER, ..*self }.ends_at()
    }

    fn may_play_until(&self) -> i64 {
        let first = self.first_play.unwrap_or(self.start_by - 1);
        let by_plays = first + self.finish_within + self.overtime;
        by_plays.min(self.hard_end).min(self.cut_at).min(self.check_in_by)
    }

    /// Whether it is what was promised, and a play could begin in it.
    fn check(&self, promise: &Promise) -> Verdict {
        let same = ms(promise.started_at) == self.started_at
            && promise.begun_at.map(ms) == self.begun_at
            && promise.start_by.map(ms) == Some(self.start_by)
            && promise.finish_within.map(|w| w.as_millis()) == Some(self.finish_within)
            && promise.grace.as_millis() + promise.running_play.as_millis() == self.overtime
            && promise.hard_end.map_or(NEVER, ms) == self.hard_end
            && promise.check_in_within.map_or(0, |w| w.as_millis()) == self.check_in_within;
        ensure(same, || format!("promised is not {self:?}"))?;
        ensure(self.started_at < self.ends_at(), || format!("over at birth: {self:?}"))
    }
}

impl Copy {
    fn thing(&self) -> Thing {
        Thing::of(&self.device, &self.title, &self.facts)
    }

    fn ends_at(&self) -> i64 {
        self.terms.last().map_or(0, Term::ends_at)
    }

    fn held(&self, at: i64) -> bool {
        self.open && at < self.ends_at()
    }

    fn active(&self, at: i64) -> bool {
        (self.open || self.waits) && self.terms.iter().any(|term| at < term.may_play_until())
    }

    fn checks_in(&self) -> bool {
        self.terms.last().is_some_and(|term| term.check_in_within > 0)
    }

    /// Nothing but the check-in clock has ended it.
    fn revivable(&self, at: i64) -> bool {
        self.terms.last().is_some_and(|term| at < term.ends_unless_lapsed())
    }

    /// Nobody could have played it for so long that it may be.
    fn is_forgotten(&self, at: i64) -> bool {
        self.terms.iter().all(|term| term.may_play_until() + 400 * DAY_MS <= at)
    }

    fn close(&mut self) {
        (self.open, self.waits) = (false, false);
    }

    /// What has ended stays ended.
    fn cut(&mut self, at: i64, notice: i64, lapse: i64) {
        self.cuts = (notice, lapse);
        for term in self.terms.iter_mut().filter(|term| term.cut_at > at) {
            term.cut_at = notice.min(lapse);
        }
    }
}

impl Thing {
    fn of(device: &str, title: &str, facts: &Facts) -> Self {
        Self::known(device, facts.class, &facts.member, Some((title, &facts.title)))
    }

    fn known(
        device: &str,
        class: DeviceClass,
        member: &MemberFacts,
        title: Option<(&str, &TitleFacts)>,
    ) -> Self {
        Self {
            device: device.to_owned(),
            class: class.name(),
            profile: member.profile.as_ref().map(ToString::to_string),
            title: title.map(|(id, facts)| (id.to_owned(), facts.clone())),
        }
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

    /// From now on, and as if it had always been so.
    pub(crate) fn remembers(&mut self, horizon_ms: i64) {
        self.horizon_ms = horizon_ms;
        for ledger in self.ledgers.values_mut() {
            ledger.horizon_ms = horizon_ms;
            for Counted { at, kind, license, thing, .. } in std::mem::take(&mut ledger.counted) {
                ledger.count(at, kind, &license, thing);
            }
        }
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

    /// These became durable together.
    pub(crate) fn committed(&mut self, member: &str, first: u64, events: &[Event]) -> Verdict {
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        ledger.horizon_ms = self.horizon_ms;
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
            self.walked(member, event).map_err(describe)?;
            self.happened(member, at, &event.body).map_err(describe)?;
            self.ledgers.entry(member.to_owned()).or_default().events.push(event.clone());
        }
        Ok(())
    }

    /// A walk ends every license once, and comes to no member for nothing.
    fn walked(&mut self, member: &str, event: &Event) -> Verdict {
        let EventBody::TitleWithdrawn { title } = &event.body else { return Ok(()) };
        let key = event.cause.idempotency.as_ref().map(|idempotency| idempotency.key.as_str());
        let Some(id) = key.and_then(|key| key.strip_prefix("withdrawal:")) else { return Ok(()) };
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        let open = |copy: &&Copy| copy.title == title.as_str() && (copy.open || copy.waits);
        let licenses = ledger.copies.values().filter(open).count() as u64;
        ensure(licenses > 0, || format!("{id} ends nothing"))?;
        let ended = self.ended.entry(id.to_owned()).or_default();
        *ended = (ended.0 + 1, ended.1 + licenses);
        Ok(())
    }

    /// Whatever was acquired of a title is over, and the walk tells of no more members and licenses
    /// than ended.
    pub(crate) fn ended(&self, id: &str, title: &TitleId, told: (u64, u64)) -> Verdict {
        for (member, ledger) in &self.ledgers {
            let now = ledger.events.last().map_or(0, |last| ms(last.at));
            let of_title =
                |copy: &&Copy| copy.title == title.as_str() && copy.open && !copy.is_forgotten(now);
            let left = ledger.copies.values().find(of_title);
            ensure(left.is_none(), || format!("{member}: {id} is done, and left {left:?}"))?;
        }
        let (members, licenses) = self.ended.get(id).copied().unwrap_or_default();
        ensure(told.0 <= members && told.1 <= licenses, || {
            format!("{id} ended {licenses} licenses of {members} members, and tells {told:?}")
        })
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
        let cited = match body {
            EventBody::Acquired(acquired) => Some(&acquired.policy),
            EventBody::Renewed(renewed) => Some(&renewed.policy),
            EventBody::Refused(refused) => Some(&refused.policy),
            EventBody::Reissued { policy, .. }
            | EventBody::CheckedIn { policy, .. }
            | EventBody::MemberChanged { policy, .. }
            | EventBody::MembershipLapsed { policy, .. } => Some(policy),
            EventBody::Released { policy, .. } => policy.as_ref(),
            EventBody::DeviceRegistered { decided, .. }
            | EventBody::DeviceRemoved { decided, .. } => decided.as_ref().map(|it| &it.policy),
            _ => None,
        };
        let (version, rules) = self.in_effect(at).ok_or("no policy was in effect")?;
        ensure(cited.is_none_or(|cited| cited.as_str() == version), || {
            format!("policy {cited:?} was cited, {version} was in effect")
        })?;
        let rules = rules.clone();
        let ledger = self.ledgers.entry(member.to_owned()).or_default();
        match body {
            EventBody::DeviceRegistered { device, class, key, decided, .. } => {
                let decided = decided.as_deref().ok_or("nothing decided it")?;
                ledger.device_registered(
                    at,
                    &rules,
                    device.as_str(),
                    (*class, key.as_str()),
                    decided,
                )?;
            }
            EventBody::DeviceRemoved { device, decided } => {
                let decided = decided.as_deref().ok_or("nothing decided it")?;
                ledger.device_removed(at, &rules, device.as_str(), decided)?;
            }
            EventBody::Acquired(acquired) => ledger.acquired(at, &rules, acquired)?,
            EventBody::Renewed(renewed) => ledger.renewed(at, &rules, renewed)?,
            EventBody::Reissued { license, facts, .. } => {
                let copy = ledger.copy(license.as_str())?;
                ensure(copy.open, || "a closed license was re-issued".to_owned())?;
                // A retry of what was decided then goes by what held then.
                if copy.deliveries > 0 {
                    ledger.receiving(at, &copy.device)?;
                    ledger.gates(at, facts)?;
                }
                let copy = ledger.copy_mut(license.as_str())?;
                copy.deliveries += 1;
                let device = copy.device.clone();
                ledger.seen(&device, at);
            }
            EventBody::Released { license, by, returned, waits, .. } => {
                let by = by.as_ref().map(|by| by.as_str());
                ledger.released(at, &rules, license.as_str(), by, (*returned, *waits))?;
            }
            EventBody::NeverStarted { license } => {
                let copy = ledger.copy_mut(license.as_str())?;
                let (last, earlier) = copy.terms.split_last().ok_or("no term")?;
                let never = last.first_play.is_none()
                    && at >= last.start_by
                    && earlier.iter().all(|term| at >= term.may_play_until());
                ensure(never, || "it was started, or still could be".to_owned())?;
                copy.close();
            }
            EventBody::CheckedIn { device, moved, facts, .. } => {
                ledger.checked_in(at, &rules, device.as_str(), facts, moved)?;
            }
            EventBody::PlaysRecorded { device, plays, .. } => {
                ledger.seen(device.as_str(), at);
                ledger.played(at, device.as_str(), plays)?;
            }
            EventBody::DrmFailed { license, .. } => {
                let copy = ledger.copy_mut(license.as_str())?;
                copy.deliveries = copy.deliveries.saturating_sub(1);
            }
            EventBody::Refused(refused) => ledger.refused(at, &rules, refused)?,
            EventBody::MemberChanged { facts, leaving, .. } => {
                ledger.changed(at, &rules, facts, leaving)?;
            }
            EventBody::MembershipLapsed { ends_at, .. } => {
                let ends = at + rules.lapse_ends_within_hours * HOUR_MS;
                ensure(!ledger.lapsed && ends_at.map(ms) == Some(ends), || {
                    format!("a lapse ends what there is at {ends}")
                })?;
                ledger.lapsed = true;
                ledger.copies.values_mut().for_each(|copy| copy.cut(at, copy.cuts.0, ends));
            }
            EventBody::MembershipResumed { warrant } => {
                ledger.revoked = false;
                // An operator gives back what was revoked; a lapse stays.
                if warrant.is_none() {
                    ledger.lapsed = false;
                    ledger.copies.values_mut().for_each(|copy| copy.cut(at, copy.cuts.0, NEVER));
                }
            }
            EventBody::Revoked { target, .. } => ledger.taken_back(target)?,
            EventBody::TitleWithdrawn { title } => {
                let of_title = ledger.copies.values_mut().filter(|c| c.title == title.as_str());
                of_title.for_each(Copy::close);
            }
            EventBody::ExceptionGranted { exception, allowance, .. } => {
                ensure(ms(allowance.until) > at, || "an exception without a day".to_owned())?;
                ledger.exceptions.insert(exception.to_string(), allowance.clone());
            }
            EventBody::ExceptionEnded { exception, .. } => {
                ledger.exceptions.remove(exception.as_str());
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
    /// At which something ends, as far as is known.
    pub(crate) fn instants(&self) -> Vec<i64> {
        let there = self.copies.values().filter(|copy| copy.open || copy.waits);
        let ends = |term: &Term| [term.ends_at(), term.may_play_until(), term.ends_unless_lapsed()];
        let notices = self.devices.values().filter_map(|device| device.notice);
        let notices = notices.map(|(ends_at, _)| ends_at);
        let exceptions = self.exceptions.values().map(|exception| ms(exception.until));
        let ends = there.flat_map(|copy| &copy.terms).flat_map(ends);
        ends.chain(notices).chain(exceptions).filter(|end| *end < NEVER).collect()
    }

    /// A license whose newest lease ends before an earlier one does: rare, and easily forgotten.
    pub(crate) fn has_early_lease_that_outlasts(&self) -> bool {
        let mut open = self.copies.values().filter(|copy| copy.open);
        open.any(|copy| {
            let newest = copy.terms.last().map_or(NEVER, Term::may_play_until);
            copy.terms.iter().any(|term| newest < term.may_play_until())
        })
    }

    /// How much exceptions allow beyond a rule, if there are any.
    fn allowed(&self, rule: &str, at: i64) -> Option<u32> {
        let live = self.exceptions.values();
        let live = live.filter(|one| one.rule.as_str() == rule && at < ms(one.until));
        live.map(|one| one.amount).reduce(|one, other| one + other)
    }

    fn seen(&mut self, device: &str, at: i64) {
        self.devices.entry(device.to_owned()).and_modify(|known| known.last_seen = at);
    }

    fn registered(&self, device: &str, at: i64) -> Verdict {
        let there = self.devices.get(device).is_some_and(|device| device.there(at));
        ensure(there, || "the device is not there".to_owned())
    }

    /// A device that may be given something.
    fn receiving(&self, at: i64, device: &str) -> Verdict {
        self.registered(device, at)?;
        ensure(!self.lapsed && !self.revoked, || "the membership does not run".to_owned())
    }

    /// One that may be given something new.
    fn staying(&self, at: i64, device: &str) -> Verdict {
        self.receiving(at, device)?;
        let notice = self.devices.get(device).and_then(|device| device.notice);
        let leaving = notice.is_some_and(|(ends_at, _)| at < ends_at);
        ensure(!leaving, || "the device has notice".to_owned())
    }

    fn gates(&self, at: i64, facts: &Facts) -> Verdict {
        let title = &facts.title;
        let from = title.available_from.map_or(i64::MIN, ms);
        let until = title.available_until.map_or(NEVER, ms);
        let premium = facts.member.plan.as_ref().is_some_and(|plan| plan.as_str() == PREMIUM);
        let streams = facts.member.concurrent_streams.unwrap_or(0);
        let excepted = |gate: &str| self.allowed(gate, at).is_some();
        let open = title.offered
            && title.downloadable
            && (from..until).contains(&at)
            && (premium || title.partner.as_str() != PREMIUM_PARTNER || excepted(PREMIUM_GATE))
            && (streams <= STREAMS_MAX || excepted(STREAMS_GATE));
        ensure(open, || "a gate is closed".to_owned())
    }

    fn copy(&self, license: &str) -> Result<&Copy, String> {
        self.copies.get(license).ok_or_else(|| "no such license".to_owned())
    }

    fn copy_mut(&mut self, license: &str) -> Result<&mut Copy, String> {
        self.copies.get_mut(license).ok_or_else(|| "no such license".to_owned())
    }

    fn count(&mut self, at: i64, kind: &'static str, license: &str, thing: Thing) {
        let license = license.to_owned();
        self.counted.push(Counted { at, kind, license, thing, forgotten: false });
        self.forget(kind);
    }

    fn device_registered(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        (class, key): (DeviceClass, &str),
        decided: &DeviceDecided,
    ) -> Verdict {
        let comes = |known: &Device| known.key == key && !known.there(at) && !known.revoked;
        ensure(self.devices.get(device).is_none_or(comes) && !self.revoked, || {
            "the device is registered, or by another key, or for nobody".to_owned()
        })?;
        let (facts, adds) = (&decided.facts, Adds::Registration);
        let thing = Thing::known(device, class, facts, None);
        self.fits(&Ask { rules, at, facts, thing: thing.clone(), adds })?;
        self.count(at, "device_registrations", "", thing.clone());
        if self.vacancies > 0 {
            self.vacancies -= 1;
            self.count(at, "device_swaps", "", thing);
        }
        let now = Device {
            key: key.to_owned(),
            class: class.name(),
            removed: false,
            revoked: false,
            registered_at: at,
            last_seen: at,
            notice: None,
        };
        self.devices.insert(device.to_owned(), now);
        Ok(())
    }

    fn device_removed(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        decided: &DeviceDecided,
    ) -> Verdict {
        self.registered(device, at)?;
        let known = self.devices.get(device).ok_or("no such device")?;
        let class = DeviceClass::named(known.class).ok_or("no such class")?;
        let (facts, adds) = (&decided.facts, Adds::Removal);
        let thing = Thing::known(device, class, facts, None);
        self.fits(&Ask { rules, at, facts, thing: thing.clone(), adds })?;
        self.count(at, "device_removals", "", thing);
        self.vacancies += 1;
        self.devices.entry(device.to_owned()).and_modify(|known| known.removed = true);
        let on_device = self.copies.values_mut().filter(|copy| copy.device == device);
        on_device.for_each(Copy::close);
        Ok(())
    }

    fn acquired(&mut self, at: i64, rules: &Rules, event: &domain::member::Acquired) -> Verdict {
        let (device, title, facts) = (event.device.as_str(), event.title.as_str(), &*event.facts);
        self.staying(at, device)?;
        self.gates(at, facts)?;
        let same = |copy: &Copy| copy.device == device && copy.title == title;
        ensure(!self.copies.values().any(|copy| same(copy) && copy.held(at)), || {
            "the device holds the title: that is no new license".to_owned()
        })?;
        let thing = Thing::of(device, title, facts);
        let adds = Adds::Acquisition;
        self.fits(&Ask { rules, at, facts: &facts.member, thing: thing.clone(), adds })?;
        let begun_at = match rules.finish_anchor {
            "title" => self.first_plays.get(title).copied(),
            _ => None,
        };
        let term = Term::promised(at, at, begun_at, rules, facts);
        ensure(event.term.number == 1, || "a first term is the first".to_owned())?;
        term.check(&event.term)?;
        self.copies.values_mut().filter(|copy| same(copy)).for_each(Copy::close);
        self.count(at, "acquisitions", event.license.as_str(), thing);
        self.seen(device, at);
        let copy = Copy {
            device: device.to_owned(),
            title: title.to_owned(),
            facts: facts.clone(),
            acquired_at: at,
            terms: vec![term],
            open: true,
            waits: false,
            deliveries: 1,
            cuts: (NEVER, NEVER),
        };
        let before = self.copies.insert(event.license.to_string(), copy);
        ensure(before.is_none(), || "a license id was used twice".to_owned())
    }

    fn renewed(&mut self, at: i64, rules: &Rules, event: &domain::member::Renewed) -> Verdict {
        let (id, facts) = (event.license.as_str(), &*event.facts);
        let copy = self.copy(id)?;
        ensure(copy.open, || "a closed license was renewed".to_owned())?;
        self.staying(at, &copy.device)?;
        self.gates(at, facts)?;
        let renewals = u32::try_from(copy.terms.len()).unwrap_or(u32::MAX);
        ensure(event.term.number == renewals + 1 && renewals <= rules.renewals_max, || {
            format!("renewal {renewals} of {}", rules.renewals_max)
        })?;
        let opens = copy.ends_at() - rules.renew_before_end_days * DAY_MS;
        let started_at = copy.terms.last().map_or(0, |term| term.started_at);
        ensure(at >= opens.max(started_at), || "renewed too early".to_owned())?;
        let by_itself = copy.terms.iter().rfind(|term| term.automatic);
        let again_at =
            by_itself.map_or(0, |term| term.started_at) + rules.auto_renew_every_hours * HOUR_MS;
        ensure(!event.automatic || at >= again_at, || "by itself, and too soon".to_owned())?;
        let thing = Thing::of(&copy.device, &copy.title, facts);
        let adds = Adds::Renewal(id);
        self.fits(&Ask { rules, at, facts: &facts.member, thing: thing.clone(), adds })?;
        let begun_at = match rules.finish_anchor {
            "title" => self.first_plays.get(&copy.title).copied(),
            "license" => copy.terms.iter().filter_map(|term| term.first_play).min(),
            _ => None,
        };
        let from = if rules.renews_from_end { at.max(copy.ends_at()) } else { at };
        let term = Term::promised(at, from, begun_at, rules, facts);
        term.check(&event.term)?;
        self.count(at, "renewals", id, thing);
        let copy = self.copy_mut(id)?;
        copy.terms.push(Term { automatic: event.automatic, ..term });
        copy.deliveries += 1;
        copy.facts = facts.clone();
        copy.cuts = (NEVER, NEVER);
        let device = copy.device.clone();
        self.seen(&device, at);
        Ok(())
    }

    fn released(
        &mut self,
        at: i64,
        rules: &Rules,
        license: &str,
        by: Option<&str>,
        (returned, waits): (bool, bool),
    ) -> Verdict {
        let copy = self.copy_mut(license)?;
        let own = by == Some(copy.device.as_str());
        ensure(copy.open || (copy.waits && own), || {
            "a closed license was released again".to_owned()
        })?;
        ensure(returned == (copy.open && copy.deliveries == 0), || {
            format!("returned, and keys were given {} times", copy.deliveries)
        })?;
        let should_wait = !returned && !own && rules.release_waits && copy.active(at);
        ensure(waits == should_wait, || format!("it should wait: {should_wait}"))?;
        (copy.open, copy.waits) = (false, waits);
        if returned {
            let acquired = |one: &Counted| one.kind == "acquisitions" && one.license == license;
            self.counted.retain(|one| !acquired(one));
        }
        if let Some(by) = by {
            self.seen(by, at);
        }
        Ok(())
    }

    fn played(&mut self, at: i64, device: &str, plays: &[Play]) -> Verdict {
        let mut first = BTreeMap::new();
        for play in plays {
            let once = self.plays.insert((device.to_owned(), play.sequence));
            ensure(once, || format!("play {} counts twice", play.sequence))?;
            let copy = self.copy_mut(play.license.as_str())?;
            let thing = copy.thing();
            let number = usize::try_from(play.term).unwrap_or(0).checked_sub(1);
            let number = number.ok_or("no such term")?;
            let term = copy.terms.get_mut(number).ok_or("no such term")?;
            let when = ms(play.occurred_at);
            ensure((term.started_at..=at).contains(&when), || {
                "a play outside of [term start, receipt]".to_owned()
            })?;
            first.entry((play.license.to_string(), number)).or_insert(term.first_play);
            let in_time = when.min(term.start_by - 1);
            term.first_play = Some(term.first_play.map_or(in_time, |first| first.min(in_time)));
            self.count(when, "plays", play.license.as_str(), thing);
        }
        // A first play that turns out to have been earlier takes the place of the later one.
        for ((license, number), before) in first {
            let copy = self.copy(&license)?;
            let (now, thing) = (copy.terms.get(number).and_then(|t| t.first_play), copy.thing());
            let Some(now) = now.filter(|now| before != Some(*now)) else { continue };
            let title = self.first_plays.entry(copy.title.clone()).or_insert(now);
            *title = now.min(*title);
            let later = |one: &Counted| {
                one.kind == "first_plays" && one.license == license && Some(one.at) == before
            };
            self.counted.retain(|one| !later(one));
            self.count(now, "first_plays", &license, thing);
        }
        Ok(())
    }

    /// The devices beyond a limit have notice, and no others.
    fn changed(
        &mut self,
        at: i64,
        rules: &Rules,
        facts: &MemberFacts,
        leaving: &[Leaving],
    ) -> Verdict {
        let leaves = |device: &str| leaving.iter().find(|one| one.device.as_str() == device);
        let caps = self.device_caps(rules, at, facts);
        for (counted, limit) in &caps {
            let stay: Vec<&String> = counted.iter().filter(|id| leaves(id).is_none()).collect();
            ensure(stay.len() <= *limit, || format!("{stay:?} stay, and {limit} may"))?;
            // Whoever stays was seen, or came, no earlier than who has to go for this cap alone.
            let goes = |id: &&String| {
                let alone = |other: &(BTreeSet<String>, usize)| {
                    !other.0.contains(*id) || other.0 == *counted || other.0.len() <= other.1
                };
                leaves(id).is_some() && counted.len() > *limit && caps.iter().all(alone)
            };
            let worth = |id: &String| {
                let device = self.devices.get(id);
                match rules.keeps_last_seen {
                    true => device.map(|device| device.last_seen),
                    false => device.map(|device| -device.registered_at),
                }
            };
            let worst = stay.iter().map(|id| worth(id)).min();
            let wrong = counted.iter().filter(goes).find(|id| worst.is_some_and(|w| worth(id) > w));
            ensure(wrong.is_none(), || format!("{wrong:?} goes, and one of {stay:?} should"))?;
        }
        for one in leaving {
            let id = one.device.as_str();
            let needed = caps.iter().any(|(all, limit)| all.len() > *limit && all.contains(id));
            ensure(needed, || format!("{id} has notice, and fits"))?;
            let notice = self.devices.get(id).and_then(|device| device.notice);
            let runs = notice.map(|(ends_at, _)| ends_at).filter(|ends_at| *ends_at > at);
            let ends_at = (at + rules.notice_hours * HOUR_MS).min(runs.unwrap_or(NEVER));
            ensure(ms(one.at) == ends_at, || format!("{id} has notice until {ends_at}"))?;
        }
        for (id, device) in &mut self.devices {
            let before = device.notice.filter(|(ends_at, _)| *ends_at <= at);
            device.notice = leaves(id).map(|one| (ms(one.at), one.removed)).or(before);
        }
        for copy in self.copies.values_mut() {
            let notice = leaves(&copy.device).map_or(NEVER, |one| ms(one.at));
            copy.cut(at, notice, copy.cuts.1);
        }
        Ok(())
    }

    fn taken_back(&mut self, target: &Target) -> Verdict {
        match target {
            Target::License(id) => {
                let copy = self.copy_mut(id.as_str())?;
                ensure(copy.open || copy.waits, || "it was closed before".to_owned())?;
            }
            Target::Device(id) => {
                let device = self.devices.get_mut(id.as_str()).ok_or("no such device")?;
                (device.removed, device.revoked) = (true, true);
            }
            Target::Member => self.revoked = true,
        }
        let taken = |(id, copy): &(&String, &mut Copy)| match target {
            Target::License(license) => *id == license.as_str(),
            Target::Device(device) => copy.device == device.as_str(),
            Target::Member => true,
        };
        self.copies.iter_mut().filter(taken).for_each(|(_, copy)| copy.close());
        Ok(())
    }

    /// The clock of everything that the device holds moves; what lapsed for want of a check-in
    /// comes back exactly when it fits.
    fn checked_in(
        &mut self,
        at: i64,
        rules: &Rules,
        device: &str,
        facts: &MemberFacts,
        moved: &[CheckInMoved],
    ) -> Verdict {
        self.registered(device, at)?;
        self.seen(device, at);
        let revival = |license, copy: &Copy| {
            let title = Some((copy.title.as_str(), &copy.facts.title));
            let thing = Thing::known(&copy.device, copy.facts.class, facts, title);
            Ask { rules, at, facts, thing, adds: Adds::Revival(license) }
        };
        for one in moved {
            let license = one.license.as_str();
            let copy = self.copy(license)?;
            ensure(copy.open && copy.device == device, || {
                format!("a check-in moved {license}, closed or of another device")
            })?;
            if !copy.held(at) {
                let full = self.full(&revival(license, copy));
                ensure(full.is_empty(), || format!("{license} was revived over {full:?}"))?;
            }
            let term = self.copy_mut(license)?.terms.last_mut().ok_or("no term")?;
            ensure(ms(one.check_in_by) == at + term.check_in_within, || {
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
            let full = self.full(&revival(license, copy));
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

    /// A refusal names every cap that stands in the way, and no other.
    fn refused(&self, at: i64, rules: &Rules, refused: &Refused) -> Verdict {
        let [command] = refused.commands.as_slice() else { return Ok(()) };
        let class = |device: &domain::DeviceId| {
            self.devices.get(device.as_str()).and_then(|known| DeviceClass::named(known.class))
        };
        let (device, class, title, adds) = match command {
            Command::Acquire { device, title, title_facts: Some(facts), .. } => {
                let same = |copy: &&Copy| {
                    copy.device == device.as_str() && copy.title == title.as_str() && copy.held(at)
                };
                if self.copies.values().any(|copy| same(&copy)) {
                    return Ok(()); // re-issued: gates, and no caps
                }
                (device, class(device), Some((title.as_str(), facts)), Adds::Acquisition)
            }
            Command::Renew { device, license, term, title_facts: Some(facts), .. } => {
                let Some(copy) = self.copies.get(license.as_str()) else { return Ok(()) };
                if usize::try_from(*term).is_ok_and(|term| term < copy.terms.len()) {
                    return Ok(()); // the newer term is re-issued
                }
                let title = Some((copy.title.as_str(), facts));
                (device, class(device), title, Adds::Renewal(license.as_str()))
            }
            Command::RegisterDevice { device, class, .. } => {
                (device, Some(*class), None, Adds::Registration)
            }
            Command::RemoveDevice { device } => (device, class(device), None, Adds::Removal),
            _ => return Ok(()),
        };
        let by_the_ledger = |finding: &Finding| finding.code < Code::TitleUnknown;
        let Some(class) = class.filter(|_| !refused.findings.iter().any(by_the_ledger)) else {
            return Ok(()); // the command means nothing here: no rule was asked
        };
        let thing = Thing::known(device.as_str(), class, &refused.facts, title);
        let expected = self.full(&Ask { rules, at, facts: &refused.facts, thing, adds });
        let named = |finding: &Finding| {
            let cap = finding.cap.as_ref()?;
            Some(Full {
                id: finding.rule.as_ref()?.to_string(),
                tag: cap.tag.as_ref().map(ToString::to_string),
                used: cap.used,
                limit: cap.limit,
            })
        };
        let named: Vec<Full> = refused.findings.iter().filter_map(named).collect();
        let ids = |full: &[Full]| full.iter().map(|one| one.id.clone()).collect::<BTreeSet<_>>();
        // Of a cap per tag one tag is named.
        let told = ids(&expected) == ids(&named) && named.iter().all(|one| expected.contains(one));
        ensure(told, || format!("in the way stand {expected:?}, named are {named:?}"))
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
            | (Command::DrmFailed { .. }, Outcome::DrmFailureRecorded { .. })
            | (Command::ChangeMember, Outcome::MemberChanged { .. })
            | (Command::LapseMembership, Outcome::MembershipLapsed { .. })
            | (Command::ResumeMembership { .. }, Outcome::MembershipResumed { .. })
            | (Command::Revoke { .. }, Outcome::Revoked { .. })
            | (Command::WithdrawTitle { .. }, Outcome::TitleWithdrawn { .. })
            | (Command::GrantException { .. }, Outcome::ExceptionGranted { .. })
            | (Command::EndException { .. }, Outcome::ExceptionEnded { .. }) => Ok(()),
            (command, outcome) => Err(format!("{outcome:?} does not answer {command:?}")),
        }
    }
}
