//! What-if over recorded history, beside a plain read-and-decode of the same history.
//!
//! `--events` in all, `--members` that they are of; both sides use two threads.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bench::ledger::{policy, recorded, six_caps, stream};
use bench::{argument, directory, median, print_setting};
use domain::Timestamp;
use engine::what_if::{self, Go, WhatIf};
use futures::executor::block_on;
use futures::future::join_all;
use store::EventStore;
use store_embedded::{EmbeddedStore, Options};

/// As in the binary that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const THREADS: usize = 2;

fn main() -> Result<()> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let events = argument("events", if quick { 50_000 } else { 1_000_000 })?;
    let each = argument("each", 100)?;
    let rounds = argument("rounds", if quick { 1 } else { 3 })?;
    let members = usize::try_from(events / each)?;
    print_setting(
        &format!("what-if: {events} events of {members} members, six caps, {THREADS} threads"),
        "nothing is written",
    )?;
    let place = tempfile::tempdir_in(directory()?)?;
    let store = EmbeddedStore::open(place.path(), &Options::default())?;
    let policy = policy(&six_caps())?.policy;
    record(&store, members, each, &policy)?;

    let what_if = WhatIf {
        draft: Arc::new(policy),
        since: Timestamp::MIN,
        until: Timestamp::MAX,
        partner: None,
        threads: THREADS,
    };
    let (mut plain, mut ours) = (vec![], vec![]);
    for _ in 0..rounds {
        plain.push(read_and_decode(&store, members)?.as_secs_f64());
        let start = Instant::now();
        let report = what_if::run(&store, &what_if, &mut |_| Go::On, &mut |_, _| ())?;
        ours.push(start.elapsed().as_secs_f64());
        ensure!(report.events == events / each * each && report.is_unchanged(), "{report:?}");
    }
    let (plain, ours) = (median(plain), median(ours));
    println!("medians of {rounds}");
    println!("  read and decode {plain:>8.2} s");
    println!("  what-if         {ours:>8.2} s");
    println!("  ratio           {:>8.2}   (goal: at most 2)", ours / plain);
    Ok(())
}

/// One history, for every member.
fn record(store: &EmbeddedStore, members: usize, each: u64, policy: &domain::Policy) -> Result<()> {
    let bodies: Vec<Vec<u8>> = recorded(each, policy)?.iter().map(codec::encode_event).collect();
    let streams: Vec<_> = (0..members).map(stream).collect();
    // As it comes about: the events of a member are not side by side.
    for (version, body) in (0..).zip(&bodies) {
        for some in streams.chunks(1_024) {
            let appends = some.iter().map(|it| store.append(it, version, vec![body.clone()]));
            block_on(join_all(appends)).into_iter().collect::<Result<Vec<_>, _>>()?;
        }
    }
    Ok(())
}

fn read_and_decode(store: &EmbeddedStore, members: usize) -> Result<Duration> {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let reader = || -> Result<()> {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= members {
                return Ok(());
            }
            for recorded in block_on(store.read(&stream(n), 0, None))?.events {
                codec::decode_event(&recorded.body.context("an erased event")?)?;
            }
        }
    };
    thread::scope(|scope| -> Result<()> {
        let readers: Vec<_> = (0..THREADS).map(|_| scope.spawn(reader)).collect();
        for reader in readers {
            reader.join().map_err(|_| anyhow::anyhow!("a reader ended early"))??;
        }
        Ok(())
    })?;
    Ok(start.elapsed())
}
