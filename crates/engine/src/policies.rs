//! The policies that were published, and which of them is in effect.
//!
//! A policy's text is stored under its version before any event cites it: in the stream
//! `policy:<version>`, cut into bodies where it is long. The stream `policies` lists the versions
//! in the order in which they were published, one body each: the version's own text. So a
//! restart, and every other node on the store, knows what is to come into effect later.

use std::sync::Arc;

use arc_swap::ArcSwap;
use codec::policy::texts::Texts;
use codec::policy::{Loaded, parse_source};
use domain::{Policy, PolicyVersion, Timestamp};
use store::{AppendError, EVENT_BYTES_MAX, EventStore, Recorded, StreamId};
use tokio::sync::Mutex;

use crate::engine::ATTEMPTS_MAX;
use crate::error::EngineError;
use crate::horizon::horizon;

#[derive(Debug)]
pub struct Policies {
    store: Arc<dyn EventStore>,
    published: ArcSwap<Vec<Published>>,
    /// One at a time, or an older list could come last.
    refreshing: Mutex<()>,
}

/// Oldest first in a list.
#[derive(Debug, Clone)]
enum Published {
    Usable(Arc<Policy>, Arc<Texts>),
    /// Its text is not one that this program understands.
    Unusable {
        version: String,
        why: String,
    },
}

impl Policies {
    /// What was published on this store, and `first` as the last word if it is not that already.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn open(store: Arc<dyn EventStore>, first: Loaded) -> Result<Self, EngineError> {
        let policies = Self { store, published: ArcSwap::default(), refreshing: Mutex::default() };
        policies.refresh().await?;
        if policies.newest_is_not(&first.policy.version) {
            policies.publish(first).await?;
        }
        Ok(policies)
    }

    /// Stores the policy and makes it the last word: in effect from its `effective_from` on, or
    /// at once. An earlier version may be published again.
    ///
    /// # Errors
    /// When it could not be stored; then nothing has changed, or [`Self::refresh`] will tell.
    pub async fn publish(&self, Loaded { policy, source, .. }: Loaded) -> Result<(), EngineError> {
        let (reach, horizon) = (policy.reach(), horizon(&*self.store).await?);
        if reach > horizon {
            return Err(EngineError::Invalid(format!(
                "a window of the policy is {reach}, and members' states remember {horizon}; raise that \
                 with the service stopped: `carnet store raise-horizon DIR {reach}`"
            )));
        }
        self.store_source(&policy.version, &source).await?;
        let list = index()?;
        let body = policy.version.as_str().as_bytes().to_vec();
        for _ in 0..ATTEMPTS_MAX {
            let listed = self.store.read(&list, 0, None).await?.events;
            match self.store.append(&list, listed.len() as u64, vec![body.clone()]).await {
                Ok(_) => return self.refresh().await,
                // Listed twice in a row is listed once, so asking again does no harm.
                Err(AppendError::Conflict { .. } | AppendError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::Unavailable("the list of policies is contended".to_owned()))
    }

    /// Learns what other nodes have published.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn refresh(&self) -> Result<(), EngineError> {
        let _alone = self.refreshing.lock().await;
        let listed = self.store.read(&index()?, 0, None).await?.events;
        let known = self.published.load_full();
        let mut published: Vec<Published> = Vec::with_capacity(listed.len());
        for Recorded { body, .. } in &listed {
            let version = String::from_utf8_lossy(body.as_deref().unwrap_or_default());
            let before = known.iter().chain(&published).find(|one| one.version() == version);
            let one = match before {
                Some(known) => known.clone(),
                None => self.read(&version).await?,
            };
            published.push(one);
        }
        self.published.store(Arc::new(published));
        Ok(())
    }

    /// The policy published last among those that have come into effect.
    ///
    /// # Errors
    /// When there is none, or it is one that this program cannot read.
    pub fn in_effect(&self, at: Timestamp) -> Result<Arc<Policy>, EngineError> {
        self.last_word(at, |policy, _| Arc::clone(policy))
    }

    /// What the policy in effect says to members in its own words; nothing, when there is none.
    pub fn texts(&self, at: Timestamp) -> Arc<Texts> {
        self.last_word(at, |_, texts| Arc::clone(texts)).unwrap_or_default()
    }

    fn last_word<T>(
        &self,
        at: Timestamp,
        take: impl FnOnce(&Arc<Policy>, &Arc<Texts>) -> T,
    ) -> Result<T, EngineError> {
        for published in self.published.load().iter().rev() {
            match published {
                Published::Usable(policy, texts) if policy.effective_from <= at => {
                    return Ok(take(policy, texts));
                }
                Published::Usable(..) => {}
                Published::Unusable { version, why } => {
                    return Err(EngineError::Corrupt(format!(
                        "policy `{version}` cannot be used ({why}); publish it again"
                    )));
                }
            }
        }
        Err(EngineError::NoPolicy { at })
    }

    /// Every version that was ever published or cited, oldest first, each once; with its policy
    /// where this program understands the text.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn versions(&self) -> Result<Vec<(String, Option<Arc<Policy>>)>, EngineError> {
        self.refresh().await?;
        let listed = self.store.read(&index()?, 0, None).await?.events;
        let mut versions: Vec<(String, Option<Arc<Policy>>)> = Vec::new();
        for (Recorded { body, .. }, published) in listed.iter().zip(&**self.published.load()) {
            let version = String::from_utf8_lossy(body.as_deref().unwrap_or_default());
            let policy = match published {
                Published::Usable(policy, _) => Some(policy),
                Published::Unusable { .. } => None,
            };
            // Under other time-zone data the same text is cited as another version.
            let cited = policy.map(|policy| policy.version.as_str());
            for version in [Some(&*version), cited].into_iter().flatten() {
                if versions.iter().all(|(known, _)| known != version) {
                    versions.push((version.to_owned(), policy.cloned()));
                }
            }
        }
        Ok(versions)
    }

    /// The text of a version that was ever published.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn source(&self, version: &PolicyVersion) -> Result<Option<String>, EngineError> {
        let bodies = self.store.read(&stream(version.as_str())?, 0, None).await?.events;
        if bodies.is_empty() {
            return Ok(None);
        }
        let bytes: Vec<u8> = bodies
            .iter()
            .flat_map(|recorded| recorded.body.as_deref().unwrap_or_default())
            .copied()
            .collect();
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|error| EngineError::Corrupt(format!("policy `{version}`: {error}")))
    }

    async fn read(&self, version: &str) -> Result<Published, EngineError> {
        let unusable = |why: String| Published::Unusable { version: version.to_owned(), why };
        let Ok(known) = PolicyVersion::new(version) else {
            return Ok(unusable("that is not a version".to_owned()));
        };
        let Some(source) = self.source(&known).await? else {
            return Ok(unusable("its text is not stored".to_owned()));
        };
        match parse_source(&source) {
            Err(errors) => Ok(unusable(errors.to_string())),
            Ok(Loaded { policy, source, texts, .. }) => {
                // With other time-zone data or another evaluation the same text is another
                // version, and decisions will cite that one.
                if policy.version != known {
                    self.store_source(&policy.version, &source).await?;
                }
                Ok(Published::Usable(Arc::new(policy), Arc::new(texts)))
            }
        }
    }

    /// Stored already is stored: the version is the hash of the text.
    async fn store_source(&self, version: &PolicyVersion, source: &str) -> Result<(), EngineError> {
        let stream = stream(version.as_str())?;
        for _ in 0..ATTEMPTS_MAX {
            let bodies = source.as_bytes().chunks(EVENT_BYTES_MAX).map(<[u8]>::to_vec).collect();
            match self.store.append(&stream, 0, bodies).await {
                Ok(_) | Err(AppendError::Conflict { .. }) => return Ok(()),
                Err(AppendError::Unknown(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(EngineError::Unavailable(format!("the text of policy `{version}` was not stored")))
    }

    fn newest_is_not(&self, version: &PolicyVersion) -> bool {
        self.published.load().last().is_none_or(|newest| newest.version() != version.as_str())
    }
}

impl Published {
    fn version(&self) -> &str {
        match self {
            Self::Usable(policy, _) => policy.version.as_str(),
            Self::Unusable { version, .. } => version,
        }
    }
}

fn index() -> Result<StreamId, EngineError> {
    stream_id("policies")
}

fn stream(version: &str) -> Result<StreamId, EngineError> {
    stream_id(&format!("policy:{version}"))
}

fn stream_id(id: &str) -> Result<StreamId, EngineError> {
    StreamId::new(id).map_err(|error| EngineError::Invalid(error.to_string()))
}

#[cfg(test)]
mod tests;
