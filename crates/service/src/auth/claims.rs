//! From the claims of a token to the facts of a decision, by a configured mapping.
//!
//! A claim that is absent gives an absent fact. One that is present and unusable refuses the token:
//! a fact that silently went missing could open a gate.

use domain::MemberFacts;
use domain::{DeviceId, InvalidId, MemberId};
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
                ..MemberFacts::default()
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
