//! What a member can do so that a refused request passes: sets of licenses to release, each
//! tried out before it is offered.

use std::collections::BTreeSet;

use crate::ids::LicenseId;
use crate::member::decide::judge;
use crate::member::evolve::evolve;
use crate::member::{
    Cause, Contributor, Event, EventBody, Finding, Member, Remedy, RemedyAction, Request,
};
use crate::policy::{Counts, Policy};
use crate::time::Timestamp;

/// How many ways out are offered.
const REMEDIES_MAX: usize = 8;
/// How many licenses one way out may name.
const ACTIONS_MAX: usize = 64;

pub(crate) fn remedies(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    findings: &[Finding],
) -> Vec<Remedy> {
    if findings.is_empty() || !findings.iter().all(releasing_helps) {
        return Vec::new();
    }
    let mut found: BTreeSet<BTreeSet<LicenseId>> = BTreeSet::new();
    for first in findings.iter().flat_map(units).take(REMEDIES_MAX) {
        found.extend(complete(member, request, policy, at, first));
    }
    let mut remedies: Vec<Remedy> =
        found.iter().map(|licenses| Remedy { actions: actions(member, licenses) }).collect();
    remedies.sort_by_key(|remedy| remedy.actions.len());
    remedies
}

/// Releasing frees what is active, and never what was counted in a window.
fn releasing_helps(finding: &Finding) -> bool {
    finding
        .cap
        .as_ref()
        .is_some_and(|cap| matches!(cap.counts, Counts::ActiveLicenses | Counts::DevicesHolding))
}

/// What frees one unit of the cap each: a license, or all counted licenses of a device.
fn units(finding: &Finding) -> Vec<BTreeSet<LicenseId>> {
    let Some(cap) = &finding.cap else {
        return Vec::new();
    };
    let recorded = cap.contributors.iter().filter(|contributor| contributor.in_list.is_none());
    let mut units: Vec<(&Contributor, BTreeSet<LicenseId>)> = Vec::new();
    for contributor in recorded {
        let same_device = units.iter_mut().find(|(first, _)| first.device == contributor.device);
        match (cap.counts, same_device) {
            (Counts::DevicesHolding, Some((_, licenses))) => {
                licenses.insert(contributor.license.clone());
            }
            _ => units.push((contributor, BTreeSet::from([contributor.license.clone()]))),
        }
    }
    units.into_iter().map(|(_, licenses)| licenses).collect()
}

/// Adds the oldest units until the request passes.
fn complete(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    first: BTreeSet<LicenseId>,
) -> Option<BTreeSet<LicenseId>> {
    let mut released = first;
    while released.len() <= ACTIONS_MAX {
        let after = released.iter().fold(member.clone(), |member, license| {
            let body = EventBody::Released { license: license.clone(), by: None, returned: false };
            evolve(member, &Event { at, cause: Cause::default(), body })
        });
        let left = judge(&after, request, policy, at).findings;
        match left.first() {
            None => return Some(released),
            Some(finding) if releasing_helps(finding) => {
                released.extend(units(finding).into_iter().next()?);
            }
            Some(_) => return None,
        }
    }
    None
}

fn actions(member: &Member, licenses: &BTreeSet<LicenseId>) -> Vec<RemedyAction> {
    let action = |id: &LicenseId| {
        let license = member.licenses.get(id)?;
        let (device, title) = (license.device.clone(), license.title.clone());
        Some(RemedyAction::Release { license: id.clone(), device, title })
    };
    licenses.iter().filter_map(action).collect()
}
