//! What the threads of one open store have in common.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crate::channel::Channel;
use crate::files::Dir;
use crate::heads::Heads;
use crate::heads::saved::Through;
use crate::plan::Append;
use crate::reader::Read;
use crate::snapshots::Put;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: Dir,
    pub(crate) store: [u8; 16],
    /// `log.db`, to be synced. Closed after every connection: closing any file of its own gives up
    /// the locks that the process has on it.
    pub(crate) log: File,
    pub(crate) heads: Heads,
    /// The last event that readers may see: durable, and in the heads.
    end: Mutex<Through>,
    /// Why the store stopped, once it has. What is on disk is then not known any more, and
    /// opening again, which verifies, is the only way on.
    failed: OnceLock<String>,
    pub(crate) appends: Channel<Append>,
    pub(crate) reads: Channel<Read>,
    pub(crate) puts: Channel<Put>,
    pub(crate) wal: WalState,
    pub(crate) stats: Counters,
}

#[derive(Debug, Default)]
pub(crate) struct WalState {
    pub(crate) frames: AtomicU32,
    /// How many of them are in the database already.
    pub(crate) moved: AtomicU32,
    /// The checkpoint thread has left little to do: the writer finishes and starts the WAL over.
    pub(crate) restart: AtomicBool,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) commits: AtomicU64,
    pub(crate) wal_restarts: AtomicU64,
    pub(crate) heads_saved: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        dir: Dir,
        store: [u8; 16],
        log: File,
        heads: Heads,
        end: Through,
        queue_weight_max: usize,
    ) -> Self {
        Self {
            dir,
            store,
            log,
            heads,
            end: Mutex::new(end),
            failed: OnceLock::new(),
            appends: Channel::new(queue_weight_max),
            reads: Channel::new(queue_weight_max),
            puts: Channel::new(1_024),
            wal: WalState::default(),
            stats: Counters::default(),
        }
    }

    pub(crate) fn end(&self) -> Through {
        *self.end_lock()
    }

    pub(crate) fn set_end(&self, end: Through) {
        *self.end_lock() = end;
    }

    fn end_lock(&self) -> MutexGuard<'_, Through> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// Nothing more goes in; the threads finish what is in, and end.
    pub(crate) fn close(&self) {
        self.appends.close();
        self.reads.close();
        self.puts.close();
    }

    /// After a failed write or sync nobody knows what the disk holds; trying again could report
    /// as safe what is not. So nothing more is written or read until the store is opened anew.
    pub(crate) fn fail(&self, doing: &str, error: &dyn std::fmt::Display) {
        let why = format!("cannot {doing}: {error}; the store stopped, restart it to verify it");
        tracing::error!(directory = %self.dir.path().display(), "{why}");
        let _ = self.failed.set(why);
        self.appends.close();
    }
}

/// Held by each thread: a bug must not leave anybody waiting for it, in a queue that nobody empties
/// any more, nor let a store go on without what that thread did.
#[derive(Debug)]
pub(crate) struct StopOnPanic {
    shared: Arc<Shared>,
    doing: &'static str,
}

impl StopOnPanic {
    pub(crate) fn new(shared: &Arc<Shared>, doing: &'static str) -> Self {
        Self { shared: Arc::clone(shared), doing }
    }
}

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.shared.fail(self.doing, &"its thread panicked");
            self.shared.close();
            while self.shared.appends.pop().is_some() {}
            while self.shared.reads.pop().is_some() {}
            while self.shared.puts.pop().is_some() {}
        }
    }
}

/// A thread that now and then has something to do, until it is dropped.
#[derive(Debug)]
pub(crate) struct Housekeeper {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

const ROUND: Duration = Duration::from_millis(500);

impl Housekeeper {
    /// Calls `round` twice a second, and when its thread is unparked.
    pub(crate) fn spawn(
        name: &str,
        mut round: impl FnMut() + Send + 'static,
    ) -> std::io::Result<(Self, Thread)> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            while !stopped.load(Ordering::Acquire) {
                round();
                thread::park_timeout(ROUND);
            }
        })?;
        let handle = thread.thread().clone();
        Ok((Self { thread: Some(thread), stop }, handle))
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
