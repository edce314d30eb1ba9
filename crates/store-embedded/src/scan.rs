//! Walks the log in its own order, holding every event to its checksum, its position and the
//! event before it in its stream, and brings the heads to where the log ends.

use std::ops::ControlFlow;

use rusqlite::Connection;

use crate::block::{Block, Event, SELECT_FROM};
use crate::chain;
use crate::heads::{Head, Heads};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    pub(crate) events: u64,
    /// How many heads were already at or past the event that was read, and agreed with it.
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
    let result = walk(connection, after, |last, block| match block {
        Ok(block) => scanned.block(&block, heads, &mut problem),
        Err(what) => {
            let first = scanned.last + 1;
            scanned.last = scanned.last.max(last);
            problem(format!("events {first} to {last}: {what}"))
        }
    });
    if let Err(error) = result {
        let _ = problem(format!("behind event {}: {error}", scanned.last));
    }
    scanned
}

impl Scanned {
    fn block(
        &mut self,
        block: &Block<'_>,
        heads: &Heads,
        problem: &mut impl FnMut(String) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let expected = self.last + 1;
        if block.first > expected {
            problem(format!("events {expected} to {} are missing", block.first - 1))?;
        }
        // The first block read may begin at or before `after`, any other must not.
        if block.first < expected && self.events > 0 {
            problem(format!("event {expected}: its block begins at {}", block.first))?;
        }
        let from = block.first.max(expected);
        let events = block.events_from(from).zip(from..);
        for (event, position) in events {
            self.events += 1;
            self.last = position;
            let followed = event.map_err(|what| format!(": {what}")).and_then(|event| {
                follow(heads, &event).map_err(|what| {
                    format!(" (version {} of `{}`): {what}", event.version, event.stream)
                })
            });
            match followed {
                Ok(met) => self.heads_met += u64::from(met),
                Err(what) => problem(format!("event {position}{what}"))?,
            }
        }
        ControlFlow::Continue(())
    }
}

fn walk(
    connection: &Connection,
    after: u64,
    mut visit: impl FnMut(u64, Result<Block<'_>, &'static str>) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let mut select = connection.prepare(SELECT_FROM)?;
    let mut rows = select.query([(after + 1).cast_signed()])?;
    while let Some(row) = rows.next()? {
        if visit(row.get_ref(0)?.as_i64()?.cast_unsigned(), Block::parse(row)).is_break() {
            break;
        }
    }
    Ok(())
}

/// True when the head knew this event already.
fn follow(heads: &Heads, event: &Event<'_>) -> Result<bool, &'static str> {
    let key = chain::key(event.stream);
    let head = heads.get(&key);
    if let Some(head) = head.filter(|head| head.position >= event.position) {
        // Saved while appends went on: ahead of the event, or just at it.
        let agrees = head.position > event.position
            || (head.version == event.version && head.link == event.link);
        return if agrees {
            Ok(head.position == event.position)
        } else {
            Err("it is not what the saved heads say")
        };
    }
    let before = head.unwrap_or_else(|| Head::origin(&key));
    let now = Head { version: event.version, position: event.position, link: event.link };
    heads.set([(&key, &now)]);
    if event.version != before.version.saturating_add(1) || event.previous != before.position {
        return Err("it does not follow the event before it in its stream");
    }
    if !event.continues(&before.link) {
        return Err("its link does not continue the chain of its stream");
    }
    Ok(false)
}
