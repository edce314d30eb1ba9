//! What somebody did, in one sentence: `+1d tablet acquires film`.
//!
//! Ids have no blanks, so a sentence is its words. It does not know which titles and devices
//! there are.

use std::fmt::Display;
use std::slice;
use std::str::FromStr;

use domain::member::Code;
use domain::{
    Account, DeviceClass, DeviceId, InvalidId, KeyThumbprint, PartnerId, Plan, ProfileId, RuleId,
    SecurityLevel, SeriesId, Tag, Territory, TitleId,
};

use super::Moment;
use crate::policy::read::nearest;

/// How many ids one range stands for, and how often something happens, at most.
const RANGE_MAX: u32 = 20_000;

#[derive(Debug, Clone)]
pub(super) struct Sentence {
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) at: Moment,
    /// More than one are decided together.
    pub(super) clauses: Vec<Clause>,
    /// How often it happened, one time after the other.
    pub(super) times: u32,
    /// For this request only.
    pub(super) facts: Vec<FactChange>,
}

#[derive(Debug, Clone)]
pub(super) enum Clause {
    /// From then on.
    MemberHas(Vec<FactChange>),
    /// From then on; what a license was given stays as it is.
    CatalogueHas(Vec<TitleId>, Vec<EntryChange>),
    /// Each of the devices does it.
    Does(Vec<DeviceId>, Deed),
    /// Each of the devices does it with each of the titles.
    DoesWith(Vec<DeviceId>, Vec<TitleId>, TitleDeed),
    /// Done to the member by others.
    Befalls(Befalls),
}

#[derive(Debug, Clone)]
pub(super) enum Befalls {
    /// The facts are others from then on, and the ledger is told.
    Changes(Vec<FactChange>),
    Lapses,
    Resumes,
    RevokesMember,
    RevokesDevice(DeviceId),
    RevokesCopy(TitleId, DeviceId),
    ReleasesCopy(TitleId, DeviceId),
    Withdraws(TitleId),
    /// Whatever was allowed of the rule last.
    EndsException(RuleId),
    /// So much more of a cap, or nothing more and past a gate.
    Allows {
        rule: RuleId,
        amount: u32,
        until: Moment,
    },
}

#[derive(Debug, Clone)]
pub(super) enum Deed {
    Register { class: DeviceClass, key: Option<KeyThumbprint> },
    Leave,
    CheckIn,
}

#[derive(Debug, Clone)]
pub(super) enum TitleDeed {
    Acquire,
    /// Unattended, when the app does it by itself.
    Renew {
        automatic: bool,
    },
    Play,
    /// Tells of a play that happened then.
    Report(Moment),
    /// The DRM step of what it was given failed.
    GetNoKeys,
    /// Of the device's own copy, or of another's.
    Release(Option<DeviceId>),
}

impl Befalls {
    /// The devices and titles that it speaks of.
    pub(super) fn names(&self) -> (&[DeviceId], &[TitleId]) {
        match self {
            Self::RevokesDevice(device) => (slice::from_ref(device), &[]),
            Self::RevokesCopy(title, device) | Self::ReleasesCopy(title, device) => {
                (slice::from_ref(device), slice::from_ref(title))
            }
            Self::Withdraws(title) => (&[], slice::from_ref(title)),
            _ => (&[], &[]),
        }
    }
}

/// A fact of the member that changes; `None`: it is not known any more.
#[derive(Debug, Clone)]
pub(super) enum FactChange {
    Profile(Option<ProfileId>),
    Plan(Option<Plan>),
    Territory(Option<Territory>),
    SecurityLevel(Option<SecurityLevel>),
    Account(Option<Account>),
    MaturityLimit(Option<u16>),
    MemberSince(Option<Moment>),
    ConcurrentStreams(Option<u32>),
    ElsewhereAt(Option<Moment>),
}

impl FactChange {
    pub(super) const NAMES: [&'static str; 9] = [
        "profile",
        "plan",
        "territory",
        "security_level",
        "account",
        "maturity_limit",
        "member_since",
        "concurrent_streams",
        "elsewhere_at",
    ];

    /// An empty value takes the fact away.
    pub(super) fn new(name: &str, value: &str) -> Result<Self, String> {
        let change = match name {
            "profile" => Self::Profile(id(value, ProfileId::new)?),
            "plan" => Self::Plan(id(value, Plan::new)?),
            "territory" => Self::Territory(id(value, Territory::new)?),
            "security_level" => Self::SecurityLevel(id(value, SecurityLevel::new)?),
            "account" => Self::Account(id(value, Account::new)?),
            "maturity_limit" => Self::MaturityLimit(known(value, |it| up_to(it, u16::MAX))?),
            "member_since" => Self::MemberSince(known(value, moment)?),
            "concurrent_streams" => {
                Self::ConcurrentStreams(known(value, |it| up_to(it, u32::MAX))?)
            }
            "elsewhere_at" => Self::ElsewhereAt(known(value, moment)?),
            unknown => {
                let meant = nearest(unknown, Self::NAMES.into_iter());
                let known = format!("known are `{}`", Self::NAMES.join("`, `"));
                return Err(format!(
                    "`{unknown}` is not a fact of the member; {}",
                    meant.unwrap_or(known)
                ));
            }
        };
        Ok(change)
    }
}

/// What the catalogue says otherwise of a title; `None`: nothing any more.
#[derive(Debug, Clone)]
pub(super) enum EntryChange {
    Partner(PartnerId),
    Series(Option<SeriesId>),
    Tags(Vec<Tag>),
    MaturityRating(Option<u16>),
    Downloadable(bool),
    Offered(bool),
    AvailableFrom(Option<Moment>),
    AvailableUntil(Option<Moment>),
}

impl EntryChange {
    const NAMES: [&'static str; 8] = [
        "partner",
        "series",
        "tags",
        "maturity_rating",
        "downloadable",
        "offered",
        "available_from",
        "available_until",
    ];

    /// An empty value takes away what may be absent.
    fn new(name: &str, value: &str) -> Result<Self, String> {
        let change = match name {
            "partner" => Self::Partner(an_id(value, PartnerId::new)?),
            "series" => Self::Series(id(value, SeriesId::new)?),
            "tags" => {
                let tags = value.split(',').filter(|_| !value.is_empty());
                Self::Tags(tags.map(|tag| an_id(tag, Tag::new)).collect::<Result<_, _>>()?)
            }
            "maturity_rating" => Self::MaturityRating(known(value, |it| up_to(it, u16::MAX))?),
            "downloadable" => Self::Downloadable(flag(value)?),
            "offered" => Self::Offered(flag(value)?),
            "available_from" => Self::AvailableFrom(known(value, moment)?),
            "available_until" => Self::AvailableUntil(known(value, moment)?),
            unknown => {
                let meant = nearest(unknown, Self::NAMES.into_iter());
                let known = format!("known are `{}`", Self::NAMES.join("`, `"));
                return Err(format!(
                    "`{unknown}` is nothing that the catalogue says of a title; {}",
                    meant.unwrap_or(known)
                ));
            }
        };
        Ok(change)
    }
}

/// Reads a sentence; the error says what is wrong with it and how it would be right.
pub(super) fn parse(text: &str, line: usize) -> Result<Sentence, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (said, facts) = match words.iter().position(|word| *word == "with") {
        Some(with) => (words.get(..with), words.get(with + 1..)),
        None => (words.get(..), None),
    };
    let (said, times) = match said {
        Some([said @ .., times, "times"]) => (Some(said), number(times)?),
        said => (said, 1),
    };
    let Some(([at, said @ ..], false)) = said.map(|said| (said, said.len() < 2)) else {
        return Err(format!("says nothing; {HOW}"));
    };
    let at = moment(at)?;
    let facts = facts.map_or(Ok(Vec::new()), fact_changes)?;
    let mut clauses = Vec::new();
    let mut who = None;
    for words in said.split(|word| *word == "and") {
        clauses.push(clause(words, &mut who)?);
    }
    Ok(Sentence { line, text: text.to_owned(), at, clauses, times, facts })
}

const HOW: &str = "write when, which device and what, like `+1d phone acquires film`";

const VERBS: [&str; 9] =
    ["registers", "acquires", "renews", "plays", "reports", "releases", "gets", "checks", "is"];

/// The plural is for several devices.
fn verb(word: &str) -> Option<&'static str> {
    let word = if word == "are" { "is" } else { word };
    VERBS.into_iter().find(|verb| *verb == word || verb.strip_suffix('s') == Some(word))
}

/// `who`: the devices of the clause before, for a clause that names none.
fn clause<'a>(words: &[&'a str], who: &mut Option<&'a str>) -> Result<Clause, String> {
    match words {
        ["member", "has", facts @ ..] => return Ok(Clause::MemberHas(fact_changes(facts)?)),
        ["catalogue", "has", titles, changes @ ..] => {
            let example = "downloadable=false";
            let changes = named(changes, "what the catalogue says", example, EntryChange::new)?;
            return Ok(Clause::CatalogueHas(ids(titles, TitleId::new)?, changes));
        }
        ["member" | "membership" | "operator" | "catalogue", ..] => {
            return befalls(words).map(Clause::Befalls);
        }
        _ => {}
    }
    let (subject, said) = match (words, *who) {
        ([first, ..], Some(who)) if verb(first).is_some() => (who, words),
        ([subject, said @ ..], _) if !said.is_empty() => (*subject, said),
        _ => return Err(format!("`{}` is not a whole sentence; {HOW}", words.join(" "))),
    };
    *who = Some(subject);
    does(ids(subject, DeviceId::new)?, said)
}

fn befalls(words: &[&str]) -> Result<Befalls, String> {
    let befalls = match words {
        ["member", "changes", "to", facts @ ..] => Befalls::Changes(fact_changes(facts)?),
        ["membership", "lapses"] => Befalls::Lapses,
        ["membership", "resumes"] => Befalls::Resumes,
        ["operator", "revokes", "member"] => Befalls::RevokesMember,
        ["operator", "revokes", "device", device] => {
            Befalls::RevokesDevice(an_id(device, DeviceId::new)?)
        }
        ["operator", "revokes", title, "of", device] => {
            Befalls::RevokesCopy(an_id(title, TitleId::new)?, an_id(device, DeviceId::new)?)
        }
        ["operator", "releases", title, "of", device] => {
            Befalls::ReleasesCopy(an_id(title, TitleId::new)?, an_id(device, DeviceId::new)?)
        }
        ["operator", "withdraws", title] => Befalls::Withdraws(an_id(title, TitleId::new)?),
        ["operator", "allows", amount, "more", "of", rule, "until", until] => Befalls::Allows {
            rule: an_id(rule, RuleId::new)?,
            amount: number(amount)?,
            until: moment(until)?,
        },
        ["operator", "ends", "exception", "of", rule] => {
            Befalls::EndsException(an_id(rule, RuleId::new)?)
        }
        ["operator", "opens", rule, "until", until] => {
            Befalls::Allows { rule: an_id(rule, RuleId::new)?, amount: 0, until: moment(until)? }
        }
        _ => {
            return Err(format!(
                "`{}` is not understood; write `member has FACT=VALUE`, `member changes to \
                 FACT=VALUE`, `catalogue has TITLE FIELD=VALUE`, `membership lapses`, `membership resumes`, `operator revokes \
                 member`, `operator revokes device DEVICE`, `operator revokes TITLE of DEVICE`, \
                 `operator releases TITLE of DEVICE`, `operator withdraws TITLE`, `operator allows \
                 NUMBER more of CAP until TIME`, `operator opens GATE until TIME` or `operator ends \
                 exception of RULE`",
                words.join(" ")
            ));
        }
    };
    Ok(befalls)
}

fn does(devices: Vec<DeviceId>, said: &[&str]) -> Result<Clause, String> {
    let [word, rest @ ..] = said else { return Err(HOW.to_owned()) };
    let Some(verb) = verb(word) else {
        let meant = nearest(word, VERBS.into_iter());
        return Err(format!(
            "`{word}` is nothing that a device does; {}",
            meant.unwrap_or_else(|| usages(""))
        ));
    };
    let title_deed = match (verb, rest) {
        ("registers", ["as", class, keyed @ ..]) => {
            let key = match keyed {
                [] => None,
                ["keyed", key] => id(key, KeyThumbprint::new)?,
                _ => return Err(not_understood(said, verb)),
            };
            let class = device_class(class)?;
            return Ok(Clause::Does(devices, Deed::Register { class, key }));
        }
        ("is", ["removed"]) => return Ok(Clause::Does(devices, Deed::Leave)),
        ("checks", ["in"]) => return Ok(Clause::Does(devices, Deed::CheckIn)),
        ("acquires", [_]) => TitleDeed::Acquire,
        ("renews", [_]) => TitleDeed::Renew { automatic: false },
        ("renews", [_, "automatically"]) => TitleDeed::Renew { automatic: true },
        ("plays", [_]) => TitleDeed::Play,
        ("reports", [_, "played", at]) => TitleDeed::Report(moment(at)?),
        ("gets", ["no", "keys", "for", _]) => TitleDeed::GetNoKeys,
        ("releases", [_]) => TitleDeed::Release(None),
        ("releases", [_, "of", device]) => TitleDeed::Release(id(device, DeviceId::new)?),
        _ => return Err(not_understood(said, verb)),
    };
    let title = match title_deed {
        TitleDeed::GetNoKeys => rest.last(),
        _ => rest.first(),
    };
    let titles = ids(title.copied().unwrap_or_default(), TitleId::new)?;
    Ok(Clause::DoesWith(devices, titles, title_deed))
}

fn not_understood(said: &[&str], verb: &str) -> String {
    format!("`{}` is not understood; {}", said.join(" "), usages(verb))
}

/// How sentences with that verb are written; all, without one.
fn usages(verb: &str) -> String {
    const USAGES: [&str; 9] = [
        "registers as CLASS [keyed KEY]",
        "acquires TITLE",
        "renews TITLE [automatically]",
        "plays TITLE",
        "reports TITLE played TIME",
        "releases TITLE [of DEVICE]",
        "gets no keys for TITLE",
        "checks in",
        "is removed",
    ];
    let usages: Vec<_> = USAGES.into_iter().filter(|usage| usage.starts_with(verb)).collect();
    format!("write `{}`", usages.join("`, `"))
}

fn fact_changes(words: &[&str]) -> Result<Vec<FactChange>, String> {
    named(words, "a fact", "plan=premium", FactChange::new)
}

/// At least one `NAME=VALUE`.
fn named<T>(
    words: &[&str],
    what: &str,
    example: &str,
    new: fn(&str, &str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let one = |word: &&str| {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!("`{word}` is not {what}; write it like `{example}`"));
        };
        new(name, value)
    };
    if words.is_empty() {
        return Err(format!("names nothing; write {what} like `{example}`"));
    }
    words.iter().map(one).collect()
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither `true` nor `false`"))
}

fn number(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| *number <= RANGE_MAX);
    number.ok_or_else(|| format!("`{text}` is not a number from 0 to {RANGE_MAX}"))
}

pub(super) fn moment(text: &str) -> Result<Moment, String> {
    text.parse().map_err(|_| {
        format!(
            "`{text}` is not a time; write how long after the start, like `+30d` or `+30d-1ms`, \
             or an instant like `2026-03-01T12:00:00Z`"
        )
    })
}

fn device_class(text: &str) -> Result<DeviceClass, String> {
    DeviceClass::named(text).ok_or_else(|| {
        let known = DeviceClass::ALL.map(DeviceClass::name);
        let meant = nearest(text, known.into_iter());
        let known = format!("known are `{}`", known.join("`, `"));
        format!("`{text}` is not a device class; {}", meant.unwrap_or(known))
    })
}

fn id<T>(text: &str, new: fn(&str) -> Result<T, InvalidId>) -> Result<Option<T>, String> {
    known(text, |text| an_id(text, new))
}

/// What is empty is not known.
fn known<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn up_to<T: FromStr + Display>(text: &str, max: T) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number from 0 to {max}"))
}

fn an_id<T>(text: &str, new: fn(&str) -> Result<T, InvalidId>) -> Result<T, String> {
    new(text).map_err(|error| format!("`{}` is no id: {error}", text.escape_debug()))
}

/// One id, or those of a range: `t1..t100`.
pub(super) fn ids<T>(text: &str, new: fn(&str) -> Result<T, InvalidId>) -> Result<Vec<T>, String> {
    let Some((prefix, from, to)) = range(text) else {
        return Ok(vec![an_id(text, new)?]);
    };
    if to < from || to - from >= RANGE_MAX {
        return Err(format!(
            "`{text}` stands for no ids, or too many; count up, and to {RANGE_MAX} at most"
        ));
    }
    (from..=to).map(|number| an_id(&format!("{prefix}{number}"), new)).collect()
}

fn range(text: &str) -> Option<(&str, u32, u32)> {
    let (from, to) = text.split_once("..")?;
    let digits =
        |text: &str| text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (prefix, first) = from.split_at(from.len() - digits(from));
    let last = to.strip_prefix(prefix)?;
    Some((prefix, first.parse().ok()?, last.parse().ok()?))
}

/// A code by the name that refusals bear.
pub(super) fn code(name: &str) -> Option<Code> {
    Code::ALL.into_iter().find(|code| code.name() == name)
}
