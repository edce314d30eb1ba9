//! Ids and instants as they travel: text that is checked on the way in.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use domain::{
    Account, DeviceId, ExceptionId, ID_BYTES_MAX, LicenseId, MemberId, PartnerId, Plan,
    PolicyVersion, ProfileId, RuleId, SecurityLevel, SeriesId, Tag, Territory, Timestamp, TitleId,
};
use drm::time::Rfc3339;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// One of the customer's own ids, checked by its domain type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Id<T>(pub T);

pub(crate) type AccountName = Id<Account>;
pub(crate) type Device = Id<DeviceId>;
pub(crate) type Exception = Id<ExceptionId>;
pub(crate) type License = Id<LicenseId>;
pub(crate) type Member = Id<MemberId>;
pub(crate) type Partner = Id<PartnerId>;
pub(crate) type PlanName = Id<Plan>;
pub(crate) type Policy = Id<PolicyVersion>;
pub(crate) type Profile = Id<ProfileId>;
pub(crate) type Rule = Id<RuleId>;
pub(crate) type Level = Id<SecurityLevel>;
pub(crate) type Series = Id<SeriesId>;
pub(crate) type TagName = Id<Tag>;
pub(crate) type TerritoryName = Id<Territory>;
pub(crate) type Title = Id<TitleId>;
pub(crate) type Key = Id<domain::KeyThumbprint>;

impl<T: Clone> From<&T> for Id<T> {
    fn from(id: &T) -> Self {
        Self(id.clone())
    }
}

impl<T: Borrow<str>> Serialize for Id<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.borrow())
    }
}

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Id<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData)).map(Self)
    }
}

/// Parses text without keeping it.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

impl<T> PartialSchema for Id<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "The customer's own: 1 to 128 bytes of printable ASCII without blanks; not `.` or `..`",
            ))
            .min_length(Some(1))
            .max_length(Some(ID_BYTES_MAX))
            .pattern(Some("^[!-~]+$"))
            .into()
    }
}

impl<T> ToSchema for Id<T> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Id")
    }
}

/// RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub Timestamp);

impl Instant {
    /// The last instant there is means "never", which is said by leaving it out.
    pub(crate) fn unless_never(at: Timestamp) -> Option<Self> {
        (at < Timestamp::MAX).then_some(Self(at))
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Rfc3339::of(self.0.as_millis()) {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => serializer.collect_str(&self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text(PhantomData)).map(Self)
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, with milliseconds"))
            .examples(["2026-03-01T12:00:00.000Z"])
            .into()
    }
}

impl ToSchema for Instant {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Instant")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_instants_are_checked_on_the_way_in() {
        assert_eq!(
            serde_json::from_str::<Title>("\"10.5240/77\"").unwrap().0.as_str(),
            "10.5240/77"
        );
        let error = serde_json::from_str::<Title>("\"two words\"").unwrap_err().to_string();
        assert!(error.starts_with("an id is printable ASCII without blanks"), "{error}");
        let error = serde_json::from_str::<Title>("7").unwrap_err().to_string();
        assert!(error.starts_with("invalid type: integer `7`, expected a text"), "{error}");
        let at: Instant = serde_json::from_str("\"2026-03-01T13:00:00.1239+01:00\"").unwrap();
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-03-01T12:00:00.123Z\"");
        let error = serde_json::from_str::<Instant>("\"yesterday\"").unwrap_err().to_string();
        assert!(error.starts_with("an instant is written like"), "{error}");
    }
}
