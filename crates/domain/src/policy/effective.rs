//! What of a policy applies to one title: its levels from wide to narrow.

use crate::facts::{Facts, TitleFacts};
use crate::ids::TitleId;
use crate::member::Term;
use crate::policy::evaluate::selects;
use crate::policy::{Asked, Cap, FinishAnchor, Gate, Policy, Rules, TermsPatch, Tighten};
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
    title: Option<&'a TitleId>,
    levels: [(Level, Option<&'a Rules>); 4],
}

impl<'a> Effective<'a> {
    pub fn new(policy: &'a Policy, title: &'a TitleId, facts: &TitleFacts) -> Self {
        let series = facts.series.as_ref().and_then(|series| policy.series.get(series));
        Self {
            title: Some(title),
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
        let levels = [(Level::Default, Some(&policy.default)), partner, series, title];
        Self { title: None, levels }
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

    /// Terms combine field by field: title over series over partner over default; everything else
    /// may only tighten.
    pub fn terms(&self, facts: &Facts) -> TermsPatch {
        let levels = self.levels().map(|(_, rules)| &rules.terms);
        let terms = levels.fold(TermsPatch::default(), |wider, narrower| narrower.over(wider));
        let tighten = self.tighten().filter(|tighten| {
            let Facts { member, class, title } = facts;
            let asked = Asked { member, class: *class, title: self.title.map(|id| (id, title)) };
            selects(&tighten.of, &tighten.when, &asked)
                && tighten.needs.iter().all(|fact| fact.is_known(member, Some(title)))
        });
        tighten.fold(terms, |terms, tighten| terms.tightened(&tighten.terms))
    }

    /// As with caps.
    pub fn tighten(&self) -> impl Iterator<Item = &'a Tighten> {
        self.levels()
            .flat_map(|(level, rules)| rules.tighten.iter().map(move |one| (level, one)))
            .filter(|(level, one)| {
                !self
                    .narrower(*level)
                    .any(|rules| rules.tighten.iter().any(|other| other.id == one.id))
            })
            .map(|(_, one)| one)
    }
}

/// What a new term begins with.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    pub number: u32,
    pub at: Timestamp,
    /// From when on its lengths run: `at`, or the end of the term before.
    pub from: Timestamp,
    /// The play that has started its finish clock already.
    pub begun_at: Option<Timestamp>,
}

impl TermsPatch {
    /// What this says, and where it says nothing, what the other does.
    fn over(&self, wider: Self) -> Self {
        Self {
            start_within: self.start_within.or(wider.start_within),
            finish_within: self.finish_within.or(wider.finish_within),
            finish_anchor: self.finish_anchor.or(wider.finish_anchor),
            check_in_within: self.check_in_within.or(wider.check_in_within),
            end_within: self.end_within.or(wider.end_within),
            grace: self.grace.or(wider.grace),
            running_play: self.running_play.or(wider.running_play),
            not_before: self.not_before.or(wider.not_before),
            hard_end: self.hard_end.or(wider.hard_end),
            end_with_availability: self.end_with_availability.or(wider.end_with_availability),
            renewals_max: self.renewals_max.or(wider.renewals_max),
            renew_before_end: self.renew_before_end.or(wider.renew_before_end),
            renew_after_end: self.renew_after_end.or(wider.renew_after_end),
            renew_from: self.renew_from.or(wider.renew_from),
            auto_renew_every: self.auto_renew_every.or(wider.auto_renew_every),
            release_frees: self.release_frees.or(wider.release_frees),
            delete_at_end: self.delete_at_end.or(wider.delete_at_end),
        }
    }

    /// Of each field the tighter one. What is absent is without bound, but for what is given on
    /// top: there it is nothing.
    fn tightened(self, by: &Self) -> Self {
        Self {
            start_within: lesser(self.start_within, by.start_within),
            finish_within: lesser(self.finish_within, by.finish_within),
            finish_anchor: self.finish_anchor.max(by.finish_anchor),
            check_in_within: lesser(self.check_in_within, by.check_in_within),
            end_within: lesser(self.end_within, by.end_within),
            grace: self.grace.map(|grace| by.grace.map_or(grace, |by| by.min(grace))),
            running_play: self
                .running_play
                .map(|run| by.running_play.map_or(run, |by| by.min(run))),
            not_before: self.not_before.max(by.not_before),
            hard_end: lesser(self.hard_end, by.hard_end),
            end_with_availability: self.end_with_availability.max(by.end_with_availability),
            renewals_max: lesser(self.renewals_max, by.renewals_max),
            renew_before_end: lesser(self.renew_before_end, by.renew_before_end),
            renew_after_end: lesser(self.renew_after_end, by.renew_after_end),
            // Neither of the two is tighter for every length.
            renew_from: self.renew_from,
            auto_renew_every: self.auto_renew_every.max(by.auto_renew_every),
            release_frees: self.release_frees.max(by.release_frees),
            delete_at_end: self.delete_at_end.max(by.delete_at_end),
        }
    }

    /// Whose first play starts the finish clock, if there is one.
    pub fn anchor(&self) -> Option<FinishAnchor> {
        self.finish_within.map(|_| self.finish_anchor.unwrap_or(FinishAnchor::Term))
    }

    /// The promise for a term that starts now.
    pub fn promise(&self, beginning: Beginning, facts: &Facts) -> Term {
        let Beginning { number, at, from, begun_at } = beginning;
        let leaves = match self.end_with_availability {
            Some(true) => facts.title.available_until,
            _ => None,
        };
        let ends = self.end_within.map(|within| from + within);
        Term {
            number,
            started_at: at,
            begun_at,
            start_by: self.start_within.map(|within| from + within),
            finish_within: self.finish_within,
            check_in_within: self.check_in_within,
            grace: self.grace.unwrap_or(Duration::ZERO),
            running_play: self.running_play.unwrap_or(Duration::ZERO),
            not_before: self.not_before,
            hard_end: [self.hard_end, leaves, ends].into_iter().flatten().min(),
            renew_before_end: self.renew_before_end,
            renew_after_end: self.renew_after_end,
            renewals_max: self.renewals_max,
            delete_at_end: self.delete_at_end.unwrap_or(false),
        }
    }
}

fn lesser<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
