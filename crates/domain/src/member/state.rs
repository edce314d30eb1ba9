//! A member as folded from its events: the compact history of what counted, and no counters.

use std::sync::Arc;

use litemap::LiteMap;

use crate::facts::{DeviceClass, Facts};
use crate::ids::{
    DeviceId, ExceptionId, IdempotencyKey, KeyThumbprint, LicenseId, RuleId, TitleId,
};
use crate::member::answer::Held;
use crate::member::command::{Allowance, Warrant};
use crate::member::event::Refused;
use crate::member::history::History;
use crate::member::ranges::Ranges;
use crate::member::term::RunningTerm;
use crate::time::{Duration, Timestamp};

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
    /// Nothing is acquired or renewed since.
    pub lapsed_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// What support allowed beyond the rules; over ones are forgotten.
    pub exceptions: LiteMap<ExceptionId, Exception>,
    /// When each title was first played offline, on any device, as far back as that is known.
    pub first_plays: LiteMap<TitleId, Timestamp>,
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
    /// Removed by revocation: the key does not come back.
    pub revoked: bool,
    /// It has more than a changed membership allows.
    pub notice: Option<Notice>,
}

impl Device {
    /// Whether it is registered: neither removed, nor has it left.
    pub fn registered(&self, at: Timestamp) -> bool {
        self.gone_since(at).is_none()
    }

    /// When it was removed, or left because its notice ran out.
    pub fn gone_since(&self, at: Timestamp) -> Option<Timestamp> {
        let left = self.notice.filter(|notice| notice.removes && notice.ends_at <= at);
        self.removed_at.or(left.map(|notice| notice.ends_at))
    }

    /// Until when it plays what it has, while it has notice.
    pub fn leaves_at(&self, at: Timestamp) -> Option<Timestamp> {
        self.notice.map(|notice| notice.ends_at).filter(|ends_at| at < *ends_at)
    }
}

/// The licenses of a device end at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    pub ends_at: Timestamp,
    /// Nor is the device registered any longer.
    pub removes: bool,
}

/// An allowance beyond a cap or gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    pub allowance: Allowance,
    pub warrant: Warrant,
    pub granted_at: Timestamp,
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
    /// What ends it before its clocks do.
    pub cuts: Cuts,
    /// How often content keys may have been given: by acquiring, re-issuing and renewing, less
    /// the DRM steps that failed. At 0 a release returns what the acquisition had counted.
    pub deliveries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    pub at: Timestamp,
    pub why: ClosedWhy,
    /// It goes on counting until its own device confirms, or can no longer play.
    pub waits: bool,
}

/// Ends that a change of the membership set, each lifted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cuts {
    /// Its device has notice.
    pub notice: Option<Timestamp>,
    /// The membership lapsed.
    pub lapse: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedWhy {
    Released,
    NeverStarted,
    /// This device acquired the title anew.
    Replaced,
    DeviceRemoved,
    Revoked,
    /// The title was withdrawn.
    Withdrawn,
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
    Held {
        license: LicenseId,
        term: u32,
        how: Held,
    },
    Released,
    DeviceRegistered,
    DeviceRemoved {
        closed: Vec<LicenseId>,
    },
    CheckedIn,
    PlaysRecorded {
        counted: u32,
    },
    DrmFailureRecorded,
    /// Licenses that were closed by it.
    Closed {
        closed: Vec<LicenseId>,
    },
    ExceptionGranted {
        exception: ExceptionId,
    },
    /// It changed something that the state tells.
    Done,
}

impl Member {
    /// Of whom nothing has happened, and so much will be remembered.
    pub fn remembering(horizon: Duration) -> Self {
        Self { history: History::of(horizon), ..Self::default() }
    }

    /// A license whatever became of it, as long as it is remembered.
    pub fn license(&self, id: &LicenseId) -> Option<&License> {
        self.licenses.get(id).or_else(|| self.past.get(id))
    }

    /// The license that this device has for the title, held or not: open, or closed from elsewhere
    /// and not confirmed.
    pub fn license_on(&self, device: &DeviceId, title: &TitleId) -> Option<(&LicenseId, &License)> {
        let on_device = |license: &License| license.title == *title && license.device == *device;
        let mut licenses = self.licenses.iter().filter(|(_, license)| on_device(license));
        let open = licenses.clone().find(|(_, license)| license.closed.is_none());
        open.or_else(|| licenses.find(|(_, license)| license.waits()))
    }

    /// How much exceptions raise a cap, or whether they open a gate: more than nothing.
    pub fn allowed(&self, rule: &RuleId, at: Timestamp) -> Option<u32> {
        let live = self.exceptions.values().map(|exception| &exception.allowance);
        let live = live.filter(|one| one.rule == *rule && at < one.until);
        live.map(|one| one.amount).reduce(u32::saturating_add)
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

    /// Whether active caps count it: open, or not known to be gone from its device, and the device
    /// could still be playing it.
    pub fn active(&self, at: Timestamp) -> bool {
        self.closed.is_none_or(|closed| closed.waits) && at < self.may_play_until()
    }

    /// Closed from elsewhere, and its own device has not confirmed.
    pub fn waits(&self) -> bool {
        self.closed.is_some_and(|closed| closed.waits)
    }

    /// Sets what ends the terms to what the cuts say. What has ended stays ended.
    pub(crate) fn cut(&mut self, at: Timestamp, cuts: Cuts) {
        let now = [cuts.notice, cuts.lapse].into_iter().flatten().min();
        for running in &mut self.terms {
            if running.cut_at.is_none_or(|cut_at| cut_at > at) {
                running.cut_at = now;
            }
        }
        self.cuts = cuts;
    }

    /// From when on the horizon is reckoned that it is forgotten beyond, once it is over.
    pub(crate) fn over_since(&self) -> Timestamp {
        self.closed.map_or_else(|| self.may_play_until(), |closed| closed.at)
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
