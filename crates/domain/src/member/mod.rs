//! The member ledger: one member, all devices and licenses, everything that counted.
//!
//! It does not know the clock, the store or the catalogue; and of another member it knows
//! nothing, because a member is where counting ends.

mod answer;
mod command;
mod decide;
mod event;
mod evolve;
mod history;
mod ranges;
mod remedy;
mod state;
pub mod term;
pub mod what_if;

pub use answer::*;
pub use command::*;
pub use decide::{Eligibility, decide, eligibility, standing};
pub use event::*;
pub use evolve::{IDEMPOTENCY_KEPT, REFUSALS_KEPT, evolve, follow};
pub(crate) use history::{Among, Log};
pub use history::{Counted, CountedKind, DeviceCounted, History, Tallied, TalliedTitle};
pub use ranges::Ranges;
pub use state::*;
pub use term::{Clock, Term};

#[cfg(test)]
mod tests;
