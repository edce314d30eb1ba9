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

/// Somebody who rewrites history and mends what SQLite knows of it is caught by the row's own
/// checksum, or by the chain.
#[test]
fn every_change_of_history_is_found() {
    let changes = [
        ("UPDATE events SET body = zeroblob(21) WHERE position = 7", "event 7: its checksum"),
        ("UPDATE events SET stream = 'member-9' WHERE position = 7", "event 7: its checksum"),
        ("DELETE FROM events WHERE position = 7", "events 7 to 7 are missing"),
        ("DELETE FROM events WHERE position > 18", "the log ends at event 18"),
    ];
    for (change, expected) in changes {
        let place = closed_store();
        let log = Connection::open(place.path().join("log.db")).unwrap();
        log.execute_batch(change).unwrap();
        drop(log);
        let before = files(place.path());
        let problems = match verify(place.path()) {
            Ok(verified) => verified.problems.join("\n"),
            Err(refused) => refused.to_string(),
        };
        assert!(problems.contains(expected), "{change}: {problems}");
        assert!(files(place.path()) == before, "verifying changes nothing");
    }
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
