//! Where each stream ends: its version, the position of its last event, and the link that the
//! next one continues. In memory for all streams, 42 bytes each.
//!
//! The writer alone changes it, after a commit; anyone may ask. It is cut into shards so that a
//! shard that grows holds nobody up for long.

pub(crate) mod saved;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashTable;

use crate::bytes::{array, be32};
use crate::chain::{self, Key, Link};

const SHARDS: usize = 1024;
/// The largest position: 48 bits are 89 years of 100,000 events a second.
pub(crate) const POSITION_MAX: u64 = (1 << 48) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: u32,
    pub(crate) position: u64,
    pub(crate) link: Link,
}

impl Head {
    /// Of a stream that nobody wrote to.
    pub(crate) fn origin(key: &Key) -> Self {
        Self { version: 0, position: 0, link: chain::origin(key) }
    }
}

pub(crate) const ENTRY_BYTES: usize = 42;
/// Key, link, position, version: packed, for there is one per member.
type Entry = [u8; ENTRY_BYTES];

fn pack(key: &Key, head: &Head) -> Entry {
    let [_, _, position @ ..] = head.position.to_be_bytes();
    let mut entry = [0; ENTRY_BYTES];
    let (keyed, rest) = entry.split_at_mut(16);
    let (linked, rest) = rest.split_at_mut(16);
    let (positioned, versioned) = rest.split_at_mut(6);
    keyed.copy_from_slice(key);
    linked.copy_from_slice(&head.link);
    positioned.copy_from_slice(&position);
    versioned.copy_from_slice(&head.version.to_be_bytes());
    entry
}

fn unpack(entry: &Entry) -> (Key, Head) {
    let key = array(entry, 0).unwrap_or_default();
    let [p0, p1, p2, p3, p4, p5] = array(entry, 32).unwrap_or_default();
    let head = Head {
        version: be32(entry, 38).unwrap_or_default(),
        position: u64::from_be_bytes([0, 0, p0, p1, p2, p3, p4, p5]),
        link: array(entry, 16).unwrap_or_default(),
    };
    (key, head)
}

/// A key is a piece of a hash already.
pub(crate) fn hash(key: &[u8]) -> u64 {
    array(key, 0).map_or(0, u64::from_le_bytes)
}

#[derive(Debug)]
pub(crate) struct Heads {
    shards: Vec<RwLock<HashTable<Entry>>>,
    streams: AtomicUsize,
}

impl Heads {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::new(HashTable::new())).collect();
        Self { shards, streams: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Head> {
        let shard = self.shard(key)?.read().unwrap_or_else(PoisonError::into_inner);
        shard.find(hash(key), |entry| entry.starts_with(key)).map(|entry| unpack(entry).1)
    }

    pub(crate) fn set(&self, key: &Key, head: &Head) {
        let Some(shard) = self.shard(key) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        let entry = pack(key, head);
        match shard.find_mut(hash(key), |entry| entry.starts_with(key)) {
            Some(found) => *found = entry,
            None => {
                shard.insert_unique(hash(key), entry, |entry| hash(entry));
                self.streams.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// Where the streams of a shard end; `None` behind the last shard.
    pub(crate) fn positions(&self, shard: usize) -> Option<Vec<u64>> {
        let shard = self.shards.get(shard)?.read().unwrap_or_else(PoisonError::into_inner);
        Some(shard.iter().map(|entry| unpack(entry).1.position).collect())
    }

    /// Copies shard after shard, holding none for longer than its copy takes.
    pub(crate) fn for_each_shard<E>(
        &self,
        mut visit: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut copy = Vec::new();
        for shard in &self.shards {
            copy.clear();
            copy.extend(shard.read().unwrap_or_else(PoisonError::into_inner).iter().copied());
            visit(&copy)?;
        }
        Ok(())
    }

    fn shard(&self, key: &Key) -> Option<&RwLock<HashTable<Entry>>> {
        // Not the bytes that choose the place within the shard.
        let number = usize::from(u16::from_be_bytes([key[14], key[15]]));
        self.shards.get(number % SHARDS)
    }
}

#[cfg(test)]
mod tests;
