//! Live rows against a list of rows, one by one.

#![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

use std::collections::BTreeSet;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use parquet::arrow::arrow_reader::RowSelector;
use proptest::prelude::*;

use super::super::compaction::compacted;
use super::*;

fn deleted(runs: &[Range<u64>]) -> DeletedRows {
    let mut rows = DeletedRows::default();
    runs.iter().for_each(|run| rows.insert(run.clone()));
    rows
}

fn live(runs: &[Range<u64>], ahead: &[Range<u64>]) -> LiveRows {
    LiveRows {
        deleted: Arc::new(deleted(runs)),
        ahead: ahead.iter().cloned().collect(),
        removed: 0,
    }
}

fn batch(rows: &[u64]) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("row", DataType::UInt64, false)]);
    let column = Arc::new(UInt64Array::from(rows.to_vec()));
    RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap()
}

/// The live rows of the next batch.
fn filter(rows: &mut LiveRows, batch: RecordBatch) -> Result<RecordBatch> {
    match rows.next_live(batch.num_rows())? {
        Some(live) => compacted(batch, live),
        None => Ok(batch),
    }
}

fn ranges(starts: u64, lengths: u64) -> impl Strategy<Value = Vec<Range<u64>>> {
    let range = (0..starts, 1..lengths).prop_map(|(start, length)| start..start + length);
    proptest::collection::vec(range, 0..20)
}

/// Ranges with gaps between them, in order.
fn ahead() -> impl Strategy<Value = Vec<Range<u64>>> {
    ranges(2_000, 300).prop_map(|mut ranges| {
        ranges.sort_by_key(|range| range.start);
        let mut next = 0;
        ranges.retain(|range| {
            let fits = range.start >= next;
            next = if fits { range.end } else { next };
            fits
        });
        ranges
    })
}

proptest! {
    #[test]
    fn batches_keep_their_live_rows_and_limits_reach_as_many(
        gone in ranges(2_300, 60),
        ahead in ahead(),
        batch_rows in 1_usize..400,
        limit in 0_usize..800,
    ) {
        let gone_rows: BTreeSet<u64> = gone.iter().cloned().flatten().collect();
        let given: Vec<u64> = ahead.iter().cloned().flatten().collect();
        let mut rows = live(&gone, &ahead);
        let wanted = rows.rows_for(limit);
        let is_live = |row: &&u64| !gone_rows.contains(row);
        let read = &given[..wanted];
        prop_assert_eq!(
            read.iter().filter(is_live).count(),
            limit.min(given.iter().filter(is_live).count())
        );
        // Not one row more than that takes, unless all are wanted.
        if wanted < given.len() {
            prop_assert!(wanted == 0 || is_live(&&read[wanted - 1]));
        }
        for part in given.chunks(batch_rows) {
            let kept = filter(&mut rows, batch(part)).unwrap();
            let expected: Vec<u64> = part.iter().filter(is_live).copied().collect();
            prop_assert_eq!(kept.column(0).as_primitive::<UInt64Type>().values(), &expected[..]);
        }
        prop_assert!(rows.ahead.is_empty());
    }
}

#[test]
fn batches_without_columns_keep_their_number_of_live_rows() {
    let options = RecordBatchOptions::new().with_row_count(Some(10));
    let schema = Arc::new(Schema::empty());
    let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
    let mut rows = live(&[2..5, 9..10], &[0..10]);
    assert_eq!(filter(&mut rows, batch.clone()).unwrap().num_rows(), 6);
    assert!(filter(&mut rows, batch).is_err());
}

#[test]
fn long_runs_and_whole_row_groups_are_taken_out_of_the_plan() {
    let group = 10_000..20_000_u64;
    let take = |access: RowGroupAccess, runs: &[Range<u64>]| {
        let mut plan = ParquetAccessPlan::new(vec![access]);
        let given = take_runs(&mut plan, 0, &group, &deleted(runs)).unwrap();
        let ranges = selected(&plan.inner()[0], &group).unwrap();
        (given, ranges)
    };
    let scan = || RowGroupAccess::Scan;
    assert_eq!(take(scan(), &[0..30_000]), (10_000, vec![]));
    assert_eq!(
        take(scan(), &[0..10_100, 12_000..13_000]),
        (0, vec![group.clone()])
    );
    let (given, ranges) = take(scan(), &[0..11_100, 12_000..14_000, 15_000..15_001]);
    assert_eq!(
        (given, ranges),
        (3_100, vec![11_100..12_000, 14_000..20_000])
    );
    // Of a row group whose pages were pruned already, only what was left counts.
    let pruned = RowGroupAccess::Selection(RowSelection::from(vec![
        RowSelector::skip(1_000),
        RowSelector::select(2_000),
        RowSelector::skip(7_000),
    ]));
    let (given, ranges) = take(pruned.clone(), &[12_000..14_000]);
    assert_eq!((given, ranges), (1_000, vec![11_000..12_000]));
    assert_eq!(take(pruned, &[11_000..14_000]), (2_000, vec![]));
    assert_eq!(take(RowGroupAccess::Skip, &[0..30_000]), (0, vec![]));
}
