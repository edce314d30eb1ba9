//! The titles of the service, as seen from where the member is.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::caller::MemberCaller;
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;
use crate::wire::title::CatalogueAnswer;

/// All titles, and whether each is available here and now.
#[utoipa::path(
    get,
    path = "/v1/catalogue",
    tag = "device",
    security(("member" = [])),
    responses(
        (status = 200, body = CatalogueAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn catalogue(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
) -> Result<Json<CatalogueAnswer>, Problem> {
    let (at, territory) = (state.now(), caller.facts().territory.as_ref());
    let catalogue = state.catalogue.load();
    let available = |title: &playback::Title| title.window_at(territory, at).is_ok();
    Ok(Json(CatalogueAnswer::new(&catalogue, &state.delivery, available)))
}
