//! One file for each feature. A handler authenticates, finds, changes and answers, in this order.

pub(crate) mod catalogue;
pub(crate) mod check_in;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod drm;
pub(crate) mod health;
pub(crate) mod licenses;
pub(crate) mod operator;
pub(crate) mod playback;
pub(crate) mod policies;
pub(crate) mod replays;
pub(crate) mod service;
pub(crate) mod session_events;
pub(crate) mod support;
pub(crate) mod well_known;
pub(crate) mod withdrawals;
