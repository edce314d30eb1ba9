//! The service: the ledger, the catalogue and the DRM step over HTTP.
//!
//! It knows who asks, what the JSON looks like and which words people are told. It does not know
//! how anything is decided or stored, and looks at no clock, environment or source of randomness:
//! [`AppState`] brings them.

pub mod auth;

mod answer;
mod assets;
mod caller;
mod clock;
mod demo;
mod extract;
mod finish;
mod language;
mod ledger;
mod metrics;
mod offline;
mod openapi;
mod path;
mod problem;
mod replays;
mod request;
mod router;
mod routes;
mod serve;
mod state;
mod texts;
mod trace;
mod wire;
mod withdrawals;
mod words;

pub use clock::{Clock, Jump};
pub use demo::DemoIdp;
pub use finish::Unfinished;
pub use metrics::Metrics;
pub use openapi::openapi_json;
pub use replays::Replays;
pub use router::app;
pub use serve::serve;
pub use state::{AppState, Ids, Randomness, Settings, Signing};
pub use wire::what_if::{CSV_HEADER, WhatIfReport, csv_row, in_words};
