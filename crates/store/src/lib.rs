//! The seam between the ledger and whatever keeps its events: one object-safe trait that
//! speaks of bytes, streams and versions, and never of licenses.
//!
//! A promise about stores is a scenario in [`conformance`], which every store passes, and not
//! a remark in one of them.

pub mod conformance;
mod limits;
pub mod memory;
mod seam;

pub use limits::check_bodies;
pub use seam::*;
