//! Titles, the playback context and eligibility.

use playback::{Catalogue, Delivery, ImageRole, PlaybackContext, Protocol, Title as DomainTitle};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use crate::wire::refusal::{CapState, Refusal};
use crate::wire::scalar::{Instant, License, Partner, Series, TagName, Title as TitleRef};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Title {
    pub id: TitleRef,
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
    pub partner: Partner,
    pub tags: Vec<TagName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub year: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maturity: Option<String>,
    pub runtime_seconds: u32,
    pub downloadable: bool,
    pub images: Images,
}

#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub(crate) struct Images {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poster: Option<Image>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backdrop: Option<Image>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Image {
    pub url: String,
    pub width: u32,
    pub height: u32,
}

impl Title {
    pub(crate) fn new(title: &DomainTitle, delivery: &Delivery) -> Self {
        let mut images = Images::default();
        for asset in delivery.images(title) {
            let image = Image { url: asset.url, width: asset.width, height: asset.height };
            match asset.role {
                ImageRole::Poster => images.poster = Some(image),
                ImageRole::Backdrop => images.backdrop = Some(image),
            }
        }
        Self {
            id: (&title.id).into(),
            name: title.name.clone(),
            description: title.description.clone(),
            series: title.series.as_ref().map(Series::from),
            partner: (&title.partner).into(),
            tags: title.tags.iter().map(TagName::from).collect(),
            year: title.year,
            maturity: title.maturity.clone(),
            runtime_seconds: title.runtime_seconds,
            downloadable: title.downloadable,
            images,
        }
    }
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CatalogueEntry {
    #[serde(flatten)]
    pub title: Title,
    /// Whether it may be watched here and now.
    pub available: bool,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct CatalogueAnswer {
    pub titles: Vec<CatalogueEntry>,
}

impl CatalogueAnswer {
    pub(crate) fn new(
        catalogue: &Catalogue,
        delivery: &Delivery,
        available: impl Fn(&DomainTitle) -> bool,
    ) -> Self {
        let entry = |title: &DomainTitle| CatalogueEntry {
            title: Title::new(title, delivery),
            available: available(title),
        };
        Self { titles: catalogue.titles().map(entry).collect() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Intent {
    Stream,
    Download,
}

impl From<Intent> for playback::Intent {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Stream => Self::Stream,
            Intent::Download => Self::Download,
        }
    }
}

/// What a device needs to play or to download a title.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlaybackContextAnswer {
    pub title: Title,
    pub intent: Intent,
    pub streams: Streams,
    /// Hexadecimal, by label: `video`, `audio`.
    pub key_ids: BTreeMap<String, String>,
    pub drm: Vec<DrmSystem>,
    pub availability: Availability,
    /// For a temporary license; only with `intent=stream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
}

#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Streams {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hls: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DrmSystem {
    /// What EME calls it.
    pub system: String,
    pub system_id: String,
    pub license_url: String,
}

/// Half-open; without a bound no end in that direction.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}

impl PlaybackContextAnswer {
    pub(crate) fn new(
        context: PlaybackContext<'_>,
        intent: Intent,
        delivery: &Delivery,
        grant: Option<String>,
    ) -> Self {
        let mut streams = Streams::default();
        for stream in context.streams {
            match stream.protocol {
                Protocol::Dash => streams.dash = Some(stream.url),
                Protocol::Hls => streams.hls = Some(stream.url),
            }
        }
        let drm = context.drm.into_iter().map(|server| DrmSystem {
            system: server.system.key_system.clone(),
            system_id: server.system.system_id.clone(),
            license_url: server.license_url,
        });
        let key_ids = context.key_ids.iter();
        Self {
            title: Title::new(context.title, delivery),
            intent,
            streams,
            key_ids: key_ids.map(|(label, kid)| (label.clone(), kid.to_string())).collect(),
            drm: drm.collect(),
            availability: Availability {
                from: context.window.from.map(Instant),
                until: context.window.until.map(Instant),
            },
            grant,
        }
    }
}

/// Whether a download would be allowed now. Nothing of it is recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EligibilityAnswer {
    pub allowed: bool,
    pub at: Instant,
    /// The device holds the title already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holding: Option<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    pub caps: Vec<CapState>,
    pub terms: Terms,
    /// The end that acquiring now would promise, were the title not played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_end_at: Option<Instant>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Held {
    pub license: License,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Instant>,
}

/// What acquiring now would promise.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Terms {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_within_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_within_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_in_within_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewals_max: Option<u32>,
}

impl Terms {
    pub(crate) fn new(term: &domain::member::Term) -> Self {
        let ms = domain::Duration::as_millis;
        Self {
            start_within_ms: term.start_by.map(|by| ms(by.since(term.started_at))),
            finish_within_ms: term.finish_within.map(ms),
            check_in_within_ms: term.check_in_within.map(ms),
            grace_ms: Some(ms(term.grace)),
            not_before: term.not_before.map(Instant),
            hard_end: term.hard_end.map(Instant),
            renewals_max: term.renewals_max,
        }
    }
}
