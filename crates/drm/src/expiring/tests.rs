use std::collections::HashMap as Model;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn a_value_is_kept_until_its_end() {
    let map = ExpiringMap::new(10);
    assert_eq!(map.see(b"a", 1, 5_000, 0), Seen::First);
    assert_eq!(map.see(b"a", 2, 9_000, 4_999), Seen::Before(1), "the first value and end stay");
    assert_eq!(map.see(b"b", 3, 4_999, 4_999), Seen::Over);
    assert_eq!(map.len(), 1);
    assert_eq!(map.see(b"c", 4, 20_000, 6_000), Seen::First);
    assert_eq!(map.len(), 1, "the first is forgotten");
}

#[test]
fn a_full_memory_refuses_newcomers_and_forgets_nobody() {
    let map = ExpiringMap::new(2);
    assert_eq!(map.see(b"a", (), 5_000, 0), Seen::First);
    assert_eq!(map.see(b"b", (), 8_000, 0), Seen::First);
    assert_eq!(map.see(b"c", (), 8_000, 0), Seen::Full);
    assert_eq!(map.see(b"a", (), 5_000, 0), Seen::Before(()));
    assert_eq!(map.see(b"c", (), 8_000, 6_000), Seen::First, "room again");
}

#[test]
fn a_clock_that_jumps_back_revives_nothing() {
    let map = ExpiringMap::new(10);
    assert_eq!(map.see(b"a", (), 5_000, 0), Seen::First);
    assert_eq!(map.see(b"b", (), 90_000, 60_000), Seen::First, "a was forgotten");
    assert_eq!(map.see(b"a", (), 5_000, 1_000), Seen::Over);
}

proptest! {
    /// Against a model that never forgets.
    #[test]
    fn nothing_is_let_in_twice_before_its_end(
        steps in vec((0_u8..6, 0_i64..20_000, -3_000_i64..3_000), 1..200)
    ) {
        let map = ExpiringMap::new(4);
        let mut model: Model<u8, i64> = Model::new();
        let (mut now, mut latest) = (0, i64::MIN);
        for (key, length, advance) in steps {
            now += advance;
            latest = latest.max(now);
            let ends = now + length;
            let known = model.get(&key).copied();
            match map.see(&[key], (), ends, now) {
                Seen::First => {
                    prop_assert!(known.is_none_or(|end| end <= latest));
                    prop_assert!(ends > latest);
                    model.insert(key, ends);
                }
                Seen::Before(()) => prop_assert!(known.is_some()),
                Seen::Over => prop_assert!(ends <= latest),
                Seen::Full => prop_assert_eq!(map.len(), 4),
            }
        }
        let last = map.see(b"other", (), latest + 100_001, latest + 100_000);
        prop_assert_eq!(last, Seen::First);
        prop_assert_eq!(map.len(), 1);
    }
}
