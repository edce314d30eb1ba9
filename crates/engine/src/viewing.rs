//! The viewing log: raw session events, in a store of their own.
//!
//! Viewing data is not ledger data: the ledger records that and when a session began and what
//! counts; here is what the device saw, with its own retention and erasure. Writing never asks
//! what is there already, so an upload that comes again is stored again, and reading counts each
//! sequence number of a device once.

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

#[derive(Debug)]
pub struct Viewing {
    store: Arc<dyn EventStore>,
    lengths: Cache<MemberId, Version>,
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

    /// Durable once it returns. Tried again after a lost answer it may be stored twice, which no
    /// reader sees.
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
        let stream = stream(member)?;
        let events = events.to_vec();
        let body = encode_upload(&Upload { device: device.clone(), received_at, events });
        let mut expected = self.lengths.get(member).unwrap_or(0);
        for _ in 0..ATTEMPTS_MAX {
            expected = match self.store.append(&stream, expected, vec![body.clone()]).await {
                Ok(version) => {
                    self.lengths.insert(member.clone(), version);
                    return Ok(());
                }
                Err(AppendError::Conflict { actual, .. }) => actual,
                Err(AppendError::Unknown(_)) => expected,
                Err(error) => return Err(error.into()),
            };
        }
        Err(EngineError::Unavailable(format!(
            "the upload was not stored in {ATTEMPTS_MAX} attempts"
        )))
    }

    /// Events of the uploads behind a version, in the order in which they came: whole uploads,
    /// until there are `limit` events or more.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn read(
        &self,
        member: &MemberId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Viewed>, EngineError> {
        // From the beginning, for an upload behind `after` may repeat what came before it.
        let slice = self.store.read(&stream(member)?, 0, None).await?;
        let mut reported = BTreeSet::new();
        let mut viewed = Vec::new();
        for recorded in &slice.events {
            let Some(body) = &recorded.body else { continue };
            let Upload { device, received_at, events } = decode_upload(body).map_err(|error| {
                EngineError::Corrupt(format!("viewing log, version {}: {error}", recorded.version))
            })?;
            let asked = recorded.version > after && viewed.len() < limit;
            for event in events {
                let first = reported.insert((device.clone(), event.sequence));
                if first && asked {
                    let (version, device) = (recorded.version, device.clone());
                    viewed.push(Viewed { version, device, received_at, event });
                }
            }
        }
        Ok(viewed)
    }
}

fn stream(member: &MemberId) -> Result<StreamId, EngineError> {
    StreamId::new(&format!("viewing:{member}"))
        .map_err(|error| EngineError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
