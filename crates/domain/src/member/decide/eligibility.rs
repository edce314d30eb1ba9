//! What a download button shows.

use std::collections::BTreeMap;

use super::{Desk, decide};
use crate::facts::Facts;
use crate::ids::LicenseId;
use crate::member::{Answer, CapState, Command, Member, Refused, Request, Term};
use crate::policy::Policy;
use crate::policy::evaluate::{Adds, cap_states};
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
    let in_list = BTreeMap::new();
    let desk = Desk { member, facts: &request.facts, policy, at, command: 0, in_list: &in_list };
    let ask = desk.ask(device, title, &facts, existing.map(|(id, _)| id), Adds::Acquisition);
    Eligibility {
        holding: existing.filter(|(_, l)| l.held(at)).map(|(id, _)| id.clone()),
        caps: cap_states(&ask),
        term: Some(ask.rules.terms().promise(1, at, &facts)),
        ..none
    }
}
