//! A refusal names everything that stands in the way, and nothing else.

use std::collections::BTreeSet;

use domain::member::{Code, Command, Finding, Refused, Target};
use domain::{DeviceClass, Facts, TitleFacts};

use super::copies::Copy;
use super::count::{Adds, Ask, Full, Thing};
use super::{Ledger, NEVER, Verdict, ensure, ms};
use crate::rules::Rules;

/// Of a license that would be given, in part or once more.
const GATES: [Code; 6] = [
    Code::TitleNotOffered,
    Code::TitleNotYetAvailable,
    Code::TitleNoLongerAvailable,
    Code::TitleNotDownloadable,
    Code::PlanNotAllowed,
    Code::TooManyStreams,
];
/// Of one that would be new.
const TERMS: [Code; 5] = [
    Code::DeviceLeaving,
    Code::RenewalTooEarly,
    Code::RenewalsExhausted,
    Code::AutoRenewalTooSoon,
    Code::TermOverAtBirth,
];

/// A refused command.
#[derive(Clone, Copy)]
struct Refusal<'a> {
    at: i64,
    rules: &'a Rules,
    refused: &'a Refused,
    command: &'a Command,
}

impl Ledger {
    /// Of a list, what stands in the way of its first command: the others would come after it.
    pub(super) fn refused(&self, at: i64, rules: &Rules, refused: &Refused) -> Verdict {
        let Some(command) = refused.commands.first() else { return Ok(()) };
        let refusal = Refusal { at, rules, refused, command };
        let findings: Vec<&Finding> =
            refused.findings.iter().filter(|finding| finding.command == 0).collect();
        for finding in &findings {
            ensure(self.stands(&refusal, finding.code), || {
                format!("{:?} does not stand in the way", finding.code)
            })?;
        }
        // The command means nothing here: no rule was asked.
        let by_the_ledger = |code: Code| code <= Code::TitleUnknown && code != Code::DeviceLeaving;
        if findings.iter().any(|finding| by_the_ledger(finding.code)) {
            return Ok(());
        }
        let given = matches!(command, Command::Acquire { .. } | Command::Renew { .. });
        let given_again = self.gives_again(&refusal);
        let terms = TERMS.iter().filter(|_| given && !given_again);
        for code in GATES.iter().filter(|_| given).chain(terms) {
            let named = findings.iter().any(|finding| finding.code == *code);
            ensure(named || !self.stands(&refusal, *code), || {
                format!("{code:?} stands in the way, and is not named")
            })?;
        }
        if given_again {
            return Ok(()); // gates, and no caps
        }
        self.caps_are_named(&refusal, &findings)
    }

    /// What the device holds, or a newer term than it knows of.
    fn gives_again(&self, refusal: &Refusal<'_>) -> bool {
        match refusal.command {
            Command::Acquire { device, title, .. } => self.copies.values().any(|copy| {
                copy.device == device.as_str()
                    && copy.title == title.as_str()
                    && copy.held(refusal.at)
            }),
            Command::Renew { license, term, .. } => {
                let copy = self.copies.get(license.as_str());
                copy.is_some_and(|copy| copy.has_newer_than(*term))
            }
            _ => false,
        }
    }

    fn caps_are_named(&self, refusal: &Refusal<'_>, findings: &[&Finding]) -> Verdict {
        let Refusal { at, rules, refused, command } = *refusal;
        let there = device_of(command).and_then(|device| self.devices.get(device));
        let there = there.is_some_and(|device| device.there(at));
        let (title, adds) = match command {
            // What is so already asks no rule.
            Command::RegisterDevice { .. } if there => return Ok(()),
            Command::RemoveDevice { .. } if !there => return Ok(()),
            Command::Acquire { title, .. } => (Some(title.as_str()), Adds::Acquisition),
            Command::Renew { license, .. } => {
                (self.copy_of(command).map(|copy| &*copy.title), Adds::Renewal(license.as_str()))
            }
            Command::RegisterDevice { .. } => (None, Adds::Registration),
            Command::RemoveDevice { .. } => (None, Adds::Removal),
            _ => return Ok(()),
        };
        let Some((device, class)) = device_of(command).zip(self.class_of(command)) else {
            return Ok(());
        };
        let title = title.zip(title_facts_of(command));
        let thing = Thing::known(device, class, &refused.facts, title);
        let expected = self.full(&Ask { rules, at, facts: &refused.facts, thing, adds });
        let named = |finding: &&Finding| {
            let cap = finding.cap.as_ref()?;
            Some(Full {
                id: finding.rule.as_ref()?.to_string(),
                tag: cap.tag.as_ref().map(ToString::to_string),
                used: cap.used,
                limit: cap.limit,
            })
        };
        let named: Vec<Full> = findings.iter().filter_map(named).collect();
        let ids = |full: &[Full]| full.iter().map(|one| one.id.clone()).collect::<BTreeSet<_>>();
        // Of a cap per tag one tag is named.
        let told = ids(&expected) == ids(&named) && named.iter().all(|one| expected.contains(one));
        ensure(told, || format!("in the way stand {expected:?}, named are {named:?}"))
    }

    /// Whether it is as a finding says; caps are looked at together.
    fn stands(&self, refusal: &Refusal<'_>, code: Code) -> bool {
        let Refusal { at, rules, command, .. } = *refusal;
        let device = device_of(command).and_then(|device| self.devices.get(device));
        let copy = self.copy_of(command);
        let facts = || self.facts_of(refusal);
        match (code, command) {
            (Code::MemberRevoked, _) => self.revoked,
            (Code::MembershipLapsed, _) => self.lapsed,
            (Code::DeviceUnknown, _) => device.is_none(),
            (Code::DeviceRemoved, _) => device.is_some_and(|device| !device.there(at)),
            (Code::DeviceRevoked, _) => device.is_some_and(|device| device.revoked),
            (Code::DeviceLeaving, _) => {
                let notice = device.and_then(|device| device.notice);
                notice.is_some_and(|(ends_at, _)| at < ends_at)
            }
            (Code::DeviceKeyMismatch, Command::RegisterDevice { key, .. }) => {
                device.is_some_and(|device| device.key != key.as_str())
            }
            (Code::LicenseUnknown, _) => {
                copy.is_none_or(|copy| !copy.open || copy.is_forgotten(at))
            }
            (Code::LicenseClosed, _) => copy.is_some_and(|copy| !copy.open),
            (Code::LicenseOfOtherDevice, _) => {
                copy.is_some_and(|copy| Some(copy.device.as_str()) != device_of(command))
            }
            (Code::TermUnknown, Command::Renew { term, .. }) => {
                copy.is_some_and(|copy| copy.term(*term).is_err())
            }
            (Code::TermUnknown, Command::DrmFailed { term, .. }) => {
                copy.is_some_and(|copy| copy.has_newer_than(*term) || copy.term(*term).is_err())
            }
            (Code::TitleUnknown, _) => title_facts_of(command).is_none(),
            (Code::RenewalTooEarly, Command::Renew { .. }) => {
                copy.is_some_and(|copy| at < copy.renews_from(rules))
            }
            (Code::RenewalsExhausted, Command::Renew { .. }) => {
                copy.is_some_and(|copy| copy.renewals() >= rules.renewals_max)
            }
            (Code::AutoRenewalTooSoon, Command::Renew { automatic, .. }) => {
                *automatic && copy.is_some_and(|copy| at < copy.renews_itself_from(rules))
            }
            (Code::TermOverAtBirth, Command::Acquire { title, .. }) => {
                facts().is_some_and(|facts| {
                    self.first_term(at, rules, title.as_str(), &facts).ends_unless_lapsed() <= at
                })
            }
            (Code::TermOverAtBirth, Command::Renew { .. }) => {
                copy.zip(facts()).is_some_and(|(copy, facts)| {
                    self.next_term(at, rules, copy, &facts).ends_unless_lapsed() <= at
                })
            }
            (Code::CapReached, _) => true,
            (Code::ExceptionOver, Command::GrantException { allowance, .. }) => {
                ms(allowance.until) <= at
            }
            (Code::ExceptionUnknown, Command::EndException { exception, .. }) => {
                let live = self.exceptions.get(exception.as_str());
                live.map_or(NEVER, |live| at - ms(live.until)) >= 0
            }
            (gate, _) => facts().is_some_and(|facts| self.closed_gates(at, &facts).contains(&gate)),
        }
    }

    fn copy_of(&self, command: &Command) -> Option<&Copy> {
        let license = match command {
            Command::Renew { license, .. }
            | Command::Release { license, .. }
            | Command::DrmFailed { license, .. }
            | Command::Revoke { target: Target::License(license), .. } => license,
            _ => return None,
        };
        self.copies.get(license.as_str())
    }

    fn class_of(&self, command: &Command) -> Option<DeviceClass> {
        match command {
            Command::RegisterDevice { class, .. } => Some(*class),
            _ => DeviceClass::named(self.devices.get(device_of(command)?)?.class),
        }
    }

    fn facts_of(&self, refusal: &Refusal<'_>) -> Option<Facts> {
        let (class, title) = (self.class_of(refusal.command)?, title_facts_of(refusal.command)?);
        Some(Facts { member: refusal.refused.facts.clone(), class, title: title.clone() })
    }
}

fn device_of(command: &Command) -> Option<&str> {
    match command {
        Command::RegisterDevice { device, .. }
        | Command::RemoveDevice { device }
        | Command::Acquire { device, .. }
        | Command::Renew { device, .. }
        | Command::CheckIn { device, .. }
        | Command::RecordPlays { device, .. }
        | Command::Release { by: Some(device), .. }
        | Command::Revoke { target: Target::Device(device), .. } => Some(device.as_str()),
        _ => None,
    }
}

fn title_facts_of(command: &Command) -> Option<&TitleFacts> {
    match command {
        Command::Acquire { title_facts, .. } | Command::Renew { title_facts, .. } => {
            title_facts.as_ref()
        }
        _ => None,
    }
}
