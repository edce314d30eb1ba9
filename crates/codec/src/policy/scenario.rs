//! Scenarios: examples of what a policy is meant to answer, kept beside it and tried with it.
//!
//! A scenario tells in sentences what a member did, asks for one thing more, and says what is to
//! be answered. Everything in it is decided by the ledger itself; nothing here judges.

mod read;
mod run;
mod sentence;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use domain::member::{Clock, Code, Held};
use domain::{
    DeviceClass, DeviceId, MemberFacts, PartnerId, RuleId, SeriesId, Tag, TitleFacts, TitleId,
};
use domain::{Duration, Timestamp};

use self::sentence::{EntryChange, FactChange, Sentence};
use super::{PolicyErrors, SCENARIO_ENDING, files};

#[cfg(test)]
pub(crate) use self::run::refused_by;
pub use self::run::run;

/// A member, what it did, what it asks, and what it is to be told.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub file: String,
    pub line: usize,
    pub name: String,
    /// What times are told from; the policy's `effective_from` when nobody says.
    start: Option<Timestamp>,
    member: Vec<FactChange>,
    devices: Vec<(DeviceId, DeviceClass)>,
    titles: BTreeMap<TitleId, Arc<CatalogueEntry>>,
    given: Vec<Sentence>,
    when: Sentence,
    then: Then,
}

/// What the catalogue says of a title.
#[derive(Debug, Clone)]
struct CatalogueEntry {
    partner: PartnerId,
    series: Option<SeriesId>,
    tags: Arc<[Tag]>,
    maturity_rating: Option<u16>,
    downloadable: bool,
    offered: bool,
    available_from: Option<Moment>,
    available_until: Option<Moment>,
}

/// An instant, or one told from the start of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    At(Timestamp),
    AfterMs(i64),
}

/// What is to be answered; what is not said is not compared.
#[derive(Debug, Clone)]
enum Then {
    Accepted(Accepted),
    Refused(Refused),
}

#[derive(Debug, Clone, Default)]
struct Accepted {
    how: Option<Held>,
    ends_at: Option<Option<Moment>>,
    clock: Option<Clock>,
    may_play_until: Option<Option<Moment>>,
    left: Vec<(RuleId, u32)>,
    warns: Option<Vec<RuleId>>,
    held: Option<Vec<TitleId>>,
    ended: Option<Vec<TitleId>>,
    lapsed: Option<Vec<TitleId>>,
    closed: Option<Vec<TitleId>>,
    leaving: Option<Vec<DeviceId>>,
}

#[derive(Debug, Clone, Default)]
struct Refused {
    /// All of them, in the order in which they are told.
    findings: Option<Vec<Expected>>,
    retry_at: Option<Option<Moment>>,
    remedies: Option<u32>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, Default)]
struct Expected {
    code: Option<Code>,
    rule: Option<RuleId>,
    limit: Option<u32>,
    used: Option<u32>,
    frees_at: Option<Option<Moment>>,
}

/// What became of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Passed,
    /// Another answer than the one that was expected.
    Failed(Vec<Row>),
    /// What was given cannot have happened under this policy.
    Impossible {
        line: usize,
        message: String,
    },
}

/// What was expected beside what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub what: String,
    pub expected: String,
    pub found: String,
    pub same: bool,
}

/// Reads every `*.scenario.toml` of a directory.
///
/// # Errors
/// When a file cannot be read, or a scenario makes no sense: all problems at once.
pub fn load_dir(directory: &Path) -> Result<Vec<Scenario>, PolicyErrors> {
    let files = files(directory, |name| name.ends_with(SCENARIO_ENDING))?;
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    parse(&files)
}

/// Reads one file of scenarios.
///
/// # Errors
/// When the file cannot be read, or a scenario makes no sense: all problems at once.
pub fn load_file(path: &Path) -> Result<Vec<Scenario>, PolicyErrors> {
    let name = path.display().to_string();
    let text = super::read_file(path, &name)?;
    parse(&[(&name, &text)])
}

/// Reads scenarios from files, each a name and a text.
///
/// # Errors
/// When a scenario makes no sense: all problems at once.
pub fn parse(files: &[(&str, &str)]) -> Result<Vec<Scenario>, PolicyErrors> {
    let files: Vec<(&str, String)> =
        files.iter().map(|(name, text)| (*name, text.replace("\r\n", "\n"))).collect();
    read::scenarios(&files)
}

impl Moment {
    fn on(self, start: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::AfterMs(ms) => Timestamp::from_millis(start.as_millis().saturating_add(ms)),
        }
    }
}

impl std::str::FromStr for Moment {
    type Err = InvalidMoment;
    /// `+30d`, `+30d-1ms`, or an instant.
    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if !text.starts_with(['+', '-']) {
            return text.parse().map(Self::At).map_err(|_| InvalidMoment);
        }
        let mut ms: i64 = 0;
        for part in text.split_inclusive(['+', '-']).collect::<Vec<_>>().windows(2) {
            let [sign, length] = part else { continue };
            let length: Duration =
                length.trim_end_matches(['+', '-']).parse().map_err(|_| InvalidMoment)?;
            let sign = if sign.ends_with('-') { -1 } else { 1 };
            let length = length.as_millis().checked_mul(sign).ok_or(InvalidMoment)?;
            ms = ms.checked_add(length).ok_or(InvalidMoment)?;
        }
        // A sign with nothing behind it is not a length.
        if text.ends_with(['+', '-']) { Err(InvalidMoment) } else { Ok(Self::AfterMs(ms)) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct InvalidMoment;

impl CatalogueEntry {
    /// What it says after these changes.
    fn changed(&self, changes: &[EntryChange]) -> Self {
        let mut entry = self.clone();
        for change in changes {
            match change.clone() {
                EntryChange::Partner(partner) => entry.partner = partner,
                EntryChange::Series(series) => entry.series = series,
                EntryChange::Tags(tags) => entry.tags = tags.into(),
                EntryChange::MaturityRating(rating) => entry.maturity_rating = rating,
                EntryChange::Downloadable(downloadable) => entry.downloadable = downloadable,
                EntryChange::Offered(offered) => entry.offered = offered,
                EntryChange::AvailableFrom(from) => entry.available_from = from,
                EntryChange::AvailableUntil(until) => entry.available_until = until,
            }
        }
        entry
    }

    fn facts(&self, start: Timestamp) -> TitleFacts {
        TitleFacts {
            partner: self.partner.clone(),
            series: self.series.clone(),
            tags: Arc::clone(&self.tags),
            maturity_rating: self.maturity_rating,
            downloadable: self.downloadable,
            offered: self.offered,
            available_from: self.available_from.map(|moment| moment.on(start)),
            available_until: self.available_until.map(|moment| moment.on(start)),
        }
    }
}

/// The facts after these changes.
fn changed(facts: &MemberFacts, changes: &[FactChange], start: Timestamp) -> MemberFacts {
    let mut facts = facts.clone();
    for change in changes {
        match change.clone() {
            FactChange::Profile(profile) => facts.profile = profile,
            FactChange::Plan(plan) => facts.plan = plan,
            FactChange::Territory(territory) => facts.territory = territory,
            FactChange::SecurityLevel(level) => facts.security_level = level,
            FactChange::Account(account) => facts.account = account,
            FactChange::MaturityLimit(limit) => facts.maturity_limit = limit,
            FactChange::MemberSince(since) => {
                facts.member_since = since.map(|since| since.on(start));
            }
            FactChange::ConcurrentStreams(streams) => facts.concurrent_streams = streams,
            FactChange::ElsewhereAt(at) => facts.elsewhere_at = at.map(|at| at.on(start)),
        }
    }
    facts
}

#[cfg(test)]
mod tests;
