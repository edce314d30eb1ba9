//! Load, decide, append; and after a conflict or an answer that got lost, read before anything
//! else is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use codec::encode_event;
use domain::member::{Command, Eligibility, Idempotency, eligibility};
use domain::policy::HORIZON;
use domain::{Decision, Duration, Event, IdempotencyKey, Member, MemberId, Policy, Request};
use store::{AppendError, EventStore, Recorded, StreamId, Version};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::cache::States;
use crate::error::EngineError;
use crate::folded::{Folded, events, load, stream};
use crate::horizon::horizon;
use crate::lanes::{LaneFull, Lanes};
use crate::policies::Policies;
use crate::snapshots::Snapshots;
use crate::what_if::{self, Difference, Go, Kind, Progress, Report, WhatIf};
use crate::withdrawals::{Titles, Withdrawals};

/// How often one request is decided or appended before it is given up: other nodes are winning
/// every race for this member, or the store loses every answer.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// What a caller who was turned away is told to wait.
const RETRY_AFTER_SECONDS: u32 = 1;

#[derive(Debug, Clone)]
pub struct Options {
    /// Memory for the states of members, estimated.
    pub cached_bytes_max: u64,
    /// Requests under way at once; those beyond are turned away at the door.
    pub in_flight_max: usize,
    /// A snapshot is due when so many events follow the last one.
    pub snapshot_every: u64,
    /// How far back states remember. [`Engine::open`] asks the store.
    pub horizon: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cached_bytes_max: 64 << 20,
            in_flight_max: 2_048,
            snapshot_every: 64,
            horizon: HORIZON,
        }
    }
}

/// A clone is the same engine.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn EventStore>,
    policies: Arc<Policies>,
    withdrawals: Withdrawals,
    lanes: Lanes,
    states: States,
    snapshots: Snapshots,
    in_flight: Semaphore,
    options: Options,
    counters: Counters,
}

/// What was decided, and where it left the member.
#[derive(Debug, Clone)]
pub struct Decided {
    pub decision: Decision,
    pub member: Arc<Member>,
    pub policy: Arc<Policy>,
}

/// For metrics; counts since the engine was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    pub in_flight: usize,
    pub cached_members: usize,
    pub cached_bytes: u64,
    /// Members whose state was not cached and came from the store.
    pub loads: u64,
    pub events_appended: u64,
    /// Turned away.
    pub overloaded: u64,
    /// Appends that found somebody else's events.
    pub conflicts: u64,
    /// Appends whose answer was lost.
    pub unknown: u64,
}

#[derive(Debug, Default)]
struct Counters {
    loads: AtomicU64,
    events_appended: AtomicU64,
    overloaded: AtomicU64,
    conflicts: AtomicU64,
    unknown: AtomicU64,
}

/// Binds a retry of these commands to their first telling.
pub fn idempotency(key: IdempotencyKey, commands: &[Command]) -> Idempotency {
    Idempotency { key, body_digest: codec::body_digest(commands) }
}

impl Engine {
    /// With what the store says of itself: the titles that are withdrawn, and how far back states
    /// remember.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn open(
        store: Arc<dyn EventStore>,
        policies: Arc<Policies>,
        options: Options,
    ) -> Result<Self, EngineError> {
        let horizon = horizon(&*store).await?;
        let engine = Self::new(store, policies, Options { horizon, ..options });
        engine.withdrawals().read().await?;
        Ok(engine)
    }

    /// For a store on which no title was withdrawn, and that remembers what the options say.
    pub fn new(store: Arc<dyn EventStore>, policies: Arc<Policies>, options: Options) -> Self {
        Self(Arc::new(Inner {
            withdrawals: Withdrawals::new(Arc::clone(&store)),
            store,
            policies,
            lanes: Lanes::new(),
            states: States::new(options.cached_bytes_max),
            snapshots: Snapshots::new(),
            in_flight: Semaphore::new(options.in_flight_max.min(Semaphore::MAX_PERMITS)),
            options,
            counters: Counters::default(),
        }))
    }

    /// Decides a request and makes the decision durable. Whoever drops the future has either
    /// asked for nothing or cannot know: a retry under the same idempotency key tells.
    ///
    /// # Errors
    /// When nothing was decided, or it is not known whether what was decided is recorded.
    pub async fn decide(
        &self,
        member: &MemberId,
        request: Request,
    ) -> Result<Decided, EngineError> {
        let inner = &*self.0;
        let _admitted = inner.admit()?;
        let _turn = inner.lanes.enter(member).await.map_err(|LaneFull| inner.overloaded())?;
        let mut folded = inner.take(member).await?;
        let stream = folded.stream.clone();
        // Sent, and no answer came. A decision in doubt is told again word for word: if both
        // arrive one of them conflicts, and its bytes are recognized.
        let mut in_doubt: Option<Made> = None;
        for _ in 0..ATTEMPTS_MAX {
            let doubted = in_doubt.is_some();
            let made = match in_doubt.take() {
                Some(made) => made,
                None => inner.make(&folded, &request)?,
            };
            if made.decision.events.is_empty() {
                // No append will tell whether the cached state was the newest.
                if inner.tail(&mut folded).await? == 0 {
                    return Ok(inner.answer(member, folded, made));
                }
                continue;
            }
            let before = folded.version;
            let bodies = made.bodies();
            // Folded while what was decided on is at hand; kept only once it is durable.
            folded.happened(&made.decision.events);
            let unknown = match inner.store.append(&stream, before, bodies).await {
                Ok(_) => return Ok(inner.appended(member, folded, made)),
                Err(AppendError::Conflict { .. }) => {
                    inner.counters.conflicts.fetch_add(1, Ordering::Relaxed);
                    doubted
                }
                Err(AppendError::Unknown(_)) => {
                    inner.counters.unknown.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(error) => return Err(error.into()),
            };
            let now = Box::pin(inner.load(stream.clone())).await?;
            if unknown && now.version > before {
                let tail = inner.store.read(&stream, before, None).await?.events;
                if let Some(others) = made.after_it(&tail) {
                    folded.follow(others)?;
                    return Ok(inner.appended(member, folded, made));
                }
            }
            // While nothing is behind what was decided on, it may still arrive. Otherwise somebody
            // else was first: decide on what is there now.
            if unknown && now.version == before {
                in_doubt = Some(made);
            }
            folded = now;
        }
        Err(EngineError::Unavailable(format!("undecided after {ATTEMPTS_MAX} attempts")))
    }

    /// Whether a request would be accepted now, and what is left of each cap. Records nothing.
    ///
    /// # Errors
    /// When the member or the policy cannot be read.
    pub async fn eligibility(
        &self,
        member: &MemberId,
        request: Request,
    ) -> Result<(Eligibility, Arc<Policy>), EngineError> {
        let (_, state) = self.member(member).await?;
        let policy = self.0.policies.in_effect(request.at.max(state.last_at))?;
        let titles = self.0.withdrawals.titles();
        Ok((eligibility(&state, &titles.told(&request, &state), &policy), policy))
    }

    /// The member as of now, and the version of its stream. What is withdrawn has ended, also where
    /// that is not recorded yet.
    ///
    /// # Errors
    /// When the member cannot be read.
    pub async fn member(&self, member: &MemberId) -> Result<(Version, Arc<Member>), EngineError> {
        let inner = &*self.0;
        let _admitted = inner.admit()?;
        let _turn = inner.lanes.enter(member).await.map_err(|LaneFull| inner.overloaded())?;
        let mut folded = inner.take(member).await?;
        inner.tail(&mut folded).await?;
        let (version, state) = (folded.version, Arc::clone(&folded.member));
        inner.keep(member, folded);
        Ok((version, inner.withdrawals.titles().found(state, &inner.policies)?))
    }

    /// At most `limit` events behind a version, oldest first. Those that were erased are left out.
    ///
    /// # Errors
    /// When the member cannot be read.
    pub async fn timeline(
        &self,
        member: &MemberId,
        after: Version,
        limit: usize,
    ) -> Result<Vec<(Version, Event)>, EngineError> {
        let _admitted = self.0.admit()?;
        let slice = self.0.store.read(&stream(member)?, after, None).await?;
        events(&slice.events).take(limit).collect()
    }

    /// Asks recorded history again: [`what_if::run`] on this engine's store.
    ///
    /// # Errors
    /// As there.
    pub fn what_if(
        &self,
        what_if: &WhatIf,
        progress: &mut (dyn FnMut(Progress) -> Go + Send),
        visit: &mut (dyn FnMut(Kind, &Difference) + Send),
    ) -> Result<Report, EngineError> {
        what_if::run(&*self.0.store, what_if, progress, visit)
    }

    /// Titles that were withdrawn for all members.
    pub fn withdrawals(&self) -> &Withdrawals {
        &self.0.withdrawals
    }

    /// Whether half of the places are taken: what can wait should.
    pub fn is_busy(&self) -> bool {
        self.places_to_spare() == 0
    }

    /// Beside the half that is for requests.
    pub(crate) fn places_to_spare(&self) -> usize {
        let Inner { in_flight, options, .. } = &*self.0;
        in_flight.available_permits().saturating_sub(options.in_flight_max / 2)
    }

    pub fn horizon(&self) -> Duration {
        self.0.options.horizon
    }

    pub fn policies(&self) -> &Arc<Policies> {
        &self.0.policies
    }

    /// Stores snapshots as they fall due, for as long as it is polled: a task beside the
    /// requests. Without it nothing is lost but time when loading.
    pub async fn keep_snapshots(&self) {
        self.0.snapshots.keep(&*self.0.store).await;
    }

    pub fn stats(&self) -> Stats {
        let Inner { states, in_flight, options, counters, .. } = &*self.0;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            in_flight: options.in_flight_max.saturating_sub(in_flight.available_permits()),
            cached_members: states.len(),
            cached_bytes: states.bytes(),
            loads: read(&counters.loads),
            events_appended: read(&counters.events_appended),
            overloaded: read(&counters.overloaded),
            conflicts: read(&counters.conflicts),
            unknown: read(&counters.unknown),
        }
    }
}

/// A decision and the policy it was made under.
struct Made {
    decision: Decision,
    policy: Arc<Policy>,
    /// Kept for as long as it may be appended.
    _told: Arc<Titles>,
}

impl Made {
    fn bodies(&self) -> Vec<Vec<u8>> {
        self.decision.events.iter().map(encode_event).collect()
    }

    /// What follows, if these are the very bytes that were recorded first.
    fn after_it<'a>(&self, tail: &'a [Recorded]) -> Option<&'a [Recorded]> {
        let bodies = self.bodies();
        let (ours, others) = tail.split_at_checked(bodies.len())?;
        let same = ours.iter().zip(&bodies).all(|(recorded, body)| {
            recorded.body.as_deref().is_some_and(|recorded| recorded == body.as_slice())
        });
        same.then_some(others)
    }
}

impl Inner {
    /// Waiting longer would help nobody: whoever does not fit is told at once.
    fn admit(&self) -> Result<SemaphorePermit<'_>, EngineError> {
        self.in_flight.try_acquire().map_err(|_| self.overloaded())
    }

    fn overloaded(&self) -> EngineError {
        self.counters.overloaded.fetch_add(1, Ordering::Relaxed);
        EngineError::Overloaded { retry_after_seconds: RETRY_AFTER_SECONDS }
    }

    /// The member's state, which is nowhere else until it is put back.
    async fn take(&self, member: &MemberId) -> Result<Folded, EngineError> {
        match self.states.take(member) {
            Some(folded) => Ok(folded),
            // Boxed: what is rare takes no room in every request under way.
            None => Box::pin(self.load(stream(member)?)).await,
        }
    }

    async fn load(&self, stream: StreamId) -> Result<Folded, EngineError> {
        self.counters.loads.fetch_add(1, Ordering::Relaxed);
        load(&*self.store, stream, self.options.horizon).await
    }

    fn make(&self, folded: &Folded, request: &Request) -> Result<Made, EngineError> {
        // By the time of the decision, so that a clock that jumps back brings no policy back.
        let told = self.withdrawals.titles();
        let at = told.decided_at(&folded.member, request);
        let policy = self.policies.in_effect(at)?;
        let decision = told.decide(&folded.member, request, at, &policy);
        Ok(Made { decision, policy, _told: told })
    }

    /// Folds in what was recorded behind the state, and tells how many events that were.
    async fn tail(&self, folded: &mut Folded) -> Result<usize, EngineError> {
        let slice = self.store.read(&folded.stream, folded.version, None).await?;
        folded.follow(&slice.events)?;
        Ok(slice.events.len())
    }

    fn appended(&self, member: &MemberId, folded: Folded, made: Made) -> Decided {
        let events = made.decision.events.len() as u64;
        self.counters.events_appended.fetch_add(events, Ordering::Relaxed);
        self.answer(member, folded, made)
    }

    fn answer(&self, member: &MemberId, folded: Folded, made: Made) -> Decided {
        let state = Arc::clone(&folded.member);
        self.keep(member, folded);
        Decided { decision: made.decision, member: state, policy: made.policy }
    }

    fn keep(&self, member: &MemberId, mut folded: Folded) {
        if folded.version - folded.snapshot >= self.options.snapshot_every {
            self.snapshots.offer(&mut folded);
        }
        self.states.put(member, folded);
    }
}

#[cfg(test)]
mod tests;
