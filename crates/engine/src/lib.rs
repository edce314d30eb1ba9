//! Load, decide, append: what stands between the ledger's rules and whatever keeps its events.
//!
//! It knows the store's seam, the codec and the domain's two functions. It does not know HTTP,
//! the clock, randomness or any rule: time and ids come with the request. It starts no tasks and
//! sets no timers, so that a simulation can drive it step by step. (What-if, which decides nothing, has
//! threads that end before it answers.)

mod cache;
mod engine;
mod error;
mod folded;
mod lanes;
mod policies;
mod snapshots;
pub mod viewing;
pub mod what_if;
pub mod withdrawals;

pub use engine::{Decided, Engine, Options, Stats, idempotency};
pub use error::EngineError;
pub use policies::Policies;

#[cfg(test)]
mod testing;
