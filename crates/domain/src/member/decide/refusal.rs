//! When a refused request passes, and which refusals are worth recording.

use super::judge;
use crate::member::evolve::REFUSALS_KEPT;
use crate::member::{Command, Finding, Member, Refused, Request};
use crate::policy::Policy;
use crate::time::Timestamp;

/// How often `retry_at` is asked of a later instant before it is given up. Each round goes to the
/// instant at which everything that stood in the way has gone, so two or three are the rule.
const RETRY_ROUNDS_MAX: usize = 16;

/// The first instant at which the whole request passes, nothing else happening.
pub(super) fn retry_at(
    member: &Member,
    request: &Request,
    policy: &Policy,
    at: Timestamp,
    findings: &[Finding],
) -> Option<Timestamp> {
    let all_freed = |findings: &[Finding]| -> Option<Timestamp> {
        findings
            .iter()
            .map(|finding| finding.frees_at)
            .try_fold(Timestamp::MIN, |latest, at| Some(latest.max(at?)))
    };
    let mut candidate = all_freed(findings)?;
    for _ in 0..RETRY_ROUNDS_MAX {
        if candidate <= at {
            return None;
        }
        let judged = judge(member, request, policy, candidate);
        if judged.findings.is_empty() {
            return Some(candidate);
        }
        let next = all_freed(&judged.findings)?;
        if next <= candidate {
            return None;
        }
        candidate = next;
    }
    None
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
