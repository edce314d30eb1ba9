//! Walks a store that nobody has open: every row, every link, every position. It changes nothing,
//! whatever it finds.

use std::ops::ControlFlow;
use std::path::Path;

use rusqlite::Connection;

use crate::connection;
use crate::error::OpenError;
use crate::files::{Dir, HEADS, LOG, WATERMARK};
use crate::heads::{Heads, saved};
use crate::inspect;
use crate::open::{check_store, existing};
use crate::scan::{Scanned, scan};
use crate::watermark::{self, Record};

/// More than this would only say the same again.
const PROBLEMS_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub events: u64,
    pub streams: usize,
    /// What is wrong, in the order found; empty when all is well.
    pub problems: Vec<String>,
}

/// Checks everything that can be checked.
///
/// # Errors
/// As opening: what is wrong before the log can be read at all.
pub fn verify(path: &Path) -> Result<Verification, OpenError> {
    let dir = Dir::new(path);
    let _lock = dir.lock()?;
    let Some(record) = existing(&dir)? else {
        let found = "nothing else of a store is there either".to_owned();
        return Err(OpenError::Missing { file: LOG, found });
    };
    inspect::inspect(&dir, &record)?;
    let log = connection::open_untouching(&dir).map_err(OpenError::sqlite("open `log.db`"))?;
    check_store(&log, &record)?;
    let mut problems = sqlite_check(&log).map_err(OpenError::sqlite("check `log.db`"))?;
    let heads = Heads::new();
    let scanned = scan_all(&log, &heads, &mut problems);
    if scanned.last < record.position {
        let (last, acknowledged) = (scanned.last, record.position);
        problems.push(format!("the log ends at event {last}, {acknowledged} were acknowledged"));
    }
    if dir.exists(HEADS)
        && let Err(why) = saved::load(&dir, &record.log.store, &Heads::new())
    {
        problems.push(format!("the saved heads are of no use and will be made again: {why}"));
    }
    Ok(Verification { events: scanned.events, streams: heads.streams(), problems })
}

/// Gives a log without a watermark, such as a restored backup, one that says: this is all.
///
/// # Errors
/// When there is a watermark, or anything is wrong with the log.
pub fn accept(path: &Path) -> Result<Verification, OpenError> {
    let damaged = |file, found: String| OpenError::Damaged { file, found };
    let dir = Dir::new(path);
    let _lock = dir.lock()?;
    if dir.exists(WATERMARK) {
        return Err(damaged(
            WATERMARK,
            "there is one; only a store without is accepted".to_owned(),
        ));
    }
    let keeps_wal = inspect::inspect_without_watermark(&dir)?;
    let log = connection::open_untouching(&dir).map_err(OpenError::sqlite("open `log.db`"))?;
    let mut problems = sqlite_check(&log).map_err(OpenError::sqlite("check `log.db`"))?;
    let heads = Heads::new();
    let scanned = scan_all(&log, &heads, &mut problems);
    if let Some(problem) = problems.into_iter().next() {
        return Err(damaged(LOG, problem));
    }
    let reading = || OpenError::sqlite("read `log.db`");
    let store = connection::store_id(&log).map_err(reading())?;
    let root = connection::root(&log).map_err(reading())?;
    drop(log);
    if !keeps_wal {
        connection::keep_wal(&dir).map_err(OpenError::sqlite("make a WAL for `log.db`"))?;
    }
    let identity = inspect::identify(&dir, LOG, store, root)?;
    let record = Record { log: identity, live: true, position: scanned.last };
    inspect::inspect(&dir, &record)?;
    watermark::install(&dir, &record).map_err(OpenError::io("write the watermark"))?;
    Ok(Verification { events: scanned.events, streams: heads.streams(), problems: vec![] })
}

fn sqlite_check(log: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut check = log.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let found = check.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

fn scan_all(log: &Connection, heads: &Heads, problems: &mut Vec<String>) -> Scanned {
    scan(log, 0, heads, |problem| {
        problems.push(problem);
        if problems.len() < PROBLEMS_MAX {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })
}
