use std::fs;
use std::path::Path;

use futures::executor::block_on;
use store::{EventStore, StreamId};
use tempfile::TempDir;

use super::*;
use crate::chain;
use crate::embedded::{EmbeddedStore, Options};
use crate::heads::Head;

fn opened(place: &Path) -> EmbeddedStore {
    EmbeddedStore::open(place, &Options::default()).unwrap()
}

fn append(store: &EmbeddedStore, name: &str, expected: u64) {
    let name = StreamId::new(name).unwrap();
    block_on(store.append(&name, expected, vec![b"an event".to_vec()])).unwrap();
}

fn versions(store: &EmbeddedStore, name: &str) -> usize {
    block_on(store.read(&StreamId::new(name).unwrap(), 0, None)).unwrap().events.len()
}

/// A crash after any step of making a store: the next opening makes it, or finds it made.
#[test]
fn a_store_is_made_whole_whatever_a_crash_left() {
    let made = TempDir::new().unwrap();
    drop(opened(made.path()));
    let log = fs::read(made.path().join(LOG)).unwrap();
    let record = watermark::read(&Dir::new(made.path())).unwrap().unwrap();

    for step in 0..4 {
        let place = TempDir::new().unwrap();
        let dir = Dir::new(place.path());
        if step < 3 {
            fs::write(dir.file("log.db.new"), &log[..log.len() / 2]).unwrap();
            fs::write(dir.file("log.db.new-wal"), b"half of a WAL").unwrap();
        }
        if step == 1 {
            fs::write(dir.file("watermark.new"), b"half of a watermark").unwrap();
        }
        if step >= 2 {
            watermark::install(&dir, &Record { live: false, position: 0, ..record }).unwrap();
        }
        if step == 3 {
            fs::write(dir.file(LOG), &log).unwrap();
        }
        append(&opened(place.path()), "member-1", 0);
        assert_eq!(versions(&opened(place.path()), "member-1"), 1, "step {step}");
        assert!(watermark::read(&dir).unwrap().unwrap().live);
    }
}

#[test]
fn a_log_that_was_live_is_never_made_anew() {
    let place = TempDir::new().unwrap();
    drop(opened(place.path()));
    fs::remove_file(place.path().join(LOG)).unwrap();
    let refused = EmbeddedStore::open(place.path(), &Options::default()).unwrap_err();
    assert!(matches!(refused, OpenError::Missing { file: LOG, .. }), "{refused}");
}

/// Saving goes on beside appends: the copy knows some events behind what it says it has.
#[test]
fn heads_saved_while_appends_went_on_are_used() {
    let place = TempDir::new().unwrap();
    let store = opened(place.path());
    append(&store, "member-1", 0);
    append(&store, "member-2", 0);
    let through = store.shared().end();
    append(&store, "member-2", 1);
    append(&store, "member-3", 0);
    saved::save(&store.shared().dir, &store.shared().store, through, &store.shared().heads)
        .unwrap();
    append(&store, "member-1", 1);
    let heads = fs::read(place.path().join(HEADS)).unwrap();
    drop(store);
    fs::write(place.path().join(HEADS), heads).unwrap();
    let store = opened(place.path());
    assert_eq!((store.opened().replayed, &store.opened().heads_rebuilt), (3, &None));
    for (name, expected) in [("member-1", 2), ("member-2", 2), ("member-3", 1)] {
        assert_eq!(versions(&store, name), expected);
        append(&store, name, expected as u64);
    }
}

/// As a bug would leave them, under a checksum that matches: the member would get its caps anew.
#[test]
fn saved_heads_that_are_stale_or_lack_a_stream_are_not_believed() {
    let place = TempDir::new().unwrap();
    let store = opened(place.path());
    append(&store, "member-1", 0);
    append(&store, "member-1", 1);
    append(&store, "member-2", 0);
    let (shared, key) = (store.shared(), chain::key("member-1"));
    let link = link_at(&connection::open(&shared.dir).unwrap(), 1).unwrap();
    let [lacking, stale] = [Heads::new(), Heads::new()];
    for heads in [&lacking, &stale] {
        let other = chain::key("member-2");
        heads.set([(&other, &shared.heads.get(&other).unwrap())]);
    }
    stale.set([(&key, &Head { version: 1, position: 1, link })]);
    let (end, id) = (shared.end(), shared.store);
    drop(store);
    for heads in [lacking, stale] {
        saved::save(&Dir::new(place.path()), &id, end, &heads).unwrap();
        let store = opened(place.path());
        assert!(store.opened().heads_rebuilt.as_ref().unwrap().contains("events"));
        assert_eq!(versions(&store, "member-1"), 2);
    }
}

/// As after a power cut that took more from the log than from the heads.
#[test]
fn heads_that_know_more_than_the_log_are_not_believed() {
    let place = TempDir::new().unwrap();
    let store = opened(place.path());
    append(&store, "member-1", 0);
    let through = store.shared().end();
    drop(store);
    let kept =
        ["log.db", "watermark"].map(|name| (name, fs::read(place.path().join(name)).unwrap()));
    let store = opened(place.path());
    append(&store, "member-1", 1);
    saved::save(&store.shared().dir, &store.shared().store, through, &store.shared().heads)
        .unwrap();
    let heads = fs::read(place.path().join(HEADS)).unwrap();
    drop(store);
    for (name, bytes) in kept.iter().map(|(name, bytes)| (*name, bytes)).chain([(HEADS, &heads)]) {
        fs::write(place.path().join(name), bytes).unwrap();
    }
    let store = opened(place.path());
    assert!(store.opened().heads_rebuilt.as_ref().unwrap().contains("know events"));
    append(&store, "member-1", 1);
}

/// A restored copy as an earlier build took it: without a WAL, a crash leaves half a transaction.
#[test]
fn a_log_that_keeps_no_wal_is_not_opened() {
    let (made, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    append(&opened(made.path()), "member-1", 0);
    let dir = Dir::new(place.path());
    let log = Connection::open(made.path().join(LOG)).unwrap();
    log.execute("VACUUM INTO ?1", [dir.file(LOG).to_str().unwrap()]).unwrap();
    let (store, root) = (connection::store_id(&log).unwrap(), connection::root(&log).unwrap());
    let log = inspect::identify(&dir, LOG, store, root).unwrap();
    watermark::install(&dir, &Record { log, live: true, position: 1 }).unwrap();
    let refused = EmbeddedStore::open(place.path(), &Options::default()).unwrap_err().to_string();
    assert!(refused.contains("no WAL") && refused.contains("store accept"), "{refused}");
    fs::remove_file(dir.file(WATERMARK)).unwrap();
    crate::accept(place.path()).unwrap();
    append(&opened(place.path()), "member-1", 1);
}
