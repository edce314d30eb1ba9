//! A license as clients see it: its status, its clocks, and what came of asking for it.

use std::borrow::Cow;

use domain::member::{Clock, ClosedWhy, Event, EventBody, Held, License as DomainLicense};
use domain::{LicenseId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::path;
use crate::texts;
use crate::wire::refusal::CapState;
use crate::wire::scalar::{Device, Instant, License as LicenseRef, Title};

/// A license and its clocks. The names of the states are those of the Readium status document.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct License {
    pub id: LicenseRef,
    pub status: Status,
    /// In plain words, for the member.
    pub message: Cow<'static, str>,
    pub updated: Updated,
    pub title: Title,
    pub device: Device,
    /// The number of the current term, from 1.
    pub term: u32,
    /// The end from what is known; absent when nothing ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Instant>,
    /// The clock that governs `ends_at`.
    pub clock: Option<&'static str>,
    pub clocks: Clocks,
    /// The latest end that the device could still be inside while offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub may_play_until: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_played_at: Option<Instant>,
    pub renewals: Renewals,
    pub links: Vec<Link>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// Held, and never played.
    Ready,
    /// Held, and played.
    Active,
    /// Released.
    Returned,
    /// Its device was removed.
    Revoked,
    /// Never started in time.
    Cancelled,
    /// Past its end, or replaced by downloading anew.
    Expired,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct Updated {
    /// When the current term began.
    pub license: Instant,
    /// When the status last changed.
    pub status: Instant,
}

/// Those that run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Clocks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Instant>,
    /// The first play begins before this. Over once it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_by: Option<Instant>,
    /// Known once it was played.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_by: Option<Instant>,
    /// From the first play to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_within_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_in_by: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hard_end: Option<Instant>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Renewals {
    pub used: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    pub renew_from: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_until: Option<Instant>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Link {
    pub rel: &'static str,
    pub href: String,
    #[serde(rename = "type")]
    pub media_type: &'static str,
}

/// A license with what happened to it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct StatusDocument {
    #[serde(flatten)]
    pub license: License,
    /// What happened to it, oldest first: that it was acquired, what of the member's last 1,024
    /// events is about it, and that its title was withdrawn.
    pub events: Vec<LicenseEvent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LicenseEvent {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub timestamp: Instant,
    /// The device that it concerns.
    pub id: Device,
}

impl License {
    pub(crate) fn new(id: &LicenseId, license: &DomainLicense, at: Timestamp) -> Self {
        let running = license.term();
        let term = &running.term;
        let end = running.end();
        Self {
            id: id.into(),
            status: Status::of(license, at),
            message: texts::status(license, at),
            updated: Updated {
                license: term.started_at.into(),
                status: status_since(license, at).into(),
            },
            title: (&license.title).into(),
            device: (&license.device).into(),
            term: term.number,
            ends_at: end.map(|(at, _)| at.into()),
            clock: end.map(|(_, clock)| Clock::name(clock)),
            clocks: Clocks {
                not_before: term.not_before.map(Instant),
                start_by: term.start_by.filter(|_| running.first_play.is_none()).map(Instant),
                finish_by: running
                    .first_play
                    .zip(term.finish_within)
                    .map(|(first, within)| Instant(first + within)),
                finish_within_ms: term.finish_within.map(domain::Duration::as_millis),
                check_in_by: running.check_in_by.map(Instant),
                hard_end: running.hard_end().map(Instant),
            },
            may_play_until: Instant::unless_never(license.may_play_until()),
            first_played_at: running.first_play.map(Instant),
            renewals: Renewals {
                used: license.renewals(),
                max: term.renewals_max,
                renew_from: running.renew_from().into(),
                renew_until: Instant::unless_never(running.renew_until()),
            },
            links: links(id, license.closed.is_none()),
        }
    }
}

fn links(id: &LicenseId, open: bool) -> Vec<Link> {
    let own = path::encoded(id.as_str());
    let link = |rel, below: &str| Link {
        rel,
        href: ["/v1/licenses/", &own, below].concat(),
        media_type: "application/json",
    };
    let mut links = Vec::with_capacity(3);
    if open {
        links.push(link("renew", "/renew"));
        links.push(link("return", "/release"));
    }
    links.push(link("self", ""));
    links
}

impl Status {
    pub(crate) fn of(license: &DomainLicense, at: Timestamp) -> Self {
        match license.closed.map(|closed| closed.why) {
            Some(ClosedWhy::Released) => Self::Returned,
            Some(ClosedWhy::NeverStarted) => Self::Cancelled,
            Some(ClosedWhy::DeviceRemoved | ClosedWhy::Revoked | ClosedWhy::Withdrawn) => {
                Self::Revoked
            }
            Some(ClosedWhy::Replaced) => Self::Expired,
            None if !license.held(at) => Self::Expired,
            None if license.term().first_play.is_some() => Self::Active,
            None => Self::Ready,
        }
    }
}

fn status_since(license: &DomainLicense, at: Timestamp) -> Timestamp {
    let running = license.term();
    match license.closed {
        Some(closed) => closed.at,
        None if !license.held(at) => running.ends_at(),
        None => running.first_play.unwrap_or(running.term.started_at),
    }
}

/// That it was acquired, what of these events of the member is about it since, and that its title
/// was withdrawn.
pub(crate) fn license_events(
    id: &LicenseId,
    license: &DomainLicense,
    events: &[Event],
) -> Vec<LicenseEvent> {
    let kind = |body: &EventBody| match body {
        EventBody::Acquired(acquired) if acquired.replaces.as_ref() == Some(id) => Some("cancel"),
        EventBody::Reissued { license, .. } if license == id => Some("reissue"),
        EventBody::Renewed(renewed) if renewed.license == *id => Some("renew"),
        EventBody::Released { license, .. } if license == id => Some("return"),
        EventBody::NeverStarted { license } if license == id => Some("cancel"),
        EventBody::Revoked { target, .. } if target.is_of(id, &license.device) => Some("revoke"),
        EventBody::DeviceRemoved { device, .. } if *device == license.device => Some("revoke"),
        EventBody::PlaysRecorded { plays, .. } if plays.iter().any(|p| p.license == *id) => {
            Some("play")
        }
        EventBody::DrmFailed { license, .. } if license == id => Some("drm_failed"),
        _ => None,
    };
    // A device that was removed and came back is no news of what had been closed before.
    let closed_at = license.closed.map_or(Timestamp::MAX, |closed| closed.at);
    let own =
        events.iter().filter(|event| event.at >= license.acquired_at && event.at <= closed_at);
    let registered = LicenseEvent {
        kind: "register",
        timestamp: license.acquired_at.into(),
        id: (&license.device).into(),
    };
    // By what is seen: that can be before it is recorded.
    let withdrawn = license.closed.filter(|closed| closed.why == ClosedWhy::Withdrawn);
    let withdrawn = withdrawn.map(|closed| LicenseEvent {
        kind: "revoke",
        timestamp: closed.at.into(),
        id: (&license.device).into(),
    });
    let since = own.filter_map(|event| {
        let device = match &event.body {
            EventBody::Released { by: Some(by), .. } => by,
            _ => &license.device,
        };
        let kind = kind(&event.body)?;
        Some(LicenseEvent { kind, timestamp: event.at.into(), id: device.into() })
    });
    std::iter::once(registered).chain(since).chain(withdrawn).collect()
}

/// A key-system request, as the CDM made it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Challenge {
    /// What EME calls it: `org.w3.clearkey`.
    pub system: String,
    /// The raw request in base64.
    pub body: String,
}

/// A key-system answer, for the CDM.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DrmLicense {
    pub system: String,
    /// The raw license in base64.
    pub body: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(crate) struct DecisionSummary {
    /// `acquired`, `reissued` or `renewed`.
    pub outcome: &'static str,
    /// This answers a retry: decided before, counted once.
    pub repeated: bool,
    pub at: Instant,
}

pub(crate) fn how(held: Held) -> &'static str {
    match held {
        Held::Acquired => "acquired",
        Held::Reissued => "reissued",
        Held::Renewed => "renewed",
    }
}

/// The answer to acquiring and to renewing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldAnswer<'a> {
    pub decision: DecisionSummary,
    pub license: License,
    /// What is left of each cap, now that this is counted.
    pub caps: Vec<CapState>,
    /// Signed (compact JWS); only while the license is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// For the DRM endpoint, when no challenge came along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// When a challenge came along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drm: Option<DrmLicense>,
    /// The DRM step failed. The license is held all the same: ask again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drm_error: Option<crate::problem::ProblemDocument<'a>>,
}
