//! A set of journal positions as merged, ascending ranges.

use crate::domain::ids::{RecordSeq, SeqRange};

/// Positions, kept as the fewest ranges: ascending, apart by at least one position.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SeqRanges(Vec<SeqRange>);

impl SeqRanges {
    /// The set of all positions of these ranges, in whatever order and overlap.
    pub fn from_ranges(ranges: &[SeqRange]) -> Self {
        let mut set = Self::default();
        for range in ranges {
            set.insert(*range);
        }
        set
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[SeqRange] {
        &self.0
    }

    /// The highest position, zero where there is none.
    pub fn highest(&self) -> RecordSeq {
        self.0.last().map_or(RecordSeq::ZERO, |range| range.last)
    }

    /// How many positions it holds.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.count()).sum()
    }

    /// How many positions of `within` it holds.
    pub fn count_in(&self, within: SeqRange) -> u64 {
        let overlap = |range: &SeqRange| {
            let first = range.first.max(within.first);
            let last = range.last.min(within.last);
            last.next().since(first)
        };
        self.0.iter().map(overlap).sum()
    }

    /// Whether it holds the position.
    pub fn contains(&self, seq: RecordSeq) -> bool {
        let after = self.0.partition_point(|range| range.last < seq);
        self.0.get(after).is_some_and(|range| range.contains(seq))
    }

    /// Adds the range; answers how many of its positions are new.
    pub fn insert(&mut self, range: SeqRange) -> u64 {
        let new = range.count() - self.count_in(range);
        // Ranges that touch are merged too, so the neighbours' ends count one further.
        let from = self.0.partition_point(|r| r.last.next() < range.first);
        let to = self.0.partition_point(|r| r.first <= range.last.next());
        let merged = self.0[from..to].iter().fold(range, |all, r| {
            SeqRange::new(all.first.min(r.first), all.last.max(r.last))
        });
        self.0.splice(from..to, [merged]);
        new
    }

    /// The first run of positions of `from..=to` that it does not hold; `None` where it holds
    /// them all, or `to` lies before `from`.
    pub fn first_gap(&self, from: RecordSeq, to: RecordSeq) -> Option<SeqRange> {
        let mut first = from;
        let mut last = to;
        let next = self.0.partition_point(|range| range.last < from);
        for range in &self.0[next..] {
            if range.first > first {
                last = last.min(RecordSeq::new(range.first.get() - 1));
                break;
            }
            first = range.last.next();
        }
        (first <= last).then(|| SeqRange::new(first, last))
    }

    /// Whether positions below its highest are missing.
    pub fn has_holes(&self) -> bool {
        match self.0.as_slice() {
            [] => false,
            [only] => only.first > RecordSeq::new(1),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn range(first: u64, last: u64) -> SeqRange {
        SeqRange::new(RecordSeq::new(first), RecordSeq::new(last))
    }

    #[test]
    fn it_agrees_with_a_plain_set_of_numbers() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..200 {
            let mut ranges = SeqRanges::default();
            let mut plain = BTreeSet::new();
            for _ in 0..30 {
                let first = rng.u64(1..60);
                let added = range(first, first + rng.u64(0..6));
                let before = plain.len();
                plain.extend(added.first.get()..=added.last.get());
                assert_eq!(ranges.insert(added), (plain.len() - before) as u64);
            }
            assert_eq!(ranges.count(), plain.len() as u64);
            let held: Vec<u64> = (0..70)
                .filter(|n| ranges.contains(RecordSeq::new(*n)))
                .collect();
            assert_eq!(held, plain.iter().copied().collect::<Vec<_>>());
            let apart = |pair: &[SeqRange]| pair[0].last.get() + 1 < pair[1].first.get();
            assert!(ranges.as_slice().windows(2).all(apart), "{ranges:?}");
            let (from, to) = (rng.u64(1..70), rng.u64(1..70));
            let gap = ranges.first_gap(RecordSeq::new(from), RecordSeq::new(to));
            let first = (from..=to).find(|n| !plain.contains(n));
            assert_eq!(gap.map(|g| g.first.get()), first);
            if let Some(gap) = gap {
                let end = (gap.first.get()..=to).find(|n| plain.contains(n));
                assert_eq!(gap.last.get(), end.map_or(to, |n| n - 1));
            }
        }
    }

    #[test]
    fn a_set_that_starts_at_one_and_is_whole_has_no_holes() {
        assert!(!SeqRanges::default().has_holes());
        assert!(!SeqRanges::from_ranges(&[range(1, 4), range(5, 9)]).has_holes());
        assert!(SeqRanges::from_ranges(&[range(2, 4)]).has_holes());
        assert!(SeqRanges::from_ranges(&[range(1, 4), range(6, 9)]).has_holes());
    }
}
