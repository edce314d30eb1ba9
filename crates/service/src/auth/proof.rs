//! That a request comes from the device that holds a key: a proof in the shape of DPoP (RFC 9449).
//!
//! A proof shows who holds the key, for one request. Whether one is needed, and whether the key is
//! registered for the device, is decided by the caller. Streaming needs no registration: there the
//! key itself is the device.

use domain::KeyThumbprint;
use drm::expiring::{ExpiringMap, Seen};
use drm::jwk::{Algorithm, Jwk};
use drm::jws::Unverified;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{AuthError, ProofProblem};
use super::strict_json;
use super::token::VerifiedToken;

const TYP: &str = "dpop+jwt";
const JTI_BYTES_MAX: usize = 128;

/// A proof has well under 1 KiB.
const PROOF_BYTES_MAX: usize = 4 * 1024;

/// When proofs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofMode {
    /// Of every device.
    #[default]
    Required,
    /// Of devices that have registered a key.
    WhenRegistered,
    Off,
}

/// The request that a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ProvenRequest<'a> {
    pub method: &'a str,
    /// As the client sees it: public origin and path; a query is left out of the comparison.
    pub url: &'a str,
    /// Of the token that came along, if one did.
    pub token_hash: Option<&'a str>,
}

/// A key that was shown to be held by the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    pub key: KeyThumbprint,
    pub jwk: Jwk,
    /// By the device's clock.
    pub issued_at_ms: i64,
}

impl Proof {
    /// For tokens that their issuer bound to a key (`cnf.jkt`).
    pub fn check_binding(&self, token: &VerifiedToken) -> Result<(), AuthError> {
        match &token.bound_key {
            Some(bound) if *bound != self.key => Err(AuthError::ProofByOtherKey),
            _ => Ok(()),
        }
    }
}

/// Remembers each proof for as long as its time would be accepted.
#[derive(Debug)]
pub struct ProofVerifier {
    window_ms: i64,
    used: ExpiringMap<()>,
}

impl ProofVerifier {
    /// `window_seconds`: how far a proof's `iat` may lie from the server's time, either way.
    /// `proofs_max`: how many are remembered at about 60 bytes each; beyond it requests are turned
    /// away (503) rather than a replay let through. Have room for two windows of requests.
    pub fn new(window_seconds: u32, proofs_max: usize) -> Self {
        Self { window_ms: i64::from(window_seconds) * 1000, used: ExpiringMap::new(proofs_max) }
    }

    pub fn verify(
        &self,
        proof: &str,
        request: ProvenRequest<'_>,
        now_ms: i64,
    ) -> Result<Proof, AuthError> {
        let checked = self.check(proof, request, now_ms)?;
        // By key, so that nobody can use up another device's ids.
        let once = format!("{}.{}", checked.proof.key.as_str(), checked.jti);
        let ends_at_ms = checked.proof.issued_at_ms.saturating_add(self.window_ms);
        match self.used.see(once.as_bytes(), (), ends_at_ms, now_ms) {
            Seen::First => Ok(checked.proof),
            Seen::Before(()) => Err(ProofProblem::Replayed.into()),
            Seen::Over => Err(ProofProblem::Time.into()),
            Seen::Full => Err(AuthError::ProofMemoryFull),
        }
    }

    fn check(
        &self,
        proof: &str,
        request: ProvenRequest<'_>,
        now_ms: i64,
    ) -> Result<Checked, ProofProblem> {
        if proof.len() > PROOF_BYTES_MAX {
            return Err(drm::jws::JwsError::TooLong.into());
        }
        let parsed = Unverified::parse(proof)?;
        if parsed.typ() != Some(TYP) {
            return Err(ProofProblem::Type);
        }
        let jwk = parsed.header_key().ok_or(ProofProblem::Key)?;
        if jwk.key.algorithm() == Algorithm::Rs256 {
            return Err(ProofProblem::Key);
        }
        let payload = parsed.verify(&jwk.key)?;
        let claims = strict_json::object(&payload).ok_or(ProofProblem::Malformed)?;
        let text = |name| text(&claims, name).ok_or(ProofProblem::Malformed);
        let jti = text("jti")?;
        if jti.is_empty() || jti.len() > JTI_BYTES_MAX {
            return Err(ProofProblem::Malformed);
        }
        if text("htm")? != request.method {
            return Err(ProofProblem::Method);
        }
        let url = text("htu")?;
        let target = target(url).ok_or(ProofProblem::Malformed)?;
        // Usually both have the same spelling to begin with.
        if url != request.url && Some(target) != self::target(request.url) {
            return Err(ProofProblem::Url);
        }
        let issued_at = claims.get("iat").and_then(Value::as_f64);
        #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
        let issued_at_ms = (issued_at.ok_or(ProofProblem::Malformed)? * 1000.0) as i64;
        // Half-open, as the memory's: at its end a proof is over.
        let age_ms = now_ms.saturating_sub(issued_at_ms);
        if age_ms >= self.window_ms || age_ms < -self.window_ms {
            return Err(ProofProblem::Time);
        }
        if let Some(token_hash) = request.token_hash
            && text("ath")? != token_hash
        {
            return Err(ProofProblem::TokenHash);
        }
        let key = KeyThumbprint::new(&jwk.thumbprint()).map_err(|_| ProofProblem::Key)?;
        let proof = Proof { key, jwk: jwk.clone(), issued_at_ms };
        Ok(Checked { proof, jti: jti.to_owned() })
    }
}

struct Checked {
    proof: Proof,
    jti: String,
}

fn text<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c str> {
    claims.get(name)?.as_str()
}

/// An http or https URL without query and fragment, in the one spelling that RFC 3986 (6.2.2 and
/// 6.2.3) makes of its equivalents. `None` for anything else.
fn target(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    let authority = authority.strip_suffix(':').unwrap_or(authority);
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let path = normal_path(if path.is_empty() { "/" } else { path })?;
    Some(format!("{scheme}://{authority}{path}"))
}

/// Escapes of characters that need none are taken back, the others written in upper case. `None`
/// for a `%` that begins no escape.
fn normal_path(path: &str) -> Option<String> {
    let mut pieces = path.split('%');
    let mut normal = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, after) = piece.split_at_checked(2)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let escaped = u8::from_str_radix(digits, 16).map(char::from).ok()?;
        match escaped.is_ascii_alphanumeric() || "-._~".contains(escaped) {
            true => normal.push(escaped),
            false => normal.extend(["%", &digits.to_ascii_uppercase()]),
        }
        normal.push_str(after);
    }
    Some(normal)
}

#[cfg(test)]
mod tests;
