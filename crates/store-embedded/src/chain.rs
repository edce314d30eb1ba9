//! What makes a stored event checkable: the salted digest of its body, the link that ties it to
//! the stream's previous event, and the checksum of all of it.
//!
//! Pure functions over bytes. A link covers the digest and not the body, so a body can be erased
//! and the chain still be followed; the digest is taken over salt and body, and the salt is
//! erased with the body, so what stays behind reveals nothing, however short the body was.

use rand::RngExt;
use ring::digest::{SHA256, digest as sha256};
use store::STREAM_ID_BYTES_MAX;

pub(crate) const SALT_BYTES: usize = 16;

/// Names a stream in the table of heads: half of a SHA-256, so two streams never share one.
pub(crate) type Key = [u8; 16];
/// 128 bits: who writes a body does not choose its salt, so there is no collision to prepare,
/// and a second preimage costs 2^128.
pub(crate) type Link = [u8; 16];
pub(crate) type Digest = [u8; 32];

/// What of an event does not depend on its place: made ready by whoever appends it.
#[derive(Debug)]
pub(crate) struct NewEvent {
    /// The name of the stream, salt, body: as they are stored.
    pub(crate) bytes: Vec<u8>,
    /// How many of these bytes are the stream's name.
    named: usize,
    pub(crate) digest: Digest,
}

impl NewEvent {
    pub(crate) fn new(stream: &str, body: &[u8]) -> Self {
        let salt: [u8; SALT_BYTES] = rand::rng().random();
        let mut bytes = Vec::with_capacity(stream.len() + SALT_BYTES + body.len());
        bytes.extend_from_slice(stream.as_bytes());
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(body);
        let digest = digest(bytes.get(stream.len()..).unwrap_or_default());
        Self { bytes, named: stream.len(), digest }
    }

    pub(crate) fn stream(&self) -> &[u8] {
        self.bytes.get(..self.named).unwrap_or_default()
    }

    pub(crate) fn salted_bytes(&self) -> usize {
        self.bytes.len() - self.named
    }
}

pub(crate) fn key(stream: &str) -> Key {
    half(&sha(stream.as_bytes()))
}

/// The digest of a salted body.
pub(crate) fn digest(salted: &[u8]) -> Digest {
    sha(salted)
}

/// What the first event of a stream is linked to: the stream's own name.
pub(crate) fn origin(key: &Key) -> Link {
    *key
}

pub(crate) fn link(previous: &Link, version: u32, digest: &Digest) -> Link {
    // 52 bytes: one block of the hash, padding included.
    let mut message = [0; 52];
    let (front, back) = message.split_at_mut(16);
    front.copy_from_slice(previous);
    let (number, body) = back.split_at_mut(4);
    number.copy_from_slice(&version.to_be_bytes());
    body.copy_from_slice(digest);
    half(&sha(&message))
}

/// What the checksum of an event covers: everything stored of it, the body by its digest.
#[derive(Debug)]
pub(crate) struct Checked<'a> {
    pub(crate) position: u64,
    pub(crate) stream: &'a [u8],
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: &'a Link,
    pub(crate) digest: &'a Digest,
}

/// The same for a body and for what stays of it: erasing leaves the checksum as it is.
pub(crate) fn checksum(event: &Checked<'_>) -> u32 {
    let fields: [&[u8]; 6] = [
        &event.position.to_be_bytes(),
        &event.version.to_be_bytes(),
        &event.previous.to_be_bytes(),
        event.link,
        event.digest,
        event.stream,
    ];
    // In one piece: many small updates cost more than the bytes.
    let mut bytes = [0; 68 + STREAM_ID_BYTES_MAX];
    let mut filled = 0;
    for field in fields {
        // A stream id longer than any that was ever stored: the event is damaged in any case.
        let Some(place) = bytes.get_mut(filled..filled + field.len()) else { break };
        place.copy_from_slice(field);
        filled += field.len();
    }
    crc32fast::hash(bytes.get(..filled).unwrap_or_default())
}

fn sha(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(sha256(&SHA256, bytes).as_ref());
    out
}

fn half(digest: &Digest) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(digest.split_at(16).0);
    out
}

#[cfg(test)]
mod tests;
