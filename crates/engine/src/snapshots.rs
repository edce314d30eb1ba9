//! Snapshots that are due, on their way to the store beside the requests.

use std::sync::Arc;

use codec::{encode_snapshot, reducer_fingerprint};
use domain::Member;
use store::{EventStore, Snapshot, StreamId, Version};
use tokio::sync::{Mutex, mpsc};

use crate::folded::Folded;

/// Past that a snapshot is left out, for it falls due again with the member's next event.
const WAITING_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Snapshots {
    due: mpsc::Sender<Due>,
    waiting: Mutex<mpsc::Receiver<Due>>,
}

#[derive(Debug)]
struct Due {
    stream: StreamId,
    version: Version,
    member: Arc<Member>,
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        let (due, waiting) = mpsc::channel(WAITING_MAX);
        Self { due, waiting: Mutex::new(waiting) }
    }

    /// Does not wait.
    pub(crate) fn offer(&self, folded: &mut Folded) {
        let due = Due {
            stream: folded.stream.clone(),
            version: folded.version,
            member: Arc::clone(&folded.member),
        };
        if self.due.try_send(due).is_ok() {
            folded.snapshot = folded.version;
        }
    }

    pub(crate) async fn keep(&self, store: &dyn EventStore) {
        let mut waiting = self.waiting.lock().await;
        while let Some(Due { stream, version, member }) = waiting.recv().await {
            let fingerprint = reducer_fingerprint(member.history.horizon());
            let body = encode_snapshot(&member).into();
            drop(member);
            let snapshot = Snapshot { version, fingerprint, body };
            // A snapshot that is not kept is no loss, and the store has said why in its log.
            let _ = store.put_snapshot(&stream, snapshot).await;
        }
    }
}
