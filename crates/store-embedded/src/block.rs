//! The rows of the log. A row is a block of neighbouring events under the position of its last:
//! how events are put into blocks, and how they are read back without trust.
//!
//! Each event keeps a checksum and a link of its own, which do not depend on the block it is in.
//! `docs/storage.md` shows the bytes.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use store::ReadError;

use crate::bytes::{array, be32};
use crate::chain::{Checked, Digest, Link, NewEvent, SALT_BYTES, checksum, digest, link};

/// Rows are only ever appended, in the order of their positions: a page once filled is not
/// touched again. That, and no index, is what makes SQLite as fast as a plain log.
pub(crate) const CREATE: &str = "
    CREATE TABLE events (
        last  INTEGER PRIMARY KEY,
        block BLOB NOT NULL
    ) STRICT;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;";

/// From the block on that holds a position.
pub(crate) const SELECT_FROM: &str =
    "SELECT last, block FROM events WHERE last >= ?1 ORDER BY last";
/// Only that block.
pub(crate) const SELECT_ONE: &str =
    "SELECT last, block FROM events WHERE last >= ?1 ORDER BY last LIMIT 1";
const INSERT: &str = "INSERT INTO events (last, block) VALUES (?1, ?2)";

/// The most that a page takes without another for the rest: 8,192 bytes, less the 35 that SQLite
/// keeps free for its own sake and 4 in front of the block.
const BLOCK_BYTES_MAX: usize = 8_153;
const EVENTS_MAX: u8 = u8::MAX;
/// Length of the body, length of the stream's name, version, previous position, link, checksum.
const HEADER_BYTES: usize = 4 + 1 + 4 + 6 + 16 + 4;
/// In the length of a body: it was erased, and its digest stands there.
const ERASED: u32 = 1 << 31;
const DIGEST_BYTES: usize = 32;

/// Where an event comes to lie, and what it continues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: Link,
}

/// The rows of one transaction.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    /// Of each block its last position, where it begins and where it ends.
    rows: Vec<(u64, usize, usize)>,
}

impl Blocks {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn push(&mut self, place: &Place, event: &NewEvent) {
        let begins = self.block_for(HEADER_BYTES + event.bytes.len());
        let checksum = checksum(&Checked {
            position: place.position,
            stream: event.stream(),
            version: place.version,
            previous: place.previous,
            link: &place.link,
            digest: &event.digest,
        });
        let header = Header {
            // Limits of the seam: bodies have at most a MiB, names at most 160 bytes.
            body: u32::try_from(event.salted_bytes()).unwrap_or(u32::MAX),
            stream: u8::try_from(event.stream().len()).unwrap_or(u8::MAX),
            version: place.version,
            previous: place.previous,
            link: place.link,
            checksum,
        };
        self.bytes.extend_from_slice(&header.encode());
        self.bytes.extend_from_slice(&event.bytes);
        let ends = self.bytes.len();
        if let Some(row) = self.rows.last_mut() {
            (row.0, row.2) = (place.position, ends);
        }
        if let Some(count) = self.bytes.get_mut(begins) {
            *count += 1;
        }
    }

    /// Where the block begins that takes so many bytes more: the last one, or a new one.
    fn block_for(&mut self, more: usize) -> usize {
        if let Some(&(_, begins, ends)) = self.rows.last() {
            let full = self.bytes.get(begins).is_none_or(|&count| count == EVENTS_MAX);
            if !full && ends - begins + more <= BLOCK_BYTES_MAX {
                return begins;
            }
        }
        let begins = self.bytes.len();
        self.rows.push((0, begins, begins));
        self.bytes.push(0);
        begins
    }

    pub(crate) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(INSERT)?;
        for &(last, begins, ends) in &self.rows {
            // Positions are below 2^48, so nothing is lost in SQLite's signed integers.
            insert.raw_bind_parameter(1, last.cast_signed())?;
            insert.raw_bind_parameter(2, self.bytes.get(begins..ends).unwrap_or_default())?;
            insert.raw_execute()?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Header {
    /// Bytes of the salted body.
    body: u32,
    stream: u8,
    version: u32,
    previous: u64,
    link: Link,
    checksum: u32,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let [_, _, previous @ ..] = self.previous.to_be_bytes();
        let mut bytes = [0; HEADER_BYTES];
        let fields: [&[u8]; 6] = [
            &self.body.to_be_bytes(),
            &[self.stream],
            &self.version.to_be_bytes(),
            &previous,
            &self.link,
            &self.checksum.to_be_bytes(),
        ];
        let mut rest = bytes.as_mut_slice();
        for field in fields {
            let (place, behind) = rest.split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = behind;
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let [p0, p1, p2, p3, p4, p5] = array(bytes, 9)?;
        Some(Self {
            body: be32(bytes, 0)?,
            stream: *bytes.get(4)?,
            version: be32(bytes, 5)?,
            previous: u64::from_be_bytes([0, 0, p0, p1, p2, p3, p4, p5]),
            link: array(bytes, 15)?,
            checksum: be32(bytes, 31)?,
        })
    }
}

/// A row whose lengths add up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) first: u64,
    pub(crate) last: u64,
    entries: &'a [u8],
}

impl<'a> Block<'a> {
    /// `Err` says what is wrong with it.
    pub(crate) fn parse(row: &'a rusqlite::Row<'_>) -> Result<Self, &'static str> {
        let shape = "its block does not hold what belongs there";
        let (Some(last), Some((&count, entries))) =
            (last(row), blob(row).and_then(<[u8]>::split_first))
        else {
            return Err(shape);
        };
        let mut rest = entries;
        for _ in 0..count {
            rest = split(rest).ok_or(shape)?.1;
        }
        let first = (last + 1).checked_sub(u64::from(count)).filter(|&first| first > 0);
        let first = first.filter(|_| count > 0 && rest.is_empty()).ok_or(shape)?;
        Ok(Self { first, last, entries })
    }

    /// The event at a position, which the block must hold. `Err` says what is wrong with it.
    pub(crate) fn event(&self, position: u64) -> Result<Event<'a>, &'static str> {
        self.events_from(position).next().unwrap_or(Err("it is missing"))
    }

    /// Its events from a position on; none when it does not hold that.
    pub(crate) fn events_from(
        &self,
        position: u64,
    ) -> impl Iterator<Item = Result<Event<'a>, &'static str>> + use<'a> {
        let mut rest = self.entries;
        for _ in self.first..position.max(self.first).min(self.last + 1) {
            rest = split(rest).map_or(&[], |it| it.1);
        }
        let from = if position < self.first { self.last + 1 } else { position };
        (from..=self.last).map(move |position| {
            let (entry, behind) = split(rest).ok_or("it is missing")?;
            rest = behind;
            Event::parse(position, entry)
        })
    }
}

/// Shows `take` the event at a position, found by [`SELECT_ONE`]. The inner error says what is wrong
/// with it.
pub(crate) fn event_at<T>(
    select: &mut Statement<'_>,
    position: u64,
    take: impl FnOnce(&Event<'_>) -> Result<T, &'static str>,
) -> rusqlite::Result<Result<T, &'static str>> {
    let mut rows = select.query([position.cast_signed()])?;
    let row = rows.next()?.ok_or("it is missing");
    let event = row.and_then(Block::parse).and_then(|block| block.event(position));
    Ok(event.and_then(|event| take(&event)))
}

fn last(row: &rusqlite::Row<'_>) -> Option<u64> {
    row.get_ref(0).ok()?.as_i64().ok()?.try_into().ok()
}

fn blob<'a>(row: &'a rusqlite::Row<'_>) -> Option<&'a [u8]> {
    match row.get_ref(1).ok()? {
        ValueRef::Blob(block) => Some(block),
        _ => None,
    }
}

/// The first entry, and what follows it.
fn split(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = be32(entries, 0)?;
    let body = if body & ERASED == 0 { body as usize } else { DIGEST_BYTES };
    entries.split_at_checked(HEADER_BYTES + usize::from(*entries.get(4)?) + body)
}

/// An event whose checksum matches.
#[derive(Debug)]
pub(crate) struct Event<'a> {
    pub(crate) position: u64,
    pub(crate) stream: &'a str,
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: Link,
    pub(crate) digest: Digest,
    /// Without its salt; `None` once erased.
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Event<'a> {
    fn parse(position: u64, entry: &'a [u8]) -> Result<Self, &'static str> {
        let (event, expected) =
            Self::fields(position, entry).ok_or("its fields do not hold what belongs there")?;
        let checked = Checked {
            position,
            stream: event.stream.as_bytes(),
            version: event.version,
            previous: event.previous,
            link: &event.link,
            digest: &event.digest,
        };
        if checksum(&checked) == expected { Ok(event) } else { Err("its checksum does not match") }
    }

    fn fields(position: u64, entry: &'a [u8]) -> Option<(Self, u32)> {
        let header = Header::decode(entry)?;
        let (stream, body) =
            entry.get(HEADER_BYTES..)?.split_at_checked(usize::from(header.stream))?;
        let (digest, body) = if header.body & ERASED == 0 {
            (digest(body), Some(body.get(SALT_BYTES..)?))
        } else if header.body == ERASED {
            (body.try_into().ok()?, None)
        } else {
            return None;
        };
        let event = Self {
            position,
            stream: str::from_utf8(stream).ok()?,
            version: header.version,
            previous: header.previous,
            link: header.link,
            digest,
            body,
        };
        Some((event, header.checksum))
    }

    pub(crate) fn continues(&self, previous: &Link) -> bool {
        self.link == link(previous, self.version, &self.digest)
    }
}

pub(crate) fn read_error(error: rusqlite::Error) -> ReadError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TooBig};
    match error.sqlite_error_code() {
        // Nothing too big was ever written: a damaged length says so of itself.
        Some(DatabaseCorrupt | NotADatabase | TooBig) => {
            ReadError::Corrupt(format!("`log.db`: {error}"))
        }
        _ => ReadError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
