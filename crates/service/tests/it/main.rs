//! The service as it is shipped: the real app on a free port, the real store in a directory of its
//! own, and nothing but HTTP in between. Time is the test's, so that months pass in a moment.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that panics fails its test, which is what it is for"
)]

mod credentials;
mod languages;
mod left;
mod lifecycle;
mod logs;
mod malformed;
mod membership;
mod offline_life;
mod operator_api;
mod pages;
mod refusals;
mod replays;
mod retries;
mod service_api;
mod session_events;
mod streaming;
mod traces;
mod walk;
mod withdrawals;
mod world;
