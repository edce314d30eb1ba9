//! An issuer's published keys: from a file or a URL, fetched again when a token names a key that is
//! not among them, and kept when fetching fails.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::http::HeaderName;
use drm::jwk::{JWK_SET_BYTES_MAX, JwkSet, JwkSetError};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::trace;

/// Tokens with made-up key ids shall not turn into requests to the identity provider.
const REFRESH_INTERVAL_MS_MIN: i64 = 10_000;

const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const REDIRECTS_MAX: u32 = 3;

/// Where the keys are published: an `https://` or `http://` URL, or the path of a file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum KeySource {
    Url(String),
    File(PathBuf),
    /// Handed in by the program itself, as the demo does.
    Fixed(JwkSet),
}

impl From<String> for KeySource {
    fn from(text: String) -> Self {
        match text.starts_with("https://") || text.starts_with("http://") {
            true => Self::Url(text),
            false => Self::File(text.into()),
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Fixed(_) => f.write_str("(built in)"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    #[error("cannot read the key set `{path}`: {cause}")]
    Io { path: PathBuf, cause: std::io::Error },
    #[error("cannot fetch the key set `{url}`: {cause}")]
    Fetch { url: String, cause: Box<ureq::Error> },
    #[error("the key set of `{origin}` cannot be used: {cause}")]
    Content { origin: String, cause: JwkSetError },
    #[error("fetching the key set of `{origin}` was cut short: the service is stopping")]
    Stopping { origin: String },
}

/// The keys as of one fetch.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub keys: JwkSet,
    /// Another number, other keys: what was verified with a key that is gone is verified anew.
    pub generation: u64,
}

#[derive(Debug)]
pub struct KeySet {
    source: KeySource,
    current: ArcSwap<Snapshot>,
    /// When it was last tried. Held while fetching, so that many waiters share one fetch.
    tried_at_ms: Mutex<Option<i64>>,
}

impl KeySet {
    /// Empty until the first [`refresh`](Self::refresh), except from a fixed source.
    pub fn new(source: KeySource) -> Self {
        let keys = match &source {
            KeySource::Fixed(keys) => keys.clone(),
            KeySource::Url(_) | KeySource::File(_) => JwkSet::default(),
        };
        let current = ArcSwap::from_pointee(Snapshot { keys, generation: 0 });
        Self { source, current, tried_at_ms: Mutex::new(None) }
    }

    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// Fetches now. On an error the keys stay what they were.
    pub async fn refresh(&self, now_ms: i64) -> Result<(), KeySetError> {
        let mut tried_at_ms = self.tried_at_ms.lock().await;
        *tried_at_ms = Some(now_ms);
        self.fetch_and_keep().await
    }

    /// Fetches unless that was tried a moment ago. Whether there may be other keys now.
    pub async fn refresh_for_unknown_key(&self, now_ms: i64) -> bool {
        let before = self.generation();
        let mut tried_at_ms = self.tried_at_ms.lock().await;
        if self.generation() != before {
            return true; // somebody else fetched while we waited
        }
        let is_too_soon = tried_at_ms
            .is_some_and(|at| (0..REFRESH_INTERVAL_MS_MIN).contains(&now_ms.saturating_sub(at)));
        if is_too_soon {
            return false;
        }
        *tried_at_ms = Some(now_ms);
        match self.fetch_and_keep().await {
            Ok(()) => self.generation() != before,
            Err(error) => {
                tracing::warn!(%error, "keeping the keys of the last good fetch");
                false
            }
        }
    }

    async fn fetch_and_keep(&self) -> Result<(), KeySetError> {
        let source = self.source.clone();
        let headers = trace::outgoing();
        let fetched = tokio::task::spawn_blocking(move || fetch(&source, headers)).await;
        let origin = || self.source.to_string();
        let keys = fetched.map_err(|_| KeySetError::Stopping { origin: origin() })??;
        let current = self.current.load();
        if current.keys != keys {
            let generation = current.generation + 1;
            self.current.store(Arc::new(Snapshot { keys, generation }));
        }
        Ok(())
    }
}

fn fetch(source: &KeySource, headers: Vec<(HeaderName, String)>) -> Result<JwkSet, KeySetError> {
    let text = match source {
        KeySource::Fixed(keys) => return Ok(keys.clone()),
        KeySource::File(path) => std::fs::read_to_string(path)
            .map_err(|cause| KeySetError::Io { path: path.clone(), cause })?,
        KeySource::Url(url) => get(url, headers)
            .map_err(|cause| KeySetError::Fetch { url: url.clone(), cause: Box::new(cause) })?,
    };
    JwkSet::parse(&text).map_err(|cause| KeySetError::Content { origin: source.to_string(), cause })
}

fn get(url: &str, headers: Vec<(HeaderName, String)>) -> Result<String, ureq::Error> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(FETCH_TIMEOUT))
        .max_redirects(REDIRECTS_MAX)
        // A redirect must not lead from https to a key set that anyone on the way can write.
        .https_only(url.starts_with("https://"))
        .build()
        .into();
    let request = headers
        .into_iter()
        .fold(agent.get(url), |request, (name, value)| request.header(name, value));
    let mut answer = request.call()?;
    answer.body_mut().with_config().limit(JWK_SET_BYTES_MAX as u64).read_to_string()
}

#[cfg(test)]
mod tests;
