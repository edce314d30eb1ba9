//! Asks recorded history again under a draft policy, member by member.
//!
//! Beside the running service and not in its way: it reads the store and nothing else, and in
//! memory are the members under way, not the history.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

pub use domain::member::what_if::{Compared, Reason, Verdict};
use domain::member::what_if::{Question, what_if};
use domain::{Duration, Event, MemberId, PartnerId, Policy, Timestamp, TitleId};
use futures::executor::block_on;
use futures::future::join_all;
use store::{Cursor, EventStore, Recorded, StreamId};

use crate::error::EngineError;
use crate::folded::{PREFIX, events};
use crate::horizon::horizon;

/// Members listed at once, and few more than may wait to be asked.
const PAGE_MEMBERS: usize = 16_384;
/// Members that one thread has at hand: they are read together.
const AT_HAND: usize = 8;
/// Examples kept of each kind.
pub const EXAMPLES_MAX: usize = 20;

#[derive(Debug, Clone)]
pub struct WhatIf {
    pub draft: Arc<Policy>,
    /// `[since, until)`: what was asked then is asked again.
    pub since: Timestamp,
    pub until: Timestamp,
    /// Only requests about titles of this partner are compared; the others still have consequences.
    pub partner: Option<PartnerId>,
    /// How many threads ask.
    pub threads: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub members: u64,
    pub events: u64,
}

/// What would have been answered differently.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// All members that were not erased, and all their events, whatever was compared.
    pub members: u64,
    pub events: u64,
    /// Requests that were asked again and compared.
    pub requests: u64,
    /// Accepted, and would be refused.
    pub refused_instead: Differing,
    /// Refused, and would be accepted.
    pub accepted_instead: Differing,
    /// Refused both times, for other reasons.
    pub refused_otherwise: Differing,
    /// Accepted both times, with other clocks.
    pub other_terms: Differing,
    /// Would not have been asked, for want of the license they are about or the device that asks.
    pub moot: Differing,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differing {
    pub requests: u64,
    pub members: u64,
    /// Requests by title and by partner: a list of commands counts for each of its titles.
    pub titles: BTreeMap<TitleId, u64>,
    pub partners: BTreeMap<PartnerId, u64>,
    /// Requests by what refuses them: the draft, or, where the draft accepts, what refused then.
    pub reasons: BTreeMap<Reason, u64>,
    /// The first that were found, at most [`EXAMPLES_MAX`].
    pub examples: Vec<Difference>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub member: MemberId,
    pub compared: Compared,
}

/// Which list of the report a difference is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    RefusedInstead,
    AcceptedInstead,
    RefusedOtherwise,
    OtherTerms,
    Moot,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::RefusedInstead,
        Self::AcceptedInstead,
        Self::RefusedOtherwise,
        Self::OtherTerms,
        Self::Moot,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::RefusedInstead => "refused_instead",
            Self::AcceptedInstead => "accepted_instead",
            Self::RefusedOtherwise => "refused_otherwise",
            Self::OtherTerms => "other_terms",
            Self::Moot => "moot",
        }
    }

    pub fn of(compared: &Compared) -> Option<Self> {
        match (&compared.was, &compared.would_be) {
            (_, Verdict::Moot) => Some(Self::Moot),
            (Verdict::Accepted, Verdict::Refused(_)) => Some(Self::RefusedInstead),
            (Verdict::Refused(_), Verdict::Accepted) => Some(Self::AcceptedInstead),
            (Verdict::Refused(was), Verdict::Refused(would_be)) => {
                (was != would_be).then_some(Self::RefusedOtherwise)
            }
            (Verdict::Accepted | Verdict::Moot, Verdict::Accepted) => {
                compared.other_terms.then_some(Self::OtherTerms)
            }
            (Verdict::Moot, Verdict::Refused(_)) => None,
        }
    }
}

impl Report {
    pub fn differing(&self, kind: Kind) -> &Differing {
        match kind {
            Kind::RefusedInstead => &self.refused_instead,
            Kind::AcceptedInstead => &self.accepted_instead,
            Kind::RefusedOtherwise => &self.refused_otherwise,
            Kind::OtherTerms => &self.other_terms,
            Kind::Moot => &self.moot,
        }
    }

    fn differing_mut(&mut self, kind: Kind) -> &mut Differing {
        match kind {
            Kind::RefusedInstead => &mut self.refused_instead,
            Kind::AcceptedInstead => &mut self.accepted_instead,
            Kind::RefusedOtherwise => &mut self.refused_otherwise,
            Kind::OtherTerms => &mut self.other_terms,
            Kind::Moot => &mut self.moot,
        }
    }

    /// Whether the draft answers everything as it was answered.
    pub fn is_unchanged(&self) -> bool {
        Kind::ALL.into_iter().all(|kind| self.differing(kind).requests == 0)
    }
}

/// What is counted most, first.
pub fn most<K>(counts: &BTreeMap<K, u64>) -> Vec<(&K, u64)> {
    let mut counts: Vec<(&K, u64)> = counts.iter().map(|(key, count)| (key, *count)).collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

impl Differing {
    fn add(&mut self, difference: &Difference) {
        let compared = &difference.compared;
        self.requests += 1;
        for (title, partner) in &compared.titles {
            *self.titles.entry(title.clone()).or_default() += 1;
            *self.partners.entry(partner.clone()).or_default() += 1;
        }
        if let (_, Verdict::Refused(reasons)) | (Verdict::Refused(reasons), Verdict::Accepted) =
            (&compared.was, &compared.would_be)
        {
            for reason in reasons {
                *self.reasons.entry(reason.clone()).or_default() += 1;
            }
        }
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(difference.clone());
        }
    }
}

/// Asks every member of the store. `progress` is told after each member, `visit` hears of every
/// difference; both are called from several threads, one at a time.
///
/// # Errors
/// When history cannot be read: there is no report of a part of it.
pub fn run(
    store: &dyn EventStore,
    what_if: &WhatIf,
    progress: &mut (dyn FnMut(Progress) -> Go + Send),
    visit: &mut (dyn FnMut(Kind, &Difference) + Send),
) -> Result<Report, EngineError> {
    // A draft may ask further back than anybody could before.
    let horizon = block_on(horizon(store))?.max(what_if.draft.reach());
    let asking = Mutex::new(Asking { report: Report::default(), progress, visit, go: Go::On });
    let (found, waiting) = sync_channel(PAGE_MEMBERS / AT_HAND);
    let waiting = Mutex::new(waiting);
    let outcome = thread::scope(|scope| {
        let askers: Vec<_> = (0..what_if.threads.max(1))
            .map(|_| scope.spawn(|| ask_members(store, what_if, horizon, &waiting, &asking)))
            .collect();
        // Ends when the askers do, should one of them fail.
        let listed = list_members(store, found);
        let asked = askers.into_iter().map(|asker| {
            asker.join().unwrap_or_else(|_| {
                Err(EngineError::Unavailable("a thread of the replay ended early".to_owned()))
            })
        });
        asked.chain([listed]).collect::<Result<Vec<()>, _>>()
    });
    outcome?;
    let Asking { report, go, .. } = asking.into_inner().unwrap_or_else(PoisonError::into_inner);
    match go {
        Go::On => Ok(report),
        Go::Stop => Err(EngineError::Unavailable("the replay was stopped".to_owned())),
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    On,
    Stop,
}

struct Asking<'a> {
    report: Report,
    progress: &'a mut (dyn FnMut(Progress) -> Go + Send),
    visit: &'a mut (dyn FnMut(Kind, &Difference) + Send),
    go: Go,
}

/// Every member once, some at a time.
fn list_members(
    store: &dyn EventStore,
    found: SyncSender<Vec<StreamId>>,
) -> Result<(), EngineError> {
    let mut next = Some(Cursor::default());
    while let Some(cursor) = next {
        let page = block_on(store.streams(&cursor, PAGE_MEMBERS))?;
        next = page.next;
        let mut members = page.streams;
        members.retain(|stream| stream.as_str().starts_with(PREFIX));
        for some in members.chunks(AT_HAND) {
            if found.send(some.to_vec()).is_err() {
                return Ok(()); // nobody asks any more, and says why
            }
        }
    }
    Ok(())
}

fn ask_members(
    store: &dyn EventStore,
    what_if: &WhatIf,
    horizon: Duration,
    waiting: &Mutex<Receiver<Vec<StreamId>>>,
    asking: &Mutex<Asking<'_>>,
) -> Result<(), EngineError> {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(streams) = next else { return Ok(()) };
        let pasts = block_on(join_all(streams.iter().map(|stream| store.read(stream, 0, None))));
        for (stream, past) in streams.iter().zip(pasts) {
            let asked = ask_member(what_if, horizon, stream, &past?.events)?;
            let mut asking = asking.lock().unwrap_or_else(PoisonError::into_inner);
            if asking.go == Go::Stop {
                return Ok(());
            }
            asking.take(asked);
        }
    }
}

/// What one member's past came to.
struct Asked {
    events: u64,
    requests: u64,
    differences: Vec<(Kind, Difference)>,
}

fn ask_member(
    what_if: &WhatIf,
    horizon: Duration,
    stream: &StreamId,
    recorded: &[Recorded],
) -> Result<Asked, EngineError> {
    let name = stream.as_str().strip_prefix(PREFIX).unwrap_or_default();
    let member = MemberId::new(name)
        .map_err(|error| EngineError::Corrupt(format!("the stream `{stream}`: {error}")))?;
    let mut past: Vec<Event> = Vec::with_capacity(recorded.len());
    for event in events(recorded) {
        past.push(event.map_err(|error| of_stream(stream, error))?.1);
    }
    let mut asked = Asked { events: past.len() as u64, requests: 0, differences: Vec::new() };
    let WhatIf { draft, since, until, .. } = what_if;
    let question = Question { draft, since: *since, until: *until, horizon };
    self::what_if(&past, &question, |compared| {
        let about = |partner: &PartnerId| compared.titles.iter().any(|(_, of)| of == partner);
        if what_if.partner.as_ref().is_none_or(about) {
            asked.requests += 1;
            if let Some(kind) = Kind::of(&compared) {
                let member = member.clone();
                asked.differences.push((kind, Difference { member, compared }));
            }
        }
    });
    Ok(asked)
}

/// Among so many, it has to be told whose damage it is.
fn of_stream(stream: &StreamId, error: EngineError) -> EngineError {
    match error {
        EngineError::Corrupt(what) => {
            EngineError::Corrupt(format!("the stream `{stream}`, {what}"))
        }
        other => other,
    }
}

impl Asking<'_> {
    fn take(&mut self, Asked { events, requests, differences }: Asked) {
        let Self { report, progress, visit, go } = self;
        report.members += u64::from(events > 0);
        report.events += events;
        report.requests += requests;
        for kind in Kind::ALL {
            let any = differences.iter().any(|(of, _)| *of == kind);
            report.differing_mut(kind).members += u64::from(any);
        }
        for (kind, difference) in &differences {
            report.differing_mut(*kind).add(difference);
            visit(*kind, difference);
        }
        *go = progress(Progress { members: report.members, events: report.events });
    }
}

#[cfg(test)]
mod tests;
