//! What a member can do so that a refused request passes: sets of licenses to release and devices
//! to remove, each tried out before it is offered.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DeviceId, LicenseId};
use crate::member::decide::judge;
use crate::member::evolve::evolve;
use crate::member::{Command, Contributor, Finding, Member, Remedy, RemedyAction, Request};
use crate::policy::{Counts, Policy};
use crate::time::Timestamp;

/// How many ways out are offered.
const REMEDIES_MAX: usize = 8;
/// How many actions one way out may have.
const ACTIONS_MAX: usize = 64;

/// Something that frees what is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Release(LicenseId),
    Remove(DeviceId),
}

pub(crate) fn remedies(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    findings: &[Finding],
) -> Vec<Remedy> {
    if findings.is_empty() || !findings.iter().all(giving_up_helps) {
        return Vec::new();
    }
    let mut found: BTreeSet<BTreeSet<Deed>> = BTreeSet::new();
    for first in findings.iter().flat_map(|finding| units(member, finding)).take(REMEDIES_MAX) {
        found.extend(complete(member, request, policy, at, first));
    }
    let mut remedies: Vec<Remedy> =
        found.iter().map(|deeds| Remedy { actions: actions(member, deeds) }).collect();
    remedies.sort_by_key(|remedy| remedy.actions.len());
    remedies
}

/// Giving up frees what is counted now, and never what was counted in a window.
fn giving_up_helps(finding: &Finding) -> bool {
    finding.cap.as_ref().is_some_and(|cap| match cap.counts {
        Counts::ActiveLicenses | Counts::DevicesHolding | Counts::DevicesRegistered => true,
        Counts::DistinctTitles => cap.window.is_none(),
        Counts::Events(_) => false,
    })
}

/// What frees one unit of the cap each: a license, all counted licenses of a device or title, or
/// a device. Of devices that which was not seen for longest comes first.
fn units(member: &Member, finding: &Finding) -> Vec<BTreeSet<Deed>> {
    let Some(cap) = &finding.cap else {
        return Vec::new();
    };
    let mut recorded: Vec<&Contributor> =
        cap.contributors.iter().filter(|contributor| contributor.in_list.is_none()).collect();
    if cap.counts == Counts::DevicesRegistered {
        let seen = |id: &DeviceId| member.devices.get(id).map(|device| device.last_seen_at);
        recorded.sort_by_key(|contributor| seen(&contributor.device));
    }
    let mut positions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut units: Vec<BTreeSet<Deed>> = Vec::new();
    for contributor in recorded {
        let Contributor { license, title, device, .. } = contributor;
        let deed = match license {
            Some(license) => Deed::Release(license.clone()),
            None => Deed::Remove(device.clone()),
        };
        let unit = match (cap.counts, title, license) {
            (Counts::DevicesHolding, _, _) => device.as_str(),
            (Counts::DistinctTitles, Some(title), _) => title.as_str(),
            (_, _, Some(license)) => license.as_str(),
            (_, _, None) => device.as_str(),
        };
        let position = *positions.entry(unit).or_insert(units.len());
        match units.get_mut(position) {
            Some(deeds) => {
                deeds.insert(deed);
            }
            None => units.push(BTreeSet::from([deed])),
        }
    }
    units
}

/// Adds the oldest units until the request passes.
fn complete(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    first: BTreeSet<Deed>,
) -> Option<BTreeSet<Deed>> {
    let mut deeds = first;
    while deeds.len() <= ACTIONS_MAX {
        let after = done(member, request, policy, at, &deeds)?;
        let left = judge(&after, request, policy, at).findings;
        match left.first() {
            None => return Some(deeds),
            Some(finding) if giving_up_helps(finding) => {
                let more = units(&after, finding).into_iter().next()?;
                let before = deeds.len();
                deeds.extend(more);
                // What was given up and is still counted is not freed by giving it up again.
                if deeds.len() == before {
                    return None;
                }
            }
            Some(_) => return None,
        }
    }
    None
}

/// The member after these deeds, if they are allowed: removing a device may meet a cap itself.
fn done(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    deeds: &BTreeSet<Deed>,
) -> Option<Member> {
    let commands = deeds.iter().map(|deed| command(member, deed));
    let asked = Request {
        at,
        idempotency: None,
        facts: request.facts.clone(),
        commands: commands.collect(),
    };
    let judged = judge(member, &asked, policy, at);
    judged.findings.is_empty().then(|| judged.events.iter().fold(member.clone(), evolve))
}

/// A license is released by the device that holds it, for only then it is free for certain.
fn command(member: &Member, deed: &Deed) -> Command {
    match deed {
        Deed::Release(license) => Command::Release {
            by: member.license(license).map(|license| license.device.clone()),
            license: license.clone(),
        },
        Deed::Remove(device) => Command::RemoveDevice { device: device.clone() },
    }
}

fn actions(member: &Member, deeds: &BTreeSet<Deed>) -> Vec<RemedyAction> {
    let action = |deed: &Deed| match deed {
        Deed::Release(id) => {
            let license = member.licenses.get(id)?;
            let (device, title) = (license.device.clone(), license.title.clone());
            Some(RemedyAction::Release { license: id.clone(), device, title })
        }
        Deed::Remove(device) => Some(RemedyAction::RemoveDevice { device: device.clone() }),
    };
    deeds.iter().filter_map(action).collect()
}
