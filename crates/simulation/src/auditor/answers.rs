//! What callers hear: it is recorded, a retry hears the same, and a refusal names what stands in the way.

use std::collections::BTreeSet;

use domain::member::{Answer, Code, Command, Finding, Held, Outcome, Refused};
use domain::{Decision, DeviceClass, Event, Request};

use super::copies::Copy;
use super::count::{Adds, Ask, Full, Thing};
use super::{Auditor, Ledger, Verdict, ensure};
use crate::rules::{DAY_MS, Rules};

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
    /// A refusal names every cap that stands in the way, and no other.
    pub(super) fn refused(&self, at: i64, rules: &Rules, refused: &Refused) -> Verdict {
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
