//! The license URLs of the DRM systems: raw key-system bodies in and out, so that every player
//! works as it is. The grant is all they need: no ledger, no member's token.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use drm::clear_key;
use drm::grant::GrantError;

use crate::auth;
use crate::caller::text;
use crate::extract::Body;
use crate::offline::clear_key_problem;
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;

/// The Clear Key license for a grant.
#[utoipa::path(
    post,
    path = "/v1/drm/clear-key",
    tag = "drm",
    request_body(content = String, content_type = "application/json", description = "The raw EME request: `{\"kids\":[\"…\"],\"type\":\"temporary\"}`"),
    security(("grant" = [])),
    responses(
        (status = 200, description = "The raw EME license", body = String, content_type = "application/json"),
        (status = 401, description = "No grant, or one that is over", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "Not what was granted", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn clear_key(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let token = auth::credential(text(&headers, header::AUTHORIZATION.as_str()))?;
    let now_ms = state.now().as_millis();
    let keys = state.signing.keys.published();
    let grant = state.signing.grant_verifier.verify(token, keys, now_ms).map_err(grant_problem)?;
    let license = clear_key::Request::parse(&body).and_then(|request| {
        let (memory, keys) = (&state.grant_memory, &state.content_keys);
        clear_key::license_for_grant(&request, &grant, memory, keys, now_ms)
    });
    state.metrics.drm_license(if license.is_ok() { "issued" } else { "failed" });
    let license = license.map_err(|error| clear_key_problem(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], license.as_bytes().to_vec()).into_response())
}

fn grant_problem(error: GrantError) -> Problem {
    let code = match error {
        GrantError::Expired => "grant_expired",
        GrantError::NotYet => "grant_not_yet_valid",
        GrantError::Token(_)
        | GrantError::NotAGrant
        | GrantError::Malformed
        | GrantError::Issuer
        | GrantError::Audience
        | GrantError::LivesTooLong => "grant_invalid",
    };
    Problem::drm(StatusCode::UNAUTHORIZED, code, &error)
}
