//! The metadata table `manifests`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use iceberg::spec::{FieldSummary, ManifestContentType, ManifestFile, TableMetadata};

use super::arrays::partition_text;
use super::schema_of;
use crate::error::Result;
use crate::scan::partition::{PartitionColumn, PartitionLayout};
use crate::scan::plan::spec_layout;
use crate::scan::value::Value;

fn summary_fields() -> Fields {
    vec![
        Field::new("contains_null", DataType::Boolean, false),
        Field::new("contains_nan", DataType::Boolean, true),
        Field::new("lower_bound", DataType::Utf8, true),
        Field::new("upper_bound", DataType::Utf8, true),
    ]
    .into()
}

fn summary_item() -> Arc<Field> {
    Arc::new(Field::new(
        "element",
        DataType::Struct(summary_fields()),
        false,
    ))
}

pub(super) fn schema() -> SchemaRef {
    let count = |name: &str| Field::new(name, DataType::Int32, true);
    schema_of(vec![
        Field::new("content", DataType::Int32, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("length", DataType::Int64, false),
        Field::new("partition_spec_id", DataType::Int32, false),
        Field::new("added_snapshot_id", DataType::Int64, false),
        count("added_data_files_count"),
        count("existing_data_files_count"),
        count("deleted_data_files_count"),
        count("added_delete_files_count"),
        count("existing_delete_files_count"),
        count("deleted_delete_files_count"),
        Field::new("partition_summaries", DataType::List(summary_item()), true),
    ])
}

type Count = fn(&ManifestFile) -> Option<u32>;
const COUNTS: [Count; 3] = [
    |file| file.added_files_count,
    |file| file.existing_files_count,
    |file| file.deleted_files_count,
];

pub(super) fn batch(list: &[ManifestFile], metadata: &TableMetadata) -> Result<RecordBatch> {
    let rows = || list.iter();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(
            rows().map(|file| file.content as i32),
        )),
        Arc::new(StringArray::from_iter_values(
            rows().map(|file| file.manifest_path.as_str()),
        )),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|file| file.manifest_length),
        )),
        Arc::new(Int32Array::from_iter_values(
            rows().map(|file| file.partition_spec_id),
        )),
        Arc::new(Int64Array::from_iter_values(
            rows().map(|file| file.added_snapshot_id),
        )),
    ];
    for content in [ManifestContentType::Data, ManifestContentType::Deletes] {
        for count in COUNTS {
            let counts = rows().map(|file| {
                // A manifest holds files of one content: it has none of the other, for certain.
                if file.content == content {
                    count(file).and_then(|count| i32::try_from(count).ok())
                } else {
                    Some(0)
                }
            });
            columns.push(Arc::new(Int32Array::from_iter(counts)));
        }
    }
    columns.push(summaries(list, metadata)?);
    Ok(RecordBatch::try_new(schema(), columns)?)
}

fn summaries(list: &[ManifestFile], metadata: &TableMetadata) -> Result<ArrayRef> {
    let mut layouts: HashMap<i32, Option<PartitionLayout>> = HashMap::new();
    let (mut nulls, mut nans) = (BooleanBuilder::new(), BooleanBuilder::new());
    let (mut lower, mut upper) = (StringBuilder::new(), StringBuilder::new());
    for file in list {
        let layout = layouts
            .entry(file.partition_spec_id)
            .or_insert_with(|| spec_layout(metadata, file.partition_spec_id));
        for (position, summary) in summaries_of(file).iter().enumerate() {
            let column = layout
                .as_ref()
                .and_then(|layout| layout.columns.get(position));
            nulls.append_value(summary.contains_null);
            nans.append_option(summary.contains_nan);
            lower.append_option(bound_text(column, summary.lower_bound.as_deref()));
            upper.append_option(bound_text(column, summary.upper_bound.as_deref()));
        }
    }
    let items = StructArray::try_new(
        summary_fields(),
        vec![
            Arc::new(nulls.finish()),
            Arc::new(nans.finish()),
            Arc::new(lower.finish()),
            Arc::new(upper.finish()),
        ],
        None,
    )?;
    let offsets = OffsetBuffer::from_lengths(list.iter().map(|file| summaries_of(file).len()));
    let known: NullBuffer = list.iter().map(|file| file.partitions.is_some()).collect();
    Ok(Arc::new(ListArray::try_new(
        summary_item(),
        offsets,
        Arc::new(items),
        Some(known),
    )?))
}

fn summaries_of(file: &ManifestFile) -> &[FieldSummary] {
    file.partitions.as_deref().unwrap_or_default()
}

fn bound_text(column: Option<&PartitionColumn>, bound: Option<&Vec<u8>>) -> Option<String> {
    let column = column?;
    let kind = column.result_type.as_ref()?;
    let value = Value::decode(kind, bound?)?;
    Some(partition_text(column.transform, kind, value))
}
