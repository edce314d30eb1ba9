//! Asks a member's past again: what would each recorded request have been answered under another
//! policy, following the consequences?
//!
//! From `since` on the member is no longer folded from what happened but from what would have
//! happened: a download that would have been refused uses up no quota later, and what the member
//! did with it would never have arisen. The requests are made again from the events, which carry
//! everything that decided them. What was never asked, because a button was hidden, is not there.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Facts, MemberFacts};
use crate::ids::{DeviceId, LicenseId, PartnerId, RuleId, TitleId};
use crate::member::decide::{Judged, judge};
use crate::member::{
    Acquired, Code, Command, Event, EventBody, Finding, Holding, License, Member, Outcome,
    PlayReport, Refused, Renewed, Request, Target, Term, Warrant, evolve, follow,
};
use crate::policy::{HORIZON, Policy};
use crate::time::{Duration, Timestamp};

#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub draft: &'a Policy,
    /// `[since, until)`: what was asked then is asked again.
    pub since: Timestamp,
    pub until: Timestamp,
    /// What a member's state is to remember: at least what it ever did, and as much as the draft asks.
    pub horizon: Duration,
}

/// A request that a policy decides, as it was answered and as it would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    pub at: Timestamp,
    pub commands: Vec<Command>,
    /// What the commands are about, as far as it is known.
    pub titles: Vec<(TitleId, PartnerId)>,
    pub was: Verdict,
    pub would_be: Verdict,
    /// Accepted both times, with other clocks.
    pub other_terms: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Refused(Vec<Reason>),
    /// It would not have been asked: the license that it is about, or the device that asks, would not
    /// have been there.
    Moot,
}

/// What stands in the way, in the order of the findings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    pub code: Code,
    pub rule: Option<RuleId>,
}

/// Tells `visit` what became of each request, and gives back the member as it would be.
pub fn what_if(
    events: &[Event],
    question: &Question<'_>,
    mut visit: impl FnMut(Compared),
) -> Member {
    let from = events.partition_point(|event| event.at < question.since);
    let (before, after) = events.split_at(from);
    let then = before.iter().fold(Member::remembering(question.horizon), evolve);
    let mut past = Past {
        question: *question,
        member: then.clone(),
        known: then.licenses.iter().chain(&then.past).map(|(id, it)| (id, Known::of(it))).collect(),
        renamed: BTreeMap::new(),
        never: BTreeSet::new(),
        turned_away: BTreeSet::new(),
        made: 0,
    };
    for request in after.chunk_by(of_one_request) {
        if request.first().is_some_and(|event| event.at >= question.until) {
            break;
        }
        if let Some(compared) = past.ask_again(request) {
            visit(compared);
        }
        past.learn(request);
    }
    past.member
}

fn resume(warrant: Option<&Warrant>) -> Command {
    Command::ResumeMembership { warrant: warrant.cloned() }
}

/// Events of one append have the time and the key of their request, or of the withdrawal that ended
/// something first; of a command without a key only a check-in records more than one.
fn of_one_request(event: &Event, next: &Event) -> bool {
    let refused = |event: &Event| matches!(event.body, EventBody::Refused(_));
    event.at == next.at
        && event.cause.idempotency == next.cause.idempotency
        && !refused(event)
        && !refused(next)
        && match event.cause.command.cmp(&next.cause.command) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => {
                event.cause.idempotency.is_some()
                    || matches!(event.body, EventBody::NeverStarted { .. })
            }
            std::cmp::Ordering::Greater => false,
        }
}

struct Past<'a> {
    question: Question<'a>,
    /// From `since` on: as it would be.
    member: Member,
    /// The licenses that there really were.
    known: BTreeMap<&'a LicenseId, Known<'a>>,
    /// What the device holds instead, where it would have acquired earlier.
    renamed: BTreeMap<LicenseId, LicenseId>,
    /// Licenses that would never have come to be. Others that are not there are forgotten.
    never: BTreeSet<LicenseId>,
    /// Devices that are registered, and would not be: that was refused.
    turned_away: BTreeSet<DeviceId>,
    /// How many licenses were given ids here.
    made: u32,
}

#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    device: &'a DeviceId,
    title: &'a TitleId,
    partner: &'a PartnerId,
    /// The latest, as it was promised.
    term: &'a Term,
}

impl<'a> Known<'a> {
    fn of(license: &'a License) -> Self {
        let License { device, title, facts, .. } = license;
        Self { device, title, partner: &facts.title.partner, term: &license.term().term }
    }
}

/// A request made again from what it recorded.
#[derive(Default)]
struct Asked {
    facts: MemberFacts,
    commands: Vec<Command>,
    refused: Option<Vec<Reason>>,
    /// Licenses that nobody knew any more.
    forgotten: Vec<LicenseId>,
}

impl<'a> Past<'a> {
    fn ask_again(&mut self, recorded: &[Event]) -> Option<Compared> {
        let at = recorded.first()?.at;
        let asked = self.asked(recorded);
        let decided_by_policy = asked.commands.iter().any(|command| {
            matches!(
                command,
                Command::Acquire { .. }
                    | Command::Renew { .. }
                    | Command::RegisterDevice { .. }
                    | Command::RemoveDevice { .. }
            )
        });
        let titles = asked.commands.iter().filter_map(|command| self.title(command)).collect();
        let forgotten = self.take_out(&asked.forgotten, at);
        let would_be: Vec<Command> =
            asked.commands.iter().filter_map(|command| self.as_it_would_be(command)).collect();
        let judged = (!would_be.is_empty()).then(|| {
            let facts = asked.facts;
            let request = Request { at, idempotency: None, facts, commands: would_be };
            self.judge(&request)
        });
        self.member.past.extend(forgotten);
        let accepted = judged.as_ref().is_some_and(|judged| judged.findings.is_empty());
        for command in &asked.commands {
            if let Command::RegisterDevice { device, .. } = command {
                if accepted {
                    self.turned_away.remove(device);
                } else if asked.refused.is_none() {
                    self.turned_away.insert(device.clone());
                }
            }
        }
        decided_by_policy.then(|| Compared {
            at,
            titles,
            other_terms: accepted
                && asked.refused.is_none()
                && judged.as_ref().is_some_and(|judged| !terms(recorded).eq(terms(&judged.events))),
            would_be: match judged {
                None => Verdict::Moot,
                Some(_) if accepted => Verdict::Accepted,
                Some(judged) => Verdict::Refused(reasons(&judged.findings)),
            },
            was: asked.refused.map_or(Verdict::Accepted, Verdict::Refused),
            commands: asked.commands,
        })
    }

    /// A license that was answered as unknown is unknown again: how far back was remembered just then
    /// no event tells, for it may have been raised since. One that would not have been over for the
    /// least that is ever remembered would have been known.
    fn take_out(&mut self, forgotten: &[LicenseId], at: Timestamp) -> Vec<(LicenseId, License)> {
        let mut taken_out = Vec::new();
        for license in forgotten {
            let id = self.instead_of(license).clone();
            let Member { licenses, past, .. } = &mut self.member;
            let over = licenses.get(&id).filter(|license| license.over_for_good(at));
            let over = over.or_else(|| past.get(&id));
            if over.is_some_and(|license| license.over_since() + HORIZON <= at) {
                let license = licenses.remove(&id).or_else(|| past.remove(&id));
                taken_out.extend(license.map(|license| (id, license)));
            }
        }
        taken_out
    }

    /// What a refusal would say beside its reasons nobody hears, so it is not made.
    fn judge(&mut self, request: &Request) -> Judged {
        let at = request.at.max(self.member.last_at);
        let judged = judge(&self.member, request, self.question.draft, at);
        self.member.last_at = at;
        if !judged.findings.is_empty() {
            return judged;
        }
        judged.events.iter().for_each(|event| follow(&mut self.member, event));
        for (command, outcome) in request.commands.iter().zip(&judged.outcomes) {
            if let (Command::Acquire { license: asked, .. }, Outcome::Held { license: held, .. }) =
                (command, outcome)
                && asked != held
            {
                self.rename(asked, held);
            }
        }
        judged
    }

    fn asked(&mut self, recorded: &[Event]) -> Asked {
        let mut asked = Asked::default();
        let mut never_started = Vec::new();
        for event in recorded {
            let facts = match &event.body {
                EventBody::DeviceRegistered { decided, .. }
                | EventBody::DeviceRemoved { decided, .. } => {
                    decided.as_ref().map(|decided| &decided.facts)
                }
                EventBody::Acquired(Acquired { facts, .. })
                | EventBody::Renewed(Renewed { facts, .. })
                | EventBody::Reissued { facts, .. } => Some(&facts.member),
                EventBody::CheckedIn { facts, .. } | EventBody::MemberChanged { facts, .. } => {
                    Some(facts)
                }
                EventBody::Refused(refused) => Some(&refused.facts),
                _ => None,
            };
            if let Some(facts) = facts {
                asked.facts = facts.clone();
            }
            match &event.body {
                EventBody::NeverStarted { license } => {
                    never_started.push(Holding { license: license.clone(), started: false })
                }
                EventBody::CheckedIn { device, .. } => asked.commands.push(Command::CheckIn {
                    device: device.clone(),
                    holdings: std::mem::take(&mut never_started),
                }),
                EventBody::Refused(refused) => {
                    asked.commands.clone_from(&refused.commands);
                    asked.refused = Some(reasons(&refused.findings));
                    let unknown = unknown_licenses(refused);
                    let forgotten = unknown.filter(|license| self.known.contains_key(license));
                    asked.forgotten = forgotten.cloned().collect();
                }
                // The same list had acquired it, and asked for it once more.
                EventBody::Reissued { license, .. } if !self.known.contains_key(license) => {
                    let acquires = |command: &&Command| matches!(command, Command::Acquire { license: made, .. } if made == license);
                    let once_more = asked.commands.iter().find(acquires).cloned();
                    asked.commands.extend(once_more);
                }
                EventBody::Reissued { .. } if event.cause.idempotency.is_none() => {
                    self.delivered_after_all(event);
                }
                body => asked.commands.extend(self.command(body, event.at)),
            }
        }
        asked
    }

    /// A retry of what was decided before brought its keys: nothing is decided by that.
    fn delivered_after_all(&mut self, event: &Event) {
        let mut event = event.clone();
        if let EventBody::Reissued { license, .. } = &mut event.body {
            *license = self.instead_of(license).clone();
        }
        follow(&mut self.member, &event);
    }

    /// The command that led to what was recorded.
    fn command(&mut self, body: &EventBody, at: Timestamp) -> Option<Command> {
        Some(match body {
            EventBody::DeviceRegistered { device, class, key, name, decided: _ } => {
                Command::RegisterDevice {
                    device: device.clone(),
                    class: *class,
                    key: key.clone(),
                    name: name.clone(),
                }
            }
            EventBody::DeviceRemoved { device, .. } => {
                Command::RemoveDevice { device: device.clone() }
            }
            EventBody::Acquired(acquired) => Command::Acquire {
                device: acquired.device.clone(),
                title: acquired.title.clone(),
                title_facts: Some(acquired.facts.title.clone()),
                license: acquired.license.clone(),
            },
            EventBody::Reissued { license, term, facts, .. } => {
                return self.asked_again_for(license, *term, facts, at);
            }
            EventBody::Renewed(renewed) => Command::Renew {
                device: self.known.get(&renewed.license)?.device.clone(),
                license: renewed.license.clone(),
                term: renewed.term.number.saturating_sub(1),
                title_facts: Some(renewed.facts.title.clone()),
                automatic: renewed.automatic,
            },
            EventBody::Released { license, by, .. } => {
                Command::Release { by: by.clone(), license: license.clone() }
            }
            EventBody::PlaysRecorded { device, sequences, plays } => Command::RecordPlays {
                device: device.clone(),
                sequences: sequences.clone(),
                plays: plays
                    .iter()
                    .map(|play| PlayReport {
                        sequence: play.sequence,
                        license: play.license.clone(),
                        term: play.term,
                        occurred_at: play.occurred_at,
                        device_at: play.device_at,
                    })
                    .collect(),
            },
            EventBody::DrmFailed { license, term } => {
                Command::DrmFailed { license: license.clone(), term: *term }
            }
            EventBody::MemberChanged { .. } => Command::ChangeMember,
            EventBody::MembershipLapsed { .. } => Command::LapseMembership,
            EventBody::MembershipResumed { warrant } => resume(warrant.as_ref()),
            EventBody::Revoked { target, warrant } => {
                Command::Revoke { target: target.clone(), warrant: warrant.clone() }
            }
            EventBody::TitleWithdrawn { title } => Command::WithdrawTitle { title: title.clone() },
            EventBody::ExceptionGranted { exception, allowance, warrant } => {
                Command::GrantException {
                    exception: exception.clone(),
                    allowance: allowance.clone(),
                    warrant: warrant.clone(),
                }
            }
            EventBody::ExceptionEnded { exception, warrant } => {
                Command::EndException { exception: exception.clone(), warrant: warrant.clone() }
            }
            EventBody::NeverStarted { .. }
            | EventBody::CheckedIn { .. }
            | EventBody::Refused(_) => return None,
        })
    }

    /// What the device held was given again.
    fn asked_again_for(
        &mut self,
        license: &LicenseId,
        term: u32,
        facts: &Facts,
        at: Timestamp,
    ) -> Option<Command> {
        let Known { device, title, term: promised, .. } = *self.known.get(license)?;
        let (device, title) = (device.clone(), title.clone());
        let title_facts = Some(facts.title.clone());
        let would_be = self.member.license(self.instead_of(license));
        // Whoever names an older term gets the license as it is, held or not. Only where it would have
        // other clocks could it be one that is asked for anew.
        let as_it_is = |found: &License| found.held(at) || found.term().term == *promised;
        Some(if would_be.is_none_or(as_it_is) {
            let (license, term) = (license.clone(), term.saturating_sub(1));
            Command::Renew { device, license, term, title_facts, automatic: false }
        } else {
            Command::Acquire { device, title, title_facts, license: self.new_license(license) }
        })
    }

    /// An id that no real license has, for it is longer than any that is generated.
    fn new_license(&mut self, instead_of: &LicenseId) -> LicenseId {
        self.made += 1;
        let id = LicenseId::new(&format!("{instead_of}~{}", self.made));
        let id = id.unwrap_or_else(|_| instead_of.clone());
        self.rename(instead_of, &id);
        self.never.insert(id.clone());
        id
    }

    fn instead_of<'b>(&'b self, license: &'b LicenseId) -> &'b LicenseId {
        self.renamed.get(license).unwrap_or(license)
    }

    /// From now on `held` stands for what there really was.
    fn rename(&mut self, license: &LicenseId, held: &LicenseId) {
        for (_, stands) in self.renamed.iter_mut().filter(|(_, stands)| *stands == license) {
            stands.clone_from(held);
        }
        self.renamed.insert(license.clone(), held.clone());
    }

    /// As the device would have sent it; `None` when it is about a license that would not be there,
    /// or by a device that would not be.
    fn as_it_would_be(&self, command: &Command) -> Option<Command> {
        let mut command = command.clone();
        if let Command::Acquire { device, .. }
        | Command::Renew { device, .. }
        | Command::CheckIn { device, .. }
        | Command::RemoveDevice { device } = &command
            && self.turned_away.contains(device)
        {
            return None;
        }
        match &mut command {
            Command::Renew { license, term, .. } | Command::DrmFailed { license, term } => {
                let known = self.known.get(license).map_or(0, |known| known.term.number);
                let (id, running) = self.would_be(license)?;
                *license = id;
                if let Some(running) = running {
                    // As far before or after the running term as it was named.
                    *term = running.saturating_add(*term).saturating_sub(known);
                }
            }
            Command::Release { license, .. }
            | Command::Revoke { target: Target::License(license), .. } => {
                *license = self.would_be(license)?.0;
            }
            Command::RecordPlays { plays, .. } => plays.retain_mut(|play| {
                let would_be = self.would_be(&play.license);
                if let Some((id, running)) = &would_be {
                    play.license.clone_from(id);
                    play.term = running.map_or(play.term, |running| play.term.min(running));
                }
                would_be.is_some()
            }),
            Command::CheckIn { holdings, .. } => holdings.retain_mut(|holding| {
                let would_be = self.would_be(&holding.license);
                if let Some((id, _)) = &would_be {
                    holding.license.clone_from(id);
                }
                would_be.is_some()
            }),
            _ => {}
        }
        Some(command)
    }

    /// The license and its running term; a license that was never known or is forgotten is unknown,
    /// and one that was known and would never have been is `None`.
    fn would_be(&self, license: &LicenseId) -> Option<(LicenseId, Option<u32>)> {
        let id = self.instead_of(license);
        match self.member.license(id) {
            Some(found) => Some((id.clone(), Some(found.term().term.number))),
            None if self.never.contains(id) => None,
            None => Some((id.clone(), None)),
        }
    }

    fn title(&self, command: &Command) -> Option<(TitleId, PartnerId)> {
        match command {
            Command::Acquire { title, title_facts, .. } => {
                Some((title.clone(), title_facts.as_ref()?.partner.clone()))
            }
            Command::Renew { license, .. } => {
                let known = self.known.get(license)?;
                Some((known.title.clone(), known.partner.clone()))
            }
            _ => None,
        }
    }

    /// What really happened to licenses.
    fn learn(&mut self, recorded: &'a [Event]) {
        for event in recorded {
            match &event.body {
                EventBody::Acquired(Acquired { license, device, title, facts, term, .. }) => {
                    let partner = &facts.title.partner;
                    let would_be = self.instead_of(license);
                    if self.member.license(would_be).is_none() {
                        self.never.insert(would_be.clone());
                    }
                    self.known.insert(license, Known { device, title, partner, term });
                }
                EventBody::Renewed(renewed) => {
                    if let Some(known) = self.known.get_mut(&renewed.license) {
                        known.term = &renewed.term;
                    }
                }
                _ => {}
            }
        }
    }
}

fn terms(events: &[Event]) -> impl Iterator<Item = &Term> {
    events.iter().filter_map(|event| match &event.body {
        EventBody::Acquired(Acquired { term, .. }) | EventBody::Renewed(Renewed { term, .. }) => {
            Some(term)
        }
        _ => None,
    })
}

/// The licenses that commands name of which nothing was known.
fn unknown_licenses(refused: &Refused) -> impl Iterator<Item = &LicenseId> {
    let unknown = refused.findings.iter().filter(|found| found.code == Code::LicenseUnknown);
    unknown.filter_map(|found| match refused.commands.get(usize::from(found.command))? {
        Command::Renew { license, .. }
        | Command::DrmFailed { license, .. }
        | Command::Revoke { target: Target::License(license), .. } => Some(license),
        _ => None,
    })
}

fn reasons(findings: &[Finding]) -> Vec<Reason> {
    let reason = |found: &Finding| Reason { code: found.code, rule: found.rule.clone() };
    findings.iter().map(reason).collect()
}
