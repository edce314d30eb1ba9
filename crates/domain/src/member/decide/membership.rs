//! What changes around a member: the membership itself, revocations, withdrawn titles, and what
//! support allows beyond the rules.

use std::collections::BTreeMap;

use super::{Desk, Step};
use crate::facts::DeviceClass;
use crate::ids::{DeviceId, ExceptionId, LicenseId, TitleId};
use crate::member::{Allowance, Code, EventBody, Leaving, License, Outcome, Target, Warrant};
use crate::policy::Downgrade;
use crate::policy::evaluate::{Adds, surplus_devices};

impl Desk<'_> {
    /// What the changed membership has no room for gets notice; what has room again keeps it no
    /// longer. Without a word of the policy nothing is taken away.
    pub(super) fn change_member(&self) -> Step {
        let leaving =
            self.policy.downgrade.map_or_else(Vec::new, |downgrade| self.leaving(downgrade));
        let body = EventBody::MemberChanged {
            facts: self.facts.clone(),
            policy: self.policy.version.clone(),
            leaving: leaving.clone(),
        };
        Step::done(Outcome::MemberChanged { leaving }, vec![body])
    }

    fn leaving(&self, downgrade: Downgrade) -> Vec<Leaving> {
        let Some(any) = self.member.devices.keys().next() else { return Vec::new() };
        let ask = self.ask_about_device(any, DeviceClass::Phone, Adds::Registration);
        let surplus: BTreeMap<DeviceId, bool> = surplus_devices(&ask, downgrade.keep);
        let leaving = surplus.into_iter().map(|(device, removed)| {
            let ends_at = self.at + downgrade.notice;
            let known = self.member.devices.get(&device).and_then(|known| known.notice);
            // Notice that was given runs on.
            let before = known.map(|notice| notice.ends_at).filter(|before| *before > self.at);
            Leaving { device, at: before.map_or(ends_at, |before| before.min(ends_at)), removed }
        });
        leaving.collect()
    }

    pub(super) fn lapse(&self) -> Step {
        let already = self.member.lapsed_at.is_some();
        let lapsed = EventBody::MembershipLapsed {
            policy: self.policy.version.clone(),
            ends_at: self.policy.lapse_ends_within.map(|within| self.at + within),
        };
        let bodies = if already { vec![] } else { vec![lapsed] };
        Step::done(Outcome::MembershipLapsed { already }, bodies)
    }

    pub(super) fn resume(&self, warrant: Option<&Warrant>) -> Step {
        let lapsed = self.member.lapsed_at.is_some() && warrant.is_none();
        let already = !lapsed && self.member.revoked_at.is_none();
        let resumed = EventBody::MembershipResumed { warrant: warrant.cloned() };
        let bodies = if already { vec![] } else { vec![resumed] };
        Step::done(Outcome::MembershipResumed { already }, bodies)
    }

    pub(super) fn revoke(&self, target: &Target, warrant: &Warrant) -> Step {
        let (closed, already) = match target {
            Target::License(id) => match self.member.license(id) {
                None => return self.refuse(Code::LicenseUnknown),
                Some(license) if license.closed.is_none() || license.waits() => {
                    (vec![id.clone()], false)
                }
                Some(_) => (vec![], true),
            },
            Target::Device(id) => match self.member.devices.get(id) {
                None => return self.refuse(Code::DeviceUnknown),
                Some(device) => (self.closing(|l| l.device == *id), device.revoked),
            },
            Target::Member => (self.closing(|_| true), self.member.revoked_at.is_some()),
        };
        let (target, warrant) = (target.clone(), warrant.clone());
        let revoked = EventBody::Revoked { target, warrant };
        let bodies = if already { vec![] } else { vec![revoked] };
        Step::done(Outcome::Revoked { closed, already }, bodies)
    }

    /// Repeated for all members when a title goes; where there is nothing to close it is no event.
    pub(super) fn withdraw(&self, title: &TitleId) -> Step {
        let closed = self.closing(|license| license.title == *title);
        let past = self.member.past.values();
        let over = past.filter(|license| license.title == *title && license.closed.is_none());
        let none = closed.is_empty() && over.count() == 0;
        let withdrawn = EventBody::TitleWithdrawn { title: title.clone() };
        let bodies = if none { vec![] } else { vec![withdrawn] };
        Step::done(Outcome::TitleWithdrawn { closed }, bodies)
    }

    /// Licenses that count until they are closed now.
    pub(super) fn closing(&self, which: impl Fn(&License) -> bool) -> Vec<LicenseId> {
        let closes = |license: &License| license.closed.is_none() || license.waits();
        let licenses = self.member.licenses.iter();
        let closing = licenses.filter(|(_, license)| which(license) && closes(license));
        closing.map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn grant_exception(
        &self,
        exception: &ExceptionId,
        allowance: &Allowance,
        warrant: &Warrant,
    ) -> Step {
        if !self.policy.has_rule(&allowance.rule) {
            return self.refuse(Code::RuleUnknown);
        }
        if allowance.until <= self.at {
            return self.refuse(Code::ExceptionOver);
        }
        let granted = EventBody::ExceptionGranted {
            exception: exception.clone(),
            allowance: allowance.clone(),
            warrant: warrant.clone(),
        };
        let outcome = Outcome::ExceptionGranted { exception: exception.clone() };
        Step::done(outcome, vec![granted])
    }

    pub(super) fn end_exception(&self, exception: &ExceptionId, warrant: &Warrant) -> Step {
        let Some(known) = self.member.exceptions.get(exception) else {
            return self.refuse(Code::ExceptionUnknown);
        };
        let already = known.allowance.until <= self.at;
        let ended =
            EventBody::ExceptionEnded { exception: exception.clone(), warrant: warrant.clone() };
        let bodies = if already { vec![] } else { vec![ended] };
        let outcome = Outcome::ExceptionEnded { exception: exception.clone(), already };
        Step::done(outcome, bodies)
    }
}
