//! Snapshots of a member: a disposable cache, thrown away when in doubt.
//!
//! So there is one shape, today's, and no versions: a program that folds or stores otherwise has
//! another [`reducer_fingerprint`] and never sees these bytes. The facts that entries and licenses
//! share in memory are stored once, and are shared again after reading.

use std::collections::HashMap;
use std::sync::Arc;

use domain::member::term::RunningTerm;
use domain::member::{
    self, Closed, ClosedWhy, Counted, CountedKind, Cuts, DeviceCounted, Effect as DomainEffect,
    Notice, Tallied, TalliedTitle,
};
use domain::{
    DeviceId, Duration, ExceptionId, IdempotencyKey, LicenseId, Member, PartnerId, ProfileId,
    SeriesId, Tag, TitleId,
};
use minicbor::{CborLen, Decode, Encode};

use crate::event::{DecodeError, never};
use crate::v1::{self, At, Class, Key, list, optional, words};

/// Raised with every change to what `evolve` makes of an event, or to the shapes in this file.
const REDUCER_VERSION: u64 = 7;

/// Names what folded a member: the reducer, and how far back it remembers. A snapshot under
/// another fingerprint is not read.
pub const fn reducer_fingerprint(horizon: Duration) -> u64 {
    fingerprint(&[
        REDUCER_VERSION,
        horizon.as_millis().unsigned_abs(),
        member::IDEMPOTENCY_KEPT.as_millis().unsigned_abs(),
        member::REFUSALS_KEPT.as_millis().unsigned_abs(),
    ])
}

/// FNV-1a over the numbers.
const fn fingerprint(mut numbers: &[u64]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    while let [first, rest @ ..] = numbers {
        let mut bytes: &[u8] = &first.to_le_bytes();
        while let [byte, others @ ..] = bytes {
            hash = (hash ^ *byte as u64).wrapping_mul(0x0100_0000_01b3);
            bytes = others;
        }
        numbers = rest;
    }
    hash
}

#[derive(Encode, Decode)]
struct Stored<'b> {
    #[n(0)]
    last_at: i64,
    /// Devices, licenses and history name facts by their position here.
    #[b(1)]
    facts: Vec<v1::Facts<'b>>,
    #[b(2)]
    devices: Vec<Device<'b>>,
    #[b(3)]
    licenses: Vec<License<'b>>,
    #[b(4)]
    past: Vec<License<'b>>,
    /// Of each kind, in the order of [`member::CountedKind::OF_TITLES`].
    #[b(5)]
    counted: Vec<Vec<Entry<'b>>>,
    #[b(6)]
    devices_counted: Vec<DeviceEntry<'b>>,
    #[b(7)]
    tallies: Vec<Tally<'b>>,
    #[n(8)]
    vacancies: u32,
    #[b(11)]
    first_plays: Vec<(&'b str, i64)>,
    #[n(12)]
    lapsed_at: Option<i64>,
    #[n(13)]
    revoked_at: Option<i64>,
    #[b(14)]
    exceptions: Vec<Exception<'b>>,
    #[b(9)]
    remembered: Vec<Remembered<'b>>,
    #[b(10)]
    refusals: Vec<Refusal<'b>>,
    #[n(15)]
    horizon_ms: i64,
}

#[derive(Encode, Decode)]
struct Device<'b> {
    #[b(0)]
    id: &'b str,
    #[n(1)]
    class: Class,
    #[b(2)]
    key: Key<'b>,
    #[b(3)]
    name: &'b str,
    #[n(4)]
    registered_at: i64,
    #[n(5)]
    removed_at: Option<i64>,
    #[n(6)]
    last_seen_at: i64,
    #[n(7)]
    reported: Vec<(u64, u64)>,
    #[n(8)]
    revoked: bool,
    /// When its licenses end, and whether it is then registered no longer.
    #[n(9)]
    notice: Option<(i64, bool)>,
}

#[derive(Encode, Decode)]
struct License<'b> {
    #[b(0)]
    id: &'b str,
    #[b(1)]
    device: &'b str,
    #[b(2)]
    title: &'b str,
    #[n(3)]
    facts: u32,
    #[n(4)]
    acquired_at: i64,
    #[n(5)]
    terms: Vec<Running>,
    /// When, why, and whether it goes on counting.
    #[n(6)]
    closed: Option<(i64, Why, bool)>,
    #[n(7)]
    deliveries: u32,
    /// By notice, by lapse.
    #[n(8)]
    cuts: (Option<i64>, Option<i64>),
}

#[derive(Encode, Decode)]
struct Running {
    #[n(0)]
    term: v1::Term,
    #[n(1)]
    first_play: Option<i64>,
    #[n(2)]
    check_in_by: Option<i64>,
    #[n(3)]
    automatic: bool,
    #[n(4)]
    cut_at: Option<i64>,
}

#[derive(Encode, Decode)]
struct Entry<'b> {
    #[n(0)]
    at: i64,
    #[b(1)]
    license: &'b str,
    #[b(2)]
    title: &'b str,
    #[b(3)]
    device: &'b str,
    #[n(4)]
    facts: u32,
}

#[derive(Encode, Decode)]
struct Exception<'b> {
    #[b(0)]
    id: &'b str,
    #[b(1)]
    allowance: v1::Allowance<'b>,
    #[b(2)]
    warrant: v1::Warrant<'b>,
    #[n(3)]
    granted_at: i64,
}

#[derive(Encode, Decode)]
struct DeviceEntry<'b> {
    #[n(0)]
    kind: v1::CountedKind,
    #[n(1)]
    at: i64,
    #[b(2)]
    device: &'b str,
    #[n(3)]
    class: Class,
    #[b(4)]
    profile: Option<&'b str>,
}

#[derive(Encode, Decode)]
struct Tally<'b> {
    #[n(0)]
    kind: v1::CountedKind,
    #[b(1)]
    device: &'b str,
    #[n(2)]
    class: Class,
    #[b(3)]
    profile: Option<&'b str>,
    #[b(4)]
    title: Option<TallyTitle<'b>>,
    #[n(5)]
    count: u32,
}

#[derive(Encode, Decode)]
struct TallyTitle<'b> {
    #[b(0)]
    title: &'b str,
    #[b(1)]
    partner: &'b str,
    #[b(2)]
    series: Option<&'b str>,
    #[b(3)]
    tags: Vec<&'b str>,
}

#[derive(Encode, Decode)]
struct Remembered<'b> {
    #[b(0)]
    key: &'b str,
    #[n(1)]
    at: i64,
    #[cbor(n(2), with = "minicbor::bytes")]
    body_digest: [u8; 32],
    #[b(3)]
    effects: Vec<(u16, Effect<'b>)>,
}

#[derive(Encode, Decode)]
enum Effect<'b> {
    #[n(0)]
    Held {
        #[b(0)]
        license: &'b str,
        #[n(1)]
        term: u32,
        #[n(2)]
        how: Held,
    },
    #[n(1)]
    Released,
    #[n(2)]
    DeviceRegistered,
    #[n(3)]
    DeviceRemoved {
        #[b(0)]
        closed: Vec<&'b str>,
    },
    #[n(4)]
    CheckedIn,
    #[n(5)]
    PlaysRecorded {
        #[n(0)]
        counted: u32,
    },
    #[n(6)]
    DrmFailureRecorded,
    #[n(7)]
    Closed {
        #[b(0)]
        closed: Vec<&'b str>,
    },
    #[n(8)]
    Done,
    #[n(9)]
    ExceptionGranted {
        #[b(0)]
        exception: &'b str,
    },
}

words! {
    Why = ClosedWhy {
        0 Released 1 NeverStarted 2 Replaced 3 DeviceRemoved 4 Revoked 5 Withdrawn
    }
    Held = member::Held { 0 Acquired 1 Reissued 2 Renewed }
}

#[derive(Encode, Decode)]
struct Refusal<'b> {
    #[n(0)]
    at: i64,
    #[b(1)]
    refused: v1::Refused<'b>,
}

/// The bytes of a member's state.
pub fn encode_snapshot(member: &Member) -> Vec<u8> {
    let Member {
        last_at,
        devices,
        licenses,
        past,
        history,
        lapsed_at,
        revoked_at,
        exceptions,
        first_plays,
        vacancies,
        remembered,
        refusals,
    } = member;
    let at = At(*last_at);
    let mut facts = FactsWritten { at, stored: Vec::new(), positions: HashMap::new() };
    let mut license = |(id, license)| License::of(id, license, at, &mut facts);
    let licenses = licenses.iter().map(&mut license).collect();
    let past = past.iter().map(&mut license).collect();
    let mut entry = |counted| Entry::of(counted, at, &mut facts);
    let mut entries = |kind| history.entries(kind).iter().map(&mut entry).collect();
    let counted = CountedKind::OF_TITLES.into_iter().map(&mut entries).collect();
    let stored = Stored {
        last_at: last_at.as_millis(),
        devices: devices.iter().map(|(id, device)| Device::of(id, device, at)).collect(),
        licenses,
        past,
        counted,
        devices_counted: history.devices().iter().map(|one| DeviceEntry::of(one, at)).collect(),
        tallies: history.tallies().iter().map(Tally::of).collect(),
        vacancies: *vacancies,
        lapsed_at: lapsed_at.map(|lapsed_at| at.to(lapsed_at)),
        revoked_at: revoked_at.map(|revoked_at| at.to(revoked_at)),
        exceptions: exceptions.iter().map(|one| Exception::of(one, at)).collect(),
        first_plays: first_plays.iter().map(|(title, on)| (title.as_str(), at.to(*on))).collect(),
        remembered: remembered.iter().map(|(key, one)| Remembered::of(key, one, at)).collect(),
        refusals: refusals
            .iter()
            .map(|(refused_at, refused)| Refusal {
                at: at.to(*refused_at),
                refused: v1::Refused::of(refused, at),
            })
            .collect(),
        facts: facts.stored,
        horizon_ms: history.horizon().as_millis(),
    };
    match minicbor::to_vec(stored) {
        Ok(bytes) => bytes,
        Err(error) => never(&error),
    }
}

/// # Errors
/// When the bytes are not a snapshot of today's shape. The events say the same: read them.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Member, DecodeError> {
    let Stored {
        last_at,
        facts,
        devices,
        licenses,
        past,
        counted,
        devices_counted,
        tallies,
        vacancies,
        first_plays,
        lapsed_at,
        revoked_at,
        exceptions,
        remembered,
        refusals,
        horizon_ms,
    } = minicbor::decode(bytes)?;
    let at = At(At(domain::Timestamp::from_millis(0)).instant(last_at)?);
    let facts = FactsRead(list(facts, |facts| Ok(Arc::new(facts.into_domain(at)?)))?);
    let mut entries = Vec::new();
    for (kind, counted) in CountedKind::OF_TITLES.into_iter().zip(counted) {
        for entry in counted {
            entries.push((kind, entry.into_domain(at, &facts)?));
        }
    }
    let devices_counted = list(devices_counted, |entry| entry.into_domain(at))?;
    let history = member::History::restored(
        Duration::from_millis(horizon_ms),
        entries,
        devices_counted,
        list(tallies, Tally::into_domain)?,
    );
    let refusal = |Refusal { at: refused_at, refused }: Refusal<'_>| {
        Ok((at.instant(refused_at)?, Arc::new(refused.into_domain(at)?)))
    };
    Ok(Member {
        last_at: at.0,
        devices: list(devices, |device| device.into_domain(at))?,
        licenses: list(licenses, |license| license.into_domain(at, &facts))?,
        past: list(past, |license| license.into_domain(at, &facts))?,
        history,
        lapsed_at: optional(lapsed_at, |lapsed_at| at.instant(lapsed_at))?,
        revoked_at: optional(revoked_at, |revoked_at| at.instant(revoked_at))?,
        exceptions: list(exceptions, |one| one.into_domain(at))?,
        first_plays: list(first_plays, |(title, on)| Ok((TitleId::new(title)?, at.instant(on)?)))?,
        vacancies,
        remembered: list(remembered, |one| one.into_domain(at))?,
        refusals: list(refusals, refusal)?,
    })
}

/// Each `Arc` once.
struct FactsWritten<'b> {
    at: At,
    stored: Vec<v1::Facts<'b>>,
    positions: HashMap<*const domain::Facts, u32>,
}

impl<'b> FactsWritten<'b> {
    fn position(&mut self, facts: &'b Arc<domain::Facts>) -> u32 {
        *self.positions.entry(Arc::as_ptr(facts)).or_insert_with(|| {
            self.stored.push(v1::Facts::of(facts, self.at));
            u32::try_from(self.stored.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

struct FactsRead(Vec<Arc<domain::Facts>>);

impl FactsRead {
    fn at(&self, position: u32) -> Result<Arc<domain::Facts>, DecodeError> {
        let facts = usize::try_from(position).ok().and_then(|position| self.0.get(position));
        facts.cloned().ok_or(DecodeError::Invalid { what: "a position of facts" })
    }
}

impl<'b> Device<'b> {
    fn of(id: &'b DeviceId, device: &'b member::Device, at: At) -> Self {
        let member::Device {
            class,
            key,
            name,
            registered_at,
            removed_at,
            last_seen_at,
            reported,
            revoked,
            notice,
        } = device;
        Self {
            id: id.as_str(),
            class: (*class).into(),
            key: Key::of(key),
            name,
            registered_at: at.to(*registered_at),
            removed_at: removed_at.map(|removed_at| at.to(removed_at)),
            last_seen_at: at.to(*last_seen_at),
            reported: reported.stretches().to_vec(),
            revoked: *revoked,
            notice: notice.map(|Notice { ends_at, removes }| (at.to(ends_at), removes)),
        }
    }

    fn into_domain(self, at: At) -> Result<(DeviceId, member::Device), DecodeError> {
        let Self {
            id,
            class,
            key,
            name,
            registered_at,
            removed_at,
            last_seen_at,
            reported,
            revoked,
            notice,
        } = self;
        let device = member::Device {
            class: class.into(),
            key: key.into_domain()?,
            name: name.to_owned(),
            registered_at: at.instant(registered_at)?,
            removed_at: optional(removed_at, |removed_at| at.instant(removed_at))?,
            last_seen_at: at.instant(last_seen_at)?,
            reported: reported.into_iter().collect(),
            revoked,
            notice: optional(notice, |(ends_at, removes)| {
                Ok(Notice { ends_at: at.instant(ends_at)?, removes })
            })?,
        };
        Ok((DeviceId::new(id)?, device))
    }
}

impl<'b> License<'b> {
    fn of(
        id: &'b LicenseId,
        license: &'b member::License,
        at: At,
        facts_written: &mut FactsWritten<'b>,
    ) -> Self {
        let member::License { device, title, facts, acquired_at, terms, closed, cuts, deliveries } =
            license;
        Self {
            id: id.as_str(),
            device: device.as_str(),
            title: title.as_str(),
            facts: facts_written.position(facts),
            acquired_at: at.to(*acquired_at),
            terms: terms.iter().map(|running| Running::of(running, at)).collect(),
            closed: closed
                .map(|Closed { at: closed_at, why, waits }| (at.to(closed_at), why.into(), waits)),
            deliveries: *deliveries,
            cuts: (cuts.notice.map(|cut| at.to(cut)), cuts.lapse.map(|cut| at.to(cut))),
        }
    }

    fn into_domain(
        self,
        at: At,
        facts_read: &FactsRead,
    ) -> Result<(LicenseId, member::License), DecodeError> {
        let Self { id, device, title, facts, acquired_at, terms, closed, deliveries, cuts } = self;
        let cut = |cut| optional(cut, |cut| at.instant(cut));
        if terms.is_empty() {
            return Err(DecodeError::Invalid { what: "a license without a term" });
        }
        let license = member::License {
            device: DeviceId::new(device)?,
            title: TitleId::new(title)?,
            facts: facts_read.at(facts)?,
            acquired_at: at.instant(acquired_at)?,
            terms: list(terms, |running| running.into_domain(at))?,
            closed: optional(closed, |(closed_at, why, waits)| {
                Ok(Closed { at: at.instant(closed_at)?, why: why.into(), waits })
            })?,
            cuts: Cuts { notice: cut(cuts.0)?, lapse: cut(cuts.1)? },
            deliveries,
        };
        Ok((LicenseId::new(id)?, license))
    }
}

impl Running {
    fn of(running: &RunningTerm, at: At) -> Self {
        let RunningTerm { term, first_play, check_in_by, automatic, cut_at } = running;
        Self {
            term: v1::Term::of(term, at),
            first_play: first_play.map(|first_play| at.to(first_play)),
            check_in_by: check_in_by.map(|check_in_by| at.to(check_in_by)),
            automatic: *automatic,
            cut_at: cut_at.map(|cut_at| at.to(cut_at)),
        }
    }

    fn into_domain(self, at: At) -> Result<RunningTerm, DecodeError> {
        let Self { term, first_play, check_in_by, automatic, cut_at } = self;
        Ok(RunningTerm {
            term: term.into_domain(at)?,
            first_play: optional(first_play, |first_play| at.instant(first_play))?,
            check_in_by: optional(check_in_by, |check_in_by| at.instant(check_in_by))?,
            automatic,
            cut_at: optional(cut_at, |cut_at| at.instant(cut_at))?,
        })
    }
}

impl<'b> Entry<'b> {
    fn of(counted: &'b Counted, at: At, facts_written: &mut FactsWritten<'b>) -> Self {
        let Counted { at: counted_at, license, title, device, facts } = counted;
        Self {
            at: at.to(*counted_at),
            license: license.as_str(),
            title: title.as_str(),
            device: device.as_str(),
            facts: facts_written.position(facts),
        }
    }

    fn into_domain(self, at: At, facts_read: &FactsRead) -> Result<Counted, DecodeError> {
        let Self { at: counted_at, license, title, device, facts } = self;
        Ok(Counted {
            at: at.instant(counted_at)?,
            license: LicenseId::new(license)?,
            title: TitleId::new(title)?,
            device: DeviceId::new(device)?,
            facts: facts_read.at(facts)?,
        })
    }
}

impl<'b> Exception<'b> {
    fn of((id, exception): (&'b ExceptionId, &'b member::Exception), at: At) -> Self {
        let member::Exception { allowance, warrant, granted_at } = exception;
        Self {
            id: id.as_str(),
            allowance: v1::Allowance::of(allowance, at),
            warrant: v1::Warrant::of(warrant),
            granted_at: at.to(*granted_at),
        }
    }

    fn into_domain(self, at: At) -> Result<(ExceptionId, member::Exception), DecodeError> {
        let Self { id, allowance, warrant, granted_at } = self;
        let exception = member::Exception {
            allowance: allowance.into_domain(at)?,
            warrant: warrant.into_domain(),
            granted_at: at.instant(granted_at)?,
        };
        Ok((ExceptionId::new(id)?, exception))
    }
}

impl<'b> DeviceEntry<'b> {
    fn of(counted: &'b DeviceCounted, at: At) -> Self {
        let DeviceCounted { kind, at: counted_at, device, class, profile } = counted;
        Self {
            kind: (*kind).into(),
            at: at.to(*counted_at),
            device: device.as_str(),
            class: (*class).into(),
            profile: profile.as_ref().map(ProfileId::as_str),
        }
    }

    fn into_domain(self, at: At) -> Result<DeviceCounted, DecodeError> {
        let Self { kind, at: counted_at, device, class, profile } = self;
        Ok(DeviceCounted {
            kind: kind.into(),
            at: at.instant(counted_at)?,
            device: DeviceId::new(device)?,
            class: class.into(),
            profile: profile.map(ProfileId::new).transpose()?,
        })
    }
}

impl<'b> Tally<'b> {
    fn of((tallied, count): (&'b Tallied, &u32)) -> Self {
        let Tallied { kind, device, class, profile, title } = tallied;
        let title =
            title.as_ref().map(|TalliedTitle { title, partner, series, tags }| TallyTitle {
                title: title.as_str(),
                partner: partner.as_str(),
                series: series.as_ref().map(SeriesId::as_str),
                tags: tags.iter().map(Tag::as_str).collect(),
            });
        Self {
            kind: (*kind).into(),
            device: device.as_str(),
            class: (*class).into(),
            profile: profile.as_ref().map(ProfileId::as_str),
            title,
            count: *count,
        }
    }

    fn into_domain(self) -> Result<(Tallied, u32), DecodeError> {
        let Self { kind, device, class, profile, title, count } = self;
        let read = |TallyTitle { title, partner, series, tags }: TallyTitle<'b>| {
            Ok(TalliedTitle {
                title: TitleId::new(title)?,
                partner: PartnerId::new(partner)?,
                series: series.map(SeriesId::new).transpose()?,
                tags: list(tags, |tag| Ok(Tag::new(tag)?))?,
            })
        };
        let tallied = Tallied {
            kind: kind.into(),
            device: DeviceId::new(device)?,
            class: class.into(),
            profile: profile.map(ProfileId::new).transpose()?,
            title: optional(title, read)?,
        };
        Ok((tallied, count))
    }
}

impl<'b> Remembered<'b> {
    fn of(key: &'b IdempotencyKey, remembered: &'b member::Remembered, at: At) -> Self {
        let member::Remembered { at: remembered_at, body_digest, effects } = remembered;
        Self {
            key: key.as_str(),
            at: at.to(*remembered_at),
            body_digest: *body_digest,
            effects: effects.iter().map(|(command, effect)| (*command, effect.into())).collect(),
        }
    }

    fn into_domain(self, at: At) -> Result<(IdempotencyKey, member::Remembered), DecodeError> {
        let Self { key, at: remembered_at, body_digest, effects } = self;
        let remembered = member::Remembered {
            at: at.instant(remembered_at)?,
            body_digest,
            effects: list(effects, |(command, effect)| Ok((command, effect.into_domain()?)))?,
        };
        Ok((IdempotencyKey::new(key)?, remembered))
    }
}

impl<'b> From<&'b DomainEffect> for Effect<'b> {
    fn from(effect: &'b DomainEffect) -> Self {
        match effect {
            DomainEffect::Held { license, term, how } => {
                Self::Held { license: license.as_str(), term: *term, how: (*how).into() }
            }
            DomainEffect::Released => Self::Released,
            DomainEffect::DeviceRegistered => Self::DeviceRegistered,
            DomainEffect::DeviceRemoved { closed } => {
                Self::DeviceRemoved { closed: closed.iter().map(LicenseId::as_str).collect() }
            }
            DomainEffect::CheckedIn => Self::CheckedIn,
            DomainEffect::PlaysRecorded { counted } => Self::PlaysRecorded { counted: *counted },
            DomainEffect::DrmFailureRecorded => Self::DrmFailureRecorded,
            DomainEffect::Closed { closed } => {
                Self::Closed { closed: closed.iter().map(LicenseId::as_str).collect() }
            }
            DomainEffect::ExceptionGranted { exception } => {
                Self::ExceptionGranted { exception: exception.as_str() }
            }
            DomainEffect::Done => Self::Done,
        }
    }
}

impl Effect<'_> {
    fn into_domain(self) -> Result<DomainEffect, DecodeError> {
        Ok(match self {
            Self::Held { license, term, how } => {
                DomainEffect::Held { license: LicenseId::new(license)?, term, how: how.into() }
            }
            Self::Released => DomainEffect::Released,
            Self::DeviceRegistered => DomainEffect::DeviceRegistered,
            Self::DeviceRemoved { closed } => DomainEffect::DeviceRemoved {
                closed: list(closed, |license| Ok(LicenseId::new(license)?))?,
            },
            Self::CheckedIn => DomainEffect::CheckedIn,
            Self::PlaysRecorded { counted } => DomainEffect::PlaysRecorded { counted },
            Self::DrmFailureRecorded => DomainEffect::DrmFailureRecorded,
            Self::Closed { closed } => DomainEffect::Closed {
                closed: list(closed, |license| Ok(LicenseId::new(license)?))?,
            },
            Self::ExceptionGranted { exception } => {
                DomainEffect::ExceptionGranted { exception: ExceptionId::new(exception)? }
            }
            Self::Done => DomainEffect::Done,
        })
    }
}

#[cfg(test)]
mod tests;
