use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn instants_are_rfc_3339_with_milliseconds() {
    for (text, shown) in [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T13:00:00.25+01:00", "2026-03-01T12:00:00.250Z"),
        ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
        ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00.000Z"),
    ] {
        assert_eq!(at(text).to_string(), shown);
    }
    for text in ["", "now", "2026-03-01", "2026-03-01T12:00:00", "9999-12-31T12:00:00Z"] {
        assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
    }
}

#[test]
fn lengths_of_time_are_a_number_and_a_unit() {
    for (text, ms) in [("30d", 2_592_000_000), ("48h", 172_800_000), ("90m", 5_400_000)] {
        assert_eq!(text.parse::<Duration>().unwrap().as_millis(), ms);
    }
    assert_eq!("48h".parse::<Duration>().unwrap().to_string(), "2d");
    for text in ["", "d", "3", "-1d", "1.5d", "1 d", "1w", "99999999999999999999d"] {
        assert_eq!(text.parse::<Duration>(), Err(InvalidDuration), "{text}");
    }
}

#[test]
fn calendar_periods_are_computed_in_the_rules_zone_and_not_the_hosts() {
    let kiritimati = Zone::named("Pacific/Kiritimati").unwrap(); // UTC+14
    // 10:30 UTC on the last day of the month is already the first of the next one there.
    let (from, to) = calendar_period(CalendarUnit::Month, &kiritimati, at("2026-01-31T10:30:00Z"));
    assert_eq!((from, to), (at("2026-01-31T10:00:00Z"), at("2026-02-28T10:00:00Z")));
}

#[test]
fn calendar_days_follow_the_clock_changes() {
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let (from, to) = calendar_period(CalendarUnit::Day, &berlin, at("2026-03-29T12:00:00Z"));
    assert_eq!(to.since(from), Duration::hours(23));
    let (from, to) = calendar_period(CalendarUnit::Week, &berlin, at("2026-10-25T12:00:00Z"));
    assert_eq!(from, at("2026-10-18T22:00:00Z"));
    assert_eq!(to.since(from), Duration::hours(7 * 24 + 1));
    let (from, to) = calendar_period(CalendarUnit::Year, &berlin, at("2026-12-31T23:30:00Z"));
    assert_eq!((from, to), (at("2026-12-31T23:00:00Z"), at("2027-12-31T23:00:00Z")));
}

#[test]
fn a_zone_that_does_not_exist_is_not_guessed() {
    assert_eq!(Zone::named("Europe/Atlantis"), None);
    assert_eq!(Zone::named("Europe/Berlin").unwrap().name(), "Europe/Berlin");
}

// "Anniversary of the member's start": days 29 to 31 clamp, and come back.
#[test]
fn anniversaries_turn_on_the_day_of_the_start_or_the_last_of_a_shorter_month() {
    let utc = Zone::named("UTC").unwrap();
    let since = at("2024-01-31T09:30:00Z");
    for (now, from, to) in [
        ("2024-01-31T00:00:00Z", "2024-01-31T00:00:00Z", "2024-02-29T00:00:00Z"),
        ("2026-02-27T23:59:59.999Z", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("2026-02-28T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("2026-05-01T00:00:00Z", "2026-04-30T00:00:00Z", "2026-05-31T00:00:00Z"),
        ("2023-12-31T00:00:00Z", "2023-12-31T00:00:00Z", "2024-01-31T00:00:00Z"),
        ("2023-12-30T00:00:00Z", "2023-11-30T00:00:00Z", "2023-12-31T00:00:00Z"),
    ] {
        let period = anniversary_period(CalendarUnit::Month, &utc, since, at(now));
        assert_eq!(period, (at(from), at(to)), "{now}");
    }
    let leap = at("2024-02-29T12:00:00Z");
    let period = anniversary_period(CalendarUnit::Year, &utc, leap, at("2026-02-28T00:00:00Z"));
    assert_eq!(period, (at("2026-02-28T00:00:00Z"), at("2027-02-28T00:00:00Z")));
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let period = anniversary_period(CalendarUnit::Week, &berlin, since, at("2026-03-29T12:00:00Z"));
    assert_eq!(period, (at("2026-03-24T23:00:00Z"), at("2026-03-31T22:00:00Z")));
}

proptest::proptest! {
    #[test]
    fn periods_hold_their_instant_and_touch(
        since in -4_000_000_000_000_i64..4_000_000_000_000,
        now in -4_000_000_000_000_i64..4_000_000_000_000,
    ) {
        let zone = Zone::named("America/New_York").unwrap();
        let (since, now) = (Timestamp::from_millis(since), Timestamp::from_millis(now));
        use CalendarUnit::{Day, Month, Week, Year};
        for unit in [Day, Week, Month, Year] {
            let (from, to) = anniversary_period(unit, &zone, since, now);
            proptest::prop_assert!(from <= now && now < to, "{unit:?} {from} {now} {to}");
            proptest::prop_assert!(to.since(from) <= unit.longest());
            let (next, _) = anniversary_period(unit, &zone, since, to);
            proptest::prop_assert_eq!(next, to);
        }
    }
}

#[test]
fn an_absent_instant_takes_no_room_and_the_bounds_come_back() {
    assert_eq!(size_of::<Option<Timestamp>>(), size_of::<i64>());
    assert_eq!(size_of::<Option<Duration>>(), size_of::<i64>());
    for instant in [Timestamp::MIN, Timestamp::default(), Timestamp::MAX] {
        assert_eq!(Timestamp::from_millis(instant.as_millis()), instant);
    }
    assert_eq!(Timestamp::MIN, at("0001-01-01T00:00:00Z"));
    assert_eq!(Timestamp::MAX, at("9999-12-30T00:00:00Z"));
    assert_eq!(Timestamp::from_millis(i64::MIN), Timestamp::MIN);
    assert_eq!(Timestamp::from_millis(i64::MAX), Timestamp::MAX);
    assert!(Timestamp::MIN < at("1969-12-31T23:59:59.999Z"));
    assert!(at("1969-12-31T23:59:59.999Z") < Timestamp::default());
    assert_eq!(Duration::from_millis(i64::MAX).as_millis(), i64::MAX);
    assert_eq!(Duration::from_millis(-1), Duration::ZERO);
}
