//! One lane per member: commands of one member pass one behind the other, members side by side.
//!
//! A lane exists while somebody is in it and costs nothing afterwards. Leaving is dropping, so
//! a caller who goes away while waiting or while holding the lane leaves it too.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::MemberId;
use tokio::sync::OwnedMutexGuard;

const SHARDS: usize = 64;

/// How many may be in one lane: a single member's storm is not everybody's outage.
pub(crate) const LANE_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Lanes {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

type Shard = HashMap<MemberId, Queue>;

#[derive(Debug, Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Those waiting and the one whose turn it is.
    entered: usize,
}

/// [`LANE_MAX`] are in it already.
#[derive(Debug)]
pub(crate) struct LaneFull;

/// A turn in a member's lane; ends when dropped.
#[derive(Debug)]
pub(crate) struct Lane<'a> {
    /// Declared first, so that the turn passes on before the place is given up.
    _turn: OwnedMutexGuard<()>,
    _place: Place<'a>,
}

#[derive(Debug)]
struct Place<'a> {
    shard: &'a Mutex<Shard>,
    member: &'a MemberId,
}

impl Lanes {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// Waits for this caller's turn.
    pub(crate) async fn enter<'a>(&'a self, member: &'a MemberId) -> Result<Lane<'a>, LaneFull> {
        let (place, turn) = self.queue_up(member)?;
        Ok(Lane { _turn: turn.lock_owned().await, _place: place })
    }

    fn queue_up<'a>(
        &'a self,
        member: &'a MemberId,
    ) -> Result<(Place<'a>, Arc<tokio::sync::Mutex<()>>), LaneFull> {
        let shard = self.shard(member);
        let mut lanes = lock(shard);
        let queue = lanes.entry(member.clone()).or_default();
        if queue.entered >= LANE_MAX {
            return Err(LaneFull);
        }
        queue.entered += 1;
        let turn = Arc::clone(&queue.turn);
        Ok((Place { shard, member }, turn))
    }

    #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of shards")]
    fn shard(&self, member: &MemberId) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(member);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }

    /// How many members have somebody in their lane.
    #[cfg(test)]
    pub(crate) fn busy(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lanes = lock(self.shard);
        if let Some(queue) = lanes.get_mut(self.member) {
            queue.entered -= 1;
            if queue.entered == 0 {
                lanes.remove(self.member);
            }
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing that is done under the lock can panic half-way.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
