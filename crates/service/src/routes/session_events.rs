//! What devices saw during playback, perhaps weeks ago, out of order, and told more than once.
//!
//! The raw events go to the viewing log first, so that nothing that was acknowledged is lost. Then
//! the ledger hears what counts: which numbers were told, and which plays began under licenses.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::member::{Command, EventBody, Outcome, PlayReport, Ranges};
use domain::{Duration, Timestamp};
use engine::viewing::RawEvent;

use crate::caller::MemberCaller;
use crate::extract::{self, Path};
use crate::ledger::{self, Accepted};
use crate::problem::{Problem, ProblemDocument};
use crate::routes::devices::DevicePath;
use crate::state::AppState;
use crate::wire::device::{SessionEvent, SessionEventKind, SessionEventsAnswer, SessionEventsBody};

const EVENTS_MAX: usize = 500;
const SESSION_BYTES_MAX: usize = 128;

/// Takes a batch of session events; each number of a device counts once. Plays under an offline
/// license are counted from when they happened, corrected for the device's clock.
#[utoipa::path(
    post,
    path = "/v1/devices/{device}/session-events",
    tag = "device",
    params(DevicePath),
    request_body = SessionEventsBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 200, body = SessionEventsAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn upload(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    Path(DevicePath { device }): Path<DevicePath>,
    extract::Json(body): extract::Json<SessionEventsBody>,
) -> Result<Json<SessionEventsAnswer>, Problem> {
    let device = device.0;
    check(&body.events)?;
    let (_, member) = state.engine.member(&caller.member).await?;
    caller.by_known_device(&member, &device)?;
    let received_at = state.now();
    let known = member.devices.get(&device);
    let (new, repeated) = sort_out(body.events, known.map(|known| &known.reported));
    let offset = Offset::of(received_at, body.sent_at.0);
    let raw: Vec<RawEvent> = new.iter().map(|event| raw(event, offset, received_at)).collect();
    state.viewing.append(&caller.member, &device, &raw, received_at).await?;
    let highest_sent = new.iter().map(|event| event.sequence).max().unwrap_or(0);
    if known.is_none() || new.is_empty() {
        // A device that only streams is not in the ledger.
        let highest = known.and_then(|known| known.reported.stretches().last().map(|s| s.1));
        let highest = highest.unwrap_or(0).max(highest_sent);
        return Ok(Json(SessionEventsAnswer {
            accepted: new.len(),
            repeated,
            unknown: 0,
            highest,
        }));
    }
    let record = Command::RecordPlays {
        device: device.clone(),
        sequences: new
            .iter()
            .map(|e| (e.sequence, e.sequence))
            .collect::<Ranges>()
            .stretches()
            .to_vec(),
        plays: new.iter().filter_map(|event| play(event, offset)).collect(),
    };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), None, vec![record]).await?;
    let Outcome::PlaysRecorded { unknown, .. } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    let first_told = first_told(&accepted, &new);
    let reported = accepted.member().devices.get(&device).map(|device| device.reported.stretches());
    Ok(Json(SessionEventsAnswer {
        accepted: first_told,
        repeated: repeated + new.len() - first_told,
        unknown: *unknown,
        highest: reported.and_then(<[_]>::last).map_or(highest_sent, |(_, last)| *last),
    }))
}

fn check(events: &[SessionEvent]) -> Result<(), Problem> {
    if events.len() > EVENTS_MAX {
        let message =
            format!("there are {} events; send at most {EVENTS_MAX} at once", events.len());
        return Err(Problem::invalid("events", message));
    }
    for (position, event) in events.iter().enumerate() {
        let invalid = |field: &str, message: &str| {
            Err(Problem::invalid(format!("events[{position}].{field}"), message))
        };
        if event.sequence == 0 {
            return invalid("sequence", "numbers begin with 1");
        }
        if event.session.is_empty() || event.session.len() > SESSION_BYTES_MAX {
            return invalid("session", "a session's name has 1 to 128 bytes");
        }
        if event.license.is_some() != event.term.is_some() {
            return invalid("term", "`license` and `term` come together: those of the lease");
        }
    }
    Ok(())
}

/// What was never told before, each number once; and how many others there were.
fn sort_out(events: Vec<SessionEvent>, reported: Option<&Ranges>) -> (Vec<SessionEvent>, usize) {
    let sent = events.len();
    let mut seen = BTreeSet::new();
    let mut new = events;
    new.retain(|event| {
        let told = reported.is_some_and(|reported| reported.contains(event.sequence));
        !told && seen.insert(event.sequence)
    });
    let repeated = sent - new.len();
    (new, repeated)
}

/// How far the server's clock is ahead of the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offset {
    ms: i64,
}

impl Offset {
    /// At the time of the upload.
    fn of(received_at: Timestamp, sent_at: Timestamp) -> Self {
        Self { ms: received_at.as_millis() - sent_at.as_millis() }
    }

    /// When it happened. The device's own word is from before the clock was set, if it was: mostly
    /// that is done on coming online, when everything was played already.
    fn occurred_at(self, event: &SessionEvent) -> Timestamp {
        event.clock_offset_ms.map_or(self, |ms| Self { ms }).correct(event.device_at.0)
    }

    fn correct(self, device_at: Timestamp) -> Timestamp {
        match self.ms {
            ahead @ 0.. => device_at + Duration::from_millis(ahead),
            behind => device_at - Duration::from_millis(behind.saturating_neg()),
        }
    }
}

fn raw(event: &SessionEvent, offset: Offset, received_at: Timestamp) -> RawEvent {
    RawEvent {
        sequence: event.sequence,
        session: event.session.clone(),
        title: event.title.0.clone(),
        license: event.license.as_ref().map(|license| license.0.clone()).zip(event.term),
        what: event.kind.into(),
        // Nothing that was told has yet to happen.
        occurred_at: offset.occurred_at(event).min(received_at),
        device_at: event.device_at.0,
        clock_behind_ms: event.clock_behind_ms,
        position_ms: event.position_ms,
    }
}

/// The start of a playback session under an offline license.
fn play(event: &SessionEvent, offset: Offset) -> Option<PlayReport> {
    if event.kind != SessionEventKind::Start {
        return None;
    }
    Some(PlayReport {
        sequence: event.sequence,
        license: event.license.as_ref()?.0.clone(),
        term: event.term?,
        occurred_at: offset.occurred_at(event),
        device_at: event.device_at.0,
    })
}

/// How many of them this very decision recorded; another upload may have come between.
fn first_told(accepted: &Accepted, events: &[SessionEvent]) -> usize {
    let recorded = accepted.decided.decision.events.iter().find_map(|event| match &event.body {
        EventBody::PlaysRecorded { sequences, .. } => Some(sequences),
        _ => None,
    });
    let recorded: Ranges = recorded.into_iter().flatten().copied().collect();
    events.iter().filter(|event| recorded.contains(event.sequence)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_either_way_is_corrected_by_its_offset_at_the_upload() {
        let at = Timestamp::from_millis;
        for (sent_at, device_at, occurred_at) in [
            (1_000_000, 400_000, 400_000),
            (900_000, 300_000, 400_000),
            (1_100_000, 500_000, 400_000),
        ] {
            let offset = Offset::of(at(1_000_000), at(sent_at));
            assert_eq!(offset.correct(at(device_at)), at(occurred_at), "sent at {sent_at}");
        }
    }
}
