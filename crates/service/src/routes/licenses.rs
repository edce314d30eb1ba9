//! Taking a title offline: acquire, renew, release, and how a license stands.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::member::{Command, Outcome};
use domain::{Event, MemberId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::answer;
use crate::caller::MemberCaller;
use crate::extract::{self, OptionalKey, Path, RequiredKey};
use crate::language::AcceptLanguage;
use crate::ledger::{self, Accepted, title_facts};
use crate::offline;
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;
use crate::wire::license::{
    Challenge, DecisionSummary, HeldAnswer, License, StatusDocument, how, license_events,
};
use crate::wire::scalar::{Device, Id, Instant, License as LicenseRef, Title};

/// A status document tells of so many events of the member, the newest. Read from the end in ever
/// longer stretches until the license's beginning is among them, for that is usually near.
const EVENTS_READ_MAX: u64 = 1_024;
const EVENTS_READ_MIN: u64 = 64;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct LicensePath {
    license: LicenseRef,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcquireBody {
    device: Device,
    title: Title,
    /// Brings the DRM license in the same answer.
    challenge: Option<Challenge>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenewBody {
    device: Device,
    /// The term that the device holds; when a newer one exists, that one is given again.
    term: u32,
    /// The app renews by itself: nobody asked. The policy may allow that less often.
    #[serde(default)]
    automatic: bool,
    challenge: Option<Challenge>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    device: Device,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReleaseAnswer {
    license: LicenseRef,
    /// It was closed before, or never known here.
    already: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DownloadsAnswer {
    at: Instant,
    licenses: Vec<License>,
}

/// Takes a title offline, or gives again what the device holds.
#[utoipa::path(
    post,
    path = "/v1/licenses",
    tag = "device",
    params(("Idempotency-Key" = String, Header, description = "A new one for each request, the same for its retries: 1 to 128 bytes of printable ASCII"), AcceptLanguage),
    request_body = AcquireBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 201, description = "A new license", body = HeldAnswer),
        (status = 200, description = "A retry, or what the device holds already", body = HeldAnswer),
        (status = 403, description = "Refused, with everything that stands in the way", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn acquire(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    RequiredKey(key): RequiredKey,
    extract::Json(body): extract::Json<AcquireBody>,
) -> Result<Response, Problem> {
    caller.by_device(&state, &body.device.0).await?;
    let territory = caller.facts().territory.as_ref();
    let acquire = Command::Acquire {
        title_facts: title_facts(&state.catalogue.load(), &body.title.0, territory, state.now()),
        device: body.device.0,
        title: body.title.0,
        license: state.ids.license(),
    };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), Some(key), vec![acquire]).await?;
    held(&state, &caller, &accepted, body.challenge.as_ref()).await
}

/// A new term for a license, before or after its end.
#[utoipa::path(
    post,
    path = "/v1/licenses/{license}/renew",
    tag = "device",
    params(LicensePath, ("Idempotency-Key" = String, Header, description = "As with acquiring"), AcceptLanguage),
    request_body = RenewBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 200, body = HeldAnswer),
        (status = 403, description = "Refused, with everything that stands in the way", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn renew(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    RequiredKey(key): RequiredKey,
    Path(LicensePath { license }): Path<LicensePath>,
    extract::Json(body): extract::Json<RenewBody>,
) -> Result<Response, Problem> {
    let (_, member) = state.engine.member(&caller.member).await?;
    caller.by_known_device(&member, &body.device.0)?;
    let territory = caller.facts().territory.as_ref();
    let title = member.license(&license.0).map(|license| &license.title);
    let facts =
        title.and_then(|title| title_facts(&state.catalogue.load(), title, territory, state.now()));
    let renew = Command::Renew {
        device: body.device.0,
        license: license.0,
        term: body.term,
        title_facts: facts,
        automatic: body.automatic,
    };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), Some(key), vec![renew]).await?;
    held(&state, &caller, &accepted, body.challenge.as_ref()).await
}

/// The answer to a request after which the device holds the license, or did when it first asked.
async fn held(
    state: &AppState,
    caller: &MemberCaller,
    accepted: &Accepted,
    challenge: Option<&Challenge>,
) -> Result<Response, Problem> {
    let outcome = accepted.outcome()?;
    let Outcome::Held { license: id, how: held, .. } = outcome else {
        return Err(ledger::unexpected());
    };
    let luggage =
        offline::pack(state, &caller.member, caller.facts(), accepted, id, challenge).await?;
    let license = accepted.member().license(id).ok_or_else(ledger::unexpected)?;
    let answer = HeldAnswer {
        decision: DecisionSummary {
            outcome: how(*held),
            repeated: accepted.repeated,
            at: accepted.at().into(),
        },
        license: License::new(id, license, accepted.at()),
        caps: accepted.caps(state, caller.facts(), outcome),
        lease: luggage.lease,
        grant: luggage.grant,
        drm: luggage.drm,
        drm_error: luggage.drm_error.as_ref().map(|problem| problem.document(None)),
    };
    let is_new = *held == domain::member::Held::Acquired && !accepted.repeated;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    answer::json(status, &answer)
}

/// Closes a license, by any device of the member. Repeating it changes nothing; a license that was
/// never known is acknowledged as well, so that a device can stop telling.
#[utoipa::path(
    post,
    path = "/v1/licenses/{license}/release",
    tag = "device",
    params(LicensePath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = ReleaseBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 200, body = ReleaseAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn release(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    OptionalKey(key): OptionalKey,
    Path(LicensePath { license }): Path<LicensePath>,
    extract::Json(body): extract::Json<ReleaseBody>,
) -> Result<Json<ReleaseAnswer>, Problem> {
    caller.by_device(&state, &body.device.0).await?;
    let release = Command::Release { by: Some(body.device.0), license: license.0 };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), key, vec![release]).await?;
    let Outcome::Released { license, already } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    Ok(Json(ReleaseAnswer { license: license.into(), already: *already }))
}

/// How a license stands: its clocks, its links and what happened to it.
#[utoipa::path(
    get,
    path = "/v1/licenses/{license}",
    tag = "device",
    params(LicensePath),
    security(("member" = [])),
    responses(
        (status = 200, body = StatusDocument),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn status(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    Path(LicensePath { license: Id(id) }): Path<LicensePath>,
) -> Result<Json<StatusDocument>, Problem> {
    let (version, member) = state.engine.member(&caller.member).await?;
    let license = member.license(&id).ok_or_else(Problem::license_unknown)?;
    let events = newest_events(&state, &caller.member, version, license.acquired_at).await?;
    let at = state.now().max(member.last_at);
    Ok(Json(StatusDocument {
        license: License::new(&id, license, at),
        events: license_events(&id, license, &events),
    }))
}

/// The events since then, or as many of them as a status document tells of.
async fn newest_events(
    state: &AppState,
    member: &MemberId,
    version: u64,
    since: Timestamp,
) -> Result<Vec<Event>, Problem> {
    let mut stretch = EVENTS_READ_MIN;
    loop {
        let after = version.saturating_sub(stretch);
        let events = state.engine.timeline(member, after, usize::MAX).await?;
        let begins_before = events.first().is_some_and(|(_, event)| event.at < since);
        if after == 0 || begins_before || stretch >= EVENTS_READ_MAX {
            return Ok(events.into_iter().map(|(_, event)| event).collect());
        }
        stretch *= 4;
    }
}

/// All licenses of the member, on all devices, that are held or that a device could still play.
#[utoipa::path(
    get,
    path = "/v1/downloads",
    tag = "device",
    security(("member" = [])),
    responses(
        (status = 200, body = DownloadsAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn downloads(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
) -> Result<Json<DownloadsAnswer>, Problem> {
    let (_, member) = state.engine.member(&caller.member).await?;
    let at = state.now().max(member.last_at);
    let current = member.licenses.iter().filter(|(_, l)| l.held(at) || l.active(at));
    let licenses = current.map(|(id, license)| License::new(id, license, at)).collect();
    Ok(Json(DownloadsAnswer { at: at.into(), licenses }))
}
