//! What a download button shows.

use super::{Desk, decide};
use crate::facts::{Facts, MemberFacts};
use crate::ids::{DeviceId, LicenseId};
use crate::member::{Answer, CapState, Command, Held, Member, Outcome, Refused, Request, Term};
use crate::policy::Policy;
use crate::policy::evaluate::{Adds, Ask, InList, cap_states};
use crate::time::Timestamp;

/// Whether a download would be allowed now, and what is left of each cap. Records nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eligibility {
    pub at: Timestamp,
    /// The device holds the title already.
    pub holding: Option<LicenseId>,
    pub refused: Option<Refused>,
    pub caps: Vec<CapState>,
    /// The term that acquiring now would promise.
    pub term: Option<Term>,
}

/// `request` has one command, an [`Command::Acquire`]; of others only the refusal is told.
pub fn eligibility(member: &Member, request: &Request, policy: &Policy) -> Eligibility {
    let at = request.at.max(member.last_at);
    let asked = Request { idempotency: None, ..request.clone() };
    let refused = match decide(member, &asked, policy).answer {
        Answer::Refused(refused) => Some(*refused),
        _ => None,
    };
    let none = Eligibility { at, holding: None, refused, caps: vec![], term: None };
    let Some(Command::Acquire { device, title, title_facts: Some(title_facts), .. }) =
        request.commands.first()
    else {
        return none;
    };
    let Some(known) = member.devices.get(device) else {
        return none;
    };
    let existing = member.license_on(device, title);
    let facts = Facts::new(&request.facts, known.class, title_facts);
    let in_list = InList::default();
    let desk = Desk { member, facts: &request.facts, policy, at, command: 0, in_list: &in_list };
    let holding = existing.filter(|(_, license)| license.held(at)).map(|(id, _)| id);
    // What the device holds it is issued again: that takes the place of nothing, and is counted.
    let replaces = existing.map(|(id, _)| id).filter(|_| holding.is_none());
    let ask = desk.ask(device, title, &facts, replaces, Adds::Acquisition);
    let terms = ask.rules.terms(&facts);
    Eligibility {
        holding: holding.cloned(),
        caps: cap_states(&ask),
        term: Some(terms.promise(desk.first_term(title, &terms), &facts)),
        ..none
    }
}

/// What is left of each cap after a command had this outcome, in a request with these facts:
/// `member` is the one after the decision. For what a member should hear along with a yes.
pub fn standing(
    member: &Member,
    facts: &MemberFacts,
    outcome: &Outcome,
    policy: &Policy,
    at: Timestamp,
) -> Vec<CapState> {
    let in_list = InList::default();
    let desk = Desk { member, facts, policy, at, command: 0, in_list: &in_list };
    match outcome {
        Outcome::Held { license, how, .. } => desk.standing_of(license, *how),
        Outcome::DeviceRegistered { device, .. } => {
            desk.standing_of_device(device, Adds::Registration)
        }
        Outcome::DeviceRemoved { device, .. } => desk.standing_of_device(device, Adds::Removal),
        _ => Vec::new(),
    }
}

impl Desk<'_> {
    fn standing_of(&self, id: &LicenseId, how: Held) -> Vec<CapState> {
        let Some(license) = self.member.license(id) else { return Vec::new() };
        let facts = Facts::new(self.facts, license.facts.class, &license.facts.title);
        let adds = if how == Held::Renewed { Adds::Renewal } else { Adds::Acquisition };
        let acquired_at = Some(license.acquired_at);
        let ask = self.ask(&license.device, &license.title, &facts, None, adds);
        cap_states(&Ask { acquired_at, ..ask })
    }

    fn standing_of_device(&self, id: &DeviceId, adds: Adds) -> Vec<CapState> {
        let Some(device) = self.member.devices.get(id) else { return Vec::new() };
        cap_states(&self.ask_about_device(id, device.class, adds))
    }
}
