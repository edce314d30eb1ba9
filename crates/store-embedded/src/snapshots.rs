//! Snapshots: a cache beside the log, one per stream, in a database of their own that may be
//! lost or thrown away at any time. Nothing in it is believed without its checksum, and without
//! the link of the event it stands on, so that it never outlives a history it was not made from.

use std::sync::Arc;

use futures::channel::oneshot::Sender;
use rusqlite::{Connection, OptionalExtension, Result};
use store::{AppendError, ReadError, Snapshot, StreamId, Version};

use crate::chain::{self, Key, Link};
use crate::files::{Dir, SNAPSHOTS};
use crate::reader::link_at;
use crate::shared::{Shared, StopOnPanic};

const APPLICATION_ID: u32 = 0x4352_4e53; // "CRNS"
const FORMAT: u32 = 1;

#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) stream: StreamId,
    pub(crate) snapshot: Snapshot,
    pub(crate) reply: Sender<std::result::Result<(), AppendError>>,
}

/// A snapshot as found, with the link of the event it was made at.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) snapshot: Snapshot,
    pub(crate) link: Link,
}

/// Opens the cache, throwing away one that cannot be used.
pub(crate) fn open(dir: &Dir) -> Result<Connection> {
    prepare(dir).or_else(|error| {
        tracing::warn!(%error, "the snapshots are thrown away and made anew");
        for suffix in ["", "-wal", "-shm"] {
            // One that stays makes the next attempt fail, and that is reported.
            let _ = dir.remove_if_there(&format!("{SNAPSHOTS}{suffix}"));
        }
        prepare(dir)
    })
}

fn prepare(dir: &Dir) -> Result<Connection> {
    let connection = Connection::open(dir.file(SNAPSHOTS))?;
    let format: (u32, u32) = connection.query_row(
        "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if format != (APPLICATION_ID, FORMAT) {
        connection.execute_batch(&format!(
            "DROP TABLE IF EXISTS snapshots;
             PRAGMA journal_mode = WAL;
             PRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {FORMAT};
             CREATE TABLE snapshots (
                 slot        INTEGER PRIMARY KEY,
                 stream      TEXT    NOT NULL,
                 version     INTEGER NOT NULL,
                 fingerprint INTEGER NOT NULL,
                 link        BLOB    NOT NULL,
                 checksum    INTEGER NOT NULL,
                 body        BLOB    NOT NULL
             ) STRICT;"
        ))?;
    }
    // A power cut may lose the newest ones, which is no loss.
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -1024;")?;
    connection.prepare(
        "SELECT slot, stream, version, fingerprint, link, checksum, body FROM snapshots",
    )?;
    Ok(connection)
}

#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Connection,
    pub(crate) snapshots: Connection,
}

impl Keeper {
    pub(crate) fn run(self) {
        let _stop = StopOnPanic::new(&self.shared, "go on keeping snapshots");
        while let Some(Put { stream, snapshot, reply }) = self.shared.puts.pop() {
            let _ = reply.send(self.put(&stream, snapshot));
        }
    }

    fn put(&self, stream: &StreamId, snapshot: Snapshot) -> std::result::Result<(), AppendError> {
        let key = chain::key(stream.as_str());
        let head = self.shared.heads.get(&key);
        let actual = head.map_or(0, |head| head.version);
        let (Some(head), 1..) = (head, snapshot.version) else {
            return Err(not_at(snapshot.version, actual));
        };
        let Some(version) = u32::try_from(snapshot.version).ok().filter(|&it| it <= actual) else {
            return Err(not_at(snapshot.version, actual));
        };
        let link = match link_at(&self.log, stream, &head, version) {
            Ok(link) => link,
            Err(ReadError::Corrupt(what)) => return Err(AppendError::Invalid(what)),
            Err(error) => return Err(AppendError::Unavailable(error.to_string())),
        };
        self.write(stream, &key, &Kept { snapshot, link })
            .map_err(|error| AppendError::Unavailable(error.to_string()))
    }

    fn write(&self, stream: &StreamId, key: &Key, kept: &Kept) -> Result<()> {
        let Snapshot { version, fingerprint, body } = &kept.snapshot;
        let mut upsert = self.snapshots.prepare_cached(
            "INSERT INTO snapshots VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (slot) DO UPDATE SET
                 stream = ?2, version = ?3, fingerprint = ?4, link = ?5, checksum = ?6, body = ?7
             WHERE stream <> ?2 OR fingerprint <> ?4 OR version <= ?3",
        )?;
        upsert.execute((
            slot(key),
            stream.as_str(),
            version.cast_signed(),
            fingerprint.cast_signed(),
            kept.link,
            checksum(stream, kept),
            &body[..],
        ))?;
        Ok(())
    }
}

fn not_at(version: Version, actual: u32) -> AppendError {
    AppendError::Invalid(format!("a snapshot at version {version} of a stream at {actual}"))
}

/// The stream's snapshot by this reducer; whatever is wrong with it, there is none.
pub(crate) fn get(
    snapshots: &Connection,
    stream: &StreamId,
    key: &Key,
    fingerprint: u64,
) -> Option<Kept> {
    let found = select(snapshots, stream, key, fingerprint);
    match found {
        Ok(kept) => {
            let (kept, sum) = kept?;
            (checksum(stream, &kept) == sum).then_some(kept)
        }
        Err(error) => {
            tracing::warn!(%error, %stream, "a snapshot cannot be read");
            None
        }
    }
}

fn select(
    snapshots: &Connection,
    stream: &StreamId,
    key: &Key,
    fingerprint: u64,
) -> Result<Option<(Kept, u32)>> {
    let mut select = snapshots.prepare_cached(
        "SELECT version, link, checksum, body FROM snapshots
         WHERE slot = ?1 AND stream = ?2 AND fingerprint = ?3",
    )?;
    let parameters = (slot(key), stream.as_str(), fingerprint.cast_signed());
    let row = |row: &rusqlite::Row<'_>| {
        let version = row.get::<_, i64>(0)?.cast_unsigned();
        let body: Arc<[u8]> = row.get_ref(3)?.as_blob()?.into();
        let kept = Kept { snapshot: Snapshot { version, fingerprint, body }, link: row.get(1)? };
        Ok((kept, row.get(2)?))
    };
    select.query_row(parameters, row).optional()
}

/// Two streams in one slot only push each other out.
fn slot(key: &Key) -> i64 {
    key.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

fn checksum(stream: &StreamId, kept: &Kept) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&kept.snapshot.version.to_be_bytes());
    crc.update(&kept.snapshot.fingerprint.to_be_bytes());
    crc.update(&kept.link);
    crc.update(&(stream.as_str().len() as u64).to_be_bytes());
    crc.update(stream.as_str().as_bytes());
    crc.update(&kept.snapshot.body);
    crc.finalize()
}
