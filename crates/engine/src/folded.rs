//! A member as folded from its stream, up to a version.

use std::sync::Arc;

use codec::{REDUCER_FINGERPRINT, decode_event, decode_snapshot};
use domain::member::CountedKind;
use domain::{Event, Member, MemberId, evolve};
use store::{EventStore, Recorded, StreamId, Version};

use crate::error::EngineError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// Of the last event folded in.
    pub(crate) version: Version,
    pub(crate) member: Arc<Member>,
    /// Of the snapshot that was read or handed out last.
    pub(crate) snapshot: Version,
}

/// The stream of a member's ledger.
pub(crate) fn stream(member: &MemberId) -> Result<StreamId, EngineError> {
    StreamId::new(&format!("member:{member}"))
        .map_err(|error| EngineError::Invalid(error.to_string()))
}

/// Everything, by way of the newest usable snapshot.
pub(crate) async fn load(store: &dyn EventStore, stream: &StreamId) -> Result<Folded, EngineError> {
    let slice = store.read(stream, 0, Some(REDUCER_FINGERPRINT)).await?;
    let mut folded = match slice.snapshot {
        None => Folded::default(),
        Some(snapshot) => match decode_snapshot(&snapshot.body) {
            Ok(member) => Folded {
                version: snapshot.version,
                member: Arc::new(member),
                snapshot: snapshot.version,
            },
            // A cache that cannot be read is no cache: the events are all there.
            Err(_) => {
                let mut folded = Folded::default();
                folded.follow(&store.read(stream, 0, None).await?.events)?;
                return Ok(folded);
            }
        },
    };
    folded.follow(&slice.events)?;
    Ok(folded)
}

impl Folded {
    /// Folds in what the store recorded behind this version.
    pub(crate) fn follow(&mut self, recorded: &[Recorded]) -> Result<(), EngineError> {
        let mut member = Arc::unwrap_or_clone(std::mem::take(&mut self.member));
        for Recorded { version, body } in recorded {
            if *version != self.version + 1 {
                return Err(EngineError::Corrupt(format!(
                    "version {version} of a stream follows version {}",
                    self.version
                )));
            }
            // An erased event says no more than that it was there.
            if let Some(body) = body {
                member = evolve(member, &decoded(*version, body)?);
            }
            self.version = *version;
        }
        self.member = Arc::new(member);
        Ok(())
    }

    /// Folds in what this engine appended.
    pub(crate) fn happened(&mut self, events: &[Event]) {
        let member = Arc::unwrap_or_clone(std::mem::take(&mut self.member));
        self.member = Arc::new(events.iter().fold(member, evolve));
        self.version += events.len() as Version;
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
