//! A member as folded from its events: the compact history of what counted, and no counters.

use std::sync::Arc;

use litemap::LiteMap;

use crate::facts::{DeviceClass, Facts};
use crate::ids::{DeviceId, IdempotencyKey, KeyThumbprint, LicenseId, TitleId};
use crate::member::answer::Held;
use crate::member::event::Refused;
use crate::member::history::History;
use crate::member::ranges::Ranges;
use crate::member::term::RunningTerm;
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// Of the last event; a decision never goes back behind it.
    pub last_at: Timestamp,
    pub devices: LiteMap<DeviceId, Device>,
    /// Licenses that count or could count again: held, still playable offline, or lapsed for want
    /// of a check-in.
    pub licenses: LiteMap<LicenseId, License>,
    /// Closed or over for good; kept for late reports and for renewal after the end.
    pub past: LiteMap<LicenseId, License>,
    pub history: History,
    /// When each title was first played offline, on any device, as far back as that is known.
    pub first_plays: BTreeMap<TitleId, Timestamp>,
    /// Places of removed devices that no registration has taken since.
    pub vacancies: u32,
    /// Accepted requests by their idempotency key, for [`super::IDEMPOTENCY_KEPT`].
    pub remembered: LiteMap<IdempotencyKey, Remembered>,
    /// Refusals of the last [`super::REFUSALS_KEPT`], oldest first.
    pub refusals: Vec<(Timestamp, Arc<Refused>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub class: DeviceClass,
    pub key: KeyThumbprint,
    pub name: String,
    pub registered_at: Timestamp,
    /// Removed: holds nothing, may still upload and release, and the same key may come back.
    pub removed_at: Option<Timestamp>,
    pub last_seen_at: Timestamp,
    /// Sequence numbers of session events that were reported; survive a removal.
    pub reported: Ranges,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    pub device: DeviceId,
    pub title: TitleId,
    /// Of the latest term.
    pub facts: Arc<Facts>,
    pub acquired_at: Timestamp,
    /// All terms, oldest first; never empty.
    pub terms: Vec<RunningTerm>,
    pub closed: Option<Closed>,
    /// How often content keys may have been given: by acquiring, re-issuing and renewing, less
    /// the DRM steps that failed. At 0 a release returns what the acquisition had counted.
    pub deliveries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    pub at: Timestamp,
    pub why: ClosedWhy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedWhy {
    Released,
    NeverStarted,
    /// This device acquired the title anew.
    Replaced,
    DeviceRemoved,
}

/// An accepted request, as much of it as a retry has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub at: Timestamp,
    pub body_digest: [u8; 32],
    /// What the commands did, by their position; a command that changed nothing has no entry.
    pub effects: Vec<(u16, Effect)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Held { license: LicenseId, term: u32, how: Held },
    Released,
    DeviceRegistered,
    DeviceRemoved { closed: Vec<LicenseId> },
    CheckedIn,
    PlaysRecorded { counted: u32 },
    DrmFailureRecorded,
}

impl Member {
    /// A license whatever became of it, as long as it is remembered.
    pub fn license(&self, id: &LicenseId) -> Option<&License> {
        self.licenses.get(id).or_else(|| self.past.get(id))
    }

    /// The open license that this device has for the title, held or not.
    pub fn license_on(&self, device: &DeviceId, title: &TitleId) -> Option<(&LicenseId, &License)> {
        self.licenses.iter().find(|(_, license)| {
            license.closed.is_none() && license.device == *device && license.title == *title
        })
    }
}

impl License {
    /// The running term: the latest. `terms` is never empty.
    #[expect(clippy::expect_used, reason = "INVARIANT: a license is made with its first term")]
    pub fn term(&self) -> &RunningTerm {
        self.terms.last().expect("a license has a term")
    }

    /// The end from what is known, of the latest term.
    pub fn ends_at(&self) -> Timestamp {
        self.term().ends_at()
    }

    /// The latest end that an offline device could still be inside: over all leases' terms, for
    /// the device may never have heard of the newest one.
    pub fn may_play_until(&self) -> Timestamp {
        self.terms.iter().map(RunningTerm::may_play_until).max().unwrap_or(Timestamp::MIN)
    }

    /// Whether the device holds it: open, and before its end.
    pub fn held(&self, at: Timestamp) -> bool {
        self.closed.is_none() && at < self.ends_at()
    }

    /// Whether active caps count it: open, and a device could still be playing it.
    pub fn active(&self, at: Timestamp) -> bool {
        self.closed.is_none() && at < self.may_play_until()
    }

    /// Whether nothing but a renewal can bring it back: even a check-in could not.
    pub fn over_for_good(&self, at: Timestamp) -> bool {
        let without_check_in = |running: &RunningTerm| {
            RunningTerm { check_in_by: None, ..running.clone() }.may_play_until()
        };
        !self.active(at) && at >= without_check_in(self.term())
    }

    pub fn renewals(&self) -> u32 {
        self.term().term.number.saturating_sub(1)
    }
}
