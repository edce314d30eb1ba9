//! What callers hear: it is recorded, a retry hears the same, and it is what was recorded.

use std::collections::BTreeSet;

use domain::member::{Answer, Command, EventBody, Held, Outcome, Play, PlayReport};
use domain::{Decision, Event, Request};

use super::copies::Copy;
use super::{Auditor, Ledger, Verdict, ensure, ms};
use crate::rules::DAY_MS;

#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: i64,
    pub(super) held: Vec<Option<(String, u32, Held)>>,
    pub(super) plays: Vec<Option<u32>>,
}

impl Auditor {
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
        let mut newest = false;
        for event in &decision.events {
            let found = ledger.events.iter().rposition(|recorded| recorded == event);
            let position = found
                .ok_or_else(|| format!("{member}: acknowledged, and not recorded: {event:?}"))?;
            ledger.acknowledged.insert(position);
            newest = position + 1 == ledger.events.len();
            let index = usize::from(event.cause.command);
            if let (EventBody::PlaysRecorded { plays, .. }, Some(command)) =
                (&event.body, request.commands.get(index))
            {
                ledger.played_as_reported(ms(event.at), plays, command)?;
            }
        }
        let Answer::Accepted { outcomes, .. } = &decision.answer else { return Ok(()) };
        ensure(outcomes.len() == request.commands.len(), || {
            format!("{member}: {} outcomes for {request:?}", outcomes.len())
        })?;
        for (command, outcome) in request.commands.iter().zip(outcomes) {
            ledger.check_outcome(command, outcome).map_err(|what| format!("{member}: {what}"))?;
        }
        // Nothing has happened since.
        if let ([command], [outcome], true) = (&*request.commands, &**outcomes, newest) {
            ledger.check_in_tells(ms(decision.at), command, outcome)?;
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
                let over = |copy: &Copy| !copy.open || copy.is_forgotten(self.now());
                ensure(copy.is_none_or(over), || {
                    format!("the release of {license} was acknowledged, and it is open")
                })
            }
            (Command::RecordPlays { device, plays, .. }, Outcome::PlaysRecorded { .. }) => {
                self.every_play_is_there(device.as_str(), plays)
            }
            (Command::RegisterDevice { .. }, Outcome::DeviceRegistered { .. })
            | (Command::RemoveDevice { .. }, Outcome::DeviceRemoved { .. })
            | (Command::CheckIn { .. }, Outcome::CheckedIn(_))
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

    /// A play that was reported of a license that the device has is recorded, now or before.
    fn every_play_is_there(&self, device: &str, plays: &[PlayReport]) -> Verdict {
        for play in plays {
            let Some(copy) = self.copies.get(play.license.as_str()) else { continue };
            let newest = copy.terms.last().map_or(0, |term| term.started_at);
            // One that was given long ago may be forgotten.
            if copy.device != device
                || copy.term(play.term).is_err()
                || self.now() - newest > 399 * DAY_MS
            {
                continue;
            }
            let there = self.plays.contains(&(device.to_owned(), play.sequence));
            ensure(there, || format!("{play:?} was acknowledged, and is not recorded"))?;
        }
        Ok(())
    }

    /// At the time at which it happened, as far as that can be.
    fn played_as_reported(&self, at: i64, plays: &[Play], command: &Command) -> Verdict {
        let Command::RecordPlays { plays: reports, .. } = command else {
            return Err(format!("plays were recorded of {command:?}"));
        };
        for play in plays {
            let same = |report: &&PlayReport| {
                report.sequence == play.sequence
                    && report.license == play.license
                    && report.term == play.term
            };
            let report = reports.iter().find(same);
            let report = report.ok_or_else(|| format!("{play:?} was not reported"))?;
            let term = self.copy(play.license.as_str())?.term(play.term)?;
            let happened_at = ms(report.occurred_at).max(term.started_at).min(at);
            ensure(ms(play.occurred_at) == happened_at, || format!("{play:?} was {report:?}"))?;
        }
        Ok(())
    }

    /// What the device holds, and what of it has ended.
    fn check_in_tells(&self, at: i64, command: &Command, outcome: &Outcome) -> Verdict {
        let (Command::CheckIn { device, holdings }, Outcome::CheckedIn(told)) = (command, outcome)
        else {
            return Ok(());
        };
        let own = |copy: &Copy| copy.open && copy.device == device.as_str();
        let held = self.copies.iter().filter(|(_, copy)| own(copy) && copy.held(at));
        let held: BTreeSet<&str> = held.map(|(id, _)| id.as_str()).collect();
        // Its own lease knows better than the ledger whether it is playing.
        let kept = |copy: &Copy| own(copy) && (copy.revivable(at) || copy.active(at));
        let ids = holdings.iter().map(|holding| holding.license.as_str());
        let ended: BTreeSet<&str> =
            ids.filter(|id| !self.copies.get(*id).is_some_and(kept)).collect();
        let told_held: BTreeSet<&str> = told.held.iter().map(|id| id.as_str()).collect();
        let told_ended: BTreeSet<&str> = told.ended.iter().map(|id| id.as_str()).collect();
        ensure(held == told_held && ended == told_ended, || {
            format!("{device} holds {held:?}, {ended:?} have ended, and it was told {told:?}")
        })
    }
}
