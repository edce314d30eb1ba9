//! SQLite connections, set up the way this store needs them.

use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Result};

use crate::block;
use crate::files::{Dir, LOG, WAL};
use crate::inspect::{APPLICATION_ID, FORMAT};

/// Each commit writes three pages beside its events: the first, the one above the newest, and one
/// that is not full. Of larger pages these cost more bytes, of smaller ones all cost more calls.
/// A log keeps the pages that it was made with.
pub(crate) const PAGE_BYTES: u32 = 8_192;
const CACHE_KIB: u32 = 2_048;
/// The longest that the writer waits for a reader before it gives up restarting the WAL.
const BUSY: Duration = Duration::from_millis(4);

/// A connection to a log that was found whole.
pub(crate) fn open(dir: &Dir) -> Result<Connection> {
    let connection = Connection::open_with_flags(dir.file(LOG), flags())?;
    set_up(&connection)?;
    Ok(connection)
}

fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn set_up(connection: &Connection) -> Result<()> {
    // Closing must not tidy up: not what was never verified, and not while the writer runs.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(&format!(
        "PRAGMA wal_autocheckpoint = 0;
         PRAGMA synchronous = FULL;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -{CACHE_KIB};"
    ))
}

/// For looking only: opening and closing it changes no file and makes none.
pub(crate) fn open_untouching(dir: &Dir) -> Result<Connection> {
    let wal_bytes = std::fs::metadata(dir.file(WAL)).map_or(0, |wal| wal.len());
    let connection = if wal_bytes == 0 {
        // SQLite would make a WAL to read a log that has none; not if told that nobody writes.
        let path = percent_encoded(dir.file(LOG).as_os_str().as_encoded_bytes());
        let uri = format!("file:{path}?immutable=1");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?
    } else {
        let connection = Connection::open_with_flags(dir.file(LOG), flags())?;
        // First of all: then the index of the WAL is in this connection's own memory. In return
        // nobody else can have the log open.
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        connection
    };
    set_up(&connection)?;
    connection.execute_batch("PRAGMA query_only = ON")?;
    Ok(connection)
}

fn percent_encoded(path: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let encode = |&byte: &u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    path.iter().map(encode).collect()
}

pub(crate) fn open_reader(dir: &Dir) -> Result<Connection> {
    let connection = open(dir)?;
    connection.execute_batch("PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// Makes a new, empty log under the name `log.db.new`, and gives the page its events begin on.
pub(crate) fn create(dir: &Dir, store: &[u8; 16]) -> Result<u32> {
    let connection = Connection::open(dir.file("log.db.new"))?;
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_BYTES};
         PRAGMA application_id = {APPLICATION_ID};
         PRAGMA user_version = {FORMAT};
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         BEGIN;
         {};
         COMMIT;",
        block::CREATE
    ))?;
    connection.execute("INSERT INTO meta VALUES ('store', ?1)", [store.as_slice()])?;
    let root = root(&connection)?;
    // Closing the last connection brings everything into the file and removes the rest.
    connection.close().map_err(|(_, error)| error)?;
    Ok(root)
}

/// Has a copy of a log keep a WAL again: one that `VACUUM INTO` made has a rollback journal.
pub(crate) fn keep_wal(dir: &Dir) -> Result<()> {
    let connection = Connection::open_with_flags(dir.file(LOG), flags())?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_mode = WAL;")?;
    connection.close().map_err(|(_, error)| error)
}

pub(crate) fn root(connection: &Connection) -> Result<u32> {
    let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'events'";
    connection.query_row(sql, [], |row| row.get(0))
}

/// Those of this log, which an earlier build may have made with others.
pub(crate) fn page_bytes(connection: &Connection) -> Result<u32> {
    connection.query_row("PRAGMA page_size", [], |row| row.get(0))
}

pub(crate) fn store_id(connection: &Connection) -> Result<[u8; 16]> {
    connection.query_row("SELECT value FROM meta WHERE name = 'store'", [], |row| row.get(0))
}
