//! What a device needs to play or to download a title: the catalogue and the playback context.
//!
//! Nothing here knows HTTP, async, the clock, the ledger or a content key. A request's time and
//! territory are arguments, answers are plain data, and whether a member may keep a copy is the
//! ledger's to say.

mod catalogue;
mod context;
mod json;

pub use catalogue::{
    Availability, Catalogue, CatalogueError, CatalogueErrors, ERRORS_MAX, Image, Images, KeyId,
    LINE_BYTES_MAX, Manifests, Territories, Title, Window,
};
pub use context::{
    Delivery, DrmSystem, ImageAsset, ImageRole, Intent, InvalidDelivery, LicenseServer,
    PlaybackContext, Protocol, Stream, Unavailable, playback_context,
};
