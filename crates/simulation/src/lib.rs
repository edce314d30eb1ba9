//! A small world in which everything goes wrong that can, and an auditor who counts along.
//!
//! One seed decides everything: what members want, which message arrives when and which never,
//! when a node dies, how its clock jumps. The engine, the ledger's rules, the codec and the
//! policies are the real ones; only the store's messages, the clock and the callers are the
//! world's. There are no threads and no timers, so a failing seed is the whole bug report.
//! What it can and cannot show is told in `docs/simulation.md`.

mod auditor;
mod client;
mod disk;
mod operators;
mod probe;
mod random;
mod rules;
mod sabotage;
mod world;

use std::collections::BTreeMap;

use sabotage::Sabotage;
use world::World;

/// What happened in a world where every promise held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub seed: u64,
    /// Years pass.
    pub years: bool,
    pub steps: u64,
    pub requests: u64,
    /// Requests that had been asked before.
    pub retries: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Turned away, or left without an answer by the store.
    pub unanswered: u64,
    pub events: u64,
    pub crashes: u64,
    pub failed_syncs: u64,
    pub policy_changes: u64,
    /// Titles withdrawn for all members, and given back.
    pub withdrawals: u64,
    pub lifts: u64,
    /// Walks over the feed that came to their end.
    pub walks: u64,
    pub horizon_raises: u64,
    /// Refusals whose times were put to the test.
    pub probes: u64,
    /// How often each kind of event was recorded, and each kind of count refused.
    pub met: BTreeMap<String, u64>,
    /// Of everything that was recorded and answered, in order: the same for the same seed.
    pub trace: u64,
}

/// A promise that did not hold. The seed and the steps bring it back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed} broke a promise at step {step} (`carnet simulate --seed {seed} --steps {step}` \
     brings it back): {what}"
)]
pub struct Failure {
    pub seed: u64,
    pub step: u64,
    pub what: String,
}

/// How long a world is worth watching: what its tests do.
pub const STEPS: u64 = 4_000;

/// Runs the world of a seed for so many steps, and then lets it come to rest.
///
/// # Errors
/// When a promise is broken.
pub fn run(seed: u64, steps: u64) -> Result<Report, Failure> {
    sabotaged(seed, steps, Sabotage::None)
}

fn sabotaged(seed: u64, steps: u64, sabotage: Sabotage) -> Result<Report, Failure> {
    let failure = |step: u64, what: String| Failure { seed, step, what };
    let mut world = World::new(seed, sabotage).map_err(|what| failure(0, what))?;
    for step in 1..=steps {
        world.step().map_err(|what| failure(step, what))?;
        world.report.steps = step;
    }
    world.finish().map_err(|what| failure(steps, what))
}

#[cfg(test)]
mod tests;
