//! The JSON of the APIs, and its way from and to the domain. No decision is taken here.

pub(crate) mod command;
pub(crate) mod device;
pub(crate) mod license;
pub(crate) mod membership;
pub(crate) mod refusal;
pub(crate) mod scalar;
pub(crate) mod timeline;
pub(crate) mod title;
pub(crate) mod what_if;
