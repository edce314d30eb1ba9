//! What every store promises, as scenarios that every store passes.
//!
//! [`run`] takes a way to make an empty store, [`run_reopened`] a place that can be opened again.
//! Nothing here knows an executor: it blocks, on as many threads as a scenario needs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test suite, called from the tests of other crates"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};
use std::thread;

use futures::executor::block_on;

use crate::seam::{
    APPEND_EVENTS_MAX, AppendError, Cursor, EVENT_BYTES_MAX, EventStore, FeedEvent, ReadError,
    STREAM_ID_BYTES_MAX, Snapshot, StreamId, StreamSlice, Version,
};

pub type SharedStore = Arc<dyn EventStore>;

type Scenario = (&'static str, fn(&SharedStore));

/// One line per promise of the seam.
const SCENARIOS: &[Scenario] = &[
    ("a stream nobody wrote to is empty", unwritten_stream_is_empty),
    ("versions start at 1 and have no gaps", versions_start_at_1),
    ("reading after a version gives what follows it", reading_after_a_version),
    ("bodies are bytes and come back as they went in", bodies_are_bytes),
    ("streams with similar ids do not mix", similar_streams_do_not_mix),
    ("an append at another version is a conflict that names the actual one", stale_append),
    ("a refused append leaves nothing behind", refused_append_leaves_nothing),
    ("limits are enforced, and what is at the limit fits", limits),
    ("an append nobody waited for is there whole or not at all", abandoned_append),
    ("of two appends at one expected version exactly one succeeds", racing_appends),
    ("appends to many streams at once all arrive", parallel_appends),
    ("the feed yields everything, in version order within a stream", feed_in_order),
    ("a feed with nothing new gives back the cursor it was given", feed_at_its_end),
    ("the feed never skips an event, whatever commits meanwhile", feed_beside_appends),
    ("the list of streams names each once", streams_once),
    ("an invalid cursor is refused", invalid_cursors),
    ("a snapshot stands for what it folds, and only for that", snapshot_stands_for_its_past),
    ("a snapshot of another reducer is ignored", snapshot_of_another_reducer),
    ("a snapshot of a version the stream has not is ignored", snapshot_of_the_future),
    ("an older snapshot does not replace a newer one", snapshot_does_not_go_back),
];

/// Holds a store to the contract of the seam; each scenario gets an empty store of its own.
///
/// # Panics
/// When a promise is broken, naming it.
pub fn run(make: impl Fn() -> SharedStore) {
    for (promise, scenario) in SCENARIOS {
        announce(promise);
        scenario(&make());
    }
}

/// Opens one place: each call after the store of the call before was dropped.
pub type Reopen = Box<dyn Fn() -> SharedStore>;

/// Holds a durable store to what must survive closing and opening.
///
/// # Panics
/// When a promise is broken.
pub fn run_reopened(make: impl Fn() -> Reopen) {
    announce("what was acknowledged is there after opening again");
    survives_reopening(&make());
    announce("a cursor goes on where it stood after opening again");
    cursor_survives_reopening(&make());
}

#[expect(clippy::print_stderr, reason = "a failing test shows which promise was broken")]
fn announce(promise: &str) {
    eprintln!("conformance: {promise}");
}

fn id(name: &str) -> StreamId {
    StreamId::new(name).expect("a valid stream id")
}

fn bodies(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

#[track_caller]
fn append(store: &SharedStore, stream: &StreamId, expected: Version, texts: &[&str]) -> Version {
    block_on(store.append(stream, expected, bodies(texts))).expect("the append succeeds")
}

#[track_caller]
fn read(store: &SharedStore, stream: &StreamId, after: Version) -> StreamSlice {
    block_on(store.read(stream, after, None)).expect("the stream can be read")
}

/// The stream's events as (version, text), whatever its snapshots.
#[track_caller]
fn texts(store: &SharedStore, stream: &StreamId, after: Version) -> Vec<(Version, String)> {
    plain(&read(store, stream, after))
}

fn plain(slice: &StreamSlice) -> Vec<(Version, String)> {
    let text = |body: &Arc<[u8]>| String::from_utf8_lossy(body).into_owned();
    slice
        .events
        .iter()
        .map(|e| (e.version, e.body.as_ref().map(text).unwrap_or_default()))
        .collect()
}

fn numbered(texts: &[&str]) -> Vec<(Version, String)> {
    (1..).zip(texts.iter().map(|text| (*text).to_owned())).collect()
}

/// Follows the feed to its present end.
#[track_caller]
fn feed_from(store: &SharedStore, cursor: &mut Cursor, limit: usize) -> Vec<FeedEvent> {
    let mut seen = Vec::new();
    loop {
        let page = block_on(store.feed(cursor, limit)).expect("the feed can be read");
        assert!(page.events.len() <= limit, "a page of at most {limit} events");
        if page.events.is_empty() {
            return seen;
        }
        seen.extend(page.events);
        *cursor = page.next;
    }
}

fn unwritten_stream_is_empty(store: &SharedStore) {
    assert_eq!(read(store, &id("nobody"), 0), StreamSlice::default());
    assert_eq!(read(store, &id("nobody"), 7), StreamSlice::default());
    append(store, &id("somebody"), 0, &["a"]);
    assert_eq!(read(store, &id("nobody"), 0), StreamSlice::default());
}

fn versions_start_at_1(store: &SharedStore) {
    let stream = id("member-1");
    assert_eq!(append(store, &stream, 0, &["a"]), 1);
    assert_eq!(append(store, &stream, 1, &["b", "c", "d"]), 4);
    assert_eq!(append(store, &stream, 4, &["e"]), 5);
    assert_eq!(texts(store, &stream, 0), numbered(&["a", "b", "c", "d", "e"]));
}

fn reading_after_a_version(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b"]);
    append(store, &stream, 2, &["c"]);
    let all = numbered(&["a", "b", "c"]);
    for after in 0..=3 {
        assert_eq!(texts(store, &stream, after), all[after as usize..].to_vec());
    }
    assert_eq!(texts(store, &stream, 4), vec![], "behind the end there is nothing");
    assert_eq!(texts(store, &stream, Version::MAX), vec![]);
}

fn bodies_are_bytes(store: &SharedStore) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let given = vec![every_byte, vec![], vec![0], b"\xff\xfe'\"\0;--".to_vec()];
    let stream = id("member-1");
    block_on(store.append(&stream, 0, given.clone())).expect("any bytes can be appended");
    let kept: Vec<Vec<u8>> = read(store, &stream, 0)
        .events
        .iter()
        .map(|event| event.body.as_deref().expect("the body is there").to_vec())
        .collect();
    assert_eq!(kept, given);
}

fn similar_streams_do_not_mix(store: &SharedStore) {
    let longest = "m".repeat(STREAM_ID_BYTES_MAX);
    let names = ["m", "M", "m/", "m%", "m_", "mm", "m|1", "m'--", "1", "01", longest.as_str()];
    for name in names {
        append(store, &id(name), 0, &[name]);
    }
    for name in names {
        assert_eq!(texts(store, &id(name), 0), numbered(&[name]));
    }
}

fn stale_append(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b"]);
    for wrong in [0, 1, 3, 1_000, Version::MAX] {
        match block_on(store.append(&stream, wrong, bodies(&["x"]))) {
            Err(AppendError::Conflict { expected, actual }) => {
                assert_eq!((expected, actual), (wrong, 2));
            }
            other => panic!("an append at version {wrong} of 2 was answered {other:?}"),
        }
    }
    match block_on(store.append(&id("nobody"), 1, bodies(&["x"]))) {
        Err(AppendError::Conflict { expected: 1, actual: 0 }) => {}
        other => panic!("an append at version 1 of an empty stream was answered {other:?}"),
    }
}

fn refused_append_leaves_nothing(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a"]);
    let _ = block_on(store.append(&stream, 0, bodies(&["x", "y"]))).expect_err("a conflict");
    let too_large = vec![b"x".to_vec(), vec![0; EVENT_BYTES_MAX + 1]];
    let _ = block_on(store.append(&stream, 1, too_large)).expect_err("over the limit");
    assert_eq!(texts(store, &stream, 0), numbered(&["a"]));
    assert_eq!(feed_from(store, &mut Cursor::default(), 10).len(), 1);
    assert_eq!(append(store, &stream, 1, &["b"]), 2, "and the stream goes on");
}

fn limits(store: &SharedStore) {
    let stream = id("member-1");
    let refused = [vec![], vec![vec![]; APPEND_EVENTS_MAX + 1], vec![vec![0; EVENT_BYTES_MAX + 1]]];
    for given in refused {
        match block_on(store.append(&stream, 0, given)) {
            Err(AppendError::Invalid(_)) => {}
            other => panic!("an append over the limit was answered {other:?}"),
        }
    }
    let most = vec![b"x".to_vec(); APPEND_EVENTS_MAX];
    let version = block_on(store.append(&stream, 0, most)).expect("the most events fit");
    assert_eq!(version, APPEND_EVENTS_MAX as Version);
    let largest: Vec<u8> = (0..EVENT_BYTES_MAX).map(|index| (index % 251) as u8).collect();
    block_on(store.append(&stream, version, vec![largest.clone()])).expect("the largest fits");
    let slice = read(store, &stream, version);
    assert!(slice.events[0].body.as_deref() == Some(&largest[..]), "the largest body is kept");
    assert_eq!(feed_from(store, &mut Cursor::default(), 100).len(), APPEND_EVENTS_MAX + 1);
}

fn abandoned_append(store: &SharedStore) {
    for round in 0..20 {
        let stream = id(&format!("member-{round}"));
        let mut append = store.append(&stream, 0, bodies(&["a", "b"]));
        let _ = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(append);
        // Whatever happens to it: an append behind it sees all of it, or none.
        let expected = match block_on(store.append(&stream, 0, bodies(&["c"]))) {
            Ok(_) => numbered(&["c"]),
            Err(AppendError::Conflict { actual: 2, .. }) => numbered(&["a", "b"]),
            Err(other) => panic!("an append after an abandoned one was answered {other:?}"),
        };
        assert_eq!(texts(store, &stream, 0), expected);
    }
}

fn racing_appends(store: &SharedStore) {
    const WRITERS: usize = 4;
    const ROUNDS: Version = 50;
    let stream = id("member-1");
    let start = Barrier::new(WRITERS);
    let wins = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (stream, start, wins) = (&stream, &start, &wins);
            scope.spawn(move || {
                for expected in 0..ROUNDS {
                    start.wait();
                    let body = vec![format!("{writer}").into_bytes()];
                    match block_on(store.append(stream, expected, body)) {
                        Ok(version) => {
                            assert_eq!(version, expected + 1);
                            wins.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(AppendError::Conflict { expected: asked, actual }) => {
                            assert_eq!((asked, actual), (expected, expected + 1));
                        }
                        Err(other) => panic!("a racing append was answered {other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(wins.into_inner() as Version, ROUNDS);
    assert_eq!(read(store, &stream, 0).events.len() as Version, ROUNDS);
}

fn parallel_appends(store: &SharedStore) {
    const WRITERS: usize = 4;
    const STREAMS: usize = 10;
    const ROUNDS: Version = 20;
    let name = |writer: usize, stream: usize| id(&format!("member-{writer}-{stream}"));
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    for stream in 0..STREAMS {
                        let text = format!("{writer}/{stream}/{round}");
                        append(store, &name(writer, stream), round, &[text.as_str()]);
                    }
                }
            });
        }
    });
    for writer in 0..WRITERS {
        for stream in 0..STREAMS {
            let expected: Vec<_> = (0..ROUNDS)
                .map(|round| (round + 1, format!("{writer}/{stream}/{round}")))
                .collect();
            assert_eq!(texts(store, &name(writer, stream), 0), expected);
        }
    }
}

fn feed_in_order(store: &SharedStore) {
    let mut expected = Vec::new();
    for round in 0..5_u64 {
        for stream in ["a", "b", "c"] {
            let text = format!("{stream}{round}");
            append(store, &id(stream), round * 2, &[text.as_str(), "and another"]);
            expected.push((stream.to_owned(), round * 2 + 1));
            expected.push((stream.to_owned(), round * 2 + 2));
        }
    }
    for limit in [1, 2, 7, 1_000] {
        let seen = feed_from(store, &mut Cursor::default(), limit);
        check_complete(&seen, &expected);
        for event in &seen {
            let in_stream = read(store, &event.stream, event.recorded.version - 1);
            assert_eq!(in_stream.events[0], event.recorded, "the feed and the stream agree");
        }
    }
}

/// Every event at least once; the first sight of each in version order within its stream.
#[track_caller]
fn check_complete(seen: &[FeedEvent], expected: &[(String, Version)]) {
    let mut versions: BTreeMap<String, Version> = BTreeMap::new();
    for event in seen {
        let version = versions.entry(event.stream.to_string()).or_default();
        assert!(
            event.recorded.version <= *version + 1,
            "the feed went from version {version} of `{}` to {}",
            event.stream,
            event.recorded.version
        );
        *version = (*version).max(event.recorded.version);
    }
    let mut last: BTreeMap<String, Version> = BTreeMap::new();
    for (stream, version) in expected {
        let newest = last.entry(stream.clone()).or_default();
        *newest = (*newest).max(*version);
    }
    assert_eq!(versions, last, "the feed shows every stream to its end");
}

fn feed_at_its_end(store: &SharedStore) {
    let empty = block_on(store.feed(&Cursor::default(), 10)).expect("an empty feed can be read");
    assert_eq!((empty.events.len(), empty.next), (0, Cursor::default()));
    append(store, &id("a"), 0, &["1", "2"]);
    let page = block_on(store.feed(&Cursor::default(), 10)).expect("the feed can be read");
    assert_eq!(page.events.len(), 2);
    let end = block_on(store.feed(&page.next, 10)).expect("the feed can be read at its end");
    assert_eq!((end.events.len(), &end.next), (0, &page.next));
    append(store, &id("b"), 0, &["3"]);
    let more = block_on(store.feed(&end.next, 10)).expect("the feed goes on");
    assert_eq!(more.events.len(), 1);
    assert_eq!(more.events[0].stream, id("b"));
}

fn feed_beside_appends(store: &SharedStore) {
    const WRITERS: usize = 3;
    const ROUNDS: Version = 60;
    let writing = AtomicUsize::new(WRITERS);
    let mut seen = Vec::new();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let writing = &writing;
            scope.spawn(move || {
                let stream = id(&format!("member-{writer}"));
                for round in 0..ROUNDS {
                    append(store, &stream, round * 2, &["x", "y"]);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut cursor = Cursor::default();
        loop {
            let done = writing.load(Ordering::SeqCst) == 0;
            seen.extend(feed_from(store, &mut cursor, 5));
            if done {
                break;
            }
            thread::yield_now();
        }
    });
    let expected: Vec<_> =
        (0..WRITERS).map(|writer| (format!("member-{writer}"), ROUNDS * 2)).collect();
    check_complete(&seen, &expected);
}

fn streams_once(store: &SharedStore) {
    let listed = |limit| {
        let (mut listed, mut cursor) = (Vec::new(), Some(Cursor::default()));
        while let Some(from) = cursor {
            let page = block_on(store.streams(&from, limit)).expect("the streams can be listed");
            listed.extend(page.streams);
            cursor = page.next;
        }
        listed.sort();
        listed
    };
    assert_eq!(listed(10), [], "of an empty store");
    let mut streams: Vec<StreamId> = (0..40).map(|n| id(&format!("member:{n}"))).collect();
    for version in 0..3 {
        for stream in &streams {
            append(store, stream, version, &["one more"]);
        }
    }
    streams.sort();
    for limit in [1, 7, 40, 1_000] {
        assert_eq!(listed(limit), streams, "{limit} at a time");
    }
}

fn invalid_cursors(store: &SharedStore) {
    append(store, &id("a"), 0, &["1", "2", "3"]);
    let page = block_on(store.feed(&Cursor::default(), 2)).expect("the feed can be read");
    let valid = page.next.0;
    let mut invalid = vec![vec![0], b"not a cursor".to_vec(), vec![0xff; valid.len()]];
    invalid.push(valid[..valid.len() - 1].to_vec());
    invalid.push([&valid[..], &[0]].concat());
    for cursor in invalid {
        match block_on(store.feed(&Cursor(cursor.clone()), 10)) {
            Err(ReadError::InvalidCursor(_)) => {}
            other => panic!("the cursor {cursor:02x?} was answered {other:?}"),
        }
    }
}

fn snapshot(version: Version, fingerprint: u64) -> Snapshot {
    let body = format!("state at {version} by {fingerprint}").into_bytes();
    Snapshot { version, fingerprint, body: body.into() }
}

#[track_caller]
fn read_snapshot(store: &SharedStore, stream: &StreamId, after: Version, by: u64) -> StreamSlice {
    block_on(store.read(stream, after, Some(by))).expect("the stream can be read")
}

#[track_caller]
fn put(store: &SharedStore, stream: &StreamId, snapshot: Snapshot) {
    block_on(store.put_snapshot(stream, snapshot)).expect("the snapshot is taken");
}

fn snapshot_stands_for_its_past(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b", "c"]);
    put(store, &stream, snapshot(3, 9));
    assert_eq!(
        read_snapshot(store, &stream, 0, 9),
        StreamSlice { snapshot: Some(snapshot(3, 9)), events: vec![] }
    );
    append(store, &stream, 3, &["d", "e"]);
    for after in 0..3 {
        let slice = read_snapshot(store, &stream, after, 9);
        assert_eq!(slice.snapshot, Some(snapshot(3, 9)), "newer than {after}");
        assert_eq!(plain(&slice), [(4, "d".to_owned()), (5, "e".to_owned())]);
    }
    for after in 3..=5 {
        let slice = read_snapshot(store, &stream, after, 9);
        assert_eq!(slice.snapshot, None, "the reader at {after} has what it folds already");
        assert_eq!(slice.events.len() as Version, 5 - after);
    }
    assert_eq!(texts(store, &stream, 0).len(), 5, "asked for without a fingerprint: all events");
    assert_eq!(read_snapshot(store, &id("member-2"), 0, 9), StreamSlice::default());
}

fn snapshot_of_another_reducer(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b"]);
    put(store, &stream, snapshot(2, 9));
    let slice = read_snapshot(store, &stream, 0, 10);
    assert_eq!((slice.snapshot.as_ref(), slice.events.len()), (None, 2));
    put(store, &stream, snapshot(1, 10));
    let slice = read_snapshot(store, &stream, 0, 10);
    assert_eq!((slice.snapshot, slice.events.len()), (Some(snapshot(1, 10)), 1));
}

fn snapshot_of_the_future(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b"]);
    let _ = block_on(store.put_snapshot(&stream, snapshot(3, 9)));
    let _ = block_on(store.put_snapshot(&stream, snapshot(0, 9)));
    let _ = block_on(store.put_snapshot(&id("nobody"), snapshot(1, 9)));
    let slice = read_snapshot(store, &stream, 0, 9);
    assert_eq!((slice.snapshot.as_ref(), plain(&slice)), (None, numbered(&["a", "b"])));
    assert_eq!(read_snapshot(store, &id("nobody"), 0, 9), StreamSlice::default());
    append(store, &stream, 2, &["c"]);
    assert_eq!(read_snapshot(store, &stream, 0, 9).snapshot, None, "nor when it comes to pass");
}

fn snapshot_does_not_go_back(store: &SharedStore) {
    let stream = id("member-1");
    append(store, &stream, 0, &["a", "b", "c"]);
    put(store, &stream, snapshot(3, 9));
    put(store, &stream, snapshot(1, 9));
    let slice = read_snapshot(store, &stream, 0, 9);
    assert_eq!((slice.snapshot, slice.events.len()), (Some(snapshot(3, 9)), 0));
}

fn survives_reopening(open: &Reopen) {
    let (first, second) = (id("member-1"), id("member-2"));
    for round in 0..5_u64 {
        let store = open();
        for stream in [&first, &second] {
            assert_eq!(read(&store, stream, 0).events.len() as u64, round * 3);
            append(&store, stream, round * 3, &["a", "b", "c"]);
            let stale = block_on(store.append(stream, round * 3, bodies(&["x"])));
            assert!(matches!(stale, Err(AppendError::Conflict { .. })), "{stale:?}");
        }
    }
    let store = open();
    for stream in [&first, &second] {
        let expected: Vec<_> = (1..=15).zip(["a", "b", "c"].repeat(5)).collect();
        let expected: Vec<_> = expected.iter().map(|(v, t)| (*v, (*t).to_owned())).collect();
        assert_eq!(texts(&store, stream, 0), expected);
    }
}

fn cursor_survives_reopening(open: &Reopen) {
    let mut cursor = Cursor::default();
    for round in 0..3_u64 {
        let store = open();
        append(&store, &id("a"), round * 2, &["x", "y"]);
        let seen = feed_from(&store, &mut cursor, 1);
        let versions: Vec<_> = seen.iter().map(|event| event.recorded.version).collect();
        assert_eq!(versions, [round * 2 + 1, round * 2 + 2]);
    }
}
