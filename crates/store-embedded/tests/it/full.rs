//! A file system that is really full: what is refused, what goes on, and what is there afterwards.
//!
//! The child is this test binary itself, in a mount namespace of its own with a small disk in
//! memory that goes away with it. Where that is not allowed, the test says so and checks nothing.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::process::Command;

use futures::executor::block_on;
use store::{AppendError, EventStore, Version};
use store_embedded::{EmbeddedStore, verify};
use tempfile::TempDir;

use crate::support::*;

const CHILD: &str = "CARNET_STORE_FULL_TEST_CHILD";

#[test]
fn a_full_file_system_refuses_writes_and_stays_readable() {
    let place = TempDir::new().unwrap();
    let on_a_small_disk = |program: &Path, arguments: &[&str]| {
        Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg("mount -t tmpfs -o size=3m carnet-test \"$0\" && exec \"$@\"")
            .arg(place.path())
            .arg(program)
            .args(arguments)
            .env(CHILD, place.path())
            .output()
    };
    match on_a_small_disk(Path::new("true"), &[]) {
        Ok(tried) if tried.status.success() => {}
        Ok(tried) => {
            let why = String::from_utf8_lossy(&tried.stderr).into_owned();
            return eprintln!("skipped: no file system can be mounted here: {}", why.trim());
        }
        Err(error) => return eprintln!("skipped: `unshare` cannot be started: {error}"),
    }
    let itself = std::env::current_exe().unwrap();
    let arguments = ["--exact", "full::child", "--ignored", "--nocapture"];
    let child = on_a_small_disk(&itself, &arguments).unwrap();
    let said = String::from_utf8_lossy(&child.stdout) + String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

/// Not a test: what the test above starts on a small disk.
#[test]
#[ignore = "the child process of another test"]
fn child() {
    let Some(disk) = std::env::var_os(CHILD) else { return };
    let disk = Path::new(&disk);
    let (place, ballast) = (disk.join("store"), disk.join("ballast"));
    let mut truth = Streams::new();
    let store = open(&place);
    // The log itself takes what there is, and then somebody else.
    for taken_by_others in [1 << 20, u64::MAX] {
        fill(&ballast, taken_by_others);
        append_until_refused(&store, &mut truth);
        check_all(&store, &truth);
        append_until_refused(&store, &mut truth);
        fs::remove_file(&ballast).unwrap();
        append(&store, &mut truth, "member-0", &[b"there is room again"]);
        check_all(&store, &truth);
    }

    // Closed, and opened again, while there is no room for anything.
    fill(&ballast, u64::MAX);
    append_until_refused(&store, &mut truth);
    drop(store);
    let rest = disk.join("rest");
    fill(&rest, u64::MAX);
    check_all(&open(&place), &truth);
    fs::remove_file(&rest).unwrap();
    fs::remove_file(&ballast).unwrap();
    let store = open(&place);
    check_all(&store, &truth);
    append(&store, &mut truth, "member-0", &[b"and after opening again"]);
    check_all(&store, &truth);
    drop(store);
    assert_eq!(verify(&place).unwrap().problems, Vec::<String>::new());
}

/// Takes so many bytes of the disk, or all there are.
fn fill(ballast: &Path, bytes_max: u64) {
    let mut file = File::create(ballast).unwrap();
    match std::io::copy(&mut std::io::repeat(7).take(bytes_max), &mut file) {
        Ok(written) => assert_eq!(written, bytes_max),
        Err(error) => assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}"),
    }
}

/// What was written before is overwritten in place, so a full disk may still take a little.
#[track_caller]
fn append_until_refused(store: &EmbeddedStore, truth: &mut Streams) {
    for number in 0.. {
        assert!(number < 1_000, "the disk is full");
        let name = format!("member-{}", number % 7);
        let known = truth.get(&name).map_or(0, Vec::len) as Version;
        let bodies = vec![vec![7; 3_000]; 2];
        match block_on(store.append(&id(&name), known, bodies.clone())) {
            Ok(_) => truth.entry(name).or_default().extend(bodies),
            Err(AppendError::Unavailable(why)) => return assert_eq!(why, "the disk is full"),
            Err(error) => panic!("a full disk was answered with {error:?}"),
        }
    }
}
