//! A retry of an accepted request is told what was decided then.

use super::Desk;
use crate::facts::Facts;
use crate::ids::LicenseId;
use crate::member::evolve::IDEMPOTENCY_KEPT;
use crate::member::{
    Answer, Cause, CheckedIn, Command, Decision, Effect, Event, EventBody, Leaving, Member,
    Outcome, Request,
};
use crate::policy::Policy;
use crate::policy::evaluate::InList;
use crate::time::Timestamp;

/// The answer to a request that was accepted before under the same idempotency key.
pub(super) fn repeat(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
) -> Option<Decision> {
    let idempotency = request.idempotency.as_ref()?;
    let remembered = member.remembered.get(&idempotency.key)?;
    if at >= remembered.at + IDEMPOTENCY_KEPT {
        return None;
    }
    if remembered.body_digest != idempotency.body_digest {
        return Some(Decision { at, answer: Answer::KeyReused, events: vec![] });
    }
    let mut outcomes = Vec::with_capacity(request.commands.len());
    let mut events = Vec::new();
    for (position, command) in request.commands.iter().enumerate() {
        let index = u16::try_from(position).unwrap_or(u16::MAX);
        let in_list = InList::default();
        let desk =
            Desk { member, facts: &request.facts, policy, at, command: index, in_list: &in_list };
        let effect = remembered.effects.iter().find(|(i, _)| *i == index).map(|(_, effect)| effect);
        let (outcome, body) = desk.repeat(command, effect)?;
        outcomes.push(outcome);
        let cause = Cause { idempotency: None, command: index };
        events.extend(body.map(|body| Event { at, cause, body }));
    }
    Some(Decision { at, answer: Answer::Accepted { outcomes, repeated: true }, events })
}

impl Desk<'_> {
    /// What one command of a repeated request is answered. A command without an effect changed
    /// nothing then, and is told so now.
    fn repeat(
        &self,
        command: &Command,
        effect: Option<&Effect>,
    ) -> Option<(Outcome, Option<EventBody>)> {
        let outcome = match (command, effect) {
            (_, Some(Effect::Held { license, term, how })) => {
                let outcome = Outcome::Held { license: license.clone(), term: *term, how: *how };
                return Some((outcome, self.delivered_after_all(license)));
            }
            (Command::RegisterDevice { device, .. }, effect) => {
                Outcome::DeviceRegistered { device: device.clone(), already: effect.is_none() }
            }
            (Command::RemoveDevice { device }, effect) => Outcome::DeviceRemoved {
                device: device.clone(),
                closed: match effect {
                    Some(Effect::DeviceRemoved { closed }) => closed.clone(),
                    _ => vec![],
                },
            },
            (Command::Release { license, .. }, effect) => {
                Outcome::Released { license: license.clone(), already: effect.is_none() }
            }
            (Command::CheckIn { device, holdings }, _) => {
                let mut answer = CheckedIn::default();
                for (id, license) in &self.member.licenses {
                    if license.device == *device && license.held(self.at) {
                        answer.held.push(id.clone());
                    }
                }
                answer.ended = self.ended(device, &[], &answer, holdings);
                Outcome::CheckedIn(answer)
            }
            (Command::RecordPlays { plays, .. }, effect) => Outcome::PlaysRecorded {
                counted: match effect {
                    Some(Effect::PlaysRecorded { counted }) => *counted,
                    _ => 0,
                },
                repeated: u32::try_from(plays.len()).unwrap_or(u32::MAX),
                unknown: 0,
            },
            (Command::DrmFailed { license, .. }, _) => {
                Outcome::DrmFailureRecorded { license: license.clone() }
            }
            (Command::ChangeMember, _) => {
                let noticed = self.member.devices.iter().filter_map(|(device, known)| {
                    let notice = known.notice.filter(|notice| self.at < notice.ends_at)?;
                    let (device, at) = (device.clone(), notice.ends_at);
                    Some(Leaving { device, at, removed: notice.removes })
                });
                Outcome::MemberChanged { leaving: noticed.collect() }
            }
            (Command::LapseMembership, effect) => {
                Outcome::MembershipLapsed { already: effect.is_none() }
            }
            (Command::ResumeMembership { .. }, effect) => {
                Outcome::MembershipResumed { already: effect.is_none() }
            }
            (Command::Revoke { .. }, effect) => {
                Outcome::Revoked { closed: closed_by(effect), already: effect.is_none() }
            }
            (Command::WithdrawTitle { .. }, effect) => {
                Outcome::TitleWithdrawn { closed: closed_by(effect) }
            }
            (_, Some(Effect::ExceptionGranted { exception }))
            | (Command::GrantException { exception, .. }, _) => {
                Outcome::ExceptionGranted { exception: exception.clone() }
            }
            (Command::EndException { exception, .. }, effect) => {
                Outcome::ExceptionEnded { exception: exception.clone(), already: effect.is_none() }
            }
            // INVARIANT: an accepted one has its effect. Were it lost, deciding anew is safe.
            (Command::Acquire { .. } | Command::Renew { .. }, _) => return None,
        };
        Some((outcome, None))
    }

    /// A retry brings a grant. Where no keys had been given so far that has to be known first,
    /// or a release would return what was then used.
    fn delivered_after_all(&self, id: &LicenseId) -> Option<EventBody> {
        let license = self.member.license(id).filter(|license| license.held(self.at))?;
        let facts = Facts::new(self.facts, license.facts.class, &license.facts.title);
        (license.deliveries == 0).then(|| self.reissued(id, license.term().term.number, facts))
    }
}

fn closed_by(effect: Option<&Effect>) -> Vec<LicenseId> {
    match effect {
        Some(Effect::Closed { closed }) => closed.clone(),
        _ => Vec::new(),
    }
}
