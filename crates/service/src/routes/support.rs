//! The operator API's commands: what support takes back, and what it allows beyond the rules. Who
//! did it is the credential's word, and is recorded with the reason.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::member::{Command, Outcome};
use domain::{IdempotencyKey, MemberFacts, MemberId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::caller::OperatorCaller;
use crate::extract::{self, OptionalKey, Path, RequiredKey};
use crate::ledger::{self, Accepted};
use crate::problem::{Problem, ProblemDocument};
use crate::routes::service::MemberPath;
use crate::state::AppState;
use crate::wire::membership::{
    ExceptionBody, ExceptionEndedAnswer, ExceptionGrantedAnswer, ReasonBody, ResumedAnswer,
    RevocationBody, RevokedAnswer, allowance, warrant,
};
use crate::wire::scalar::{Exception, License, Member};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ExceptionPath {
    member: Member,
    exception: Exception,
}

/// Takes back a license, a device or the whole member, at once and for good: what a device still
/// plays of it, it plays until its lease ends or it checks in. A member is given back by a resumption.
#[utoipa::path(
    post,
    path = "/v1/operator/members/{member}/revocations",
    tag = "operator",
    params(MemberPath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = RevocationBody,
    security(("operator" = [])),
    responses(
        (status = 200, body = RevokedAnswer),
        (status = 404, description = "There is no such member, license or device", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    OptionalKey(key): OptionalKey,
    Path(MemberPath { member }): Path<MemberPath>,
    extract::Json(body): extract::Json<RevocationBody>,
) -> Result<Json<RevokedAnswer>, Problem> {
    let warrant = warrant(str::to_owned, caller.name, body.reason)?;
    let revoke = Command::Revoke { target: body.target.into(), warrant };
    let accepted = decide(&state, &member.0, key, revoke).await?;
    let Outcome::Revoked { closed, already } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    let closed = closed.iter().map(License::from).collect();
    Ok(Json(RevokedAnswer { closed, already: *already }))
}

/// Gives back a member that was revoked: it may acquire again, and what was closed stays closed. A
/// membership that lapsed stays so until the service API's `resume_membership`.
#[utoipa::path(
    post,
    path = "/v1/operator/members/{member}/resumptions",
    tag = "operator",
    params(MemberPath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = ReasonBody,
    security(("operator" = [])),
    responses(
        (status = 200, body = ResumedAnswer),
        (status = 404, description = "There is no such member", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn resume(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    OptionalKey(key): OptionalKey,
    Path(MemberPath { member }): Path<MemberPath>,
    extract::Json(body): extract::Json<ReasonBody>,
) -> Result<Json<ResumedAnswer>, Problem> {
    let warrant = Some(warrant(str::to_owned, caller.name, body.reason)?);
    let accepted = decide(&state, &member.0, key, Command::ResumeMembership { warrant }).await?;
    let Outcome::MembershipResumed { already } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    Ok(Json(ResumedAnswer { already: *already }))
}

/// Allows the member more than a cap, or past a gate, until an instant. It is part of the limit in
/// every answer, and `raised` says how much of it.
#[utoipa::path(
    post,
    path = "/v1/operator/members/{member}/exceptions",
    tag = "operator",
    params(MemberPath, ("Idempotency-Key" = String, Header, description = "A new one for each exception, the same for its retries")),
    request_body = ExceptionBody,
    security(("operator" = [])),
    responses(
        (status = 201, body = ExceptionGrantedAnswer),
        (status = 404, description = "There is no such member, or no such rule in the policy", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "It would be over at once", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn grant_exception(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    RequiredKey(key): RequiredKey,
    Path(MemberPath { member }): Path<MemberPath>,
    extract::Json(body): extract::Json<ExceptionBody>,
) -> Result<(StatusCode, Json<ExceptionGrantedAnswer>), Problem> {
    let ExceptionBody { rule, amount, until, reason } = body;
    let allowance = allowance(str::to_owned, rule, amount, until)?;
    let grant = Command::GrantException {
        exception: state.ids.exception(),
        allowance,
        warrant: warrant(str::to_owned, caller.name, reason)?,
    };
    let accepted = decide(&state, &member.0, Some(key), grant).await?;
    let Outcome::ExceptionGranted { exception } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    Ok((StatusCode::CREATED, Json(ExceptionGrantedAnswer { exception: exception.into() })))
}

/// Ends an exception before its time. What was allowed by it stays.
#[utoipa::path(
    post,
    path = "/v1/operator/members/{member}/exceptions/{exception}/end",
    tag = "operator",
    params(ExceptionPath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = ReasonBody,
    security(("operator" = [])),
    responses(
        (status = 200, body = ExceptionEndedAnswer),
        (status = 404, description = "There is no such member or exception", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn end_exception(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    OptionalKey(key): OptionalKey,
    Path(ExceptionPath { member, exception }): Path<ExceptionPath>,
    extract::Json(body): extract::Json<ReasonBody>,
) -> Result<Json<ExceptionEndedAnswer>, Problem> {
    let warrant = warrant(str::to_owned, caller.name, body.reason)?;
    let end = Command::EndException { exception: exception.0, warrant };
    let accepted = decide(&state, &member.0, key, end).await?;
    let Outcome::ExceptionEnded { exception, already } = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    Ok(Json(ExceptionEndedAnswer { exception: exception.into(), already: *already }))
}

/// For a member of whom something is recorded: a slip in an id must not begin another member.
async fn decide(
    state: &AppState,
    member: &MemberId,
    key: Option<IdempotencyKey>,
    command: Command,
) -> Result<Accepted, Problem> {
    let (version, _) = state.engine.member(member).await?;
    if version == 0 {
        return Err(Problem::member_unknown());
    }
    ledger::decide(state, member, &MemberFacts::default(), key, vec![command]).await
}
