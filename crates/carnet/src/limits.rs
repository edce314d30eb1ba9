//! How much and how long: what an operator may want otherwise, with what is right for most.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// The table `[limits]` of the configuration, as typed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(deserialize_with = "positive")]
    pub(crate) request_timeout_seconds: u32,
    #[serde(deserialize_with = "positive")]
    pub(crate) headers_timeout_seconds: u32,
    pub(crate) unready_seconds: u32,
    pub(crate) drain_seconds_max: u32,
    #[serde(deserialize_with = "positive")]
    pub(crate) proof_window_seconds: u32,
    #[serde(deserialize_with = "positive")]
    pub(crate) proofs_remembered_max: usize,
    /// A grant lives two minutes: room for a thousand licenses a second.
    #[serde(deserialize_with = "positive")]
    pub(crate) grants_remembered_max: usize,
    #[serde(deserialize_with = "positive")]
    pub(crate) tokens_remembered_max: usize,
    /// Keys that an identity provider took back are forgotten within this time.
    #[serde(deserialize_with = "positive")]
    pub(crate) keys_refresh_seconds: u32,
    #[serde(deserialize_with = "positive")]
    pub(crate) store_queue_max: usize,
    /// Of the ledger's log, and of the viewing log's. Absent: as much as the disk holds.
    pub(crate) store_bytes_max: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout_seconds: 15,
            headers_timeout_seconds: 60,
            unready_seconds: 2,
            drain_seconds_max: 30,
            proof_window_seconds: 60,
            proofs_remembered_max: 500_000,
            grants_remembered_max: 125_000,
            tokens_remembered_max: 100_000,
            keys_refresh_seconds: 600,
            store_queue_max: store_embedded::Options::default().queue_events_max,
            store_bytes_max: None,
        }
    }
}

impl Limits {
    pub(crate) fn apply(&self, settings: &mut service::Settings) {
        settings.request_timeout = seconds(self.request_timeout_seconds);
        settings.headers_timeout = seconds(self.headers_timeout_seconds);
        settings.unready_for = seconds(self.unready_seconds);
    }

    pub(crate) fn store(&self) -> store_embedded::Options {
        store_embedded::Options {
            queue_events_max: self.store_queue_max,
            log_bytes_max: self.store_bytes_max,
            ..store_embedded::Options::default()
        }
    }
}

pub(crate) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn positive<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let value = T::deserialize(deserializer)?;
    match value == T::default() {
        true => Err(de::Error::custom("nothing would work with `0`: leave it out for the default")),
        false => Ok(value),
    }
}
