//! A store without a disk: for tests, for the simulation, and for trying things out.
//!
//! It has no threads and answers at the first poll, so one seed decides everything that happens
//! above it.
//! A clone is the same store: keep one outside the engine and the data outlives the engine, as
//! a disk would.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;

use crate::limits::check_bodies;
use crate::seam::{
    AppendError, BoxFuture, Cursor, EventStore, FeedEvent, FeedPage, ReadError, Recorded, Snapshot,
    StreamId, StreamSlice, Version,
};

#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Everything, in commit order: the feed.
    log: Vec<FeedEvent>,
    /// Where in `log` each stream's events are, oldest first.
    streams: BTreeMap<StreamId, Vec<usize>>,
    snapshots: BTreeMap<StreamId, Snapshot>,
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing below can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventStore for MemoryStore {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        async move { Ok(self.state().read(stream, after, fingerprint)) }.boxed()
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>> {
        async move { self.state().append(stream, expected, bodies) }.boxed()
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        async move { self.state().feed(cursor, limit) }.boxed()
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        async move { self.state().put_snapshot(stream, snapshot) }.boxed()
    }

    fn events(&self) -> Option<u64> {
        Some(self.state().log.len() as u64)
    }
}

impl State {
    fn version(&self, stream: &StreamId) -> Version {
        self.streams.get(stream).map_or(0, |positions| positions.len() as Version)
    }

    fn read(&self, stream: &StreamId, after: Version, fingerprint: Option<u64>) -> StreamSlice {
        let snapshot = self
            .snapshots
            .get(stream)
            .filter(|kept| Some(kept.fingerprint) == fingerprint && kept.version > after)
            .cloned();
        let after = snapshot.as_ref().map_or(after, |kept| kept.version);
        let positions = self.streams.get(stream).map(Vec::as_slice).unwrap_or_default();
        let events = positions
            .iter()
            .skip(usize::try_from(after).unwrap_or(usize::MAX))
            .filter_map(|&position| self.log.get(position))
            .map(|event| event.recorded.clone())
            .collect();
        StreamSlice { snapshot, events }
    }

    fn append(
        &mut self,
        stream: &StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> Result<Version, AppendError> {
        check_bodies(&bodies)?;
        let actual = self.version(stream);
        if actual != expected {
            return Err(AppendError::Conflict { expected, actual });
        }
        let positions = self.streams.entry(stream.clone()).or_default();
        for body in bodies {
            let version = positions.len() as Version + 1;
            positions.push(self.log.len());
            let recorded = Recorded { version, body: Some(body.into()) };
            self.log.push(FeedEvent { stream: stream.clone(), recorded });
        }
        Ok(positions.len() as Version)
    }

    fn feed(&self, cursor: &Cursor, limit: usize) -> Result<FeedPage, ReadError> {
        let start = parse_cursor(cursor)
            .filter(|&start| start <= self.log.len())
            .ok_or_else(|| ReadError::InvalidCursor(format!("{:02x?}", cursor.0)))?;
        let events: Vec<_> = self.log.iter().skip(start).take(limit).cloned().collect();
        let next = match events.len() {
            0 => cursor.clone(),
            seen => Cursor(((start + seen) as u64).to_be_bytes().to_vec()),
        };
        Ok(FeedPage { events, next })
    }

    fn put_snapshot(&mut self, stream: &StreamId, snapshot: Snapshot) -> Result<(), AppendError> {
        let actual = self.version(stream);
        if snapshot.version == 0 || snapshot.version > actual {
            return Err(AppendError::Invalid(format!(
                "a snapshot at version {} of a stream at version {actual}",
                snapshot.version
            )));
        }
        let kept = self.snapshots.get(stream);
        if kept.is_none_or(|kept| {
            kept.fingerprint != snapshot.fingerprint || kept.version <= snapshot.version
        }) {
            self.snapshots.insert(stream.clone(), snapshot);
        }
        Ok(())
    }
}

fn parse_cursor(cursor: &Cursor) -> Option<usize> {
    if cursor.0.is_empty() {
        return Some(0);
    }
    let bytes = <[u8; 8]>::try_from(cursor.0.as_slice()).ok()?;
    usize::try_from(u64::from_be_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests;
