//! What a member is told: in the policy's words, where it has some in a language that the caller
//! wants, else in ours.

use std::borrow::Cow;

use codec::policy::texts::{Parameter, Topic, Value};
use domain::member::{
    CapFinding, CapState, Command, Finding, License, Refused, Remedy, RemedyAction,
};
use domain::{DeviceId, Policy, Timestamp, TitleId};

use crate::language::say;
use crate::wire::license::Status;
use crate::words::{self, Names, Subject};

/// Why one command of the request does not pass.
pub(crate) fn finding(finding: &Finding, refused: &Refused, names: Names<'_>) -> String {
    let command = refused.commands.get(usize::from(finding.command));
    let (device, title) = command.map(|command| subject(command, names)).unwrap_or_default();
    let count = |count: fn(&CapFinding) -> u32| finding.cap.as_ref().map(count).map(Value::Number);
    let value = |parameter| match parameter {
        Parameter::Title => title.map(Value::Text),
        Parameter::Device => device.map(Value::Text),
        Parameter::Plan => refused.facts.plan.as_ref().map(|plan| Value::Text(plan.as_str())),
        Parameter::Territory => {
            refused.facts.territory.as_ref().map(|territory| Value::Text(territory.as_str()))
        }
        Parameter::Tag => {
            let tag = finding.cap.as_ref().and_then(|cap| cap.tag.as_ref());
            tag.map(|tag| Value::Text(tag.as_str()))
        }
        Parameter::Limit => count(|cap| cap.limit),
        Parameter::Used => count(|cap| cap.used),
        Parameter::FreesAt => finding.frees_at.map(Value::Instant),
        Parameter::RetryAt => refused.retry_at.map(Value::Instant),
        Parameter::Left | Parameter::More | Parameter::EndsAt => None,
    };
    say(Topic::Refused(finding.code), finding.rule.as_ref(), value)
        .unwrap_or_else(|| words::finding(finding, command, names))
}

/// The names of device and title that a command is about.
fn subject<'a>(command: &'a Command, names: Names<'a>) -> (Option<&'a str>, Option<&'a str>) {
    let device = |id: &'a DeviceId| Some(names.device(id));
    let title = |id: &'a TitleId| Some(names.title(id));
    let of = |license| names.member.license(license).and_then(|license| title(&license.title));
    match command {
        Command::RegisterDevice { name, .. } if !name.is_empty() => (Some(name), None),
        Command::RegisterDevice { device: id, .. } | Command::RemoveDevice { device: id } => {
            (device(id), None)
        }
        Command::Acquire { device: id, title: of, .. } => (device(id), title(of)),
        Command::Renew { device: id, license, .. } => (device(id), of(license)),
        Command::Release { by, license } => (by.as_ref().and_then(device), of(license)),
        _ => (None, None),
    }
}

/// What is left of a cap, along with a yes.
pub(crate) fn left(
    cap: &CapState,
    subject: Subject<'_>,
    policy: &Policy,
    at: Timestamp,
    names: Names<'_>,
) -> String {
    let value = |parameter| match parameter {
        Parameter::Limit => Some(Value::Number(cap.limit)),
        Parameter::Used => Some(Value::Number(cap.used)),
        Parameter::Left => Some(Value::Number(cap.left())),
        Parameter::Device => Some(Value::Text(names.device(subject.device))),
        Parameter::Title => subject.title.map(|(title, _)| Value::Text(names.title(title))),
        Parameter::Tag => cap.tag.as_ref().map(|tag| Value::Text(tag.as_str())),
        Parameter::FreesAt => cap.frees_at.map(Value::Instant),
        _ => None,
    };
    say(Topic::CapLeft, Some(&cap.rule), value)
        .unwrap_or_else(|| words::left(cap, subject, policy, at, names))
}

/// What helps, as the text of a button.
pub(crate) fn remedy(remedy: &Remedy, names: Names<'_>) -> String {
    let english = || words::remedy(remedy, names);
    let Some((first, others)) = remedy.actions.split_first() else { return english() };
    let (topic, device, title) = match first {
        RemedyAction::Release { device, title, .. } => (Topic::RemedyRelease, device, Some(title)),
        RemedyAction::RemoveDevice { device } => (Topic::RemedyRemoveDevice, device, None),
    };
    let more = u32::try_from(others.len()).ok().filter(|more| *more > 0);
    let value = |parameter| match parameter {
        Parameter::Device => Some(Value::Text(names.device(device))),
        Parameter::Title => title.map(|title| Value::Text(names.title(title))),
        Parameter::More => more.map(Value::Number),
        _ => None,
    };
    say(topic, None, value).unwrap_or_else(english)
}

/// How a license stands, in a sentence.
pub(crate) fn status(license: &License, at: Timestamp) -> Cow<'static, str> {
    let topic = match Status::of(license, at) {
        Status::Ready => Topic::LicenseReady,
        Status::Active => Topic::LicenseActive,
        Status::Returned => Topic::LicenseReturned,
        Status::Revoked => Topic::LicenseRevoked,
        Status::Cancelled => Topic::LicenseCancelled,
        Status::Expired => Topic::LicenseExpired,
    };
    let ends_at = license.term().end().map(|(at, _)| Value::Instant(at));
    let value = |parameter| ends_at.clone().filter(|_| parameter == Parameter::EndsAt);
    say(topic, None, value).map_or(Cow::Borrowed(words::status(license, at)), Cow::Owned)
}
