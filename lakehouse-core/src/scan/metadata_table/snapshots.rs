//! The metadata tables that the metadata file alone answers: snapshots, history and refs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};

use super::arrays::{instants, maps};
use super::{instant, schema_of};
use crate::error::Result;
use crate::table::{ReferenceKind, Table};

pub(super) fn snapshots_schema() -> SchemaRef {
    let entry: Fields = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]
    .into();
    let entries = Field::new("key_value", DataType::Struct(entry), false);
    schema_of(vec![
        instant("committed_at"),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("parent_id", DataType::Int64, true),
        Field::new("operation", DataType::Utf8, true),
        Field::new("manifest_list", DataType::Utf8, true),
        Field::new("summary", DataType::Map(Arc::new(entries), false), true),
    ])
}

pub(super) fn snapshots(table: &Table) -> Result<RecordBatch> {
    let snapshots = table.snapshots();
    let rows = || snapshots.iter();
    let summaries = rows().map(|snapshot| {
        // In order of key, so that the same table prints the same.
        let pairs = &snapshot.summary().additional_properties;
        Some(pairs.iter().collect::<BTreeMap<_, _>>())
    });
    let columns: Vec<ArrayRef> = vec![
        instants(rows().map(|snapshot| Some(snapshot.timestamp_ms()))),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|snapshot| snapshot.snapshot_id()),
        )),
        Arc::new(Int64Array::from_iter(
            rows().map(|snapshot| snapshot.parent_snapshot_id()),
        )),
        Arc::new(StringArray::from_iter_values(
            rows().map(|snapshot| snapshot.summary().operation.as_str()),
        )),
        Arc::new(StringArray::from_iter_values(
            rows().map(|snapshot| snapshot.manifest_list()),
        )),
        maps(
            StringBuilder::new(),
            StringBuilder::new(),
            summaries,
            |keys, values, (key, value)| {
                keys.append_value(key);
                values.append_value(value);
            },
        )?,
    ];
    Ok(RecordBatch::try_new(snapshots_schema(), columns)?)
}

pub(super) fn history_schema() -> SchemaRef {
    schema_of(vec![
        instant("made_current_at"),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("parent_id", DataType::Int64, true),
        Field::new("is_current_ancestor", DataType::Boolean, false),
    ])
}

pub(super) fn history(table: &Table) -> Result<RecordBatch> {
    let entries = table.history();
    let rows = || entries.iter();
    let columns: Vec<ArrayRef> = vec![
        instants(rows().map(|entry| Some(entry.made_current_at_ms))),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|entry| entry.snapshot_id),
        )),
        Arc::new(Int64Array::from_iter(rows().map(|entry| entry.parent_id))),
        Arc::new(BooleanArray::from_iter(
            rows().map(|entry| Some(entry.is_current_ancestor)),
        )),
    ];
    Ok(RecordBatch::try_new(history_schema(), columns)?)
}

pub(super) fn refs_schema() -> SchemaRef {
    schema_of(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("type", DataType::Utf8, false),
        Field::new("snapshot_id", DataType::Int64, false),
        Field::new("max_reference_age_in_ms", DataType::Int64, true),
        Field::new("min_snapshots_to_keep", DataType::Int32, true),
        Field::new("max_snapshot_age_in_ms", DataType::Int64, true),
    ])
}

pub(super) fn refs(table: &Table) -> Result<RecordBatch> {
    let refs = table.refs()?;
    let rows = || refs.iter();
    let kinds = rows().map(|reference| match reference.kind {
        ReferenceKind::Branch => "BRANCH",
        ReferenceKind::Tag => "TAG",
    });
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(
            rows().map(|reference| reference.name.as_str()),
        )),
        Arc::new(StringArray::from_iter_values(kinds)),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|reference| reference.snapshot_id),
        )),
        Arc::new(Int64Array::from_iter(
            rows().map(|reference| reference.ref_age_ms_max),
        )),
        Arc::new(Int32Array::from_iter(
            rows().map(|reference| reference.snapshots_min),
        )),
        Arc::new(Int64Array::from_iter(
            rows().map(|reference| reference.snapshot_age_ms_max),
        )),
    ];
    Ok(RecordBatch::try_new(refs_schema(), columns)?)
}
