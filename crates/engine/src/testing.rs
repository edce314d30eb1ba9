//! What the tests of this crate share: commands to give, and stores that misbehave on cue.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use codec::policy::{Loaded, parse};
use domain::member::{Command, Idempotency};
use domain::{
    DeviceClass, DeviceId, IdempotencyKey, KeyThumbprint, LicenseId, MemberFacts, MemberId,
    PartnerId, Request, Timestamp, TitleFacts, TitleId,
};
use futures::FutureExt;
use store::memory::MemoryStore;
use store::{
    AppendError, BoxFuture, Cursor, EventStore, FeedPage, ReadError, Snapshot, StreamId,
    StreamSlice, Version,
};
use tokio::sync::oneshot;

use crate::{Decided, Engine, EngineError, Options, Policies};

/// Two licenses at once on a device.
pub(crate) const POLICY: &str = r#"
format = 1
name = "test"
effective_from = 2020-01-01T00:00:00Z
[terms]
start_within = "30d"
finish_within = "48h"
[[caps]]
id = "two-per-device"
counts = "active_licenses"
per = ["device"]
limit = 2
"#;

pub(crate) fn loaded(text: &str) -> Loaded {
    parse(&[("policy.toml", text)]).unwrap()
}

pub(crate) fn engine(store: Arc<dyn EventStore>) -> Engine {
    engine_with(store, Options::default())
}

pub(crate) fn engine_with(store: Arc<dyn EventStore>, options: Options) -> Engine {
    let policies = block_on(Policies::open(Arc::clone(&store), loaded(POLICY))).unwrap();
    Engine::new(store, Arc::new(policies), options)
}

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_780_000_000_000 + seconds * 1_000)
}

pub(crate) fn member(id: &str) -> MemberId {
    MemberId::new(id).unwrap()
}

pub(crate) fn register(device: &str) -> Command {
    Command::RegisterDevice {
        device: DeviceId::new(device).unwrap(),
        class: DeviceClass::Phone,
        key: KeyThumbprint::new(&format!("key-of-{device}")).unwrap(),
        name: device.to_owned(),
    }
}

pub(crate) fn acquire(device: &str, title: &str, license: &str) -> Command {
    let facts = TitleFacts {
        partner: PartnerId::new("studio").unwrap(),
        series: None,
        tags: Arc::default(),
        maturity_rating: None,
        downloadable: true,
        offered: true,
        available_from: None,
        available_until: None,
    };
    Command::Acquire {
        device: DeviceId::new(device).unwrap(),
        title: TitleId::new(title).unwrap(),
        title_facts: Some(facts),
        license: LicenseId::new(license).unwrap(),
    }
}

pub(crate) fn release(license: &str) -> Command {
    Command::Release { by: None, license: LicenseId::new(license).unwrap() }
}

pub(crate) fn request(at: Timestamp, commands: Vec<Command>) -> Request {
    Request { at, idempotency: None, facts: MemberFacts::default(), commands }
}

pub(crate) fn keyed(key: &str, at: Timestamp, commands: Vec<Command>) -> Request {
    let key = IdempotencyKey::new(key).unwrap();
    let idempotency: Idempotency = crate::idempotency(key, &commands);
    Request { idempotency: Some(idempotency), ..request(at, commands) }
}

#[track_caller]
pub(crate) fn decide(engine: &Engine, of: &str, request: Request) -> Result<Decided, EngineError> {
    block_on(engine.decide(&member(of), request))
}

/// How many events the member's stream has in the store, whatever any engine believes.
pub(crate) fn stored(store: &dyn EventStore, of: &str) -> u64 {
    let stream = crate::folded::stream(&member(of)).unwrap();
    block_on(store.read(&stream, 0, None)).unwrap().events.len() as u64
}

/// What to do with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Written, but nobody hears of it.
    AnswerLost,
    /// Not written, and nobody knows.
    QuestionLost,
    /// Nobody knows; written before the append after the next one.
    WrittenLate,
    Refused,
}

/// A memory store that fails as told, and lets a test in before each append.
#[derive(Clone)]
pub(crate) struct FaultyStore {
    pub(crate) inner: MemoryStore,
    pub(crate) state: Arc<Mutex<Faults>>,
}

type Hook = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Faults {
    pub(crate) appends: VecDeque<Option<Fault>>,
    pub(crate) reads_fail: usize,
    pub(crate) feed_fails: Option<ReadError>,
    pub(crate) before_append: VecDeque<Hook>,
    late: Option<(StreamId, Version, Vec<Vec<u8>>)>,
    pub(crate) appends_seen: usize,
    pub(crate) snapshots_put: usize,
}

impl FaultyStore {
    pub(crate) fn new() -> Self {
        Self { inner: MemoryStore::new(), state: Arc::default() }
    }

    pub(crate) fn fail(&self, faults: &[Option<Fault>]) {
        self.state.lock().unwrap().appends.extend(faults);
    }

    fn append_now(
        &self,
        stream: &StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> Result<Version, AppendError> {
        let (hook, fault, late) = {
            let mut state = self.state.lock().unwrap();
            state.appends_seen += 1;
            let fault = state.appends.pop_front().flatten();
            let late = if fault.is_none() { state.late.take() } else { None };
            (state.before_append.pop_front(), fault, late)
        };
        if let Some(hook) = hook {
            hook();
        }
        if let Some((stream, expected, bodies)) = late {
            let _ = block_on(self.inner.append(&stream, expected, bodies));
        }
        let lost = || Err(AppendError::Unknown("the answer was lost".to_owned()));
        match fault {
            None => block_on(self.inner.append(stream, expected, bodies)),
            Some(Fault::AnswerLost) => {
                block_on(self.inner.append(stream, expected, bodies)).and(lost())
            }
            Some(Fault::QuestionLost) => lost(),
            Some(Fault::WrittenLate) => {
                self.state.lock().unwrap().late = Some((stream.clone(), expected, bodies));
                lost()
            }
            Some(Fault::Refused) => Err(AppendError::Unavailable("the disk is full".to_owned())),
        }
    }
}

impl std::fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FaultyStore")
    }
}

impl EventStore for FaultyStore {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        let failing = {
            let mut state = self.state.lock().unwrap();
            let failing = state.reads_fail > 0;
            state.reads_fail = state.reads_fail.saturating_sub(1);
            failing
        };
        if failing {
            return async { Err(ReadError::Unavailable("no answer".to_owned())) }.boxed();
        }
        self.inner.read(stream, after, fingerprint)
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>> {
        async move { self.append_now(stream, expected, bodies) }.boxed()
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        if let Some(error) = self.state.lock().unwrap().feed_fails.clone() {
            return async { Err(error) }.boxed();
        }
        self.inner.feed(cursor, limit)
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        self.state.lock().unwrap().snapshots_put += 1;
        self.inner.put_snapshot(stream, snapshot)
    }
}

/// A memory store that works through a queue behind its callers' backs, as one with a writer
/// thread does: an append that was sent goes on when its future is dropped.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueuedStore {
    pub(crate) inner: MemoryStore,
    queue: Arc<Mutex<VecDeque<Queued>>>,
}

#[derive(Debug)]
struct Queued {
    stream: StreamId,
    expected: Version,
    bodies: Vec<Vec<u8>>,
    answer: oneshot::Sender<Result<Version, AppendError>>,
}

impl QueuedStore {
    /// Does the writer's work; false when there is none.
    pub(crate) fn write_one(&self) -> bool {
        let Some(queued) = self.queue.lock().unwrap().pop_front() else { return false };
        let Queued { stream, expected, bodies, answer } = queued;
        let _ = answer.send(block_on(self.inner.append(&stream, expected, bodies)));
        true
    }
}

impl EventStore for QueuedStore {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        async move {
            yield_now().await;
            let slice = self.inner.read(stream, after, fingerprint).await;
            yield_now().await;
            slice
        }
        .boxed()
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>> {
        async move {
            yield_now().await;
            let (answer, answered) = oneshot::channel();
            let stream = stream.clone();
            self.queue.lock().unwrap().push_back(Queued { stream, expected, bodies, answer });
            let outcome = answered.await;
            yield_now().await;
            outcome.unwrap_or_else(|_| Err(AppendError::Unknown("the writer is gone".to_owned())))
        }
        .boxed()
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        self.inner.feed(cursor, limit)
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        self.inner.put_snapshot(stream, snapshot)
    }
}

pub(crate) async fn yield_now() {
    let mut yielded = false;
    poll_fn(
        |_| {
            if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
        },
    )
    .await;
}

/// Everything here is ready when asked often enough; nothing wakes anybody.
#[track_caller]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future: Pin<Box<dyn Future<Output = T>>> = Box::pin(future);
    for _ in 0..1_000 {
        if let Poll::Ready(value) = poll_once(&mut future) {
            return value;
        }
    }
    panic!("never ready");
}

/// Polls a future once, with a waker that wakes nobody.
pub(crate) fn poll_once<T>(future: &mut Pin<Box<dyn Future<Output = T> + '_>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}
