//! The real binary, from outside: processes, signals, files and HTTP, nothing of its insides.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests, helpers included"
)]

mod crash;
mod demo;
mod logs;
mod messages;
mod policy;
mod process;
mod reload;
mod replay;
mod shutdown;
mod withdrawal;
mod world;
