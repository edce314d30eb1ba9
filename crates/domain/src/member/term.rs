//! One stretch of a license with its clocks.

use crate::time::{Duration, Timestamp};

/// What was promised for one term, computed when it was decided and never recomputed: a rule
/// changed on Monday does not rewrite what was promised on Sunday.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// 1 from acquiring, then one more with each renewal.
    pub number: u32,
    pub started_at: Timestamp,
    /// The play that had started the finish clock before the term began, where that clock is
    /// anchored wider than the term.
    pub begun_at: Option<Timestamp>,
    /// The first play must begin before. Governs only until the first play.
    pub start_by: Option<Timestamp>,
    /// From the first play to the end. Governs only after the first play.
    pub finish_within: Option<Duration>,
    /// From each check-in to the next; the deadline itself moves and is kept beside the term.
    pub check_in_within: Option<Duration>,
    /// Play goes on for so long when a renewal is due and the server cannot be reached.
    pub grace: Duration,
    /// A play that is running at the end may go on for so long.
    pub running_play: Duration,
    /// No play before.
    pub not_before: Option<Timestamp>,
    /// No play at or after, whatever the other clocks say.
    pub hard_end: Option<Timestamp>,
    /// Renewing opens so long before the end; `None`: at any time.
    pub renew_before_end: Option<Duration>,
    /// Renewing stays open for so long after the end; `None`: for ever.
    pub renew_after_end: Option<Duration>,
    /// How often the license may be renewed in all; `None`: any number of times.
    pub renewals_max: Option<u32>,
    /// The device deletes its copy when the term has ended.
    pub delete_at_end: bool,
}

/// What ends a term. The order is the precedence when several end at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clock {
    HardEnd,
    CheckIn,
    Finish,
    Start,
}

impl Clock {
    pub const fn name(self) -> &'static str {
        match self {
            Self::HardEnd => "hard_end",
            Self::CheckIn => "check_in",
            Self::Finish => "finish",
            Self::Start => "start",
        }
    }
}

/// A term and what happened under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningTerm {
    pub term: Term,
    /// The earliest accepted play; may move earlier, never later.
    pub first_play: Option<Timestamp>,
    /// The check-in deadline of the newest lease.
    pub check_in_by: Option<Timestamp>,
    /// It was opened without anybody asking.
    pub automatic: bool,
    /// A change of the membership ends it, whatever its clocks say.
    pub cut_at: Option<Timestamp>,
}

impl RunningTerm {
    pub fn new(term: Term) -> Self {
        let check_in_by = term.check_in_within.map(|within| term.started_at + within);
        Self { first_play: term.begun_at, term, check_in_by, automatic: false, cut_at: None }
    }

    /// The end from what is known and the clock that governs it; `None`: it never ends.
    pub fn end(&self) -> Option<(Timestamp, Clock)> {
        let by_plays = match self.first_play {
            Some(first) => self.term.finish_within.map(|within| (first + within, Clock::Finish)),
            None => self.term.start_by.map(|start_by| (start_by, Clock::Start)),
        };
        [
            self.hard_end().map(|end| (end, Clock::HardEnd)),
            self.check_in_by.map(|by| (by, Clock::CheckIn)),
            by_plays,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// No play at or after: as promised, or since as cut.
    pub fn hard_end(&self) -> Option<Timestamp> {
        [self.term.hard_end, self.cut_at].into_iter().flatten().min()
    }

    /// The same without the check-in clock: what a check-in could revive.
    pub fn end_without_check_in(&self) -> Timestamp {
        Self { check_in_by: None, ..self.clone() }.ends_at()
    }

    pub fn ends_at(&self) -> Timestamp {
        self.end().map_or(Timestamp::MAX, |(at, _)| at)
    }

    /// The latest end that an offline device could still be inside: an unplayed term is taken as
    /// started at the last moment.
    pub fn may_play_until(&self) -> Timestamp {
        let first_play = self.first_play.or(self.term.start_by.map(Timestamp::just_before));
        let by_plays = match (first_play, self.term.finish_within) {
            (Some(first), Some(within)) => {
                first + within + self.term.grace + self.term.running_play
            }
            // Nothing bounds a play that has begun, or when it begins.
            _ => Timestamp::MAX,
        };
        let hard_end = self.hard_end().unwrap_or(Timestamp::MAX);
        by_plays.min(hard_end).min(self.check_in_by.unwrap_or(Timestamp::MAX))
    }

    /// From when on a renewal is accepted.
    pub fn renew_from(&self) -> Timestamp {
        match self.term.renew_before_end {
            Some(before) => (self.ends_at() - before).max(self.term.started_at),
            None => self.term.started_at,
        }
    }

    /// Until when a renewal is accepted.
    pub fn renew_until(&self) -> Timestamp {
        self.term.renew_after_end.map_or(Timestamp::MAX, |after| self.ends_at() + after)
    }
}
