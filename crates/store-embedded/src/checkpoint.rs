//! Moves what is in the WAL into the database beside the writer, and saves the heads now and
//! then. Neither ever stands in the writer's way.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode};

use crate::heads::saved;
use crate::shared::{Shared, WalState};

/// What is moved at a time: 8 MiB. More would keep the disk from the writer's syncs for longer.
const PASS_FRAMES: u32 = 1_024;
/// From here on the WAL is to be started over: 64 MiB. That costs the writer two syncs.
const RESTART_FRAMES: u32 = 8_192;
/// What the writer may be asked to finish: 1 MiB, a few milliseconds.
const FRAMES_LEFT_TO_WRITER: u32 = 128;
/// Each pass leaves what came in while it ran, which is less each time.
const PASSES_MAX: usize = 8;
/// Replaying this many events on opening takes about a second.
const UNSAVED_EVENTS_MIN: u64 = 500_000;

/// Whether there is something for [`round`] to do.
pub(crate) fn is_due(wal: &WalState) -> bool {
    unmoved(wal) >= PASS_FRAMES
}

/// How many frames of the WAL are not in the database yet.
fn unmoved(wal: &WalState) -> u32 {
    let frames = wal.frames.load(Ordering::Relaxed);
    // SQLite starts a WAL over by itself when all of it was moved. Then what was moved is past.
    frames.checked_sub(wal.moved.load(Ordering::Relaxed)).unwrap_or(frames)
}

/// One round of the checkpoint thread.
pub(crate) fn round(shared: &Shared, connection: &Connection) {
    let wal = &shared.wal;
    if !is_due(wal) || wal.restart.load(Ordering::Acquire) || shared.failure().is_some() {
        return;
    }
    for _ in 0..PASSES_MAX {
        match connection.wal_checkpoint_v2(None::<&str>, CheckpointMode::PASSIVE) {
            Ok((_, moved)) => wal.moved.store(moved.cast_unsigned(), Ordering::Relaxed),
            Err(error) => return failed(shared, &error),
        }
        // SQLite leaves this sync to the checkpoint that reaches the end, which is the writer's.
        if let Err(error) = shared.log.sync_data() {
            return shared.fail("sync `log.db`", &error);
        }
        // As of now: what SQLite told was there is what was there when it began.
        if wal.frames.load(Ordering::Relaxed) < RESTART_FRAMES {
            return;
        }
        if unmoved(wal) <= FRAMES_LEFT_TO_WRITER {
            break;
        }
    }
    wal.restart.store(true, Ordering::Release);
}

pub(crate) fn failed(shared: &Shared, error: &rusqlite::Error) {
    match error.sqlite_error_code() {
        // A reader or a full disk: the WAL keeps everything until it works again.
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {}
        Some(ErrorCode::DiskFull) => tracing::warn!(%error, "the log cannot grow"),
        // After a failed sync a later one may succeed without having written anything.
        _ => shared.fail("move the WAL into `log.db`", error),
    }
}

/// The watermark is synced lazily: it is a lower bound of the truth whenever that happens.
const WATERMARK_SYNC_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct WatermarkSync {
    pub(crate) file: File,
    pub(crate) synced: u64,
    pub(crate) at: Instant,
}

impl WatermarkSync {
    pub(crate) fn when_due(&mut self, shared: &Shared) {
        let end = shared.end().position;
        if end == self.synced || self.at.elapsed() < WATERMARK_SYNC_EVERY {
            return;
        }
        self.at = Instant::now();
        self.synced = end;
        if let Err(error) = self.file.sync_data() {
            shared.fail("sync the watermark", &error);
        }
    }
}

/// Saves the heads when replaying what is not in the saved copy would take a while.
pub(crate) fn save_heads_when_due(shared: &Arc<Shared>, saved: &mut u64) {
    let unsaved = shared.end().position.saturating_sub(*saved);
    // The copy is as large as there are streams: the more of them, the more rarely.
    if unsaved >= UNSAVED_EVENTS_MIN.max(4 * shared.heads.streams() as u64) {
        save_heads(shared, saved);
    }
}

pub(crate) fn save_heads(shared: &Shared, saved: &mut u64) {
    let through = shared.end();
    if through.position == *saved || shared.failure().is_some() {
        return;
    }
    match saved::save(&shared.dir, &shared.store, through, &shared.heads) {
        Ok(()) => {
            *saved = through.position;
            shared.stats.heads_saved.fetch_add(1, Ordering::Relaxed);
        }
        // Only opening gets slower by it.
        Err(error) => tracing::warn!(%error, "the heads could not be saved"),
    }
}

#[cfg(test)]
mod tests;
