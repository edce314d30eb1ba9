//! The store as the engines see it: reached by messages that are slow, get lost, arrive late, are
//! refused, and go on when nobody waits for them any more. What was acknowledged survives every
//! crash; what a failed sync left is seen when the store is opened again.

use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures::FutureExt;
use store::memory::MemoryStore;
use store::{
    AppendError, BoxFuture, Cursor, EventStore, FeedPage, ReadError, Snapshot, StreamId,
    StreamSlice, Version,
};

use crate::Sabotage;
use crate::random::Random;

/// How often the store misbehaves, in thousandths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) permille: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Disk {
    durable: MemoryStore,
    traffic: Arc<Mutex<Traffic>>,
    faults: Faults,
    /// What is sent first is written first, as by the store of a single node.
    in_order: bool,
    sabotage: Sabotage,
}

#[derive(Debug, Default)]
struct Traffic {
    messages: Vec<Message>,
    commits: Vec<Commit>,
    /// Nothing goes wrong any more.
    calm: bool,
    /// Since a sync failed: what it was to make durable.
    stopped: Option<Vec<Append>>,
}

/// What became durable, in the order in which it did.
#[derive(Debug, Clone)]
pub(crate) struct Commit {
    pub(crate) stream: StreamId,
    /// Of the first body.
    pub(crate) version: Version,
    pub(crate) bodies: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Message {
    node: usize,
    ask: Ask,
    /// The answer on its way; `None` while the question is.
    answer: Option<Answer>,
    inbox: Inbox,
}

#[derive(Debug)]
enum Ask {
    Read { stream: StreamId, after: Version, fingerprint: Option<u64> },
    Append(Append),
    PutSnapshot { stream: StreamId, snapshot: Snapshot },
}

#[derive(Debug, Clone)]
struct Append {
    stream: StreamId,
    expected: Version,
    bodies: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Answer {
    Read(Result<StreamSlice, ReadError>),
    Append(Result<Version, AppendError>),
    PutSnapshot(Result<(), AppendError>),
}

impl Message {
    fn is_to_be_written(&self) -> bool {
        self.answer.is_none() && matches!(self.ask, Ask::Append(_))
    }
}

type Inbox = Arc<Mutex<Option<Answer>>>;

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    pub(crate) fn new(faults: Faults, in_order: bool, sabotage: Sabotage) -> Self {
        Self { durable: MemoryStore::new(), traffic: Arc::default(), faults, in_order, sabotage }
    }

    /// The disk as one node reaches it.
    pub(crate) fn reached_by(&self, node: usize) -> Arc<dyn EventStore> {
        Arc::new(Reach { disk: self.clone(), node })
    }

    /// The disk without anything in between, to be read when all is over.
    pub(crate) fn durable(&self) -> &MemoryStore {
        &self.durable
    }

    pub(crate) fn commits(&self) -> Vec<Commit> {
        std::mem::take(&mut lock(&self.traffic).commits)
    }

    pub(crate) fn busy(&self) -> bool {
        !lock(&self.traffic).messages.is_empty()
    }

    /// Moves one message one step on. False when there is none.
    pub(crate) fn step(&self, random: &mut Random) -> bool {
        let (at, mut message) = {
            let mut traffic = lock(&self.traffic);
            if traffic.messages.is_empty() {
                return false;
            }
            let mut at = random.index(traffic.messages.len());
            if self.in_order && traffic.messages.get(at).is_some_and(Message::is_to_be_written) {
                let first = traffic.messages.iter().position(Message::is_to_be_written);
                at = first.unwrap_or(at);
            }
            (at, traffic.messages.remove(at))
        };
        match message.answer.take() {
            Some(answer) => *lock(&message.inbox) = Some(answer),
            None => {
                if let Some(on_its_way) = self.arrive(message, random) {
                    lock(&self.traffic).messages.insert(at, on_its_way);
                }
            }
        }
        true
    }

    /// A node dies: some of what it had sent arrives all the same, nothing comes back.
    pub(crate) fn node_died(&self, node: usize, random: &mut Random) {
        lock(&self.traffic).messages.retain(|message| message.node != node || random.permille(500));
    }

    /// For the end of a world: what many messages have to go well for, goes on.
    pub(crate) fn calms_down(&self) {
        lock(&self.traffic).calm = true;
    }

    /// Nothing is on its way any more.
    pub(crate) fn comes_to_rest(&self, random: &mut Random) {
        while self.step(random) {}
    }

    /// What was on its way to the disk is perhaps there, and the store answers nothing more: a later
    /// sync might succeed without having written anything.
    pub(crate) fn sync_fails(&self) {
        let mut traffic = lock(&self.traffic);
        let Traffic { messages, stopped, .. } = &mut *traffic;
        let lost = stopped.get_or_insert_default();
        for Message { ask, answer, .. } in messages.iter_mut().filter(|m| m.answer.is_none()) {
            if let Ask::Append(append) = ask {
                lost.push(append.clone());
                *answer = Some(Answer::Append(Err(AppendError::Unknown("no sync".to_owned()))));
            }
        }
    }

    pub(crate) fn stopped(&self) -> bool {
        lock(&self.traffic).stopped.is_some()
    }

    /// Opening again shows what the failed sync left: all of one transaction, or nothing of it.
    pub(crate) fn open_again(&self, random: &mut Random) {
        let lost = lock(&self.traffic).stopped.take().unwrap_or_default();
        if random.permille(500) {
            for append in lost {
                let _ = self.write(append);
            }
        }
    }

    /// A question reaches the store.
    fn arrive(&self, mut message: Message, random: &mut Random) -> Option<Message> {
        let faulty = random.permille(self.faults.permille) && !lock(&self.traffic).calm;
        let fate = random.below(4);
        let stopped = self.stopped();
        message.answer = Some(match &mut message.ask {
            Ask::Read { .. } if stopped => {
                Answer::Read(Err(ReadError::Unavailable("a sync failed".to_owned())))
            }
            Ask::Read { .. } if faulty => {
                Answer::Read(Err(ReadError::Unavailable("the read timed out".to_owned())))
            }
            Ask::Read { stream, after, fingerprint } => {
                Answer::Read(ready(self.durable.read(stream, *after, *fingerprint)))
            }
            Ask::PutSnapshot { .. } if faulty || stopped => {
                Answer::PutSnapshot(Err(AppendError::Unavailable("busy".to_owned())))
            }
            Ask::PutSnapshot { stream, snapshot } => {
                Answer::PutSnapshot(ready(self.durable.put_snapshot(stream, snapshot.clone())))
            }
            Ask::Append(_) if stopped => {
                Answer::Append(Err(AppendError::Unavailable("a sync failed".to_owned())))
            }
            Ask::Append(append) => {
                let unknown = Answer::Append(Err(AppendError::Unknown("timed out".to_owned())));
                match fate {
                    // Written late: the caller hears of the time-out before it happens.
                    0 if faulty => {
                        *lock(&message.inbox) = Some(unknown);
                        message.inbox = Inbox::default();
                        return Some(message);
                    }
                    1 if faulty => unknown,
                    2 if faulty => Answer::Append(Err(AppendError::Unavailable(
                        "the queue is full".to_owned(),
                    ))),
                    _ => {
                        let written = self.write(append.clone());
                        if faulty { unknown } else { Answer::Append(written) }
                    }
                }
            }
        });
        Some(message)
    }

    fn write(&self, append: Append) -> Result<Version, AppendError> {
        let Append { stream, expected, bodies } = append;
        let kept = self.sabotage.written(&self.durable, &stream, expected, &bodies);
        let (expected, kept) = match kept {
            None => return Ok(expected + bodies.len() as Version),
            Some(kept) => kept,
        };
        let version = ready(self.durable.append(&stream, expected, kept.clone()))?;
        let first = version - kept.len() as Version + 1;
        lock(&self.traffic).commits.push(Commit { stream, version: first, bodies: kept });
        Ok(version)
    }
}

/// The memory store answers at the first poll.
#[expect(clippy::expect_used, reason = "INVARIANT: the memory store never waits")]
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("answered at the first poll")
}

struct Reach {
    disk: Disk,
    node: usize,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("node", &self.node).finish()
    }
}

impl Reach {
    /// Sends at the first poll; dropped before, nothing was asked.
    async fn send(&self, ask: Ask) -> Answer {
        let inbox = Inbox::default();
        let message = Message { node: self.node, ask, answer: None, inbox: Arc::clone(&inbox) };
        lock(&self.disk.traffic).messages.push(message);
        poll_fn(|_| match lock(&inbox).take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}

impl EventStore for Reach {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        async move {
            match self.send(Ask::Read { stream: stream.clone(), after, fingerprint }).await {
                Answer::Read(answer) => answer,
                _ => Err(ReadError::Unavailable("mixed up".to_owned())),
            }
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
            let append = Append { stream: stream.clone(), expected, bodies };
            match self.send(Ask::Append(append)).await {
                Answer::Append(answer) => answer,
                _ => Err(AppendError::Unknown("mixed up".to_owned())),
            }
        }
        .boxed()
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        self.disk.durable.feed(cursor, limit)
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        async move {
            match self.send(Ask::PutSnapshot { stream: stream.clone(), snapshot }).await {
                Answer::PutSnapshot(answer) => answer,
                _ => Err(AppendError::Unavailable("mixed up".to_owned())),
            }
        }
        .boxed()
    }
}
