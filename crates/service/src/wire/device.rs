//! Devices, their check-ins and the session events that they report.

use domain::member::Device as DomainDevice;
use domain::{DeviceClass, DeviceId, Timestamp};
use drm::jwk::Jwk;
use engine::viewing::SessionEvent as DomainSessionEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::refusal::CapState;
use crate::wire::scalar::{Device, Instant, License, Title};

/// What kind of device it is; caps and gates may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Class {
    Phone,
    Tablet,
    Tv,
    Desktop,
    Web,
}

impl From<Class> for DeviceClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Phone => Self::Phone,
            Class::Tablet => Self::Tablet,
            Class::Tv => Self::Tv,
            Class::Desktop => Self::Desktop,
            Class::Web => Self::Web,
        }
    }
}

impl From<DeviceClass> for Class {
    fn from(class: DeviceClass) -> Self {
        match class {
            DeviceClass::Phone => Self::Phone,
            DeviceClass::Tablet => Self::Tablet,
            DeviceClass::Tv => Self::Tv,
            DeviceClass::Desktop => Self::Desktop,
            DeviceClass::Web => Self::Web,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterBody {
    pub device: Device,
    /// What its owner calls it, in at most 100 characters.
    pub name: String,
    pub class: Class,
    /// Its public key: a JWK for Ed25519 or ES256. The request is proven with it.
    #[schema(value_type = Object)]
    pub jwk: Jwk,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Device)]
pub(crate) struct DeviceEntry {
    pub device: Device,
    pub name: String,
    pub class: Class,
    pub registered_at: Instant,
    pub last_seen_at: Instant,
    /// When it was removed, or left because its notice had run out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Instant>,
    /// It was revoked: its key does not come back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// The membership has no room for it any more: until then it plays what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaves_at: Option<Instant>,
    /// How many licenses it holds.
    pub licenses: usize,
    /// The device that asks, by its proof.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub this: bool,
}

impl DeviceEntry {
    /// As it is at an instant, of which `licenses` are counted too.
    pub(crate) fn new(
        id: &DeviceId,
        device: &DomainDevice,
        (licenses, at): (usize, Timestamp),
        this: bool,
    ) -> Self {
        Self {
            device: id.into(),
            name: device.name.clone(),
            class: device.class.into(),
            registered_at: device.registered_at.into(),
            last_seen_at: device.last_seen_at.into(),
            removed_at: device.gone_since(at).map(Instant),
            revoked: device.revoked,
            leaves_at: device.leaves_at(at).map(Instant),
            licenses,
            this,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisteredAnswer {
    pub device: DeviceEntry,
    /// What is left of each cap.
    pub caps: Vec<CapState>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DevicesAnswer {
    pub devices: Vec<DeviceEntry>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedAnswer {
    pub device: Device,
    /// The licenses that were closed.
    pub closed: Vec<License>,
    /// What is left of each cap.
    pub caps: Vec<CapState>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckInBody {
    #[schema(max_items = 1000)]
    pub holdings: Vec<Holding>,
}

/// One license that the device says it holds.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Holding {
    pub license: License,
    /// Whether the device ever started playing under its current lease.
    pub started: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckInAnswer {
    pub at: Instant,
    /// What the device holds, signed again.
    pub leases: Vec<LeaseEntry>,
    /// Ended or closed: the device drops them.
    pub ended: Vec<License>,
    /// Lapsed for want of a check-in, and they do not fit the caps now.
    pub lapsed: Vec<License>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeaseEntry {
    pub license: License,
    /// Compact JWS.
    pub lease: String,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionEventsBody {
    /// Now, by the device's own clock: what the server's time is compared with.
    pub sent_at: Instant,
    #[schema(max_items = 500)]
    pub events: Vec<SessionEvent>,
}

/// What the device saw during playback.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionEvent {
    /// Of the device, from 1: what is reported again bears the same number.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// The playback session, by the device's word.
    pub session: String,
    pub title: Title,
    /// The offline license it was played under; absent when streaming.
    pub license: Option<License>,
    /// The term whose lease it was played under.
    pub term: Option<u32>,
    #[serde(rename = "type")]
    pub kind: SessionEventKind,
    /// By the device's own clock, right or wrong.
    pub device_at: Instant,
    /// How far the server's time was ahead of that clock by what the device knew when it happened: the
    /// time as last heard, going on from there and never back. Negative when that clock was ahead.
    /// Without it the clock is corrected by what it is at the upload, which is wrong when it was set
    /// in between.
    pub clock_offset_ms: Option<i64>,
    /// How far that clock stood below the highest time it had seen.
    pub clock_behind_ms: Option<u64>,
    pub position_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SessionEventKind {
    Start,
    Pause,
    Resume,
    KeepAlive,
    Stop,
}

impl From<SessionEventKind> for DomainSessionEvent {
    fn from(kind: SessionEventKind) -> Self {
        match kind {
            SessionEventKind::Start => Self::Start,
            SessionEventKind::Pause => Self::Pause,
            SessionEventKind::Resume => Self::Resume,
            SessionEventKind::KeepAlive => Self::KeepAlive,
            SessionEventKind::Stop => Self::Stop,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionEventsAnswer {
    /// Told for the first time.
    pub accepted: usize,
    /// Told before; nothing counts twice.
    pub repeated: usize,
    /// Plays under licenses or terms that this device never had.
    pub unknown: u32,
    /// The highest number of this device so far.
    pub highest: u64,
}
