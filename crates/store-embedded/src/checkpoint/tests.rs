use futures::executor::block_on;
use store::{EventStore, StreamId};

use super::*;
use crate::connection;
use crate::embedded::{EmbeddedStore, Options};
use crate::files::LOG;

fn is_due_with(frames: u32, moved: u32) -> bool {
    let wal = WalState { frames: frames.into(), moved: moved.into(), restart: false.into() };
    is_due(&wal)
}

#[test]
fn a_checkpoint_is_due_when_enough_was_not_moved() {
    assert!(!is_due_with(PASS_FRAMES - 1, 0));
    assert!(is_due_with(PASS_FRAMES, 0));
    assert!(!is_due_with(5 * PASS_FRAMES, 4 * PASS_FRAMES + 1));
    assert!(is_due_with(5 * PASS_FRAMES, 4 * PASS_FRAMES));
}

/// What was moved of the WAL before does not count in the one that SQLite has started over.
#[test]
fn a_wal_that_was_started_over_is_not_moved_yet() {
    assert!(!is_due_with(3, 5 * PASS_FRAMES));
    assert!(is_due_with(PASS_FRAMES, 5 * PASS_FRAMES));
}

/// What a failed sync left is not known, and syncing again could say that it is safe.
#[test]
fn a_store_that_failed_moves_nothing_any_more() {
    let place = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(place.path(), &Options::default()).unwrap();
    let name = StreamId::new("member-1").unwrap();
    block_on(store.append(&name, 0, vec![b"an event".to_vec()])).unwrap();
    let shared = store.shared();
    let log = || std::fs::read(shared.dir.file(LOG)).unwrap();
    let before = log();
    let connection = connection::open(&shared.dir).unwrap();
    shared.fail("sync the log", &"a test says so");
    shared.wal.frames.store(RESTART_FRAMES, Ordering::Relaxed);
    round(shared, &connection);
    assert!(log() == before);
}
