//! A table of heads, open-addressed: a key names the slot where looking for it begins, and its
//! entry is there or in one of the next slots.
//!
//! Entries and nothing else: what costs, in a table of a million streams, is the way to memory
//! that nobody touched for long, and an index beside the entries would be a second such way.

use super::{ENTRY_BYTES, Entry};
use crate::bytes::array;
use crate::chain::Key;

/// No event is at position 0, and an entry without a position is a slot without an entry.
const POSITION: std::ops::Range<usize> = 32..38;
const VACANT: Entry = [0; ENTRY_BYTES];
const SLOTS_MIN: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Entry>,
    entries: usize,
}

impl Table {
    pub(super) fn find(&self, key: &Key) -> Option<&Entry> {
        let (before, from) = self.slots.split_at_checked(self.first_slot(key))?;
        from.iter().chain(before).take_while(|slot| is_taken(slot)).find(|it| it.starts_with(key))
    }

    /// Something of the slot where looking for a key begins, to have it fetched.
    pub(super) fn touch(&self, key: &Key) -> u8 {
        self.slots.get(self.first_slot(key)).map_or(0, |slot| slot[0])
    }

    /// Puts an entry in the place of the one with its key, or beside the others.
    pub(super) fn set(&mut self, entry: &Entry) {
        if self.entries + 1 > self.slots.len() * 7 / 10 {
            self.grow();
        }
        let Some(key) = array(entry, 0) else { return };
        let first = self.first_slot(&key);
        let Some((before, from)) = self.slots.split_at_mut_checked(first) else { return };
        let mut slots = from.iter_mut().chain(before);
        if let Some(slot) = slots.find(|slot| !is_taken(slot) || slot.starts_with(&key)) {
            self.entries += usize::from(!is_taken(slot));
            *slot = *entry;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().filter(|slot| is_taken(slot))
    }

    /// How many slots are looked at to find a key.
    #[cfg(test)]
    pub(super) fn way(&self, key: &Key) -> Option<usize> {
        let (before, from) = self.slots.split_at(self.first_slot(key));
        Some(from.iter().chain(before).position(|slot| slot.starts_with(key))? + 1)
    }

    fn grow(&mut self) {
        let slots = vec![VACANT; (self.slots.len() / 2 * 3).max(SLOTS_MIN)];
        let old = std::mem::replace(self, Self { slots, entries: 0 });
        for entry in old.iter() {
            self.set(entry);
        }
    }

    /// A key is a piece of a hash already; its first bytes say how far down the table. A factor of
    /// each table's own keeps entries that come in the order of another, as saved ones do, from
    /// crowding the beginning of this one while it grows.
    fn first_slot(&self, key: &Key) -> usize {
        let slots = self.slots.len() as u64;
        let part = array(key, 0).map_or(0, u64::from_be_bytes).wrapping_mul(slots | 1);
        usize::try_from((u128::from(part) * u128::from(slots)) >> 64).unwrap_or(0)
    }
}

fn is_taken(slot: &Entry) -> bool {
    slot.get(POSITION).is_some_and(|position| position != [0; 6])
}
