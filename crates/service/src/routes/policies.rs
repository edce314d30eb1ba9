//! Operator API: every version of the policy that was ever published. Decisions cite their version;
//! the timeline says which.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use domain::{Policy, PolicyVersion};
use engine::EngineError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::OperatorCaller;
use crate::extract::Path;
use crate::problem::{Problem, ProblemDocument};
use crate::routes::operator::unless_known;
use crate::state::AppState;
use crate::wire::scalar::{Instant, Policy as Version};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct PolicyPath {
    version: Version,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PoliciesAnswer {
    /// In the order in which they were first published.
    policies: Vec<PolicyEntry>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyEntry {
    version: String,
    /// By its author's name for it; absent when this release does not understand the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effective_from: Option<Instant>,
    /// It decides now.
    in_effect: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyAnswer {
    #[serde(flatten)]
    entry: PolicyEntry,
    /// Its files as they were stored: `file`, bytes and name, and then the text, for each.
    text: String,
}

impl PolicyEntry {
    fn new(version: String, policy: Option<&Policy>, decides: Option<&PolicyVersion>) -> Self {
        Self {
            in_effect: decides.is_some_and(|decides| decides.as_str() == version),
            name: policy.map(|policy| policy.name.clone()),
            effective_from: policy.map(|policy| policy.effective_from.into()),
            version,
        }
    }
}

/// Every version of the policy that was ever published, and which decides now. Bears an `ETag`.
#[utoipa::path(
    get,
    path = "/v1/operator/policies",
    tag = "operator",
    security(("operator" = [])),
    responses(
        (status = 200, body = PoliciesAnswer),
        (status = 304, description = "Nothing changed since the `ETag` of `If-None-Match`"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policies(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let versions = state.policies.versions().await?;
    let decides = decides(&state)?;
    let entry = |(version, policy): (String, Option<Arc<Policy>>)| {
        PolicyEntry::new(version, policy.as_deref(), decides.as_ref())
    };
    let policies = versions.into_iter().map(entry).collect();
    unless_known(&headers, &PoliciesAnswer { policies })
}

/// One version with its text: what any decision that cites it was decided by. Bears an `ETag`.
#[utoipa::path(
    get,
    path = "/v1/operator/policies/{version}",
    tag = "operator",
    params(PolicyPath),
    security(("operator" = [])),
    responses(
        (status = 200, body = PolicyAnswer),
        (status = 304, description = "Nothing changed since the `ETag` of `If-None-Match`"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn policy(
    State(state): State<Arc<AppState>>,
    _: OperatorCaller,
    headers: HeaderMap,
    Path(PolicyPath { version }): Path<PolicyPath>,
) -> Result<Response, Problem> {
    let text = state.policies.source(&version.0).await?.ok_or_else(Problem::policy_unknown)?;
    let versions = state.policies.versions().await?;
    let known = versions.into_iter().find(|(known, _)| *known == version.0.as_str());
    let policy = known.and_then(|(_, policy)| policy);
    let decides = decides(&state)?;
    let entry = PolicyEntry::new(version.0.to_string(), policy.as_deref(), decides.as_ref());
    unless_known(&headers, &PolicyAnswer { entry, text })
}

/// None where none has come into effect, or this release cannot use the one that has.
fn decides(state: &AppState) -> Result<Option<PolicyVersion>, Problem> {
    match state.policies.in_effect(state.now()) {
        Ok(policy) => Ok(Some(policy.version.clone())),
        Err(EngineError::NoPolicy { .. } | EngineError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
