//! Whether a refusal tells the truth about when it would not be one: a copy of the member is
//! asked the same at that time, a millisecond earlier, and in between.

use domain::member::{Answer, Code, Finding, Refused};
use domain::{Duration, Member, Policy, Request, Timestamp, decide};

use crate::random::Random;

/// The member's last event is the refusal; `instants` are some at which a license ends, in whatever way.
pub(crate) fn probe(
    member: &Member,
    instants: &[i64],
    refused: &Refused,
    policy: &Policy,
    random: &mut Random,
) -> Result<(), String> {
    let at = member.last_at;
    let ask = |at: Timestamp| -> Vec<Finding> {
        let (facts, commands) = (refused.facts.clone(), refused.commands.clone());
        let request = Request { at, idempotency: None, facts, commands };
        match decide(member, &request, policy).answer {
            Answer::Refused(refused) => refused.findings,
            _ => Vec::new(),
        }
    };
    let tell = |what: &str, when: Timestamp| Err(format!("{what} at {when}: {refused:?}"));
    if let Some(retry_at) = refused.retry_at
        && !ask(retry_at).is_empty()
    {
        return tell("`retry_at` is too early, refused", retry_at);
    }
    if let Some(before) = refused.retry_at.map(Timestamp::just_before)
        && ask(before).is_empty()
    {
        return tell("`retry_at` is too late, accepted", before);
    }
    // Nothing passes before, and without a `retry_at` nothing ever does.
    let horizon = refused.retry_at.unwrap_or(at + Duration::days(500));
    let turns: Vec<Timestamp> = instants
        .iter()
        .map(|turn| Timestamp::from_millis(*turn))
        .filter(|turn| (at..horizon).contains(turn))
        .collect();
    for _ in 0..4 {
        let later = random.within(0, horizon.since(at).as_millis() - 1);
        let some_time = at + Duration::from_millis(later);
        let turn = random.pick(&turns).copied();
        let tried = [Some(some_time), turn].into_iter().flatten();
        if let Some(between) = tried.into_iter().find(|tried| ask(*tried).is_empty()) {
            return tell("`retry_at` does not know of, accepted", between);
        }
    }
    // In a list the commands before move what is counted, each time it is asked.
    let alone = refused.commands.len() == 1;
    for finding in refused.findings.iter().filter(|_| alone) {
        let stands = |at: Timestamp| {
            let same = |f: &Finding| {
                (f.command, f.code, &f.rule) == (finding.command, finding.code, &finding.rule)
            };
            ask(at).iter().any(same)
        };
        if let Some(frees_at) = finding.frees_at {
            if stands(frees_at) {
                return tell("`frees_at` is too early, still in the way", frees_at);
            }
            // Once its device has left, no rule is asked about it.
            let before = ask(frees_at.just_before());
            let asked = before.iter().all(|found| found.code != Code::DeviceRemoved);
            if asked && !stands(frees_at.just_before()) {
                return tell("`frees_at` is too late, gone", frees_at.just_before());
            }
        }
    }
    Ok(())
}
