//! A member as folded from its stream, up to a version.

use std::sync::Arc;

use codec::{REDUCER_FINGERPRINT, decode_event, decode_snapshot};
use domain::member::{CountedKind, follow};
use domain::{Event, Member, MemberId};
use store::{EventStore, Recorded, StreamId, Version};

use crate::error::EngineError;

#[derive(Debug, Clone)]
pub(crate) struct Folded {
    pub(crate) stream: StreamId,
    /// Of the last event folded in.
    pub(crate) version: Version,
    pub(crate) member: Arc<Member>,
    /// Of the snapshot that was read or handed out last.
    pub(crate) snapshot: Version,
}

/// Of the streams of members' ledgers.
pub(crate) const PREFIX: &str = "member:";

/// The stream of a member's ledger.
pub(crate) fn stream(member: &MemberId) -> Result<StreamId, EngineError> {
    StreamId::new(&format!("{PREFIX}{member}"))
        .map_err(|error| EngineError::Invalid(error.to_string()))
}

/// Everything, by way of the newest usable snapshot.
pub(crate) async fn load(store: &dyn EventStore, stream: StreamId) -> Result<Folded, EngineError> {
    let mut slice = store.read(&stream, 0, Some(REDUCER_FINGERPRINT)).await?;
    let mut folded = Folded::nothing(stream);
    if let Some(snapshot) = slice.snapshot {
        match decode_snapshot(&snapshot.body) {
            Ok(member) => {
                folded.member = Arc::new(member);
                (folded.version, folded.snapshot) = (snapshot.version, snapshot.version);
            }
            // A cache that cannot be read is no cache: the events are all there.
            Err(_) => slice.events = store.read(&folded.stream, 0, None).await?.events,
        }
    }
    folded.follow(&slice.events)?;
    Ok(folded)
}

impl Folded {
    /// Of a stream that nothing was read of.
    pub(crate) fn nothing(stream: StreamId) -> Self {
        Self { stream, version: 0, member: Arc::default(), snapshot: 0 }
    }

    /// Folds in what the store recorded behind this version.
    pub(crate) fn follow(&mut self, recorded: &[Recorded]) -> Result<(), EngineError> {
        for Recorded { version, body } in recorded {
            if *version != self.version + 1 {
                return Err(EngineError::Corrupt(format!(
                    "version {version} of a stream follows version {}",
                    self.version
                )));
            }
            // An erased event says no more than that it was there.
            if let Some(body) = body {
                self.fold(&decoded(*version, body)?);
            }
            self.version = *version;
        }
        Ok(())
    }

    /// Folds in what this engine appends.
    pub(crate) fn happened(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.fold(event));
        self.version += events.len() as Version;
    }

    fn fold(&mut self, event: &Event) {
        follow(Arc::make_mut(&mut self.member), event);
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let Member {
            devices,
            licenses,
            past,
            history,
            remembered,
            refusals,
            first_plays,
            exceptions,
            last_at: _,
            vacancies: _,
            lapsed_at: _,
            revoked_at: _,
        } = &*self.member;
        let counted = CountedKind::OF_TITLES.into_iter().map(|kind| history.entries(kind).len());
        let counted = counted.sum::<usize>() + history.devices().len() + history.tallies().len();
        let bytes = 512
            + 512 * devices.len()
            + 768 * (licenses.len() + past.len())
            + 512 * counted
            + 64 * first_plays.len()
            + 256 * exceptions.len()
            + 256 * remembered.len()
            + 2_048 * refusals.len();
        bytes as u64
    }
}

pub(crate) fn decoded(version: Version, body: &[u8]) -> Result<Event, EngineError> {
    decode_event(body).map_err(|error| EngineError::Corrupt(format!("version {version}: {error}")))
}

/// Of those that were not erased: an erased event says no more than that it was there.
pub(crate) fn events(
    recorded: &[Recorded],
) -> impl Iterator<Item = Result<(Version, Event), EngineError>> {
    recorded.iter().filter_map(|Recorded { version, body }| {
        Some(decoded(*version, body.as_deref()?).map(|event| (*version, event)))
    })
}
