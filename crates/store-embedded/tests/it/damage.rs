//! One byte flipped at many positions of every file of a store: never a silent loss, never wrong
//! data, and a refused store is left exactly as it was found.

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use rand_chacha::rand_core::Rng;
use rusqlite::Connection;
use store::{EventStore, ReadError, Snapshot, Version};
use store_embedded::accept;
use tempfile::TempDir;

use crate::support::*;

const PAGE: usize = 8_192;
const STREAMS: usize = 12;
const SNAPSHOTS_AT: Version = 30;

struct Images {
    /// What a crash leaves of a store at work: half of the events in the database, half in the
    /// WAL, heads and snapshots saved.
    crashed: TempDir,
    /// The same, closed: everything in the database.
    closed: TempDir,
    truth: Streams,
}

fn images() -> Images {
    let place = TempDir::new().unwrap();
    let mut truth = Streams::new();
    let mut fill = |rounds: usize, snapshots_at: Version| {
        let store = open(place.path());
        for round in 0..rounds {
            for stream in 0..STREAMS {
                let body = format!("{stream}/{round}/").repeat(20 + stream);
                append(&store, &mut truth, &format!("member-{stream}"), &[body.as_bytes(), b"-"]);
            }
        }
        for stream in 0..STREAMS {
            let name = format!("member-{stream}");
            let body = name.as_bytes().into();
            let snapshot = Snapshot { version: snapshots_at, fingerprint: 1, body };
            block_on(store.put_snapshot(&id(&name), snapshot)).unwrap();
        }
        store
    };
    drop(fill(20, 10));
    let store = fill(20, SNAPSHOTS_AT);
    let crashed = copy(place.path());
    drop(store);
    let closed = place;
    Images { crashed, closed, truth }
}

#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    named: usize,
    harmless: usize,
}

/// Flips one byte of a copy and holds what opening makes of it to the truth.
fn flip(image: &Path, truth: &Streams, file: &str, at: usize, mask: u8, tally: &mut Tally) {
    let place = copy(image);
    let path = place.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= mask;
    fs::write(&path, bytes).unwrap();
    let before = files(place.path());
    let store = match try_open(place.path()) {
        Err(error) => {
            assert!(files(place.path()) == before, "{file} at {at}: a refused store was changed");
            let message = error.to_string();
            assert!(message.contains('`') && message.contains("; "), "no remedy: {message}");
            tally.refused += 1;
            return;
        }
        Ok(store) => store,
    };
    let mut named = 0;
    for (name, bodies) in truth {
        named += usize::from(is_named(read(&store, name), bodies, file, at));
        check_snapshot(&store, name, bodies, file, at);
    }
    named += usize::from(is_named(read_feed(&store), truth, file, at));
    if named > 0 {
        tally.named += 1;
        return;
    }
    tally.harmless += 1;
    // What opened as whole goes on as whole.
    let mut truth = truth.clone();
    append(&store, &mut truth, "member-0", &[b"one more"]);
    drop(store);
    check_all(&open(place.path()), &truth);
}

/// True when the damage is named; panics when something else than the truth is returned.
fn is_named<T: PartialEq>(found: Result<T, ReadError>, truth: &T, file: &str, at: usize) -> bool {
    match found {
        Ok(found) => {
            assert!(found == *truth, "{file} at {at}: other data than what was written");
            false
        }
        Err(ReadError::Corrupt(_)) => true,
        Err(other) => panic!("{file} at {at}: {other}"),
    }
}

/// A snapshot is as it was put, or not there; what follows it is complete either way.
fn check_snapshot(store: &impl EventStore, name: &str, bodies: &[Vec<u8>], file: &str, at: usize) {
    let Ok(slice) = block_on(store.read(&id(name), 0, Some(1))) else { return };
    let skipped = match slice.snapshot {
        None => 0,
        Some(snapshot) => {
            assert!([10, SNAPSHOTS_AT].contains(&snapshot.version), "{file} at {at}");
            assert_eq!(&*snapshot.body, name.as_bytes(), "{file} at {at}");
            snapshot.version as usize
        }
    };
    assert_eq!(slice.events.len(), bodies.len() - skipped, "{file} at {at}");
}

fn flip_at_random(image: &TempDir, truth: &Streams, file: &str, positions: usize) -> Tally {
    let mut random = random(&format!("flips in `{file}`"));
    let bytes = fs::metadata(image.path().join(file)).unwrap().len() as usize;
    let mut tally = Tally::default();
    for _ in 0..positions {
        let (at, bit) = (below(&mut random, bytes), random.next_u32() % 8);
        flip(image.path(), truth, file, at, 1 << bit, &mut tally);
    }
    eprintln!("{positions} flips in `{file}`: {tally:?}");
    tally
}

#[test]
fn a_flip_in_the_database_is_refused_named_or_harmless() {
    let Images { crashed, closed, truth } = images();
    let tally = flip_at_random(&crashed, &truth, "log.db", 60);
    assert!(tally.named > 0, "{tally:?}");
    // Without a WAL every page counts, and most of the pages are rows.
    let tally = flip_at_random(&closed, &truth, "log.db", 100);
    assert!(tally.named + tally.refused > 40, "{tally:?}");
}

#[test]
fn a_flip_in_the_wal_is_refused() {
    let Images { crashed, truth, .. } = images();
    let tally = flip_at_random(&crashed, &truth, "log.db-wal", 100);
    assert_eq!(tally.refused, 100, "everything in it had been acknowledged: {tally:?}");
}

#[test]
fn a_flip_in_the_saved_heads_costs_nothing_but_time() {
    let Images { closed, truth, .. } = images();
    let tally = flip_at_random(&closed, &truth, "heads", 50);
    assert_eq!(tally.harmless, 50, "{tally:?}");
}

#[test]
fn a_flip_in_the_watermark_is_refused() {
    let Images { closed, truth, .. } = images();
    let tally = flip_at_random(&closed, &truth, "watermark", 40);
    assert_eq!(tally.refused, 40, "{tally:?}");
}

#[test]
fn a_flip_in_the_snapshots_loses_at_most_a_snapshot() {
    let Images { crashed, truth, .. } = images();
    for file in ["snapshots.db", "snapshots.db-wal"] {
        let tally = flip_at_random(&crashed, &truth, file, 40);
        assert_eq!(tally.harmless, 40, "{file}: {tally:?}");
    }
}

/// Where one byte decides how all others are read.
#[test]
fn a_flip_in_any_header_is_refused_named_or_harmless() {
    let Images { crashed, closed, truth } = images();
    let (mut log, mut wal) = (Tally::default(), Tally::default());
    let pages = fs::metadata(closed.path().join("log.db")).unwrap().len() as usize / PAGE;
    let first_page = 0..108;
    let page_headers = (1..pages).flat_map(|page| (page * PAGE..).take(12));
    for at in first_page.chain(page_headers) {
        flip(closed.path(), &truth, "log.db", at, 1 << (at % 8), &mut log);
    }
    // The page that the next event will be written to: a wrong idea of its free space would put
    // new events over old ones.
    for at in (pages - 1) * PAGE + 1..(pages - 1) * PAGE + 8 {
        for bit in 0..8 {
            flip(closed.path(), &truth, "log.db", at, 1 << bit, &mut log);
        }
    }
    let second_frame = 32 + 24 + PAGE;
    for at in (0..32 + 24).chain(second_frame..second_frame + 24) {
        flip(crashed.path(), &truth, "log.db-wal", at, 1 << (at % 8), &mut wal);
    }
    eprintln!("headers: {log:?} in `log.db`, {wal:?} in its WAL");
    assert!(log.refused > 100, "{log:?}");
    assert_eq!((wal.named, wal.harmless), (0, 0));
}

#[test]
fn a_wal_that_is_gone_or_cut_is_refused_with_what_is_missing() {
    let Images { crashed: image, truth, .. } = images();
    let events: usize = truth.values().map(Vec::len).sum();
    let path = image.path().join("log.db-wal");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let message = check_refused(image.path());
    let lost = format!("the log ends at event {}, but {events} were acknowledged", events - 2);
    assert!(message.contains(&lost) && message.contains("2 are missing"), "{message}");
    fs::remove_file(&path).unwrap();
    let message = check_refused(image.path());
    let lost = format!("the log ends at event {}, but {events}", events / 2);
    assert!(message.contains(&lost), "{message}");
}

/// What is found only by reading the events, with SQLite's help, is refused as untouched.
#[test]
fn a_refusal_after_reading_the_events_changes_nothing() {
    for without in ["heads", "log.db-shm"] {
        let Images { crashed, .. } = images();
        fs::remove_file(crashed.path().join("heads")).unwrap();
        let _ = fs::remove_file(crashed.path().join(without));
        let path = crashed.path().join("log.db");
        let mut bytes = fs::read(&path).unwrap();
        // The first event, and what a page that was copied may still have of it.
        let first_body = b"0/0/".repeat(20);
        let found = bytes.windows(first_body.len()).enumerate().filter(|it| it.1 == first_body);
        for at in found.map(|it| it.0).collect::<Vec<_>>() {
            bytes[at] ^= 1;
        }
        fs::write(&path, bytes).unwrap();
        let message = check_refused(crashed.path());
        assert!(message.contains("event 1: its checksum does not match"), "{message}");
    }
}

/// Damage to an older transaction shows even where the watermark, a lower bound, says nothing.
#[test]
fn damage_before_later_transactions_is_refused_without_the_watermark() {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    let mut truth = Streams::new();
    append(&store, &mut truth, "member-1", &[b"a"]);
    let early = fs::read(place.path().join("watermark")).unwrap();
    for _ in 0..5 {
        append(&store, &mut truth, "member-1", &[b"b"]);
    }
    let crashed = copy(place.path());
    fs::write(crashed.path().join("watermark"), early).unwrap();
    check_all(&open(copy(crashed.path()).path()), &truth);
    let wal = crashed.path().join("log.db-wal");
    let mut bytes = fs::read(&wal).unwrap();
    bytes[32 + 2 * (24 + PAGE) + 24 + PAGE - 100] ^= 1;
    fs::write(&wal, bytes).unwrap();
    let message = check_refused(crashed.path());
    assert!(message.contains("later transactions follow"), "{message}");
}

/// Page numbers that lead in a circle, and a count that never ends it.
#[test]
fn a_list_of_unused_pages_without_an_end_is_refused() {
    let Images { closed, .. } = images();
    let path = closed.path().join("log.db");
    let mut bytes = fs::read(&path).unwrap();
    let circle = (bytes.len() / PAGE + 1) as u32;
    bytes[28..32].copy_from_slice(&circle.to_be_bytes());
    bytes[32..36].copy_from_slice(&circle.to_be_bytes());
    bytes[36..40].fill(0xff);
    let mut page = vec![0; PAGE];
    page[..4].copy_from_slice(&circle.to_be_bytes());
    bytes.extend(page);
    fs::write(&path, bytes).unwrap();
    let message = check_refused(closed.path());
    assert!(message.contains("list of unused pages"), "{message}");
}

/// SQLite would play it back into what has just been found whole.
#[test]
fn a_rollback_journal_beside_the_log_is_refused() {
    let Images { closed, .. } = images();
    let elsewhere = TempDir::new().unwrap();
    let other = Connection::open(elsewhere.path().join("other.db")).unwrap();
    other
        .execute_batch(
            "PRAGMA page_size = 8192;
             CREATE TABLE it (body BLOB);
             WITH RECURSIVE numbers (number) AS
                 (SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 500)
                 INSERT INTO it SELECT randomblob(4000) FROM numbers;
             PRAGMA cache_size = 2;
             BEGIN;
             UPDATE it SET body = randomblob(4000);",
        )
        .unwrap();
    let journal = elsewhere.path().join("other.db-journal");
    fs::copy(journal, closed.path().join("log.db-journal")).unwrap();
    let message = check_refused(closed.path());
    assert!(message.contains("`log.db-journal`"), "{message}");
    fs::remove_file(closed.path().join("watermark")).unwrap();
    let before = files(closed.path());
    let message = accept(closed.path()).unwrap_err().to_string();
    assert!(message.contains("`log.db-journal`"), "{message}");
    assert!(files(closed.path()) == before);
}
