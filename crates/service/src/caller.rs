//! Who is asking: a member's device, a service of the customer, or an operator.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::member::Device;
use domain::{DeviceId, Member, MemberFacts, MemberId};

use crate::auth::proof::{Proof, ProofMode, ProvenRequest};
use crate::auth::service_credential::Caller;
use crate::auth::token::{Role, VerifiedToken};
use crate::auth::{self, AuthError};
use crate::problem::Problem;
use crate::state::AppState;

/// A member, by the token of the identity provider; and the key that the request was proven with.
#[derive(Debug)]
pub(crate) struct MemberCaller {
    token: Arc<VerifiedToken>,
    pub(crate) member: MemberId,
    proof: Option<Proof>,
    mode: ProofMode,
}

impl FromRequestParts<Arc<AppState>> for MemberCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Problem> {
        let credential = auth::credential(text(&parts.headers, header::AUTHORIZATION.as_str()))?;
        let token = state.by_either_clock(|at_ms| state.tokens.verify(credential, at_ms)).await?;
        let member = token.member()?.clone();
        let mode = state.settings.proofs;
        // A token that its issuer bound to a key is worth nothing without that key.
        let proof = match text(&parts.headers, "dpop") {
            Some(proof) if mode != ProofMode::Off || token.bound_key.is_some() => {
                let url = url(parts, state)?;
                let request = ProvenRequest {
                    method: parts.method.as_str(),
                    url: &url,
                    token_hash: Some(&token.hash),
                };
                let proof = state.proofs.verify(proof, request, state.now().as_millis())?;
                proof.check_binding(&token)?;
                Some(proof)
            }
            _ if token.bound_key.is_some() => return Err(AuthError::ProofMissing.into()),
            _ => None,
        };
        Ok(Self { token, member, proof, mode })
    }
}

impl MemberCaller {
    pub(crate) fn facts(&self) -> &MemberFacts {
        &self.token.facts
    }

    pub(crate) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    pub(crate) fn asks_for_proofs(&self) -> bool {
        self.mode != ProofMode::Off
    }

    /// The key alone, for what must work without the ledger: streaming.
    pub(crate) fn by_any_key(&self, device: &DeviceId) -> Result<(), Problem> {
        self.named_in_token(device)?;
        match (self.mode, &self.proof) {
            (ProofMode::Required, None) => Err(AuthError::ProofMissing.into()),
            _ => Ok(()),
        }
    }

    /// That the request comes from this device of the member. One that is not registered passes,
    /// for the ledger to refuse it where it matters.
    pub(crate) async fn by_device(
        &self,
        state: &AppState,
        device: &DeviceId,
    ) -> Result<(), Problem> {
        self.by_any_key(device)?;
        if self.mode == ProofMode::Off {
            return Ok(());
        }
        let (_, member) = state.engine.member(&self.member).await?;
        self.by_known_device(&member, device)
    }

    /// As [`Self::by_device`], for who has the member's state at hand.
    pub(crate) fn by_known_device(
        &self,
        member: &Member,
        device: &DeviceId,
    ) -> Result<(), Problem> {
        self.by_any_key(device)?;
        let known = member.devices.get(device).filter(|_| self.mode != ProofMode::Off);
        match (known, &self.proof) {
            (Some(_), None) => Err(AuthError::ProofMissing.into()),
            (Some(known), Some(proof)) if known.key != proof.key => Err(other_key()),
            _ => Ok(()),
        }
    }

    /// That the request comes from a device of the member, whichever.
    pub(crate) async fn by_some_device(&self, state: &AppState) -> Result<(), Problem> {
        if self.mode == ProofMode::Off {
            return Ok(());
        }
        let (_, member) = state.engine.member(&self.member).await?;
        let at = state.now();
        let is_here = |device: &Device| device.registered(at);
        match &self.proof {
            None if self.mode == ProofMode::Required || member.devices.values().any(is_here) => {
                Err(AuthError::ProofMissing.into())
            }
            Some(proof) if !member.devices.values().any(|d| is_here(d) && d.key == proof.key) => {
                Err(other_key())
            }
            _ => Ok(()),
        }
    }

    fn named_in_token(&self, device: &DeviceId) -> Result<(), Problem> {
        match &self.token.device {
            Some(named) if named != device => {
                Err(Problem::device_mismatch("the token is for another device"))
            }
            _ => Ok(()),
        }
    }
}

fn other_key() -> Problem {
    Problem::device_mismatch("the proof is by another key than the one registered for the device")
}

/// An operator, or somebody with the operator's role.
#[derive(Debug)]
pub(crate) struct OperatorCaller {
    /// Who it is, by the credential.
    pub(crate) name: String,
}

/// A service of the customer that acts for its members.
#[derive(Debug)]
pub(crate) struct ServiceCaller {
    pub(crate) name: String,
}

impl FromRequestParts<Arc<AppState>> for OperatorCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Problem> {
        with_role(parts, state, Role::Operator).await.map(|name| Self { name })
    }
}

impl FromRequestParts<Arc<AppState>> for ServiceCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Problem> {
        with_role(parts, state, Role::Service).await.map(|name| Self { name })
    }
}

async fn with_role(parts: &Parts, state: &AppState, role: Role) -> Result<String, Problem> {
    let credential = auth::credential(text(&parts.headers, header::AUTHORIZATION.as_str()))?;
    let caller = state
        .by_either_clock(|at_ms| state.callers.verify(credential, role, &state.tokens, at_ms))
        .await?;
    if let Caller::Token(token) = &caller
        && token.bound_key.is_some()
    {
        let proof = text(&parts.headers, "dpop").ok_or(AuthError::ProofMissing)?;
        let url = url(parts, state)?;
        let request = ProvenRequest {
            method: parts.method.as_str(),
            url: &url,
            token_hash: Some(&token.hash),
        };
        state.proofs.verify(proof, request, state.now().as_millis())?.check_binding(token)?;
    }
    // Who acted, for the record of what was done with more than a member's rights.
    tracing::info!(caller = caller.name(), role = role.name(), "acts");
    Ok(caller.name().to_owned())
}

/// A header that occurs once and is text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The URL as the client sees it, which proofs name: the configured origin, or the one that the
/// request was sent to.
pub(crate) fn url(parts: &Parts, state: &AppState) -> Result<String, Problem> {
    let path = parts.uri.path();
    if let Some(origin) = &state.settings.public_url {
        return Ok(format!("{}{path}", origin.trim_end_matches('/')));
    }
    let host = parts.uri.authority().map(|authority| authority.as_str());
    let host = host.or_else(|| text(&parts.headers, header::HOST.as_str()));
    let host = host.ok_or_else(|| Problem::invalid("header.host", "it is missing"))?;
    Ok(format!("http://{host}{path}"))
}
