//! The one thread that appends. Whatever waits when the previous sync has returned becomes one
//! transaction: many members' events, one sync, one wake-up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Thread;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};
use store::AppendError;

use crate::channel::Taken;
use crate::checkpoint;
use crate::completion::{Batch, answer_all};
use crate::connection;
use crate::files::WAL;
use crate::heads::saved::Through;
use crate::inspect;
use crate::plan::{Append, Plan};
use crate::shared::{Shared, StopOnPanic};
use crate::watermark::Watermark;

/// The most that one transaction takes, in units of [`Append::weight`].
const COMMIT_WEIGHT_MAX: usize = 4_096;
/// How long those not woken yet may have to wait when no further commit comes.
const WAKE_REST_AFTER: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    page_bytes: u32,
    watermark: Watermark,
    end: Through,
    plan: Plan,
    /// Those of the last commit, one of whom was woken to wake the others.
    unwoken: Option<Arc<Batch>>,
    checkpointer: Thread,
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
        Ok(Self {
            page_bytes: connection::page_bytes(&connection)?,
            shared,
            connection,
            watermark,
            end,
            plan: Plan::new(end),
            unwoken: None,
            checkpointer,
        })
    }

    /// Until the queue is closed and empty; then gives back what closing needs.
    pub(crate) fn run(mut self) -> (Connection, Watermark) {
        let _stop = StopOnPanic::new(&self.shared, "go on writing");
        let mut batch = Vec::new();
        loop {
            let timeout = self.unwoken.is_some().then_some(WAKE_REST_AFTER);
            match self.shared.appends.take(&mut batch, COMMIT_WEIGHT_MAX, timeout) {
                Taken::Some => {
                    self.restart_wal();
                    self.commit(&mut batch);
                    if checkpoint::is_due(&self.shared.wal) {
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

    fn commit(&mut self, batch: &mut Vec<Append>) {
        if let Some(why) = self.shared.failure() {
            let why = AppendError::Unavailable(why.to_owned());
            return self.answer_same(batch, &why);
        }
        self.plan.make(self.end, batch, &self.shared.heads);
        if self.plan.blocks.is_empty() {
            return self.answer(batch);
        }
        match self.write() {
            Ok(()) => {
                self.shared.heads.set(self.plan.moved());
                self.end = self.plan.end;
                self.shared.set_end(self.end);
                self.shared.stats.commits.fetch_add(1, Ordering::Relaxed);
                self.answer(batch);
            }
            Err(CommitError::Refused(why)) => {
                self.answer_same(batch, &AppendError::Unavailable(why));
            }
            Err(CommitError::Failed(doing, why)) => {
                self.shared.fail(doing, &why);
                self.answer_same(batch, &AppendError::Unknown(why));
            }
        }
    }

    fn answer_same(&mut self, batch: &mut Vec<Append>, error: &AppendError) {
        self.plan.outcomes.clear();
        self.plan.outcomes.resize(batch.len(), Err(error.clone()));
        self.answer(batch);
    }

    /// Gives each append the outcome that the plan has for it.
    fn answer(&mut self, batch: &mut Vec<Append>) {
        self.wake_rest();
        let promises = batch.iter_mut().map(|append| &mut append.promise);
        self.unwoken = Some(answer_all(promises.zip(self.plan.outcomes.drain(..))));
        // The events are given back to the allocator after the answers: that takes a while.
        batch.clear();
    }

    /// One transaction, one sync, then the watermark: only after that may an answer leave.
    fn write(&mut self) -> Result<(), CommitError> {
        let written = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| self.plan.blocks.insert(&self.connection))
            .and_then(|()| self.execute("COMMIT"));
        if let Err(error) = written {
            return Err(self.undo(&error));
        }
        self.watermark
            .raise(self.plan.end.position)
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
        if !rolled_back {
            return CommitError::Failed("undo what was not committed", error.to_string());
        }
        if let Err(error) = self.cut_wal() {
            tracing::warn!(%error, "the WAL could not be cut");
        }
        tracing::warn!(%error, "nothing was written: {passing}");
        CommitError::Refused(passing.to_owned())
    }

    /// Some of a transaction that was refused may lie in the WAL. Behind the next one, if that is
    /// shorter and torn by a power cut, it would look like a later one: like damage to what was
    /// acknowledged.
    fn cut_wal(&self) -> io::Result<()> {
        // So that what lies there is of nobody who is about to finish it.
        if self.execute("BEGIN IMMEDIATE").is_err() {
            return Ok(());
        }
        let frames = self.shared.wal.frames.load(Ordering::Relaxed);
        let cut = inspect::tail(&self.shared.dir, self.page_bytes).and_then(|tail| {
            // Fewer than were committed: the WAL was started over just now, or it is damaged.
            let tail = tail.filter(|tail| tail.after >= u64::from(frames));
            tail.map_or(Ok(()), |tail| self.shared.dir.cut(WAL, tail.begins_at))
        });
        let _ = self.execute("ROLLBACK"); // of nothing
        cut
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
                self.shared.wal.moved.store(0, Ordering::Relaxed);
                self.shared.stats.wal_restarts.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => checkpoint::failed(&self.shared, &error),
        }
    }
}
