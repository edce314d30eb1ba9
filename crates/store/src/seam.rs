//! What the engine may ask of a store, and what a store may answer.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
pub use futures::future::BoxFuture;

/// The longest stream id in bytes.
pub const STREAM_ID_BYTES_MAX: usize = 160;
/// The most events one append may carry.
pub const APPEND_EVENTS_MAX: usize = 1_024;
/// The largest body of one event in bytes.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Names one stream: 1 to [`STREAM_ID_BYTES_MAX`] bytes of printable ASCII without blanks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// # Errors
    /// When the id is empty, too long, or has a byte outside printable ASCII.
    pub fn new(id: &str) -> Result<Self, InvalidStreamId> {
        let fits = (1..=STREAM_ID_BYTES_MAX).contains(&id.len());
        if fits && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(Arc::from(id)))
        } else {
            Err(InvalidStreamId(id.chars().take(STREAM_ID_BYTES_MAX).collect()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a stream id: 1 to {STREAM_ID_BYTES_MAX} bytes of printable ASCII, no blanks")]
pub struct InvalidStreamId(String);

/// How many events a stream has; 0 before the first. The first event has version 1.
pub type Version = u64;

/// One event as stored: what `codec` made of it, opaque here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub version: Version,
    /// `None` once the body was erased; its version and its link of the chain stay.
    pub body: Option<Arc<[u8]>>,
}

/// A disposable cache of a folded stream. Ignored when the fingerprint is not the reader's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the last event folded into it.
    pub version: Version,
    /// Names the reducer that made it: another reducer may fold the same events differently.
    pub fingerprint: u64,
    pub body: Arc<[u8]>,
}

/// A stream from some version on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StreamSlice {
    /// The newest usable snapshot that is newer than `after`; `events` then start behind it.
    pub snapshot: Option<Snapshot>,
    /// Oldest first, without gaps.
    pub events: Vec<Recorded>,
}

/// One event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    pub stream: StreamId,
    pub recorded: Recorded,
}

/// Where a reader of the feed stands. Opaque: a cluster has no global position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(pub Vec<u8>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    /// At least once each, in version order within a stream, never skipping one.
    pub events: Vec<FeedEvent>,
    /// Read on from here. The same as the one given when there was nothing new.
    pub next: Cursor,
}

/// Some of the streams that there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsPage {
    pub streams: Vec<StreamId>,
    /// Where the rest of them is; `None` when that was all.
    pub next: Option<Cursor>,
}

pub trait EventStore: Send + Sync + fmt::Debug {
    /// The events after `after`, oldest first; a stream nobody wrote to is empty, not an error.
    /// With a `fingerprint`, the newest usable snapshot bearing it stands for what it folds.
    fn read<'a>(
        &'a self,
        stream: &'a StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> BoxFuture<'a, Result<StreamSlice, ReadError>>;

    /// All or nothing. `Ok` means: still there after the power fails.
    fn append<'a>(
        &'a self,
        stream: &'a StreamId,
        expected: Version,
        bodies: Vec<Vec<u8>>,
    ) -> BoxFuture<'a, Result<Version, AppendError>>;

    /// At most `limit` events that follow the cursor; [`Cursor::default`] is the beginning.
    fn feed<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<FeedPage, ReadError>>;

    /// Every stream once, in any order: about `limit` of them, from the cursor of the page before
    /// on; [`Cursor::default`] is the beginning. One that begins meanwhile may be left out.
    fn streams<'a>(
        &'a self,
        cursor: &'a Cursor,
        limit: usize,
    ) -> BoxFuture<'a, Result<StreamsPage, ReadError>> {
        // Where nothing better is at hand: a stream is where its first event is.
        async move {
            let FeedPage { events, next } = self.feed(cursor, limit).await?;
            let next = (!events.is_empty()).then_some(next);
            let first = events.into_iter().filter(|event| event.recorded.version == 1);
            Ok(StreamsPage { streams: first.map(|event| event.stream).collect(), next })
        }
        .boxed()
    }

    /// Keeps a snapshot for later reads. Losing it is no loss.
    fn put_snapshot<'a>(
        &'a self,
        stream: &'a StreamId,
        snapshot: Snapshot,
    ) -> BoxFuture<'a, Result<(), AppendError>>;

    /// How many events there are in all streams, where that is known without counting them.
    fn events(&self) -> Option<u64> {
        None
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("the stream is at version {actual}, not {expected}")]
    Conflict { expected: Version, actual: Version },
    /// Surely not written; trying again later may succeed (a full queue or disk).
    #[error("not written: {0}")]
    Unavailable(String),
    /// Perhaps written: the answer was lost, not the question. Read before trying again.
    #[error("perhaps written, read before trying again: {0}")]
    Unknown(String),
    /// The caller asked for something no store can keep (empty, too many, too large).
    #[error("cannot be stored: {0}")]
    Invalid(String),
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("the store cannot be read now: {0}")]
    Unavailable(String),
    /// What is stored is not what was written: named, and never returned as data.
    #[error("stored data is damaged: {0}")]
    Corrupt(String),
    #[error("`{0}` is not a cursor of this store; start from the beginning")]
    InvalidCursor(String),
}
