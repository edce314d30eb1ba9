//! Puts what was expected beside what was answered.

use domain::member::{
    Answer, CapState, Command, Decision, Finding, Held, License, Outcome, Refused as Refusal,
    standing,
};
use domain::{LicenseId, Request, RuleId, Timestamp, TitleId};

use super::World;
use crate::policy::places::levels;
use crate::policy::scenario::{Accepted, Expected, Moment, Refused, Row, Then};

/// Where there is nothing to compare with.
const NOTHING: &str = "-";
const NO_RULE: &str = "no rule of this policy";

impl World<'_> {
    pub(super) fn compare(&self, request: &Request, decision: &Decision) -> Vec<Row> {
        match (&self.scenario.then, &decision.answer) {
            (Then::Accepted(expected), Answer::Accepted { outcomes, .. }) => {
                let mut rows = vec![row("answer", "accepted", "accepted")];
                rows.extend(self.license_rows(expected, request, outcomes));
                rows.extend(self.cap_rows(expected, request, decision.at, outcomes));
                rows.extend(self.title_rows(expected, outcomes));
                rows
            }
            (Then::Refused(expected), Answer::Refused(refusal)) => {
                let mut rows = vec![row("answer", "refused", "refused")];
                rows.extend(self.refusal_rows(expected, refusal));
                rows
            }
            (then, answer) => {
                let found = match answer {
                    Answer::Accepted { .. } => "accepted".to_owned(),
                    Answer::KeyReused => "key reused".to_owned(),
                    Answer::Refused(refusal) => {
                        let told = refusal.findings.iter().map(|one| self.finding(one));
                        format!("refused by {}", told.collect::<Vec<_>>().join(" and "))
                    }
                };
                let expected = match then {
                    Then::Accepted(_) => "accepted".to_owned(),
                    Then::Refused(Refused { findings: None, .. }) => "refused".to_owned(),
                    Then::Refused(Refused { findings: Some(findings), .. }) => {
                        let told = findings.iter().map(|one| self.expected(one));
                        format!("refused by {}", told.collect::<Vec<_>>().join(" and "))
                    }
                };
                vec![row("answer", expected, found)]
            }
        }
    }

    /// About the license that the request is about; of several, the last.
    fn license_rows(
        &self,
        expected: &Accepted,
        request: &Request,
        outcomes: &[Outcome],
    ) -> Vec<Row> {
        let license = asked_about(request, outcomes).and_then(|id| self.member.license(&id));
        let end = license.map(|license| license.term().end());
        let until = license.map(License::may_play_until);
        let until = until.map(|until| (until < Timestamp::MAX).then_some(until));
        let how = outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Held { how, .. } => Some(*how),
            _ => None,
        });
        let time = |what, expected: Option<Option<Moment>>, found: Option<Option<Timestamp>>| {
            let expected = expected?.map(|moment| moment.on(self.start));
            let found = found.map_or_else(|| NOTHING.to_owned(), |found| self.time(found));
            Some(row(what, self.time(expected), found))
        };
        let clock = end.flatten().map_or(NOTHING, |(_, clock)| clock.name());
        let rows = [
            expected.how.map(|it| row("how", held_name(it), how.map_or(NOTHING, held_name))),
            time("ends_at", expected.ends_at, end.map(|end| end.map(|(at, _)| at))),
            expected.clock.map(|expected| row("clock", expected.name(), clock)),
            time("may_play_until", expected.may_play_until, until),
        ];
        rows.into_iter().flatten().collect()
    }

    fn cap_rows(
        &self,
        expected: &Accepted,
        request: &Request,
        at: Timestamp,
        outcomes: &[Outcome],
    ) -> Vec<Row> {
        let standing = |outcome| standing(&self.member, &request.facts, outcome, self.policy, at);
        let states: Vec<CapState> = outcomes.iter().flat_map(standing).collect();
        let mut rows = Vec::new();
        for (rule, left) in &expected.left {
            let of_rule = states.iter().filter(|state| state.rule == *rule);
            let found = of_rule.map(CapState::left).min();
            let none = || if self.knows(rule) { "not asked" } else { NO_RULE }.to_owned();
            let found = found.map_or_else(none, |left| left.to_string());
            rows.push(row(format!("left of `{rule}`"), left.to_string(), found));
        }
        if let Some(warns) = &expected.warns {
            let found = states.iter().filter(|state| state.warns);
            let found: Vec<_> = found.map(|CapState { rule, .. }| rule.as_str()).collect();
            let warns: Vec<_> = warns.iter().map(|rule| rule.as_str()).collect();
            rows.push(row("warns", list(&warns), list(&found)));
        }
        rows
    }

    fn title_rows(&self, expected: &Accepted, outcomes: &[Outcome]) -> Vec<Row> {
        let Told { held, ended, lapsed, closed, leaving } = Told::of(outcomes);
        let devices = expected.leaving.as_ref().map(|devices| {
            let devices: Vec<_> = devices.iter().map(|id| id.as_str()).collect();
            row("leaving", list(&devices), list(&leaving))
        });
        let row_of = |what, expected: &Option<Vec<TitleId>>, found: Vec<&LicenseId>| {
            let mut expected: Vec<_> = expected.as_ref()?.iter().map(|id| id.as_str()).collect();
            let titles = found.into_iter().filter_map(|id| self.member.license(id));
            let mut found: Vec<_> = titles.map(|license| license.title.as_str()).collect();
            expected.sort_unstable();
            found.sort_unstable();
            Some(row(what, list(&expected), list(&found)))
        };
        let rows = [
            row_of("held", &expected.held, held),
            row_of("ended", &expected.ended, ended),
            row_of("lapsed", &expected.lapsed, lapsed),
            row_of("closed", &expected.closed, closed),
            devices,
        ];
        rows.into_iter().flatten().collect()
    }

    fn refusal_rows(&self, expected: &Refused, refusal: &Refusal) -> Vec<Row> {
        let mut rows = Vec::new();
        let told =
            expected.findings.as_ref().map_or(0, |told| told.len().max(refusal.findings.len()));
        for index in 0..told {
            let expected = expected.findings.as_ref().and_then(|told| told.get(index));
            let found = refusal.findings.get(index);
            let words = |words: Option<String>| words.unwrap_or_else(|| NOTHING.to_owned());
            rows.push(Row {
                what: format!("refused by ({})", index + 1),
                expected: words(expected.map(|expected| self.expected(expected))),
                found: words(found.map(|found| self.finding(found))),
                same: expected.zip(found).is_some_and(|(expected, found)| self.is(expected, found)),
            });
        }
        if let Some(retry_at) = expected.retry_at {
            let expected = self.time(retry_at.map(|moment| moment.on(self.start)));
            rows.push(row("retry_at", expected, self.time(refusal.retry_at)));
        }
        if let Some(remedies) = expected.remedies {
            let found = refusal.remedies.len().to_string();
            rows.push(row("remedies", remedies.to_string(), found));
        }
        rows
    }

    /// Whether it is the one that was meant, in everything that was said of it.
    fn is(&self, expected: &Expected, found: &Finding) -> bool {
        let Expected { code, rule, limit, used, frees_at } = expected;
        let of_cap = |of: fn(&domain::member::CapFinding) -> u32| found.cap.as_ref().map(of);
        code.is_none_or(|code| code == found.code)
            && (rule.is_none() || *rule == found.rule)
            && (limit.is_none() || *limit == of_cap(|cap| cap.limit))
            && (used.is_none() || *used == of_cap(|cap| cap.used))
            && frees_at.is_none_or(|at| at.map(|at| at.on(self.start)) == found.frees_at)
    }

    /// As it was found, all of it.
    pub(super) fn finding(&self, finding: &Finding) -> String {
        let mut words = vec![match &finding.rule {
            Some(rule) => format!("`{rule}` ({})", finding.code.name()),
            None => finding.code.name().to_owned(),
        }];
        if let Some(cap) = &finding.cap {
            words.push(format!("limit {}, used {}", cap.limit, cap.used));
        }
        words.push(format!("frees {}", self.time(finding.frees_at)));
        words.join(", ")
    }

    /// As far as anything was said of it.
    fn expected(&self, expected: &Expected) -> String {
        let Expected { code, rule, limit, used, frees_at } = expected;
        let words = [
            rule.as_ref().map(|rule| match self.knows(rule) {
                true => format!("`{rule}`"),
                false => format!("`{rule}`, {NO_RULE}"),
            }),
            code.map(|code| code.name().to_owned()),
            limit.map(|limit| format!("limit {limit}")),
            used.map(|used| format!("used {used}")),
            frees_at.map(|at| format!("frees {}", self.time(at.map(|at| at.on(self.start))))),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Whether some level of the policy has a rule of that id.
    fn knows(&self, id: &RuleId) -> bool {
        levels(self.policy).any(|(_, rules)| {
            rules.gates.iter().any(|gate| gate.id == *id)
                || rules.caps.iter().any(|cap| cap.id == *id)
        })
    }

    /// An instant, and how long after the start it is.
    fn time(&self, at: Option<Timestamp>) -> String {
        let Some(at) = at else { return "never".to_owned() };
        format!("{at} ({})", offset(at.as_millis() - self.start.as_millis()))
    }
}

/// As a scenario writes it: `+32d-1ms`, `+1d+12h`.
fn offset(ms: i64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let sign = if ms < 0 { '-' } else { '+' };
    // Deadlines are often just before a round time.
    let just_before = ms % 1_000 == 999;
    let mut rest = ms.unsigned_abs() + u64::from(just_before);
    let mut text = String::new();
    for (unit, name) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{sign}{}{name}", rest / unit));
            rest %= unit;
        }
    }
    match (text.is_empty(), just_before) {
        (true, _) => "+0d".to_owned(),
        (false, true) => text + "-1ms",
        (false, false) => text,
    }
}

/// Which licenses and devices an answer tells of.
#[derive(Default)]
struct Told<'a> {
    held: Vec<&'a LicenseId>,
    ended: Vec<&'a LicenseId>,
    lapsed: Vec<&'a LicenseId>,
    closed: Vec<&'a LicenseId>,
    leaving: Vec<&'a str>,
}

impl<'a> Told<'a> {
    fn of(outcomes: &'a [Outcome]) -> Self {
        let mut told = Self::default();
        for outcome in outcomes {
            match outcome {
                Outcome::CheckedIn(checked_in) => {
                    told.held.extend(&checked_in.held);
                    told.ended.extend(&checked_in.ended);
                    told.lapsed.extend(&checked_in.lapsed);
                }
                Outcome::DeviceRemoved { closed, .. }
                | Outcome::Revoked { closed, .. }
                | Outcome::TitleWithdrawn { closed } => told.closed.extend(closed),
                Outcome::MemberChanged { leaving } => {
                    told.leaving.extend(leaving.iter().map(|leaving| leaving.device.as_str()));
                }
                Outcome::Released { license, already: false } => told.closed.push(license),
                _ => {}
            }
        }
        told
    }
}

/// The license that the last command is about which is about one.
fn asked_about(request: &Request, outcomes: &[Outcome]) -> Option<LicenseId> {
    request.commands.iter().zip(outcomes).rev().find_map(|(command, outcome)| {
        match (command, outcome) {
            (_, Outcome::Held { license, .. }) => Some(license.clone()),
            (Command::RecordPlays { plays, .. }, _) => Some(plays.first()?.license.clone()),
            _ => None,
        }
    })
}

const fn held_name(how: Held) -> &'static str {
    match how {
        Held::Acquired => "acquired",
        Held::Reissued => "reissued",
        Held::Renewed => "renewed",
    }
}

fn list(words: &[&str]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn row(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Row {
    let (what, expected, found) = (what.into(), expected.into(), found.into());
    let same = expected == found;
    Row { what, expected, found, same }
}
