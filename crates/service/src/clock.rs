//! What time it is for the service: a time that never goes back.
//!
//! The wall clock of a machine can be set. Proofs and grants serve once because they are remembered
//! until their time is over, and a time that is lived twice would either bring them back or turn
//! honest devices away. So the service reads the wall clock when it starts and goes on from there
//! by a clock that only counts. A wall clock that was set forward, and stays there, is followed.
//! One that was set back is not, until the next start; meanwhile devices hear the service's time
//! (`carnet-time`), and everything that it signs and records is by that same time.
//!
//! Both clocks are handed in.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;

/// The clocks are set against each other by less than this in the course of things.
const JUMP_MS_MIN: i64 = 1_000;

/// A wall clock that stays ahead for so long is believed. What is taken back sooner has not reached
/// the ledger, which would not forget it.
const FOLLOW_AFTER_MS: i64 = 60_000;

type Wall = Box<dyn Fn() -> Timestamp + Send + Sync>;
type Elapsed = Box<dyn Fn() -> Duration + Send + Sync>;

pub struct Clock {
    wall: Wall,
    elapsed: Elapsed,
    /// The service's time when `elapsed` was zero. INVARIANT: it only grows.
    anchor_ms: AtomicI64,
    watched: Mutex<Watched>,
}

/// What the last comparison found.
#[derive(Debug, Default)]
struct Watched {
    /// The wall clock minus the service's time.
    gap_ms: i64,
    /// By `elapsed`.
    since_ms: i64,
}

/// The wall clock was set, by so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    pub ms: i64,
}

impl Clock {
    /// `wall` is the machine's clock, right or wrong; `elapsed` counts from any moment, and nobody
    /// can set it.
    pub fn new(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        elapsed: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let anchor_ms = AtomicI64::new(wall().as_millis().saturating_sub(millis(elapsed())));
        let watched = Mutex::default();
        Self { wall: Box::new(wall), elapsed: Box::new(elapsed), anchor_ms, watched }
    }

    pub fn now(&self) -> Timestamp {
        let elapsed_ms = millis((self.elapsed)());
        Timestamp::from_millis(self.anchor_ms.load(Ordering::Acquire).saturating_add(elapsed_ms))
    }

    /// As the machine has it now, for what others have dated.
    pub(crate) fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// How far the wall clock stands ahead of the service's time; negative when behind.
    pub(crate) fn gap_ms(&self) -> i64 {
        self.wall().as_millis().saturating_sub(self.now().as_millis())
    }

    /// Looks at the wall clock, and follows it where it has been ahead for long enough. To be asked
    /// about every second; tells each jump once.
    pub fn compare(&self) -> Option<Jump> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let (gap_ms, at_ms) = (self.gap_ms(), millis((self.elapsed)()));
        let ms = gap_ms.saturating_sub(watched.gap_ms);
        let jumped = ms.saturating_abs() >= JUMP_MS_MIN;
        if jumped {
            *watched = Watched { gap_ms, since_ms: at_ms };
        }
        let is_ahead = watched.gap_ms >= JUMP_MS_MIN;
        if is_ahead && at_ms.saturating_sub(watched.since_ms) >= FOLLOW_AFTER_MS {
            self.anchor_ms.fetch_add(watched.gap_ms, Ordering::AcqRel);
            watched.gap_ms = 0;
        }
        jumped.then_some(Jump { ms })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
