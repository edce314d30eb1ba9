//! Counts for itself, and holds the world to three promises: no decision exceeds a cap as counted
//! from what was recorded, nothing acknowledged is lost, no retry counts twice.
//!
//! It sees what became durable and what was answered, as plain data, and takes no rule, clock or
//! count from the ledger: here are plain numbers of milliseconds and maps, and no index, window
//! or snapshot. The two can only agree by being right.

mod answers;
mod calendar;
mod copies;
mod count;
mod licenses;
mod membership;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};

use domain::member::{Allowance, Code, EventBody};
use domain::{Event, Facts, TitleId};

use self::answers::Told;
use self::copies::{Copy, Term};
use self::count::{Ask, Counted, Thing};
use crate::rules::{
    DAY_MS, HOUR_MS, PREMIUM, PREMIUM_GATE, PREMIUM_PARTNER, Rules, STREAMS_GATE, STREAMS_MAX,
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
    ended: BTreeMap<String, Ended>,
    horizon_ms: i64,
}

/// Members and licenses that a withdrawal ended.
#[derive(Debug, Clone, Default)]
struct Ended {
    /// The first of them.
    at: Option<i64>,
    /// What could still be played.
    least: (u64, u64),
    /// Whatever was not closed.
    most: (u64, u64),
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
        let of_title = ledger.copies.values().filter(|copy| copy.title == title.as_str());
        let open = of_title.clone().filter(|copy| copy.open || copy.waits).count() as u64;
        let played = of_title.filter(|copy| copy.open && copy.active(ms(event.at))).count() as u64;
        ensure(open > 0, || format!("{id} ends nothing"))?;
        let ended = self.ended.entry(id.to_owned()).or_default();
        ended.at.get_or_insert(ms(event.at));
        ended.most = (ended.most.0 + 1, ended.most.1 + open);
        ended.least = (ended.least.0 + u64::from(played > 0), ended.least.1 + played);
        Ok(())
    }

    /// Whatever was acquired of a title is over, and the walk tells of the members and licenses that
    /// ended: of all that could still be played, and perhaps of what was over and not closed.
    pub(crate) fn ended(&self, id: &str, title: &TitleId, told: (u64, u64)) -> Verdict {
        for (member, ledger) in &self.ledgers {
            let of_title = |copy: &&Copy| {
                copy.title == title.as_str() && copy.open && !copy.is_forgotten(ledger.now())
            };
            let left = ledger.copies.values().find(of_title);
            ensure(left.is_none(), || format!("{member}: {id} is done, and left {left:?}"))?;
        }
        let mut ended = self.ended.get(id).cloned().unwrap_or_default();
        // A walk that comes by years later is told of nothing that was forgotten.
        let now = self.ledgers.values().map(Ledger::now).max().unwrap_or_default();
        if ended.at.is_some_and(|at| now - at > 399 * DAY_MS) {
            ended.least = (0, 0);
        }
        let members = (ended.least.0..=ended.most.0).contains(&told.0);
        let licenses = (ended.least.1..=ended.most.1).contains(&told.1);
        ensure(members && licenses, || format!("{id} {ended:?}, and tells {told:?}"))
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
}

impl Ledger {
    /// No decision is before.
    fn now(&self) -> i64 {
        self.events.last().map_or(0, |last| ms(last.at))
    }

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
        let closed = self.closed_gates(at, facts);
        ensure(closed.is_empty(), || format!("closed: {closed:?}"))
    }

    fn closed_gates(&self, at: i64, facts: &Facts) -> Vec<Code> {
        let title = &facts.title;
        let from = title.available_from.map_or(i64::MIN, ms);
        let until = title.available_until.map_or(NEVER, ms);
        let premium = facts.member.plan.as_ref().is_some_and(|plan| plan.as_str() == PREMIUM);
        let streams = facts.member.concurrent_streams.unwrap_or(0);
        let excepted = |gate: &str| self.allowed(gate, at).is_some();
        let for_premium = title.partner.as_str() == PREMIUM_PARTNER && !excepted(PREMIUM_GATE);
        let closed = [
            (Code::TitleNotOffered, !title.offered),
            (Code::TitleNotYetAvailable, at < from),
            (Code::TitleNoLongerAvailable, at >= until),
            (Code::TitleNotDownloadable, !title.downloadable),
            (Code::PlanNotAllowed, for_premium && !premium),
            (Code::TooManyStreams, streams > STREAMS_MAX && !excepted(STREAMS_GATE)),
        ];
        closed.into_iter().filter_map(|(code, closed)| closed.then_some(code)).collect()
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

    fn fits(&self, ask: &Ask<'_>) -> Verdict {
        let full = self.full(ask);
        ensure(full.is_empty(), || format!("a cap is exceeded: {full:?}"))
    }
}
