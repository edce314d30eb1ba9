//! The viewing log: raw session events, in a store of their own.
//!
//! Viewing data is not ledger data: the ledger records that and when a session began and what
//! counts; here is what the device saw, with its own retention and erasure. Writing never asks
//! what is there already, so an upload that comes again is stored again, and reading tells each
//! sequence number of a device once.
//!
//! A member's log is cut into parts of [`PART_UPLOADS`], each a stream, so that a page of it can be
//! read without the rest. What comes again in a later part is told again.

use std::collections::BTreeSet;
use std::sync::Arc;

pub use codec::viewing::{RawEvent, SessionEvent, Upload};
use codec::viewing::{decode_upload, encode_upload};
use domain::{DeviceId, MemberId, Timestamp};
use quick_cache::sync::Cache;
use store::{AppendError, EventStore, StreamId, Version};

use crate::engine::ATTEMPTS_MAX;
use crate::error::EngineError;

/// Of so many members the length of the log is remembered; of others the store tells it.
const LENGTHS_MAX: usize = 65_536;

/// INVARIANT: a part is full before the next one begins, so versions number the uploads of all
/// parts without gaps.
const PART_UPLOADS: u64 = 256;

#[derive(Debug)]
pub struct Viewing {
    store: Arc<dyn EventStore>,
    lengths: Cache<MemberId, Version>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    pub events: Vec<Viewed>,
    /// Where to read on; absent when the log ends here.
    pub next: Option<Version>,
}

/// A session event as first reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewed {
    /// Of the upload that brought it.
    pub version: Version,
    pub device: DeviceId,
    pub received_at: Timestamp,
    pub event: RawEvent,
}

impl Viewing {
    pub fn new(store: Arc<dyn EventStore>) -> Self {
        Self { store, lengths: Cache::new(LENGTHS_MAX) }
    }

    /// Durable once it returns. Tried again after a lost answer it may be stored twice.
    ///
    /// # Errors
    /// When it is not known to be stored: the device keeps the events and sends them again.
    pub async fn append(
        &self,
        member: &MemberId,
        device: &DeviceId,
        events: &[RawEvent],
        received_at: Timestamp,
    ) -> Result<(), EngineError> {
        if events.is_empty() {
            return Ok(());
        }
        let events = events.to_vec();
        let body = encode_upload(&Upload { device: device.clone(), received_at, events });
        let mut length = self.lengths.get(member).unwrap_or(0);
        let mut attempts = 0;
        while attempts < ATTEMPTS_MAX {
            let (part, expected) = (length / PART_UPLOADS, length % PART_UPLOADS);
            let stream = stream(member, part)?;
            let appended = self.store.append(&stream, expected, vec![body.clone()]).await;
            let in_part = match appended {
                Ok(version) => {
                    self.lengths.insert(member.clone(), part * PART_UPLOADS + version);
                    return Ok(());
                }
                Err(AppendError::Conflict { actual, .. }) => actual,
                Err(AppendError::Unknown(_)) => expected,
                Err(error) => return Err(error.into()),
            };
            length = part * PART_UPLOADS + in_part;
            // On the way to the part where the log ends, nothing has been tried yet.
            attempts += usize::from(in_part < PART_UPLOADS);
        }
        Err(EngineError::Unavailable(format!(
            "the upload was not stored in {ATTEMPTS_MAX} attempts"
        )))
    }

    /// Events of the uploads behind a version, in the order in which they came: whole uploads, until
    /// there are `limit` events or more, or the part of the log ends in which the version lies. Reads
    /// no more than that part.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(
        &self,
        member: &MemberId,
        after: Version,
        limit: usize,
    ) -> Result<Page, EngineError> {
        let (part, before) = (after / PART_UPLOADS, after / PART_UPLOADS * PART_UPLOADS);
        // From its beginning, for an upload behind `after` may repeat what came before it.
        let slice = self.store.read(&stream(member, part)?, 0, None).await?;
        let mut reported = BTreeSet::new();
        let mut page = Page::default();
        let mut last = after;
        for recorded in &slice.events {
            let version = before + recorded.version;
            if version > after && page.events.len() >= limit {
                page.next = Some(last);
                return Ok(page);
            }
            last = version;
            let Some(body) = &recorded.body else { continue };
            let Upload { device, received_at, events } = decode_upload(body).map_err(|error| {
                EngineError::Corrupt(format!("viewing log, version {version}: {error}"))
            })?;
            for event in events {
                if reported.insert((device.clone(), event.sequence)) && version > after {
                    let device = device.clone();
                    page.events.push(Viewed { version, device, received_at, event });
                }
            }
        }
        page.next = (last == before + PART_UPLOADS).then_some(last);
        Ok(page)
    }
}

fn stream(member: &MemberId, part: u64) -> Result<StreamId, EngineError> {
    // The number stands where no member's id can be mistaken for it.
    let id = match part {
        0 => format!("viewing:{member}"),
        part => format!("viewing-{part}:{member}"),
    };
    StreamId::new(&id).map_err(|error| EngineError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
