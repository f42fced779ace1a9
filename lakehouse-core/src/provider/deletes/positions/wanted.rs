//! Which row groups and pages of a position delete file can name a wanted data file.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::super::super::opener::leaf_of;
use super::Columns;
use crate::error::{Error, Result};

/// What of a file to decode.
#[derive(Debug)]
pub(super) struct ReadPlan {
    pub(super) row_groups: Vec<usize>,
    /// Rows of those row groups, one after the other; `None` for all.
    pub(super) selection: Option<RowSelection>,
}

/// Leaves out what the statistics of paths rule out. Nothing is left out where a NULL or a negative
/// position may hide.
pub(super) fn plan(
    footer: &ParquetMetaData,
    columns: Columns,
    wanted: &BTreeMap<String, u64>,
) -> Result<ReadPlan> {
    let leaf = |root: usize| {
        leaf_of(footer, root)
            .ok_or_else(|| Error::corrupt("a position delete file has columns without values"))
    };
    let (path, position) = (leaf(columns.path)?, leaf(columns.position)?);
    let mut row_groups = Vec::new();
    let mut selectors: Vec<RowSelector> = Vec::new();
    for (index, group) in footer.row_groups().iter().enumerate() {
        let sound = is_sound(group, path, position);
        if sound && !may_name(group.column(path).statistics(), wanted) {
            continue;
        }
        row_groups.push(index);
        let rows = usize::try_from(group.num_rows())
            .map_err(|_| Error::corrupt("a row group has a negative number of rows"))?;
        let kept = sound
            .then(|| pages(footer, index, path, rows, wanted))
            .flatten();
        match kept {
            Some(kept) => {
                let of_group = RowSelection::from_consecutive_ranges(kept.into_iter(), rows);
                selectors.extend(Vec::<RowSelector>::from(of_group));
            }
            None => selectors.push(RowSelector::select(rows)),
        }
    }
    let skips = selectors.iter().any(|selector| selector.skip);
    let selection = skips.then(|| RowSelection::from(selectors));
    Ok(ReadPlan {
        row_groups,
        selection,
    })
}

/// Whether statistics show that all paths and positions are as they must be.
fn is_sound(group: &RowGroupMetaData, path: usize, position: usize) -> bool {
    let no_null = |leaf: usize| {
        let column = group.column(leaf);
        let counted = column.statistics().and_then(Statistics::null_count_opt);
        column.column_descr().max_def_level() == 0 || counted == Some(0)
    };
    let least = match group.column(position).statistics() {
        Some(Statistics::Int64(of)) => of.min_opt().copied(),
        Some(Statistics::Int32(of)) => of.min_opt().map(|least| i64::from(*least)),
        _ => None,
    };
    no_null(path) && no_null(position) && least.is_some_and(|least| least >= 0)
}

fn may_name(statistics: Option<&Statistics>, wanted: &BTreeMap<String, u64>) -> bool {
    let Some(statistics) = statistics else {
        return true;
    };
    // The bounds of old writers order bytes as signed numbers.
    if statistics.is_min_max_deprecated() {
        return true;
    }
    between(
        statistics.min_bytes_opt(),
        statistics.max_bytes_opt(),
        wanted,
    )
}

/// Whether a wanted path lies between bounds, by their bytes.
fn between(least: Option<&[u8]>, most: Option<&[u8]>, wanted: &BTreeMap<String, u64>) -> bool {
    let (Some(least), Some(most)) = (least, most) else {
        return true;
    };
    // A bound may have been cut within a character, which is no text to look for.
    let from = match std::str::from_utf8(least) {
        Ok(least) => Bound::Included(least),
        Err(_) => Bound::Unbounded,
    };
    let first = wanted.range::<str, _>((from, Bound::Unbounded));
    let mut candidates = first.filter(|(path, _)| path.as_bytes() >= least);
    candidates
        .next()
        .is_some_and(|(path, _)| path.as_bytes() <= most)
}

/// The rows of a row group in pages that may name a wanted path; `None` when that is not known.
fn pages(
    footer: &ParquetMetaData,
    group: usize,
    path: usize,
    rows: usize,
    wanted: &BTreeMap<String, u64>,
) -> Option<Vec<Range<usize>>> {
    let ColumnIndexMetaData::BYTE_ARRAY(index) = footer.column_index()?.get(group)?.get(path)?
    else {
        return None;
    };
    let places = footer
        .offset_index()?
        .get(group)?
        .get(path)?
        .page_locations();
    let starts: Vec<usize> = places
        .iter()
        .map(|place| usize::try_from(place.first_row_index).ok())
        .collect::<Option<_>>()?;
    let fits = index.num_pages() == starts.len() as u64
        && starts.first() == Some(&0)
        && starts.is_sorted_by(|left, right| left < right)
        && starts.last().is_some_and(|last| *last < rows);
    if !fits {
        return None;
    }
    let ends = starts.iter().skip(1).copied().chain([rows]);
    let kept = starts.iter().copied().zip(ends).enumerate();
    Some(
        kept.filter(|(page, _)| {
            index.is_null_page(*page)
                || between(index.min_value(*page), index.max_value(*page), wanted)
        })
        .map(|(_, (start, end))| start..end)
        .collect(),
    )
}
