use futures::executor::block_on;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::block::SELECT_ONE;
use crate::block::tests::{Entry, put_together, take_apart};
use crate::chain::{Checked, checksum, digest};
use crate::verify;

fn opened(place: &TempDir) -> EmbeddedStore {
    EmbeddedStore::open(place.path(), &Options::default()).unwrap()
}

fn id(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

fn append(store: &EmbeddedStore, name: &str, expected: Version, body: &[u8]) {
    block_on(store.append(&id(name), expected, vec![body.to_vec()])).unwrap();
}

/// Changes an event in its place.
fn alter(place: &TempDir, position: u64, change: impl FnOnce(&mut Entry)) {
    let log = Connection::open(place.path().join("log.db")).unwrap();
    let (last, block): (i64, Vec<u8>) = log
        .query_row(SELECT_ONE, [position.cast_signed()], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    let mut entries = take_apart(&block);
    let first = last.cast_unsigned() + 1 - entries.len() as u64;
    change(&mut entries[(position - first) as usize]);
    let update = "UPDATE events SET block = ?2 WHERE last = ?1";
    log.execute(update, (last, put_together(&entries))).unwrap();
}

/// As somebody would who knows how an event's checksum is made.
fn rewrite(place: &TempDir, position: u64, salted: &[u8]) {
    alter(place, position, |entry| {
        entry.body = salted.to_vec();
        entry.checksum = checksum(&Checked {
            position,
            stream: &entry.stream,
            version: entry.version,
            previous: entry.previous,
            link: &entry.link,
            digest: &digest(salted),
        });
    });
}

/// As `docs/storage.md` says.
fn erase(place: &TempDir, position: u64) {
    alter(place, position, |entry| {
        entry.erased = true;
        entry.body = digest(&entry.body).to_vec();
    });
}

#[test]
fn an_erased_body_is_told_and_leaves_the_stream_whole() {
    let place = TempDir::new().unwrap();
    let store = opened(&place);
    for (version, body) in (0..).zip([b"one", b"two", b"six"]) {
        append(&store, "member-1", version, body);
    }
    drop(store);
    erase(&place, 2);
    assert_eq!(verify(place.path()).unwrap().problems, Vec::<String>::new());
    let store = opened(&place);
    let events = block_on(store.read(&id("member-1"), 0, None)).unwrap().events;
    let bodies: Vec<_> = events.iter().map(|event| event.body.as_deref()).collect();
    assert_eq!(bodies, [Some(&b"one"[..]), None, Some(b"six")]);
    let page = block_on(store.feed(&Cursor::default(), 10)).unwrap();
    assert_eq!(page.events.len(), 3);
    assert_eq!(page.events[1].recorded.body, None);
}

#[test]
fn a_rewritten_event_breaks_the_chain() {
    for position in [1, 2, 3] {
        let place = TempDir::new().unwrap();
        let store = opened(&place);
        for version in 0..3 {
            append(&store, "member-1", version, b"as it was");
        }
        drop(store);
        rewrite(&place, position, b"salt of 16 bytes. as it never was");
        let problems = verify(place.path()).unwrap().problems;
        let expected = format!("event {position} (version {position} of `member-1`): its link");
        assert!(problems.iter().any(|it| it.starts_with(&expected)), "{problems:?}");
        let read = block_on(opened(&place).read(&id("member-1"), 0, None));
        let Err(ReadError::Corrupt(what)) = read else { panic!("{read:?}") };
        assert!(what.contains(&format!("event {position}, of `member-1`")), "{what}");
    }
}

/// A log restored from a backup, the snapshots from later: versions that meant something else.
#[test]
fn a_snapshot_of_another_history_is_not_used() {
    let place = TempDir::new().unwrap();
    let store = opened(&place);
    append(&store, "member-1", 0, b"common past");
    drop(store);
    let backup: Vec<_> = ["log.db", "watermark", "heads"]
        .map(|name| (name, std::fs::read(place.path().join(name)).unwrap()))
        .into();
    let store = opened(&place);
    append(&store, "member-1", 1, b"what was lost");
    let snapshot = Snapshot { version: 2, fingerprint: 1, body: b"lost"[..].into() };
    block_on(store.put_snapshot(&id("member-1"), snapshot)).unwrap();
    drop(store);
    for (name, bytes) in backup {
        std::fs::write(place.path().join(name), bytes).unwrap();
    }
    let store = opened(&place);
    for version in 1..4 {
        append(&store, "member-1", version, b"what happened instead");
        let slice = block_on(store.read(&id("member-1"), 0, Some(1))).unwrap();
        assert_eq!((slice.snapshot, slice.events.len() as Version), (None, version + 1));
    }
}

#[test]
fn a_store_that_failed_answers_nothing_and_opens_again() {
    let place = TempDir::new().unwrap();
    let store = opened(&place);
    append(&store, "member-1", 0, b"before");
    store.shared.fail("sync the log", &"a test says so");
    let refused = block_on(store.append(&id("member-1"), 1, vec![b"after".to_vec()]));
    assert!(matches!(&refused, Err(AppendError::Unavailable(why)) if why.contains("restart")));
    let read = block_on(store.read(&id("member-1"), 0, None));
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let feed = block_on(store.feed(&Cursor::default(), 1));
    assert!(matches!(feed, Err(ReadError::Unavailable(_))), "{feed:?}");
    assert!(store.stats().failure.is_some());
    drop(store);
    assert!(place.path().join("log.db-wal").exists(), "nothing was tidied up");
    let store = opened(&place);
    assert_eq!(block_on(store.read(&id("member-1"), 0, None)).unwrap().events.len(), 1);
}

/// The trap of section 2 of the measurements: a checkpoint in the background alone never ends.
#[test]
fn under_constant_load_the_wal_is_started_over() {
    const APPENDS_MAX: Version = 4_000;
    let place = TempDir::new().unwrap();
    let store = opened(&place);
    let mut appends = 0;
    while store.stats().wal_restarts < 3 && appends < APPENDS_MAX {
        append(&store, "member-1", appends, &[7; 200_000]);
        appends += 1;
    }
    assert!(store.stats().wal_restarts >= 3, "{appends} appends without");
    let slice = block_on(store.read(&id("member-1"), appends - 10, None)).unwrap();
    assert_eq!(slice.events.len(), 10);
    drop(store);
    assert_eq!(opened(&place).opened().events, appends);
}
