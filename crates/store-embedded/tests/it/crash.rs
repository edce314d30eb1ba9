//! A crash between any two steps: each state that one can leave, made by hand and opened.

use std::fs;
use std::path::Path;

use futures::executor::block_on;
use store::{AppendError, EventStore};
use store_embedded::{EmbeddedStore, Options};
use tempfile::TempDir;

use crate::support::*;

/// A page in the WAL, and what SQLite puts before it.
const FRAME: usize = 24 + 8_192;

fn filled(truth: &mut Streams) -> (TempDir, EmbeddedStore) {
    let place = TempDir::new().unwrap();
    let store = open(place.path());
    for round in 0..30 {
        append(&store, truth, &format!("member-{}", round % 4), &[b"some", b"events"]);
    }
    (place, store)
}

#[test]
fn while_a_transaction_was_being_written() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    let before = copy(place.path());
    let committed = fs::read(before.path().join("log.db-wal")).unwrap().len();
    append(&store, &mut truth.clone(), "member-0", &[b"never acknowledged"]);
    let written = fs::read(place.path().join("log.db-wal")).unwrap();
    for bytes in [0, 1, 23, 24, 25, 5_000, written.len() - committed - 1] {
        let crashed = copy(before.path());
        fs::write(crashed.path().join("log.db-wal"), &written[..committed + bytes]).unwrap();
        check_all(&open(crashed.path()), &truth);
    }
}

/// A power cut that kept the last of the frames of a transaction, and not the first.
fn cut_power_in_the_first_frame_behind(committed: usize, place: &Path) {
    let mut wal = fs::read(place.join("log.db-wal")).unwrap();
    wal[committed..committed + FRAME].fill(0);
    fs::write(place.join("log.db-wal"), wal).unwrap();
}

/// What was left by the first must not look like a later transaction behind the second.
#[test]
fn twice_in_a_row_while_a_transaction_was_being_written() {
    for first_of_its_wal in [false, true] {
        let mut truth = Streams::new();
        let (place, mut store) = filled(&mut truth);
        if first_of_its_wal {
            drop(store);
            store = open(place.path());
        }
        let wal = fs::metadata(place.path().join("log.db-wal")).unwrap().len() as usize;
        let (committed, watermark) =
            (wal.max(32), fs::read(place.path().join("watermark")).unwrap());
        append(&store, &mut truth.clone(), "member-0", &[&[7; 100_000]]);
        let once = copy(place.path());
        fs::write(once.path().join("watermark"), &watermark).unwrap();
        cut_power_in_the_first_frame_behind(committed, once.path());

        let store = open(once.path());
        check_all(&store, &truth);
        append(&store, &mut truth.clone(), "member-0", &[&[7; 20_000]]);
        let twice = copy(once.path());
        fs::write(twice.path().join("watermark"), &watermark).unwrap();
        cut_power_in_the_first_frame_behind(committed, twice.path());
        let store = open(twice.path());
        check_all(&store, &truth);
        append(&store, &mut truth, "member-0", &[b"goes on"]);
        check_all(&store, &truth);
    }
}

/// The same of a transaction that was refused after some of it was written.
#[test]
fn while_the_transaction_after_a_refused_one_was_being_written() {
    let place = TempDir::new().unwrap();
    let options = Options { log_bytes_max: Some(4 << 20), ..Options::default() };
    let store = EmbeddedStore::open(place.path(), &options).unwrap();
    let mut truth = Streams::new();
    append(&store, &mut truth, "member-0", &[b"some", b"events"]);
    let committed = fs::read(place.path().join("log.db-wal")).unwrap().len();
    let watermark = fs::read(place.path().join("watermark")).unwrap();
    // More than the connection keeps in memory, so some of it is written before the limit is met.
    let refused = block_on(store.append(&id("member-1"), 0, vec![vec![7; 500_000]; 10]));
    assert!(matches!(&refused, Err(AppendError::Unavailable(why)) if why.contains("full")));
    append(&store, &mut truth.clone(), "member-0", &[&[7; 20_000]]);
    let crashed = copy(place.path());
    fs::write(crashed.path().join("watermark"), &watermark).unwrap();
    cut_power_in_the_first_frame_behind(committed, crashed.path());
    check_all(&open(crashed.path()), &truth);
}

#[test]
fn between_commit_and_watermark() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    let watermark = fs::read(place.path().join("watermark")).unwrap();
    append(&store, &mut truth, "member-0", &[b"durable, but nobody was told"]);
    let crashed = copy(place.path());
    fs::write(crashed.path().join("watermark"), watermark).unwrap();
    check_all(&open(crashed.path()), &truth);
}

#[test]
fn while_the_wal_was_being_moved_into_the_database() {
    let mut random = random("partly moved pages");
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    let before = copy(place.path());
    drop(store);
    let old = fs::read(before.path().join("log.db")).unwrap();
    let moved = fs::read(place.path().join("log.db")).unwrap();
    for _ in 0..20 {
        let crashed = copy(before.path());
        let pages =
            moved.chunks(8_192).zip(old.chunks(8_192).map(Some).chain([None].into_iter().cycle()));
        let mixed: Vec<u8> = pages
            .flat_map(|(new, old)| match old {
                Some(old) if below(&mut random, 2) == 0 => old,
                _ => new,
            })
            .copied()
            .collect();
        fs::write(crashed.path().join("log.db"), mixed).unwrap();
        check_all(&open(crashed.path()), &truth);
    }
}

#[test]
fn after_moving_the_wal_and_before_starting_it_over() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    let wal = fs::read(place.path().join("log.db-wal")).unwrap();
    drop(store);
    fs::write(place.path().join("log.db-wal"), wal).unwrap();
    let store = open(place.path());
    check_all(&store, &truth);
    append(&store, &mut truth, "member-0", &[b"goes on"]);
    check_all(&store, &truth);
}

#[test]
fn while_the_heads_were_being_saved() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    drop(store);
    let heads = fs::read(place.path().join("heads")).unwrap();
    let store = open(place.path());
    assert_eq!((store.opened().replayed, &store.opened().heads_rebuilt), (0, &None));
    append(&store, &mut truth, "member-9", &[b"behind the saved heads"]);
    let crashed = copy(place.path());
    fs::write(crashed.path().join("heads.new"), &heads[..heads.len() / 2]).unwrap();
    let store = open(crashed.path());
    assert_eq!((store.opened().replayed, &store.opened().heads_rebuilt), (1, &None));
    check_all(&store, &truth);
}

#[test]
fn without_saved_heads_the_whole_log_is_read() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    drop(store);
    fs::remove_file(place.path().join("heads")).unwrap();
    let store = open(place.path());
    assert_eq!(store.opened().replayed, 60);
    assert!(store.opened().heads_rebuilt.is_some());
    check_all(&store, &truth);
}

/// The log from a backup, the heads from a later time: another history since then.
#[test]
fn heads_of_another_history_are_not_believed() {
    let mut truth = Streams::new();
    let (place, store) = filled(&mut truth);
    drop(store);
    let backup = copy(place.path());
    let extend = |path: &std::path::Path, truth: &Streams, body: &[u8]| {
        let mut truth = truth.clone();
        let store = open(path);
        append(&store, &mut truth, "member-0", &[body]);
        truth
    };
    extend(place.path(), &truth, b"what was lost");
    let truth = extend(backup.path(), &truth, b"what happened instead");
    fs::copy(place.path().join("heads"), backup.path().join("heads")).unwrap();
    let store = open(backup.path());
    assert!(store.opened().heads_rebuilt.as_ref().unwrap().contains("another history"));
    check_all(&store, &truth);
}
