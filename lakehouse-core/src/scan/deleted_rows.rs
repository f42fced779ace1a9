//! The deleted rows of one data file, by their positions in it.

use std::ops::Range;

use roaring::{RoaringBitmap, RoaringTreemap};

/// A set of rows of one data file. A row's number counts all rows of the file before it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct DeletedRows {
    rows: RoaringTreemap,
}

impl DeletedRows {
    /// The rows of bitmaps by the upper 32 bits of their numbers, which ascend.
    pub(super) fn from_bitmaps(bitmaps: impl IntoIterator<Item = (u32, RoaringBitmap)>) -> Self {
        Self {
            rows: RoaringTreemap::from_bitmaps(bitmaps),
        }
    }

    /// Adds rows.
    pub(crate) fn insert(&mut self, rows: Range<u64>) {
        if rows.end == rows.start.saturating_add(1) {
            self.rows.insert(rows.start);
        } else if rows.start < rows.end {
            self.rows.insert_range(rows);
        }
    }

    /// Adds the rows of another set.
    pub(crate) fn insert_all(&mut self, other: &Self) {
        self.rows |= &other.rows;
    }

    /// A set of rows.
    pub(crate) fn from_rows(rows: RoaringTreemap) -> Self {
        Self { rows }
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &RoaringTreemap {
        &self.rows
    }

    /// How many rows.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len()
    }

    /// The last of the rows.
    pub(crate) fn last(&self) -> Option<u64> {
        self.rows.max()
    }

    /// Whether a row is one of them.
    pub(crate) fn contains(&self, row: u64) -> bool {
        self.rows.contains(row)
    }

    /// How many of the rows lie within `range`.
    pub(crate) fn count(&self, range: Range<u64>) -> u64 {
        self.rows.range_cardinality(range)
    }

    /// The rows within `range`, in order, as runs without gaps; neighbours may follow each other.
    pub(crate) fn runs(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let (from, to) = (range.start, range.end);
        self.rows
            .bitmaps()
            .map(|(high, bitmap)| (u64::from(high) << 32, bitmap))
            .filter(move |(base, _)| from < to && *base < to && from <= base | u64::from(u32::MAX))
            .flat_map(move |(base, bitmap)| {
                let low = |row: u64| u32::try_from(row - base).unwrap_or(u32::MAX);
                let mut rows = bitmap.range(low(from.max(base))..=low(to - 1));
                std::iter::from_fn(move || {
                    let run = rows.next_range()?;
                    let start = base + u64::from(*run.start());
                    let end = base + u64::from(*run.end()) + 1;
                    Some(start.max(from)..end.min(to))
                })
            })
    }

    /// Memory that the set takes, estimated.
    pub(crate) fn size_bytes(&self) -> usize {
        /// A container's key, length and pointers.
        const CONTAINER_BYTES: u64 = 48;
        let bitmaps = self.rows.bitmaps().map(|(_, bitmap)| {
            let of = bitmap.statistics();
            of.n_bytes_array_containers
                + of.n_bytes_run_containers
                + of.n_bytes_bitset_containers
                + u64::from(of.n_containers) * CONTAINER_BYTES
        });
        let bytes = bitmaps.sum::<u64>() + size_of::<Self>() as u64;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

    use super::*;

    fn of(runs: &[Range<u64>]) -> DeletedRows {
        let mut rows = DeletedRows::default();
        runs.iter().for_each(|run| rows.insert(run.clone()));
        rows
    }

    #[test]
    fn runs_are_cut_to_the_range_that_is_asked_for() {
        const HIGH: u64 = 1 << 32;
        let rows = of(&[3..4, 10..20, 70_000..200_000, HIGH - 5..HIGH + 5]);
        let runs = |range: Range<u64>| {
            // Runs that follow each other are one.
            let mut joined: Vec<Range<u64>> = Vec::new();
            for run in rows.runs(range) {
                match joined.last_mut() {
                    Some(last) if last.end == run.start => last.end = run.end,
                    _ => joined.push(run),
                }
            }
            joined
        };
        assert_eq!(runs(0..15), [3..4, 10..15]);
        assert_eq!(runs(12..13), [12..13]);
        assert_eq!(runs(20..70_000), []);
        assert_eq!(runs(150_000..HIGH), [150_000..200_000, HIGH - 5..HIGH]);
        assert_eq!(runs(HIGH..2 * HIGH), [HIGH..HIGH + 5]);
        assert_eq!(runs(5..5), []);
        for range in [0..15, 12..13, 150_000..HIGH + 2, 7..7] {
            let by_runs: u64 = rows
                .runs(range.clone())
                .map(|run| run.end - run.start)
                .sum();
            assert_eq!(by_runs, rows.count(range));
        }
        assert_eq!((rows.len(), rows.last()), (130_021, Some(HIGH + 4)));
    }
}
