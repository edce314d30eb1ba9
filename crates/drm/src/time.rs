//! Instants as the outside sees them: RFC 3339, UTC, always three decimals.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
const PARSER: DateTimeParser = DateTimeParser::new();

/// Milliseconds since 1970 in UTC, written as `2026-11-23T04:05:06.789Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.0) {
            Ok(at) => f.write_str(&PRINTER.timestamp_to_string(&at)),
            Err(_) => write!(f, "{} ms since 1970", self.0),
        }
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = Timestamp::from_millisecond(self.0).map_err(|_| {
            ser::Error::custom(format!("{} ms since 1970 lies outside of the calendar", self.0))
        })?;
        serializer.serialize_str(&PRINTER.timestamp_to_string(&at))
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let at = PARSER
            .parse_timestamp(text.as_bytes())
            .map_err(|_| de::Error::custom(format!("`{text}` is not an RFC 3339 time")))?;
        Ok(Self(at.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::UnixMillis;

    #[test]
    fn an_instant_has_three_decimals_and_a_z() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_007, "2023-11-14T22:13:20.007Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        ] {
            assert_eq!(serde_json::to_string(&UnixMillis(ms)).unwrap(), format!("\"{text}\""));
            assert_eq!(UnixMillis(ms).to_string(), text);
            let back: UnixMillis = serde_json::from_str(&format!("\"{text}\"")).unwrap();
            assert_eq!(back, UnixMillis(ms));
        }
    }

    #[test]
    fn what_is_no_instant_is_an_error() {
        assert!(serde_json::to_string(&UnixMillis(i64::MAX)).is_err());
        for text in ["\"\"", "\"yesterday\"", "\"2026-13-01T00:00:00Z\"", "\"2026-01-01\"", "7"] {
            assert!(serde_json::from_str::<UnixMillis>(text).is_err(), "{text}");
        }
    }
}
