//! The operator API: what support looks at. Reads everything, changes nothing; [`super::support`]
//! does.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::viewing::Page;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::caller::{OperatorCaller, text};
use crate::extract::{Path, Query};
use crate::problem::{Problem, ProblemDocument};
use crate::routes::service::MemberPath;
use crate::state::AppState;
use crate::wire::timeline::{
    MemberAnswer, TimelineAnswer, TimelineEvent, ViewedEvent, ViewingAnswer,
};
use crate::words::Names;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// The version to read on from: the `next` of the page before.
    #[serde(default)]
    after: u64,
    /// 1 to 1000; 100 when absent.
    limit: Option<usize>,
}

impl PageQuery {
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(limit),
            _ => {
                Err(Problem::invalid("query.limit", format!("a page has 1 to {LIMIT_MAX} events")))
            }
        }
    }
}

/// A member as of now: devices and licenses. Bears an `ETag`.
#[utoipa::path(
    get,
    path = "/v1/operator/members/{member}",
    tag = "operator",
    params(MemberPath),
    security(("operator" = [])),
    responses(
        (status = 200, body = MemberAnswer),
        (status = 304, description = "Nothing changed since the `ETag` of `If-None-Match`"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn member(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    headers: HeaderMap,
    Path(MemberPath { member: id }): Path<MemberPath>,
) -> Result<Response, Problem> {
    let (version, member) = state.engine.member(&id.0).await?;
    if version == 0 {
        return Err(Problem::member_unknown());
    }
    let at = state.now().max(member.last_at);
    let answer = MemberAnswer::new(&id.0, version, &member, at);
    unless_known(&headers, &answer)
}

/// The answer, or that what the client has is still true.
pub(crate) fn unless_known(
    headers: &HeaderMap,
    answer: &impl Serialize,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).map_err(|e| Problem::internal(e.to_string()))?;
    // Of the answer itself: licenses end without an event, and texts go by language and policy.
    let hash = URL_SAFE_NO_PAD.encode(digest(&SHA256, &body));
    let etag = format!("\"{hash}\"");
    if text(headers, header::IF_NONE_MATCH.as_str()) == Some(&etag) {
        return Ok(with_etag(StatusCode::NOT_MODIFIED.into_response(), &etag));
    }
    Ok(with_etag(([(header::CONTENT_TYPE, "application/json")], body).into_response(), &etag))
}

fn with_etag(mut response: Response, etag: &str) -> Response {
    if let Ok(etag) = HeaderValue::from_str(etag) {
        let headers = response.headers_mut();
        headers.insert(header::ETAG, etag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    response
}

/// Everything that happened to a member, oldest first, with all that decided it.
#[utoipa::path(
    get,
    path = "/v1/operator/members/{member}/timeline",
    tag = "operator",
    params(MemberPath, PageQuery),
    security(("operator" = [])),
    responses(
        (status = 200, body = TimelineAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn timeline(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(MemberPath { member: id }): Path<MemberPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<TimelineAnswer>, Problem> {
    let limit = page.limit()?;
    let (_, member) = state.engine.member(&id.0).await?;
    let events = state.engine.timeline(&id.0, page.after, limit).await?;
    let next = events.last().map(|(version, _)| *version).filter(|_| events.len() == limit);
    let catalogue = state.catalogue.load();
    let names = Names { catalogue: &catalogue, member: &member };
    let event = |(version, event)| TimelineEvent::new(version, event, names);
    Ok(Json(TimelineAnswer { events: events.into_iter().map(event).collect(), next }))
}

/// The raw session events of a member, as devices told them. A page ends with a whole upload, so it
/// may have some events more than `limit`; it may have fewer although more follow, so read until
/// there is no `next`.
#[utoipa::path(
    get,
    path = "/v1/operator/members/{member}/viewing",
    tag = "operator",
    params(MemberPath, PageQuery),
    security(("operator" = [])),
    responses(
        (status = 200, body = ViewingAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn viewing(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    Path(MemberPath { member }): Path<MemberPath>,
    Query(page): Query<PageQuery>,
) -> Result<Json<ViewingAnswer>, Problem> {
    let limit = page.limit()?;
    let Page { events, next } = state.viewing.read(&member.0, page.after, limit).await?;
    Ok(Json(ViewingAnswer { events: events.into_iter().map(ViewedEvent::from).collect(), next }))
}
