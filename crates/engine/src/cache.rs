//! The states of members that asked lately, within a bound on their bytes.
//!
//! A state is taken out while somebody works on it, and put back when what it says is durable:
//! folding one more event then copies nothing, and whoever goes away in the middle, by an error,
//! a panic or a dropped future, leaves no state behind rather than one that is half true.

use std::hash::{BuildHasherDefault, DefaultHasher};

use domain::MemberId;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::folded::Folded;

/// Keeps the lock of one part from being everybody's.
const SHARDS: usize = 16;
/// What a state takes at least: what the number of entries is estimated by.
const ENTRY_BYTES_MIN: u64 = 1_024;

/// A fixed hasher: the same commands evict the same members on every run.
type Hasher = BuildHasherDefault<DefaultHasher>;

#[derive(Debug)]
pub(crate) struct States(Cache<MemberId, Folded, Bytes, Hasher>);

#[derive(Debug, Clone, Copy)]
struct Bytes;

impl Weighter<MemberId, Folded> for Bytes {
    fn weight(&self, _member: &MemberId, folded: &Folded) -> u64 {
        folded.bytes()
    }
}

impl States {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let items = usize::try_from(bytes_max / ENTRY_BYTES_MIN).unwrap_or(usize::MAX).max(1);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity(items)
            .weight_capacity(bytes_max)
            .build();
        Self(match options {
            Ok(options) => {
                Cache::with_options(options, Bytes, Hasher::default(), DefaultLifecycle::default())
            }
            Err(_) => {
                Cache::with(items, bytes_max, Bytes, Hasher::default(), DefaultLifecycle::default())
            }
        })
    }

    pub(crate) fn take(&self, member: &MemberId) -> Option<Folded> {
        self.0.remove(member).map(|(_, folded)| folded)
    }

    pub(crate) fn put(&self, member: &MemberId, folded: Folded) {
        self.0.insert(member.clone(), folded);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.0.weight()
    }
}
