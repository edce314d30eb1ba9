//! Days, weeks, months and years in plain numbers. Of a zone it asks only what its clocks show at an
//! instant.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::rules::{DAY_MS, HOUR_MS, Unit};

/// Where the period begins that holds an instant.
pub(super) fn start(unit: Unit, zone: &str, at: i64) -> i64 {
    let zone = named(zone);
    let today = day_shown(&zone, at);
    let (year, month, _) = date(today);
    let first = match unit {
        Unit::Day => today,
        // The first day of 1970 was a Thursday, and weeks begin on Mondays.
        Unit::Week => (today + 3).div_euclid(7) * 7 - 3,
        Unit::Month => day_of(year, month, 1),
        Unit::Year => day_of(year, 1, 1),
    };
    beginning(&zone, first)
}

/// The same of periods that turn on the day of `since`.
pub(super) fn anniversary_start(unit: Unit, zone: &str, since: i64, at: i64) -> i64 {
    let zone = named(zone);
    let (first, today) = (day_shown(&zone, since), day_shown(&zone, at));
    let (_, month_then, day) = date(first);
    let (year, month, _) = date(today);
    // Where a month has no such day its last one stands in.
    let turn = |year: i64, month: i64| {
        let next = if month == 12 { day_of(year + 1, 1, 1) } else { day_of(year, month + 1, 1) };
        (day_of(year, month, 1) + day - 1).min(next - 1)
    };
    let last_or = |this: i64, last: i64| if this > today { last } else { this };
    let first = match unit {
        Unit::Day => today,
        Unit::Week => first + (today - first).div_euclid(7) * 7,
        Unit::Month => {
            let last = if month == 1 { turn(year - 1, 12) } else { turn(year, month - 1) };
            last_or(turn(year, month), last)
        }
        Unit::Year => last_or(turn(year, month_then), turn(year - 1, month_then)),
    };
    beginning(&zone, first)
}

#[expect(clippy::expect_used, reason = "INVARIANT: the policies of a world name real zones")]
fn named(zone: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(zone).expect("a zone")
}

/// Days since 1970 by the clocks of the zone.
fn day_shown(zone: &TimeZone, at: i64) -> i64 {
    let offset = Timestamp::from_millisecond(at).map_or(0, |at| zone.to_offset(at).seconds());
    (at + i64::from(offset) * 1_000).div_euclid(DAY_MS)
}

/// The first instant at which the clocks show the day, or a later one.
fn beginning(zone: &TimeZone, day: i64) -> i64 {
    let (mut before, mut at) = (day * DAY_MS - 30 * HOUR_MS, day * DAY_MS + 30 * HOUR_MS);
    while at - before > 1 {
        let between = before + (at - before) / 2;
        if day_shown(zone, between) < day {
            before = between;
        } else {
            at = between;
        }
    }
    at
}

/// As far back as such a period can reach.
pub(super) fn longest(unit: Unit) -> i64 {
    DAY_MS
        * match unit {
            Unit::Day => 2,
            Unit::Week => 8,
            Unit::Month => 32,
            Unit::Year => 367,
        }
}

/// Days since 1970 of the first day of March of a year, whose months from there on all have the
/// same lengths.
fn march(year: i64) -> i64 {
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) - 719_468
}

fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    march(year) + (153 * month + 2) / 5 + day - 1
}

fn date(day: i64) -> (i64, i64, i64) {
    let mut year = 1970 + day.div_euclid(365);
    while day_of(year, 1, 1) > day {
        year -= 1;
    }
    let mut month = 12;
    while day_of(year, month, 1) > day {
        month -= 1;
    }
    (year, month, day - day_of(year, month, 1) + 1)
}

#[test]
fn dates_are_those_of_the_calendar() {
    for (year, month, day, days) in
        [(1970, 1, 1, 0), (2000, 2, 29, 11_016), (2026, 11, 2, 20_759), (2028, 3, 1, 21_244)]
    {
        assert_eq!(day_of(year, month, day), days);
        assert_eq!(date(days), (year, month, day));
    }
    let day = |year, month, day| day_of(year, month, day) * DAY_MS;
    let since = day(2026, 1, 31);
    for (at, began) in [
        (day(2026, 2, 27), day(2026, 1, 31)),
        (day(2026, 2, 28), day(2026, 2, 28)),
        (day(2026, 3, 30), day(2026, 2, 28)),
        (day(2026, 3, 31), day(2026, 3, 31)),
    ] {
        assert_eq!(anniversary_start(Unit::Month, "UTC", since, at + 1), began);
    }
    let leap = day(2024, 2, 29);
    let year = |at| anniversary_start(Unit::Year, "UTC", leap, at);
    assert_eq!(year(day(2026, 2, 28)), day(2026, 2, 28));
    assert_eq!(year(day(2026, 2, 27)), day(2025, 2, 28));
}

#[test]
fn days_begin_where_the_clocks_of_a_zone_say_so() {
    let hours = |year, month, day, hour| day_of(year, month, day) * DAY_MS + hour * HOUR_MS;
    for (zone, at, began) in [
        // In winter and in summer, and on the day between them.
        ("Europe/Berlin", hours(2026, 1, 5, 12), hours(2026, 1, 4, 23)),
        ("Europe/Berlin", hours(2026, 7, 5, 12), hours(2026, 7, 4, 22)),
        ("Europe/Berlin", hours(2026, 3, 29, 21), hours(2026, 3, 28, 23)),
        ("Europe/Berlin", hours(2026, 3, 29, 22), hours(2026, 3, 29, 22)),
        ("America/New_York", hours(2026, 11, 2, 4), hours(2026, 11, 1, 4)),
        ("Pacific/Apia", hours(2026, 6, 1, 11), hours(2026, 6, 1, 11)),
        // Midnight itself is left out, and comes twice.
        ("Atlantic/Azores", hours(2026, 3, 29, 12), hours(2026, 3, 29, 1)),
        ("Atlantic/Azores", hours(2026, 10, 25, 12), hours(2026, 10, 25, 0)),
    ] {
        assert_eq!(start(Unit::Day, zone, at), began, "{zone}");
    }
    let lord_howe = start(Unit::Day, "Australia/Lord_Howe", hours(2026, 7, 5, 12));
    assert_eq!(lord_howe, hours(2026, 7, 4, 13) + HOUR_MS / 2);
}
