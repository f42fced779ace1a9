//! How many pages of the wanted columns hold a row that is wanted.

use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::RowSelection;
use parquet::file::metadata::ParquetMetaData;

/// Pages of the wanted columns in the wanted row groups, and those of them that are read; nothing
/// when the footer has no page index.
pub(super) fn page_counts(
    footer: &ParquetMetaData,
    row_groups: &[usize],
    columns: &ProjectionMask,
    selection: &RowSelection,
) -> Option<(usize, usize)> {
    let index = footer.offset_index()?;
    let selected = selected_ranges(selection);
    let (mut all, mut read) = (0, 0);
    // Selections count rows from the first of the wanted row groups on.
    let mut base = 0;
    for &group in row_groups {
        let rows = usize::try_from(footer.row_groups().get(group)?.num_rows()).ok()?;
        let leaves = index.get(group)?.iter().enumerate();
        for (_, column) in leaves.filter(|(leaf, _)| columns.leaf_included(*leaf)) {
            let pages = column.page_locations();
            let starts = pages.iter().map(|page| page.first_row_index);
            let starts: Vec<usize> = starts
                .map(|row| usize::try_from(row).ok())
                .collect::<Option<_>>()?;
            let ends = starts.iter().skip(1).copied().chain([rows]);
            let of_rows = starts.iter().zip(ends);
            read += touched(
                of_rows.map(|(start, end)| base + start..base + end),
                &selected,
            );
            all += pages.len();
        }
        base += rows;
    }
    Some((all, read))
}

fn selected_ranges(selection: &RowSelection) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut row = 0;
    for selector in selection.iter() {
        let end = row + selector.row_count;
        if !selector.skip && selector.row_count > 0 {
            ranges.push(row..end);
        }
        row = end;
    }
    ranges
}

/// How many of the pages share a row with a range; both ascend.
fn touched(pages: impl Iterator<Item = Range<usize>>, ranges: &[Range<usize>]) -> usize {
    let mut ahead = ranges.iter().peekable();
    let mut count = 0;
    for page in pages {
        while ahead.next_if(|range| range.end <= page.start).is_some() {}
        if ahead.peek().is_some_and(|range| range.start < page.end) {
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_for_one_of_its_rows() {
        let pages = || (0..5).map(|page| page * 10..(page + 1) * 10);
        let count = |ranges: &[Range<usize>]| touched(pages(), ranges);
        assert_eq!(count(&[]), 0);
        assert_eq!(count(&[0..10, 10..50]), 5);
        assert_eq!(count(&[9..11, 49..50]), 3);
        assert_eq!(count(&[10..20, 20..21]), 2);
        assert_eq!(count(&[3..4, 5..6, 49..50]), 2);
    }
}
