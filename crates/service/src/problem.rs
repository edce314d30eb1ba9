//! Every answer that is not the one asked for: one type, one shape (RFC 9457), one file.
//!
//! A problem says to the caller what to do, and to the log why. It travels inside of the response
//! until the outermost layer, which knows the request's id, writes it down and renders it.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::member::Code;
use engine::EngineError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::AuthError;
use crate::wire::refusal::Refusal;

/// The type of the DASH Industry Forum for "you may not".
const NOT_AUTHORIZED: &str = "https://dashif.org/drm-problems/not-authorized";

/// How long a client waits when we cannot say better.
const RETRY_AFTER_SECONDS: u32 = 2;

/// Boxed, for it is the rare way out of nearly every function.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    status: StatusCode,
    /// Stable, for programs.
    code: Cow<'static, str>,
    title: &'static str,
    not_authorized: bool,
    detail: Option<String>,
    errors: Vec<FieldError>,
    refusal: Option<Refusal>,
    retry_after_seconds: Option<u32>,
    challenge: Option<String>,
    /// For the log alone.
    cause: Option<String>,
}

/// One thing wrong with the request, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// As in `holdings[0].license`, `path.device`, `query.intent` or `header.idempotency-key`.
    pub field: String,
    pub message: String,
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// `https://dashif.org/drm-problems/not-authorized` when a cap or gate says no, else
    /// `urn:carnet:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: Cow<'a, str>,
    pub title: &'a str,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// Stable, for programs.
    pub code: &'a str,
    /// Name it when you ask for help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<&'a Refusal>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self(Box::new(Parts {
            status,
            code: Cow::Borrowed(code),
            title,
            not_authorized: false,
            detail: None,
            errors: Vec::new(),
            refusal: None,
            retry_after_seconds: None,
            challenge: None,
            cause: None,
        }))
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(&mut self.0);
        self
    }

    #[must_use]
    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        self.with(|parts| parts.detail = Some(detail.into()))
    }

    #[must_use]
    fn cause(self, cause: impl Into<String>) -> Self {
        self.with(|parts| parts.cause = Some(cause.into()))
    }

    /// The request is malformed in one field.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        let error = FieldError { field: field.into(), message: message.into() };
        let detail = format!("`{}`: {}", error.field, error.message);
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "invalid_request", "the request is malformed");
        problem.detail(detail).with(|parts| parts.errors.push(error))
    }

    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
            .detail(format!("send at most {bytes_max} bytes; split what does not fit"))
    }

    pub(crate) fn not_json() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "the body is not announced as JSON",
        )
        .detail("send `Content-Type: application/json`")
    }

    pub(crate) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing at this path")
            .detail("`/openapi.json` lists every path")
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "the path does not take this method",
        )
    }

    pub(crate) fn license_unknown() -> Self {
        let (status, code, title) = refused(Code::LicenseUnknown);
        Self::new(status, code, title)
    }

    pub(crate) fn title_unknown() -> Self {
        let (status, code, title) = refused(Code::TitleUnknown);
        Self::new(status, code, title)
    }

    /// A title that cannot be had here and now, for playing.
    pub(crate) fn title_unavailable(code: &'static str, detail: String) -> Self {
        let problem = Self::new(StatusCode::FORBIDDEN, code, "the title is not available");
        problem.detail(detail).with(|parts| parts.not_authorized = true)
    }

    pub(crate) fn member_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "member_unknown", "nothing is recorded of this member")
    }

    pub(crate) fn policy_unknown() -> Self {
        let title = "no policy of this version was ever published";
        Self::new(StatusCode::NOT_FOUND, "policy_unknown", title)
    }

    pub(crate) fn replay_unknown(detail: &str) -> Self {
        let title = "there is no report of such a replay";
        Self::new(StatusCode::NOT_FOUND, "replay_unknown", title).detail(detail)
    }

    pub(crate) fn withdrawal_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, "withdrawal_unknown", "there is no such withdrawal")
    }

    pub(crate) fn replay_is_running() -> Self {
        let title = "another replay is running";
        Self::new(StatusCode::CONFLICT, "replay_running", title)
            .detail("wait until it is done, or stop it")
    }

    pub(crate) fn idempotency_key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "the idempotency key was used for another request",
        )
        .detail("make a new key for each new request, and keep it for its retries")
    }

    /// The credential is fine, and names another device than the request does.
    pub(crate) fn device_mismatch(detail: &str) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "device_mismatch",
            "the request is not by the device it names",
        )
        .detail(detail)
    }

    pub(crate) fn overloaded(retry_after_seconds: u32) -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many requests are waiting",
        );
        problem.with(|parts| parts.retry_after_seconds = Some(retry_after_seconds.max(1)))
    }

    /// Surely or perhaps not done: the same request with the same idempotency key finds out.
    pub(crate) fn unavailable(cause: impl Into<String>) -> Self {
        let problem = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the ledger cannot answer now",
        );
        let problem = problem.detail("repeat the same request with the same idempotency key");
        problem.cause(cause).with(|parts| parts.retry_after_seconds = Some(RETRY_AFTER_SECONDS))
    }

    pub(crate) fn timeout() -> Self {
        Self::unavailable("the request timed out")
            .with(|parts| parts.title = "the answer took too long")
    }

    /// A fault of ours, or of what is stored.
    pub(crate) fn internal(cause: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something is wrong on our side")
            .cause(cause)
    }

    /// The DRM system's part said no.
    pub(crate) fn drm(
        status: StatusCode,
        code: &'static str,
        error: &dyn std::error::Error,
    ) -> Self {
        let problem =
            Self::new(status, code, "no DRM license was issued").detail(error.to_string());
        let bearer = r#"Bearer realm="carnet", error="invalid_token""#;
        problem.with(|parts| {
            parts.not_authorized = status == StatusCode::FORBIDDEN;
            parts.challenge = (status == StatusCode::UNAUTHORIZED).then(|| bearer.to_owned());
        })
    }

    /// The ledger said no. What stands first decides the status.
    pub(crate) fn refused(refusal: Refusal, first: Option<Code>) -> Self {
        let (status, code, title) = first.map_or(REFUSED, refused);
        Self::new(status, code, title).with(|parts| {
            parts.detail = refusal.findings.first().map(|finding| finding.message.clone());
            parts.not_authorized = status == StatusCode::FORBIDDEN;
            parts.refusal = Some(refusal);
        })
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    pub(crate) fn cause_for_log(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The document, for answers that carry one inside.
    pub(crate) fn document<'a>(&'a self, request_id: Option<&'a str>) -> ProblemDocument<'a> {
        ProblemDocument {
            kind: match self.0.not_authorized {
                true => Cow::Borrowed(NOT_AUTHORIZED),
                false => Cow::Owned(format!("urn:carnet:problem:{}", self.0.code)),
            },
            title: self.0.title,
            status: self.0.status.as_u16(),
            detail: self.0.detail.as_deref(),
            code: &self.0.code,
            request_id,
            errors: &self.0.errors,
            refusal: self.0.refusal.as_ref(),
        }
    }

    /// The finished answer.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let document = self.document(Some(request_id));
        // Text and numbers into memory: there is nothing that could fail.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.0.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let challenge = self.0.challenge.as_deref().map(HeaderValue::from_str);
        if let Some(Ok(challenge)) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

const REFUSED: (StatusCode, &str, &str) =
    (StatusCode::FORBIDDEN, "refused", "the request was refused");

/// What the ledger itself demands has the code of its finding; what the policy says no to is
/// explained by the findings. No `_` arm: a new code does not compile until it has a status.
fn refused(code: Code) -> (StatusCode, &'static str, &'static str) {
    let (status, title) = match code {
        Code::DeviceUnknown => (StatusCode::FORBIDDEN, "the device is not registered"),
        Code::DeviceRemoved => (StatusCode::FORBIDDEN, "the device was removed"),
        Code::MemberRevoked => (StatusCode::FORBIDDEN, "the member was revoked"),
        Code::MembershipLapsed => (StatusCode::FORBIDDEN, "the membership has lapsed"),
        Code::DeviceRevoked => (StatusCode::FORBIDDEN, "the device was revoked"),
        Code::DeviceLeaving => (StatusCode::FORBIDDEN, "the device has notice"),
        Code::RuleUnknown => (StatusCode::NOT_FOUND, "the policy has no such rule"),
        Code::ExceptionOver => (StatusCode::CONFLICT, "the exception would be over at once"),
        Code::ExceptionUnknown => (StatusCode::NOT_FOUND, "the member has no such exception"),
        Code::DeviceKeyMismatch => (StatusCode::CONFLICT, "the device id belongs to another key"),
        Code::LicenseUnknown => (StatusCode::NOT_FOUND, "the member has no such license"),
        Code::LicenseClosed => (StatusCode::GONE, "the license was closed"),
        Code::LicenseOfOtherDevice => (StatusCode::FORBIDDEN, "another device holds the license"),
        Code::TermUnknown => (StatusCode::CONFLICT, "the license has no such term"),
        Code::TitleUnknown => (StatusCode::NOT_FOUND, "the catalogue has no such title"),
        Code::RenewalTooEarly
        | Code::RenewalTooLate
        | Code::RenewalsExhausted
        | Code::AutoRenewalTooSoon
        | Code::TermOverAtBirth
        | Code::TitleNotOffered
        | Code::TitleNotYetAvailable
        | Code::TitleNoLongerAvailable
        | Code::TitleNotDownloadable
        | Code::PlanNotAllowed
        | Code::TerritoryNotAllowed
        | Code::DeviceClassNotAllowed
        | Code::SecurityLevelNotAllowed
        | Code::AccountNotAllowed
        | Code::MaturityNotAllowed
        | Code::TooManyStreams
        | Code::DeviceElsewhere
        | Code::CapReached => return REFUSED,
    };
    (status, code.name(), title)
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::UNAUTHORIZED);
        let title = match status {
            StatusCode::FORBIDDEN => "the credential does not allow this",
            StatusCode::SERVICE_UNAVAILABLE => "the credential cannot be checked now",
            _ => "the request is not authenticated",
        };
        let retry = status == StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "", title).detail(error.to_string()).with(|parts| {
            parts.code = Cow::Owned(error.code().replace('-', "_"));
            parts.challenge = error.challenge();
            parts.retry_after_seconds = retry.then_some(RETRY_AFTER_SECONDS);
        })
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Overloaded { retry_after_seconds } => {
                Self::overloaded(retry_after_seconds)
            }
            EngineError::Unavailable(_) => Self::unavailable(error.to_string()),
            EngineError::Corrupt(_) | EngineError::NoPolicy { .. } => {
                Self::internal(error.to_string())
            }
            EngineError::Invalid(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "not_recordable",
                "the request cannot be recorded",
            )
            .detail(error.to_string()),
        }
    }
}

impl IntoResponse for Problem {
    /// Rendered by the outermost layer ([`crate::request`]).
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
