//! From a grant to a DRM license, and everything that is signed on the way there.
//!
//! A tier that runs only this crate is stateless: it needs a grant, the key set that grants are
//! verified with, and the content keys. It does not know the ledger, the event store, HTTP or the
//! clock; the caller brings the time as Unix milliseconds.

pub mod clear_key;
pub mod content_keys;
pub mod encoding;
pub mod expiring;
pub mod grant;
pub mod jwk;
pub mod jws;
pub mod key_id;
pub mod lease;
pub mod signing_keys;
pub mod time;

mod private_file;
