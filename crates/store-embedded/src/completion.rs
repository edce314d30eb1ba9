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
    answer: OnceLock<Answer>,
    waker: AtomicWaker,
}

#[derive(Debug)]
struct Answer {
    outcome: Outcome,
    /// Those answered with it, whom whoever is woken first wakes.
    batch: Option<Arc<Batch>>,
}

impl Slot {
    fn wake_others(&self) {
        if let Some(batch) = self.answer.get().and_then(|answer| answer.batch.as_ref()) {
            batch.wake_rest();
        }
    }
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
pub(crate) struct Promise(Option<Arc<Slot>>);

pub(crate) fn promise() -> (Promise, Ticket) {
    let slot = Arc::new(Slot::default());
    (Promise(Some(Arc::clone(&slot))), Ticket(slot))
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let slot = &self.0;
        if slot.answer.get().is_none() {
            slot.waker.register(context.waker());
        }
        match slot.answer.get() {
            None => Poll::Pending,
            Some(answer) => {
                slot.wake_others();
                Poll::Ready(answer.outcome.clone())
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.waker.take();
        self.0.wake_others(); // it may have been the one who was to wake the others
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let Some(slot) = self.0.take() else { return };
        let gone = AppendError::Unknown("the writer stopped before answering".to_owned());
        let _ = slot.answer.set(Answer { outcome: Err(gone), batch: None });
        slot.waker.wake();
    }
}

/// Answers all of them and wakes one. The rest is in the batch given back, which the caller
/// wakes when it next has the time.
pub(crate) fn answer_all<'a>(
    answers: impl IntoIterator<Item = (&'a mut Promise, Outcome)>,
) -> Arc<Batch> {
    let batch = Arc::new(Batch::default());
    // Held until everyone has an answer: nobody is woken to find none.
    let mut sleeping = batch.sleeping.lock().unwrap_or_else(PoisonError::into_inner);
    let answers = answers.into_iter();
    sleeping.reserve(answers.size_hint().0);
    for (promise, outcome) in answers {
        let Some(slot) = promise.0.take() else { continue };
        let _ = slot.answer.set(Answer { outcome, batch: Some(Arc::clone(&batch)) });
        sleeping.push(slot);
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
