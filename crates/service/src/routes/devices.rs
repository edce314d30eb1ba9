//! The devices of a member: a device is a key.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use domain::KeyThumbprint;
use domain::member::{Command, Outcome};
use drm::jwk::{Jwk, PublicKey};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::auth::AuthError;
use crate::caller::MemberCaller;
use crate::extract::{self, OptionalKey, Path};
use crate::ledger;
use crate::problem::{Problem, ProblemDocument};
use crate::state::AppState;
use crate::wire::device::{
    DeviceEntry, DevicesAnswer, RegisterBody, RegisteredAnswer, RemovedAnswer,
};
use crate::wire::scalar::{Device, License};
use crate::wire::timeline::licenses_on;

/// A name is for people, who read no more.
pub(crate) const NAME_CHARACTERS_MAX: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct DevicePath {
    pub(crate) device: Device,
}

/// Registers a device by its public key. The request is proven with that key; the same key under
/// the same id changes nothing, or brings a removed device back.
#[utoipa::path(
    post,
    path = "/v1/devices",
    tag = "device",
    params(("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    request_body = RegisterBody,
    security(("member" = [], "proof" = [])),
    responses(
        (status = 201, body = RegisteredAnswer),
        (status = 200, description = "It was registered before", body = RegisteredAnswer),
        (status = 409, description = "The id belongs to another key", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn register(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    OptionalKey(key): OptionalKey,
    extract::Json(body): extract::Json<RegisterBody>,
) -> Result<(StatusCode, Json<RegisteredAnswer>), Problem> {
    caller.by_any_key(&body.device.0)?;
    let thumbprint = thumbprint("jwk", &body.jwk)?;
    match caller.proof() {
        Some(proof) if proof.key == thumbprint => {}
        Some(_) => {
            return Err(Problem::device_mismatch(
                "the proof is by another key than the one in `jwk`",
            ));
        }
        // Registering proves possession, unless this deployment asks for no proofs at all.
        None if caller.asks_for_proofs() => return Err(AuthError::ProofMissing.into()),
        None => {}
    }
    let device = body.device.0;
    let register = Command::RegisterDevice {
        device: device.clone(),
        class: body.class.into(),
        key: thumbprint,
        name: name("name", body.name)?,
    };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), key, vec![register]).await?;
    let outcome = accepted.outcome()?;
    let Outcome::DeviceRegistered { already, .. } = outcome else {
        return Err(ledger::unexpected());
    };
    let status = if *already || accepted.repeated { StatusCode::OK } else { StatusCode::CREATED };
    let member = accepted.member();
    let known = member.devices.get(&device).ok_or_else(ledger::unexpected)?;
    let licenses = licenses_on(member, &device, accepted.at());
    let device = DeviceEntry::new(&device, known, (licenses, accepted.at()), true);
    let caps = accepted.caps(&state, caller.facts(), outcome);
    Ok((status, Json(RegisteredAnswer { device, caps })))
}

/// Of a key that a device may have: one to sign proofs with.
pub(crate) fn thumbprint(field: &str, jwk: &Jwk) -> Result<KeyThumbprint, Problem> {
    if matches!(jwk.key, PublicKey::Rsa { .. }) {
        return Err(Problem::invalid(field, "a device's key is for Ed25519 or ES256"));
    }
    KeyThumbprint::new(&jwk.thumbprint())
        .map_err(|error| Problem::invalid(field, error.to_string()))
}

pub(crate) fn name(field: &str, name: String) -> Result<String, Problem> {
    if name.chars().count() > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        let message =
            format!("a name has at most {NAME_CHARACTERS_MAX} characters, none of control");
        return Err(Problem::invalid(field, message));
    }
    Ok(name)
}

/// All devices of the member, those that were removed included.
#[utoipa::path(
    get,
    path = "/v1/devices",
    tag = "device",
    security(("member" = [])),
    responses(
        (status = 200, body = DevicesAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
) -> Result<Json<DevicesAnswer>, Problem> {
    let (_, member) = state.engine.member(&caller.member).await?;
    let at = state.now();
    let asking = caller.proof().map(|proof| &proof.key);
    let devices = member.devices.iter().map(|(id, device)| {
        let this = asking == Some(&device.key);
        DeviceEntry::new(id, device, (licenses_on(&member, id, at), at), this)
    });
    Ok(Json(DevicesAnswer { devices: devices.collect() }))
}

/// Removes a device and closes its licenses; their slots are free at once. Any device of the member
/// may do so.
#[utoipa::path(
    delete,
    path = "/v1/devices/{device}",
    tag = "device",
    params(DevicePath, ("Idempotency-Key" = Option<String>, Header, description = "Binds a retry to the first telling")),
    security(("member" = [], "proof" = [])),
    responses(
        (status = 200, body = RemovedAnswer),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn remove(
    State(state): State<Arc<AppState>>,
    caller: MemberCaller,
    OptionalKey(key): OptionalKey,
    Path(DevicePath { device }): Path<DevicePath>,
) -> Result<Json<RemovedAnswer>, Problem> {
    caller.by_some_device(&state).await?;
    let remove = Command::RemoveDevice { device: device.0.clone() };
    let accepted =
        ledger::decide(&state, &caller.member, caller.facts(), key, vec![remove]).await?;
    let outcome = accepted.outcome()?;
    let Outcome::DeviceRemoved { closed, .. } = outcome else {
        return Err(ledger::unexpected());
    };
    let closed = closed.iter().map(License::from).collect();
    let caps = accepted.caps(&state, caller.facts(), outcome);
    Ok(Json(RemovedAnswer { device, closed, caps }))
}
