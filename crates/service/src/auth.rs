//! Who is asking, and what a trusted source says of them.
//!
//! A member's device comes with a token of the customer's identity provider ([`token`]) and a proof
//! that it holds its own key ([`proof`]); the customer's services and operators come with a
//! credential of their own ([`service_credential`]). Nothing here knows HTTP beyond the text of two
//! headers, and time is the caller's.

pub mod claims;
pub mod error;
pub mod jwks;
pub mod proof;
pub mod service_credential;
pub mod token;

mod strict_json;
#[cfg(test)]
mod test_keys;

pub use error::AuthError;

/// The credential of an `Authorization` header. `DPoP` (RFC 9449) is taken as `Bearer` is: whether
/// a proof must come along is decided by the token and the deployment, not by this word.
pub fn credential(authorization: Option<&str>) -> Result<&str, AuthError> {
    let header = authorization.ok_or(AuthError::CredentialMissing)?;
    let (scheme, credential) = header.split_once(' ').ok_or(AuthError::CredentialMalformed)?;
    let credential = credential.trim_matches(' ');
    let is_known = ["bearer", "dpop"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if !is_known || credential.is_empty() || credential.contains(' ') {
        return Err(AuthError::CredentialMalformed);
    }
    Ok(credential)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_one_word_after_bearer_or_dpop() {
        for header in ["Bearer abc", "bearer abc", "DPoP abc", "BEARER  abc "] {
            assert_eq!(credential(Some(header)), Ok("abc"), "{header}");
        }
        assert_eq!(credential(None), Err(AuthError::CredentialMissing));
        for header in ["", "abc", "Bearer", "Bearer ", "Bearer a b", "Basic abc", " Bearer abc"] {
            assert_eq!(credential(Some(header)), Err(AuthError::CredentialMalformed), "{header}");
        }
    }
}
