//! Policy and catalogue follow their files while the service runs. What is wrong is told once,
//! and the last good version stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use drm::content_keys::ContentKeys;
use drm::key_id::KeyId;
use playback::{Catalogue, Title};
use service::AppState;
use tokio::signal::unix::Signal;

use crate::plan::{CatalogueSource, PolicySource};

const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Changes when a file is written, added or removed.
type Fingerprint = Vec<(PathBuf, u64, Option<SystemTime>)>;

pub(crate) struct Watched {
    path: Option<PathBuf>,
    loaded: Fingerprint,
    last_seen: Fingerprint,
}

impl Watched {
    /// To be made before the files are loaded: what changes from then on is a change.
    pub(crate) fn new(path: Option<&Path>) -> Self {
        let path = path.map(Path::to_owned);
        let now = path.as_deref().map(fingerprint).unwrap_or_default();
        Self { path, loaded: now.clone(), last_seen: now }
    }

    /// Changed since it was loaded, and not being written at this moment: half a catalogue can be
    /// a valid one, so a change has to look the same twice.
    fn has_settled_anew(&mut self) -> bool {
        let Some(path) = &self.path else { return false };
        let seen = fingerprint(path);
        let settled = seen == self.last_seen && seen != self.loaded;
        if settled {
            self.loaded.clone_from(&seen);
        }
        self.last_seen = seen;
        settled
    }
}

fn fingerprint(path: &Path) -> Fingerprint {
    let mut files = vec![path.to_owned()];
    if let Ok(entries) = fs::read_dir(path) {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    files
        .into_iter()
        .filter_map(|file| {
            let metadata = fs::metadata(&file).ok()?;
            Some((file, metadata.len(), metadata.modified().ok()))
        })
        .collect()
}

/// Runs until it is dropped. A `hang_up` loads both at once, changed or not.
pub(crate) async fn follow(
    state: Arc<AppState>,
    (policy, mut watched_policy): (PolicySource, Watched),
    (catalogue, mut watched_catalogue): (CatalogueSource, Watched),
    mut hang_up: Signal,
) {
    loop {
        let asked = tokio::select! {
            _ = hang_up.recv() => true,
            () = tokio::time::sleep(POLL_INTERVAL) => false,
        };
        if watched_policy.has_settled_anew() || asked {
            reload_policy(&state, &policy).await;
        }
        if watched_catalogue.has_settled_anew() || asked {
            reload_catalogue(&state, &catalogue);
        }
    }
}

async fn reload_policy(state: &AppState, source: &PolicySource) {
    let loaded = match source.load(state.engine.horizon()) {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::error!("policy not reloaded, the last good version stays: {error:#}");
            return;
        }
    };
    let version = loaded.policy.version.clone();
    let effective_from = loaded.policy.effective_from;
    match state.policies.publish(loaded).await {
        Ok(()) => tracing::info!(%version, ?effective_from, "policy loaded"),
        Err(error) => {
            tracing::error!("policy not published, the last good version stays: {error:#}");
        }
    }
}

fn reload_catalogue(state: &AppState, source: &CatalogueSource) {
    match source.load() {
        Ok(catalogue) => {
            let titles = catalogue.len();
            tell_of_missing_keys(&catalogue, &state.content_keys);
            state.catalogue.store(Arc::new(catalogue));
            tracing::info!(titles, "catalogue loaded");
        }
        Err(error) => {
            tracing::error!("catalogue not reloaded, the last good one stays: {error:#}");
        }
    }
}

/// A title without its content keys is listed and downloaded, and does not play. Where there are none
/// at all `/readyz` says so.
pub(crate) fn tell_of_missing_keys(catalogue: &Catalogue, keys: &ContentKeys) {
    let lacks =
        |title: &&Title| title.key_ids.iter().any(|(_, kid)| !keys.contains(KeyId::new(kid.0)));
    let lacking: Vec<&Title> = catalogue.titles().filter(lacks).collect();
    if let Some(first) = lacking.first().filter(|_| !keys.is_empty()) {
        let (titles, first) = (lacking.len(), &first.id);
        tracing::warn!(titles, %first, "titles do not play: their content keys are not sealed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("policy.toml");
        fs::write(&file, "a").unwrap();
        let mut watched = Watched::new(Some(directory.path()));
        assert!(!watched.has_settled_anew());
        fs::write(&file, "ab").unwrap();
        assert!(!watched.has_settled_anew(), "seen once, perhaps still being written");
        assert!(watched.has_settled_anew());
        assert!(!watched.has_settled_anew(), "told once");
        fs::write(directory.path().join("another.toml"), "").unwrap();
        assert!(!watched.has_settled_anew());
        fs::remove_file(&file).unwrap();
        assert!(!watched.has_settled_anew(), "it changed again meanwhile");
        assert!(watched.has_settled_anew());
        assert!(!Watched::new(None).has_settled_anew());
    }
}
