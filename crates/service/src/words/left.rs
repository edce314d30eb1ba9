//! What is left of a cap, as a member is told along with a yes: `1 more download of “Harbour
//! Lights” before 3 March.`

use domain::member::CapState;
use domain::policy::{Counts, Effective, Policy, Window};
use domain::time::Zone;
use domain::{DeviceId, RuleId, Timestamp, TitleFacts, TitleId};
use jiff::tz::TimeZone;

use super::{Names, kind, number, scope};

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
    let before = || {
        let zone = zone(policy, subject, &state.rule);
        state.frees_at.map(|frees_at| before(frees_at, at, zone)).unwrap_or_default()
    };
    match state.counts {
        Counts::ActiveLicenses => format!("Room for {}{of}.", more(n, "download")),
        Counts::DistinctTitles if state.window.is_none() => {
            format!("Room for {}{of}.", more(n, "title"))
        }
        Counts::DistinctTitles => sentence(&format!("{}{of}{}", more(n, "title"), before())),
        Counts::DevicesHolding => {
            sentence(&format!("{} may have downloads{of}", more(n, "device")))
        }
        Counts::DevicesRegistered => {
            sentence(&format!("{} may be registered{of}", more(n, "device")))
        }
        Counts::Events(kinds) => {
            let one_of = |kinds: Vec<&str>| kinds.join(" or ");
            let what = one_of(kinds.iter().map(|of| kind(of).trim_end_matches('s')).collect());
            let whats = one_of(kinds.iter().map(kind).collect());
            let more = match n {
                0 => format!("no more {whats}"),
                n => number(n, &format!("more {what}"), &format!("more {whats}")),
            };
            sentence(&format!("{more}{of}{}", before()))
        }
    }
}

fn more(n: u32, what: &str) -> String {
    match n {
        0 => format!("no more {what}s"),
        n => number(n, &format!("more {what}"), &format!("more {what}s")),
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
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
fn before(frees_at: Timestamp, at: Timestamp, zone: Option<&Zone>) -> String {
    let zone = zone.and_then(|zone| TimeZone::get(zone.name()).ok()).unwrap_or(TimeZone::UTC);
    let civil = |at: Timestamp| {
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        at.to_zoned(zone.clone())
    };
    let (then, now) = (civil(frees_at), civil(at));
    let format = match (then.date() == now.date(), then.year() == now.year()) {
        (true, _) => " before %H:%M %Z",
        (false, true) => " before %-d %B",
        (false, false) => " before %-d %B %Y",
    };
    then.strftime(format).to_string()
}

#[cfg(test)]
mod tests;
