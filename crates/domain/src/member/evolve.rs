//! Folds what happened into the member. Records, never judges: whatever is in the log did happen.

use std::collections::BTreeMap;
use std::sync::Arc;

use litemap::LiteMap;

use crate::facts::DeviceClass;
use crate::ids::{DeviceId, KeyThumbprint, LicenseId};
use crate::member::history::{Counted, CountedKind, DeviceCounted};
use crate::member::term::RunningTerm;
use crate::member::{
    Acquired, Cause, CheckInMoved, Closed, ClosedWhy, Cuts, Device, DeviceDecided, Effect, Event,
    EventBody, Exception, Held, Leaving, License, Member, Notice, Play, Ranges, Refused,
    Remembered, Renewed, Target,
};
use crate::time::{Duration, Timestamp};

/// How long an accepted request is remembered by its idempotency key.
pub const IDEMPOTENCY_KEPT: Duration = Duration::hours(48);

/// For how long an identical refusal is not recorded again.
pub const REFUSALS_KEPT: Duration = Duration::minutes(10);

pub fn evolve(mut member: Member, event: &Event) -> Member {
    follow(&mut member, event);
    member
}

/// [`evolve`] in place, for a state that is folded over and over.
#[expect(clippy::too_many_lines, reason = "one match over the kinds of events")]
pub fn follow(member: &mut Member, event: &Event) {
    let Event { at, cause, body } = event;
    member.last_at = *at;
    let effect = match body {
        EventBody::DeviceRegistered { device, class, key, name, decided } => {
            let class = *class;
            device_registered(member, *at, device, class, key, name);
            count_device(member, CountedKind::DeviceRegistered, *at, device, decided);
            if let Some(vacancies) = member.vacancies.checked_sub(1) {
                member.vacancies = vacancies;
                count_device(member, CountedKind::DeviceSwapped, *at, device, decided);
            }
            Some(Effect::DeviceRegistered)
        }
        EventBody::DeviceRemoved { device, decided } => {
            member.vacancies = member.vacancies.saturating_add(1);
            count_device(member, CountedKind::DeviceRemoved, *at, device, decided);
            Some(device_removed(member, *at, device))
        }
        EventBody::Acquired(acquired) => Some(self::acquired(member, *at, acquired)),
        EventBody::Reissued { license: id, term, .. } => {
            if let Some(license) = license_mut(member, id) {
                license.deliveries = license.deliveries.saturating_add(1);
                let device = license.device.clone();
                seen(member, &device, *at);
            }
            Some(Effect::Held { license: id.clone(), term: *term, how: Held::Reissued })
        }
        EventBody::Renewed(renewed) => Some(self::renewed(member, *at, renewed)),
        EventBody::Released { license, by, returned, waits, policy: _ } => {
            if *returned {
                member.history.return_acquisition(license);
            }
            if let Some(by) = by {
                seen(member, by, *at);
            }
            if *waits {
                close_waiting(member, license, *at);
            } else {
                close(member, license, *at, ClosedWhy::Released);
            }
            Some(Effect::Released)
        }
        EventBody::NeverStarted { license } => {
            close(member, license, *at, ClosedWhy::NeverStarted);
            None
        }
        EventBody::CheckedIn { device, moved, facts: _, policy: _ } => {
            seen(member, device, *at);
            check_in_moved(member, moved);
            Some(Effect::CheckedIn)
        }
        EventBody::PlaysRecorded { device, sequences, plays } => {
            seen(member, device, *at);
            Some(plays_recorded(member, device, sequences, plays))
        }
        EventBody::DrmFailed { license, .. } => {
            if let Some(license) = license_mut(member, license) {
                license.deliveries = license.deliveries.saturating_sub(1);
            }
            Some(Effect::DrmFailureRecorded)
        }
        EventBody::Refused(refused) => {
            remember_refusal(member, *at, refused);
            None
        }
        EventBody::MemberChanged { leaving, facts: _, policy: _ } => {
            member_changed(member, *at, leaving);
            Some(Effect::Done)
        }
        EventBody::MembershipLapsed { ends_at, policy: _ } => {
            member.lapsed_at = Some(*at);
            for (_, license) in member.licenses.iter_mut() {
                license.cut(*at, Cuts { lapse: *ends_at, ..license.cuts });
            }
            Some(Effect::Done)
        }
        EventBody::MembershipResumed { warrant } => {
            member.revoked_at = None;
            if warrant.is_none() {
                member.lapsed_at = None;
                for (_, license) in member.licenses.iter_mut() {
                    license.cut(*at, Cuts { lapse: None, ..license.cuts });
                }
            }
            Some(Effect::Done)
        }
        EventBody::Revoked { target, warrant: _ } => {
            let closed = revoked(member, *at, target);
            Some(Effect::Closed { closed })
        }
        EventBody::TitleWithdrawn { title } => {
            let closed =
                close_all(member, *at, ClosedWhy::Withdrawn, |license| license.title == *title);
            Some(Effect::Closed { closed })
        }
        EventBody::ExceptionGranted { exception, allowance, warrant } => {
            member.exceptions.retain(|_, exception| *at < exception.allowance.until);
            let (allowance, warrant) = (allowance.clone(), warrant.clone());
            let granted = Exception { allowance, warrant, granted_at: *at };
            member.exceptions.insert(exception.clone(), granted);
            Some(Effect::ExceptionGranted { exception: exception.clone() })
        }
        EventBody::ExceptionEnded { exception, warrant: _ } => {
            member.exceptions.remove(exception);
            Some(Effect::Done)
        }
    };
    remember(member, *at, cause, effect);
}

fn license_mut<'a>(member: &'a mut Member, id: &LicenseId) -> Option<&'a mut License> {
    match member.licenses.get_mut(id) {
        Some(license) => Some(license),
        None => member.past.get_mut(id),
    }
}

fn close(member: &mut Member, id: &LicenseId, at: Timestamp, why: ClosedWhy) {
    if let Some(mut license) = member.licenses.remove(id).or_else(|| member.past.remove(id)) {
        license.closed.get_or_insert(Closed { at, why, waits: false }).waits = false;
        member.past.insert(id.clone(), license);
    }
}

/// Closed, and counted until its own device has confirmed or can no longer play.
fn close_waiting(member: &mut Member, id: &LicenseId, at: Timestamp) {
    if let Some(license) = member.licenses.get_mut(id) {
        let why = ClosedWhy::Released;
        license.closed.get_or_insert(Closed { at, why, waits: true });
    } else {
        close(member, id, at, ClosedWhy::Released);
    }
}

/// Closes what is open and ends what waits; says which counted until now.
fn close_all(
    member: &mut Member,
    at: Timestamp,
    why: ClosedWhy,
    which: impl Fn(&License) -> bool,
) -> Vec<LicenseId> {
    let closes =
        |license: &License| which(license) && (license.closed.is_none() || license.waits());
    let matching = |licenses: &LiteMap<LicenseId, License>| -> Vec<LicenseId> {
        let matching = licenses.iter().filter(|(_, license)| closes(license));
        matching.map(|(id, _)| id.clone()).collect()
    };
    let closed = matching(&member.licenses);
    // Over but never closed: nothing frees, but no renewal brings them back either.
    let over = matching(&member.past);
    for license in closed.iter().chain(&over) {
        close(member, license, at, why);
    }
    closed
}

fn revoked(member: &mut Member, at: Timestamp, target: &Target) -> Vec<LicenseId> {
    match target {
        Target::License(id) => {
            close(member, id, at, ClosedWhy::Revoked);
            vec![id.clone()]
        }
        Target::Device(id) => {
            if let Some(device) = member.devices.get_mut(id) {
                device.removed_at.get_or_insert(at);
                device.revoked = true;
            }
            close_all(member, at, ClosedWhy::Revoked, |license| license.device == *id)
        }
        Target::Member => {
            member.revoked_at = Some(at);
            close_all(member, at, ClosedWhy::Revoked, |_| true)
        }
    }
}

/// Notices that have not run out are void, and those given now take their place.
fn member_changed(member: &mut Member, at: Timestamp, leaving: &[Leaving]) {
    for (_, device) in member.devices.iter_mut() {
        device.notice = device.notice.filter(|notice| notice.ends_at <= at);
    }
    for Leaving { device, at: ends_at, removed } in leaving {
        if let Some(device) = member.devices.get_mut(device) {
            device.notice = Some(Notice { ends_at: *ends_at, removes: *removed });
        }
    }
    for (_, license) in member.licenses.iter_mut() {
        let leaves = leaving.iter().find(|leaving| leaving.device == license.device);
        license.cut(at, Cuts { notice: leaves.map(|leaving| leaving.at), ..license.cuts });
    }
}

fn device_registered(
    member: &mut Member,
    at: Timestamp,
    id: &DeviceId,
    class: DeviceClass,
    key: &KeyThumbprint,
    name: &str,
) {
    let reported = member.devices.get(id).map(|known| known.reported.clone()).unwrap_or_default();
    let registered = Device {
        class,
        key: key.clone(),
        name: name.to_owned(),
        registered_at: at,
        removed_at: None,
        last_seen_at: at,
        reported,
        revoked: false,
        notice: None,
    };
    member.devices.insert(id.clone(), registered);
}

fn count_device(
    member: &mut Member,
    kind: CountedKind,
    at: Timestamp,
    device: &DeviceId,
    decided: &Option<Box<DeviceDecided>>,
) {
    let Some(class) = member.devices.get(device).map(|known| known.class) else { return };
    let profile = decided.as_ref().and_then(|decided| decided.facts.profile.clone());
    member.history.push_device(DeviceCounted { kind, at, device: device.clone(), class, profile });
}

fn device_removed(member: &mut Member, at: Timestamp, id: &DeviceId) -> Effect {
    if let Some(device) = member.devices.get_mut(id) {
        device.removed_at = Some(at);
    }
    let closed = close_all(member, at, ClosedWhy::DeviceRemoved, |license| license.device == *id);
    Effect::DeviceRemoved { closed }
}

fn acquired(member: &mut Member, at: Timestamp, acquired: &Acquired) -> Effect {
    let Acquired { license: id, device, title, facts, term, replaces, policy: _, caps: _ } =
        acquired;
    if let Some(replaced) = replaces {
        close(member, replaced, at, ClosedWhy::Replaced);
    }
    // Nor can what was over before be renewed beside the new one.
    for (_, license) in member.past.iter_mut() {
        if license.title == *title && license.device == *device {
            let why = ClosedWhy::Replaced;
            license.closed.get_or_insert(Closed { at, why, waits: false }).waits = false;
        }
    }
    set_aside_what_is_over(member, at);
    seen(member, device, at);
    let license = License {
        device: device.clone(),
        title: title.clone(),
        facts: Arc::clone(facts),
        acquired_at: at,
        terms: vec![RunningTerm::new(term.clone())],
        closed: None,
        cuts: Cuts::default(),
        deliveries: 1,
    };
    let counted = counted(at, id, &license);
    member.history.push(CountedKind::Acquired, vec![counted]);
    member.licenses.insert(id.clone(), license);
    Effect::Held { license: id.clone(), term: term.number, how: Held::Acquired }
}

fn renewed(member: &mut Member, at: Timestamp, renewed: &Renewed) -> Effect {
    let Renewed { license: id, facts, term, automatic, policy: _, caps: _ } = renewed;
    if let Some(mut license) = member.licenses.remove(id).or_else(|| member.past.remove(id)) {
        license.facts = Arc::clone(facts);
        license.cuts = Cuts::default();
        let running = RunningTerm::new(term.clone());
        license.terms.push(RunningTerm { automatic: *automatic, ..running });
        license.deliveries = license.deliveries.saturating_add(1);
        seen(member, &license.device, at);
        let counted = counted(at, id, &license);
        member.history.push(CountedKind::Renewed, vec![counted]);
        member.licenses.insert(id.clone(), license);
    }
    Effect::Held { license: id.clone(), term: term.number, how: Held::Renewed }
}

fn counted(at: Timestamp, id: &LicenseId, license: &License) -> Counted {
    Counted {
        at,
        license: id.clone(),
        title: license.title.clone(),
        device: license.device.clone(),
        facts: Arc::clone(&license.facts),
    }
}

/// Keeps what is looked at with every decision short.
fn set_aside_what_is_over(member: &mut Member, at: Timestamp) {
    let over = |license: &License| license.over_for_good(at);
    let over: Vec<LicenseId> =
        member.licenses.iter().filter(|(_, l)| over(l)).map(|(id, _)| id.clone()).collect();
    for id in over {
        if let Some(license) = member.licenses.remove(&id) {
            member.past.insert(id, license);
        }
    }
    let horizon = at - member.history.horizon();
    member.past.retain(|_, license| license.over_since() > horizon);
}

fn seen(member: &mut Member, device: &DeviceId, at: Timestamp) {
    if let Some(device) = member.devices.get_mut(device) {
        device.last_seen_at = at;
    }
}

fn check_in_moved(member: &mut Member, moved: &[CheckInMoved]) {
    for CheckInMoved { license, term, check_in_by } in moved {
        let terms = license_mut(member, license).into_iter().flat_map(|l| &mut l.terms);
        for running in terms.filter(|running| running.term.number == *term) {
            running.check_in_by = Some(*check_in_by);
        }
    }
}

fn plays_recorded(
    member: &mut Member,
    device: &DeviceId,
    sequences: &[(u64, u64)],
    plays: &[Play],
) -> Effect {
    if let Some(device) = member.devices.get_mut(device) {
        let reported: &mut Ranges = &mut device.reported;
        sequences.iter().for_each(|(first, last)| reported.insert(*first, *last));
    }
    let mut played = Vec::with_capacity(plays.len());
    // The first plays of the terms that were played, as they stood before.
    let mut before: BTreeMap<(&LicenseId, u32), Option<Timestamp>> = BTreeMap::new();
    for play in plays {
        let Some(license) = license_mut(member, &play.license) else { continue };
        let entry = counted(play.occurred_at, &play.license, license);
        for running in license.terms.iter_mut().filter(|t| t.term.number == play.term) {
            // A first play was in time, whatever the device's clock said.
            let latest = running.term.start_by.map_or(Timestamp::MAX, Timestamp::just_before);
            let occurred_at = play.occurred_at.min(latest).max(running.term.started_at);
            before.entry((&play.license, play.term)).or_insert(running.first_play);
            let earliest = running.first_play.map_or(occurred_at, |first| first.min(occurred_at));
            running.first_play = Some(earliest);
            played.push(entry.clone());
        }
    }
    let mut first_played = Vec::new();
    for ((id, term), before) in before {
        let Some(license) = member.license(id) else { continue };
        let running = license.terms.iter().find(|running| running.term.number == term);
        let now = running.and_then(|running| running.first_play);
        if let Some(at) = now.filter(|_| now != before) {
            let entry = counted(at, id, license);
            let first = member.first_plays.entry(entry.title.clone()).or_insert(at);
            *first = at.min(*first);
            first_played.push(entry);
            if let Some(before) = before {
                member.history.take_back_first_play(id, before);
            }
        }
    }
    first_played.sort_by_key(|counted| counted.at);
    played.sort_by_key(|counted| counted.at);
    member.history.push(CountedKind::Played, played);
    member.history.push(CountedKind::FirstPlayed, first_played);
    Effect::PlaysRecorded { counted: u32::try_from(plays.len()).unwrap_or(u32::MAX) }
}

fn remember_refusal(member: &mut Member, at: Timestamp, refused: &Refused) {
    member.refusals.retain(|(then, _)| at < *then + REFUSALS_KEPT);
    member.refusals.push((at, Arc::new(refused.clone())));
}

fn remember(member: &mut Member, at: Timestamp, cause: &Cause, effect: Option<Effect>) {
    let (Some(idempotency), Some(effect)) = (&cause.idempotency, effect) else {
        return;
    };
    let fresh = |remembered: &Remembered| at < remembered.at + IDEMPOTENCY_KEPT;
    let known = member
        .remembered
        .get_mut(&idempotency.key)
        .filter(|known| fresh(known) && known.body_digest == idempotency.body_digest);
    if let Some(known) = known {
        known.effects.push((cause.command, effect));
        return;
    }
    member.remembered.retain(|_, remembered| fresh(remembered));
    let remembered = Remembered {
        at,
        body_digest: idempotency.body_digest,
        effects: vec![(cause.command, effect)],
    };
    member.remembered.insert(idempotency.key.clone(), remembered);
}
