//! A device says that it is online, and what it still holds.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use domain::member::{CheckedIn, Command, Holding as DomainHolding, Outcome};
use domain::{LicenseId, MemberId};

use crate::caller::MemberCaller;
use crate::extract::{self, OptionalKey, Path};
use crate::ledger::{self, Accepted};
use crate::offline;
use crate::problem::{Problem, ProblemDocument};
use crate::routes::devices::DevicePath;
use crate::state::AppState;
use crate::wire::device::{CheckInAnswer, CheckInBody, Holding, LeaseEntry};
use crate::wire::scalar::License;

pub(crate) const HOLDINGS_MAX: usize = 1_000;

/// Moves the check-in clock of everything that the device holds, and answers with leases signed
/// again. Counts nothing; silence about a license does not release it.
#[utoipa::path(
    post,
    path = "/v1/devices/{device}/check-in",
    tag = "device",
    params(DevicePath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = CheckInBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 200, body = CheckInAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn check_in(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    OptionalKey(key): OptionalKey,
    Path(DevicePath { device }): Path<DevicePath>,
    extract::Json(body): extract::Json<CheckInBody>,
) -> Result<Json<CheckInAnswer>, Problem> {
    caller.by_device(&state, &device.0).await?;
    let holdings = holdings("holdings", body.holdings)?;
    let check_in = Command::CheckIn { device: device.0, holdings };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), key, vec![check_in]).await?;
    let Outcome::CheckedIn(checked_in) = accepted.outcome()? else {
        return Err(ledger::unexpected());
    };
    answer(&state, &caller.member, &accepted, checked_in).map(Json)
}

pub(crate) fn holdings(field: &str, holdings: Vec<Holding>) -> Result<Vec<DomainHolding>, Problem> {
    if holdings.len() > HOLDINGS_MAX {
        let message = format!("there are {} holdings; send at most {HOLDINGS_MAX}", holdings.len());
        return Err(Problem::invalid(field, message));
    }
    let holding = |held: Holding| DomainHolding { license: held.license.0, started: held.started };
    Ok(holdings.into_iter().map(holding).collect())
}

pub(crate) fn answer(
    state: &AppState,
    member: &MemberId,
    accepted: &Accepted,
    checked_in: &CheckedIn,
) -> Result<CheckInAnswer, Problem> {
    let catalogue = state.catalogue.load();
    let at = accepted.at();
    let mut leases = Vec::with_capacity(checked_in.held.len());
    for id in &checked_in.held {
        let license = accepted.member().license(id).filter(|license| license.held(at));
        let Some(license) = license else { continue };
        let kids = offline::key_ids(&catalogue, &license.title);
        let lease = offline::lease(state, member, accepted.member(), id, license, &kids, at)?;
        leases.push(LeaseEntry { license: id.into(), lease });
    }
    let ids = |ids: &[LicenseId]| ids.iter().map(License::from).collect();
    Ok(CheckInAnswer {
        at: at.into(),
        leases,
        ended: ids(&checked_in.ended),
        lapsed: ids(&checked_in.lapsed),
    })
}
