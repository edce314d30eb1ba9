//! Operator API: what would a draft policy have answered?

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use codec::policy::parse_within;
use domain::policy::HORIZON_MAX;
use engine::what_if::WhatIf;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::OperatorCaller;
use crate::extract::{Json, Path};
use crate::problem::{Problem, ProblemDocument};
use crate::replays::{Outcome, Replay};
use crate::state::AppState;
use crate::wire::scalar::{Instant, Partner};
use crate::wire::what_if::WhatIfReport;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// The draft: the files of its directory by their names, `policy.toml` among them.
    draft: BTreeMap<String, String>,
    /// Requests from then on are asked again.
    since: Instant,
    /// Requests before then; until now when absent.
    until: Option<Instant>,
    /// Only requests about this partner's titles are compared.
    partner: Option<Partner>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayAnswer<'a> {
    id: &'a str,
    state: ReplayState,
    /// Looked at so far.
    members: u64,
    events: u64,
    /// Once it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<&'a WhatIfReport>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ReplayState {
    Running,
    Done,
    Stopped,
    Failed,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ReplayPath {
    /// As it was answered when the replay was asked for.
    replay: String,
}

/// Asks recorded history again under a draft policy, following the consequences. Records nothing;
/// one replay runs at a time (another is 409 `replay_running`), beside the requests of members. Come
/// back to the `Location` for it.
#[utoipa::path(
    post,
    path = "/v1/operator/replays",
    tag = "operator",
    request_body = ReplayRequest,
    security(("operator" = [])),
    responses(
        (status = 202, body = ReplayAnswer<'static>, headers(("Location" = String))),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn begin(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Json(asked): Json<ReplayRequest>,
) -> Result<Response, Problem> {
    let files: Vec<(&str, &str)> =
        asked.draft.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    // What a draft asks is folded from all that happened.
    let draft = parse_within(&files, HORIZON_MAX)
        .map_err(|errors| Problem::invalid("draft", errors.to_string()))?;
    let what_if = WhatIf {
        draft: Arc::new(draft.policy),
        since: asked.since.0,
        until: asked.until.map_or_else(|| state.now(), |until| until.0),
        partner: asked.partner.map(|partner| partner.0),
        threads: 1,
    };
    if what_if.since >= what_if.until {
        return Err(Problem::invalid("since", "nothing lies between `since` and `until`"));
    }
    let id = state.ids.grant();
    let (engine, unfinished) = (state.engine.clone(), state.unfinished.clone());
    let replay = state
        .replays
        .begin(id, engine, unfinished, what_if)
        .ok_or_else(Problem::replay_is_running)?;
    let location = format!("/v1/operator/replays/{}", replay.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], answer(&replay)).into_response())
}

/// How far a replay is, and its report once it is done.
#[utoipa::path(
    get,
    path = "/v1/operator/replays/{replay}",
    tag = "operator",
    params(ReplayPath),
    security(("operator" = [])),
    responses(
        (status = 200, body = ReplayAnswer<'static>),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn look(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(ReplayPath { replay }): Path<ReplayPath>,
) -> Result<Response, Problem> {
    Ok(answer(&*find(&state, &replay)?))
}

/// Everything that a finished replay found different, as CSV with one line for each request: the
/// first 100,000.
#[utoipa::path(
    get,
    path = "/v1/operator/replays/{replay}/differences",
    tag = "operator",
    params(ReplayPath),
    security(("operator" = [])),
    responses(
        (status = 200, body = String, content_type = "text/csv", headers(("Carnet-Cut" = bool, description = "`true`: there were more"))),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json", description = "No such replay, or it is not done"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn differences(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(ReplayPath { replay }): Path<ReplayPath>,
) -> Result<Response, Problem> {
    let replay = find(&state, &replay)?;
    let outcome = replay.outcome();
    let Outcome::Done(done) = &*outcome else {
        return Err(Problem::replay_unknown("the replay is not done"));
    };
    let cut = if done.is_cut { "true" } else { "false" };
    let headers = [(header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8"), ("carnet-cut", cut)];
    Ok((headers, done.csv.clone()).into_response())
}

/// Stops a replay that is running. Stopping twice does no harm.
#[utoipa::path(
    delete,
    path = "/v1/operator/replays/{replay}",
    tag = "operator",
    params(ReplayPath),
    security(("operator" = [])),
    responses(
        (status = 204),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stop(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(ReplayPath { replay }): Path<ReplayPath>,
) -> Result<StatusCode, Problem> {
    find(&state, &replay)?.stop();
    Ok(StatusCode::NO_CONTENT)
}

fn find(state: &AppState, id: &str) -> Result<Arc<Replay>, Problem> {
    let unknown = || {
        Problem::replay_unknown(
            "no such replay: the last eight are remembered, by the process that ran them",
        )
    };
    state.replays.get(id).ok_or_else(unknown)
}

fn answer(replay: &Replay) -> Response {
    let progress = replay.progress();
    let outcome = replay.outcome();
    let (state, report, failure) = match &*outcome {
        Outcome::Running => (ReplayState::Running, None, None),
        Outcome::Done(done) => (ReplayState::Done, Some(&done.report), None),
        Outcome::Stopped => (ReplayState::Stopped, None, None),
        Outcome::Failed(why) => (ReplayState::Failed, None, Some(why.as_str())),
    };
    axum::Json(ReplayAnswer {
        id: &replay.id,
        state,
        members: progress.members,
        events: progress.events,
        report,
        failure,
    })
    .into_response()
}
