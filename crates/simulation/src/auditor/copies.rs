//! A license and its terms, as far as counting goes.

use domain::Facts;
use domain::member::Term as Promise;

use super::count::Thing;
use super::{NEVER, Verdict, ensure, ms};
use crate::rules::{DAY_MS, HOUR_MS, Rules, STANDARD};

/// A license, as far as counting goes.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) device: String,
    pub(super) title: String,
    /// Of the latest term.
    pub(super) facts: Facts,
    pub(super) acquired_at: i64,
    pub(super) terms: Vec<Term>,
    pub(super) open: bool,
    /// Closed from elsewhere, and not confirmed.
    pub(super) waits: bool,
    pub(super) deliveries: u32,
    /// When a notice and a lapse end it.
    pub(super) cuts: (i64, i64),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) started_at: i64,
    pub(super) start_by: i64,
    pub(super) finish_within: i64,
    pub(super) overtime: i64,
    pub(super) hard_end: i64,
    pub(super) check_in_within: i64,
    pub(super) check_in_by: i64,
    /// A play before the term that started its finish clock.
    pub(super) begun_at: Option<i64>,
    pub(super) first_play: Option<i64>,
    pub(super) automatic: bool,
    pub(super) cut_at: i64,
}

impl Term {
    /// `from` is when its lengths run from.
    pub(super) fn promised(
        at: i64,
        from: i64,
        begun_at: Option<i64>,
        rules: &Rules,
        facts: &Facts,
    ) -> Self {
        let check_in_within = rules.check_in_within_days * DAY_MS;
        let standard = facts.member.plan.as_ref().is_none_or(|plan| plan.as_str() == STANDARD);
        let shorter = if standard { rules.finish_within_hours_standard } else { NEVER };
        let plain = match rules.end_within_days {
            0 => NEVER,
            days => from + days * DAY_MS,
        };
        Self {
            started_at: at,
            start_by: from + rules.start_within_days * DAY_MS,
            finish_within: rules.finish_within_hours.min(shorter) * HOUR_MS,
            overtime: (rules.grace_hours + rules.running_play_hours) * HOUR_MS,
            hard_end: facts.title.available_until.map_or(NEVER, ms).min(plain),
            check_in_within,
            check_in_by: if check_in_within == 0 { NEVER } else { at + check_in_within },
            begun_at,
            first_play: begun_at,
            automatic: false,
            cut_at: NEVER,
        }
    }

    pub(super) fn ends_at(&self) -> i64 {
        let by_plays = self.first_play.map_or(self.start_by, |first| first + self.finish_within);
        by_plays.min(self.hard_end).min(self.cut_at).min(self.check_in_by)
    }

    /// Were there no check-in clock.
    pub(super) fn ends_unless_lapsed(&self) -> i64 {
        Self { check_in_by: NEVER, ..*self }.ends_at()
    }

    pub(super) fn may_play_until(&self) -> i64 {
        let first = self.first_play.unwrap_or(self.start_by - 1);
        let by_plays = first + self.finish_within + self.overtime;
        by_plays.min(self.hard_end).min(self.cut_at).min(self.check_in_by)
    }

    /// Whether it is what was promised, and a play could begin in it.
    pub(super) fn check(&self, promise: &Promise) -> Verdict {
        let same = ms(promise.started_at) == self.started_at
            && promise.begun_at.map(ms) == self.begun_at
            && promise.start_by.map(ms) == Some(self.start_by)
            && promise.finish_within.map(|w| w.as_millis()) == Some(self.finish_within)
            && promise.grace.as_millis() + promise.running_play.as_millis() == self.overtime
            && promise.hard_end.map_or(NEVER, ms) == self.hard_end
            && promise.check_in_within.map_or(0, |w| w.as_millis()) == self.check_in_within;
        ensure(same, || format!("promised is not {self:?}"))?;
        ensure(self.started_at < self.ends_at(), || format!("over at birth: {self:?}"))
    }
}

impl Copy {
    pub(super) fn thing(&self) -> Thing {
        Thing::of(&self.device, &self.title, &self.facts)
    }

    pub(super) fn term(&self, number: u32) -> Result<&Term, String> {
        let index = usize::try_from(number).unwrap_or(0).checked_sub(1);
        index.and_then(|index| self.terms.get(index)).ok_or_else(|| "no such term".to_owned())
    }

    pub(super) fn has_newer_than(&self, number: u32) -> bool {
        usize::try_from(number).is_ok_and(|number| number < self.terms.len())
    }

    pub(super) fn renewals(&self) -> u32 {
        u32::try_from(self.terms.len()).unwrap_or(u32::MAX).saturating_sub(1)
    }

    pub(super) fn ends_at(&self) -> i64 {
        self.terms.last().map_or(0, Term::ends_at)
    }

    pub(super) fn held(&self, at: i64) -> bool {
        self.open && at < self.ends_at()
    }

    pub(super) fn active(&self, at: i64) -> bool {
        (self.open || self.waits) && self.terms.iter().any(|term| at < term.may_play_until())
    }

    /// When a renewal opens.
    pub(super) fn renews_from(&self, rules: &Rules) -> i64 {
        let opens = self.ends_at() - rules.renew_before_end_days * DAY_MS;
        opens.max(self.terms.last().map_or(0, |term| term.started_at))
    }

    /// And one that nobody asked for.
    pub(super) fn renews_itself_from(&self, rules: &Rules) -> i64 {
        let by_itself = self.terms.iter().rfind(|term| term.automatic);
        by_itself.map_or(0, |term| term.started_at) + rules.auto_renew_every_hours * HOUR_MS
    }

    pub(super) fn checks_in(&self) -> bool {
        self.terms.last().is_some_and(|term| term.check_in_within > 0)
    }

    /// Nothing but the check-in clock has ended it.
    pub(super) fn revivable(&self, at: i64) -> bool {
        self.terms.last().is_some_and(|term| at < term.ends_unless_lapsed())
    }

    /// Nobody could have played it for so long that it may be.
    pub(super) fn is_forgotten(&self, at: i64) -> bool {
        self.terms.iter().all(|term| term.may_play_until() + 400 * DAY_MS <= at)
    }

    pub(super) fn close(&mut self) {
        (self.open, self.waits) = (false, false);
    }

    /// What has ended stays ended.
    pub(super) fn cut(&mut self, at: i64, notice: i64, lapse: i64) {
        self.cuts = (notice, lapse);
        for term in self.terms.iter_mut().filter(|term| term.cut_at > at) {
            term.cut_at = notice.min(lapse);
        }
    }
}
