//! Why a caller was not let in. Closed: the service turns each variant into one problem document.
//!
//! Nothing in here quotes a token, a proof or a key.

use drm::jws::JwsError;

/// In order of precedence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("an `Authorization` header is needed: `Bearer` and a token")]
    CredentialMissing,
    #[error("the `Authorization` header is not `Bearer` or `DPoP` and one token")]
    CredentialMalformed,
    #[error("the API key is not known")]
    ApiKeyUnknown,
    #[error(transparent)]
    Token(JwsError),
    #[error("the token's `typ` is neither `JWT` nor `at+jwt`")]
    TokenType,
    #[error("the token's claims are not a JSON object in which each member occurs once")]
    TokenMalformed,
    #[error("the token's issuer is not trusted here")]
    TokenIssuer,
    #[error("the keys of the token's issuer could not be fetched yet: try again in a few seconds")]
    KeysUnavailable,
    #[error("the token is not for this service: its `aud` names none of the configured audiences")]
    TokenAudience,
    #[error("the token is not valid yet")]
    TokenNotYet,
    #[error("the token has expired: get a new one")]
    TokenExpired,
    #[error("the token's claim `{claim}` is missing")]
    ClaimMissing { claim: String },
    #[error("the token's claim `{claim}` cannot be used: {problem}")]
    ClaimInvalid { claim: String, problem: String },
    #[error("a `DPoP` header with a proof by the device's key is needed")]
    ProofMissing,
    #[error("the device proof cannot be used: {0}")]
    Proof(#[from] ProofProblem),
    #[error("the token is bound to another key than the one that made the device proof")]
    ProofByOtherKey,
    #[error(
        "this instance remembers as many device proofs as it may: try again in a few seconds with a new one"
    )]
    ProofMemoryFull,
    #[error("this needs the role `{role}`, which the credential does not have")]
    RoleMissing { role: &'static str },
}

/// In order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofProblem {
    #[error(transparent)]
    Jws(#[from] JwsError),
    #[error("its `typ` is not `dpop+jwt`")]
    Type,
    #[error("its header brings no `jwk`, or one that is not for Ed25519 or ES256")]
    Key,
    #[error("its claims are not `jti`, `htm`, `htu`, `iat` and `ath` in the shape of RFC 9449")]
    Malformed,
    #[error("its `htm` is not the method of the request")]
    Method,
    #[error("its `htu` is not the URL of the request")]
    Url,
    #[error("its `iat` is too far from the server's time: go by the `carnet-time` of this answer")]
    Time,
    #[error("its `ath` is not the hash of the token it came with")]
    TokenHash,
    #[error("it was used before: make one for each request")]
    Replayed,
}

impl AuthError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::RoleMissing { .. } => 403,
            Self::KeysUnavailable | Self::ProofMemoryFull => 503,
            _ => 401,
        }
    }

    /// The stable name of the problem, for clients to tell what to do.
    pub fn code(&self) -> &'static str {
        match self {
            Self::CredentialMissing => "credential_missing",
            Self::CredentialMalformed => "credential_malformed",
            Self::ApiKeyUnknown => "api_key_unknown",
            Self::Token(_) | Self::TokenType | Self::TokenMalformed => "token_invalid",
            Self::TokenIssuer => "token_issuer",
            Self::KeysUnavailable => "keys_unavailable",
            Self::TokenAudience => "token_audience",
            Self::TokenNotYet => "token_not_yet_valid",
            Self::TokenExpired => "token_expired",
            Self::ClaimMissing { .. } => "claim_missing",
            Self::ClaimInvalid { .. } => "claim_invalid",
            Self::ProofMissing => "proof_missing",
            // Its own code: the client's way out is to correct its clock and to try again.
            Self::Proof(ProofProblem::Time) => "proof_time",
            Self::Proof(ProofProblem::Replayed) => "proof_replayed",
            Self::Proof(_) => "proof_invalid",
            Self::ProofByOtherKey => "proof_by_other_key",
            Self::ProofMemoryFull => "proof_memory_full",
            Self::RoleMissing { .. } => "role_missing",
        }
    }

    /// The `WWW-Authenticate` header (RFC 6750, RFC 9449) of a 401 or 403.
    pub fn challenge(&self) -> Option<String> {
        match self {
            Self::KeysUnavailable | Self::ProofMemoryFull => None,
            Self::CredentialMissing => Some(r#"Bearer realm="carnet""#.to_owned()),
            Self::CredentialMalformed => {
                Some(r#"Bearer realm="carnet", error="invalid_request""#.to_owned())
            }
            Self::ProofMissing | Self::Proof(_) | Self::ProofByOtherKey => Some(format!(
                r#"DPoP realm="carnet", error="invalid_dpop_proof", error_description="{}", algs="ES256 Ed25519 EdDSA""#,
                self.description()
            )),
            Self::RoleMissing { .. } => Some(format!(
                r#"Bearer realm="carnet", error="insufficient_scope", error_description="{}""#,
                self.description()
            )),
            _ => Some(format!(
                r#"Bearer realm="carnet", error="invalid_token", error_description="{}""#,
                self.description()
            )),
        }
    }

    /// The message in the characters that RFC 6750 allows inside of the quotes.
    fn description(&self) -> String {
        let is_allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
        self.to_string().chars().filter(is_allowed).collect()
    }
}

impl From<JwsError> for AuthError {
    fn from(error: JwsError) -> Self {
        Self::Token(error)
    }
}

#[cfg(test)]
mod tests;
