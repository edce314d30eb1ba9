//! A bounded queue between callers and a store's threads. Full is an answer, not a wait: a caller
//! that cannot be served soon should hear so at once.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Channel<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    weight_max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<(T, usize)>,
    weight: usize,
    closed: bool,
    /// How many threads sleep on `ready`: nobody is woken for nothing.
    sleeping: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    TimedOut,
    Closed,
}

impl<T> Channel<T> {
    pub(crate) fn new(weight_max: usize) -> Self {
        let state = State { items: VecDeque::new(), weight: 0, closed: false, sleeping: 0 };
        Self { state: Mutex::new(state), ready: Condvar::new(), weight_max }
    }

    pub(crate) fn push(&self, item: T, weight: usize) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        // Something larger than the whole queue still gets through an empty one.
        if state.weight > 0 && state.weight + weight > self.weight_max {
            return Err(Refused::Full);
        }
        state.items.push_back((item, weight));
        state.weight += weight;
        if state.sleeping > 0 {
            drop(state);
            self.ready.notify_one();
        }
        Ok(())
    }

    /// The next item; `None` once closed and empty.
    pub(crate) fn pop(&self) -> Option<T> {
        let mut one = Vec::with_capacity(1);
        self.take(&mut one, 1, None);
        one.pop()
    }

    /// Moves waiting items to `out`, up to a weight but at least one, sleeping while there are
    /// none: until one comes, the time is over, or the channel is closed.
    pub(crate) fn take(
        &self,
        out: &mut Vec<T>,
        weight_max: usize,
        timeout: Option<Duration>,
    ) -> Taken {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            state.sleeping += 1;
            let (woken, timed_out) = match timeout {
                None => (self.ready.wait(state).unwrap_or_else(PoisonError::into_inner), false),
                Some(timeout) => {
                    let (woken, result) = self
                        .ready
                        .wait_timeout(state, timeout)
                        .unwrap_or_else(PoisonError::into_inner);
                    (woken, result.timed_out())
                }
            };
            state = woken;
            state.sleeping -= 1;
            if timed_out && state.items.is_empty() {
                return Taken::TimedOut;
            }
        }
        let mut taken = 0;
        while let Some((_, weight)) = state.items.front() {
            if taken > 0 && taken + weight > weight_max {
                break;
            }
            taken += weight;
            if let Some((item, weight)) = state.items.pop_front() {
                state.weight -= weight;
                out.push(item);
            }
        }
        Taken::Some
    }

    /// No more goes in; what is in can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
