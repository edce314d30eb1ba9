//! Opening: look before touching, make what is new in steps that a crash may separate, and bring
//! the heads to where the log ends.

use std::fs::{DirBuilder, File};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;

use rand::RngExt;
use rusqlite::Connection;

use crate::block::{SELECT_ONE, event_at};
use crate::chain::Link;
use crate::connection;
use crate::error::OpenError;
use crate::files::{Dir, HEADS, LOG, WAL, WATERMARK};
use crate::heads::Heads;
use crate::heads::saved::{self, Loaded, Through};
use crate::inspect::{self, Inspected};
use crate::scan::scan;
use crate::watermark::{self, Record};

/// What opening found, for the log and for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub events: u64,
    pub streams: usize,
    /// How many events were read again, because they were not in the saved heads.
    pub replayed: u64,
    /// Why the saved heads were of no use, if they were not: the whole log was read instead.
    pub heads_rebuilt: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) record: Record,
    pub(crate) heads: Heads,
    pub(crate) end: Through,
    pub(crate) opened: Opened,
}

/// The directory is locked, and nothing of it is open.
pub(crate) fn open(dir: &Dir) -> Result<Ready, OpenError> {
    let record = existing(dir)?.map_or_else(|| create(dir), Ok)?;
    let inspected = inspect::inspect(dir, &record)?;
    sync_wal(dir).map_err(OpenError::io("sync the WAL"))?;
    let log = connection::open_untouching(dir).map_err(OpenError::sqlite("open `log.db`"))?;
    check_store(&log, &record)?;
    let (heads, end, opened) = match from_saved(dir, &log, &record, inspected) {
        Ok(found) => found,
        Err(why) => from_the_beginning(&log, &record, inspected, why)?,
    };
    drop(log);
    if let Some(tail) = inspected.tail {
        // Nobody was told of it. The next transaction will lie there: followed by the rest of this
        // one, and torn by a power cut, it would look like damage to what was acknowledged.
        tracing::info!("a transaction that was not finished is dropped");
        dir.cut(WAL, tail.begins_at).map_err(OpenError::io("cut the WAL"))?;
    }
    if !record.live {
        let live = Record { live: true, ..record };
        watermark::install(dir, &live).map_err(OpenError::io("write the watermark"))?;
    }
    Ok(Ready { record: Record { live: true, ..record }, heads, end, opened })
}

/// The watermark of the store in this directory; `None` when there is no store yet.
pub(crate) fn existing(dir: &Dir) -> Result<Option<Record>, OpenError> {
    let remains = [LOG, WAL, HEADS].into_iter().find(|name| dir.exists(name));
    match (watermark::read(dir)?, dir.exists(LOG)) {
        (Some(record), true) => Ok(Some(record)),
        // Creation ended between two of its steps: there was nothing to lose yet.
        (Some(Record { live: false, .. }), false) | (None, false) if remains.is_none() => Ok(None),
        (Some(record), false) => Err(OpenError::Missing {
            file: LOG,
            found: format!("the watermark says that {} events were acknowledged", record.position),
        }),
        (None, _) => Err(OpenError::Missing {
            file: WATERMARK,
            found: format!(
                "`{}` exists, so nobody knows whether all that was acknowledged is there (a \
                 restored copy of `log.db` alone is taken with `carnet store accept`)",
                remains.unwrap_or(LOG)
            ),
        }),
    }
}

/// First the watermark that says "not live yet", then the log under its name, then "live".
fn create(dir: &Dir) -> Result<Record, OpenError> {
    let io = |step: &str| OpenError::io(format!("create the store: {step}"));
    for leftover in ["log.db.new", "log.db.new-wal", "log.db.new-shm", "log.db.new-journal"] {
        dir.remove_if_there(leftover).map_err(io("remove what an earlier attempt left"))?;
    }
    let store: [u8; 16] = rand::rng().random();
    let root = connection::create(dir, &store).map_err(OpenError::sqlite("create `log.db`"))?;
    let sync = || File::open(dir.file("log.db.new"))?.sync_all();
    sync().map_err(io("sync `log.db`"))?;
    let log = inspect::identify(dir, "log.db.new", store, root)?;
    let record = Record { log, live: false, position: 0 };
    watermark::install(dir, &record).map_err(io("write the watermark"))?;
    dir.install(LOG).map_err(io("put `log.db` in place"))?;
    Ok(record)
}

/// What the WAL holds is about to be believed, and its writer may have died before the sync.
fn sync_wal(dir: &Dir) -> io::Result<()> {
    match File::open(dir.file(WAL)) {
        Ok(wal) => wal.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

pub(crate) fn check_store(log: &Connection, record: &Record) -> Result<(), OpenError> {
    let store = connection::store_id(log).map_err(OpenError::sqlite("read `log.db`"))?;
    if store == record.log.store {
        return Ok(());
    }
    Err(OpenError::Damaged {
        file: LOG,
        found: "the watermark is that of another store".to_owned(),
    })
}

type Found = (Heads, Through, Opened);

/// `Err` says why the saved heads are of no use.
fn from_saved(
    dir: &Dir,
    log: &Connection,
    record: &Record,
    inspected: Inspected,
) -> Result<Found, String> {
    if inspected.last == 0 {
        return Err("the log is empty".to_owned());
    }
    let heads = Heads::new();
    let Loaded { through, ahead } = saved::load(dir, &record.log.store, &heads)?;
    if link_at(log, through.position) != Ok(through.link) {
        return Err("they are of another history".to_owned());
    }
    let (replayed, met) = replay(log, through.position, inspected, &heads)?;
    if met != ahead {
        return Err("they know events that the log does not".to_owned());
    }
    if heads.events() != inspected.last {
        return Err("they do not add up to the events of the log".to_owned());
    }
    let end = end(log, inspected)?;
    let (events, streams) = (inspected.last, heads.streams());
    Ok((heads, end, Opened { events, streams, replayed, heads_rebuilt: None }))
}

fn from_the_beginning(
    log: &Connection,
    record: &Record,
    inspected: Inspected,
    why: String,
) -> Result<Found, OpenError> {
    let damaged = |found| OpenError::Damaged { file: LOG, found };
    let heads = Heads::new();
    let end = if inspected.last == 0 {
        Through { position: 0, link: record.log.store }
    } else {
        tracing::info!("the saved heads are not used ({why}): reading the whole log");
        end(log, inspected).map_err(damaged)?
    };
    let (replayed, _) = replay(log, 0, inspected, &heads).map_err(damaged)?;
    let heads_rebuilt = (inspected.last > 0).then_some(why);
    let (events, streams) = (inspected.last, heads.streams());
    Ok((heads, end, Opened { events, streams, replayed, heads_rebuilt }))
}

/// How many events were read, and how many of them the heads knew.
fn replay(
    log: &Connection,
    after: u64,
    inspected: Inspected,
    heads: &Heads,
) -> Result<(u64, u64), String> {
    let mut problem = None;
    let scanned = scan(log, after, heads, |found| {
        problem = Some(found);
        ControlFlow::Break(())
    });
    match problem {
        Some(found) => Err(found),
        None if scanned.last != inspected.last => {
            Err(format!("it reads to event {}, not to {}", scanned.last, inspected.last))
        }
        None => Ok((scanned.events, scanned.heads_met)),
    }
}

fn end(log: &Connection, inspected: Inspected) -> Result<Through, String> {
    let position = inspected.last;
    Ok(Through { position, link: link_at(log, position)? })
}

fn link_at(log: &Connection, position: u64) -> Result<Link, String> {
    let mut select = log.prepare(SELECT_ONE).map_err(|error| error.to_string())?;
    let found = event_at(&mut select, position, |event| Ok(event.link));
    found
        .map_err(|error| error.to_string())
        .and_then(|found| found.map_err(|what| format!("event {position}: {what}")))
}

/// Makes the directory if need be, for nobody else to look into.
pub(crate) fn make_dir(dir: &Dir) -> Result<(), OpenError> {
    let action = format!("create the directory `{}`", dir.path().display());
    let mut private = DirBuilder::new();
    private.recursive(true).mode(0o700).create(dir.path()).map_err(OpenError::io(action))
}

#[cfg(test)]
mod tests;
