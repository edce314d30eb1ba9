//! What handlers take from a request, checked, or the problem that names the field.

use std::sync::Arc;

use axum::RequestPartsExt as _;
use axum::body::{Bytes, HttpBody as _};
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::IdempotencyKey;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::state::AppState;

/// Everything we take fits with room to spare: 500 session events have 150 KiB.
pub(crate) const BODY_BYTES_MAX: usize = 256 * 1024;

/// Reads the whole body before anything is looked at: whoever is turned away for another reason can
/// use the connection again.
pub(crate) async fn read_whole_body(request: &mut Request) -> Result<(), Problem> {
    if request.body().is_end_stream() {
        return Ok(());
    }
    let body = std::mem::take(request.body_mut());
    let bytes = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>()) {
            Problem::body_too_large(BODY_BYTES_MAX)
        } else {
            Problem::invalid("body", "the connection ended before it was complete")
        }
    })?;
    *request.body_mut() = bytes.into();
    Ok(())
}

/// A body as it came.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<Arc<AppState>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<AppState>) -> Result<Self, Problem> {
        // INVARIANT: it is in memory already, and within its bound.
        let bytes = axum::body::to_bytes(request.into_body(), BODY_BYTES_MAX).await;
        bytes.map(Self).map_err(|error| Problem::internal(error.to_string()))
    }
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::not_json());
        }
        let Body(bytes) = Body::from_request(request, state).await?;
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Self(value)),
            Err(_) => Err(malformed::<T>(&bytes)),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Reads a second time to find where, which a body that is in order need not pay for.
fn malformed<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    let deserializer = &mut serde_json::Deserializer::from_slice(bytes);
    let error = match serde_path_to_error::deserialize::<_, T>(deserializer) {
        Err(error) => error,
        // The value is whole, and something follows it.
        Ok(_) => return Problem::invalid("body", "something follows the JSON value"),
    };
    // A path ends with `?` where the text ended, or where it was not yet known what follows.
    let path = error.path().to_string();
    let path = path.trim_end_matches(['?', '.']);
    let field = if path.is_empty() { "body" } else { path };
    Problem::invalid(field, error.into_inner().to_string())
}

/// The `Idempotency-Key` header, where it must be.
pub(crate) struct RequiredKey(pub(crate) IdempotencyKey);

/// The `Idempotency-Key` header, where it may be.
pub(crate) struct OptionalKey(pub(crate) Option<IdempotencyKey>);

const IDEMPOTENCY_FIELD: &str = "header.idempotency-key";

impl FromRequestParts<Arc<AppState>> for RequiredKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Problem> {
        let missing = || {
            let message =
                "send an `Idempotency-Key`: a new one for each request, the same for its retries";
            Problem::invalid(IDEMPOTENCY_FIELD, message)
        };
        idempotency_key(&parts.headers)?.ok_or_else(missing).map(Self)
    }
}

impl FromRequestParts<Arc<AppState>> for OptionalKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Problem> {
        idempotency_key(&parts.headers).map(Self)
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let invalid = |message: String| Problem::invalid(IDEMPOTENCY_FIELD, message);
    let text = value.to_str().map_err(|_| invalid("it is not printable ASCII".to_owned()))?;
    text.parse().map(Some).map_err(|error: domain::InvalidId| invalid(error.to_string()))
}

/// The ids of a path, by the names of its placeholders.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send + 'static> FromRequestParts<Arc<AppState>> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Problem> {
        match parts.extract::<axum::extract::Path<T>>().await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let (field, message) = match error.into_kind() {
                    ErrorKind::DeserializeError { key, message, .. } => (key, message),
                    ErrorKind::InvalidUtf8InPathParam { key } => {
                        (key, "it is not UTF-8 when its percent signs are decoded".to_owned())
                    }
                    other => (String::new(), other.to_string()),
                };
                Err(Problem::invalid(format!("path.{field}"), message))
            }
            Err(other) => Err(Problem::internal(other.body_text())),
        }
    }
}

/// A query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<AppState>> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.rsplit_once("query string: ").map_or(&*text, |(_, told)| told);
                // `intent: unknown variant …` of a field, or only the message of the whole.
                let (field, message) = match text.split_once(": ") {
                    Some((field, message)) if !field.contains(' ') => {
                        (format!("query.{field}"), message)
                    }
                    _ => ("query".to_owned(), text),
                };
                Err(Problem::invalid(field, number(message)))
            }
        }
    }
}

/// What the standard library says of a number, in words for who wrote it into an address.
fn number(message: &str) -> &str {
    match message {
        "invalid digit found in string"
        | "cannot parse integer from empty string"
        | "number too large to fit in target type" => "it is not a whole number, from 0 on",
        other => other,
    }
}
