//! The embedded store from outside: the contract, damage, crashes, limits.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests, and helpers of tests that clippy does not see as such"
)]

mod conformance;
mod crash;
mod damage;
mod full;
mod kill;
mod limits;
mod model;
mod support;
mod verify;
