//! For whatever keeps the process alive and sends it requests; and its numbers.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::MemberId;
use engine::withdrawals::{Progress, State as Standing};
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::AppState;
use crate::withdrawals::sum;

/// The process runs. Says nothing of what it depends on, so that nobody restarts it for that.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "public",
    responses((status = 200, description = "Runs", body = String, content_type = "text/plain")),
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    ready: bool,
    checks: Vec<Check>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Check {
    name: &'static str,
    ok: bool,
    /// What is wrong, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Whether to send requests here: they would be answered (the store can be read, a policy is in
/// effect, keys are there), and the process is not about to stop.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "public",
    responses(
        (status = 200, body = Readiness),
        (status = 503, body = Readiness),
    )
)]
pub(crate) async fn readyz(State(state): State<Arc<AppState>>) -> (StatusCode, Json<Readiness>) {
    let check = |name, problem: Option<String>| Check { name, ok: problem.is_none(), problem };
    let missing = |is_there: bool, problem: &str| (!is_there).then(|| problem.to_owned());
    let policy = state.policies.in_effect(state.now());
    let mut checks = vec![
        check("store", store_problem(&state).await),
        check("policy", policy.err().map(|error| error.to_string())),
        check(
            "issuer_keys",
            missing(state.tokens.is_ready(), "the keys of an identity provider were never fetched"),
        ),
        check(
            "content_keys",
            missing(!state.content_keys.is_empty(), "no content key is loaded: seal some"),
        ),
        check(
            "catalogue",
            missing(!state.catalogue.load().is_empty(), "the catalogue has no title"),
        ),
    ];
    checks.push(check(
        "running",
        missing(!state.unfinished.is_stopping(), "the process stops: send requests elsewhere"),
    ));
    let ready = checks.iter().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks }))
}

/// Reads a member that nobody is.
async fn store_problem(state: &AppState) -> Option<String> {
    let nobody = MemberId::new("readyz!nobody").ok()?;
    state.engine.timeline(&nobody, 0, 1).await.err().map(|error| error.to_string())
}

/// The process's numbers, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "public",
    responses((status = 200, description = "Prometheus text format", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    let stats = state.engine.stats();
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let withdrawals = state.engine.withdrawals().list();
    let (running, _) = sum(&withdrawals, |one| one.state() == Standing::Running);
    let stalled = if state.engine.withdrawals().stalled().is_some() { running } else { 0 };
    let (failed, _) = sum(&withdrawals, |one| one.state() == Standing::Failed);
    let (_, Progress { licenses, .. }) = sum(&withdrawals, |_| true);
    let gauges = [
        (
            "carnet_clock_off_ms",
            "How far the wall clock stands from the service's time, either way",
            state.clock.gap_ms().unsigned_abs(),
        ),
        ("carnet_engine_in_flight", "Ledger requests under way", number(stats.in_flight)),
        ("carnet_engine_cached_members", "Members in memory", number(stats.cached_members)),
        ("carnet_engine_cached_bytes", "Memory for members, estimated", stats.cached_bytes),
        ("carnet_engine_loads", "Members read from the store", stats.loads),
        ("carnet_engine_events_appended", "Events appended", stats.events_appended),
        ("carnet_engine_overloaded", "Requests turned away", stats.overloaded),
        ("carnet_engine_conflicts", "Appends that were too late", stats.conflicts),
        ("carnet_engine_unknown", "Appends whose answer was lost", stats.unknown),
        ("carnet_withdrawals_running", "Withdrawn titles whose licenses are ending", running),
        ("carnet_withdrawals_stalled", "Of these, those that do not get on", stalled),
        ("carnet_withdrawals_failed", "Withdrawn titles of which licenses may be left", failed),
        ("carnet_withdrawals_licenses", "Licenses that withdrawals have ended", licenses),
        ("carnet_grants_remembered", "Grants in memory", number(state.grant_memory.len())),
    ];
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], state.metrics.render(&gauges)).into_response())
}
