//! What anybody may know: the keys that leases and grants are signed with.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::state::AppState;

/// The published keys, as a JWK set. Keys stay in it longer than the longest lease.
#[utoipa::path(
    get,
    path = "/.well-known/carnet/jwks.json",
    tag = "public",
    responses((status = 200, description = "A JWK set (RFC 7517)", body = Object, content_type = "application/jwk-set+json")),
)]
pub(crate) async fn jwks(State(state): State<Arc<AppState>>) -> Result<Response, Problem> {
    let keys = serde_json::to_vec(state.signing.keys.published())
        .map_err(|error| Problem::internal(error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    Ok((headers, keys).into_response())
}
