//! Where a request belongs among those of other programs: W3C Trace Context, level 1.
//!
//! A caller's trace goes on here under an id of our own, which what we ask of others bears as their
//! parent. What is not in order is ignored, and a new trace begins. Nothing is recorded of traces
//! but their ids in the log.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The answer to a `traceparent`, in the same shape, with our id for the request.
pub(crate) const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// A longer state is not passed on, as the standard allows.
const TRACESTATE_BYTES_MAX: usize = 512;

const VERSION_00_BYTES: usize = 55;

tokio::task_local! {
    /// Of the request that this task works for.
    static CURRENT: Trace;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    trace_id: u128,
    /// This request, in its trace.
    span_id: u64,
    is_sampled: bool,
    /// Of the caller, untouched.
    state: Option<String>,
    /// Whether the trace is a caller's.
    is_continued: bool,
}

impl Trace {
    /// `random` makes the ids that are new.
    pub(crate) fn of(headers: &HeaderMap, random: impl Fn() -> [u8; 16]) -> Self {
        // Of all zeros, which nobody draws, an id would be none.
        #[expect(clippy::cast_possible_truncation, reason = "half of what is random is random")]
        let span_id = (u128::from_be_bytes(random()) as u64).max(1);
        match parent(headers) {
            Some((trace_id, is_sampled)) => {
                let state = tracestate(headers);
                Self { trace_id, span_id, is_sampled, state, is_continued: true }
            }
            None => {
                let trace_id = u128::from_be_bytes(random()).max(1);
                Self { trace_id, span_id, is_sampled: false, state: None, is_continued: false }
            }
        }
    }

    pub(crate) fn trace_id(&self) -> impl fmt::Display {
        std::fmt::from_fn(|f| write!(f, "{:032x}", self.trace_id))
    }

    pub(crate) fn span_id(&self) -> impl fmt::Display {
        std::fmt::from_fn(|f| write!(f, "{:016x}", self.span_id))
    }

    /// For who asked within a trace.
    pub(crate) fn response(&self) -> Option<HeaderValue> {
        self.is_continued.then(|| HeaderValue::from_str(&self.to_string()).ok())?
    }

    /// No `async fn`, which would hold `request` twice: as what it was given and as what it awaits.
    pub(crate) fn scope<F: Future>(self, request: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, request)
    }
}

/// What a question to another program bears: nothing, outside of requests.
pub(crate) fn outgoing() -> Vec<(HeaderName, String)> {
    let of = |trace: &Trace| {
        let state = trace.state.clone().map(|state| (TRACESTATE, state));
        [(TRACEPARENT, trace.to_string())].into_iter().chain(state).collect()
    };
    CURRENT.try_with(of).unwrap_or_default()
}

/// As a `traceparent` whose parent is this request.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{}-{}-{flags:02x}", self.trace_id(), self.span_id())
    }
}

/// `00-<trace id>-<parent id>-<flags>` in lower-case hex; a later version may say more behind that.
fn parent(headers: &HeaderMap) -> Option<(u128, bool)> {
    let mut given = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let text = value.to_str().ok()?;
    let (known, more) = text.split_at_checked(VERSION_00_BYTES)?;
    let mut parts = known.split('-');
    let mut next = |digits| parts.next().and_then(|part| hex(part, digits));
    let (version, trace_id, parent_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let is_read = match version {
        0x00 => more.is_empty(),
        0xFF => false,
        _ => more.is_empty() || more.starts_with('-'),
    };
    (is_read && trace_id != 0 && parent_id != 0).then_some((trace_id, flags & 1 == 1))
}

fn hex(part: &str, digits: usize) -> Option<u128> {
    let is_lower_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if part.len() != digits || !is_lower_hex {
        return None;
    }
    u128::from_str_radix(part, 16).ok()
}

fn tracestate(headers: &HeaderMap) -> Option<String> {
    let parts: Option<Vec<&str>> =
        headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    let state = parts?.join(",");
    (1..=TRACESTATE_BYTES_MAX).contains(&state.len()).then_some(state)
}

#[cfg(test)]
mod tests;
