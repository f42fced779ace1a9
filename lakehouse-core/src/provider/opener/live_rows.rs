//! Keeps deleted rows out of what a file gives.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;

use crate::error::{Error, Result};
use crate::scan::DeletedRows;

/// Runs of deleted rows from this length on are not decoded. Shorter ones are cheaper to decode and
/// leave out than to jump over, which a reader does column by column.
const SKIPPED_RUN_ROWS: u64 = 1024;

/// The rows that a reader gives, of which the deleted ones are left out.
#[derive(Debug)]
pub(super) struct LiveRows {
    deleted: Arc<DeletedRows>,
    /// The file's rows that the reader still has to give, in order.
    ahead: VecDeque<Range<u64>>,
    removed: u64,
}

impl LiveRows {
    /// Takes row groups and long runs out of `plan` that are all deleted; what is deleted of the
    /// rest is left out of the batches.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] for a file with another number of rows than `rows`,
    /// whose positions then mean other rows.
    pub(super) fn new(
        plan: &mut ParquetAccessPlan,
        footer: &ParquetMetaData,
        rows: u64,
        deleted: Arc<DeletedRows>,
    ) -> Result<Self> {
        let mut ahead: VecDeque<Range<u64>> = VecDeque::new();
        let mut removed = 0;
        let mut first = 0_u64;
        for (index, group) in footer.row_groups().iter().enumerate() {
            let end = u64::try_from(group.num_rows())
                .ok()
                .and_then(|rows| first.checked_add(rows))
                .filter(|end| *end <= rows)
                .ok_or_else(|| other_count(rows))?;
            if plan.should_scan(index) {
                let group = first..end;
                removed += take_runs(plan, index, &group, &deleted)?;
                for range in selected(&plan.inner()[index], &group)? {
                    match ahead.back_mut() {
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ => ahead.push_back(range),
                    }
                }
            }
            first = end;
        }
        if first != rows {
            return Err(other_count(rows));
        }
        removed += ahead
            .iter()
            .map(|range| deleted.count(range.clone()))
            .sum::<u64>();
        Ok(Self {
            deleted,
            ahead,
            removed,
        })
    }

    /// How many rows are left out, of those that the plan would have given otherwise.
    pub(super) fn removed(&self) -> u64 {
        self.removed
    }

    /// How many rows the reader has to give for `limit` live ones.
    pub(super) fn rows_for(&self, limit: usize) -> usize {
        let mut missing = limit as u64;
        let mut read = 0_u64;
        for range in &self.ahead {
            let rows = range.end - range.start;
            let live = rows - self.deleted.count(range.clone());
            if live < missing {
                missing -= live;
                read = read.saturating_add(rows);
                continue;
            }
            // The fewest rows of the range with so many live ones among them.
            let (mut low, mut high) = (0, rows);
            while low < high {
                let middle = low + (high - low) / 2;
                let live = middle - self.deleted.count(range.start..range.start + middle);
                if live < missing {
                    low = middle + 1;
                } else {
                    high = middle;
                }
            }
            read = read.saturating_add(low);
            break;
        }
        usize::try_from(read).unwrap_or(usize::MAX)
    }

    /// Which of the next `rows` rows that the reader gave are live; `None` when all of them are.
    pub(super) fn next_live(&mut self, rows: usize) -> Result<Option<BooleanBuffer>> {
        let mut missing = rows as u64;
        let mut live = BooleanBufferBuilder::new(rows);
        let mut has_deleted = false;
        while missing > 0 {
            let Some(range) = self.ahead.front_mut() else {
                return Err(Error::internal("a file gave more rows than were asked for"));
            };
            let now = range.start..range.end.min(range.start.saturating_add(missing));
            let mut next = now.start;
            for run in self.deleted.runs(now.clone()) {
                has_deleted = true;
                live.append_n(length(next..run.start), true);
                live.append_n(length(run.clone()), false);
                next = run.end;
            }
            live.append_n(length(next..now.end), true);
            missing -= now.end - now.start;
            range.start = now.end;
            if range.start == range.end {
                self.ahead.pop_front();
            }
        }
        Ok(has_deleted.then(|| live.finish()))
    }
}

/// Takes what is deleted at a stretch out of one row group of a plan; how many rows of it the plan
/// does not give any more.
fn take_runs(
    plan: &mut ParquetAccessPlan,
    index: usize,
    group: &Range<u64>,
    deleted: &DeletedRows,
) -> Result<u64> {
    let rows = group.end - group.start;
    let before = |plan: &ParquetAccessPlan| -> Result<u64> {
        let ranges = selected(&plan.inner()[index], group)?;
        Ok(ranges.iter().map(|range| range.end - range.start).sum())
    };
    let in_group = deleted.count(group.clone());
    if in_group == rows {
        let given = before(plan)?;
        plan.skip(index);
        return Ok(given);
    }
    if in_group < SKIPPED_RUN_ROWS {
        return Ok(0);
    }
    let long = deleted
        .runs(group.clone())
        .filter(|run| run.end - run.start >= SKIPPED_RUN_ROWS);
    let mut kept = Vec::new();
    let mut next = group.start;
    for run in long {
        kept.push(place(next, group)..place(run.start, group));
        next = run.end;
    }
    if kept.is_empty() {
        return Ok(0);
    }
    kept.push(place(next, group)..place(group.end, group));
    let given = before(plan)?;
    let selection = RowSelection::from_consecutive_ranges(kept.into_iter(), length(group.clone()));
    plan.scan_selection(index, selection);
    let left = before(plan)?;
    if left == 0 {
        plan.skip(index);
    }
    Ok(given - left)
}

/// The rows of the file that a plan gives of one row group.
fn selected(access: &RowGroupAccess, group: &Range<u64>) -> Result<Vec<Range<u64>>> {
    match access {
        RowGroupAccess::Skip => Ok(Vec::new()),
        RowGroupAccess::Scan if group.is_empty() => Ok(Vec::new()),
        RowGroupAccess::Scan => Ok(vec![group.clone()]),
        RowGroupAccess::Selection(selection) => {
            let mut ranges = Vec::new();
            let mut next = group.start;
            for part in selection.iter() {
                let end = next + part.row_count as u64;
                if !part.skip && part.row_count > 0 {
                    ranges.push(next..end);
                }
                next = end;
            }
            if next == group.end {
                Ok(ranges)
            } else {
                Err(Error::internal(
                    "a selection has not all rows of its row group",
                ))
            }
        }
    }
}

/// The number of rows in a range; batches and row groups are no longer than memory.
fn length(range: Range<u64>) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

fn place(row: u64, group: &Range<u64>) -> usize {
    length(group.start..row)
}

/// Refuses a file with another number of rows than `rows`.
///
/// # Errors
/// As [`LiveRows::new`].
pub(super) fn check_count(footer: &ParquetMetaData, rows: u64) -> Result<()> {
    let own = footer.row_groups().iter().map(|group| group.num_rows());
    let mut own = own.map(|rows| u64::try_from(rows).ok());
    let sum = own.try_fold(0_u64, |sum, rows| sum.checked_add(rows?));
    match sum == Some(rows) {
        true => Ok(()),
        false => Err(other_count(rows)),
    }
}

fn other_count(rows: u64) -> Error {
    Error::corrupt(format!(
        "the file has another number of rows than the {rows} that the manifest says, so which rows \
         are deleted is not known; restore the file"
    ))
}

#[cfg(test)]
mod tests;
