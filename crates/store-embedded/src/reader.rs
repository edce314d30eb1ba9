//! Reads streams and the feed, on a few threads with connections of their own.
//!
//! A read of pages that are in memory takes microseconds, but one that has to wait for the disk
//! takes milliseconds, and nobody knows which it will be: so reads never run on the caller's
//! executor. What the table of heads can answer alone (nothing new in a stream, which is most of
//! what a busy member's cache asks) does not come here at all.

use std::sync::Arc;

use futures::channel::oneshot::Sender;
use rusqlite::{Connection, Statement};
use store::{
    Cursor, FeedEvent, FeedPage, ReadError, Recorded, StreamId, StreamSlice, StreamsPage, Version,
};

use crate::block::{Block, Event, SELECT_FROM, SELECT_ONE, event_at, read_error};
use crate::chain::{self, Digest, Link};
use crate::cursor;
use crate::heads::Head;
use crate::shared::{Shared, StopOnPanic};
use crate::snapshots;

/// A page of the feed ends early rather than fill the memory.
const PAGE_BYTES_MAX: usize = 4 << 20;

#[derive(Debug)]
pub(crate) enum Read {
    Stream {
        stream: StreamId,
        after: Version,
        fingerprint: Option<u64>,
        reply: Sender<Result<StreamSlice, ReadError>>,
    },
    Feed {
        after: u64,
        limit: usize,
        reply: Sender<Result<FeedPage, ReadError>>,
    },
    Streams {
        shard: usize,
        limit: usize,
        reply: Sender<Result<StreamsPage, ReadError>>,
    },
}

#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Connection,
    pub(crate) snapshots: Connection,
}

impl Reader {
    pub(crate) fn run(self) {
        let _stop = StopOnPanic::new(&self.shared, "go on reading");
        while let Some(read) = self.shared.reads.pop() {
            // Whoever asked may be gone: then nobody misses the answer.
            match read {
                Read::Stream { stream, after, fingerprint, reply } => {
                    let _ = reply.send(self.stream(&stream, after, fingerprint));
                }
                Read::Feed { after, limit, reply } => {
                    let _ = reply.send(self.feed(after, limit));
                }
                Read::Streams { shard, limit, reply } => {
                    let _ = reply.send(self.streams(shard, limit));
                }
            }
        }
    }

    fn stream(
        &self,
        stream: &StreamId,
        after: Version,
        fingerprint: Option<u64>,
    ) -> Result<StreamSlice, ReadError> {
        let key = chain::key(stream.as_str());
        let Some(head) = self.shared.heads.get(&key) else { return Ok(StreamSlice::default()) };
        let usable = |kept: &snapshots::Kept| {
            kept.snapshot.version > after && kept.snapshot.version <= Version::from(head.version)
        };
        let kept = fingerprint
            .and_then(|by| snapshots::get(&self.snapshots, stream, &key, by))
            .filter(usable);
        if let Some(kept) = kept {
            let base = Base::Known(kept.link);
            if let Ok(events) = walk_back(&self.log, stream, &head, kept.snapshot.version, &base)? {
                return Ok(StreamSlice { snapshot: Some(kept.snapshot), events });
            }
            tracing::warn!(%stream, "a snapshot of another history is ignored");
        }
        let base = if after == 0 { Base::Known(chain::origin(&key)) } else { Base::InTheLog };
        let events = walk_back(&self.log, stream, &head, after, &base)?
            .map_err(|at| damaged(at, stream, "its link does not continue the chain"))?;
        Ok(StreamSlice { snapshot: None, events })
    }

    fn feed(&self, after: u64, limit: usize) -> Result<FeedPage, ReadError> {
        let last = self.shared.end().position;
        let limit = limit.min(usize::try_from(last.saturating_sub(after)).unwrap_or(usize::MAX));
        let mut events = Vec::with_capacity(limit.min(1_024));
        let mut bytes = 0;
        let mut select = self.log.prepare_cached(SELECT_FROM).map_err(read_error)?;
        let mut rows = select.query([(after + 1).cast_signed()]).map_err(read_error)?;
        while bytes < PAGE_BYTES_MAX && events.len() < limit {
            let position = after + events.len() as u64 + 1;
            let wrong = |what| ReadError::Corrupt(format!("event {position}: {what}"));
            let row = rows.next().map_err(read_error)?;
            let row = row.ok_or_else(|| wrong("it is missing"))?;
            let block = Block::parse(row).map_err(wrong)?;
            // Behind the first block each must begin where the one before it ended.
            if block.first > position || (block.first < position && !events.is_empty()) {
                return Err(wrong("it is missing"));
            }
            let wanted = limit - events.len();
            for (event, position) in block.events_from(position).take(wanted).zip(position..) {
                let event = event
                    .and_then(|event| feed_event(&event))
                    .map_err(|what| ReadError::Corrupt(format!("event {position}: {what}")))?;
                bytes += event.recorded.body.as_ref().map_or(0, |body| body.len());
                events.push(event);
            }
        }
        let next = cursor::encode(&self.shared.store, after + events.len() as u64);
        Ok(FeedPage { events, next })
    }

    /// From the heads, which know where a stream ends and not what it is called: shard after shard,
    /// and in the order of the log, for streams that end side by side are read faster so.
    fn streams(&self, mut shard: usize, limit: usize) -> Result<StreamsPage, ReadError> {
        let mut positions = Vec::new();
        let mut next = None;
        while let Some(more) = self.shared.heads.positions(shard) {
            positions.extend(more);
            shard += 1;
            if positions.len() >= limit {
                next = Some(cursor::encode(&self.shared.store, shard as u64));
                break;
            }
        }
        positions.sort_unstable();
        let mut select = self.log.prepare_cached(SELECT_ONE).map_err(read_error)?;
        let stream = |position: u64| {
            event_at(&mut select, position, stream_of)
                .map_err(read_error)?
                .map_err(|what| ReadError::Corrupt(format!("event {position}: {what}")))
        };
        let streams = positions.into_iter().map(stream).collect::<Result<_, _>>()?;
        Ok(StreamsPage { streams, next })
    }
}

fn feed_event(event: &Event<'_>) -> Result<FeedEvent, &'static str> {
    Ok(FeedEvent { stream: stream_of(event)?, recorded: recorded(event) })
}

fn stream_of(event: &Event<'_>) -> Result<StreamId, &'static str> {
    StreamId::new(event.stream).map_err(|_| "its stream has an impossible name")
}

fn recorded(event: &Event<'_>) -> Recorded {
    Recorded { version: Version::from(event.version), body: event.body.map(Arc::from) }
}

/// What the oldest event that is read must be linked to.
pub(crate) enum Base {
    Known(Link),
    /// The link of the event before it, which is read as well.
    InTheLog,
}

/// The events of a stream behind version `after`, following them back from its head.
/// The inner error is the position of an event whose link does not continue the chain.
fn walk_back(
    log: &Connection,
    stream: &StreamId,
    head: &Head,
    after: Version,
    base: &Base,
) -> Result<Result<Vec<Recorded>, u64>, ReadError> {
    let mut events = Vec::new();
    let mut at = *head;
    // What the event read last says of the next older one, whose link it must continue.
    let mut newer: Option<(u64, Link, u32, Digest)> = None;
    let transaction = log.unchecked_transaction().map_err(read_error)?;
    let mut select = transaction.prepare_cached(SELECT_ONE).map_err(read_error)?;
    while Version::from(at.version) > after {
        let event = read_event(&mut select, stream, &at, |event| {
            events.push(recorded(event));
            (event.position, event.link, event.version, event.digest, event.previous)
        });
        let (position, link, version, digest, previous) = event?;
        if newer.is_none() && link != head.link {
            return Ok(Err(position));
        }
        if let Some(broken) = unlinked(newer.as_ref(), &link) {
            return Ok(Err(broken));
        }
        newer = Some((position, link, version, digest));
        at.version -= 1;
        at.position = previous;
    }
    let base = match base {
        Base::Known(link) => *link,
        Base::InTheLog if newer.is_none() => return Ok(Ok(events)),
        Base::InTheLog => read_event(&mut select, stream, &at, |event| event.link)?,
    };
    let broken = match newer {
        None => (base != head.link).then_some(head.position),
        Some(_) => unlinked(newer.as_ref(), &base),
    };
    events.reverse();
    Ok(broken.map_or(Ok(events), Err))
}

fn unlinked(newer: Option<&(u64, Link, u32, Digest)>, link: &Link) -> Option<u64> {
    let (position, expected, version, digest) = newer?;
    (chain::link(link, *version, digest) != *expected).then_some(*position)
}

/// Shows `take` the event that must be at `at`.
fn read_event<T>(
    select: &mut Statement<'_>,
    stream: &StreamId,
    at: &Head,
    take: impl FnOnce(&Event<'_>) -> T,
) -> Result<T, ReadError> {
    let found = event_at(select, at.position, |event| {
        if event.stream == stream.as_str() && event.version == at.version {
            Ok(take(event))
        } else {
            Err("another event stands in its place")
        }
    });
    found.map_err(read_error)?.map_err(|what| damaged(at.position, stream, what))
}

/// The link of the event at `version`, which is the stream's head or not far behind it.
pub(crate) fn link_at(
    log: &Connection,
    stream: &StreamId,
    head: &Head,
    version: u32,
) -> Result<Link, ReadError> {
    let mut select = log.prepare_cached(SELECT_ONE).map_err(read_error)?;
    let mut at = *head;
    let mut link = head.link;
    while at.version >= version {
        let (found, previous) =
            read_event(&mut select, stream, &at, |event| (event.link, event.previous))?;
        link = found;
        at.version -= 1;
        at.position = previous;
    }
    Ok(link)
}

fn damaged(position: u64, stream: &StreamId, what: &str) -> ReadError {
    ReadError::Corrupt(format!("event {position}, of `{stream}`: {what}"))
}

/// The position a cursor of this store stands at.
pub(crate) fn position(shared: &Shared, given: &Cursor) -> Result<u64, ReadError> {
    cursor::decode(&shared.store, given)
        .filter(|&position| position <= shared.end().position)
        .ok_or_else(|| ReadError::InvalidCursor(given.0.escape_ascii().to_string()))
}
