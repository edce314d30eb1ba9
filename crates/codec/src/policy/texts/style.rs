//! How a language writes numbers and instants, in digits: what people of that language read without
//! thinking. It holds no names of months but the English ones.

use domain::{Duration, Timestamp};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::{Language, Parameter, Value};

/// By the longest tag that fits: the language, how it writes an instant, and what parts thousands.
const STYLES: [(&str, &str, &str); 21] = [
    ("cs", "%-d. %-m. %Y %-H:%M", NARROW_SPACE),
    ("da", "%-d.%-m.%Y %H.%M", "."),
    ("de", "%-d.%-m.%Y, %H:%M", "."),
    ("de-CH", "%-d.%-m.%Y, %H:%M", "’"),
    ("en", "%-d %B %Y, %H:%M", ","),
    ("en-US", "%B %-d, %Y, %-I:%M %p", ","),
    ("es", "%-d/%-m/%Y, %-H:%M", "."),
    ("fi", "%-d.%-m.%Y, %-H.%M", NARROW_SPACE),
    ("fr", "%d/%m/%Y %H:%M", NARROW_SPACE),
    ("it", "%-d/%-m/%Y, %H:%M", "."),
    ("ja", "%Y/%-m/%-d %-H:%M", ","),
    ("ko", "%Y. %-m. %-d. %H:%M", ","),
    ("nb", "%-d.%-m.%Y, %H:%M", NARROW_SPACE),
    ("nl", "%-d-%-m-%Y, %H:%M", "."),
    ("pl", "%-d.%m.%Y, %H:%M", NARROW_SPACE),
    ("pt", "%d/%m/%Y, %H:%M", "."),
    ("ru", "%d.%m.%Y, %H:%M", NARROW_SPACE),
    ("sv", "%Y-%m-%d %H:%M", NARROW_SPACE),
    ("tr", "%-d.%m.%Y %H:%M", "."),
    ("uk", "%d.%m.%Y, %H:%M", NARROW_SPACE),
    ("zh", "%Y/%-m/%-d %H:%M", ","),
];
const NARROW_SPACE: &str = "\u{202f}";
/// Understood everywhere.
const OTHERS: (&str, &str) = ("%Y-%m-%d %H:%M", NARROW_SPACE);

/// Shorter numbers are written without parting.
const PARTED_FROM: u32 = 10_000;

const MINUTE: Duration = Duration::minutes(1);

pub(super) struct Style<'a> {
    instant: &'static str,
    thousands: &'static str,
    zone: &'a TimeZone,
}

impl<'a> Style<'a> {
    pub(super) fn of(language: &Language, zone: &'a TimeZone) -> Self {
        let tags = std::iter::successors(Some(language.clone()), Language::wider);
        let known = |tag: Language| STYLES.iter().find(|(name, ..)| *name == tag.as_str());
        let style = tags.into_iter().find_map(known);
        let (instant, thousands) =
            style.map_or(OTHERS, |(_, instant, thousands)| (*instant, *thousands));
        Self { instant, thousands, zone }
    }

    pub(super) fn write(&self, parameter: Parameter, value: Value<'_>) -> String {
        match (value, parameter) {
            (Value::Text(text), _) => text.to_owned(),
            (Value::Number(number), _) => self.number(number),
            // What was told to be free at this minute is free.
            (Value::Instant(at), Parameter::FreesAt | Parameter::RetryAt) => {
                self.minute(at + Duration::from_millis(MINUTE.as_millis() - 1))
            }
            (Value::Instant(at), _) => self.minute(at),
        }
    }

    fn number(&self, number: u32) -> String {
        let digits = number.to_string();
        if number < PARTED_FROM {
            return digits;
        }
        let mut parted = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                parted.push_str(self.thousands);
            }
            parted.push(digit);
        }
        parted
    }

    /// The minute that holds the instant, with its zone.
    fn minute(&self, at: Timestamp) -> String {
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
        let zoned = instant.to_zoned(self.zone.clone());
        let format = format!("{} %Z", self.instant);
        strtime::format(format, &zoned).unwrap_or_else(|_| at.to_string())
    }
}
