//! Which manifests and entries a filter on a metadata table surely drops.

use std::sync::Arc;

use iceberg::spec::{
    Datum, ManifestContentType, ManifestFile, NestedField, NestedFieldRef, PrimitiveType, Schema,
    StructType, TableMetadata, Type,
};

use super::partition_union::PartitionUnion;
use crate::error::Result;
use crate::scan::delete_file::DELETED_PATH_ID;
use crate::scan::evaluate::{ColumnFacts, Facts, may_match};
use crate::scan::partition::{PartitionLayout, SummaryFacts};
use crate::scan::plan::spec_layout;
use crate::scan::predicate::Predicate;
use crate::scan::value::Value;

/// `status`, by the id that it has in manifests.
pub(super) const STATUS: i32 = 0;
/// `snapshot_id`, by the id that it has in manifests.
pub(super) const SNAPSHOT_ID: i32 = 1;
/// `content`, by the id that it has in manifests.
pub(super) const CONTENT: i32 = 134;
/// `file_path`, by the id that it has in manifests.
pub(super) const FILE_PATH: i32 = 100;
/// `spec_id`, by the id that it has in manifests.
pub(super) const SPEC_ID: i32 = 141;
/// The data file that a position delete names, by the id that it has in delete files.
pub(super) const DELETED_FROM: i32 = DELETED_PATH_ID;
/// `reference_snapshot_id` of `all_manifests`.
pub(super) const REFERENCE_SNAPSHOT_ID: i32 = 18;
const DATA_FILE: i32 = 2;
const PARTITION: i32 = 102;
/// The partition fields by their place, above all ids of manifests: in version 1 tables one id may
/// stand for two fields.
const PARTITION_FIELDS: i32 = 10_000;

fn column(id: i32, name: &str, kind: PrimitiveType) -> NestedFieldRef {
    Arc::new(NestedField::optional(id, name, Type::Primitive(kind)))
}

fn group(id: i32, name: &str, fields: Vec<NestedFieldRef>) -> NestedFieldRef {
    let fields = Type::Struct(StructType::new(fields));
    Arc::new(NestedField::optional(id, name, fields))
}

fn partition_fields(union: &PartitionUnion) -> Option<NestedFieldRef> {
    let fields: Vec<_> = (PARTITION_FIELDS..)
        .zip(union.columns())
        .map(|(id, field)| column(id, &field.name, field.kind.clone()))
        .collect();
    (!fields.is_empty()).then(|| group(PARTITION, "partition", fields))
}

fn file_fields(union: &PartitionUnion) -> Vec<NestedFieldRef> {
    let mut fields = vec![
        column(CONTENT, "content", PrimitiveType::Int),
        column(FILE_PATH, "file_path", PrimitiveType::String),
        column(SPEC_ID, "spec_id", PrimitiveType::Int),
    ];
    fields.extend(partition_fields(union));
    fields
}

/// The columns of `files` and its kin by which manifests or entries are skipped.
pub(super) fn files_filter(metadata: &TableMetadata) -> Result<Schema> {
    schema(file_fields(&PartitionUnion::new(metadata)))
}

/// Those of `entries` and `all_entries`.
pub(super) fn entries_filter(metadata: &TableMetadata) -> Result<Schema> {
    let data_file = file_fields(&PartitionUnion::new(metadata));
    schema(vec![
        column(STATUS, "status", PrimitiveType::Int),
        column(SNAPSHOT_ID, "snapshot_id", PrimitiveType::Long),
        group(DATA_FILE, "data_file", data_file),
    ])
}

/// Those of `partitions`. The spec is not among them: it is that of the newest of several files.
pub(super) fn partitions_filter(metadata: &TableMetadata) -> Result<Schema> {
    let fields = partition_fields(&PartitionUnion::new(metadata));
    schema(fields.into_iter().collect())
}

/// Those of `position_deletes`.
pub(super) fn position_deletes_filter(metadata: &TableMetadata) -> Result<Schema> {
    let mut fields = vec![
        column(DELETED_FROM, "file_path", PrimitiveType::String),
        column(FILE_PATH, "delete_file_path", PrimitiveType::String),
        column(SPEC_ID, "spec_id", PrimitiveType::Int),
    ];
    fields.extend(partition_fields(&PartitionUnion::new(metadata)));
    schema(fields)
}

/// Those of `all_manifests`.
pub(super) fn all_manifests_filter() -> Result<Schema> {
    schema(vec![column(
        REFERENCE_SNAPSHOT_ID,
        "reference_snapshot_id",
        PrimitiveType::Long,
    )])
}

/// No columns.
pub(super) fn no_filter() -> Result<Schema> {
    schema(Vec::new())
}

fn schema(fields: Vec<NestedFieldRef>) -> Result<Schema> {
    Ok(Schema::builder().with_fields(fields).build()?)
}

/// A column that has one value in every row.
pub(super) fn exactly(value: Value<'_>) -> Facts<'_> {
    between(value, value)
}

fn between<'a>(lower: Value<'a>, upper: Value<'a>) -> Facts<'a> {
    Facts {
        lower: Some(lower),
        upper: Some(upper),
        nulls: Some(0),
        nans: Some(0),
        values: None,
    }
}

/// A column that is NULL in every row.
fn only_null() -> Facts<'static> {
    Facts {
        nulls: Some(1),
        nans: Some(0),
        values: Some(1),
        ..Facts::default()
    }
}

fn integer(value: impl Into<i64>) -> Value<'static> {
    Value::Integer(value.into())
}

/// The place of a partition field among those of the union.
fn partition_place(field_id: i32) -> Option<usize> {
    usize::try_from(field_id.checked_sub(PARTITION_FIELDS)?).ok()
}

/// What the manifest list says of a manifest's entries.
struct ManifestFacts<'a> {
    file: &'a ManifestFile,
    union: &'a PartitionUnion,
    layout: Option<&'a PartitionLayout>,
}

impl ManifestFacts<'_> {
    fn statuses(&self) -> Facts<'_> {
        let found = [
            self.file.has_existing_files(),
            self.file.has_added_files(),
            self.file.has_deleted_files(),
        ];
        let first = (0_i64..).zip(found).find(|(_, found)| *found);
        let last = (0_i64..).zip(found).filter(|(_, found)| *found).last();
        match (first, last) {
            (Some((first, _)), Some((last, _))) => between(integer(first), integer(last)),
            _ => Facts::default(),
        }
    }

    fn partition(&self, place: usize) -> Facts<'_> {
        let (Some(layout), Some(summaries)) = (self.layout, &self.file.partitions) else {
            return Facts::default();
        };
        match self.union.own_field_id(place, layout) {
            Some(own_id) => SummaryFacts { layout, summaries }.of_field(own_id),
            None => Facts::default(),
        }
    }
}

impl ColumnFacts for ManifestFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        match field_id {
            STATUS => self.statuses(),
            // What was added or deleted here is of the snapshot that wrote the manifest, and what
            // exists from before is of others. Version 1 lists do not say so for certain.
            SNAPSHOT_ID
                if self.file.existing_files_count == Some(0) && self.file.sequence_number > 0 =>
            {
                exactly(integer(self.file.added_snapshot_id))
            }
            CONTENT => match self.file.content {
                ManifestContentType::Data => exactly(integer(0)),
                ManifestContentType::Deletes => between(integer(1), integer(2)),
            },
            SPEC_ID => exactly(integer(self.file.partition_spec_id)),
            _ => match partition_place(field_id) {
                Some(place) => self.partition(place),
                None => Facts::default(),
            },
        }
    }
}

/// What an entry shows in the columns that filters are about.
pub(super) struct EntryFacts<'a> {
    pub(super) status: i32,
    pub(super) snapshot_id: i64,
    pub(super) content: i32,
    pub(super) file_path: &'a str,
    pub(super) spec_id: i32,
    /// The union's values.
    pub(super) partition: Vec<Option<Datum>>,
    /// What is known of the data files that a delete file is about.
    pub(super) deleted_from: Facts<'a>,
}

impl ColumnFacts for EntryFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        match field_id {
            STATUS => exactly(integer(self.status)),
            SNAPSHOT_ID => exactly(integer(self.snapshot_id)),
            CONTENT => exactly(integer(self.content)),
            FILE_PATH => exactly(Value::Text(self.file_path)),
            SPEC_ID => exactly(integer(self.spec_id)),
            DELETED_FROM => self.deleted_from,
            _ => match partition_place(field_id).and_then(|place| self.partition.get(place)) {
                Some(Some(value)) => partition_value(value),
                Some(None) => only_null(),
                None => Facts::default(),
            },
        }
    }
}

fn partition_value(value: &Datum) -> Facts<'_> {
    match Value::of_datum(value) {
        Some(Value::Float(number)) if number.is_nan() => Facts {
            nulls: Some(0),
            ..Facts::default()
        },
        Some(value) => exactly(value),
        None => Facts::default(),
    }
}

/// A filter with all that it needs to be asked of manifests and entries.
#[derive(Debug)]
pub(super) struct Pruning {
    pub(super) predicate: Predicate,
    pub(super) union: Arc<PartitionUnion>,
    /// The layouts of the table's specs.
    layouts: Vec<PartitionLayout>,
}

impl Pruning {
    pub(super) fn new(
        predicate: Predicate,
        union: Arc<PartitionUnion>,
        metadata: &TableMetadata,
    ) -> Self {
        let layouts = metadata
            .partition_specs_iter()
            .filter_map(|spec| spec_layout(metadata, spec.spec_id()))
            .collect();
        Self {
            predicate,
            union,
            layouts,
        }
    }

    /// Whether there is nothing to skip by.
    pub(super) fn is_empty(&self) -> bool {
        self.predicate == Predicate::AlwaysTrue
    }

    /// Whether a manifest may have a row that the filter keeps.
    pub(super) fn may_hold(&self, file: &ManifestFile) -> bool {
        let spec_id = file.partition_spec_id;
        let layout = self.layouts.iter().find(|layout| layout.spec_id == spec_id);
        let facts = ManifestFacts {
            file,
            union: &self.union,
            layout,
        };
        self.is_empty() || may_match(&self.predicate, &facts)
    }

    /// Whether the filter may keep an entry.
    pub(super) fn may_keep(&self, entry: &EntryFacts<'_>) -> bool {
        may_match(&self.predicate, entry)
    }
}
