//! `kill -9` of a real process under load, many times over: nothing acknowledged is lost.
//!
//! The child is this test binary itself. It says on its standard output what was acknowledged;
//! whatever it managed to say before it died must be in the store.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use rand_chacha::rand_core::Rng;
use rusqlite::Connection;
use store::{EventStore, Snapshot, Version};
use store_embedded::{OpenError, accept, verify};
use tempfile::TempDir;

use crate::support::*;

const WRITERS: usize = 4;
const STREAMS_EACH: usize = 50;
const CHILD: &str = "CARNET_STORE_KILL_TEST_CHILD";

fn body(name: &str, version: Version) -> Vec<u8> {
    format!("{name} {version} ").repeat(1 + version as usize % 30).into_bytes()
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    survives(TempDir::new().unwrap(), 25);
}

/// Made as `docs/storage.md` says, from a copy that has no WAL.
#[test]
fn what_was_acknowledged_survives_kill_9_in_a_restored_store() {
    let (made, place) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    append(&open(made.path()), &mut Streams::new(), "restored", &[b"an event"]);
    let log = Connection::open(made.path().join("log.db")).unwrap();
    let into = place.path().join("log.db");
    log.execute("VACUUM INTO ?1", [into.to_str().unwrap()]).unwrap();
    accept(place.path()).unwrap();
    survives(place, 10);
}

fn survives(place: TempDir, rounds: usize) {
    let mut random = random("kills");
    let mut acknowledged = [0; WRITERS * STREAMS_EACH];
    for round in 0..rounds {
        // Every fifth child dies while it opens the store, or is just about to.
        let lines = if round % 5 == 4 { 0 } else { 1 + below(&mut random, 400) };
        let patience = Duration::from_micros(u64::from(random.next_u32() % 20_000));
        run_and_kill(place.path(), lines, patience, &mut acknowledged);
        if round % 8 == 7 {
            assert_eq!(verify(place.path()).unwrap().problems, Vec::<String>::new());
        }
        let store = open(place.path());
        for (stream, &told) in acknowledged.iter().enumerate() {
            let name = format!("member-{stream}");
            let kept = read(&store, &name).unwrap();
            assert!(kept.len() as Version >= told, "{name}: {told} told, {} kept", kept.len());
            for (kept, version) in kept.iter().zip(1..) {
                assert!(*kept == body(&name, version), "{name} version {version}");
            }
        }
        let in_feed: usize = read_feed(&store).unwrap().values().map(Vec::len).sum();
        assert_eq!(in_feed as u64, store.stats().events);
    }
    eprintln!("{} events acknowledged, none lost", acknowledged.iter().sum::<Version>());
}

/// Kills the child some time after it has told so many things.
fn run_and_kill(place: &Path, lines: usize, patience: Duration, acknowledged: &mut [Version]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHILD, place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = BufReader::new(child.stdout.take().unwrap());
    let mut told = told.lines().map_while(Result::ok).filter_map(|line| parse(&line));
    let mut note = |(stream, version): (usize, Version)| acknowledged[stream] = version;
    told.by_ref().take(lines).for_each(&mut note);
    if lines > 0 {
        let locked = try_open(place);
        assert!(matches!(locked, Err(OpenError::Locked(_))), "the child owns it: {locked:?}");
    }
    thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap();
    told.for_each(note); // what it had said and nobody had read yet
}

/// `told <stream> <version>.`; the test harness writes lines of its own.
fn parse(line: &str) -> Option<(usize, Version)> {
    let (stream, version) = line.strip_prefix("told ")?.strip_suffix('.')?.split_once(' ')?;
    Some((stream.parse().ok()?, version.parse().ok()?))
}

/// Not a test: what the test above starts and kills.
#[test]
#[ignore = "the child process of another test"]
fn child() {
    let Some(place) = std::env::var_os(CHILD) else { return };
    let store = open(Path::new(&place));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || append_for_ever(store, writer));
        }
    });
}

fn append_for_ever(store: &impl EventStore, writer: usize) {
    let mut versions: Vec<Version> = (0..STREAMS_EACH)
        .map(|it| {
            let name = format!("member-{}", writer * STREAMS_EACH + it);
            block_on(store.read(&id(&name), 0, None)).unwrap().events.len() as Version
        })
        .collect();
    for round in 0.. {
        let at = round * 7 % STREAMS_EACH;
        let stream = writer * STREAMS_EACH + at;
        let name = format!("member-{stream}");
        let version = versions[at];
        let bodies = (version + 1..).map(|it| body(&name, it)).take(1 + round % 3).collect();
        versions[at] = block_on(store.append(&id(&name), version, bodies)).unwrap();
        // One write, shorter than a pipe's atomic size: whole, or not there.
        let line = format!("told {stream} {}.\n", versions[at]);
        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        std::io::stdout().flush().unwrap();
        if round % 50 == 0 {
            let snapshot =
                Snapshot { version: versions[at], fingerprint: 1, body: name.as_bytes().into() };
            let _ = block_on(store.put_snapshot(&id(&name), snapshot));
        }
    }
}
