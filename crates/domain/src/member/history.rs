//! What counted, as it happened: the events that caps ask about, oldest first.
//!
//! Kept with an index by title, series and partner, because nearly every cap asks for one of them and
//! the rest of a long history should cost it nothing.

use std::sync::Arc;

use litemap::LiteMap;

use crate::facts::Facts;
use crate::ids::{DeviceId, LicenseId, PartnerId, SeriesId, TitleId};
use crate::policy::HORIZON;
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CountedKind {
    Acquired,
    Renewed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub at: Timestamp,
    pub license: LicenseId,
    pub title: TitleId,
    pub device: DeviceId,
    pub facts: Arc<Facts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    acquired: Log,
    renewed: Log,
}

/// Entries of one kind in the order of time, and where to find those of a title, series or
/// partner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Log {
    entries: Vec<Counted>,
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

impl History {
    pub fn entries(&self, kind: CountedKind) -> &[Counted] {
        &self.log(kind).entries
    }

    /// Entries must come in the order of time.
    pub fn push(&mut self, kind: CountedKind, counted: Counted) {
        let log = match kind {
            CountedKind::Acquired => &mut self.acquired,
            CountedKind::Renewed => &mut self.renewed,
        };
        log.forget_before(counted.at - HORIZON);
        log.push(counted);
    }

    /// Takes back what an acquisition had counted.
    pub(crate) fn return_acquisition(&mut self, license: &LicenseId) {
        self.acquired.retain(|counted| counted.license != *license);
    }

    pub(crate) fn log(&self, kind: CountedKind) -> &Log {
        match kind {
            CountedKind::Acquired => &self.acquired,
            CountedKind::Renewed => &self.renewed,
        }
    }
}

impl Log {
    fn push(&mut self, counted: Counted) {
        // 2^32 downloads of one member do not fit a year.
        let position = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.by_title.entry(counted.title.clone()).or_default().push(position);
        let title = &counted.facts.title;
        if let Some(series) = &title.series {
            self.by_series.entry(series.clone()).or_default().push(position);
        }
        self.by_partner.entry(title.partner.clone()).or_default().push(position);
        self.entries.push(counted);
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

    /// Forgets in strides, for the index is made anew.
    fn forget_before(&mut self, at: Timestamp) {
        let old = self.entries.partition_point(|counted| counted.at <= at);
        if old > 64 && old * 4 > self.entries.len() {
            self.retain(|counted| counted.at > at);
        }
    }

    /// The entries after `after` (exclusive) among those asked for, oldest first.
    pub(crate) fn after<'a>(
        &'a self,
        among: Among<'_>,
        after: Timestamp,
    ) -> impl ExactSizeIterator<Item = &'a Counted> {
        let positions = match among {
            Among::All => None,
            Among::Title(title) => Some(self.by_title.get(title)),
            Among::Series(series) => Some(self.by_series.get(series)),
            Among::Partner(partner) => Some(self.by_partner.get(partner)),
        };
        match positions {
            None => {
                let from = self.entries.partition_point(|counted| counted.at <= after);
                Entries { positions: None, entries: self.entries.get(from..).unwrap_or_default() }
            }
            Some(positions) => {
                let positions = positions.map(Vec::as_slice).unwrap_or_default();
                let from = positions.partition_point(|i| {
                    self.entries.get(*i as usize).is_some_and(|counted| counted.at <= after)
                });
                let positions = positions.get(from..).unwrap_or_default();
                Entries { positions: Some(positions), entries: &self.entries }
            }
        }
    }
}

struct Entries<'a> {
    positions: Option<&'a [u32]>,
    entries: &'a [Counted],
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a Counted;

    fn next(&mut self) -> Option<&'a Counted> {
        match &mut self.positions {
            None => {
                let (first, rest) = self.entries.split_first()?;
                self.entries = rest;
                Some(first)
            }
            Some(positions) => {
                let (first, rest) = positions.split_first()?;
                *positions = rest;
                self.entries.get(*first as usize)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.positions.map_or(self.entries.len(), <[u32]>::len);
        (n, Some(n))
    }
}

impl ExactSizeIterator for Entries<'_> {}
