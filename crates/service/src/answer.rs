//! The answers that are asked for most: JSON in a buffer that does not grow on the way.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::problem::Problem;

/// One lease and one grant have about 2 KiB, and what stands around them another.
const BYTES_USUAL: usize = 4 * 1024;

pub(crate) fn json<T: Serialize>(status: StatusCode, answer: &T) -> Result<Response, Problem> {
    let mut body = Vec::with_capacity(BYTES_USUAL);
    serde_json::to_writer(&mut body, answer)
        .map_err(|error| Problem::internal(error.to_string()))?;
    let mut response = (status, body).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}
