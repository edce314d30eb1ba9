use futures::channel::oneshot;
use futures::executor::block_on;
use store::AppendError;

use super::*;
use crate::chain::NewEvent;
use crate::completion::promise;

#[test]
fn a_thread_that_panics_leaves_nobody_waiting() {
    let place = tempfile::tempdir().unwrap();
    let file = File::create(place.path().join("log")).unwrap();
    let end = Through { position: 0, link: [0; 16] };
    let shared = Shared::new(Dir::new(place.path()), [1; 16], file, Heads::new(), end, 10);
    let shared = Arc::new(shared);
    let (promise, ticket) = promise();
    let events = vec![NewEvent::new("member-1", b"an event")];
    let append = Append { key: [2; 16], expected: 0, events, promise };
    shared.appends.push(append, 1).unwrap();
    let (reply, answer) = oneshot::channel();
    shared.reads.push(Read::Feed { after: 0, limit: 1, reply }, 1).unwrap();
    let stop = StopOnPanic::new(&shared, "go on");
    let thread = thread::spawn(move || {
        let _stop = stop;
        panic!("a test says so");
    });
    assert!(thread.join().is_err());
    let outcome = block_on(ticket);
    assert!(matches!(outcome, Err(AppendError::Unknown(_))), "{outcome:?}");
    assert!(block_on(answer).is_err());
    let (reply, _answer) = oneshot::channel();
    assert!(shared.reads.push(Read::Feed { after: 0, limit: 1, reply }, 1).is_err());
    assert!(shared.failure().unwrap().contains("its thread panicked"));
}
