//! What events, snapshots and policy files look like outside of memory.
//!
//! The domain is free to change on a Tuesday; what was stored is for ever. So every stored shape
//! is a type of its own here, converted by hand, and nothing above knows what an event looks like
//! in the store. This crate does not know where the bytes are kept.

mod body_digest;
mod event;
pub mod policy;
mod snapshot;
pub mod toml_file;
mod v1;
pub mod viewing;
pub mod withdrawal;

pub use body_digest::body_digest;
pub use event::{DecodeError, Kind, decode_event, encode_event};
pub use snapshot::{decode_snapshot, encode_snapshot, reducer_fingerprint};

#[cfg(test)]
mod arbitrary;
