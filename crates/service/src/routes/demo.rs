//! Signing in without a password: the routes of the development identity provider.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::demo::{DemoIdp, TOKEN_TTL_SECONDS};
use crate::extract;
use crate::problem::Problem;
use crate::state::AppState;
use crate::wire::scalar::Member;

/// INVARIANT: the routes exist only where the provider does.
fn idp(state: &AppState) -> Result<&DemoIdp, Problem> {
    state.demo.as_ref().ok_or_else(Problem::no_such_route)
}

pub(crate) async fn members(State(state): State<Arc<AppState>>) -> Result<Json<Value>, Problem> {
    let member = |member: &crate::demo::DemoMember| {
        json!({
            "id": member.id,
            "name": member.name,
            "plan": member.plan,
            "territory": member.territory,
            "description": member.description,
        })
    };
    Ok(Json(idp(&state)?.members().iter().map(member).collect()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    member: Member,
}

pub(crate) async fn token(
    State(state): State<Arc<AppState>>,
    extract::Json(body): extract::Json<TokenBody>,
) -> Result<Response, Problem> {
    let idp = idp(&state)?;
    let member = idp.members().iter().find(|member| member.id == body.member.0.as_str());
    let member = member.ok_or_else(|| {
        Problem::invalid("member", "there is no such demo member; `/demo/members` lists them")
    })?;
    let token = idp.member_token(member, state.now());
    Ok(not_kept(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_TTL_SECONDS,
        "member": member.id,
    })))
}

pub(crate) async fn operator_token(
    State(state): State<Arc<AppState>>,
) -> Result<Response, Problem> {
    Ok(bearer(idp(&state)?.operator_token(state.now())))
}

pub(crate) async fn service_token(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    Ok(bearer(idp(&state)?.service_token(state.now())))
}

pub(crate) async fn jwks(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    let keys = serde_json::to_value(idp(&state)?.keys())
        .map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Json(keys).into_response())
}

fn bearer(token: String) -> Response {
    not_kept(json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_TTL_SECONDS,
    }))
}

fn not_kept(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}
