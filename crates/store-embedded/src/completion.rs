//! How an answer gets from the writer to whoever awaits it: one wake-up per commit.
//!
//! Waking a task from another thread costs more than everything else about an answer. So the
//! writer wakes one of those who wait on a commit, and that one, running on its executor's own
//! thread, wakes the others, which is cheap there. Should it never come to run, the writer wakes
//! the rest itself a little later. No executor is named: it works the same on any.

use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use store::{AppendError, Version};

pub(crate) type Outcome = Result<Version, AppendError>;

#[derive(Debug, Default)]
struct Slot {
    outcome: OnceLock<Outcome>,
    batch: OnceLock<Arc<Batch>>,
    waker: AtomicWaker,
}

/// Those answered by one commit and not woken yet.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    sleeping: Mutex<Vec<Arc<Slot>>>,
}

impl Batch {
    /// Wakes everybody who is still asleep; doing it twice does no harm.
    pub(crate) fn wake_rest(&self) {
        let sleeping =
            std::mem::take(&mut *self.sleeping.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in sleeping {
            slot.waker.wake();
        }
    }
}

/// The caller's side.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Slot>);

/// The writer's side. Dropped without an answer it says so: a caller never waits for ever.
#[derive(Debug)]
pub(crate) struct Promise(Arc<Slot>);

pub(crate) fn promise() -> (Promise, Ticket) {
    let slot = Arc::new(Slot::default());
    (Promise(Arc::clone(&slot)), Ticket(slot))
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let slot = &self.0;
        if slot.outcome.get().is_none() {
            slot.waker.register(context.waker());
        }
        match slot.outcome.get() {
            None => Poll::Pending,
            Some(outcome) => {
                if let Some(batch) = slot.batch.get() {
                    batch.wake_rest();
                }
                Poll::Ready(outcome.clone())
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.waker.take();
        if let Some(batch) = self.0.batch.get() {
            batch.wake_rest(); // it may have been the one who was to wake the others
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let gone = || Err(AppendError::Unknown("the writer stopped before answering".to_owned()));
        if self.0.outcome.get().is_none() {
            let _ = self.0.outcome.set(gone());
            self.0.waker.wake();
        }
    }
}

/// Answers all of them and wakes one. The rest is in the batch given back, which the caller
/// wakes when it next has the time.
pub(crate) fn answer_all(answers: Vec<(Promise, Outcome)>) -> Arc<Batch> {
    let batch = Arc::new(Batch::default());
    // Held until everyone has an answer: nobody is woken to find none.
    let mut sleeping = batch.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
    for (promise, outcome) in answers {
        let _ = promise.0.batch.set(Arc::clone(&batch));
        let _ = promise.0.outcome.set(outcome);
        sleeping.push(Arc::clone(&promise.0));
    }
    let first = sleeping.iter().find_map(|slot| slot.waker.take());
    drop(sleeping);
    if let Some(first) = first {
        first.wake();
    }
    batch
}

#[cfg(test)]
mod tests;
