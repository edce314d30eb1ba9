//! A set of sequence numbers, kept as the stretches it consists of.

/// The most stretches kept. Past that the lowest gap is closed, as if what is missing there had
/// been reported: a device that leaves a thousand gaps gives up the oldest.
pub(crate) const STRETCHES_MAX: usize = 1_024;

/// Sorted, inclusive, neither touching nor overlapping.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    pub fn contains(&self, n: u64) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= n);
        behind.checked_sub(1).and_then(|i| self.0.get(i)).is_some_and(|(_, last)| n <= *last)
    }

    pub fn insert(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        // Everything that overlaps or touches becomes one stretch.
        let from = self.0.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = self.0.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let touched = self.0.get(from..to).unwrap_or_default();
        let first = touched.first().map_or(first, |(start, _)| first.min(*start));
        let last = touched.last().map_or(last, |(_, end)| last.max(*end));
        self.0.splice(from..to.max(from), [(first, last)]);
        if self.0.len() > STRETCHES_MAX
            && let [(start, _), (_, end), ..] = *self.0.as_slice()
        {
            self.0.splice(0..2, [(start, end)]);
        }
    }

    /// The stretches of `first..=last` that are not in the set yet.
    pub fn missing(&self, first: u64, last: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut next = first;
        let from = self.0.partition_point(|(_, end)| *end < first);
        for (start, end) in self.0.iter().skip(from).take_while(|(start, _)| *start <= last) {
            if next < *start {
                missing.push((next, start - 1));
            }
            match end.checked_add(1) {
                Some(behind) => next = behind,
                None => return missing,
            }
        }
        if next <= last {
            missing.push((next, last));
        }
        missing
    }

    pub fn stretches(&self) -> &[(u64, u64)] {
        &self.0
    }
}

impl FromIterator<(u64, u64)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(stretches: I) -> Self {
        let mut ranges = Self::default();
        for (first, last) in stretches {
            ranges.insert(first, last);
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set_of_numbers(stretches in prop::collection::vec((0u64..60, 0u64..8), 0..24)) {
            let mut ranges = Ranges::default();
            let mut set = BTreeSet::new();
            for (first, more) in stretches {
                let missing: Vec<u64> =
                    ranges.missing(first, first + more).iter().flat_map(|(a, b)| *a..=*b).collect();
                let expected: Vec<u64> =
                    (first..=first + more).filter(|n| !set.contains(n)).collect();
                prop_assert_eq!(missing, expected);
                ranges.insert(first, first + more);
                set.extend(first..=first + more);
                for n in 0..70 {
                    prop_assert_eq!(ranges.contains(n), set.contains(&n));
                }
                for pair in ranges.stretches().windows(2) {
                    prop_assert!(pair[0].1 + 1 < pair[1].0, "touching: {:?}", ranges);
                }
            }
        }
    }

    #[test]
    fn the_last_number_has_no_successor_and_gaps_are_bounded() {
        let mut ranges = Ranges::default();
        ranges.insert(u64::MAX, u64::MAX);
        ranges.insert(u64::MAX - 1, u64::MAX);
        assert_eq!(ranges.stretches(), [(u64::MAX - 1, u64::MAX)]);
        assert_eq!(ranges.missing(u64::MAX - 2, u64::MAX), [(u64::MAX - 2, u64::MAX - 2)]);
        for n in 0..3_000 {
            ranges.insert(n * 2, n * 2);
        }
        assert_eq!(ranges.stretches().len(), STRETCHES_MAX);
        assert!(ranges.contains(1), "the oldest gaps are given up");
        assert!(!ranges.contains(5_997));
    }
}
