//! What is needed to play or to download a title, and whether a download would be allowed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::Request;
use domain::member::Command;
use domain::member::term::RunningTerm;
use playback::{Unavailable, playback_context};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::caller::MemberCaller;
use crate::extract::{Path, Query};
use crate::language::AcceptLanguage;
use crate::ledger::title_facts;
use crate::offline;
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;
use crate::texts;
use crate::wire::refusal::{CapState, Refusal};
use crate::wire::scalar::{Device, Instant, Title};
use crate::wire::title::{EligibilityAnswer, Held, Intent, PlaybackContextAnswer, Terms};
use crate::words::{Names, Subject};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct TitlePath {
    title: Title,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ContextQuery {
    intent: Intent,
    /// The device that plays.
    device: Device,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EligibilityQuery {
    device: Device,
}

/// Metadata, streams, key ids and DRM systems of a title; for streaming with a grant. Asks nothing
/// of the ledger.
#[utoipa::path(
    get,
    path = "/v1/titles/{title}/playback-context",
    tag = "device",
    params(TitlePath, ContextQuery),
    security(("member" = [])),
    responses(
        (status = 200, body = PlaybackContextAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn context(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    Path(TitlePath { title }): Path<TitlePath>,
    Query(ContextQuery { intent, device }): Query<ContextQuery>,
) -> Result<Json<PlaybackContextAnswer>, Problem> {
    caller.by_any_key(&device.0)?;
    let (at, territory) = (state.now(), caller.facts().territory.as_ref());
    let catalogue = state.catalogue.load();
    let found =
        playback_context(&catalogue, &state.delivery, &title.0, territory, intent.into(), at);
    let context = found.map_err(unavailable)?;
    let grant = (intent == Intent::Stream && state.settings.grants).then(|| {
        let kids = offline::key_ids(&catalogue, &title.0);
        offline::grant(&state, &caller.member, (&device.0, &title.0), None, kids, at)
    });
    Ok(Json(PlaybackContextAnswer::new(context, intent, &state.delivery, grant)))
}

fn unavailable(why: Unavailable) -> Problem {
    let (code, detail) = match why {
        Unavailable::UnknownTitle => return Problem::title_unknown(),
        Unavailable::TerritoryUnknown => {
            ("territory_unknown", "it is not known where the request comes from".to_owned())
        }
        Unavailable::NotInTerritory => {
            ("title_not_offered", "the title is not offered in this territory".to_owned())
        }
        Unavailable::NotYet { from } => {
            ("title_not_yet_available", format!("the title is available from {from}"))
        }
        Unavailable::NoLonger { until } => {
            ("title_no_longer_available", format!("the title was available until {until}"))
        }
        Unavailable::NotDownloadable => {
            ("title_not_downloadable", "the title can be streamed and not downloaded".to_owned())
        }
    };
    Problem::title_unavailable(code, detail)
}

/// Whether a download would be allowed now, what is left of each cap, and until when it would be
/// held. Records nothing.
#[utoipa::path(
    get,
    path = "/v1/titles/{title}/eligibility",
    tag = "device",
    params(TitlePath, EligibilityQuery, AcceptLanguage),
    security(("member" = [])),
    responses(
        (status = 200, body = EligibilityAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn eligibility(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    Path(TitlePath { title }): Path<TitlePath>,
    Query(EligibilityQuery { device }): Query<EligibilityQuery>,
) -> Result<Json<EligibilityAnswer>, Problem> {
    let (_, member) = state.engine.member(&caller.member).await?;
    caller.by_known_device(&member, &device.0)?;
    let at = state.now();
    let catalogue = state.catalogue.load();
    let territory = caller.facts().territory.as_ref();
    let (device, title) = (device.0, title.0);
    let facts_of_title = title_facts(&catalogue, &title, territory, at);
    let acquire = Command::Acquire {
        title_facts: facts_of_title.clone(),
        device: device.clone(),
        title: title.clone(),
        // Of a license that is not made.
        license: state.ids.license(),
    };
    let facts = caller.facts().clone();
    let request = Request { at, idempotency: None, facts, commands: vec![acquire] };
    let (eligibility, policy) = state.engine.eligibility(&caller.member, request).await?;
    let names = Names { catalogue: &catalogue, member: &member };
    let holding = eligibility.holding.as_ref().map(|id| Held {
        license: id.into(),
        ends_at: member.license(id).and_then(|license| Instant::unless_never(license.ends_at())),
    });
    let term = eligibility.term.as_ref();
    let subject =
        Subject { device: &device, title: facts_of_title.as_ref().map(|facts| (&title, facts)) };
    let cap = |cap| CapState::new(cap, texts::left(cap, subject, &policy, eligibility.at, names));
    Ok(Json(EligibilityAnswer {
        allowed: eligibility.refused.is_none(),
        at: eligibility.at.into(),
        holding,
        refusal: eligibility.refused.map(|refused| Refusal::new(&refused, eligibility.at, names)),
        caps: eligibility.caps.iter().map(cap).collect(),
        terms: term.map(Terms::new).unwrap_or_default(),
        would_end_at: term
            .and_then(|term| Instant::unless_never(RunningTerm::new(term.clone()).ends_at())),
    }))
}
