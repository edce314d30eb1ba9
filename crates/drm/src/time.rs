//! Instants as the outside sees them: RFC 3339, UTC, always three decimals.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
const PARSER: DateTimeParser = DateTimeParser::new();

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// An instant of the years 0 to 9999 as text. Written by hand, for each lease has a dozen of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rfc3339([u8; 24]);

impl Rfc3339 {
    pub fn of(unix_ms: i64) -> Option<Self> {
        let day_ms = unix_ms.rem_euclid(DAY_MS);
        let (y, m, d) = civil(unix_ms.div_euclid(DAY_MS));
        if !(0..=9999).contains(&y) {
            return None;
        }
        let (hour, minute) = (day_ms / 3_600_000, day_ms / 60_000 % 60);
        let (second, ms) = (day_ms / 1_000 % 60, day_ms % 1_000);
        let at = |n: i64, place: i64| b'0' + u8::try_from(n / place % 10).unwrap_or(0);
        Some(Self([
            at(y, 1000),
            at(y, 100),
            at(y, 10),
            at(y, 1),
            b'-',
            at(m, 10),
            at(m, 1),
            b'-',
            at(d, 10),
            at(d, 1),
            b'T',
            at(hour, 10),
            at(hour, 1),
            b':',
            at(minute, 10),
            at(minute, 1),
            b':',
            at(second, 10),
            at(second, 1),
            b'.',
            at(ms, 100),
            at(ms, 10),
            at(ms, 1),
            b'Z',
        ]))
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Year, month and day of a day since 1970 in the Gregorian calendar, reckoned in eras of 400 years
/// that begin in March (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_month)
}

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
        if let Some(text) = Rfc3339::of(self.0) {
            return serializer.serialize_str(text.as_str());
        }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// As the library writes it, which is slower.
        #[test]
        fn the_hand_writes_what_the_library_writes(
            ms in prop_oneof![-62_200_000_000_000_i64..253_500_000_000_000, any::<i64>()],
            near in -3_i64..3,
        ) {
            // Around the days' ends too.
            for ms in [ms, ms.div_euclid(DAY_MS).saturating_mul(DAY_MS).saturating_add(near)] {
                let by_library = Timestamp::from_millisecond(ms).ok();
                let by_library = by_library.map(|at| PRINTER.timestamp_to_string(&at));
                match Rfc3339::of(ms) {
                    Some(text) => prop_assert_eq!(Some(text.as_str().to_owned()), by_library),
                    None => prop_assert!(by_library.is_none_or(|text| text.starts_with('-'))),
                }
            }
        }
    }

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
