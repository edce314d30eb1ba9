//! What is left of a cap, as a member is told along with a yes: `1 more download of “Harbour
//! Lights” before 3 March.`

use std::fmt::{self, Write as _};

use domain::member::CapState;
use domain::policy::{Counts, Effective, Policy, Window};
use domain::time::Zone;
use domain::{DeviceId, RuleId, Timestamp, TitleFacts, TitleId};
use jiff::tz::TimeZone;

use super::{Names, kind, scope};

/// Most are shorter.
const SENTENCE_BYTES_USUAL: usize = 96;

/// What was asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub device: &'a DeviceId,
    pub title: Option<(&'a TitleId, &'a TitleFacts)>,
}

/// Dates are those of the cap's own calendar, else of UTC.
pub(crate) fn left(
    state: &CapState,
    subject: Subject<'_>,
    policy: &Policy,
    at: Timestamp,
    names: Names<'_>,
) -> String {
    let n = state.left();
    let of = scope(&state.per, Some(subject.device), subject.title.map(|(id, _)| id), names);
    let before = || before(state.frees_at, at, zone(policy, subject, &state.rule));
    match state.counts {
        Counts::ActiveLicenses => sentence(format_args!("room for {}{of}", more(n, "download"))),
        Counts::DistinctTitles if state.window.is_none() => {
            sentence(format_args!("room for {}{of}", more(n, "title")))
        }
        Counts::DistinctTitles => sentence(format_args!("{}{of}{}", more(n, "title"), before())),
        Counts::DevicesHolding => {
            sentence(format_args!("{} may have downloads{of}", more(n, "device")))
        }
        Counts::DevicesRegistered => {
            sentence(format_args!("{} may be registered{of}", more(n, "device")))
        }
        Counts::Events(kinds) => {
            let whats = fmt::from_fn(|f| {
                kinds.iter().enumerate().try_for_each(|(position, of)| {
                    let or = if position == 0 { "" } else { " or " };
                    let whats = kind(of);
                    let what = if n == 1 { whats.trim_end_matches('s') } else { whats };
                    write!(f, "{or}{what}")
                })
            });
            sentence(format_args!("{} {whats}{of}{}", how_many_more(n), before()))
        }
    }
}

fn more(n: u32, what: &str) -> impl fmt::Display {
    let s = if n == 1 { "" } else { "s" };
    fmt::from_fn(move |f| write!(f, "{} {what}{s}", how_many_more(n)))
}

fn how_many_more(n: u32) -> impl fmt::Display {
    fmt::from_fn(move |f| match n {
        0 => f.write_str("no more"),
        n => write!(f, "{n} more"),
    })
}

/// One allocation: a yes has as many sentences as there are caps.
fn sentence(words: fmt::Arguments<'_>) -> String {
    let mut text = String::with_capacity(SENTENCE_BYTES_USUAL);
    let _ = write!(text, "{words}.");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Of the calendar that the cap goes by.
fn zone<'a>(policy: &'a Policy, subject: Subject<'a>, rule: &RuleId) -> Option<&'a Zone> {
    let rules = match subject.title {
        Some((title, facts)) => Effective::new(policy, title, facts),
        None => Effective::without_title(policy),
    };
    let (_, cap) = rules.caps().find(|(_, cap)| cap.id == *rule)?;
    match &cap.window {
        Window::Calendar(_, zone) | Window::Anniversary(_, _, zone) => Some(zone),
        _ => None,
    }
}

/// ` before 3 March`, with the year where it is another, and the time where it is today.
fn before(frees_at: Option<Timestamp>, at: Timestamp, zone: Option<&Zone>) -> impl fmt::Display {
    let zone = zone.map_or(TimeZone::UTC, |zone| zone.time_zone().clone());
    fmt::from_fn(move |f| {
        let Some(frees_at) = frees_at else { return Ok(()) };
        let (frees_at, at) = (instant(frees_at), instant(at));
        let (then, now) = (zone.to_datetime(frees_at).date(), zone.to_datetime(at).date());
        let (day, month) = (then.day(), month(then));
        match (then == now, then.year() == now.year()) {
            (true, _) => {
                write!(f, " before {}", frees_at.to_zoned(zone.clone()).strftime("%H:%M %Z"))
            }
            (false, true) => write!(f, " before {day} {month}"),
            (false, false) => write!(f, " before {day} {month} {}", then.year()),
        }
    })
}

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
}

fn month(date: jiff::civil::Date) -> &'static str {
    match date.month() {
        1 => "January",
        2 => "February",
        3 => "March",
        4 => "April",
        5 => "May",
        6 => "June",
        7 => "July",
        8 => "August",
        9 => "September",
        10 => "October",
        11 => "November",
        _ => "December",
    }
}

#[cfg(test)]
mod tests;
