use std::sync::Arc;

use super::*;

const HOUR_MS: i64 = 3_600_000;

/// A machine whose wall clock can be set.
#[derive(Default)]
struct Machine {
    passed_ms: AtomicI64,
    set_by_ms: AtomicI64,
}

impl Machine {
    fn pass_ms(&self, ms: i64) {
        self.passed_ms.fetch_add(ms, Ordering::SeqCst);
    }

    fn set_by_ms(&self, ms: i64) {
        self.set_by_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The right time is a million plus what has passed.
    fn clock(self: &Arc<Self>) -> Clock {
        let (a, b) = (Arc::clone(self), Arc::clone(self));
        Clock::new(
            move || {
                let set_by_ms = a.set_by_ms.load(Ordering::SeqCst);
                let passed_ms = a.passed_ms.load(Ordering::SeqCst);
                Timestamp::from_millis(1_000_000 + passed_ms + set_by_ms)
            },
            move || Duration::from_millis(b.passed_ms.load(Ordering::SeqCst).unsigned_abs()),
        )
    }
}

#[track_caller]
fn check(clock: &Clock, jump: Option<i64>, now_ms: i64) {
    assert_eq!(clock.compare(), jump.map(|ms| Jump { ms }));
    assert_eq!(clock.now().as_millis(), now_ms);
}

#[test]
fn time_begins_at_the_wall_clock_and_goes_on_by_itself() {
    let machine = Arc::new(Machine::default());
    machine.pass_ms(500);
    let clock = machine.clock();
    check(&clock, None, 1_000_500);
    machine.pass_ms(HOUR_MS);
    check(&clock, None, 1_000_500 + HOUR_MS);
}

#[test]
fn a_wall_clock_that_was_set_back_is_told_once_and_not_followed() {
    let machine = Arc::new(Machine::default());
    let clock = machine.clock();
    machine.set_by_ms(-HOUR_MS);
    check(&clock, Some(-HOUR_MS), 1_000_000);
    machine.pass_ms(2 * HOUR_MS);
    check(&clock, None, 1_000_000 + 2 * HOUR_MS);
    assert_eq!(clock.gap_ms(), -HOUR_MS);
    machine.set_by_ms(HOUR_MS);
    check(&clock, Some(HOUR_MS), 1_000_000 + 2 * HOUR_MS);
    assert_eq!(clock.gap_ms(), 0);
}

#[test]
fn a_wall_clock_that_was_set_forward_is_followed_once_it_has_stayed_there() {
    let machine = Arc::new(Machine::default());
    let clock = machine.clock();
    machine.set_by_ms(HOUR_MS);
    check(&clock, Some(HOUR_MS), 1_000_000);
    machine.pass_ms(FOLLOW_AFTER_MS - 1);
    check(&clock, None, 1_000_000 + FOLLOW_AFTER_MS - 1);
    machine.pass_ms(1);
    check(&clock, None, 1_000_000 + FOLLOW_AFTER_MS + HOUR_MS);
    assert_eq!(clock.gap_ms(), 0);
    machine.pass_ms(10);
    check(&clock, None, 1_000_010 + FOLLOW_AFTER_MS + HOUR_MS);
}

#[test]
fn a_wall_clock_that_was_a_year_ahead_for_a_moment_has_changed_nothing() {
    let machine = Arc::new(Machine::default());
    let clock = machine.clock();
    machine.set_by_ms(365 * 24 * HOUR_MS);
    check(&clock, Some(365 * 24 * HOUR_MS), 1_000_000);
    machine.pass_ms(FOLLOW_AFTER_MS - 1);
    machine.set_by_ms(-365 * 24 * HOUR_MS);
    check(&clock, Some(-365 * 24 * HOUR_MS), 1_000_000 + FOLLOW_AFTER_MS - 1);
    machine.pass_ms(FOLLOW_AFTER_MS);
    check(&clock, None, 1_000_000 + 2 * FOLLOW_AFTER_MS - 1);
}

#[test]
fn being_adjusted_by_less_than_a_second_is_no_jump() {
    let machine = Arc::new(Machine::default());
    let clock = machine.clock();
    machine.set_by_ms(JUMP_MS_MIN - 1);
    machine.pass_ms(2 * FOLLOW_AFTER_MS);
    check(&clock, None, 1_000_000 + 2 * FOLLOW_AFTER_MS);
}

proptest::proptest! {
    #[test]
    fn it_never_goes_back(
        steps in proptest::collection::vec((0_i64..100_000, -100_000_i64..100_000), 1..100)
    ) {
        let machine = Arc::new(Machine::default());
        let clock = machine.clock();
        let mut last = clock.now();
        for (passed_ms, set_by_ms) in steps {
            machine.pass_ms(passed_ms);
            machine.set_by_ms(set_by_ms);
            clock.compare();
            proptest::prop_assert!(clock.now() >= last);
            last = clock.now();
        }
    }
}
