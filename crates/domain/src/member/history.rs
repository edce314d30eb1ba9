//! What counted, as it happened: the events that caps ask about, oldest first.
//!
//! A long one has an index by title, series and partner, because nearly every cap asks for one of
//! them and the rest of the history should cost it nothing. Beyond the horizon only numbers are kept,
//! for caps that never reset.

use std::collections::BTreeMap;
use std::slice;
use std::sync::Arc;

use litemap::LiteMap;

use crate::facts::{DeviceClass, Facts};
use crate::ids::{DeviceId, LicenseId, PartnerId, ProfileId, SeriesId, Tag, TitleId};
use crate::policy::HORIZON;
use crate::time::{Duration, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum CountedKind {
    Acquired,
    Renewed,
    /// The play that started the finish clock of a term.
    FirstPlayed,
    Played,
    DeviceRegistered,
    /// A registration that takes the place of a device removed before: each removal makes room
    /// for one.
    DeviceSwapped,
    DeviceRemoved,
}

impl CountedKind {
    pub const ALL: [Self; 7] = [
        Self::Acquired,
        Self::Renewed,
        Self::FirstPlayed,
        Self::Played,
        Self::DeviceRegistered,
        Self::DeviceSwapped,
        Self::DeviceRemoved,
    ];
    /// What happens to titles.
    pub const OF_TITLES: [Self; 4] =
        [Self::Acquired, Self::Renewed, Self::FirstPlayed, Self::Played];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquired => "acquisitions",
            Self::Renewed => "renewals",
            Self::FirstPlayed => "first_plays",
            Self::Played => "plays",
            Self::DeviceRegistered => "device_registrations",
            Self::DeviceSwapped => "device_swaps",
            Self::DeviceRemoved => "device_removals",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn is_of_devices(self) -> bool {
        !Self::OF_TITLES.contains(&self)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub at: Timestamp,
    pub license: LicenseId,
    pub title: TitleId,
    pub device: DeviceId,
    pub facts: Arc<Facts>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCounted {
    pub kind: CountedKind,
    pub at: Timestamp,
    pub device: DeviceId,
    pub class: DeviceClass,
    pub profile: Option<ProfileId>,
}

/// What is left of an event beyond the horizon: that it happened, and all that a cap could match
/// on but the time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tallied {
    pub kind: CountedKind,
    pub device: DeviceId,
    pub class: DeviceClass,
    pub profile: Option<ProfileId>,
    /// `None` of devices.
    pub title: Option<TalliedTitle>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TalliedTitle {
    pub title: TitleId,
    pub partner: PartnerId,
    pub series: Option<SeriesId>,
    pub tags: Arc<[Tag]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// What is older is a number.
    horizon: Duration,
    acquired: Log,
    renewed: Log,
    first_played: Log,
    played: Log,
    /// Devices that came and went, oldest first.
    devices: Vec<DeviceCounted>,
    tallies: BTreeMap<Tallied, u32>,
}

/// Up to so many entries of a kind are looked through: that is cheaper than an index to keep.
const UNINDEXED_MAX: usize = 32;

/// Entries of one kind in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Log {
    entries: Vec<Counted>,
    /// Of more than [`UNINDEXED_MAX`] entries.
    index: Option<Box<Index>>,
}

/// Where the entries of a title, series or partner are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Index {
    by_title: LiteMap<TitleId, Vec<u32>>,
    by_series: LiteMap<SeriesId, Vec<u32>>,
    by_partner: LiteMap<PartnerId, Vec<u32>>,
}

/// Which entries to look at; a superset of what a cap counts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Among<'a> {
    All,
    Title(&'a TitleId),
    Series(&'a SeriesId),
    Partner(&'a PartnerId),
}

impl Default for History {
    fn default() -> Self {
        Self::of(HORIZON)
    }
}

impl History {
    /// Of nothing yet.
    pub fn of(horizon: Duration) -> Self {
        Self {
            horizon,
            acquired: Log::default(),
            renewed: Log::default(),
            first_played: Log::default(),
            played: Log::default(),
            devices: Vec::new(),
            tallies: BTreeMap::new(),
        }
    }

    pub fn horizon(&self) -> Duration {
        self.horizon
    }

    /// As it was, from all that it consists of.
    pub fn restored(
        horizon: Duration,
        counted: impl IntoIterator<Item = (CountedKind, Counted)>,
        devices: Vec<DeviceCounted>,
        tallies: BTreeMap<Tallied, u32>,
    ) -> Self {
        let mut history = Self { devices, tallies, ..Self::of(horizon) };
        for (kind, counted) in counted {
            if let Some(log) = history.log_mut(kind) {
                log.push(counted);
            }
        }
        history
    }

    pub fn entries(&self, kind: CountedKind) -> &[Counted] {
        self.log(kind).map(|log| log.entries.as_slice()).unwrap_or_default()
    }

    pub fn devices(&self) -> &[DeviceCounted] {
        &self.devices
    }

    /// How often what happened beyond the horizon.
    pub fn tallies(&self) -> &BTreeMap<Tallied, u32> {
        &self.tallies
    }

    /// Entries of one kind, also late ones: a play is reported weeks after it happened.
    pub(crate) fn push(&mut self, kind: CountedKind, counted: Vec<Counted>) {
        let horizon = self.horizon;
        let Some(log) = self.log_mut(kind) else { return };
        log.insert(counted);
        for forgotten in log.forget(horizon) {
            let title = TalliedTitle {
                title: forgotten.title,
                partner: forgotten.facts.title.partner.clone(),
                series: forgotten.facts.title.series.clone(),
                tags: Arc::clone(&forgotten.facts.title.tags),
            };
            self.tally(Tallied {
                kind,
                device: forgotten.device,
                class: forgotten.facts.class,
                profile: forgotten.facts.member.profile.clone(),
                title: Some(title),
            });
        }
    }

    /// Must come in the order of time.
    pub(crate) fn push_device(&mut self, counted: DeviceCounted) {
        let horizon = counted.at - self.horizon;
        let old = self.devices.partition_point(|counted| counted.at <= horizon);
        for DeviceCounted { kind, at: _, device, class, profile } in
            self.devices.drain(..old).collect::<Vec<_>>()
        {
            self.tally(Tallied { kind, device, class, profile, title: None });
        }
        self.devices.push(counted);
    }

    fn tally(&mut self, tallied: Tallied) {
        let count = self.tallies.entry(tallied).or_default();
        *count = count.saturating_add(1);
    }

    /// Takes back what an acquisition had counted.
    pub(crate) fn return_acquisition(&mut self, license: &LicenseId) {
        self.acquired.retain(|counted| counted.license != *license);
    }

    /// A first play turns out to have been earlier.
    pub(crate) fn take_back_first_play(&mut self, license: &LicenseId, at: Timestamp) {
        self.first_played.retain(|counted| counted.license != *license || counted.at != at);
    }

    /// None of devices, which are few and in a list of their own.
    pub(crate) fn log(&self, kind: CountedKind) -> Option<&Log> {
        match kind {
            CountedKind::Acquired => Some(&self.acquired),
            CountedKind::Renewed => Some(&self.renewed),
            CountedKind::FirstPlayed => Some(&self.first_played),
            CountedKind::Played => Some(&self.played),
            _ => None,
        }
    }

    fn log_mut(&mut self, kind: CountedKind) -> Option<&mut Log> {
        match kind {
            CountedKind::Acquired => Some(&mut self.acquired),
            CountedKind::Renewed => Some(&mut self.renewed),
            CountedKind::FirstPlayed => Some(&mut self.first_played),
            CountedKind::Played => Some(&mut self.played),
            _ => None,
        }
    }
}

impl Among<'_> {
    fn has(self, counted: &Counted) -> bool {
        match self {
            Self::All => true,
            Self::Title(title) => counted.title == *title,
            Self::Series(series) => counted.facts.title.series.as_ref() == Some(series),
            Self::Partner(partner) => counted.facts.title.partner == *partner,
        }
    }
}

impl Index {
    fn of(entries: &[Counted]) -> Self {
        let mut index = Self::default();
        (0..).zip(entries).for_each(|(position, counted)| index.push(position, counted));
        index
    }

    fn push(&mut self, position: usize, counted: &Counted) {
        // 2^32 downloads of one member do not fit a year.
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        self.by_title.entry(counted.title.clone()).or_default().push(position);
        let title = &counted.facts.title;
        if let Some(series) = &title.series {
            self.by_series.entry(series.clone()).or_default().push(position);
        }
        self.by_partner.entry(title.partner.clone()).or_default().push(position);
    }

    /// `None` for all of them.
    fn positions(&self, among: Among<'_>) -> Option<&[u32]> {
        let found = match among {
            Among::All => return None,
            Among::Title(title) => self.by_title.get(title),
            Among::Series(series) => self.by_series.get(series),
            Among::Partner(partner) => self.by_partner.get(partner),
        };
        Some(found.map(Vec::as_slice).unwrap_or_default())
    }
}

impl Log {
    fn push(&mut self, counted: Counted) {
        if let Some(index) = &mut self.index {
            index.push(self.entries.len(), &counted);
        }
        self.entries.push(counted);
        if self.index.is_none() && self.entries.len() > UNINDEXED_MAX {
            self.index = Some(Box::new(Index::of(&self.entries)));
        }
    }

    fn retain(&mut self, keep: impl Fn(&Counted) -> bool) {
        let entries = std::mem::take(&mut self.entries);
        *self = Self::default();
        for counted in entries {
            if keep(&counted) {
                self.push(counted);
            }
        }
    }

    /// Late ones go where they belong, for which the index is made anew.
    fn insert(&mut self, counted: Vec<Counted>) {
        let mut newest = self.entries.last().map_or(Timestamp::MIN, |last| last.at);
        let in_order = counted.iter().all(|counted| {
            let after = counted.at >= newest;
            newest = counted.at;
            after
        });
        if in_order {
            counted.into_iter().for_each(|counted| self.push(counted));
        } else {
            let mut entries = std::mem::take(&mut self.entries);
            entries.extend(counted);
            entries.sort_by_key(|counted| counted.at);
            *self = Self::default();
            entries.into_iter().for_each(|counted| self.push(counted));
        }
    }

    /// What is beyond the horizon. Forgets in strides, for the index is made anew.
    fn forget(&mut self, horizon: Duration) -> Vec<Counted> {
        let before = self.entries.last().map_or(Timestamp::MIN, |last| last.at) - horizon;
        let old = self.entries.partition_point(|counted| counted.at <= before);
        if old <= 64 || old * 4 <= self.entries.len() {
            return Vec::new();
        }
        let kept = self.entries.split_off(old);
        let forgotten = std::mem::take(&mut self.entries);
        *self = Self::default();
        kept.into_iter().for_each(|counted| self.push(counted));
        forgotten
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries after `after` (exclusive) among those asked for, oldest first.
    pub(crate) fn after<'a>(&'a self, among: Among<'a>, after: Timestamp) -> Entries<'a> {
        match self.index.as_ref().and_then(|index| index.positions(among)) {
            None => {
                let from = self.entries.partition_point(|counted| counted.at <= after);
                let entries = self.entries.get(from..).unwrap_or_default();
                match among {
                    Among::All => Entries::All(entries.iter()),
                    among => Entries::Few(entries.iter(), among),
                }
            }
            Some(positions) => {
                let from = positions.partition_point(|i| {
                    self.entries.get(*i as usize).is_some_and(|counted| counted.at <= after)
                });
                Entries::At(positions.get(from..).unwrap_or_default().iter(), &self.entries)
            }
        }
    }
}

pub(crate) enum Entries<'a> {
    All(slice::Iter<'a, Counted>),
    /// Looked through.
    Few(slice::Iter<'a, Counted>, Among<'a>),
    /// At these positions.
    At(slice::Iter<'a, u32>, &'a [Counted]),
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Counted;

    fn next(&mut self) -> Option<&'a Counted> {
        match self {
            Self::All(entries) => entries.next(),
            Self::Few(entries, among) => entries.find(|counted| among.has(counted)),
            Self::At(positions, entries) => entries.get(*positions.next()? as usize),
        }
    }

    fn count(self) -> usize {
        match self {
            Self::All(entries) => entries.len(),
            Self::Few(entries, among) => entries.filter(|counted| among.has(counted)).count(),
            Self::At(positions, _) => positions.len(),
        }
    }
}

#[cfg(test)]
mod tests;
