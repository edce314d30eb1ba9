//! The API document, generated from the routes and the JSON types.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, tag::TagBuilder};

use crate::router::api;

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi_json);

/// OpenAPI 3.1, as it is checked in at `docs/api/openapi.json`.
#[expect(clippy::expect_used, reason = "INVARIANT: a document of text and numbers serializes")]
pub fn openapi_json() -> String {
    let (_, openapi) = api().split_for_parts();
    openapi.to_pretty_json().expect("a document of text and numbers serializes") + "\n"
}

/// What stands above the paths.
pub(crate) fn frame() -> OpenApi {
    let mut openapi = OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Carnet")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(include_str!("openapi.md")))
                .license(Some(
                    LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
                ))
                .build(),
        )
        .tags(Some([
            tag("device", "Device API: with the member's own token"),
            tag("drm", "License URLs of the DRM systems: raw key-system bodies, with a grant"),
            tag("service", "Service API: a service of the customer acts for a member"),
            tag("operator", "Operator API: what support looks at and does"),
            tag("public", "What anybody may ask"),
        ]))
        .build();
    let components = openapi.components.get_or_insert_default();
    for (name, what) in [
        ("member", "A token of the customer's identity provider"),
        ("grant", "The grant of an answer or a playback context"),
        ("service", "An API key, or a token with the service role"),
        ("operator", "An API key, or a token with the operator role"),
    ] {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what));
        components.add_security_scheme(name, SecurityScheme::Http(bearer.build()));
    }
    let proof = ApiKeyValue::with_description("DPoP", "A proof by the device's key (RFC 9449)");
    components.add_security_scheme("proof", SecurityScheme::ApiKey(ApiKey::Header(proof)));
    openapi
}

fn tag(name: &str, description: &str) -> utoipa::openapi::Tag {
    TagBuilder::new().name(name).description(Some(description)).build()
}

pub(crate) async fn serve() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, DOCUMENT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::openapi_json;

    /// `UPDATE=1 cargo test -p service openapi` writes it anew.
    #[test]
    fn the_openapi_document_that_is_checked_in_is_the_one_that_the_code_makes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/api/openapi.json");
        let made = openapi_json();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            checked_in == made,
            "docs/api/openapi.json is stale: run `UPDATE=1 cargo test -p service openapi`"
        );
    }

    /// Generated clients name their functions so.
    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document: serde_json::Value = serde_json::from_str(&openapi_json()).unwrap();
        let paths = document["paths"].as_object().unwrap().values();
        let mut ids: Vec<_> = paths
            .flat_map(|path| path.as_object().unwrap().values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert!(all > 0 && ids.len() == all, "{ids:?}");
    }
}
