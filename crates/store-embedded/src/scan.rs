//! Walks the log in its own order, holding every row to its checksum, its position and the row
//! before it in its stream, and brings the heads to where the log ends.

use std::ops::ControlFlow;

use rusqlite::Connection;

use crate::chain;
use crate::heads::{Head, Heads};
use crate::row::{Row, SELECT_AFTER};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) events: u64,
    /// How many heads were already at or past the row that was read, and agreed with it.
    pub(crate) heads_met: u64,
    /// The last position read.
    pub(crate) last: u64,
}

/// Reads everything behind `after`. `problem` hears what is wrong and says whether to go on.
pub(crate) fn scan(
    connection: &Connection,
    after: u64,
    heads: &Heads,
    mut problem: impl FnMut(String) -> ControlFlow<()>,
) -> Scanned {
    let mut scanned = Scanned { last: after, ..Scanned::default() };
    let result = walk(connection, after, |row| {
        scanned.events += 1;
        let expected = scanned.last + 1;
        scanned.last = expected;
        match row {
            Err(what) => problem(format!("event {expected}: {what}")),
            Ok(row) => {
                if row.position != expected {
                    let gone = format!("events {expected} to {} are missing", row.position - 1);
                    scanned.last = row.position;
                    problem(gone)?;
                }
                match follow(heads, &row) {
                    Ok(met) => {
                        scanned.heads_met += u64::from(met);
                        ControlFlow::Continue(())
                    }
                    Err(what) => problem(format!(
                        "event {} (version {} of `{}`): {what}",
                        row.position, row.version, row.stream
                    )),
                }
            }
        }
    });
    if let Err(error) = result {
        let _ = problem(format!("behind event {}: {error}", scanned.last));
    }
    scanned
}

fn walk(
    connection: &Connection,
    after: u64,
    mut visit: impl FnMut(Result<Row<'_>, &'static str>) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(SELECT_AFTER)?;
    let mut rows = select.query((after.cast_signed(), -1))?;
    while let Some(row) = rows.next()? {
        if visit(Row::parse(row)).is_break() {
            break;
        }
    }
    Ok(())
}

/// True when the head knew this row already.
fn follow(heads: &Heads, row: &Row<'_>) -> Result<bool, &'static str> {
    let key = chain::key(row.stream);
    let head = heads.get(&key);
    if let Some(head) = head.filter(|head| head.position >= row.position) {
        // Saved while appends went on: ahead of the row, or just at it.
        let agrees =
            head.position > row.position || (head.version == row.version && head.link == row.link);
        return if agrees {
            Ok(head.position == row.position)
        } else {
            Err("it is not what the saved heads say")
        };
    }
    let before = head.unwrap_or_else(|| Head::origin(&key));
    heads.set(&key, &Head { version: row.version, position: row.position, link: row.link });
    if row.version != before.version.saturating_add(1) || row.previous != before.position {
        return Err("it does not follow the event before it in its stream");
    }
    if !row.continues(&before.link) {
        return Err("its link does not continue the chain of its stream");
    }
    Ok(false)
}
