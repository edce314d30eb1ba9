//! From the claims of a token to the facts of a decision, by a configured mapping.
//!
//! A claim that is absent gives an absent fact. One that is present and unusable refuses the token:
//! a fact that silently went missing could open a gate.

use std::fmt;

use domain::{DeviceId, InvalidId, MemberFacts, MemberId, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::AuthError;

/// Where a claim stands: `plan`, `realm_access.roles` (a member of a member), or a list of names
/// that are taken literally. A name with `://`, as namespaced claims have, is one name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "PathConfig")]
pub struct ClaimPath(Vec<String>);

#[derive(Deserialize)]
#[serde(untagged)]
enum PathConfig {
    Text(String),
    Names(Vec<String>),
}

impl From<PathConfig> for ClaimPath {
    fn from(config: PathConfig) -> Self {
        match config {
            PathConfig::Text(text) => Self::new(&text),
            PathConfig::Names(names) => Self(names),
        }
    }
}

impl ClaimPath {
    pub fn new(text: &str) -> Self {
        if text.contains("://") {
            return Self(vec![text.to_owned()]);
        }
        Self(text.split('.').map(str::to_owned).collect())
    }

    fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        let found = rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))?;
        (!found.is_null()).then_some(found)
    }

    pub fn name(&self) -> String {
        self.0.join(".")
    }
}

/// Which claim holds which fact. What is not mapped is not known.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimMapping {
    pub member: ClaimPath,
    pub device: Option<ClaimPath>,
    pub profile: Option<ClaimPath>,
    pub plan: Option<ClaimPath>,
    pub territory: Option<ClaimPath>,
    pub security_level: Option<ClaimPath>,
    pub account: Option<ClaimPath>,
    /// A whole number.
    pub maturity_limit: Option<ClaimPath>,
    /// Seconds since 1970, as other times in tokens are, or an RFC 3339 text.
    pub member_since: Option<ClaimPath>,
    /// A whole number.
    pub concurrent_streams: Option<ClaimPath>,
    /// As `member_since`.
    pub elsewhere_at: Option<ClaimPath>,
    /// A list of texts, or one text of words between blanks as `scope` is.
    pub roles: Option<ClaimPath>,
}

impl Default for ClaimMapping {
    fn default() -> Self {
        Self {
            member: ClaimPath::new("sub"),
            device: None,
            profile: None,
            plan: None,
            territory: None,
            security_level: None,
            account: None,
            maturity_limit: None,
            member_since: None,
            concurrent_streams: None,
            elsewhere_at: None,
            roles: None,
        }
    }
}

/// What the mapping found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapped {
    pub(super) member: Option<MemberId>,
    pub(super) device: Option<DeviceId>,
    pub(super) facts: MemberFacts,
    pub(super) roles: Vec<String>,
}

impl ClaimMapping {
    pub(super) fn apply(&self, claims: &Map<String, Value>) -> Result<Mapped, AuthError> {
        Ok(Mapped {
            member: id(claims, Some(&self.member))?,
            device: id(claims, self.device.as_ref())?,
            facts: MemberFacts {
                profile: id(claims, self.profile.as_ref())?,
                plan: id(claims, self.plan.as_ref())?,
                territory: id(claims, self.territory.as_ref())?,
                security_level: id(claims, self.security_level.as_ref())?,
                account: id(claims, self.account.as_ref())?,
                maturity_limit: number(claims, self.maturity_limit.as_ref(), u16::MAX)?,
                member_since: instant(claims, self.member_since.as_ref())?,
                concurrent_streams: number(claims, self.concurrent_streams.as_ref(), u32::MAX)?,
                elsewhere_at: instant(claims, self.elsewhere_at.as_ref())?,
            },
            roles: self.roles.as_ref().map_or(Ok(vec![]), |path| roles(claims, path))?,
        })
    }
}

fn id<T: std::str::FromStr<Err = InvalidId>>(
    claims: &Map<String, Value>,
    path: Option<&ClaimPath>,
) -> Result<Option<T>, AuthError> {
    let Some(path) = path else { return Ok(None) };
    let invalid =
        |problem: &str| AuthError::ClaimInvalid { claim: path.name(), problem: problem.to_owned() };
    let parsed = match path.find(claims) {
        None => return Ok(None),
        Some(Value::String(text)) => text.parse(),
        // Account numbers are numbers in some providers.
        Some(Value::Number(number)) if !number.is_f64() => number.to_string().parse(),
        Some(_) => return Err(invalid("it is neither a text nor a whole number")),
    };
    parsed.map(Some).map_err(|error: InvalidId| invalid(&error.to_string()))
}

/// Numbers are texts in some providers.
fn number<T: TryFrom<u64> + fmt::Display>(
    claims: &Map<String, Value>,
    path: Option<&ClaimPath>,
    max: T,
) -> Result<Option<T>, AuthError> {
    let Some((path, value)) = path.and_then(|path| Some((path, path.find(claims)?))) else {
        return Ok(None);
    };
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let problem = || format!("it is not a whole number from 0 to {max}");
    number
        .and_then(|number| T::try_from(number).ok())
        .map(Some)
        .ok_or_else(|| AuthError::ClaimInvalid { claim: path.name(), problem: problem() })
}

fn instant(
    claims: &Map<String, Value>,
    path: Option<&ClaimPath>,
) -> Result<Option<Timestamp>, AuthError> {
    let Some((path, value)) = path.and_then(|path| Some((path, path.find(claims)?))) else {
        return Ok(None);
    };
    let at = match value {
        Value::Number(seconds) => {
            let ms = seconds.as_i64().and_then(|seconds| seconds.checked_mul(1_000));
            ms.map(Timestamp::from_millis)
        }
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    at.map(Some).ok_or_else(|| AuthError::ClaimInvalid {
        claim: path.name(),
        problem: "it is neither whole seconds since 1970 nor an instant as `2026-03-01T12:00:00Z`"
            .to_owned(),
    })
}

fn roles(claims: &Map<String, Value>, path: &ClaimPath) -> Result<Vec<String>, AuthError> {
    let words = match path.find(claims) {
        None => Some(vec![]),
        Some(Value::String(text)) => Some(text.split_whitespace().map(str::to_owned).collect()),
        Some(Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }
        Some(_) => None,
    };
    words.ok_or_else(|| AuthError::ClaimInvalid {
        claim: path.name(),
        problem: "it is neither a text nor a list of texts".to_owned(),
    })
}

#[cfg(test)]
mod tests;
