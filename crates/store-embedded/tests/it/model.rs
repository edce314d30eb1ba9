//! Random appends, reads, snapshots, openings and crashes against a plain map.

use std::collections::BTreeMap;

use futures::executor::block_on;
use rand_chacha::ChaCha8Rng;
use store::{AppendError, EventStore, Snapshot, Version};
use store_embedded::EmbeddedStore;
use tempfile::TempDir;

use crate::support::*;

struct World {
    place: TempDir,
    store: Option<EmbeddedStore>,
    truth: Streams,
    snapshots: BTreeMap<String, Version>,
}

#[test]
fn a_store_is_a_map_of_lists_that_survives() {
    let mut random = random("model");
    for _ in 0..6 {
        let place = TempDir::new().unwrap();
        let store = Some(open(place.path()));
        let mut world = World { place, store, truth: Streams::new(), snapshots: BTreeMap::new() };
        for _ in 0..150 {
            step(&mut world, &mut random);
        }
        check_all(world.store.as_ref().unwrap(), &world.truth);
    }
}

fn step(world: &mut World, random: &mut ChaCha8Rng) {
    let name = format!("member-{}", below(random, 9));
    let store = world.store.as_ref().unwrap();
    let known = world.truth.get(&name).map_or(0, Vec::len);
    match below(random, 100) {
        0..50 => {
            let bodies: Vec<Vec<u8>> = (0..1 + below(random, 4))
                .map(|it| vec![it as u8; below(random, if it == 3 { 60_000 } else { 600 })])
                .collect();
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            append(store, &mut world.truth, &name, &bodies);
        }
        50..60 => {
            let wrong = (known + 1 + below(random, 3)) as Version;
            let refused = block_on(store.append(&id(&name), wrong, vec![vec![]])).unwrap_err();
            let actual = known as Version;
            assert!(
                matches!(refused, AppendError::Conflict { expected, actual: told }
                    if expected == wrong && told == actual),
                "{refused}"
            );
        }
        60..70 if known > 0 => {
            let version = (1 + below(random, known)) as Version;
            let snapshot = Snapshot { version, fingerprint: 5, body: name.as_bytes().into() };
            block_on(store.put_snapshot(&id(&name), snapshot)).unwrap();
            let kept = world.snapshots.entry(name).or_default();
            *kept = version.max(*kept);
        }
        60..90 => check_read(world, &name, below(random, known + 2)),
        90..96 => {
            world.store = None;
            world.store = Some(open(world.place.path()));
        }
        _ => {
            let crashed = copy(world.place.path());
            world.store = None;
            world.place = crashed;
            world.store = Some(open(world.place.path()));
        }
    }
}

fn check_read(world: &World, name: &str, after: usize) {
    let store = world.store.as_ref().unwrap();
    let slice = block_on(store.read(&id(name), after as Version, Some(5))).unwrap();
    let snapshot = world.snapshots.get(name).copied().filter(|&it| it > after as Version);
    assert_eq!(slice.snapshot.as_ref().map(|it| it.version), snapshot);
    let skipped = snapshot.map_or(after, |version| version as usize);
    let expected: Vec<_> = world.truth.get(name).into_iter().flatten().skip(skipped).collect();
    assert_eq!(slice.events.len(), expected.len());
    for ((event, body), version) in slice.events.iter().zip(expected).zip(skipped + 1..) {
        assert_eq!(event.version, version as Version);
        assert!(event.body.as_deref() == Some(body.as_slice()));
    }
}
