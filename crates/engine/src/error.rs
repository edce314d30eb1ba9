//! What can go wrong besides a refusal, by what the caller can do about it.

use domain::Timestamp;
use store::{AppendError, ReadError};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// More is under way than can be answered in time. Nothing was recorded.
    #[error("too many requests are under way; try again in {retry_after_seconds} s")]
    Overloaded { retry_after_seconds: u32 },
    /// Perhaps recorded: ask again with the same idempotency key.
    #[error("the ledger cannot answer now: {0}")]
    Unavailable(String),
    /// What is stored is damaged, or was written by a newer program.
    #[error("the stored ledger cannot be used: {0}")]
    Corrupt(String),
    /// Every published policy begins later.
    #[error("no policy is in effect at {at}: publish one that is effective from then or before")]
    NoPolicy { at: Timestamp },
    /// No store could keep it: too many commands, or one that is too large.
    #[error("the request cannot be recorded: {0}")]
    Invalid(String),
}

impl From<ReadError> for EngineError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(why) => Self::Unavailable(why),
            ReadError::Corrupt(why) => Self::Corrupt(why),
            ReadError::InvalidCursor(_) => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Invalid(why) => Self::Invalid(why),
            AppendError::Conflict { .. }
            | AppendError::Unavailable(_)
            | AppendError::Unknown(_) => Self::Unavailable(error.to_string()),
        }
    }
}
