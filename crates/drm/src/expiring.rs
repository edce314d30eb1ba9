//! What was seen, until it could not be valid any more: the memory behind single use.
//!
//! Bounded, and never forgetting early: a full memory refuses newcomers rather than dropping what
//! somebody might show again. Time is the caller's; one that jumps backwards revives nothing.

use std::collections::btree_map::BTreeMap;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Mutex, PoisonError};

use ring::digest::{SHA256, digest};

/// Half of a SHA-256, which is plenty for telling apart what is seen within minutes.
type Digest = [u8; 16];

#[derive(Debug)]
pub struct ExpiringMap<V> {
    entries_max: usize,
    state: Mutex<State<V>>,
}

#[derive(Debug)]
struct State<V> {
    seen: HashMap<Digest, V>,
    /// By the second in which they end. One list per second, not a heap: everything here lives for
    /// about the same few minutes.
    ends: BTreeMap<i64, Vec<Digest>>,
    now_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<V> {
    /// Kept now, until its end.
    First,
    /// Seen before, with this value.
    Before(V),
    /// Its end has passed by this map's clock, which never goes back.
    Over,
    /// No room: not kept, and so not to be let through.
    Full,
}

impl<V: Clone> ExpiringMap<V> {
    pub fn new(entries_max: usize) -> Self {
        let state = State { seen: HashMap::new(), ends: BTreeMap::new(), now_ms: i64::MIN };
        Self { entries_max, state: Mutex::new(state) }
    }

    /// Looks `key` up and, when it is new, keeps it with `value` until `ends_at_ms`.
    pub fn see(&self, key: &[u8], value: V, ends_at_ms: i64, now_ms: i64) -> Seen<V> {
        let digest = half_digest(key);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_until(now_ms);
        if ends_at_ms <= state.now_ms {
            return Seen::Over;
        }
        let is_full = state.seen.len() >= self.entries_max;
        match state.seen.entry(digest) {
            Entry::Occupied(entry) => return Seen::Before(entry.get().clone()),
            Entry::Vacant(_) if is_full => return Seen::Full,
            Entry::Vacant(entry) => entry.insert(value),
        };
        state.ends.entry(ends_at_ms.div_euclid(1000)).or_default().push(digest);
        Seen::First
    }

    pub fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V> State<V> {
    /// Seconds are dropped whole, once over: an entry stays up to a second longer than it must.
    fn forget_until(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        while let Some(first) = self.ends.first_entry() {
            if first.key().saturating_add(1).saturating_mul(1000) > self.now_ms {
                break;
            }
            for digest in first.remove() {
                self.seen.remove(&digest);
            }
        }
    }
}

pub(crate) fn half_digest(key: &[u8]) -> Digest {
    let mut half = [0; 16];
    half.iter_mut().zip(digest(&SHA256, key).as_ref()).for_each(|(to, from)| *to = *from);
    half
}

#[cfg(test)]
mod tests;
