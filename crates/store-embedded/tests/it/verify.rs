//! Walking a store that nobody has open.

use std::fs;

use rusqlite::Connection;
use store_embedded::verify;
use tempfile::TempDir;

use crate::support::*;

fn closed_store() -> TempDir {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let mut truth = Streams::new();
    for round in 0..10 {
        append(&store, &mut truth, &format!("member-{}", round % 3), &[b"some", b"events"]);
    }
    place
}

#[test]
fn a_whole_store_has_no_problems() {
    let place = closed_store();
    let before = files(place.path());
    let verified = verify(place.path()).unwrap();
    assert_eq!((verified.events, verified.streams), (20, 3));
    assert_eq!(verified.problems, Vec::<String>::new());
    assert!(files(place.path()) == before, "verifying changes nothing");
}

/// Puts something as long in the place of what a block first has of it.
fn splice(log: &Connection, last: i64, from: &[u8], to: &[u8]) {
    let select = "SELECT block FROM events WHERE last = ?1";
    let mut block: Vec<u8> = log.query_row(select, [last], |row| row.get(0)).unwrap();
    let at = block.windows(from.len()).position(|found| found == from).unwrap();
    block[at..at + to.len()].copy_from_slice(to);
    log.execute("UPDATE events SET block = ?2 WHERE last = ?1", (last, block)).unwrap();
}

/// Somebody who rewrites history and mends what SQLite knows of it is caught by the event's own
/// checksum, or by the chain.
#[test]
fn every_change_of_history_is_found() {
    let sql = |sql: &'static str| move |log: &Connection| log.execute_batch(sql).unwrap();
    type Change<'a> = &'a dyn Fn(&Connection);
    let changes: [(Change<'_>, &str); 7] = [
        (&|log| splice(log, 8, b"some", b"same"), "event 7: its checksum"),
        (&|log| splice(log, 8, b"member-0", b"member-9"), "event 7: its checksum"),
        (&|log| splice(log, 8, &[2], &[1]), "events 7 to 8: its block does not hold"),
        (&sql("DELETE FROM events WHERE last = 8"), "events 7 to 8 are missing"),
        (&sql("UPDATE events SET last = 9 WHERE last = 8"), "events 7 to 7 are missing"),
        (&sql("UPDATE events SET last = 9 WHERE last = 10"), "event 9: its block begins at 8"),
        (&sql("DELETE FROM events WHERE last > 18"), "the log ends at event 18"),
    ];
    for (change, expected) in changes {
        let place = closed_store();
        let log = Connection::open(place.path().join("log.db")).unwrap();
        change(&log);
        drop(log);
        let before = files(place.path());
        let problems = match verify(place.path()) {
            Ok(verified) => verified.problems.join("\n"),
            Err(refused) => refused.to_string(),
        };
        assert!(problems.contains(expected), "{expected}: {problems}");
        assert!(files(place.path()) == before, "verifying changes nothing");
    }
}

/// What follows a gap is there, and is looked at.
#[test]
fn a_gap_is_told_once() {
    let place = closed_store();
    let log = Connection::open(place.path().join("log.db")).unwrap();
    log.execute_batch("DELETE FROM events WHERE last = 8").unwrap();
    drop(log);
    let verified = verify(place.path()).unwrap();
    assert_eq!((verified.events, verified.streams), (18, 3));
    let expected = [
        "events 7 to 8 are missing",
        "event 13 (version 5 of `member-0`): it does not follow the event before it in its stream",
    ];
    assert_eq!(verified.problems, expected);
}

#[test]
fn a_directory_without_a_store_is_not_a_whole_store() {
    let place = TempDir::new().unwrap();
    let refused = verify(place.path()).unwrap_err().to_string();
    assert!(refused.contains("`log.db` is missing"), "{refused}");
    assert!(files(place.path()).is_empty());
}

#[test]
fn damaged_heads_are_told() {
    let place = closed_store();
    fs::write(place.path().join("heads"), b"?").unwrap();
    let problems = verify(place.path()).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("will be made again"), "{problems:?}");
}
