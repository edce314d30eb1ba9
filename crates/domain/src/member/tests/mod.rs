//! The ledger through its one door: given what happened, when asked, then answered.
//!
//! Each test carries the words of the design that it holds.

mod caps;
mod check_in;
mod clocks;
mod devices;
mod gates;
mod idempotency;
mod lists;
mod membership;
mod plays;
mod properties;
mod refusals;
mod releases;
mod renewals;
mod terms;
mod what_if;
pub(crate) mod world;
