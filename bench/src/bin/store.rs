//! The embedded store against a raw log: append, one `fdatasync` per batch, same file system.
//!
//! `--seconds 60` for the figures of record, `--dir` for the file system, `--batch`, `--members`,
//! `--quick`. Machines drift, and a disk's host slows it down now and then: so both take turns, in
//! `--rounds` of ten seconds, the yardstick before and after the store in each.

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
use rand::rngs::ThreadRng;
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
    let rounds = argument("rounds", seconds / 10)?.max(1);
    let time = Duration::from_secs(seconds);

    let (ours, raw) = sustained(place.path(), batch, members, time, rounds)?;
    println!("sustained over {seconds} s");
    raw.print("raw log");
    ours.print("embedded store");
    println!("  ratio           {:>9.2}   (goal: at least 0.60)", ours.rate() / raw.rate());
    let pauses = ours.pause.as_secs_f64() / raw.pause.as_secs_f64();
    println!("  longest pauses  {pauses:>9.2}   (goal: at most 5)");

    let time = time.min(Duration::from_secs(5));
    let raw = RawLog::create(place.path(), 1)?.run(time)?;
    let ours = embedded_one_at_a_time(place.path(), time)?;
    println!("one at a time");
    raw.print("append + fdatasync");
    ours.print("embedded store");
    println!("  ratio           {:>9.2}", ours.rate() / raw.rate());
    Ok(())
}

#[derive(Default)]
struct Run {
    records: u64,
    time: Duration,
    /// The longest time in which nothing was answered.
    pause: Duration,
    /// What this process gave the disk to write, if the system counts it.
    bytes: u64,
}

impl Run {
    fn rate(&self) -> f64 {
        per_second(self.records, self.time)
    }

    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.time += other.time;
        self.pause = self.pause.max(other.pause);
        self.bytes += other.bytes;
    }

    fn print(&self, name: &str) {
        let pause = self.pause.as_secs_f64() * 1e3;
        let (rate, bytes) = (self.rate(), self.bytes / self.records.max(1));
        println!(
            "  {name:<18} {rate:>9.0} records/s, longest pause {pause:.1} ms, \
             {bytes} B written for each"
        );
    }
}

/// Bytes given to the disk by this process; 0 where nobody counts them.
fn written() -> u64 {
    let counters = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let count = counters.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The store and the raw log, one after the other, several times.
fn sustained(
    place: &Path,
    batch: usize,
    members: usize,
    time: Duration,
    rounds: u64,
) -> Result<(Run, Run)> {
    let round = time / u32::try_from(rounds)?;
    let (_place, store) = open(place)?;
    let mut load = Load::new(batch, members)?;
    let mut log = RawLog::create(place, batch)?;
    let (mut ours, mut raw) = (Run::default(), Run::default());
    print!("  ratio in each round ");
    for _ in 0..rounds {
        let mut yardstick = log.run(round / 2)?;
        let measured = load.run(&store, round)?;
        yardstick.add(&log.run(round / 2)?);
        print!(" {:.2}", measured.rate() / yardstick.rate());
        std::io::stdout().flush()?;
        ours.add(&measured);
        raw.add(&yardstick);
    }
    let stats = store.stats();
    println!(
        "\n  ({} events in {} commits, {} restarts of the WAL, heads saved {} times)",
        stats.events, stats.commits, stats.wal_restarts, stats.heads_saved
    );
    Ok((ours, raw))
}

/// Calls `step` for some time; it answers how many records became durable since.
fn run(time: Duration, mut step: impl FnMut() -> Result<u64>) -> Result<Run> {
    let start = Instant::now();
    let (mut last, mut pause, mut records, bytes) = (start, Duration::ZERO, 0, written());
    while start.elapsed() < time {
        records += step()?;
        let now = Instant::now();
        pause = pause.max(now - last);
        last = now;
    }
    Ok(Run { records, time: start.elapsed(), pause, bytes: written() - bytes })
}

/// It stays until the end: giving its space back is work for the disk as well.
struct RawLog {
    file: File,
    batch: usize,
}

impl RawLog {
    fn create(place: &Path, batch: usize) -> Result<Self> {
        Ok(Self { file: File::create(place.join(format!("raw-{batch}.log")))?, batch })
    }

    fn run(&mut self, time: Duration) -> Result<Run> {
        let bytes = vec![7; RECORD_BYTES * self.batch];
        run(time, || {
            self.file.write_all(&bytes)?;
            self.file.sync_data()?;
            Ok(self.batch as u64)
        })
    }
}

fn open(place: &Path) -> Result<(tempfile::TempDir, EmbeddedStore)> {
    let place = tempfile::tempdir_in(place)?;
    let store = EmbeddedStore::open(place.path(), &Options::default())?;
    Ok((place, store))
}

/// Members that append at random, a batch of them at a time.
struct Load {
    batch: usize,
    names: Vec<StreamId>,
    versions: Vec<u64>,
    random: ThreadRng,
}

impl Load {
    fn new(batch: usize, members: usize) -> Result<Self> {
        let name = |it| StreamId::new(&format!("member-{it}"));
        let names = (0..members).map(name).collect::<Result<_, _>>()?;
        Ok(Self { batch, names, versions: vec![0; members], random: rand::rng() })
    }

    /// Two batches are under way at a time: while one is being written, the next is made ready and
    /// waits. (Making a record ready for a raw log is nothing, for the store it is two hashes.)
    fn run(&mut self, store: &EmbeddedStore, time: Duration) -> Result<Run> {
        let Self { batch, names, versions, random } = self;
        let mut appends = || {
            let append = |_| {
                let member = random.random_range(0..names.len());
                let (Some(name), Some(version)) = (names.get(member), versions.get_mut(member))
                else {
                    unreachable!("a member is below `members`")
                };
                *version += 1;
                maybe_done(store.append(name, *version - 1, vec![vec![7; RECORD_BYTES]]))
            };
            (0..*batch).map(append).collect::<Vec<_>>()
        };
        let batch = *batch as u64;
        let mut waiting = appends();
        block_on(hand_over(&mut waiting));
        let measured = run(time, || {
            let mut next = appends();
            block_on(hand_over(&mut next));
            block_on(answers(std::mem::replace(&mut waiting, next)))?;
            Ok(batch)
        });
        block_on(answers(waiting))?;
        measured
    }
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
