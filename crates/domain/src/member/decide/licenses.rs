//! Acquiring, renewing and releasing a license.

use std::sync::Arc;

use super::{Desk, Step};
use crate::facts::{Facts, TitleFacts};
use crate::ids::{DeviceId, LicenseId, TitleId};
use crate::member::{
    Acquired, Code, Device, EventBody, Finding, Held, License, Outcome, Renewed, Term,
};
use crate::policy::evaluate::{Adds, cap_findings, gate_findings};
use crate::policy::{Beginning, Effective, FinishAnchor, ReleaseFrees, RenewFrom, TermsPatch};
use crate::time::{Duration, Timestamp};

impl<'a> Desk<'a> {
    pub(super) fn acquire(
        &self,
        device_id: &DeviceId,
        title: &TitleId,
        title_facts: Option<&TitleFacts>,
        license: &LicenseId,
    ) -> Step {
        let device = match self.receiving(device_id) {
            Ok(device) => device,
            Err(code) => return self.refuse(code),
        };
        let Some(title_facts) = title_facts else {
            return self.refuse(Code::TitleUnknown);
        };
        let facts = Facts::new(self.facts, device.class, title_facts);
        let existing = self.member.license_on(device_id, title);
        if let Some((id, held)) = existing.filter(|(_, license)| license.held(self.at)) {
            return self.reissue(id, held, facts);
        }
        let replaces = existing.map(|(id, _)| id);
        let ask = self.ask(device_id, title, &facts, replaces, Adds::Acquisition);
        let terms = ask.rules.terms(&facts);
        let beginning = self.first_term(title, &terms);
        let mut findings: Vec<Finding> = self.leaving_finding(device).into_iter().collect();
        findings.extend(self.over_at_birth(&terms, beginning, &facts));
        findings.extend(gate_findings(&ask));
        let (over, caps) = cap_findings(&ask);
        findings.extend(over);
        let acquired = Acquired {
            license: license.clone(),
            device: device_id.clone(),
            title: title.clone(),
            policy: self.policy.version.clone(),
            term: terms.promise(beginning, &facts),
            caps,
            replaces: replaces.cloned(),
            facts: Arc::new(facts),
        };
        Step {
            findings,
            bodies: vec![EventBody::Acquired(acquired)],
            outcome: Some(Outcome::Held { license: license.clone(), term: 1, how: Held::Acquired }),
        }
    }

    /// What the term begins with that acquiring now promises.
    pub(super) fn first_term(&self, title: &TitleId, terms: &TermsPatch) -> Beginning {
        let begun_at = match terms.anchor() {
            Some(FinishAnchor::Title) => self.member.first_plays.get(title).copied(),
            _ => None,
        };
        Beginning { number: 1, at: self.at, from: self.at, begun_at }
    }

    /// What the next term of a license begins with: only plays recorded before carry over.
    fn next_term(&self, license: &License, terms: &TermsPatch) -> Beginning {
        let ends_at = license.ends_at();
        let from_end = terms.renew_from == Some(RenewFrom::End) && ends_at < Timestamp::MAX;
        let begun_at = match terms.anchor() {
            Some(FinishAnchor::License) => {
                license.terms.iter().filter_map(|running| running.first_play).min()
            }
            Some(FinishAnchor::Title) => self.member.first_plays.get(&license.title).copied(),
            Some(FinishAnchor::Term) | None => None,
        };
        Beginning {
            number: license.term().term.number.saturating_add(1),
            at: self.at,
            from: if from_end { self.at.max(ends_at) } else { self.at },
            begun_at,
        }
    }

    /// A term with no instant in it would be a license that never played.
    fn over_at_birth(
        &self,
        terms: &TermsPatch,
        beginning: Beginning,
        facts: &Facts,
    ) -> Option<Finding> {
        if !over(&terms.promise(beginning, facts)) {
            return None;
        }
        // Where play may begin later only, a term that begins later may reach it.
        let start_within = terms.start_within.filter(|_| beginning.begun_at.is_none());
        let length = [terms.end_within, start_within].into_iter().flatten().min();
        let reaches_at = terms.not_before.zip(length).and_then(|(not_before, length)| {
            let at = not_before - length + Duration::from_millis(1);
            // By then the end that it would run from is past.
            let later = Beginning { at, from: at, ..beginning };
            let reaches = !over(&terms.promise(later, facts));
            (at > self.at && reaches).then_some(at)
        });
        Some(self.finding(Code::TermOverAtBirth, reaches_at))
    }

    /// What this device holds is given again under the terms it has: gates apply, caps do not.
    fn reissue(&self, id: &LicenseId, license: &License, facts: Facts) -> Step {
        let ask = self.ask(&license.device, &license.title, &facts, Some(id), Adds::Renewal);
        let findings = gate_findings(&ask);
        let term = license.term().term.number;
        let outcome = Outcome::Held { license: id.clone(), term, how: Held::Reissued };
        Step { findings, bodies: vec![self.reissued(id, term, facts)], outcome: Some(outcome) }
    }

    pub(super) fn reissued(&self, license: &LicenseId, term: u32, facts: Facts) -> EventBody {
        let policy = self.policy.version.clone();
        EventBody::Reissued { license: license.clone(), term, facts: Arc::new(facts), policy }
    }

    pub(super) fn renew(
        &self,
        device_id: &DeviceId,
        id: &LicenseId,
        expected: u32,
        title_facts: Option<&TitleFacts>,
        automatic: bool,
    ) -> Step {
        let (device, license) = match self.renewable(device_id, id) {
            Ok(found) => found,
            Err(code) => return self.refuse(code),
        };
        let Some(title_facts) = title_facts else {
            return self.refuse(Code::TitleUnknown);
        };
        let facts = Facts::new(self.facts, device.class, title_facts);
        let current = license.term().term.number;
        if expected > current {
            return self.refuse(Code::TermUnknown);
        }
        if expected < current {
            return self.reissue(id, license, facts);
        }
        let ask = self.ask(device_id, &license.title, &facts, Some(id), Adds::Renewal);
        let terms = ask.rules.terms(&facts);
        let beginning = self.next_term(license, &terms);
        let term = terms.promise(beginning, &facts);
        let mut findings: Vec<Finding> = self.leaving_finding(device).into_iter().collect();
        findings.extend(self.renewal_findings(license, &term));
        findings.extend(self.too_soon(license, &terms).filter(|_| automatic));
        findings.extend(self.over_at_birth(&terms, beginning, &facts));
        findings.extend(gate_findings(&ask));
        let (over, caps) = cap_findings(&ask);
        findings.extend(over);
        let number = term.number;
        let renewed = Renewed {
            license: id.clone(),
            policy: self.policy.version.clone(),
            term,
            caps,
            facts: Arc::new(facts),
            automatic,
        };
        let outcome = Outcome::Held { license: id.clone(), term: number, how: Held::Renewed };
        Step { findings, bodies: vec![EventBody::Renewed(renewed)], outcome: Some(outcome) }
    }

    fn renewable(
        &self,
        device: &DeviceId,
        id: &LicenseId,
    ) -> Result<(&'a Device, &'a License), Code> {
        let known = self.receiving(device)?;
        match self.member.license(id) {
            None => Err(Code::LicenseUnknown),
            Some(license) if license.closed.is_some() => Err(Code::LicenseClosed),
            Some(license) if license.device != *device => Err(Code::LicenseOfOtherDevice),
            Some(license) => Ok((known, license)),
        }
    }

    /// When and how often, by the policy as it is now.
    fn renewal_findings(&self, license: &License, next: &Term) -> Vec<Finding> {
        let mut now = license.term().clone();
        now.term.renew_before_end = next.renew_before_end;
        now.term.renew_after_end = next.renew_after_end;
        let mut findings = Vec::new();
        if self.at < now.renew_from() {
            findings.push(self.finding(Code::RenewalTooEarly, Some(now.renew_from())));
        }
        if self.at >= now.renew_until() {
            findings.push(self.finding(Code::RenewalTooLate, None));
        }
        if next.renewals_max.is_some_and(|max| license.renewals() >= max) {
            findings.push(self.finding(Code::RenewalsExhausted, None));
        }
        findings
    }

    /// Unattended renewals keep their distance.
    fn too_soon(&self, license: &License, terms: &TermsPatch) -> Option<Finding> {
        let every = terms.auto_renew_every?;
        let last = license.terms.iter().rev().find(|running| running.automatic)?;
        let again_at = last.term.started_at + every;
        let too_soon = self.at < again_at;
        too_soon.then(|| self.finding(Code::AutoRenewalTooSoon, Some(again_at)))
    }

    pub(super) fn release(&self, by: Option<&DeviceId>, id: &LicenseId) -> Step {
        // A removed device may still release: it deletes its copies when it next comes online.
        if by.is_some_and(|by| !self.member.devices.contains_key(by)) {
            return self.refuse(Code::DeviceUnknown);
        }
        let license = self.member.license(id);
        let own = |license: &License| by == Some(&license.device);
        let open = license.filter(|l| l.closed.is_none() || (l.waits() && own(l)));
        let bodies = open.map(|license| {
            let returned = license.closed.is_none() && license.deliveries == 0;
            let asked = !returned && !own(license);
            EventBody::Released {
                license: id.clone(),
                by: by.cloned(),
                returned,
                waits: asked && self.release_waits(license),
                policy: asked.then(|| self.policy.version.clone()),
            }
        });
        let outcome = Outcome::Released { license: id.clone(), already: bodies.is_none() };
        Step::done(outcome, bodies.into_iter().collect())
    }

    /// By the policy as it is now.
    fn release_waits(&self, license: &License) -> bool {
        let rules = Effective::new(self.policy, &license.title, &license.facts.title);
        let frees = rules.terms(&license.facts).release_frees;
        frees == Some(ReleaseFrees::WhenConfirmed) && license.active(self.at)
    }

    pub(super) fn drm_failed(&self, id: &LicenseId, term: u32) -> Step {
        let license = self.member.license(id).filter(|license| license.closed.is_none());
        match license {
            None => self.refuse(Code::LicenseUnknown),
            Some(license) if license.term().term.number != term => self.refuse(Code::TermUnknown),
            Some(_) => Step::done(
                Outcome::DrmFailureRecorded { license: id.clone() },
                vec![EventBody::DrmFailed { license: id.clone(), term }],
            ),
        }
    }
}

/// Whether there is no instant in the term at which a play could begin.
fn over(term: &Term) -> bool {
    let finish = term.begun_at.and_then(|begun_at| Some(begun_at + term.finish_within?));
    let start_by = term.start_by.filter(|_| term.begun_at.is_none());
    let begins_at = term.started_at.max(term.not_before.unwrap_or(Timestamp::MIN));
    [term.hard_end, finish, start_by].into_iter().flatten().any(|end| end <= begins_at)
}
