//! The whole surface of the service: every path, once.

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::services::ServeDir;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Problem;
use crate::request::{CARNET_TIME, REQUEST_ID, outermost};
use crate::routes::{
    catalogue, check_in, demo, devices, drm, health, licenses, operator, playback, policies,
    replays, service, session_events, support, well_known, withdrawals,
};
use crate::state::AppState;
use crate::trace::{TRACEPARENT, TRACERESPONSE, TRACESTATE};
use crate::{assets, openapi};

/// Everything that is documented.
pub(crate) fn api() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .merge(device_api())
        // The DRM systems' license URLs
        .routes(routes!(drm::clear_key))
        // A customer's service
        .routes(routes!(service::commands))
        // Operators
        .routes(routes!(operator::member))
        .routes(routes!(operator::timeline))
        .routes(routes!(operator::viewing))
        .routes(routes!(policies::policies))
        .routes(routes!(policies::policy))
        .routes(routes!(support::revoke))
        .routes(routes!(support::resume))
        .routes(routes!(support::grant_exception))
        .routes(routes!(support::end_exception))
        .routes(routes!(withdrawals::withdraw, withdrawals::withdrawals))
        .routes(routes!(withdrawals::withdrawal))
        .routes(routes!(withdrawals::lift))
        .routes(routes!(replays::begin))
        .routes(routes!(replays::look, replays::stop))
        .routes(routes!(replays::differences))
        // Anybody
        .routes(routes!(well_known::jwks))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
}

fn device_api() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::new()
        .routes(routes!(catalogue::catalogue))
        .routes(routes!(playback::context))
        .routes(routes!(playback::eligibility))
        .routes(routes!(devices::register, devices::list))
        .routes(routes!(devices::remove))
        .routes(routes!(check_in::check_in))
        .routes(routes!(session_events::upload))
        .routes(routes!(licenses::acquire))
        .routes(routes!(licenses::status))
        .routes(routes!(licenses::renew))
        .routes(routes!(licenses::release))
        .routes(routes!(licenses::downloads))
}

/// Only where there is a development identity provider.
fn demo_idp() -> Router<Arc<AppState>> {
    Router::new()
        .route("/demo/members", get(demo::members))
        .route("/demo/token", post(demo::token))
        .route("/demo/operator-token", post(demo::operator_token))
        .route("/demo/service-token", post(demo::service_token))
        .route("/demo/jwks.json", get(demo::jwks))
}

pub fn app(state: Arc<AppState>) -> Router {
    let (mut router, _) = api().split_for_parts();
    router = router.route("/openapi.json", get(openapi::serve));
    if state.demo.is_some() {
        router = router.merge(demo_idp());
    }
    if let Some(media) = &state.settings.media {
        router = router.nest_service("/media", ServeDir::new(media));
    }
    router = router
        .fallback(assets::serve)
        .method_not_allowed_fallback(async || Problem::method_not_allowed());
    if !state.settings.cors_origins.is_empty() {
        router = router.layer(cors(&state.settings.cors_origins));
    }
    router.layer(from_fn_with_state(Arc::clone(&state), outermost)).with_state(state)
}

/// For pages of other origins, which must be named. Tokens travel in headers, so no cookies.
fn cors(origins: &[String]) -> CorsLayer {
    let origins = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("dpop"),
            HeaderName::from_static("idempotency-key"),
            TRACEPARENT,
            TRACESTATE,
            REQUEST_ID,
        ])
        .expose_headers([
            REQUEST_ID,
            CARNET_TIME,
            TRACERESPONSE,
            header::DATE,
            header::ETAG,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
        ])
        .max_age(std::time::Duration::from_secs(600))
}
