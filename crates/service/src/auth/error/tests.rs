use super::*;

#[test]
fn every_error_has_its_status_code_and_challenge() {
    let claim = || "plan".to_owned();
    let problem = r#"not "so" \ nice"#.to_owned();
    let rows = [
        (AuthError::CredentialMissing, 401, "credential_missing", r#"Bearer realm="carnet""#),
        (
            AuthError::CredentialMalformed,
            401,
            "credential_malformed",
            r#"Bearer realm="carnet", error="invalid_request""#,
        ),
        (
            AuthError::TokenExpired,
            401,
            "token_expired",
            r#"Bearer realm="carnet", error="invalid_token", error_description="the token has expired: get a new one""#,
        ),
        (
            AuthError::ClaimInvalid { claim: claim(), problem },
            401,
            "claim_invalid",
            r#"Bearer realm="carnet", error="invalid_token", error_description="the token's claim `plan` cannot be used: not so  nice""#,
        ),
        (
            AuthError::Proof(ProofProblem::Time),
            401,
            "proof_time",
            r#"DPoP realm="carnet", error="invalid_dpop_proof", error_description="the device proof cannot be used: its `iat` is too far from the server's time: go by the `carnet-time` of this answer", algs="ES256 Ed25519 EdDSA""#,
        ),
        (
            AuthError::RoleMissing { role: "operator" },
            403,
            "role_missing",
            r#"Bearer realm="carnet", error="insufficient_scope", error_description="this needs the role `operator`, which the credential does not have""#,
        ),
    ];
    for (error, status, code, challenge) in rows {
        assert_eq!(error.status(), status, "{error}");
        assert_eq!(error.code(), code);
        assert_eq!(error.challenge().as_deref(), Some(challenge));
    }
    for error in [AuthError::KeysUnavailable, AuthError::ProofMemoryFull] {
        assert_eq!((error.status(), error.challenge()), (503, None), "{error}");
    }
}
