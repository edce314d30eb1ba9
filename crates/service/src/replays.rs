//! Replays of history under draft policies, which operators ask for and come back to.
//!
//! One at a time, on a thread of its own: members who download now must not feel it. What was found
//! is kept in this process's memory until some newer ones have been asked for.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Engine;
use engine::what_if::{Difference, Go, Kind, Progress, WhatIf};

use crate::finish::Unfinished;
use crate::wire::what_if::{CSV_HEADER, WhatIfReport, csv_row};

/// How many are remembered.
const KEPT_MAX: usize = 8;
/// How many differences of one replay are kept to be listed.
pub(crate) const DIFFERENCES_MAX: usize = 100_000;

#[derive(Debug, Default)]
pub struct Replays(Mutex<VecDeque<Arc<Replay>>>);

#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) id: String,
    members: AtomicU64,
    events: AtomicU64,
    is_to_stop: AtomicBool,
    outcome: Mutex<Outcome>,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    Running,
    Done(Box<Done>),
    Stopped,
    Failed(String),
}

#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) report: WhatIfReport,
    /// The differences as CSV, which takes less memory than rows of columns.
    pub(crate) csv: Vec<u8>,
    /// There were more differences than are kept.
    pub(crate) is_cut: bool,
}

impl Replays {
    /// Begins one; `None` while another is running.
    pub(crate) fn begin(
        &self,
        id: String,
        engine: Engine,
        unfinished: Unfinished,
        what_if: WhatIf,
    ) -> Option<Arc<Replay>> {
        let replay = Arc::new(Replay {
            id,
            members: AtomicU64::new(0),
            events: AtomicU64::new(0),
            is_to_stop: AtomicBool::new(false),
            outcome: Mutex::new(Outcome::Running),
        });
        if !self.keep(Arc::clone(&replay)) {
            return None;
        }
        let running = Arc::clone(&replay);
        tokio::task::spawn_blocking(move || {
            let outcome = running.run(&engine, &unfinished, &what_if);
            *running.outcome() = outcome;
        });
        Some(replay)
    }

    fn keep(&self, replay: Arc<Replay>) -> bool {
        let mut kept = self.lock();
        if kept.iter().any(|replay| matches!(*replay.outcome(), Outcome::Running)) {
            return false;
        }
        kept.push_back(replay);
        while kept.len() > KEPT_MAX {
            kept.pop_front();
        }
        true
    }

    pub(crate) fn get(&self, id: &str) -> Option<Arc<Replay>> {
        self.lock().iter().find(|replay| replay.id == id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Replay>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replay {
    pub(crate) fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress {
            members: self.members.load(Ordering::Relaxed),
            events: self.events.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn stop(&self) {
        self.is_to_stop.store(true, Ordering::Relaxed);
    }

    fn run(&self, engine: &Engine, unfinished: &Unfinished, what_if: &WhatIf) -> Outcome {
        let is_to_stop = || self.is_to_stop.load(Ordering::Relaxed) || unfinished.is_stopping();
        let mut progress = |Progress { members, events }| {
            self.members.store(members, Ordering::Relaxed);
            self.events.store(events, Ordering::Relaxed);
            if is_to_stop() { Go::Stop } else { Go::On }
        };
        let mut lines = csv::Writer::from_writer(Vec::new());
        let mut written = lines.write_record(CSV_HEADER);
        let mut differences = 0;
        let mut visit = |kind: Kind, difference: &Difference| {
            differences += 1;
            if differences <= DIFFERENCES_MAX && written.is_ok() {
                written = lines.write_record(csv_row(kind, difference));
            }
        };
        match engine.what_if(what_if, &mut progress, &mut visit) {
            Ok(report) => {
                let report = WhatIfReport::new(what_if, &report);
                let is_cut = differences > DIFFERENCES_MAX;
                if let Err(error) = written {
                    return self.failed(&error);
                }
                match lines.into_inner() {
                    Ok(csv) => Outcome::Done(Box::new(Done { report, csv, is_cut })),
                    Err(error) => self.failed(error.error()),
                }
            }
            Err(_) if is_to_stop() => Outcome::Stopped,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &dyn std::error::Error) -> Outcome {
        tracing::error!(%error, replay = self.id, "a replay of history failed");
        Outcome::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(id: &str, outcome: Outcome) -> Arc<Replay> {
        Arc::new(Replay {
            id: id.to_owned(),
            members: AtomicU64::new(0),
            events: AtomicU64::new(0),
            is_to_stop: AtomicBool::new(false),
            outcome: Mutex::new(outcome),
        })
    }

    #[test]
    fn one_runs_at_a_time_and_the_last_ones_are_kept() {
        let replays = Replays::default();
        assert!(replays.keep(replay("first", Outcome::Running)));
        assert!(!replays.keep(replay("second", Outcome::Running)));
        *replays.get("first").unwrap().outcome() = Outcome::Stopped;
        for number in 0..KEPT_MAX {
            assert!(replays.keep(replay(&number.to_string(), Outcome::Stopped)));
        }
        assert!(replays.get("first").is_none(), "the oldest goes");
        assert!(replays.get("0").is_some());
    }
}
