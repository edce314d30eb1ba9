//! A crash between any two steps: each state that one can leave, made by hand and opened.

use std::fs;

use store_embedded::EmbeddedStore;
use tempfile::TempDir;

use crate::support::*;

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
