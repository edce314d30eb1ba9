//! The playback context: what a device needs to play or to download one title.
//!
//! It does not know the member: what the ledger would say to a download is *eligibility*, asked
//! elsewhere. So streaming goes on when the ledger is down.

use domain::{Territory, Timestamp, TitleId};
use url::Url;

use crate::catalogue::{Catalogue, Image, KeyId, Title, Window};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    Stream,
    Download,
}

/// What a device gets. It names no content key, only key ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaybackContext<'c> {
    pub title: &'c Title,
    pub intent: Intent,
    pub images: Vec<ImageAsset>,
    /// At least one; DASH first.
    pub streams: Vec<Stream>,
    pub drm: Vec<LicenseServer<'c>>,
    /// By label, in the order of the catalogue.
    pub key_ids: &'c [(String, KeyId)],
    /// The window of this territory that holds the instant asked for.
    pub window: Window,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageAsset {
    pub role: ImageRole,
    pub url: String,
    pub width: u32,
    pub height: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageRole {
    Poster,
    Backdrop,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub protocol: Protocol,
    pub url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Dash,
    Hls,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenseServer<'d> {
    pub system: &'d DrmSystem,
    pub license_url: String,
}

/// In order of precedence: when several apply, the first is the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    UnknownTitle,
    /// The title is not available alike everywhere, and nobody said where the request comes from.
    TerritoryUnknown,
    NotInTerritory,
    /// Until this instant.
    NotYet {
        from: Timestamp,
    },
    /// Since this instant.
    NoLonger {
        until: Timestamp,
    },
    NotDownloadable,
}

/// Where media and licenses are served from: configuration, the same for every title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    media_base: Option<Url>,
    drm: Vec<DrmSystem>,
}

/// A DRM system that this deployment serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrmSystem {
    /// Our name of it (`clearkey`).
    pub name: String,
    /// The UUID that manifests and `pssh` boxes bear.
    pub system_id: String,
    /// What EME calls it (`org.w3.clearkey`).
    pub key_system: String,
    /// An absolute URL or an absolute path; `{title}` and `{intent}` in it are filled in.
    pub license_url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDelivery {
    #[error("media base URL `{url}`: {reason}; write one like `https://cdn.example.com/media/`")]
    MediaBase { url: String, reason: String },
    #[error("license URL `{url}` of DRM system `{system}`: {reason}")]
    LicenseUrl { system: String, url: String, reason: String },
    #[error("DRM system `{system}` is given twice; keep one")]
    Repeated { system: String },
}

impl Delivery {
    /// Without a base, relative URLs go to devices as written and mean the service's own origin.
    ///
    /// # Errors
    /// When a URL is not one, or a license URL has a placeholder that nobody fills in.
    pub fn new(media_base: Option<&str>, drm: Vec<DrmSystem>) -> Result<Self, InvalidDelivery> {
        let media_base = media_base.map(parse_media_base).transpose()?;
        for (index, system) in drm.iter().enumerate() {
            check_license_url(system)?;
            if drm.iter().take(index).any(|earlier| earlier.name == system.name) {
                return Err(InvalidDelivery::Repeated { system: system.name.clone() });
            }
        }
        Ok(Self { media_base, drm })
    }

    /// A URL of the catalogue as a device can use it (RFC 3986, section 5).
    pub fn media_url(&self, written: &str) -> String {
        let Some(base) = &self.media_base else { return written.to_owned() };
        // The catalogue has only URLs that parse; one that does not is passed on, not lost.
        base.join(written).map_or_else(|_| written.to_owned(), String::from)
    }

    fn image(&self, role: ImageRole, image: &Image) -> ImageAsset {
        let Image { url, width, height } = image;
        ImageAsset { role, url: self.media_url(url), width: *width, height: *height }
    }

    /// The images of a title, the poster first.
    pub fn images(&self, title: &Title) -> Vec<ImageAsset> {
        let poster = title.images.poster.as_ref().map(|image| (ImageRole::Poster, image));
        let backdrop = title.images.backdrop.as_ref().map(|image| (ImageRole::Backdrop, image));
        poster.into_iter().chain(backdrop).map(|(role, image)| self.image(role, image)).collect()
    }

    fn streams(&self, title: &Title) -> Vec<Stream> {
        let dash = title.manifests.dash.as_ref().map(|url| (Protocol::Dash, url));
        let hls = title.manifests.hls.as_ref().map(|url| (Protocol::Hls, url));
        let streams = dash.into_iter().chain(hls);
        streams.map(|(protocol, url)| Stream { protocol, url: self.media_url(url) }).collect()
    }
}

/// What to play `id` with, as seen from `territory` at the instant `at`.
///
/// # Errors
/// When the title cannot be had there and then: an answer for the member, not a fault.
pub fn playback_context<'c>(
    catalogue: &'c Catalogue,
    delivery: &'c Delivery,
    id: &TitleId,
    territory: Option<&Territory>,
    intent: Intent,
    at: Timestamp,
) -> Result<PlaybackContext<'c>, Unavailable> {
    let title = catalogue.title(id).ok_or(Unavailable::UnknownTitle)?;
    let window = title.window_at(territory, at)?;
    if intent == Intent::Download && !title.downloadable {
        return Err(Unavailable::NotDownloadable);
    }
    let drm = delivery.drm.iter().map(|system| LicenseServer {
        system,
        license_url: fill_in(&system.license_url, id, intent),
    });
    Ok(PlaybackContext {
        title,
        intent,
        images: delivery.images(title),
        streams: delivery.streams(title),
        drm: drm.collect(),
        key_ids: &title.key_ids,
        window,
    })
}

impl Title {
    /// The window that holds `at`, for the context and for the dates that a decision freezes.
    ///
    /// # Errors
    /// When there is none: not here, not yet, or no longer.
    pub fn window_at(
        &self,
        territory: Option<&Territory>,
        at: Timestamp,
    ) -> Result<Window, Unavailable> {
        if territory.is_none() && self.differs_by_territory() {
            return Err(Unavailable::TerritoryUnknown);
        }
        let windows = self.windows(territory);
        if let Some(window) = windows.iter().find(|window| window.contains(at)) {
            return Ok(*window);
        }
        // A title that comes back is announced rather than mourned.
        if let Some(from) = windows.iter().filter_map(|window| window.from).find(|from| at < *from)
        {
            return Err(Unavailable::NotYet { from });
        }
        let ended = windows.iter().filter_map(|window| window.until).max();
        Err(ended.map_or(Unavailable::NotInTerritory, |until| Unavailable::NoLonger { until }))
    }
}

impl Intent {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Download => "download",
        }
    }
}

impl ImageRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Poster => "poster",
            Self::Backdrop => "backdrop",
        }
    }
}

impl Protocol {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dash => "dash",
            Self::Hls => "hls",
        }
    }
}

fn parse_media_base(text: &str) -> Result<Url, InvalidDelivery> {
    let invalid = |reason: &str| InvalidDelivery::MediaBase {
        url: text.to_owned(),
        reason: reason.to_owned(),
    };
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(invalid("only `https` and `http` go"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a user name or password would go to every device"));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.path().ends_with('/') {
        // Without the slash, joining would silently drop the last segment.
        return Err(invalid("a base ends with `/`"));
    }
    Ok(url)
}

fn check_license_url(system: &DrmSystem) -> Result<(), InvalidDelivery> {
    let url = &system.license_url;
    let invalid = |reason: &str| {
        Err(InvalidDelivery::LicenseUrl {
            system: system.name.clone(),
            url: url.clone(),
            reason: reason.to_owned(),
        })
    };
    let filled = url.replace("{title}", "title").replace("{intent}", "intent");
    if filled.contains(['{', '}']) {
        return invalid("only `{title}` and `{intent}` are filled in");
    }
    if filled.starts_with('/') && !filled.starts_with("//") {
        return Ok(());
    }
    match Url::parse(&filled) {
        Ok(parsed) if matches!(parsed.scheme(), "https" | "http") => Ok(()),
        _ => invalid("write a path that begins with `/`, or an `https` or `http` URL"),
    }
}

fn fill_in(template: &str, id: &TitleId, intent: Intent) -> String {
    template.replace("{intent}", intent.as_str()).replace("{title}", &percent_encoded(id.as_str()))
}

/// Everything but the unreserved characters of RFC 3986, so that it fits a path and a query alike.
fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if unreserved(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
