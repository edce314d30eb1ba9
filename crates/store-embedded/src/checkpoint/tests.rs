use super::*;

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
