//! The demo: sample titles, sample rules, two members and keys of its own, all on this machine.
//!
//! What it makes lies in one directory. Nothing here is reachable from `carnet serve`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use drm::content_keys::{ContentKeys, MasterKey, seal, write_sealed};
use drm::signing_keys::SigningKeys;
use playback::Delivery;
use rust_embed::RustEmbed;
use service::DemoIdp;

use crate::arguments::Demo;
use crate::limits::Limits;
use crate::plan::{CatalogueSource, Plan, PolicySource, check_media, clear_key};

/// `iss` of the demo's leases. Not an address: a browser keeps its downloads when the port changes.
const ISSUER: &str = "urn:carnet:demo";

/// The catalogue, and the plain content keys of the films, which are nobody's secret.
#[derive(RustEmbed)]
#[folder = "../../demo/"]
struct Samples;

/// One of the examples of policies.
#[derive(RustEmbed)]
#[folder = "../../policies/examples/demo/"]
#[include = "*.toml"]
#[exclude = "*.scenario.toml"]
struct SamplePolicy;

/// The sample films. Everything here is served.
#[derive(RustEmbed)]
#[folder = "../../media/"]
#[include = "art/*"]
#[include = "*/*.m4s"]
#[include = "*/*.mp4"]
#[include = "*/*.mpd"]
#[include = "*/*.m3u8"]
struct Media;

const CONTENT_KEYS: &str = "content-keys.json";

pub(crate) fn plan(typed: Demo) -> anyhow::Result<Plan> {
    let data = typed.data_dir;
    fs::create_dir_all(&data).with_context(|| format!("cannot make `{}`", data.display()))?;
    let signing_keys = SigningKeys::load_or_create(&data.join("keys/signing"))?;
    let identity = DemoIdp::new(SigningKeys::load_or_create(&data.join("keys/identity"))?);
    let mut settings = service::Settings::new(ISSUER);
    // Nobody but the person who stops it would have to hear of it.
    let limits = Limits { unready_seconds: 0, ..Limits::default() };
    limits.apply(&mut settings);
    settings.media = Some(match typed.media {
        Some(directory) => {
            check_media(&directory, &[&data]).context("`--media`")?;
            directory
        }
        None => unpack_media(&data.join("media"))?,
    });
    Ok(Plan {
        listen: typed.listen,
        policy: match typed.policy {
            Some(directory) => PolicySource::Directory(directory),
            None => PolicySource::BuiltIn(sample_policy()?),
        },
        catalogue: match typed.catalogue {
            Some(file) => CatalogueSource::File(file),
            None => CatalogueSource::BuiltIn(sample("catalogue.jsonl")?.into_bytes().into()),
        },
        delivery: Delivery::new(None, vec![clear_key()])?,
        signing_keys,
        content_keys: content_keys(&data.join("keys"))?,
        issuers: vec![identity.issuer()],
        api_keys: vec![],
        settings,
        engine: engine::Options::default(),
        limits,
        demo: Some(identity),
        data,
    })
}

pub(crate) fn announce(address: SocketAddr, data: &Path) {
    say!(
        "
player: http://{address}/
api documentation: http://{address}/docs/
operator token: curl -X POST http://{address}/demo/operator-token
service token: curl -X POST http://{address}/demo/service-token

Members: ana (premium) and ben (standard, with ads).
Everything is kept in `{}`; remove it to start anew. Stop with Ctrl-C.
",
        data.display()
    );
}

fn sample(name: &str) -> anyhow::Result<String> {
    let file = Samples::get(name).with_context(|| format!("the sample `{name}` is missing"))?;
    String::from_utf8(file.data.into_owned()).with_context(|| format!("the sample `{name}`"))
}

fn sample_policy() -> anyhow::Result<Vec<(String, String)>> {
    let text = |name: std::borrow::Cow<'_, str>| {
        let file = SamplePolicy::get(&name).context("the sample policy is missing")?;
        Ok((name.into_owned(), String::from_utf8(file.data.into_owned())?))
    };
    SamplePolicy::iter().map(text).collect()
}

/// Sealed anew at each start, because another release may bring other films.
fn content_keys(directory: &Path) -> anyhow::Result<ContentKeys> {
    let master = MasterKey::parse(&master_key(&directory.join("master.key"))?)?;
    let path = directory.join(CONTENT_KEYS);
    let sealed = seal(&sample(CONTENT_KEYS)?, &master)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => write_sealed(&path, &sealed),
    }
    .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(ContentKeys::load(&path, &master)?)
}

/// Made at the first start, readable by its owner only.
fn master_key(path: &Path) -> anyhow::Result<String> {
    let wrote = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(
        |mut file| {
            let key = MasterKey::generate().map_err(io::Error::other)?;
            file.write_all(key.as_bytes())?;
            file.sync_all()
        },
    );
    match wrote {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        wrote => wrote.with_context(|| format!("cannot write `{}`", path.display()))?,
    }
    fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// The films lie beside the store as files, because players ask for parts of files.
fn unpack_media(directory: &Path) -> anyhow::Result<PathBuf> {
    for name in Media::iter() {
        let path = directory.join(name.as_ref());
        let Some(file) = Media::get(&name) else { continue };
        if fs::read(&path).is_ok_and(|there| there == *file.data) {
            continue;
        }
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, &file.data))
            .with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(directory.to_owned())
}
