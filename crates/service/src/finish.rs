//! What was begun is finished, whether or not anybody still waits for the answer.
//!
//! A client that goes away drops the future of its request. A decision must not be cut off between
//! its event and what follows from it, so the rest of a dropped request runs on as a task of its
//! own. Costs nothing while the client stays.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::Notify;

/// Whether the service is to stop, and what runs on without its client, for a stop to wait for.
#[derive(Debug, Clone, Default)]
pub struct Unfinished(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    tasks: AtomicUsize,
    changed: Notify,
    is_stopping: AtomicBool,
}

impl Unfinished {
    /// Returns when nothing runs on any more.
    pub async fn done(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.tasks.load(Ordering::SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn begin_to_stop(&self) {
        self.0.is_stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.is_stopping.load(Ordering::SeqCst)
    }

    fn begin(&self) -> Running {
        self.0.tasks.fetch_add(1, Ordering::SeqCst);
        Running(Arc::clone(&self.0))
    }
}

/// One task, until it is dropped.
struct Running(Arc<Count>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::SeqCst);
        self.0.changed.notify_waiters();
    }
}

pub(crate) struct Finish<T: Send + 'static> {
    request: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    unfinished: Unfinished,
}

impl<T: Send + 'static> Finish<T> {
    pub(crate) fn new(
        request: impl Future<Output = T> + Send + 'static,
        unfinished: &Unfinished,
    ) -> Self {
        Self { request: Some(Box::pin(request)), unfinished: unfinished.clone() }
    }
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(request) = self.request.as_mut() else { return Poll::Pending };
        let answer = request.as_mut().poll(context);
        if answer.is_ready() {
            self.request = None;
        }
        answer
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else { return };
        // Outside of a runtime there is nothing left that could finish it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let running = self.unfinished.begin();
            runtime.spawn(async move {
                request.await;
                drop(running);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_half_way_runs_on_and_is_waited_for() {
        let unfinished = Unfinished::default();
        let (go, gone) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel::<()>();
        let mut request = Finish::new(
            async move {
                gone.await.unwrap();
                tell.send(()).unwrap();
            },
            &unfinished,
        );
        assert!(futures::poll!(&mut request).is_pending());
        drop(request);
        assert!(futures::poll!(Box::pin(unfinished.done())).is_pending());
        go.send(()).unwrap();
        unfinished.done().await;
        told.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_answered_leaves_nothing_behind() {
        let unfinished = Unfinished::default();
        assert_eq!(Finish::new(async { 7 }, &unfinished).await, 7);
        unfinished.done().await;
    }
}
