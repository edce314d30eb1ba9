use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use super::*;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Waiting {
    tickets: Vec<Ticket>,
    counts: Vec<Arc<Count>>,
}

impl Waiting {
    /// Polled once each, so that each sleeps.
    fn new(size: usize) -> (Vec<Promise>, Self) {
        let (promises, mut tickets): (Vec<_>, Vec<_>) = (0..size).map(|_| promise()).unzip();
        let counts: Vec<_> = (0..size).map(|_| Arc::new(Count::default())).collect();
        for (ticket, count) in tickets.iter_mut().zip(&counts) {
            assert!(poll(ticket, count).is_pending());
        }
        (promises, Self { tickets, counts })
    }

    fn woken(&self) -> Vec<usize> {
        self.counts.iter().map(|count| count.0.load(Ordering::SeqCst)).collect()
    }
}

fn poll(ticket: &mut Ticket, count: &Arc<Count>) -> Poll<Outcome> {
    let waker = Waker::from(Arc::clone(count));
    Pin::new(ticket).poll(&mut Context::from_waker(&waker))
}

fn answers(promises: &mut [Promise]) -> impl Iterator<Item = (&mut Promise, Outcome)> {
    promises.iter_mut().zip((1..).map(Ok))
}

#[test]
fn one_is_woken_and_wakes_the_others() {
    let (mut promises, mut waiting) = Waiting::new(3);
    let _batch = answer_all(answers(&mut promises));
    assert_eq!(waiting.woken(), [1, 0, 0]);
    let first = poll(&mut waiting.tickets[0], &waiting.counts[0]);
    assert!(matches!(first, Poll::Ready(Ok(1))));
    assert_eq!(waiting.woken(), [1, 1, 1]);
    let last = poll(&mut waiting.tickets[2], &waiting.counts[2]);
    assert!(matches!(last, Poll::Ready(Ok(3))));
}

#[test]
fn one_that_gives_up_wakes_the_others() {
    let (mut promises, mut waiting) = Waiting::new(3);
    let _batch = answer_all(answers(&mut promises));
    waiting.tickets.remove(0);
    assert_eq!(waiting.woken(), [1, 1, 1]);
}

#[test]
fn one_that_gave_up_before_is_not_relied_on() {
    let (mut promises, mut waiting) = Waiting::new(3);
    waiting.tickets.remove(0);
    let _batch = answer_all(answers(&mut promises));
    assert_eq!(waiting.woken(), [0, 1, 0]);
}

#[test]
fn the_writer_can_wake_the_rest() {
    let (mut promises, waiting) = Waiting::new(3);
    let batch = answer_all(answers(&mut promises));
    batch.wake_rest();
    assert_eq!(waiting.woken(), [1, 1, 1]);
}

#[test]
fn a_promise_that_is_dropped_is_an_unknown_outcome() {
    let (promises, mut waiting) = Waiting::new(1);
    drop(promises);
    assert_eq!(waiting.woken(), [1]);
    let outcome = poll(&mut waiting.tickets[0], &waiting.counts[0]);
    assert!(matches!(outcome, Poll::Ready(Err(AppendError::Unknown(_)))), "{outcome:?}");
}
