//! The metadata table `metadata_log_entries`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use iceberg::spec::SnapshotRef;

use super::arrays::{instants, longs};
use super::{instant, schema_of};
use crate::error::Result;
use crate::table::{HistoryEntry, Table};

pub(super) fn schema() -> SchemaRef {
    schema_of(vec![
        instant("timestamp"),
        Field::new("file", DataType::Utf8, false),
        Field::new("latest_snapshot_id", DataType::Int64, true),
        Field::new("latest_schema_id", DataType::Int32, true),
        Field::new("latest_sequence_number", DataType::Int64, true),
    ])
}

/// The metadata files that the log names, and the one that holds the log.
pub(super) fn batch(table: &Table) -> Result<RecordBatch> {
    let metadata = table.metadata();
    let logged = metadata.metadata_log().iter();
    let mut files: Vec<(i64, &str)> = logged
        .map(|entry| (entry.timestamp_ms, entry.metadata_file.as_str()))
        .collect();
    files.push((metadata.last_updated_ms(), table.metadata_location()));

    let history = table.history();
    let latest_ids: Vec<Option<i64>> = files
        .iter()
        .map(|(at_ms, _)| current_at(&history, *at_ms))
        .collect();
    // A snapshot that was expired is named, and nothing else is known of it.
    let latest: Vec<Option<&SnapshotRef>> = latest_ids
        .iter()
        .map(|id| metadata.snapshot_by_id((*id)?))
        .collect();
    let columns: Vec<ArrayRef> = vec![
        instants(files.iter().map(|(at_ms, _)| Some(*at_ms))),
        Arc::new(StringArray::from_iter_values(
            files.iter().map(|(_, file)| *file),
        )),
        longs(latest_ids.iter().copied()),
        Arc::new(Int32Array::from_iter(
            latest.iter().map(|snapshot| snapshot.as_ref()?.schema_id()),
        )),
        longs(
            latest
                .iter()
                .map(|snapshot| Some(snapshot.as_ref()?.sequence_number())),
        ),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// The snapshot that was current at a time.
fn current_at(history: &[HistoryEntry], at_ms: i64) -> Option<i64> {
    let before = history
        .iter()
        .rev()
        .find(|entry| entry.made_current_at_ms <= at_ms)?;
    Some(before.snapshot_id)
}
