//! The member ledger and the policy language: plain data and plain functions.
//!
//! Facts in, events out: [`decide`] looks at a member, a request and a policy and says what
//! happens; [`evolve`] folds what happened into the member. Nothing here knows HTTP, a clock,
//! randomness, files, serde or async: time, ids and outside facts are fields of the request.

mod facts;
mod ids;
pub mod member;
pub mod policy;
pub mod time;

pub use facts::*;
pub use ids::*;
pub use member::{Decision, Event, Member, Request, decide, evolve};
pub use policy::Policy;
pub use time::{Duration, Timestamp};
