//! What to run, whoever asked for it: a configuration file or the demo. It knows neither.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{anyhow, ensure};
use codec::policy::Loaded;
use domain::Duration;
use drm::content_keys::ContentKeys;
use drm::signing_keys::SigningKeys;
use playback::{Catalogue, Delivery, DrmSystem};
use service::auth::service_credential::ApiKeyConfig;
use service::auth::token::IssuerConfig;

use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) listen: SocketAddr,
    /// The ledger and the viewing log lie below.
    pub(crate) data: PathBuf,
    pub(crate) policy: PolicySource,
    pub(crate) catalogue: CatalogueSource,
    pub(crate) delivery: Delivery,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) content_keys: ContentKeys,
    pub(crate) issuers: Vec<IssuerConfig>,
    pub(crate) api_keys: Vec<ApiKeyConfig>,
    pub(crate) settings: service::Settings,
    pub(crate) engine: engine::Options,
    pub(crate) limits: Limits,
    pub(crate) demo: Option<service::DemoIdp>,
}

#[derive(Debug, Clone)]
pub(crate) enum PolicySource {
    Directory(PathBuf),
    BuiltIn(Vec<(String, String)>),
}

#[derive(Debug, Clone)]
pub(crate) enum CatalogueSource {
    File(PathBuf),
    BuiltIn(Cow<'static, [u8]>),
}

impl PolicySource {
    /// What to watch for changes.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Directory(path) => Some(path),
            Self::BuiltIn(_) => None,
        }
    }

    /// For a store that remembers so much.
    pub(crate) fn load(&self, horizon: Duration) -> anyhow::Result<Loaded> {
        let loaded = match self {
            Self::Directory(directory) => codec::policy::load_dir_within(directory, horizon),
            Self::BuiltIn(files) => {
                let files: Vec<_> =
                    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
                codec::policy::parse_within(&files, horizon)
            }
        };
        loaded.map_err(|errors| anyhow!("the policy is not usable:\n{errors}"))
    }
}

impl CatalogueSource {
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::BuiltIn(_) => None,
        }
    }

    pub(crate) fn load(&self) -> anyhow::Result<Catalogue> {
        let loaded = match self {
            Self::File(file) => Catalogue::load(file),
            Self::BuiltIn(text) => Catalogue::read("the built-in catalogue", text.as_ref()),
        };
        loaded.map_err(|errors| anyhow!("the catalogue is not usable:\n{errors}"))
    }
}

/// Everything in the directory of media is served to everybody.
pub(crate) fn check_media(directory: &Path, kept_apart: &[&Path]) -> anyhow::Result<()> {
    ensure!(directory.is_dir(), "`{}` is no directory", directory.display());
    // What does not exist yet has no other name than its own.
    let place = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    let media = place(directory)?;
    for path in kept_apart {
        ensure!(
            !place(path)?.starts_with(&media),
            "everything in `{}` is served, and `{}` lies there: keep them apart",
            directory.display(),
            path.display()
        );
    }
    Ok(())
}

/// The one DRM system of this version.
pub(crate) fn clear_key() -> DrmSystem {
    DrmSystem {
        name: "clearkey".to_owned(),
        system_id: "e2719d58-a985-b3c9-781a-b030af78d30e".to_owned(),
        key_system: "org.w3.clearkey".to_owned(),
        license_url: "/v1/drm/clear-key".to_owned(),
    }
}
