//! What of a policy applies to one title: its levels from wide to narrow.

use crate::facts::{Facts, TitleFacts};
use crate::ids::TitleId;
use crate::member::Term;
use crate::policy::{Cap, Gate, Policy, Rules, TermsPatch};
use crate::time::{Duration, Timestamp};

/// Wide to narrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Default,
    Partner,
    Series,
    Title,
}

#[derive(Debug, Clone, Copy)]
pub struct Effective<'a> {
    levels: [(Level, Option<&'a Rules>); 4],
}

impl<'a> Effective<'a> {
    pub fn new(policy: &'a Policy, title: &TitleId, facts: &TitleFacts) -> Self {
        let series = facts.series.as_ref().and_then(|series| policy.series.get(series));
        Self {
            levels: [
                (Level::Default, Some(&policy.default)),
                (Level::Partner, policy.partners.get(&facts.partner)),
                (Level::Series, series),
                (Level::Title, policy.titles.get(title)),
            ],
        }
    }

    /// What holds where no title is asked about.
    pub fn without_title(policy: &'a Policy) -> Self {
        let none = [Level::Partner, Level::Series, Level::Title].map(|level| (level, None));
        let [partner, series, title] = none;
        Self { levels: [(Level::Default, Some(&policy.default)), partner, series, title] }
    }

    fn levels(&self) -> impl Iterator<Item = (Level, &'a Rules)> {
        self.levels.into_iter().filter_map(|(level, rules)| Some((level, rules?)))
    }

    /// All matching caps apply; a narrower one replaces a wider one only by bearing its id.
    pub fn caps(&self) -> impl Iterator<Item = (Level, &'a Cap)> {
        self.levels()
            .flat_map(|(level, rules)| rules.caps.iter().map(move |cap| (level, cap)))
            .filter(|(level, cap)| {
                !self
                    .narrower(*level)
                    .any(|rules| rules.caps.iter().any(|other| other.id == cap.id))
            })
    }

    /// As with caps.
    pub fn gates(&self) -> impl Iterator<Item = &'a Gate> {
        self.levels()
            .flat_map(|(level, rules)| rules.gates.iter().map(move |gate| (level, gate)))
            .filter(|(level, gate)| {
                !self
                    .narrower(*level)
                    .any(|rules| rules.gates.iter().any(|other| other.id == gate.id))
            })
            .map(|(_, gate)| gate)
    }

    fn narrower(&self, than: Level) -> impl Iterator<Item = &'a Rules> {
        self.levels().filter(move |(level, _)| *level > than).map(|(_, rules)| rules)
    }

    /// Terms combine field by field: title over series over partner over default.
    pub fn terms(&self) -> TermsPatch {
        let mut terms = TermsPatch::default();
        for (_, Rules { terms: narrower, .. }) in self.levels() {
            terms = TermsPatch {
                start_within: narrower.start_within.or(terms.start_within),
                finish_within: narrower.finish_within.or(terms.finish_within),
                check_in_within: narrower.check_in_within.or(terms.check_in_within),
                grace: narrower.grace.or(terms.grace),
                running_play: narrower.running_play.or(terms.running_play),
                not_before: narrower.not_before.or(terms.not_before),
                hard_end: narrower.hard_end.or(terms.hard_end),
                end_with_availability: narrower
                    .end_with_availability
                    .or(terms.end_with_availability),
                renewals_max: narrower.renewals_max.or(terms.renewals_max),
                renew_before_end: narrower.renew_before_end.or(terms.renew_before_end),
                renew_after_end: narrower.renew_after_end.or(terms.renew_after_end),
            };
        }
        terms
    }
}

impl TermsPatch {
    /// The promise for a term that starts now.
    pub fn promise(&self, number: u32, at: Timestamp, facts: &Facts) -> Term {
        let leaves = match self.end_with_availability {
            Some(true) => facts.title.available_until,
            _ => None,
        };
        Term {
            number,
            started_at: at,
            start_by: self.start_within.map(|within| at + within),
            finish_within: self.finish_within,
            check_in_within: self.check_in_within,
            grace: self.grace.unwrap_or(Duration::ZERO),
            running_play: self.running_play.unwrap_or(Duration::ZERO),
            not_before: self.not_before,
            hard_end: [self.hard_end, leaves].into_iter().flatten().min(),
            renew_before_end: self.renew_before_end,
            renew_after_end: self.renew_after_end,
            renewals_max: self.renewals_max,
        }
    }
}
