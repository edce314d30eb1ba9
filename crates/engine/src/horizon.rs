//! How far back the states of members remember, by what the store says of itself.
//!
//! The stream `horizon` has a body for each time that it was raised: the length, as a policy writes
//! it. It is never lowered, for policies that were published since may ask so far back. All events are
//! kept, so a state that remembers more is folded from them; a snapshot under another horizon is no
//! snapshot.

use std::sync::Arc;

use codec::{encode_snapshot, reducer_fingerprint};
use domain::Duration;
use domain::policy::{HORIZON, HORIZON_MAX};
use futures::executor::block_on;
use store::{AppendError, Cursor, EventStore, Recorded, Snapshot, StreamId};

use crate::engine::{ATTEMPTS_MAX, Options};
use crate::error::EngineError;
use crate::folded::{PREFIX, load};

const PAGE_EVENTS: usize = 1_024;

/// # Errors
/// When the store cannot be read.
pub async fn horizon(store: &dyn EventStore) -> Result<Duration, EngineError> {
    let raised = store.read(&stream()?, 0, None).await?.events;
    raised.last().map_or(Ok(HORIZON), length)
}

/// Makes a store remember more, and tells what it remembered before. Nobody else may have it open.
///
/// # Errors
/// When that would be less than before or too much, or is not known to be recorded.
pub fn raise_horizon(store: &dyn EventStore, to: Duration) -> Result<Duration, EngineError> {
    let before = block_on(horizon(store))?;
    if to > HORIZON_MAX {
        return Err(EngineError::Invalid(format!("at most {HORIZON_MAX} can be remembered")));
    }
    if to < before {
        return Err(EngineError::Invalid(format!(
            "{before} are remembered already, and policies may ask so far back: that is not lowered"
        )));
    }
    for _ in 0..ATTEMPTS_MAX {
        if block_on(horizon(store))? == to {
            return Ok(before);
        }
        let stream = stream()?;
        let times = block_on(store.read(&stream, 0, None))?.events.len() as u64;
        match block_on(store.append(&stream, times, vec![to.to_string().into_bytes()])) {
            Ok(_) | Err(AppendError::Conflict { .. } | AppendError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(EngineError::Unavailable("what is remembered was not recorded".to_owned()))
}

/// Folds every member from its events and keeps a snapshot where one is due, so that nobody has to
/// wait for that later. Nothing is lost when it is cut off. Tells `progress` how many members it has
/// folded, and returns how many there are.
///
/// # Errors
/// When the store cannot be read.
pub fn fold_anew(
    store: &Arc<dyn EventStore>,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, EngineError> {
    let horizon = block_on(horizon(&**store))?;
    let snapshot_every = Options::default().snapshot_every;
    let (mut cursor, mut members) = (Cursor::default(), 0);
    loop {
        let page = block_on(store.feed(&cursor, PAGE_EVENTS))?;
        if page.events.is_empty() {
            return Ok(members);
        }
        cursor = page.next;
        for event in page.events {
            // Every member once: where its first event stands.
            if event.recorded.version != 1 || !event.stream.as_str().starts_with(PREFIX) {
                continue;
            }
            let folded = block_on(load(&**store, event.stream, horizon))?;
            if folded.version - folded.snapshot >= snapshot_every {
                let (version, body) = (folded.version, encode_snapshot(&folded.member).into());
                let fingerprint = reducer_fingerprint(horizon);
                let snapshot = Snapshot { version, fingerprint, body };
                block_on(store.put_snapshot(&folded.stream, snapshot))?;
            }
            members += 1;
            progress(members);
        }
    }
}

fn length(recorded: &Recorded) -> Result<Duration, EngineError> {
    let text = String::from_utf8_lossy(recorded.body.as_deref().unwrap_or_default());
    let damaged = || {
        let version = recorded.version;
        EngineError::Corrupt(format!("horizon, version {version}: `{text}` is no length of time"))
    };
    text.parse().map_err(|_| damaged())
}

fn stream() -> Result<StreamId, EngineError> {
    StreamId::new("horizon").map_err(|error| EngineError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
