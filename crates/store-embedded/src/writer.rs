//! The one thread that appends. Whatever waits when the previous sync has returned becomes one
//! transaction: many members' events, one sync, one wake-up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::Duration;

use hashbrown::HashTable;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};
use store::{AppendError, StreamId, Version};

use crate::chain::{self, Key, SaltedBody};
use crate::channel::Taken;
use crate::completion::{Batch, Outcome, Promise, answer_all};
use crate::heads::saved::Through;
use crate::heads::{Head, POSITION_MAX, hash};
use crate::row::{self, NewRow};
use crate::shared::Shared;
use crate::watermark::Watermark;

/// The most that one transaction takes, in units of [`Append::weight`].
const COMMIT_WEIGHT_MAX: usize = 4_096;
/// How long those not woken yet may have to wait when no further commit comes.
const WAKE_REST_AFTER: Duration = Duration::from_millis(1);
/// From here on the checkpoint thread is told: 8 MiB of pages.
const CHECKPOINT_FRAMES: u32 = 512;

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) stream: StreamId,
    pub(crate) key: Key,
    pub(crate) expected: Version,
    pub(crate) bodies: Vec<SaltedBody>,
    pub(crate) promise: Promise,
}

impl Append {
    /// An event counts one, and one more for each KiB.
    pub(crate) fn weight(&self) -> usize {
        self.bodies.iter().map(|body| 1 + body.bytes.len() / 1_024).sum()
    }
}

#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    watermark: Watermark,
    end: Through,
    /// Those of the last commit, one of whom was woken to wake the others.
    unwoken: Option<Arc<Batch>>,
    checkpointer: Thread,
}

/// What a batch would do to the log.
struct Plan<'a> {
    rows: Vec<NewRow<'a>>,
    outcomes: Vec<Outcome>,
    /// Of every stream in the batch, and where they will be.
    heads: HashTable<(Key, Head)>,
    end: Through,
}

enum CommitError {
    /// Surely not written, and worth trying again.
    Refused(String),
    /// Nobody knows.
    Failed(&'static str, String),
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        mut connection: Connection,
        watermark: Watermark,
        checkpointer: Thread,
    ) -> rusqlite::Result<Self> {
        let end = shared.end();
        let counting = Arc::clone(&shared);
        connection.wal_hook(Some(move |_: &mut _, frames: i32| {
            counting.wal.frames.store(frames.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self { shared, connection, watermark, end, unwoken: None, checkpointer })
    }

    /// Until the queue is closed and empty; then gives back what closing needs.
    pub(crate) fn run(mut self) -> (Connection, Watermark) {
        let mut batch = Vec::new();
        loop {
            let timeout = self.unwoken.is_some().then_some(WAKE_REST_AFTER);
            match self.shared.appends.take(&mut batch, COMMIT_WEIGHT_MAX, timeout) {
                Taken::Some => {
                    self.restart_wal();
                    self.commit(std::mem::take(&mut batch));
                    if self.shared.wal.frames.load(Ordering::Relaxed) >= CHECKPOINT_FRAMES {
                        self.checkpointer.unpark();
                    }
                }
                Taken::TimedOut => self.wake_rest(),
                Taken::Closed => break,
            }
        }
        self.wake_rest();
        (self.connection, self.watermark)
    }

    fn wake_rest(&mut self) {
        if let Some(batch) = self.unwoken.take() {
            batch.wake_rest();
        }
    }

    fn commit(&mut self, batch: Vec<Append>) {
        if let Some(why) = self.shared.failure() {
            let why = why.to_owned();
            return self.answer(batch, |_| Err(AppendError::Unavailable(why.clone())));
        }
        let plan = self.plan(&batch);
        if plan.rows.is_empty() {
            let mut outcomes = plan.outcomes.into_iter();
            return self.answer(batch, |_| next(&mut outcomes));
        }
        match self.write(&plan) {
            Ok(()) => {
                let moved = plan.heads.iter().filter(|(_, head)| head.position > self.end.position);
                moved.for_each(|(key, head)| self.shared.heads.set(key, head));
                self.end = plan.end;
                self.shared.set_end(plan.end);
                self.shared.stats.commits.fetch_add(1, Ordering::Relaxed);
                let mut outcomes = plan.outcomes.into_iter();
                self.answer(batch, |_| next(&mut outcomes));
            }
            Err(CommitError::Refused(why)) => {
                self.answer(batch, |_| Err(AppendError::Unavailable(why.clone())));
            }
            Err(CommitError::Failed(doing, why)) => {
                self.shared.fail(doing, &why);
                self.answer(batch, |_| Err(AppendError::Unknown(why.clone())));
            }
        }
    }

    fn answer(&mut self, batch: Vec<Append>, mut outcome: impl FnMut(&Append) -> Outcome) {
        self.wake_rest();
        let answers = batch
            .into_iter()
            .map(|append| {
                let outcome = outcome(&append);
                (append.promise, outcome)
            })
            .collect();
        self.unwoken = Some(answer_all(answers));
    }

    /// Decides who is in time, and gives the events their places.
    fn plan<'a>(&self, batch: &'a [Append]) -> Plan<'a> {
        let mut plan = Plan {
            rows: Vec::with_capacity(batch.len()),
            outcomes: Vec::with_capacity(batch.len()),
            heads: HashTable::with_capacity(batch.len()),
            end: self.end,
        };
        for append in batch {
            let outcome = self.plan_one(append, &mut plan);
            plan.outcomes.push(outcome);
        }
        plan
    }

    fn plan_one<'a>(&self, append: &'a Append, plan: &mut Plan<'a>) -> Outcome {
        let key = append.key;
        let entry = plan.heads.entry(hash(&key), |(known, _)| *known == key, |(key, _)| hash(key));
        let planned = entry.or_insert_with(|| {
            (key, self.shared.heads.get(&key).unwrap_or_else(|| Head::origin(&key)))
        });
        let head = &mut planned.into_mut().1;
        if append.expected != Version::from(head.version) {
            let actual = Version::from(head.version);
            return Err(AppendError::Conflict { expected: append.expected, actual });
        }
        let events = append.bodies.len() as u64;
        if u64::from(head.version) + events > u64::from(u32::MAX)
            || plan.end.position + events > POSITION_MAX
        {
            return Err(AppendError::Invalid("the stream or the log is full".to_owned()));
        }
        for body in &append.bodies {
            let previous = head.position;
            plan.end.position += 1;
            head.version += 1;
            head.position = plan.end.position;
            head.link = chain::link(&head.link, head.version, &body.digest);
            plan.end.link = head.link;
            plan.rows.push(NewRow {
                position: head.position,
                stream: append.stream.as_str(),
                version: head.version,
                previous,
                link: head.link,
                body,
            });
        }
        Ok(Version::from(head.version))
    }

    /// One transaction, one sync, then the watermark: only after that may an answer leave.
    fn write(&mut self, plan: &Plan<'_>) -> Result<(), CommitError> {
        let written = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| row::insert(&self.connection, &plan.rows))
            .and_then(|()| self.execute("COMMIT"));
        if let Err(error) = written {
            return Err(self.undo(&error));
        }
        self.watermark
            .raise(plan.end.position)
            .map_err(|error| CommitError::Failed("write the watermark", error.to_string()))
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(drop)
    }

    fn undo(&self, error: &rusqlite::Error) -> CommitError {
        let rolled_back =
            self.connection.is_autocommit() || self.connection.execute_batch("ROLLBACK").is_ok();
        let passing = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full",
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program is writing to `log.db`"
            }
            _ => return CommitError::Failed("write to the log", error.to_string()),
        };
        if rolled_back {
            tracing::warn!(%error, "nothing was written: {passing}");
            CommitError::Refused(passing.to_owned())
        } else {
            CommitError::Failed("undo what was not committed", error.to_string())
        }
    }

    /// Under constant load a checkpoint in the background never reaches the end of the WAL, which
    /// would grow until something stopped the writer for a second. So when it has come close, the
    /// writer does the little that is left and starts the WAL over: some milliseconds, now.
    fn restart_wal(&mut self) {
        if !self.shared.wal.restart.swap(false, Ordering::AcqRel) {
            return;
        }
        // Somebody may be asleep until the next commit: do not let them wait for this.
        self.wake_rest();
        match self.connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::RESTART) {
            Ok(_) => {
                self.shared.wal.frames.store(0, Ordering::Relaxed);
                self.shared.stats.wal_restarts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => crate::checkpoint::failed(&self.shared, &error),
        }
    }
}

fn next(outcomes: &mut impl Iterator<Item = Outcome>) -> Outcome {
    // As many outcomes as appends: `plan` pushes one for each.
    outcomes.next().unwrap_or_else(|| Err(AppendError::Unknown("no outcome".to_owned())))
}
