//! Where each stream ends: its version, the position of its last event, and the link that the
//! next one continues. In memory for all streams, 42 bytes each.
//!
//! The writer alone changes it, after a commit; anyone may ask. It is cut into shards so that one
//! that grows holds nobody up for long. All have one lock: whoever asks for many heads takes it
//! once, for a lock for each would cost as much again.

pub(crate) mod saved;
mod table;

use std::hint::black_box;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use table::Table;

use crate::bytes::{array, be32};
use crate::chain::{self, Key, Link};

const SHARDS: usize = 4096;
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

#[derive(Debug)]
pub(crate) struct Heads {
    shards: RwLock<Vec<Table>>,
}

impl Heads {
    pub(crate) fn new() -> Self {
        Self { shards: RwLock::new((0..SHARDS).map(|_| Table::default()).collect()) }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Head> {
        find(&self.read(), key)
    }

    /// The heads of many streams. The memory they lie in is far away, and the processor fetches
    /// several at a time when hardly anything stands between one and the next: so first only that.
    pub(crate) fn get_all<'a>(
        &self,
        keys: impl Iterator<Item = &'a Key> + Clone,
        heads: &mut Vec<Option<Head>>,
    ) {
        let shards = self.read();
        let touch = |key: &Key| shards.get(shard(key)).map_or(0, |shard| shard.touch(key));
        black_box(keys.clone().fold(0, |all, key| all ^ touch(key)));
        heads.extend(keys.map(|key| find(&shards, key)));
    }

    pub(crate) fn set<'a>(&self, heads: impl IntoIterator<Item = (&'a Key, &'a Head)>) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        for (key, head) in heads {
            if let Some(shard) = shards.get_mut(shard(key)) {
                shard.set(&pack(key, head));
            }
        }
    }

    pub(crate) fn streams(&self) -> usize {
        self.read().iter().map(Table::len).sum()
    }

    /// How many events there are if they are right: of each stream as many as its version says.
    pub(crate) fn events(&self) -> u64 {
        let shards = self.read();
        shards.iter().flat_map(Table::iter).map(|entry| u64::from(unpack(entry).1.version)).sum()
    }

    /// Where the streams of a shard end; `None` behind the last shard.
    pub(crate) fn positions(&self, shard: usize) -> Option<Vec<u64>> {
        let shards = self.read();
        Some(shards.get(shard)?.iter().map(|entry| unpack(entry).1.position).collect())
    }

    /// Copies shard after shard, holding them for no longer than one copy takes.
    pub(crate) fn for_each_shard<E>(
        &self,
        mut visit: impl FnMut(&[Entry]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut copy = Vec::new();
        for number in 0..SHARDS {
            copy.clear();
            copy.extend(self.read().get(number).into_iter().flat_map(Table::iter).copied());
            visit(&copy)?;
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Table>> {
        self.shards.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(shards: &[Table], key: &Key) -> Option<Head> {
    shards.get(shard(key))?.find(key).map(|entry| unpack(entry).1)
}

fn shard(key: &Key) -> usize {
    // Not the bytes that choose the place within the shard.
    usize::from(u16::from_be_bytes([key[14], key[15]])) % SHARDS
}

#[cfg(test)]
mod tests;
