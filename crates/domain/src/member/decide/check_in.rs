//! A device that is online says what it still holds, and hears what has ended.

use super::{Desk, Step};
use crate::facts::Facts;
use crate::ids::{DeviceId, LicenseId};
use crate::member::evolve::evolve;
use crate::member::{Cause, CheckInMoved, CheckedIn, Event, EventBody, Holding, License, Outcome};
use crate::policy::evaluate::{Adds, cap_findings};

impl Desk<'_> {
    pub(super) fn check_in(&self, device: &DeviceId, holdings: &[Holding]) -> Step {
        if let Err(code) = self.device(device) {
            return self.refuse(code);
        }
        let mut answer = CheckedIn::default();
        let (mut moved, mut closing) = (Vec::new(), Vec::new());
        let mut lapsed = Vec::new();
        let open = self
            .member
            .licenses
            .iter()
            .filter(|(_, license)| license.closed.is_none() && license.device == *device);
        for (id, license) in open {
            let held_by_device = holdings.iter().find(|holding| holding.license == *id);
            if held_by_device.is_some_and(|holding| !holding.started) && self.never_started(license)
            {
                closing.push(id.clone());
            } else if license.held(self.at) {
                moved.extend(self.check_in_moved(id, license));
                answer.held.push(id.clone());
            } else if self.at < license.term().end_without_check_in() {
                lapsed.push((id, license));
            }
        }
        let mut bodies: Vec<EventBody> =
            closing.iter().map(|id| EventBody::NeverStarted { license: id.clone() }).collect();
        bodies.push(EventBody::CheckedIn {
            device: device.clone(),
            moved,
            facts: self.facts.clone(),
            policy: self.policy.version.clone(),
        });
        self.revive(&lapsed, &mut bodies, &mut answer);
        answer.ended = self.ended(device, &closing, &answer, holdings);
        Step::done(Outcome::CheckedIn(answer), bodies)
    }

    fn check_in_moved(&self, id: &LicenseId, license: &License) -> Option<CheckInMoved> {
        let running = license.term();
        let within = running.term.check_in_within?;
        Some(CheckInMoved {
            license: id.clone(),
            term: running.term.number,
            check_in_by: self.at + within,
        })
    }

    /// What lapsed for want of a check-in comes back only if it fits the active caps now, each
    /// beside those revived before it.
    fn revive(
        &self,
        lapsed: &[(&LicenseId, &License)],
        bodies: &mut [EventBody],
        answer: &mut CheckedIn,
    ) {
        if lapsed.is_empty() {
            return;
        }
        let event =
            |body: &EventBody| Event { at: self.at, cause: Cause::default(), body: body.clone() };
        for (id, license) in lapsed {
            let member = bodies.iter().map(event).fold(self.member.clone(), |m, e| evolve(m, &e));
            let desk = Desk { member: &member, ..*self };
            let facts = Facts::new(self.facts, license.facts.class, &license.facts.title);
            let ask = desk.ask(&license.device, &license.title, &facts, Some(id), Adds::Revival);
            let fits = cap_findings(&ask).0.is_empty();
            if let Some(EventBody::CheckedIn { moved, .. }) = bodies.last_mut().filter(|_| fits) {
                moved.extend(self.check_in_moved(id, license));
                answer.held.push((*id).clone());
            } else {
                answer.lapsed.push((*id).clone());
            }
        }
    }

    /// What the device says it holds and should drop. Not what it may have started playing in
    /// time and not reported yet: its own lease knows better.
    pub(super) fn ended(
        &self,
        device: &DeviceId,
        closing: &[LicenseId],
        answer: &CheckedIn,
        holdings: &[Holding],
    ) -> Vec<LicenseId> {
        let may_be_playing = |id: &LicenseId| {
            let license = self.member.licenses.get(id);
            license.is_some_and(|l| l.closed.is_none() && l.device == *device && l.active(self.at))
        };
        let kept = |id: &LicenseId| {
            !closing.contains(id)
                && (answer.held.contains(id) || answer.lapsed.contains(id) || may_be_playing(id))
        };
        holdings.iter().map(|h| &h.license).filter(|id| !kept(id)).cloned().collect()
    }

    /// The device says that the current term was never started, and it can no longer be: nor can
    /// anything be playing under an earlier lease.
    fn never_started(&self, license: &License) -> bool {
        let Some((current, earlier)) = license.terms.split_last() else {
            return false;
        };
        current.first_play.is_none()
            && current.term.start_by.is_some_and(|start_by| self.at >= start_by)
            && earlier.iter().all(|term| self.at >= term.may_play_until())
    }
}
