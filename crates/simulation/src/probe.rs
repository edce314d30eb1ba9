//! Whether a refusal tells the truth about when it would not be one: a copy of the member is
//! asked the same at that time, a millisecond earlier, and in between.

use domain::member::{Answer, Command, Finding, Refused};
use domain::{Duration, Event, Member, Policy, Request, Timestamp, decide, evolve};

use crate::random::Random;

/// `events` end with the refusal.
pub(crate) fn probe(
    events: &[Event],
    refused: &Refused,
    policy: &Policy,
    random: &mut Random,
) -> Result<(), String> {
    let Some(at) = events.last().map(|event| event.at) else { return Ok(()) };
    let member = events.iter().fold(Member::default(), evolve);
    let ask = |at: Timestamp| -> Vec<Finding> {
        let (facts, commands) = (refused.facts.clone(), refused.commands.clone());
        let request = Request { at, idempotency: None, facts, commands };
        match decide(&member, &request, policy).answer {
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
    // A check-in in a list moves clocks each time it is asked, so that earlier and later may both
    // be better than in between: there the first instant is not looked for.
    if refused.commands.len() > 1
        && refused.commands.iter().any(|command| matches!(command, Command::CheckIn { .. }))
    {
        return Ok(());
    }
    if let Some(before) = refused.retry_at.map(Timestamp::just_before)
        && ask(before).is_empty()
    {
        return tell("`retry_at` is too late, accepted", before);
    }
    // Nothing passes before, and without a `retry_at` nothing ever does.
    let horizon = refused.retry_at.unwrap_or(at + Duration::days(500));
    for _ in 0..4 {
        let span = horizon.since(at).as_millis();
        let between = at + Duration::from_millis(random.within(0, span - 1));
        if ask(between).is_empty() {
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
            if !stands(frees_at.just_before()) {
                return tell("`frees_at` is too late, gone", frees_at.just_before());
            }
        }
    }
    Ok(())
}
