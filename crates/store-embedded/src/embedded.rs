//! An open store: its threads, and the seam in front of them.

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use futures::FutureExt;
use futures::channel::oneshot;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use store::{
    AppendError, BoxFuture, Cursor, EventStore, FeedPage, ReadError, Snapshot, StreamId,
    StreamSlice, StreamsPage, Version, check_bodies,
};

use crate::chain::{self, NewEvent};
use crate::channel::Refused;
use crate::checkpoint::{self, WatermarkSync};
use crate::completion::promise;
use crate::connection;
use crate::cursor;
use crate::error::OpenError;
use crate::files::{Dir, DirLock, LOG};
use crate::open::{self, Opened, Ready};
use crate::plan::Append;
use crate::reader::{self, Read, Reader};
use crate::shared::{Housekeeper, Shared, StopOnPanic};
use crate::snapshots::{self, Keeper, Put};
use crate::watermark::Watermark;
use crate::writer::Writer;

#[derive(Debug, Clone)]
pub struct Options {
    /// Threads that read, each with a connection of its own.
    pub readers: usize,
    /// How much may wait for the writer before an append is refused: an event counts one, and
    /// one more for each KiB of it.
    pub queue_events_max: usize,
    /// The most that `log.db` may grow to; beyond it appends are refused, and reads go on.
    pub log_bytes_max: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { readers: 2, queue_events_max: 65_536, log_bytes_max: None }
    }
}

/// What the store is doing, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    pub events: u64,
    pub streams: usize,
    pub commits: u64,
    /// Appends and reads that wait for a thread.
    pub appends_queued: usize,
    pub reads_queued: usize,
    pub wal_frames: u32,
    pub wal_restarts: u64,
    pub heads_saved: u64,
    /// Why the store stopped, if it has; it must be opened anew.
    pub failure: Option<String>,
}

/// Dropping it writes what was accepted, saves the heads, and closes.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    opened: Opened,
    threads: Option<Threads>,
    _lock: DirLock,
}

struct Threads {
    writer: JoinHandle<(Connection, Watermark)>,
    /// Whoever makes checkpoints, and whoever saves the heads.
    housekeepers: [Housekeeper; 2],
    /// Readers, and the keeper of snapshots.
    others: Vec<JoinHandle<()>>,
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").field("directory", &self.shared.dir.path()).finish()
    }
}

impl EmbeddedStore {
    /// Opens the store in a directory, making both when there are none.
    ///
    /// # Errors
    /// When it cannot be shown that everything acknowledged is there; the directory is then left
    /// exactly as it was.
    pub fn open(directory: &Path, options: &Options) -> Result<Self, OpenError> {
        let dir = Dir::new(directory);
        open::make_dir(&dir)?;
        let lock = dir.lock()?;
        let Ready { record, heads, end, opened } = open::open(&dir)?;
        tracing::info!(
            directory = %directory.display(),
            events = opened.events,
            streams = opened.streams,
            replayed = opened.replayed,
            "the store is whole"
        );
        let mut watermark =
            Watermark::open(&dir, record).map_err(OpenError::io("open the watermark"))?;
        // What is about to be served was not all acknowledged before; from now on it is.
        watermark.raise(end.position).map_err(OpenError::io("write the watermark"))?;
        let log = File::open(dir.file(LOG)).map_err(OpenError::io("open `log.db`"))?;
        let queue = options.queue_events_max;
        let shared = Arc::new(Shared::new(dir, record.log.store, log, heads, end, queue));
        let threads =
            start(&shared, watermark, options, opened.replayed).inspect_err(|_| shared.close())?;
        Ok(Self { shared, opened, threads: Some(threads), _lock: lock })
    }

    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            events: shared.end().position,
            streams: shared.heads.streams(),
            commits: shared.stats.commits.load(Ordering::Relaxed),
            appends_queued: shared.appends.len(),
            reads_queued: shared.reads.len(),
            wal_frames: shared.wal.frames.load(Ordering::Relaxed),
            wal_restarts: shared.stats.wal_restarts.load(Ordering::Relaxed),
            heads_saved: shared.stats.heads_saved.load(Ordering::Relaxed),
            failure: shared.failure().map(str::to_owned),
        }
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    fn alive(&self) -> Result<(), ReadError> {
        self.shared.failure().map_or(Ok(()), |why| Err(ReadError::Unavailable(why.to_owned())))
    }

    async fn ask<T>(
        &self,
        read: impl FnOnce(oneshot::Sender<Result<T, ReadError>>) -> Read,
    ) -> Result<T, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.shared
            .reads
            .push(read(reply), 1)
            .map_err(|refused| ReadError::Unavailable(busy(refused, "reads")))?;
        let stopped = || ReadError::Unavailable("the store is closing".to_owned());
        let answer = answer.await.map_err(|_| stopped())?;
        // A store that failed meanwhile does not know any more whether this is all.
        self.alive().and(answer)
    }

    async fn append_now(
        &self,
        stream: &StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> Result<Version, AppendError> {
        check_bodies(&bodies)?;
        if let Some(why) = self.shared.failure() {
            return Err(AppendError::Unavailable(why.to_owned()));
        }
        let key = chain::key(stream.as_str());
        let events = bodies.iter().map(|body| NewEvent::new(stream.as_str(), body)).collect();
        let (promise, ticket) = promise();
        let append = Append { key, expected, events, promise };
        let weight = append.weight();
        self.shared
            .appends
            .push(append, weight)
            .map_err(|refused| AppendError::Unavailable(busy(refused, "appends")))?;
        ticket.await
    }
}

fn busy(refused: Refused, what: &str) -> String {
    match refused {
        Refused::Full => format!("too many {what} are waiting already"),
        Refused::Closed => "the store is closing".to_owned(),
    }
}

impl EventStore for EmbeddedStore {
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>> {
        async move {
            self.alive()?;
            let head = self.shared.heads.get(&chain::key(stream.as_str()));
            if head.is_none_or(|head| Version::from(head.version) <= after) {
                return Ok(StreamSlice::default());
            }
            let stream = stream.clone();
            self.ask(|reply| Read::Stream { stream, after, fingerprint, reply }).await
        }
        .boxed()
    }

    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>> {
        self.append_now(stream, expected, bodies).boxed()
    }

    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>> {
        async move {
            self.alive()?;
            let after = reader::position(&self.shared, cursor)?;
            if limit == 0 || after == self.shared.end().position {
                return Ok(FeedPage { events: vec![], next: cursor.clone() });
            }
            self.ask(|reply| Read::Feed { after, limit, reply }).await
        }
        .boxed()
    }

    fn streams<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<StreamsPage, ReadError>> {
        async move {
            self.alive()?;
            let shard = cursor::decode(&self.shared.store, cursor)
                .and_then(|shard| usize::try_from(shard).ok())
                .ok_or_else(|| ReadError::InvalidCursor(cursor.0.escape_ascii().to_string()))?;
            self.ask(|reply| Read::Streams { shard, limit, reply }).await
        }
        .boxed()
    }

    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        async move {
            let (reply, answer) = oneshot::channel();
            let put = Put { stream: stream.clone(), snapshot, reply };
            self.shared
                .puts
                .push(put, 1)
                .map_err(|refused| AppendError::Unavailable(busy(refused, "snapshots")))?;
            let stopped = || AppendError::Unavailable("the store is closing".to_owned());
            answer.await.map_err(|_| stopped())?
        }
        .boxed()
    }

    fn events(&self) -> Option<u64> {
        Some(self.shared.end().position)
    }
}

fn start(
    shared: &Arc<Shared>,
    watermark: Watermark,
    options: &Options,
    unsaved: u64,
) -> Result<Threads, OpenError> {
    let spawning = |name: &str| OpenError::io(format!("start the thread `{name}`"));
    let sqlite = || OpenError::sqlite("open `log.db`");
    let dir = &shared.dir;

    let writing = connection::open(dir).map_err(sqlite())?;
    if let Some(bytes) = options.log_bytes_max {
        let pages = bytes / u64::from(connection::page_bytes(&writing).map_err(sqlite())?.max(1));
        // SQLite takes 0 for no limit at all.
        let pragma = format!("PRAGMA max_page_count = {}", pages.max(1));
        writing.execute_batch(&pragma).map_err(sqlite())?;
    }
    let file = watermark.syncer().map_err(OpenError::io("open the watermark"))?;
    let mut watermark_sync = WatermarkSync { file, synced: 0, at: Instant::now() };
    let checkpointing = connection::open(dir).map_err(sqlite())?;
    let on = Arc::clone(shared);
    let (checkpointer, checkpoints) = Housekeeper::spawn("store-checkpoint", move || {
        let _stop = StopOnPanic::new(&on, "go on moving the WAL");
        checkpoint::round(&on, &checkpointing);
        watermark_sync.when_due(&on);
    })
    .map_err(spawning("store-checkpoint"))?;

    let on = Arc::clone(shared);
    let mut saved = shared.end().position - unsaved;
    let (saver, _) = Housekeeper::spawn("store-heads", move || {
        let _stop = StopOnPanic::new(&on, "go on saving the heads");
        checkpoint::save_heads_when_due(&on, &mut saved);
    })
    .map_err(spawning("store-heads"))?;

    let mut others = Vec::new();
    let kept = snapshots::open(dir).map_err(OpenError::sqlite("open `snapshots.db`"))?;
    let log = connection::open_reader(dir).map_err(sqlite())?;
    let keeper = Keeper { shared: Arc::clone(shared), log, snapshots: kept };
    others.push(spawn("store-snapshots", move || keeper.run())?);
    for _ in 0..options.readers.max(1) {
        let log = connection::open_reader(dir).map_err(sqlite())?;
        let snapshots = snapshots::open(dir).map_err(OpenError::sqlite("open `snapshots.db`"))?;
        let reader = Reader { shared: Arc::clone(shared), log, snapshots };
        others.push(spawn("store-reader", move || reader.run())?);
    }

    let writer =
        Writer::new(Arc::clone(shared), writing, watermark, checkpoints).map_err(sqlite())?;
    let writer = spawn("store-writer", move || writer.run())?;
    Ok(Threads { writer, housekeepers: [checkpointer, saver], others })
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(OpenError::io(format!("start the thread `{name}`")))
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let Some(threads) = self.threads.take() else { return };
        self.shared.appends.close();
        let written = threads.writer.join();
        drop(threads.housekeepers);
        self.shared.close();
        for thread in threads.others {
            let _ = thread.join();
        }
        // A store that failed is left as it is: the next opening verifies before it touches.
        if let (Ok((connection, watermark)), None) = (written, self.shared.failure()) {
            close(&self.shared, connection, &watermark);
        }
    }
}

/// Leaves a log without a WAL, whose opening has nothing to replay.
fn close(shared: &Shared, connection: Connection, watermark: &Watermark) {
    checkpoint::save_heads(shared, &mut 0);
    let synced = watermark.syncer().and_then(|file| file.sync_data());
    if let Err(error) = synced {
        tracing::warn!(%error, "the watermark could not be synced");
        return;
    }
    let moved = connection
        .wal_checkpoint_v2(None::<&str>, CheckpointMode::TRUNCATE)
        .and_then(|_| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false));
    if let Err(error) = moved {
        tracing::warn!(%error, "the WAL stays: the next opening reads it");
    }
}

#[cfg(test)]
mod tests;
