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

/// How many instants at which licenses lapse are looked at for a list with a check-in.
const LAPSES_MAX: usize = 64;

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
    // A check-in moves the clocks that the commands behind it wait for, but only of what has not
    // lapsed by then: so a lapse may let the list pass before anything that was found frees.
    let checks_in = |command: &Command| matches!(command, Command::CheckIn { .. });
    if request.commands.len() < 2 || !request.commands.iter().any(checks_in) {
        return waited;
    }
    let ends = |license: &License| {
        // From when on no check-in revives it, and until when each of its leases may be played.
        let ends = [license.ends_at(), license.term().end_without_check_in()];
        license.terms.iter().map(RunningTerm::may_play_until).chain(ends).collect::<Vec<_>>()
    };
    let lapses: BTreeSet<Timestamp> = member.licenses.values().flat_map(ends).collect();
    let lapses = lapses.into_iter().filter(|lapse| *lapse > at && *lapse < Timestamp::MAX);
    let lapses = lapses.take(LAPSES_MAX);
    lapses.filter_map(|lapse| first_passing(lapse, &findings_at)).chain(waited).min()
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
