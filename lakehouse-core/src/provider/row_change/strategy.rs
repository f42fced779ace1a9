//! How the changes of one data file are made: by writing its rows anew, or by deleting some.

use std::ops::Range;

use iceberg::spec::FormatVersion;
use roaring::RoaringTreemap;

use crate::commit::RowStatement;
use crate::error::{Error, Result};
use crate::table::Table;

/// A file is written anew when at least so many of a hundred of its live rows change.
const REWRITTEN_PERCENT: u64 = 30;
/// Bytes of a file that are worth a task of their own.
const PIECE_BYTES: u64 = 8 << 20;

/// What a table says of the files that a statement changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Files are written anew.
    CopyOnWrite,
    /// Rows are deleted where they are, updated ones written elsewhere.
    MergeOnRead,
    /// What is less work, for each file.
    ByFile,
}

/// What becomes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strategy {
    /// It goes: no row of it is left as it is.
    Remove,
    /// It is written anew.
    Rewrite,
    /// It stays, with deletes.
    Delete,
}

impl Mode {
    /// The mode of a statement, by the table's properties.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] for a mode that does not exist.
    pub(super) fn of(table: &Table, statement: RowStatement) -> Result<Self> {
        if table.format_version() == FormatVersion::V1 {
            return Ok(Self::CopyOnWrite);
        }
        let key = match statement {
            RowStatement::Delete => "write.delete.mode",
            RowStatement::Update => "write.update.mode",
            RowStatement::Merge => "write.merge.mode",
        };
        let text = table.properties().get(key).map(|text| text.trim());
        match text.map(str::to_ascii_lowercase).as_deref() {
            None => Ok(Self::ByFile),
            Some("copy-on-write") => Ok(Self::CopyOnWrite),
            Some("merge-on-read") => Ok(Self::MergeOnRead),
            Some(other) => Err(Error::invalid(format!(
                "property {key:?} must be copy-on-write or merge-on-read, it is {other:?}"
            ))),
        }
    }

    /// What becomes of a file of `rows`; `gone` are all of its rows that are or will be deleted,
    /// `deleted` how many of these were before, and `updated` how many rows get new values, which
    /// are not among those that are gone.
    pub(super) fn strategy(self, rows: u64, gone: u64, deleted: u64, updated: u64) -> Strategy {
        if gone == rows || gone + updated == rows && self != Self::CopyOnWrite {
            return Strategy::Remove;
        }
        let live = rows.saturating_sub(deleted);
        let changed = (gone - deleted) + updated;
        match self {
            Self::CopyOnWrite => Strategy::Rewrite,
            Self::MergeOnRead => Strategy::Delete,
            Self::ByFile
                if changed.saturating_mul(100) >= live.saturating_mul(REWRITTEN_PERCENT) =>
            {
                Strategy::Rewrite
            }
            Self::ByFile => Strategy::Delete,
        }
    }
}

/// How many tasks a file of so many bytes is worth, of `tasks`.
pub(super) fn piece_count(bytes: u64, tasks: usize) -> usize {
    let worth = usize::try_from(bytes / PIECE_BYTES).unwrap_or(usize::MAX);
    worth.clamp(1, tasks.max(1))
}

/// The rows of a file in `count` pieces of about the same size; at the ends of row groups, where
/// there are enough.
pub(super) fn pieces(groups: &[u64], count: usize) -> Vec<Range<u64>> {
    let rows: u64 = groups.iter().sum();
    let count = count.max(1) as u64;
    let mut cuts: Vec<u64> = (1..count).map(|piece| rows / count * piece).collect();
    if groups.len() as u64 >= 2 * count {
        let mut ends: Vec<u64> = Vec::with_capacity(groups.len());
        for group in groups {
            ends.push(ends.last().unwrap_or(&0) + group);
        }
        for cut in &mut cuts {
            let after = ends.partition_point(|end| *end < *cut);
            *cut = ends.get(after).copied().unwrap_or(rows);
        }
    }
    cuts.push(rows);
    cuts.dedup();
    let mut start = 0;
    let ranges = cuts.into_iter().map(|end| {
        let range = start..end;
        start = end;
        range
    });
    ranges.filter(|range| range.start < range.end).collect()
}

/// The rows of `all` within a range.
pub(super) fn within(all: &RoaringTreemap, range: &Range<u64>) -> RoaringTreemap {
    let mut rows = RoaringTreemap::new();
    rows.insert_range(range.clone());
    rows & all
}

#[cfg(test)]
mod tests {
    #![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

    use super::*;

    #[test]
    fn a_file_is_written_anew_from_three_rows_in_ten_on() {
        let by_file =
            |rows, gone, deleted, updated| Mode::ByFile.strategy(rows, gone, deleted, updated);
        assert_eq!(by_file(100, 29, 0, 0), Strategy::Delete);
        assert_eq!(by_file(100, 30, 0, 0), Strategy::Rewrite);
        assert_eq!(by_file(100, 20, 0, 10), Strategy::Rewrite);
        // Of the 50 live rows 14 or 15 change.
        assert_eq!(by_file(100, 64, 50, 0), Strategy::Delete);
        assert_eq!(by_file(100, 60, 50, 5), Strategy::Rewrite);
        assert_eq!(by_file(100, 100, 50, 0), Strategy::Remove);
        assert_eq!(by_file(100, 50, 50, 50), Strategy::Remove);
        let all_updated = Mode::CopyOnWrite.strategy(100, 0, 0, 100);
        assert_eq!(all_updated, Strategy::Rewrite);
        assert_eq!(Mode::CopyOnWrite.strategy(9, 9, 0, 0), Strategy::Remove);
        assert_eq!(Mode::MergeOnRead.strategy(100, 90, 0, 0), Strategy::Delete);
    }

    #[test]
    fn pieces_hold_every_row_once() {
        assert_eq!(pieces(&[10, 10, 10, 10], 2), [0..20, 20..40]);
        assert_eq!(pieces(&[10, 10, 10, 10, 1], 2), [0..20, 20..41]);
        assert_eq!(pieces(&[41], 2), [0..20, 20..41]);
        assert_eq!(pieces(&[1], 4), [0..1]);
        assert!(pieces(&[], 4).is_empty());
    }
}
