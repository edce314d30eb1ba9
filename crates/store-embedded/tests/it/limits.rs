//! What a store refuses, and that refusing costs nothing.

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use rusqlite::Connection;
use store::{AppendError, EventStore};
use store_embedded::{EmbeddedStore, OpenError, Options, accept, verify};
use tempfile::TempDir;

use crate::support::*;

#[test]
fn a_full_store_refuses_writes_and_stays_readable() {
    let place = TempDir::new().unwrap();
    let limit = |bytes| Options { log_bytes_max: Some(bytes), ..Options::default() };
    let store = EmbeddedStore::open(place.path(), &limit(400_000)).unwrap();
    let mut truth = Streams::new();
    let full = loop {
        let name = format!("member-{}", truth.len() % 5);
        let known = truth.entry(name.clone()).or_default();
        let bodies = vec![vec![7; 9_000]; 2];
        match block_on(store.append(&id(&name), known.len() as u64, bodies.clone())) {
            Ok(_) => known.extend(bodies),
            Err(error) => break error,
        }
        assert!(truth.values().map(Vec::len).sum::<usize>() < 100, "the limit holds");
    };
    assert!(matches!(&full, AppendError::Unavailable(why) if why.contains("full")), "{full}");
    truth.retain(|_, bodies| !bodies.is_empty());
    check_all(&store, &truth);
    drop(store);
    let store = EmbeddedStore::open(place.path(), &limit(4_000_000)).unwrap();
    append(&store, &mut truth, "member-0", &[b"there is room again"]);
    check_all(&store, &truth);
}

/// No pages at all is SQLite's way to say that there is no limit.
#[test]
fn a_limit_below_a_page_is_a_limit() {
    let place = TempDir::new().unwrap();
    let options = Options { log_bytes_max: Some(0), ..Options::default() };
    let store = EmbeddedStore::open(place.path(), &options).unwrap();
    let refused = block_on(store.append(&id("member-1"), 0, vec![vec![7; 9_000]]));
    assert!(matches!(&refused, Err(AppendError::Unavailable(why)) if why.contains("full")));
}

/// As builds before the first release made it.
#[test]
fn a_log_with_larger_pages_goes_on() {
    let mut truth = Streams::new();
    let (made, place) = (closed_store(&mut truth), TempDir::new().unwrap());
    let log = Connection::open(made.path().join("log.db")).unwrap();
    let into = place.path().join("log.db");
    log.execute_batch("PRAGMA page_size = 16384").unwrap();
    log.execute("VACUUM INTO ?1", [into.to_str().unwrap()]).unwrap();
    assert_eq!(fs::read(&into).unwrap()[16..18], 16_384_u16.to_be_bytes());
    accept(place.path()).unwrap();
    let options = Options { log_bytes_max: Some(10 * 16_384), ..Options::default() };
    let store = EmbeddedStore::open(place.path(), &options).unwrap();
    let mut appended = 0;
    let append = |version| block_on(store.append(&id("member-9"), version, vec![vec![7; 9_000]]));
    while append(appended).is_ok() {
        appended += 1;
    }
    assert_eq!(appended, 7, "ten pages, and three are taken");
    truth.insert("member-9".to_owned(), vec![vec![7; 9_000]; 7]);
    check_all(&store, &truth);
    drop(store);
    check_all(&open(place.path()), &truth);
}

#[test]
fn a_full_queue_refuses_and_says_so() {
    let place = TempDir::new().unwrap();
    let options = Options { queue_events_max: 1, ..Options::default() };
    let store = EmbeddedStore::open(place.path(), &options).unwrap();
    let names: Vec<_> = (0..200).map(|it| id(&format!("member-{it}"))).collect();
    let appends = names.iter().map(|name| store.append(name, 0, vec![vec![0; 100]]));
    let outcomes = block_on(futures::future::join_all(appends));
    let refused = |it: &&Result<_, _>| matches!(it, Err(AppendError::Unavailable(_)));
    assert!(outcomes.iter().any(|it| refused(&it)), "two hundred at once do not fit");
    for (name, outcome) in names.iter().zip(&outcomes) {
        let kept = block_on(store.read(name, 0, None)).unwrap().events.len();
        assert_eq!(kept, usize::from(outcome.is_ok()), "{name}: {outcome:?}");
    }
}

#[test]
fn another_program_that_writes_to_the_log_delays_and_breaks_nothing() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let mut truth = Streams::new();
    append(&store, &mut truth, "member-1", &[b"a"]);
    let other = Connection::open(place.path().join("log.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = block_on(store.append(&id("member-1"), 1, vec![b"b".to_vec()])).unwrap_err();
    assert!(matches!(&refused, AppendError::Unavailable(why) if why.contains("another program")));
    other.execute_batch("ROLLBACK").unwrap();
    append(&store, &mut truth, "member-1", &[b"b"]);
    check_all(&store, &truth);
}

#[test]
fn one_directory_is_opened_once() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let refused = try_open(place.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Locked(_)), "{refused}");
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
    drop(store);
    drop(open(place.path()));
}

fn closed_store(truth: &mut Streams) -> TempDir {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    append(&store, truth, "member-1", &[b"a", b"b"]);
    place
}

fn change(place: &Path, file: &str, at: usize, byte: u8) {
    let mut bytes = fs::read(place.join(file)).unwrap();
    bytes[at] = byte;
    fs::write(place.join(file), bytes).unwrap();
}

#[test]
fn a_newer_log_is_refused_with_both_formats() {
    let place = closed_store(&mut Streams::new());
    change(place.path(), "log.db", 63, 3);
    let message = check_refused(place.path());
    assert!(message.contains("`log.db` has format 3, this release knows 2"), "{message}");
}

/// Format 1, a row for each event, was never released.
#[test]
fn an_older_log_is_refused_with_both_formats() {
    let place = closed_store(&mut Streams::new());
    change(place.path(), "log.db", 63, 1);
    let message = check_refused(place.path());
    assert!(message.contains("`log.db` has format 1, this release knows 2"), "{message}");
    assert!(message.contains("begin with an empty directory"), "{message}");
    let refused = verify(place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Older { .. }), "{refused}");
    fs::remove_file(place.path().join("watermark")).unwrap();
    let refused = accept(place.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Older { .. }), "{refused}");
}

#[test]
fn what_is_not_a_log_is_refused() {
    let place = closed_store(&mut Streams::new());
    fs::remove_file(place.path().join("log.db")).unwrap();
    let message = check_refused(place.path());
    assert!(message.contains("`log.db` is missing") && message.contains("2 events"), "{message}");
    fs::write(place.path().join("log.db"), b"something else").unwrap();
    let message = check_refused(place.path());
    assert!(message.contains("does not begin as a SQLite database"), "{message}");
    fs::remove_file(place.path().join("log.db")).unwrap();
    let other = Connection::open(place.path().join("log.db")).unwrap();
    other.execute_batch("CREATE TABLE other (id)").unwrap();
    drop(other);
    let message = check_refused(place.path());
    assert!(message.contains("not a log of Carnet"), "{message}");
}

#[test]
fn the_log_of_another_store_is_refused() {
    let (place, other) = (closed_store(&mut Streams::new()), closed_store(&mut Streams::new()));
    fs::copy(other.path().join("log.db"), place.path().join("log.db")).unwrap();
    let message = check_refused(place.path());
    assert!(message.contains("that of another store"), "{message}");
}

#[test]
fn a_restored_backup_without_a_watermark_is_accepted_when_asked() {
    let mut truth = Streams::new();
    let place = closed_store(&mut truth);
    let backup = TempDir::new().unwrap();
    let log = Connection::open(place.path().join("log.db")).unwrap();
    let into = backup.path().join("log.db");
    log.execute("VACUUM INTO ?1", [into.to_str().unwrap()]).unwrap();
    drop(log);
    let message = check_refused(backup.path());
    assert!(message.contains("`watermark` is missing") && message.contains("accept"), "{message}");
    assert_eq!(accept(backup.path()).unwrap().events, 2);
    let store = open(backup.path());
    append(&store, &mut truth, "member-1", &[b"c"]);
    check_all(&store, &truth);
    // A copy that `VACUUM INTO` makes keeps a rollback journal, unless told otherwise.
    assert!(fs::metadata(backup.path().join("log.db-wal")).unwrap().len() > 0);
    drop(store);
    check_all(&open(backup.path()), &truth);
    assert!(accept(backup.path()).is_err(), "only a store without a watermark is accepted");
}
