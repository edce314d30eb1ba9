//! Instants and lengths of time in milliseconds, and the calendar periods of a time zone.
//!
//! There is no `now` here: an instant comes with the command.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::{Add, Sub};

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// A UTC instant in milliseconds. Kept as the number from just before the first one, which is never
/// 0: a clock that is absent then takes no room, and members have millions of those.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(NonZeroU64);

/// A length of time in milliseconds, never negative. Kept as one more, for the same reason.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(NonZeroU64);

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The bounds of [`Timestamp`] since the Unix epoch.
const FIRST_MS: i64 = -62_135_596_800_000;
const LAST_MS: i64 = 253_402_128_000_000;

const fn one_more(ms: u64) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(ms)
}

impl Timestamp {
    /// 0001-01-01T00:00:00Z
    pub const MIN: Self = Self(NonZeroU64::MIN);
    /// 9999-12-30T00:00:00Z: later than anything that is promised, and inside what every zone of
    /// the time library can show.
    pub const MAX: Self = Self::from_millis(LAST_MS);

    /// Milliseconds since the Unix epoch, clamped into [`Self::MIN`] to [`Self::MAX`].
    pub const fn from_millis(ms: i64) -> Self {
        let ms = if ms > LAST_MS { LAST_MS } else { ms };
        if ms < FIRST_MS { Self::MIN } else { Self(one_more((ms - FIRST_MS).cast_unsigned())) }
    }

    pub const fn as_millis(self) -> i64 {
        FIRST_MS + (self.0.get() - 1).cast_signed()
    }

    /// From `earlier` to here; nothing when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.as_millis() - earlier.as_millis())
    }

    /// The last instant before this one.
    pub const fn just_before(self) -> Self {
        Self::from_millis(self.as_millis() - 1)
    }

    fn zoned(self, zone: &TimeZone) -> jiff::Zoned {
        // Inside jiff's range by the bounds above.
        jiff::Timestamp::from_millisecond(self.as_millis())
            .unwrap_or_default()
            .to_zoned(zone.clone())
    }
}

impl Duration {
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// A negative length is taken as none.
    pub const fn from_millis(ms: i64) -> Self {
        Self(one_more(if ms < 0 { 0 } else { ms.cast_unsigned() }))
    }

    pub const fn seconds(n: i64) -> Self {
        Self::from_millis(n.saturating_mul(SECOND_MS))
    }

    pub const fn minutes(n: i64) -> Self {
        Self::from_millis(n.saturating_mul(MINUTE_MS))
    }

    pub const fn hours(n: i64) -> Self {
        Self::from_millis(n.saturating_mul(HOUR_MS))
    }

    pub const fn days(n: i64) -> Self {
        Self::from_millis(n.saturating_mul(DAY_MS))
    }

    pub const fn as_millis(self) -> i64 {
        (self.0.get() - 1).cast_signed()
    }
}

impl Default for Timestamp {
    /// 1970-01-01T00:00:00Z
    fn default() -> Self {
        Self::from_millis(0)
    }
}

impl Default for Duration {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    /// Saturates at the last instant.
    fn add(self, length: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_add(length.as_millis()))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    /// Saturates at the first instant.
    fn sub(self, length: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_sub(length.as_millis()))
    }
}

impl Add for Duration {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self::from_millis(self.as_millis().saturating_add(other.as_millis()))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = jiff::Timestamp::from_millisecond(self.as_millis()).unwrap_or_default();
        write!(f, "{instant:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Timestamp {
    type Err = InvalidTimestamp;
    /// RFC 3339 with an offset; finer than milliseconds is cut off.
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let instant = text.parse::<jiff::Timestamp>().map_err(|_| InvalidTimestamp)?;
        let ms = instant.as_millisecond();
        let kept = Self::from_millis(ms);
        if kept.as_millis() == ms { Ok(kept) } else { Err(InvalidTimestamp) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTimestamp;

impl fmt::Display for InvalidTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant is written like `2026-03-01T12:00:00.000Z` (RFC 3339)")
    }
}

impl std::error::Error for InvalidTimestamp {}

impl fmt::Display for Duration {
    /// As the policy writes it: the largest unit that divides it (`30d`, `48h`, `90m`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "m"), (SECOND_MS, "s")];
        let length_ms = self.as_millis();
        match units.iter().find(|(ms, _)| length_ms % ms == 0 && length_ms != 0) {
            Some((ms, unit)) => write!(f, "{}{unit}", length_ms / ms),
            None => write!(f, "{length_ms}ms"),
        }
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Duration {
    type Err = InvalidDuration;
    /// A number and a unit: `30d`, `48h`, `90m`, `10s`, `500ms`.
    fn from_str(text: &str) -> Result<Self, InvalidDuration> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: i64 = number.parse().map_err(|_| InvalidDuration)?;
        let unit_ms = match unit {
            "d" => DAY_MS,
            "h" => HOUR_MS,
            "m" => MINUTE_MS,
            "s" => SECOND_MS,
            "ms" => 1,
            _ => return Err(InvalidDuration),
        };
        number.checked_mul(unit_ms).map(Self::from_millis).ok_or(InvalidDuration)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDuration;

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time is a number and a unit, like `30d`, `48h`, `90m` or `10s`")
    }
}

impl std::error::Error for InvalidDuration {}

/// A time zone by its IANA name, from the bundled data.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// `None` when the bundled data has no zone of that name.
    pub fn named(name: &str) -> Option<Self> {
        jiff::tz::TimeZoneDatabase::bundled().get(name).ok().map(Self)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarUnit {
    Day,
    /// From Monday.
    Week,
    Month,
    Year,
}

impl CalendarUnit {
    /// Longer than any such period, zones that move included.
    pub const fn longest(self) -> Duration {
        match self {
            Self::Day => Duration::days(2),
            Self::Week => Duration::days(8),
            Self::Month => Duration::days(32),
            Self::Year => Duration::days(367),
        }
    }
}

/// The half-open calendar period `[from, to)` of the zone that holds `at`.
pub fn calendar_period(unit: CalendarUnit, zone: &Zone, at: Timestamp) -> (Timestamp, Timestamp) {
    let first = first_date(unit, zone, at);
    let length = match unit {
        CalendarUnit::Day => jiff::Span::new().days(1),
        CalendarUnit::Week => jiff::Span::new().days(7),
        CalendarUnit::Month => jiff::Span::new().months(1),
        CalendarUnit::Year => jiff::Span::new().years(1),
    };
    (start_of(first, zone), start_of(first.saturating_add(length), zone))
}

/// Where the calendar period that holds `at` begins: all that counting asks, at half the cost.
pub fn calendar_start(unit: CalendarUnit, zone: &Zone, at: Timestamp) -> Timestamp {
    start_of(first_date(unit, zone, at), zone)
}

/// The half-open period `[from, to)` that holds `at`, of those that turn on the day of `since`.
/// Where a month has no such day, its last one stands in: from the 31st of January to the 28th of
/// February, and from there to the 31st of March.
pub fn anniversary_period(
    unit: CalendarUnit,
    zone: &Zone,
    since: Timestamp,
    at: Timestamp,
) -> (Timestamp, Timestamp) {
    let (first, today) = (since.zoned(&zone.0).date(), at.zoned(&zone.0).date());
    let months = |date: jiff::civil::Date| i64::from(date.year()) * 12 + i64::from(date.month());
    let apart = match unit {
        CalendarUnit::Day => days_between(first, today),
        CalendarUnit::Week => days_between(first, today).div_euclid(7),
        CalendarUnit::Month => months(today) - months(first),
        CalendarUnit::Year => i64::from(today.year()) - i64::from(first.year()),
    };
    let turn = |n: i64| {
        let length = match unit {
            CalendarUnit::Day => jiff::Span::new().try_days(n),
            CalendarUnit::Week => jiff::Span::new().try_weeks(n),
            CalendarUnit::Month => jiff::Span::new().try_months(n),
            CalendarUnit::Year => jiff::Span::new().try_years(n),
        };
        first.saturating_add(length.unwrap_or_default())
    };
    // This month's turn may still be ahead.
    let n = if turn(apart) > today { apart - 1 } else { apart };
    (start_of(turn(n), zone), start_of(turn(n + 1), zone))
}

fn days_between(from: jiff::civil::Date, to: jiff::civil::Date) -> i64 {
    i64::from(to.since((jiff::Unit::Day, from)).map_or(0, |span| span.get_days()))
}

fn first_date(unit: CalendarUnit, zone: &Zone, at: Timestamp) -> jiff::civil::Date {
    let date = at.zoned(&zone.0).date();
    match unit {
        CalendarUnit::Day => date,
        CalendarUnit::Week => {
            let days = i64::from(date.weekday().since(Weekday::Monday));
            date.saturating_sub(jiff::Span::new().days(days))
        }
        CalendarUnit::Month => date.first_of_month(),
        CalendarUnit::Year => date.first_of_year(),
    }
}

fn start_of(date: jiff::civil::Date, zone: &Zone) -> Timestamp {
    date.to_zoned(zone.0.clone())
        .map_or(Timestamp::MAX, |start| Timestamp::from_millis(start.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests;
