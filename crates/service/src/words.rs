//! What a member is told where the policy has no words of its own: the English sentences behind the
//! codes.
//!
//! The only file with prose for members. A code without a sentence does not compile.

use std::fmt;

use domain::member::{
    CapFinding, ClosedWhy, Code, Command, CountedKind, Finding, License, Member, Remedy,
    RemedyAction,
};
use domain::policy::{Counts, Kinds, ScopeKey};
use domain::{DeviceId, Timestamp, TitleId};
use playback::Catalogue;

mod left;

pub(crate) use left::{Subject, left};

/// Where ids get the names that people gave to things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub catalogue: &'a Catalogue,
    pub member: &'a Member,
}

impl<'a> Names<'a> {
    pub(crate) fn title(&self, id: &'a TitleId) -> &'a str {
        self.catalogue.title(id).map_or(id.as_str(), |title| &title.name)
    }

    pub(crate) fn device(&self, id: &'a DeviceId) -> &'a str {
        let name = self.member.devices.get(id).map(|device| device.name.as_str());
        name.filter(|name| !name.is_empty()).unwrap_or(id.as_str())
    }
}

/// Why one command does not pass.
pub(crate) fn finding(finding: &Finding, command: Option<&Command>, names: Names<'_>) -> String {
    let fixed = match finding.code {
        Code::DeviceUnknown => "This device is not registered.",
        Code::DeviceRemoved => {
            "This device was removed from the account. Register it again to use it."
        }
        Code::MemberRevoked => "This account may not download.",
        Code::MembershipLapsed => "Your membership has ended. Resume it to download.",
        Code::DeviceRevoked => "This device may not be used any more.",
        Code::DeviceLeaving => {
            "Your plan has fewer devices now, and this one leaves. Downloads on it end soon."
        }
        Code::RuleUnknown => "The policy has no such rule.",
        Code::ExceptionOver => "The exception would be over at once.",
        Code::ExceptionUnknown => "There is no such exception.",
        Code::DeviceKeyMismatch => "Another device is registered under this id.",
        Code::LicenseUnknown => "This download is not known.",
        Code::LicenseClosed => closed(command, names),
        Code::LicenseOfOtherDevice => "This download belongs to another device.",
        Code::TermUnknown => "The app names a renewal that has not happened.",
        Code::TitleUnknown => "This title is not in the catalogue.",
        Code::RenewalTooEarly => "It is too early to renew this download.",
        Code::RenewalTooLate => "It is too late to renew this download. Download the title again.",
        Code::RenewalsExhausted => "This download was renewed as often as it may be.",
        Code::AutoRenewalTooSoon => "This download was renewed by itself a short while ago.",
        Code::TermOverAtBirth => "The title leaves before the download could be played.",
        Code::TitleNotOffered => "This title is not offered where you are.",
        Code::TitleNotYetAvailable => "This title is not available yet.",
        Code::TitleNoLongerAvailable => "This title is no longer available.",
        Code::TitleNotDownloadable => "This title cannot be downloaded. You can stream it.",
        Code::PlanNotAllowed => "Your plan does not include this download.",
        Code::TerritoryNotAllowed => "This title cannot be downloaded where you are.",
        Code::DeviceClassNotAllowed => "This title cannot be downloaded to this kind of device.",
        Code::SecurityLevelNotAllowed => "This device does not protect this title well enough.",
        Code::AccountNotAllowed => "This kind of account does not include this download.",
        Code::MaturityNotAllowed => "This title is not for this profile.",
        Code::TooManyStreams => "Too many streams are running. Stop one to download.",
        Code::DeviceElsewhere => "This device was with another account a short while ago.",
        Code::CapReached => {
            let cap = finding.cap.as_ref();
            return cap.map_or_else(
                || "A limit on downloads is reached.".to_owned(),
                |cap| cap_reached(cap, command, names) + &by_exception(cap.raised),
            );
        }
    };
    fixed.to_owned()
}

/// Why the license is closed that a renewal is for.
fn closed(command: Option<&Command>, names: Names<'_>) -> &'static str {
    let license = match command {
        Some(Command::Renew { license, .. }) => names.member.license(license),
        _ => None,
    };
    let closed = license.and_then(|license| Some((license, license.closed?.at)));
    closed.map_or("This download was given back.", |(license, at)| status(license, at))
}

fn by_exception(raised: u32) -> String {
    match raised {
        0 => String::new(),
        raised => format!(" {} by exception.", number(raised, "of these is", "of these are")),
    }
}

fn cap_reached(cap: &CapFinding, command: Option<&Command>, names: Names<'_>) -> String {
    let CapFinding { counts, per, limit, used, .. } = cap;
    let (device, title) = asked_about(command, names);
    let of = scope(per, device, title, names);
    if *limit == 0 {
        return match counts {
            Counts::DevicesRegistered => format!("Your plan has no devices{of}."),
            Counts::Events(kinds) if kinds.contains(CountedKind::DeviceRemoved) => {
                format!("No devices can be removed{of}.")
            }
            counts if counts.is_of_devices() => format!("No devices can be added{of}."),
            Counts::Events(kinds) if *kinds == Kinds::of(&[CountedKind::Renewed]) => {
                format!("No renewals are allowed{of}.")
            }
            Counts::Events(_) => format!("No new downloads are allowed{of}."),
            _ => format!("Your plan has no downloads{of}."),
        };
    }
    let within = if cap.window.is_some() { " in this period" } else { "" };
    match counts {
        Counts::DevicesHolding => {
            let devices = number(*used, "device", "devices");
            format!("Downloads are already on {devices}{of}, and {limit} may have them.")
        }
        Counts::ActiveLicenses => {
            let downloads = number(*used, "download", "downloads");
            format!("You keep {downloads}{of}, and the limit is {limit}.")
        }
        Counts::DistinctTitles => {
            let titles = number(*used, "title", "titles");
            format!("Downloads of {titles}{of}{within} count, and the limit is {limit}.")
        }
        Counts::DevicesRegistered => {
            let devices = number(*used, "device is", "devices are");
            format!("{devices} registered{of}, and the limit is {limit}.")
        }
        Counts::Events(kinds) => {
            let what: Vec<&str> = kinds.iter().map(kind).collect();
            format!("{used} of {limit} {}{of}{within} are used.", what.join(" and "))
        }
    }
}

fn kind(kind: CountedKind) -> &'static str {
    match kind {
        CountedKind::Acquired => "downloads",
        CountedKind::Renewed => "renewals",
        CountedKind::FirstPlayed => "first plays",
        CountedKind::Played => "plays",
        CountedKind::DeviceRegistered => "device registrations",
        CountedKind::DeviceSwapped => "device swaps",
        CountedKind::DeviceRemoved => "device removals",
    }
}

fn asked_about<'a>(
    command: Option<&'a Command>,
    names: Names<'a>,
) -> (Option<&'a DeviceId>, Option<&'a TitleId>) {
    match command {
        Some(Command::Acquire { device, title, .. }) => (Some(device), Some(title)),
        Some(Command::Renew { device, license, .. }) => {
            (Some(device), names.member.license(license).map(|license| &license.title))
        }
        _ => (None, None),
    }
}

/// ` on “Ana's phone”`, ` of “Harbour Lights”`: what splits the count.
fn scope<'a>(
    per: &'a [ScopeKey],
    device: Option<&'a DeviceId>,
    title: Option<&'a TitleId>,
    names: Names<'a>,
) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        per.iter().try_for_each(|key| match key {
            ScopeKey::Profile => f.write_str(" on this profile"),
            ScopeKey::Device => match device {
                Some(id) => write!(f, " on “{}”", names.device(id)),
                None => f.write_str(" on this device"),
            },
            ScopeKey::DeviceClass => f.write_str(" on devices of this kind"),
            ScopeKey::Partner => f.write_str(" from this studio"),
            ScopeKey::Series => f.write_str(" of this series"),
            ScopeKey::Title => match title {
                Some(id) => write!(f, " of “{}”", names.title(id)),
                None => f.write_str(" of this title"),
            },
            ScopeKey::Tag => f.write_str(" of this kind"),
        })
    })
}

fn number<'a>(n: u32, one: &'a str, many: &'a str) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| write!(f, "{n} {}", if n == 1 { one } else { many }))
}

/// What helps, as the text of a button.
pub(crate) fn remedy(remedy: &Remedy, names: Names<'_>) -> String {
    let mut actions = remedy.actions.iter().map(|action| match action {
        RemedyAction::Release { device, title, .. } => {
            format!("“{}” from “{}”", names.title(title), names.device(device))
        }
        RemedyAction::RemoveDevice { device } => format!("“{}”", names.device(device)),
    });
    match (actions.next(), actions.len()) {
        (Some(first), 0) => format!("Remove {first}"),
        (Some(first), more) => {
            format!("Remove {first} and {}", number(count(more), "more", "more"))
        }
        (None, _) => "Try again".to_owned(),
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// How a license stands, in a sentence.
pub(crate) fn status(license: &License, at: Timestamp) -> &'static str {
    match license.closed.map(|closed| closed.why) {
        Some(ClosedWhy::Released) => "This download was given back.",
        Some(ClosedWhy::NeverStarted) => "This download was never started in time.",
        Some(ClosedWhy::Replaced) => "This title was downloaded anew.",
        Some(ClosedWhy::Revoked) => "This download was taken back.",
        Some(ClosedWhy::Withdrawn) => "This title is no longer offered.",
        Some(ClosedWhy::DeviceRemoved) => "The device was removed from the account.",
        None if license.held(at) && license.term().first_play.is_some() => "Ready to play on.",
        None if license.held(at) => "Ready to play.",
        None => "The time of this download is over.",
    }
}

#[cfg(test)]
mod tests;
