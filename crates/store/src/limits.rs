//! The limits of the seam, checked in one place so that every store draws the same line.

use crate::seam::{APPEND_EVENTS_MAX, AppendError, EVENT_BYTES_MAX};

/// # Errors
/// [`AppendError::Invalid`] when there is nothing to append, too much, or one body is too large.
pub fn check_bodies(bodies: &[Vec<u8>]) -> Result<(), AppendError> {
    if bodies.is_empty() {
        return Err(AppendError::Invalid("an append of no events".to_owned()));
    }
    if bodies.len() > APPEND_EVENTS_MAX {
        return Err(AppendError::Invalid(format!(
            "{} events in one append, at most {APPEND_EVENTS_MAX} are allowed",
            bodies.len()
        )));
    }
    match bodies.iter().position(|body| body.len() > EVENT_BYTES_MAX) {
        None => Ok(()),
        Some(index) => Err(AppendError::Invalid(format!(
            "event {index} of the append is larger than {EVENT_BYTES_MAX} bytes"
        ))),
    }
}
