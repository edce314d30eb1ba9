//! The engine against the store beneath it: an acquire per request, five caps, an idempotency
//! key, every answer durable. The yardstick appends the same number of bytes in the same way, once
//! with as many in flight, and once with so few that as many come together in a commit as do of the
//! engine's: whoever does less between two appends finds more company.
//!
//! `--seconds` per measurement, `--rounds`, `--in-flight`, `--members`, `--dir`, `--quick`.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bench::ledger::{FIVE_CAPS, acquire, begin, member_id, policy, register, stream, wear_in};
use bench::{argument, cpu_time, directory, median, per_second, print_setting, quick};
use domain::MemberId;
use domain::member::Answer;
use engine::{Engine, Options, Policies};
use futures::executor::block_on;
use store::{EventStore, StreamId};
use store_embedded::EmbeddedStore;

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let quick = quick();
    let seconds = argument("seconds", if quick { 1 } else { 4 })?;
    let rounds = argument("rounds", if quick { 1 } else { 5 })?;
    let in_flight = argument("in-flight", 1_024)? as usize;
    let members = argument("members", 65_536)? as usize;
    let place = tempfile::tempdir_in(directory()?)?;
    let record = record()?;
    print_setting(
        &format!(
            "engine: acquire, five caps, {} B recorded, {members} members, {in_flight} in flight",
            record.len()
        ),
        "SQLite FULL for store and engine, fdatasync for the raw loop; all before answering",
    )?;
    let time = Duration::from_secs(seconds);
    let tokio = tokio::runtime::Builder::new_multi_thread().build()?;

    let (mut bare, mut ours, mut as_together) = (vec![], vec![], vec![]);
    let (mut raw, mut single) = (vec![], vec![]);
    for _ in 0..rounds {
        bare.push(bare_store(&tokio, place.path(), &record, members, in_flight, time)?.rate);
        let engine = engine_in_flight(&tokio, place.path(), members, in_flight, time)?;
        ours.push(engine.rate);
        // While some are being committed, as many wait.
        let fewer = (2 * engine.together).clamp(1, in_flight);
        as_together.push(bare_store(&tokio, place.path(), &record, members, fewer, time)?.rate);
        raw.push(raw_loop(place.path(), &record, time)?);
        single.push(engine_one_at_a_time(place.path(), members, time)?);
    }
    let (bare, ours) = (median(bare), median(ours));
    println!("{in_flight} in flight, medians of {rounds}");
    compare("same in a commit", median(as_together), "engine", ours);
    println!("  {:<18} {bare:>9.0} /s, ratio {:.2}", "same in flight", ours / bare);
    println!("one at a time, medians of {rounds}");
    compare("append + fdatasync", median(raw), "engine", median(single));
    Ok(())
}

/// What callers in flight reached.
struct Reached {
    rate: f64,
    /// How many appends came together in a commit.
    together: usize,
}

fn compare(yardstick: &str, theirs: f64, name: &str, ours: f64) {
    println!("  {yardstick:<18} {theirs:>9.0} /s");
    println!("  {name:<18} {ours:>9.0} /s");
    println!("  ratio              {:>9.2}   (goal: at least 0.60)", ours / theirs);
}

/// What an acquire records.
fn record() -> Result<Vec<u8>> {
    let member = domain::evolve(domain::Member::default(), &register());
    let decision = domain::decide(&member, &acquire(1), &policy(FIVE_CAPS)?.policy);
    match decision.events.as_slice() {
        [event] => Ok(codec::encode_event(event)),
        events => bail!("an acquire recorded {} events", events.len()),
    }
}

fn open(place: &Path) -> Result<(tempfile::TempDir, Arc<EmbeddedStore>)> {
    let dir = tempfile::tempdir_in(place)?;
    let store = EmbeddedStore::open(dir.path(), &store_embedded::Options::default())?;
    wear_in(&store)?;
    Ok((dir, Arc::new(store)))
}

/// As many callers as may be in flight, each going round its own members until time is up.
fn callers(
    tokio: &tokio::runtime::Runtime,
    store: &EmbeddedStore,
    in_flight: usize,
    time: Duration,
    caller: impl Fn(usize, Instant) -> tokio::task::JoinHandle<Result<u64>>,
) -> Result<Reached> {
    let _inside = tokio.enter();
    let (start, cpu, before) = (Instant::now(), cpu_time()?, store.stats());
    let callers: Vec<_> = (0..in_flight).map(|n| caller(n, start + time)).collect();
    let mut count = 0;
    for caller in callers {
        count += tokio.block_on(caller)??;
    }
    // On a busy machine this says more than the rate.
    let cpu = cpu_time()?.saturating_sub(cpu).as_secs_f64() * 1e6 / count as f64;
    let after = store.stats();
    let together = (after.events - before.events) / (after.commits - before.commits).max(1);
    println!("  ({in_flight} in flight: {cpu:.1} µs of CPU each, {together} in a commit)");
    Ok(Reached { rate: per_second(count, start.elapsed()), together: usize::try_from(together)? })
}

fn bare_store(
    tokio: &tokio::runtime::Runtime,
    place: &Path,
    record: &[u8],
    members: usize,
    in_flight: usize,
    time: Duration,
) -> Result<Reached> {
    let (_dir, store) = open(place)?;
    callers(tokio, &store, in_flight, time, |caller, until| {
        let (store, record) = (Arc::clone(&store), record.to_vec());
        tokio.spawn(async move {
            let streams: Vec<StreamId> = (caller..members).step_by(in_flight).map(stream).collect();
            let mut count = 0;
            for version in 0.. {
                for stream in &streams {
                    if Instant::now() >= until {
                        return Ok(count);
                    }
                    store.append(stream, version, vec![record.clone()]).await?;
                    count += 1;
                }
            }
            Ok(count)
        })
    })
}

/// An engine whose members have their device.
fn engine(place: &Path, members: usize) -> Result<(tempfile::TempDir, Arc<EmbeddedStore>, Engine)> {
    let (dir, store) = open(place)?;
    let events: Arc<dyn EventStore> = Arc::<EmbeddedStore>::clone(&store);
    let policies = block_on(Policies::open(Arc::clone(&events), policy(FIVE_CAPS)?))?;
    begin(&*store, members, &register())?;
    let options = Options { cached_bytes_max: 2 << 30, ..Options::default() };
    let engine = Engine::new(events, Arc::new(policies), options);
    // What is measured is deciding, not loading.
    let ids: Vec<MemberId> = (0..members).map(member_id).collect();
    for id in &ids {
        block_on(engine.member(id))?;
    }
    Ok((dir, store, engine))
}

fn engine_in_flight(
    tokio: &tokio::runtime::Runtime,
    place: &Path,
    members: usize,
    in_flight: usize,
    time: Duration,
) -> Result<Reached> {
    let (_dir, store, engine) = engine(place, members)?;
    callers(tokio, &store, in_flight, time, |caller, until| {
        let engine = engine.clone();
        tokio.spawn(async move {
            let ids: Vec<MemberId> = (caller..members).step_by(in_flight).map(member_id).collect();
            let mut count = 0;
            for round in 1.. {
                for id in &ids {
                    if Instant::now() >= until {
                        return Ok(count);
                    }
                    accepted(&engine, id, round).await?;
                    count += 1;
                }
            }
            Ok(count)
        })
    })
}

async fn accepted(engine: &Engine, id: &MemberId, round: u64) -> Result<()> {
    let decided = engine.decide(id, acquire(round)).await?;
    match decided.decision.answer {
        Answer::Accepted { repeated: false, .. } => Ok(()),
        other => bail!("not accepted: {other:?}"),
    }
}

fn engine_one_at_a_time(place: &Path, members: usize, time: Duration) -> Result<f64> {
    let (_dir, _store, engine) = engine(place, members.min(4_096))?;
    let ids: Vec<MemberId> = (0..members.min(4_096)).map(member_id).collect();
    let start = Instant::now();
    let mut count = 0;
    for round in 1.. {
        for id in &ids {
            if start.elapsed() >= time {
                return Ok(per_second(count, start.elapsed()));
            }
            block_on(accepted(&engine, id, round))?;
            count += 1;
        }
    }
    Ok(0.0)
}

fn raw_loop(place: &Path, record: &[u8], time: Duration) -> Result<f64> {
    let dir = tempfile::tempdir_in(place)?;
    let mut file = File::create(dir.path().join("raw.log"))?;
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < time {
        file.write_all(record)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(per_second(count, start.elapsed()))
}
