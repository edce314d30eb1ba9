//! What a device takes along: the lease of a term, and the DRM license or a grant for one.
//!
//! It states what the ledger decided and decides nothing. A lease or a grant is made only while the
//! license is held, and for its current term.

use std::borrow::Cow;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::member::{Command, EventBody, License};
use domain::{DeviceId, LicenseId, Member, MemberFacts, MemberId, Timestamp, TitleId};
use drm::clear_key::{self, ClearKeyError, KEY_SYSTEM};
use drm::grant::{Grant, SessionType};
use drm::key_id::KeyId;
use drm::lease::{Enforcer, Enforcers, LEASE_VERSION, LeaseClaims};
use drm::time::UnixMillis;
use playback::Catalogue;

use crate::ledger::{self, Accepted};
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire::license::{Challenge, DrmLicense};

/// What goes out beside the decision.
#[derive(Debug, Default)]
pub(crate) struct Luggage {
    pub(crate) lease: Option<String>,
    pub(crate) grant: Option<String>,
    pub(crate) drm: Option<DrmLicense>,
    pub(crate) drm_error: Option<Problem>,
}

/// Packs for a license that the ledger says is held. With a challenge the DRM license goes along,
/// without one a grant; when the DRM step fails neither does, and the ledger is told.
pub(crate) async fn pack(
    state: &AppState,
    member: &MemberId,
    facts: &MemberFacts,
    accepted: &Accepted,
    id: &LicenseId,
    challenge: Option<&Challenge>,
) -> Result<Luggage, Problem> {
    let at = accepted.at();
    let Some(license) = accepted.member().license(id).filter(|license| license.held(at)) else {
        return Ok(Luggage::default());
    };
    let kids = key_ids(&state.catalogue.load(), &license.title);
    let lease = lease(state, member, accepted.member(), id, license, &kids, at)?;
    let Some(challenge) = challenge else {
        let grants = state.settings.grants;
        let of = (&license.device, &license.title);
        let grant = grants.then(|| grant(state, member, of, Some(id), kids, at));
        return Ok(Luggage { lease: Some(lease), grant, ..Luggage::default() });
    };
    match issue(state, challenge, &kids, &lease) {
        Ok(drm) => Ok(Luggage { lease: Some(lease), drm: Some(drm), ..Luggage::default() }),
        Err(problem) => {
            if counted_as_given(accepted, id) {
                let term = license.term().term.number;
                let failed = Command::DrmFailed { license: id.clone(), term };
                // Boxed, for it is rare, and every acquisition would hold the room for it.
                Box::pin(ledger::decide(state, member, facts, None, vec![failed])).await?;
            }
            Ok(Luggage { lease: Some(lease), drm_error: Some(problem), ..Luggage::default() })
        }
    }
}

/// Whether this very answer was recorded as giving keys. A repeated one was not: the first may have
/// given them, and that must stay counted.
fn counted_as_given(accepted: &Accepted, id: &LicenseId) -> bool {
    accepted.decided.decision.events.iter().any(|event| match &event.body {
        EventBody::Acquired(acquired) => acquired.license == *id,
        EventBody::Renewed(renewed) => renewed.license == *id,
        EventBody::Reissued { license, .. } => license == id,
        _ => false,
    })
}

fn issue(
    state: &AppState,
    challenge: &Challenge,
    kids: &[KeyId],
    lease: &str,
) -> Result<DrmLicense, Problem> {
    if challenge.system != KEY_SYSTEM {
        return Err(Problem::invalid(
            "challenge.system",
            format!(
                "this service has no `{}`; ask with `{KEY_SYSTEM}`",
                excerpt(&challenge.system)
            ),
        ));
    }
    let body = STANDARD
        .decode(&challenge.body)
        .map_err(|_| Problem::invalid("challenge.body", "it is not base64 (with padding)"))?;
    let license = clear_key::Request::parse(&body).and_then(|request| {
        let session = SessionType::PersistentLicense;
        clear_key::license(&request, session, kids, &state.content_keys, Some(lease))
    });
    state.metrics.drm_license(if license.is_ok() { "issued" } else { "failed" });
    let license = license.map_err(|error| clear_key_problem(&error))?;
    Ok(DrmLicense { system: KEY_SYSTEM.to_owned(), body: STANDARD.encode(license.as_bytes()) })
}

fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}

pub(crate) fn clear_key_problem(error: &ClearKeyError) -> Problem {
    let (status, code) = match error {
        ClearKeyError::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "challenge_too_large"),
        ClearKeyError::Malformed(_)
        | ClearKeyError::UnknownType(_)
        | ClearKeyError::NoKeyIds
        | ClearKeyError::TooManyKeyIds
        | ClearKeyError::BadKeyId(_) => (StatusCode::BAD_REQUEST, "challenge_malformed"),
        ClearKeyError::SessionNotGranted => (StatusCode::FORBIDDEN, "session_not_granted"),
        ClearKeyError::NotGranted(_) => (StatusCode::FORBIDDEN, "key_not_granted"),
        ClearKeyError::NoContentKey(_) => (StatusCode::SERVICE_UNAVAILABLE, "no_content_key"),
        ClearKeyError::Use(problem) => match problem {
            drm::grant::GrantUseError::UsedForOtherKeys => {
                (StatusCode::FORBIDDEN, "grant_used_for_other_keys")
            }
            drm::grant::GrantUseError::Expired => (StatusCode::UNAUTHORIZED, "grant_expired"),
            drm::grant::GrantUseError::Full => {
                (StatusCode::SERVICE_UNAVAILABLE, "grant_memory_full")
            }
        },
    };
    Problem::drm(status, code, error)
}

/// Of a title, as the catalogue has them now; none when it left.
pub(crate) fn key_ids(catalogue: &Catalogue, title: &TitleId) -> Vec<KeyId> {
    let title = catalogue.title(title);
    title.map_or_else(Vec::new, |t| t.key_ids.iter().map(|(_, kid)| KeyId::new(kid.0)).collect())
}

/// To issue DRM licenses: for an offline license, or for one playback now, which asks nobody and
/// counts nowhere.
pub(crate) fn grant(
    state: &AppState,
    member: &MemberId,
    (device, title): (&DeviceId, &TitleId),
    license: Option<&LicenseId>,
    kids: Vec<KeyId>,
    at: Timestamp,
) -> String {
    let session = match license {
        Some(_) => SessionType::PersistentLicense,
        None => SessionType::Temporary,
    };
    let grant = Grant {
        id: state.ids.grant(),
        member: member.to_string(),
        device: device.to_string(),
        title: title.to_string(),
        license: license.map(LicenseId::to_string),
        kids,
        session,
    };
    // By the clock and not by a decision: a grant counts seconds.
    state.signing.grant.sign(&grant, state.now().max(at).as_millis())
}

/// Signs the clocks of the current term.
pub(crate) fn lease(
    state: &AppState,
    member_id: &MemberId,
    member: &Member,
    id: &LicenseId,
    license: &License,
    kids: &[KeyId],
    at: Timestamp,
) -> Result<String, Problem> {
    let running = license.term();
    let term = &running.term;
    let instant = |at: Timestamp| UnixMillis(at.as_millis());
    let unless_never = |at: Timestamp| (at < Timestamp::MAX).then(|| UnixMillis(at.as_millis()));
    // Clear Key enforces no time, so the app does.
    let app = |runs: bool| runs.then_some(Enforcer::App);
    let device = member.devices.get(&license.device);
    let renewable = term.renewals_max.is_none_or(|max| license.renewals() < max);
    let claims = LeaseClaims {
        iss: Cow::Borrowed(&state.settings.issuer),
        lease_version: LEASE_VERSION,
        license: Cow::Borrowed(id.as_str()),
        member: Cow::Borrowed(member_id.as_str()),
        device: Cow::Borrowed(license.device.as_str()),
        device_key: device.map(|device| Cow::Borrowed(device.key.as_str())),
        title: Cow::Borrowed(license.title.as_str()),
        term: term.number,
        issued_at: instant(at),
        started_at: instant(term.started_at),
        not_before: term.not_before.map(instant),
        start_by: term.start_by.map(instant),
        finish_within_ms: term.finish_within.map(domain::Duration::as_millis),
        first_played_at: running.first_play.map(instant),
        check_in_by: running.check_in_by.map(instant),
        grace_ms: term.grace.as_millis(),
        running_play_ms: term.running_play.as_millis(),
        delete_at_end: term.delete_at_end,
        hard_end: running.hard_end().map(instant),
        ends_at: unless_never(running.ends_at()),
        may_play_until: unless_never(running.may_play_until()),
        renew_from: renewable.then(|| instant(running.renew_from())),
        renew_until: unless_never(running.renew_until()).filter(|_| renewable),
        kids: Cow::Borrowed(kids),
        enforced_by: Enforcers {
            not_before: app(term.not_before.is_some()),
            start_by: app(term.start_by.is_some()),
            finish_within: app(term.finish_within.is_some()),
            check_in_by: app(running.check_in_by.is_some()),
            hard_end: app(running.hard_end().is_some()),
        },
    };
    state.signing.lease.sign(&claims).map_err(|error| Problem::internal(error.to_string()))
}
