//! The configuration file of `carnet serve`, as typed. [`load`] turns it into a [`Plan`].

use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use codec::toml_file::{self, ReadError, Unfit};
use drm::content_keys::{ContentKeys, MasterKey};
use drm::signing_keys::SigningKeys;
use playback::Delivery;
use serde::Deserialize;
use service::auth::jwks::KeySource;
use service::auth::proof::ProofMode;
use service::auth::service_credential::ApiKeyConfig;
use service::auth::token::IssuerConfig;

use crate::limits::Limits;
use crate::plan::{CatalogueSource, Plan, PolicySource, check_media, clear_key};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `iss` of leases and grants, and the name that clients know this service by.
    issuer: String,
    listen: SocketAddr,
    /// The origin as clients see it, when a proxy stands in front.
    public_url: Option<String>,
    /// Where the ledger and the viewing log are kept.
    data: PathBuf,
    policy: PathBuf,
    catalogue: PathBuf,
    media: Option<Media>,
    signing_keys: PathBuf,
    content_keys: PathBuf,
    #[serde(default)]
    proofs: ProofMode,
    #[serde(default)]
    cors_origins: Vec<String>,
    issuers: Vec<IssuerConfig>,
    #[serde(default)]
    api_keys: Vec<ApiKeyConfig>,
    #[serde(default)]
    engine: Engine,
    #[serde(default)]
    limits: Limits,
}

/// Where manifests and images are, if not where the catalogue's own URLs say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Media {
    BaseUrl(String),
    Directory(PathBuf),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Engine {
    cached_bytes_max: Option<u64>,
    in_flight_max: Option<usize>,
}

pub(crate) fn load(path: &Path) -> anyhow::Result<Plan> {
    let file = parse(path)?;
    let base = path.parent().unwrap_or(Path::new(""));
    MasterKey::from_environment()
        .map_err(anyhow::Error::from)
        .and_then(|master| plan(file, base, &master))
        .with_context(|| format!("configuration `{}`", path.display()))
}

fn parse(path: &Path) -> anyhow::Result<File> {
    let text = text(path)?;
    toml_file::check(&text).map_err(|Unfit { line, message }| {
        anyhow!("`{}`, line {line}: {message}", path.display())
    })?;
    toml::from_str(&text).map_err(|error| {
        let (line, key) = place(&text, error.span());
        anyhow!("`{}`, line {line}{key}: {}", path.display(), error.message())
    })
}

fn text(path: &Path) -> anyhow::Result<String> {
    let name = path.display();
    toml_file::read(path).map_err(|error| {
        let told = error.to_string();
        match error {
            ReadError::Unreadable(error) => anyhow::Error::from(error).context(format!(
                "cannot read the configuration `{name}` (docs/operations.md has an example)"
            )),
            ReadError::TooLarge => {
                anyhow!("`{name}` {told}, as no configuration has; check the path")
            }
            ReadError::NotUtf8(line) => anyhow!("`{name}`, line {line}: {told}"),
        }
    })
}

/// The line, from 1, and the key that it gives a value. The value is not quoted: somebody may have
/// pasted an API key where its hash belongs.
fn place(text: &str, span: Option<Range<usize>>) -> (usize, String) {
    let before = span.and_then(|span| text.get(..span.start)).unwrap_or_default();
    let index = before.bytes().filter(|byte| *byte == b'\n').count();
    let line = text.lines().nth(index).unwrap_or_default();
    let key = line.split_once('=').map(|(key, _)| format!(", `{}`", key.trim()));
    (index + 1, key.unwrap_or_default())
}

fn plan(file: File, base: &Path, master: &MasterKey) -> anyhow::Result<Plan> {
    let (media_base, media) = match file.media {
        None => (None, None),
        Some(Media::BaseUrl(url)) => (Some(url), None),
        Some(Media::Directory(directory)) => (None, Some(base.join(directory))),
    };
    let data = base.join(file.data);
    let (signing_keys, content_keys) = (base.join(file.signing_keys), base.join(file.content_keys));
    if let Some(directory) = &media {
        let kept_apart = [&*data, &*signing_keys, &*content_keys];
        check_media(directory, &kept_apart).context("`media.directory`")?;
    }
    let mut settings = service::Settings::new(&file.issuer);
    settings.public_url = file.public_url;
    settings.proofs = file.proofs;
    settings.cors_origins = file.cors_origins;
    settings.media = media;
    file.limits.apply(&mut settings);
    let mut engine = engine::Options::default();
    engine.cached_bytes_max = file.engine.cached_bytes_max.unwrap_or(engine.cached_bytes_max);
    engine.in_flight_max = file.engine.in_flight_max.unwrap_or(engine.in_flight_max);
    let mut issuers = file.issuers;
    ensure!(!issuers.is_empty(), "`issuers` is empty: name the issuer of your members' tokens");
    for issuer in &mut issuers {
        if let KeySource::File(path) = &mut issuer.keys {
            *path = base.join(&path);
        }
    }
    Ok(Plan {
        listen: file.listen,
        data,
        policy: PolicySource::Directory(base.join(file.policy)),
        catalogue: CatalogueSource::File(base.join(file.catalogue)),
        delivery: Delivery::new(media_base.as_deref(), vec![clear_key()])?,
        signing_keys: SigningKeys::load(&signing_keys)?,
        content_keys: ContentKeys::load(&content_keys, master)?,
        issuers,
        api_keys: file.api_keys,
        settings,
        engine,
        limits: file.limits,
        demo: None,
    })
}

#[cfg(test)]
mod tests;
