//! The embedded store against a raw log: append, one `fdatasync` per batch, same file system.
//!
//! `--seconds 60` for the figures of record, `--dir` for the file system, `--batch`, `--members`,
//! `--quick`.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bench::{argument, directory, per_second, print_setting, quick};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{MaybeDone, maybe_done, poll_fn};
use rand::RngExt;
use store::{AppendError, BoxFuture, EventStore, StreamId, Version};
use store_embedded::{EmbeddedStore, Options};

/// The product's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORD_BYTES: usize = 200;

fn main() -> Result<()> {
    let seconds = argument("seconds", if quick() { 2 } else { 10 })?;
    let batch = argument("batch", 256)? as usize;
    let members = argument("members", 1_000_000)? as usize;
    let place = tempfile::tempdir_in(directory()?)?;
    print_setting(
        &format!("store: {RECORD_BYTES} B records, {members} members, batches of {batch}"),
        "one fdatasync per batch for the raw log, SQLite FULL for the store; both before answering",
    )?;
    let time = Duration::from_secs(seconds);

    // Half of the yardstick before and half after: machines drift.
    let before = raw_log(place.path(), batch, time / 2)?;
    let ours = embedded(place.path(), batch, members, time)?;
    let after = raw_log(place.path(), batch, time / 2)?;
    let raw = Run {
        records: before.records + after.records,
        time: before.time + after.time,
        pause: before.pause.max(after.pause),
    };
    println!("sustained over {seconds} s");
    raw.print("raw log");
    ours.print("embedded store");
    println!("  ratio           {:>9.2}   (goal: at least 0.60)", ours.rate() / raw.rate());
    let pauses = ours.pause.as_secs_f64() / raw.pause.as_secs_f64();
    println!("  longest pauses  {pauses:>9.2}   (goal: at most 5)");

    let time = time.min(Duration::from_secs(5));
    let raw = raw_log(place.path(), 1, time)?;
    let ours = embedded_one_at_a_time(place.path(), time)?;
    println!("one at a time");
    raw.print("append + fdatasync");
    ours.print("embedded store");
    println!("  ratio           {:>9.2}", ours.rate() / raw.rate());
    Ok(())
}

struct Run {
    records: u64,
    time: Duration,
    /// The longest time in which nothing was answered.
    pause: Duration,
}

impl Run {
    fn rate(&self) -> f64 {
        per_second(self.records, self.time)
    }

    fn print(&self, name: &str) {
        let pause = self.pause.as_secs_f64() * 1e3;
        println!("  {name:<18} {:>9.0} records/s, longest pause {pause:.1} ms", self.rate());
    }
}

/// Calls `step` for some time; it answers how many records became durable since.
fn run(time: Duration, mut step: impl FnMut() -> Result<u64>) -> Result<Run> {
    let start = Instant::now();
    let (mut last, mut pause, mut records) = (start, Duration::ZERO, 0);
    while start.elapsed() < time {
        records += step()?;
        let now = Instant::now();
        pause = pause.max(now - last);
        last = now;
    }
    Ok(Run { records, time: start.elapsed(), pause })
}

fn raw_log(place: &Path, batch: usize, time: Duration) -> Result<Run> {
    let path = place.join("raw.log");
    let mut file = File::create(&path)?;
    let bytes = vec![7; RECORD_BYTES * batch];
    let measured = run(time, || {
        file.write_all(&bytes)?;
        file.sync_data()?;
        Ok(batch as u64)
    });
    std::fs::remove_file(path)?;
    measured
}

fn open(place: &Path) -> Result<(tempfile::TempDir, EmbeddedStore)> {
    let place = tempfile::tempdir_in(place)?;
    let store = EmbeddedStore::open(place.path(), &Options::default())?;
    Ok((place, store))
}

/// Two batches are under way at a time: while one is being written, the next is made ready and
/// waits. (Making a record ready for a raw log is nothing, for the store it is two hashes.)
fn embedded(place: &Path, batch: usize, members: usize, time: Duration) -> Result<Run> {
    let (_place, store) = open(place)?;
    let names: Vec<StreamId> =
        (0..members).map(|it| StreamId::new(&format!("member-{it}"))).collect::<Result<_, _>>()?;
    let mut versions = vec![0_u64; members];
    let mut random = rand::rng();
    let mut appends = || {
        let append = |_| {
            let member = random.random_range(0..members);
            let (Some(name), Some(version)) = (names.get(member), versions.get_mut(member)) else {
                unreachable!("a member is below `members`")
            };
            *version += 1;
            maybe_done(store.append(name, *version - 1, vec![vec![7; RECORD_BYTES]]))
        };
        (0..batch).map(append).collect::<Vec<_>>()
    };
    let mut waiting = appends();
    block_on(hand_over(&mut waiting));
    let measured = run(time, || {
        let mut next = appends();
        block_on(hand_over(&mut next));
        block_on(answers(std::mem::replace(&mut waiting, next)))?;
        Ok(batch as u64)
    });
    block_on(answers(waiting))?;
    let stats = store.stats();
    println!(
        "  ({} events in {} commits, {} restarts of the WAL, heads saved {} times)",
        stats.events, stats.commits, stats.wal_restarts, stats.heads_saved
    );
    measured
}

type Waiting<'a> = MaybeDone<BoxFuture<'a, Result<Version, AppendError>>>;

async fn hand_over(appends: &mut [Waiting<'_>]) {
    poll_fn(|context| {
        for append in &mut *appends {
            let _ = append.poll_unpin(context);
        }
        Poll::Ready(())
    })
    .await;
}

async fn answers(appends: Vec<Waiting<'_>>) -> Result<()> {
    for mut append in appends {
        (&mut append).await;
        Pin::new(&mut append).take_output().context("no outcome")??;
    }
    Ok(())
}

fn embedded_one_at_a_time(place: &Path, time: Duration) -> Result<Run> {
    let (_place, store) = open(place)?;
    let mut member = 0_u64;
    run(time, || {
        let name = StreamId::new(&format!("member-{member}"))?;
        member += 1;
        block_on(store.append(&name, 0, vec![vec![7; RECORD_BYTES]]))?;
        Ok(1)
    })
}
