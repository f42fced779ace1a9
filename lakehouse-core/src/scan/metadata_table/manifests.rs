//! The metadata tables `manifests` and `all_manifests`: rows of manifest lists.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanBuilder, Int32Array, ListArray, RecordBatch, StringArray,
    StringBuilder, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields, SchemaRef};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    FieldSummary, ManifestContentType, ManifestFile, ManifestStatus, TableMetadata,
};

use super::arrays::{longs, partition_text};
use super::pruning::{REFERENCE_SNAPSHOT_ID, exactly};
use super::walk::{self, Reach};
use super::{BatchStream, MetadataRead, ROWS_PER_BATCH, first_rows, projected, schema_of};
use crate::error::Result;
use crate::scan::evaluate::{ColumnFacts, Facts, may_match};
use crate::scan::manifest::read_manifest;
use crate::scan::manifest_cache::ManifestCache;
use crate::scan::partition::{PartitionColumn, PartitionLayout};
use crate::scan::plan::spec_layout;
use crate::scan::value::Value;
use crate::table::Table;

/// Where the counts of files stand among the columns.
const COUNT_COLUMNS: Range<usize> = 5..11;

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

/// The columns; `all_manifests` has two more.
pub(super) fn schema(reach: Reach) -> SchemaRef {
    let count = |name: &str| Field::new(name, DataType::Int32, false);
    let mut fields = vec![
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
        Field::new("partition_summaries", DataType::List(summary_item()), false),
    ];
    if reach == Reach::All {
        fields.push(Field::new("reference_snapshot_id", DataType::Int64, false));
        fields.push(Field::new("key_metadata", DataType::Binary, true));
    }
    schema_of(fields)
}

/// The rows: the manifest lists of the wanted snapshots.
pub(super) fn scan(
    table: &Table,
    cache: &ManifestCache,
    read: MetadataRead,
    reach: Reach,
) -> Result<BatchStream> {
    let (counted, cache_of) = (table.clone(), cache.clone());
    let projection = read.projection;
    let counts_wanted = projection
        .as_ref()
        .is_none_or(|wanted| wanted.iter().any(|column| COUNT_COLUMNS.contains(column)));
    let wanted = |snapshot_id| may_match(&read.predicate, &ReferenceFacts { snapshot_id });
    let batches = walk::lists(table, cache, reach, wanted)
        .map_ok(|(snapshot_id, list)| {
            let parts: Vec<_> = list
                .chunks(ROWS_PER_BATCH)
                .map(|part| Ok((snapshot_id, part.to_vec())))
                .collect();
            stream::iter(parts)
        })
        .try_flatten()
        .and_then(move |(snapshot_id, mut part)| {
            let (table, cache) = (counted.clone(), cache_of.clone());
            let projection = projection.clone();
            async move {
                if counts_wanted {
                    fill_counts(&mut part, &table, &cache).await?;
                }
                let all = batch(&part, table.metadata(), snapshot_id, reach)?;
                projected(all, projection.as_deref())
            }
        });
    Ok(first_rows(batches.boxed(), read.rows_max))
}

/// What a filter may ask of a snapshot.
struct ReferenceFacts {
    snapshot_id: i64,
}

impl ColumnFacts for ReferenceFacts {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        match field_id {
            REFERENCE_SNAPSHOT_ID => exactly(Value::Integer(self.snapshot_id)),
            _ => Facts::default(),
        }
    }
}

/// Counts what a list of version 1 left out, in the manifests themselves.
async fn fill_counts(
    list: &mut [ManifestFile],
    table: &Table,
    cache: &ManifestCache,
) -> Result<()> {
    let unknown = list
        .iter_mut()
        .filter(|file| COUNTS.iter().any(|count| count(file).is_none()));
    for file in unknown {
        let manifest = read_manifest(table.storage(), file, cache).await?;
        let of = |status| {
            let entries = manifest.entries.iter();
            let count = entries.filter(|entry| entry.status() == status).count();
            u32::try_from(count).ok()
        };
        file.added_files_count = of(ManifestStatus::Added);
        file.existing_files_count = of(ManifestStatus::Existing);
        file.deleted_files_count = of(ManifestStatus::Deleted);
    }
    Ok(())
}

type Count = fn(&ManifestFile) -> Option<u32>;
const COUNTS: [Count; 3] = [
    |file| file.added_files_count,
    |file| file.existing_files_count,
    |file| file.deleted_files_count,
];

fn batch(
    list: &[ManifestFile],
    metadata: &TableMetadata,
    snapshot_id: i64,
    reach: Reach,
) -> Result<RecordBatch> {
    let rows = || list.iter();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values(
            rows().map(|file| file.content as i32),
        )),
        Arc::new(StringArray::from_iter_values(
            rows().map(|file| file.manifest_path.as_str()),
        )),
        longs(rows().map(|file| Some(file.manifest_length))),
        Arc::new(Int32Array::from_iter_values(
            rows().map(|file| file.partition_spec_id),
        )),
        longs(rows().map(|file| Some(file.added_snapshot_id))),
    ];
    for content in [ManifestContentType::Data, ManifestContentType::Deletes] {
        for count in COUNTS {
            let counts = rows().map(|file| {
                // A manifest holds files of one content: it has none of the other, for certain.
                let counted = count(file).filter(|_| file.content == content);
                counted.map_or(0, |count| i32::try_from(count).unwrap_or(i32::MAX))
            });
            columns.push(Arc::new(Int32Array::from_iter_values(counts)));
        }
    }
    columns.push(summaries(list, metadata)?);
    if reach == Reach::All {
        columns.push(longs(rows().map(|_| Some(snapshot_id))));
        let keys = rows().map(|file| file.key_metadata.as_deref());
        columns.push(Arc::new(BinaryArray::from_iter(keys)));
    }
    Ok(RecordBatch::try_new(schema(reach), columns)?)
}

/// One list per manifest; where none was recorded, an empty one.
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
    Ok(Arc::new(ListArray::try_new(
        summary_item(),
        offsets,
        Arc::new(items),
        None,
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
