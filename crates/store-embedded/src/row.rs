//! One event as a row of the log: how it is written, and how it is read back without trust.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use store::ReadError;

use crate::chain::{Checked, Digest, Link, SALT_BYTES, SaltedBody, checksum, digest, link};

/// Rows are only ever appended, in the order of their positions: a page once filled is not
/// touched again. That, and no index, is what makes SQLite as fast as a plain log.
pub(crate) const CREATE: &str = "
    CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        stream   TEXT    NOT NULL,
        version  INTEGER NOT NULL,
        previous INTEGER NOT NULL,
        link     BLOB    NOT NULL,
        checksum INTEGER NOT NULL,
        body     BLOB,
        digest   BLOB
    ) STRICT;
    CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;";

pub(crate) const SELECT_ONE: &str = "SELECT position, stream, version, previous, link, checksum, \
                                     body, digest FROM events WHERE position = ?1";
pub(crate) const SELECT_AFTER: &str = "SELECT position, stream, version, previous, link, checksum, \
                                       body, digest FROM events WHERE position > ?1 \
                                       ORDER BY position LIMIT ?2";

/// A row to be written.
#[derive(Debug)]
pub(crate) struct NewRow<'a> {
    pub(crate) position: u64,
    pub(crate) stream: &'a str,
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: Link,
    pub(crate) body: &'a SaltedBody,
}

/// Many rows to a statement: a statement of its own for each costs as much as the row.
const ROWS_PER_INSERT: usize = 16;
const COLUMNS_INSERTED: usize = 7;

pub(crate) fn insert(connection: &Connection, rows: &[NewRow<'_>]) -> rusqlite::Result<()> {
    let mut chunks = rows.chunks_exact(ROWS_PER_INSERT);
    if rows.len() >= ROWS_PER_INSERT {
        let mut many = connection.prepare_cached(&insert_sql(ROWS_PER_INSERT))?;
        for chunk in chunks.by_ref() {
            for (index, row) in chunk.iter().enumerate() {
                bind(&mut many, index, row)?;
            }
            many.raw_execute()?;
        }
    }
    let mut one = connection.prepare_cached(&insert_sql(1))?;
    for row in chunks.remainder() {
        bind(&mut one, 0, row)?;
        one.raw_execute()?;
    }
    Ok(())
}

fn insert_sql(rows: usize) -> String {
    let values = vec!["(?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!(
        "INSERT INTO events (position, stream, version, previous, link, checksum, body) \
         VALUES {values}"
    )
}

fn bind(insert: &mut Statement<'_>, index: usize, row: &NewRow<'_>) -> rusqlite::Result<()> {
    let NewRow { position, stream, version, previous, link, body } = row;
    let checksum = checksum(&Checked {
        position: *position,
        stream,
        version: *version,
        previous: *previous,
        link,
        digest: &body.digest,
    });
    let first = index * COLUMNS_INSERTED + 1;
    // Positions are below 2^48, so nothing is lost in SQLite's signed integers.
    insert.raw_bind_parameter(first, position.cast_signed())?;
    insert.raw_bind_parameter(first + 1, *stream)?;
    insert.raw_bind_parameter(first + 2, *version)?;
    insert.raw_bind_parameter(first + 3, previous.cast_signed())?;
    insert.raw_bind_parameter(first + 4, link.as_slice())?;
    insert.raw_bind_parameter(first + 5, checksum)?;
    insert.raw_bind_parameter(first + 6, body.bytes.as_slice())
}

/// A row whose checksum matches.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) position: u64,
    pub(crate) stream: &'a str,
    pub(crate) version: u32,
    pub(crate) previous: u64,
    pub(crate) link: Link,
    pub(crate) digest: Digest,
    /// Without its salt; `None` once erased.
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Row<'a> {
    /// `Err` says what is wrong with it.
    pub(crate) fn parse(row: &'a rusqlite::Row<'_>) -> Result<Self, &'static str> {
        let parsed = Self::columns(row).ok_or("a column does not hold what belongs there")?;
        let checked = Checked {
            position: parsed.position,
            stream: parsed.stream,
            version: parsed.version,
            previous: parsed.previous,
            link: &parsed.link,
            digest: &parsed.digest,
        };
        if integer(row, 5) != Some(u64::from(checksum(&checked))) {
            return Err("its checksum does not match");
        }
        Ok(parsed)
    }

    fn columns(row: &'a rusqlite::Row<'_>) -> Option<Self> {
        let (digest, body) = match (value(row, 6)?, value(row, 7)?) {
            (ValueRef::Blob(salted), ValueRef::Null) => {
                (digest(salted), Some(salted.get(SALT_BYTES..)?))
            }
            (ValueRef::Null, ValueRef::Blob(digest)) => (digest.try_into().ok()?, None),
            _ => return None,
        };
        Some(Self {
            position: integer(row, 0)?,
            stream: value(row, 1)?.as_str().ok()?,
            version: integer(row, 2)?.try_into().ok()?,
            previous: integer(row, 3)?,
            link: value(row, 4)?.as_blob().ok()?.try_into().ok()?,
            digest,
            body,
        })
    }

    pub(crate) fn continues(&self, previous: &Link) -> bool {
        self.link == link(previous, self.version, &self.digest)
    }
}

fn value<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Option<ValueRef<'a>> {
    row.get_ref(column).ok()
}

fn integer(row: &rusqlite::Row<'_>, column: usize) -> Option<u64> {
    value(row, column)?.as_i64().ok()?.try_into().ok()
}

pub(crate) fn read_error(error: &rusqlite::Error) -> ReadError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, TooBig};
    match error.sqlite_error_code() {
        // Nothing too big was ever written: a damaged length says so of itself.
        Some(DatabaseCorrupt | NotADatabase | TooBig) => {
            ReadError::Corrupt(format!("`log.db`: {error}"))
        }
        _ => ReadError::Unavailable(error.to_string()),
    }
}
