//! The outermost layer: what happens to every request, whatever it asks for.
//!
//! It gives the request an id, a time limit and a way to be finished without its client; it turns
//! problems and panics into answers; and it is the one place that writes requests to the log and to
//! the metrics. It never looks at a body, and of headers only at those that carry ids or languages.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use drm::time::Rfc3339;
use futures::FutureExt as _;
use tracing::Instrument as _;

use crate::extract::read_whole_body;
use crate::finish::Finish;
use crate::language::Speech;
use crate::problem::Problem;
use crate::state::AppState;
use crate::trace::{TRACERESPONSE, Trace};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The server's time with milliseconds, for devices to correct their clocks by.
pub(crate) const CARNET_TIME: HeaderName = HeaderName::from_static("carnet-time");

const REQUEST_ID_BYTES_MAX: usize = 64;

/// The route of whatever matched none: one label, whatever people try.
const NO_ROUTE: &str = "none";

pub(crate) async fn outermost(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let _in_flight = state.metrics.begin();
    let id = request_id(request.headers(), &state);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    let method = method_name(request.method());
    let is_api = request.uri().path().starts_with("/v1/");
    let trace = Trace::of(request.headers(), || state.ids.random());
    let traceresponse = trace.response();
    let speech = Speech::new(state.policies.texts(state.now()), request.headers());
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        trace_id = %trace.trace_id(),
        span_id = %trace.span_id(),
        method,
        route,
    );

    let answer = async move {
        let mut request = request;
        match read_whole_body(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        }
    };
    let answer =
        AssertUnwindSafe(trace.scope(speech.scope(answer))).catch_unwind().instrument(span.clone());
    let answer = Finish::new(answer, &state.unfinished);
    let answer = tokio::time::timeout(state.settings.request_timeout, answer).await;
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            state.metrics.panic();
            Problem::internal("a bug: the request's handler panicked").into_response()
        }
        Err(_) => Problem::timeout().into_response(),
    };
    let _entered = span.enter();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        log_problem(&problem);
        // What inner layers had to say, as those for pages of other origins do.
        let mut headers = std::mem::take(response.headers_mut());
        headers.remove(header::CONTENT_LENGTH);
        response = problem.render(&id);
        headers.extend(std::mem::take(response.headers_mut()));
        *response.headers_mut() = headers;
    }
    finish_headers(&state, &mut response, id, is_api);
    if let Some(traceresponse) = traceresponse {
        response.headers_mut().insert(TRACERESPONSE, traceresponse);
    }
    let took = started.elapsed();
    let status = response.status().as_u16();
    state.metrics.request(route, method, status, took);
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    tracing::info!(target: "carnet::request", status, took_us, "answered");
    response
}

fn finish_headers(state: &AppState, response: &mut Response, id: String, is_api: bool) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(REQUEST_ID, id);
    }
    if is_api {
        let now = Rfc3339::of(state.now().as_millis());
        if let Some(Ok(now)) = now.map(|now| HeaderValue::from_str(now.as_str())) {
            headers.insert(CARNET_TIME, now);
        }
        // Answers are about one member at one moment; those that may be kept say so themselves.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

/// Once, here, where it is handled. Refusals and bad requests are the day's work.
fn log_problem(problem: &Problem) {
    let (status, code) = (problem.status().as_u16(), problem.code());
    let cause = problem.cause_for_log();
    if problem.status().is_server_error() {
        tracing::error!(status, code, cause, "failed");
    } else {
        tracing::info!(status, code, "refused");
    }
}

/// The caller's own, when it cannot be mistaken for anything else in a log.
fn request_id(headers: &HeaderMap, state: &AppState) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let is_sane = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match given.filter(is_sane) {
        Some(id) => id.to_owned(),
        None => state.ids.request(),
    }
}

/// One of a closed set, whatever people send.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::PUT => "PUT",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
