//! Operator API: titles that are withdrawn for all members, and how far that has come.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::EngineError;
use engine::withdrawals::{Answered, Order, Stall, State as Standing, Withdrawal};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::OperatorCaller;
use crate::extract::{self, OptionalKey, Path};
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;
use crate::wire::membership::{ReasonBody, warrant};
use crate::wire::scalar::{Instant, Title};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WithdrawalBody {
    /// Whether or not the catalogue still has it.
    title: Title,
    reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WithdrawalsAnswer {
    /// The newest first.
    withdrawals: Vec<WithdrawalAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WithdrawalAnswer {
    id: String,
    title: Title,
    state: WithdrawalState,
    actor: String,
    reason: String,
    /// Since then nobody acquires or renews it.
    ordered_at: Instant,
    /// When all its licenses had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Instant>,
    /// Since then it may be acquired again.
    #[serde(skip_serializing_if = "Option::is_none")]
    lifted: Option<LiftedAnswer>,
    /// Members for whom licenses have ended so far. All numbers are told as they are recorded, every
    /// second or so, and never go back.
    members: u64,
    /// Licenses that have ended so far.
    licenses: u64,
    /// Recorded events that were looked at so far.
    events: u64,
    /// How many there are, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    events_total: Option<u64>,
    /// How often something stored could not be read, so that licenses may be left.
    failures: u64,
    /// It runs and does not get on: no license ends but where a device asks. It is tried again every
    /// few seconds and goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    stalled: Option<StalledAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StalledAnswer {
    since: Instant,
    code: StallCode,
    /// What was found, and what to do.
    detail: String,
}

/// `store_unavailable`: the store cannot be read or written now. `store_damaged`: what is stored
/// cannot be used. `no_policy`: none is in effect.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum StallCode {
    StoreUnavailable,
    StoreDamaged,
    NoPolicy,
}

impl StalledAnswer {
    fn new(Stall { since, error }: Stall) -> Self {
        let (code, remedy) = match error {
            EngineError::Corrupt(_) => (
                StallCode::StoreDamaged,
                "; stop the service, run `carnet store verify`, and restore a backup if it says so",
            ),
            EngineError::NoPolicy { .. } => (StallCode::NoPolicy, ""),
            EngineError::Unavailable(_)
            | EngineError::Invalid(_)
            | EngineError::Overloaded { .. } => (StallCode::StoreUnavailable, ""),
        };
        Self { since: since.into(), code, detail: format!("{error}{remedy}") }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiftedAnswer {
    at: Instant,
    actor: String,
    reason: String,
}

/// `failed`: all members were asked, and `failures` says how often that was in vain. Withdraw the
/// title again once what is stored has been mended.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum WithdrawalState {
    Running,
    Done,
    Failed,
    Lifted,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct WithdrawalPath {
    /// As it was answered when the title was withdrawn.
    withdrawal: String,
}

impl WithdrawalAnswer {
    fn new(state: &AppState, withdrawal: Withdrawal) -> Self {
        let standing = match withdrawal.state() {
            Standing::Running => WithdrawalState::Running,
            Standing::Done => WithdrawalState::Done,
            Standing::Failed => WithdrawalState::Failed,
            Standing::Lifted => WithdrawalState::Lifted,
        };
        let running = matches!(standing, WithdrawalState::Running);
        let lifted = withdrawal.lifted.map(|(at, warrant)| LiftedAnswer {
            at: at.into(),
            actor: warrant.actor,
            reason: warrant.reason,
        });
        let progress = withdrawal.progress;
        let stalled = state.engine.withdrawals().stalled();
        Self {
            id: withdrawal.id,
            title: (&withdrawal.title).into(),
            state: standing,
            actor: withdrawal.warrant.actor,
            reason: withdrawal.warrant.reason,
            ordered_at: withdrawal.ordered_at.into(),
            finished_at: withdrawal.finished_at.map(Into::into),
            lifted,
            members: progress.members,
            licenses: progress.licenses,
            events: progress.events,
            events_total: state.engine.withdrawals().events().filter(|_| running),
            failures: progress.failures,
            stalled: stalled.filter(|_| running).map(StalledAnswer::new),
        }
    }
}

/// Withdraws a title for all members. Once this is answered nobody acquires or renews it, and its
/// licenses end in the background, also across a restart. A device hears of it when it next checks in,
/// renews or downloads the title again, and that ends them at once where the background is not yet.
/// Come back to the `Location` for how far that is. A title that is withdrawn already is answered with
/// that withdrawal (200).
#[utoipa::path(
    post,
    path = "/v1/operator/withdrawals",
    tag = "operator",
    params(("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling, also when the withdrawal was lifted in between")),
    request_body = WithdrawalBody,
    security(("operator" = [])),
    responses(
        (status = 200, description = "It is withdrawn already", body = WithdrawalAnswer),
        (status = 202, body = WithdrawalAnswer, headers(("Location" = String))),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdraw(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    OptionalKey(key): OptionalKey,
    extract::Json(WithdrawalBody { title, reason }): extract::Json<WithdrawalBody>,
) -> Result<Response, Problem> {
    let warrant = warrant(str::to_owned, caller.name, reason)?;
    let (id, at) = (state.ids.withdrawal(), state.now());
    let order = Order { id, title: title.0, warrant, at, key };
    match state.engine.withdrawals().order(order).await? {
        Answered::Ordered(withdrawal) => {
            let location = format!("/v1/operator/withdrawals/{}", withdrawal.id);
            let answer = Json(WithdrawalAnswer::new(&state, withdrawal));
            Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], answer).into_response())
        }
        Answered::Known(withdrawal) => {
            Ok(Json(WithdrawalAnswer::new(&state, withdrawal)).into_response())
        }
        Answered::KeyReused => Err(Problem::idempotency_key_reused()),
    }
}

/// Every title that was ever withdrawn for all members.
#[utoipa::path(
    get,
    path = "/v1/operator/withdrawals",
    tag = "operator",
    security(("operator" = [])),
    responses(
        (status = 200, body = WithdrawalsAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdrawals(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
) -> Json<WithdrawalsAnswer> {
    let list = state.engine.withdrawals().list().into_iter().rev();
    let withdrawals = list.map(|one| WithdrawalAnswer::new(&state, one)).collect();
    Json(WithdrawalsAnswer { withdrawals })
}

/// How far a withdrawal has come.
#[utoipa::path(
    get,
    path = "/v1/operator/withdrawals/{withdrawal}",
    tag = "operator",
    params(WithdrawalPath),
    security(("operator" = [])),
    responses(
        (status = 200, body = WithdrawalAnswer),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn withdrawal(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(WithdrawalPath { withdrawal }): Path<WithdrawalPath>,
) -> Result<Json<WithdrawalAnswer>, Problem> {
    let known = state.engine.withdrawals().get(&withdrawal);
    Ok(Json(WithdrawalAnswer::new(&state, known.ok_or_else(Problem::withdrawal_unknown)?)))
}

/// Lets a title be acquired again, and ends the walk where it is. Licenses that have ended stay ended:
/// members acquire the title anew. Lifting twice changes nothing.
#[utoipa::path(
    post,
    path = "/v1/operator/withdrawals/{withdrawal}/lift",
    tag = "operator",
    params(WithdrawalPath),
    request_body = ReasonBody,
    security(("operator" = [])),
    responses(
        (status = 200, body = WithdrawalAnswer),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn lift(
    State(state): State<Arc<AppState>>,
    caller: OperatorCaller,
    Path(WithdrawalPath { withdrawal }): Path<WithdrawalPath>,
    extract::Json(body): extract::Json<ReasonBody>,
) -> Result<Json<WithdrawalAnswer>, Problem> {
    let warrant = warrant(str::to_owned, caller.name, body.reason)?;
    let lifted = state.engine.withdrawals().lift(&withdrawal, warrant, state.now()).await?;
    Ok(Json(WithdrawalAnswer::new(&state, lifted.ok_or_else(Problem::withdrawal_unknown)?)))
}
