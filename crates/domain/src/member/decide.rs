//! Decides a request: what is answered, and what happened.
//!
//! Each command is looked at as if those before it in the list had happened; one refused command
//! refuses the list, and the refusal names everything that stands in the way of any of them.

mod check_in;
mod devices;
mod eligibility;
mod licenses;
mod membership;
mod plays;
mod refusal;
mod repeat;

use std::borrow::Cow;

pub use eligibility::{Eligibility, eligibility, standing};

use crate::facts::{Facts, MemberFacts};
use crate::ids::{DeviceId, LicenseId, TitleId};
use crate::member::evolve::evolve;
use crate::member::remedy::remedies;
use crate::member::{
    Acquired, Answer, Cause, Code, Command, Decision, Device, Event, EventBody, Finding, Member,
    Outcome, Refused, Renewed, Request,
};
use crate::policy::evaluate::{Adds, Ask, InList};
use crate::policy::{Effective, Policy};
use crate::time::Timestamp;

/// Looks at a member, a request and a policy, and says what happens. Decides nothing twice: a
/// retry of an accepted request is told what was decided then.
pub fn decide(member: &Member, request: &Request, policy: &Policy) -> Decision {
    let at = request.at.max(member.last_at);
    if let Some(repeated) = repeat::repeat(member, request, policy, at) {
        return repeated;
    }
    let judged = judge(member, request, policy, at);
    if judged.findings.is_empty() {
        let answer = Answer::Accepted { outcomes: judged.outcomes, repeated: false };
        return Decision { at, answer, events: judged.events };
    }
    let refused = Refused {
        commands: request.commands.clone(),
        facts: request.facts.clone(),
        policy: policy.version.clone(),
        retry_at: refusal::retry_at(member, request, policy, at, &judged.findings),
        remedies: remedies(member, request, policy, at, &judged.findings),
        findings: judged.findings,
    };
    let events = if refusal::recorded_before(member, &refused, at) {
        Vec::new()
    } else {
        let body = EventBody::Refused(Box::new(refused.clone()));
        vec![Event { at, cause: Cause::default(), body }]
    };
    Decision { at, answer: Answer::Refused(Box::new(refused)), events }
}

/// What a list of commands would do at some instant.
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) events: Vec<Event>,
}

pub(crate) fn judge(member: &Member, request: &Request, policy: &Policy, at: Timestamp) -> Judged {
    let mut judged = Judged { findings: Vec::new(), outcomes: Vec::new(), events: Vec::new() };
    let mut member = Cow::Borrowed(member);
    let mut in_list = InList::default();
    let last = request.commands.len().saturating_sub(1);
    for (position, command) in request.commands.iter().enumerate() {
        let index = u16::try_from(position).unwrap_or(u16::MAX);
        let cause = Cause { idempotency: request.idempotency.clone(), command: index };
        let desk = Desk {
            member: &member,
            facts: &request.facts,
            policy,
            at,
            command: index,
            in_list: &in_list,
        };
        let Step { findings, bodies, outcome } = desk.step(command);
        let first = judged.events.len();
        judged.findings.extend(findings);
        judged.outcomes.extend(outcome);
        judged.events.extend(bodies.into_iter().map(|body| Event {
            at,
            cause: cause.clone(),
            body,
        }));
        // A single command, which is nearly every request, never copies the member.
        if position < last {
            let happened = judged.events.get(first..).unwrap_or_default();
            for event in happened {
                match &event.body {
                    EventBody::Acquired(Acquired { license, .. }) => {
                        in_list.licenses.insert(license.clone(), index);
                    }
                    // What was acquired in this very millisecond cannot be told from what the list
                    // acquired, which is in already.
                    EventBody::Renewed(Renewed { license, .. })
                        if member.license(license).is_none_or(|known| known.acquired_at < at) =>
                    {
                        in_list.licenses.insert(license.clone(), index);
                    }
                    EventBody::DeviceRegistered { device, .. }
                    | EventBody::DeviceRemoved { device, .. } => {
                        in_list.devices.insert(device.clone(), index);
                    }
                    _ => {}
                }
            }
            member = Cow::Owned(happened.iter().fold(member.into_owned(), evolve));
        }
    }
    judged
}

/// One command's part. A refused command still says what would have happened, for the commands
/// behind it in the list.
struct Step {
    findings: Vec<Finding>,
    bodies: Vec<EventBody>,
    outcome: Option<Outcome>,
}

impl Step {
    fn done(outcome: Outcome, bodies: Vec<EventBody>) -> Self {
        Self { findings: Vec::new(), bodies, outcome: Some(outcome) }
    }

    fn refused(findings: Vec<Finding>) -> Self {
        Self { findings, bodies: Vec::new(), outcome: None }
    }
}

/// Everything a command is decided with.
#[derive(Clone, Copy)]
struct Desk<'a> {
    member: &'a Member,
    facts: &'a MemberFacts,
    policy: &'a Policy,
    at: Timestamp,
    command: u16,
    in_list: &'a InList,
}

impl<'a> Desk<'a> {
    fn step(&self, command: &Command) -> Step {
        match command {
            Command::RegisterDevice { device, class, key, name } => {
                self.register(device, *class, key, name)
            }
            Command::RemoveDevice { device } => self.remove(device),
            Command::Acquire { device, title, title_facts, license } => {
                self.acquire(device, title, title_facts.as_ref(), license)
            }
            Command::Renew { device, license, term, title_facts, automatic } => {
                self.renew(device, license, *term, title_facts.as_ref(), *automatic)
            }
            Command::Release { by, license } => self.release(by.as_ref(), license),
            Command::CheckIn { device, holdings } => self.check_in(device, holdings),
            Command::RecordPlays { device, sequences, plays } => {
                self.record_plays(device, sequences, plays)
            }
            Command::DrmFailed { license, term } => self.drm_failed(license, *term),
            Command::ChangeMember => self.change_member(),
            Command::LapseMembership => self.lapse(),
            Command::ResumeMembership { warrant } => self.resume(warrant.as_ref()),
            Command::Revoke { target, warrant } => self.revoke(target, warrant),
            Command::WithdrawTitle { title } => self.withdraw(title),
            Command::GrantException { exception, allowance, warrant } => {
                self.grant_exception(exception, allowance, warrant)
            }
            Command::EndException { exception, warrant } => self.end_exception(exception, warrant),
        }
    }

    fn finding(&self, code: Code, frees_at: Option<Timestamp>) -> Finding {
        Finding { command: self.command, code, rule: None, cap: None, frees_at }
    }

    fn refuse(&self, code: Code) -> Step {
        Step::refused(vec![self.finding(code, None)])
    }

    /// A device that is registered, and was not removed since.
    fn device(&self, id: &DeviceId) -> Result<&'a Device, Code> {
        match self.member.devices.get(id) {
            None => Err(Code::DeviceUnknown),
            Some(device) if device.revoked => Err(Code::DeviceRevoked),
            Some(device) if !device.registered(self.at) => Err(Code::DeviceRemoved),
            Some(device) => Ok(device),
        }
    }

    /// A device of a membership that runs: what it holds may be issued to it again.
    fn receiving(&self, id: &DeviceId) -> Result<&'a Device, Code> {
        match (self.member.revoked_at, self.member.lapsed_at) {
            (Some(_), _) => Err(Code::MemberRevoked),
            (None, Some(_)) => Err(Code::MembershipLapsed),
            (None, None) => self.device(id),
        }
    }

    /// Nothing new is given to a device that has notice.
    fn leaving_finding(&self, device: &Device) -> Option<Finding> {
        let leaving = device.notice.is_some_and(|notice| self.at < notice.ends_at);
        // One that stays registered may begin afresh once what it held has ended.
        let stays = device.notice.filter(|notice| !notice.removes);
        leaving.then(|| self.finding(Code::DeviceLeaving, stays.map(|notice| notice.ends_at)))
    }

    fn ask<'b>(
        &'b self,
        device: &'b DeviceId,
        title: &'b TitleId,
        facts: &'b Facts,
        license: Option<&'b LicenseId>,
        adds: Adds,
    ) -> Ask<'b> {
        Ask {
            member: self.member,
            at: self.at,
            facts: &facts.member,
            device,
            class: facts.class,
            title: Some((title, &facts.title)),
            rules: Effective::new(self.policy, title, &facts.title),
            license,
            acquired_at: license.and_then(|id| Some(self.member.license(id)?.acquired_at)),
            adds,
            command: self.command,
            in_list: self.in_list,
        }
    }
}
