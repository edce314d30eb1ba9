//! The default store: SQLite, used as a log, in one directory on local disk.
//!
//! One thread appends, with one sync for all who wait; a few threads read; where each stream ends
//! is in memory. Nothing on disk is trusted: `docs/storage.md` tells what is checked and when. It
//! knows streams, versions and bytes, and nothing of what they mean.

mod block;
mod bytes;
mod chain;
mod channel;
mod checkpoint;
mod completion;
mod connection;
mod cursor;
mod embedded;
mod error;
mod files;
mod heads;
mod inspect;
mod open;
mod plan;
mod reader;
mod scan;
mod shared;
mod snapshots;
mod verify;
mod watermark;
mod writer;

pub use embedded::{EmbeddedStore, Options, Stats};
pub use error::OpenError;
pub use open::Opened;
pub use verify::{Verification, accept, verify};
