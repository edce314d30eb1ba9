use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use futures::executor::block_on;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use store::{Cursor, EventStore, ReadError, StreamId, Version};
use store_embedded::{EmbeddedStore, OpenError, Options};
use tempfile::TempDir;

pub(crate) fn open(path: &Path) -> EmbeddedStore {
    try_open(path).unwrap()
}

pub(crate) fn try_open(path: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open(path, &Options::default())
}

pub(crate) fn id(name: &str) -> StreamId {
    StreamId::new(name).unwrap()
}

/// What every stream must hold: as simple as it can be.
pub(crate) type Streams = BTreeMap<String, Vec<Vec<u8>>>;

/// Appends, and writes down what was acknowledged.
#[track_caller]
pub(crate) fn append(store: &EmbeddedStore, truth: &mut Streams, name: &str, bodies: &[&[u8]]) {
    let known = truth.entry(name.to_owned()).or_default();
    let bodies: Vec<Vec<u8>> = bodies.iter().map(|body| body.to_vec()).collect();
    block_on(store.append(&id(name), known.len() as Version, bodies.clone())).unwrap();
    known.extend(bodies);
}

/// A stream as it reads, or what is said to be wrong with it.
pub(crate) fn read(store: &EmbeddedStore, name: &str) -> Result<Vec<Vec<u8>>, ReadError> {
    let slice = block_on(store.read(&id(name), 0, None))?;
    for (event, expected) in slice.events.iter().zip(1..) {
        assert_eq!(event.version, expected, "versions of `{name}` have no gaps");
    }
    Ok(slice.events.iter().map(|event| event.body.as_deref().unwrap().to_vec()).collect())
}

/// The whole feed, put together by stream, or what is said to be wrong with it.
pub(crate) fn read_feed(store: &EmbeddedStore) -> Result<Streams, ReadError> {
    let (mut cursor, mut streams) = (Cursor::default(), Streams::new());
    loop {
        let page = block_on(store.feed(&cursor, 97))?;
        if page.events.is_empty() {
            return Ok(streams);
        }
        for event in page.events {
            let stream = streams.entry(event.stream.to_string()).or_default();
            stream.push(event.recorded.body.unwrap().to_vec());
            assert_eq!(event.recorded.version, stream.len() as Version);
        }
        cursor = page.next;
    }
}

#[track_caller]
pub(crate) fn check_all(store: &EmbeddedStore, truth: &Streams) {
    for (name, bodies) in truth {
        assert_eq!(&read(store, name).unwrap(), bodies, "`{name}`");
    }
    assert_eq!(&read_feed(store).unwrap(), truth);
}

/// What a crash would leave of an idle store, open or not: its files as they are.
pub(crate) fn copy(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for (name, bytes) in files(from) {
        fs::write(to.path().join(name), bytes).unwrap();
    }
    to
}

pub(crate) fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Opening must refuse and leave everything as it was; gives back what it said.
#[track_caller]
pub(crate) fn check_refused(path: &Path) -> String {
    let before = files(path);
    let message = try_open(path).expect_err("the store does not open").to_string();
    let after = files(path);
    assert!(before.keys().eq(after.keys()), "{:?}: {message}", after.keys());
    for (name, bytes) in before {
        assert!(after[&name] == bytes, "`{name}` was changed by a refused opening: {message}");
    }
    message
}

/// Seeded from the environment to repeat a run, else freshly; the seed is printed.
pub(crate) fn random(what: &str) -> ChaCha8Rng {
    let seed = std::env::var("CARNET_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    eprintln!("{what}: repeat with CARNET_SEED={seed}");
    ChaCha8Rng::seed_from_u64(seed)
}

pub(crate) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    (random.next_u64() % bound as u64) as usize
}
