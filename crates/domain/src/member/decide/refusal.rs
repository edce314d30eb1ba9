//! When a refused request passes, and which refusals are worth recording.

use std::collections::BTreeSet;

use super::judge;
use crate::member::evolve::REFUSALS_KEPT;
use crate::member::term::RunningTerm;
use crate::member::{Command, Finding, License, Member, Refused, Request};
use crate::policy::Policy;
use crate::time::Timestamp;

/// How often a later instant is tried before it is given up; two or three are the rule.
const RETRY_ROUNDS_MAX: usize = 16;

/// How many instants are looked at from which on a list does something else.
const TURNS_MAX: usize = 64;

/// The first instant at which the whole request passes, nothing else happening.
pub(super) fn retry_at(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    findings: &[Finding],
) -> Option<Timestamp> {
    let findings_at = |at: Timestamp| judge(member, request, policy, at).findings;
    let waited = all_freed(findings).and_then(|freed| first_passing(freed, &findings_at));
    let turns = turns(member, request).into_iter().filter(|turn| *turn > at).take(TURNS_MAX);
    turns.filter_map(|turn| first_passing(turn, &findings_at)).chain(waited).min()
}

/// From when on a list does something else, before anything that was found frees.
fn turns(member: &Member, request: &Request) -> BTreeSet<Timestamp> {
    let mut turns = BTreeSet::new();
    if request.commands.len() < 2 {
        return turns;
    }
    // From when on no check-in revives it, and until when each of its leases may be played.
    let lapses = |license: &License| {
        let ends = [license.ends_at(), license.term().end_without_check_in()];
        license.terms.iter().map(RunningTerm::may_play_until).chain(ends).collect::<Vec<_>>()
    };
    // A check-in moves the clocks that the commands behind it wait for, but only of what has not
    // lapsed by then.
    if request.commands.iter().any(|command| matches!(command, Command::CheckIn { .. })) {
        turns.extend(member.licenses.values().flat_map(lapses));
    }
    // A device that leaves is registered until then, and comes back after it.
    for command in &request.commands {
        if let Command::RegisterDevice { device, .. } = command {
            turns.extend(
                member.devices.get(device).and_then(|device| device.notice).map(|n| n.ends_at),
            );
        }
    }
    turns.remove(&Timestamp::MAX);
    turns
}

/// From an instant on: each round goes to where everything that stood in the way has gone.
fn first_passing(
    from: Timestamp,
    findings_at: &impl Fn(Timestamp) -> Vec<Finding>,
) -> Option<Timestamp> {
    let mut candidate = from;
    for _ in 0..RETRY_ROUNDS_MAX {
        let findings = findings_at(candidate);
        if findings.is_empty() {
            return Some(candidate);
        }
        candidate = all_freed(&findings).filter(|freed| *freed > candidate)?;
    }
    None
}

/// When nothing of this stands in the way any more, if ever.
fn all_freed(findings: &[Finding]) -> Option<Timestamp> {
    let mut frees_at = findings.iter().map(|finding| finding.frees_at);
    frees_at.try_fold(Timestamp::MIN, |latest, at| Some(latest.max(at?)))
}

/// One identical refusal of the last ten minutes is enough of a record.
pub(super) fn recorded_before(member: &Member, refused: &Refused, at: Timestamp) -> bool {
    let recent = member.refusals.iter().filter(|(then, _)| at < *then + REFUSALS_KEPT);
    recent.map(|(_, before)| before).any(|before| {
        before.facts == refused.facts
            && before.policy == refused.policy
            && before.findings.len() == refused.findings.len()
            && before.findings.iter().zip(&refused.findings).all(|(a, b)| same_finding(a, b))
            && before.commands.len() == refused.commands.len()
            && before.commands.iter().zip(&refused.commands).all(|(a, b)| same_ask(a, b))
    })
}

/// Equal but for the window's bounds, which move with the clock.
fn same_finding(a: &Finding, b: &Finding) -> bool {
    let cap = |finding: &Finding| finding.cap.as_ref().map(|cap| (cap.limit, cap.used));
    (a.command, a.code, &a.rule, a.frees_at) == (b.command, b.code, &b.rule, b.frees_at)
        && cap(a) == cap(b)
}

/// Equal but for the license id, which is generated anew each time.
fn same_ask(a: &Command, b: &Command) -> bool {
    match (a, b) {
        (
            Command::Acquire { device, title, title_facts, .. },
            Command::Acquire {
                device: other, title: other_title, title_facts: other_facts, ..
            },
        ) => (device, title, title_facts) == (other, other_title, other_facts),
        _ => a == b,
    }
}
