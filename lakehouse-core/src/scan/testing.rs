//! What tests of the scan share: tables on disk, and a brute-force judge of predicates.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, Literal,
    ManifestFile, ManifestListWriter, ManifestWriterBuilder, NestedField, Operation, PartitionSpec,
    PrimitiveLiteral, PrimitiveType, Schema, Snapshot, SortOrder, Struct, Summary,
    TableMetadataBuilder, Transform, Type, UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, TableIdent};

use super::predicate::{Comparison, Predicate};
use super::value::Value;
use crate::catalog::TablePointer;
use crate::clock::SystemClock;
use crate::settings::Durability;
use crate::storage::Storage;
use crate::table::Table;
use crate::table::transform::apply;

pub(super) const SNAPSHOT: i64 = 77;
pub(super) const SEQUENCE: i64 = 5;

/// Columns of the test table: 1 id, 2 ts, 3 name, 4 price.
pub(super) fn schema() -> Schema {
    let column =
        |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    Schema::builder()
        .with_fields([
            column(1, "id", PrimitiveType::Long),
            column(2, "ts", PrimitiveType::Timestamp),
            column(3, "name", PrimitiveType::String),
            column(4, "price", PrimitiveType::Double),
        ])
        .build()
        .unwrap()
}

pub(super) fn data_file(path: &str, tuple: Vec<Option<Literal>>) -> DataFileBuilder {
    let mut builder = DataFileBuilder::default();
    builder
        .content(DataContentType::Data)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::from_iter(tuple))
        .record_count(10)
        .file_size_in_bytes(1000);
    builder
}

/// A data file with values of `id` in a range, and none of them NULL.
pub(super) fn id_file(path: &str, ids: (i64, i64), tuple: Vec<Option<Literal>>) -> DataFile {
    data_file(path, tuple)
        .value_counts(HashMap::from([(1, 10)]))
        .null_value_counts(HashMap::from([(1, 0)]))
        .lower_bounds(HashMap::from([(1, Datum::long(ids.0))]))
        .upper_bounds(HashMap::from([(1, Datum::long(ids.1))]))
        .build()
        .unwrap()
}

/// A table in a folder of its own, whose manifests are written as a test likes.
pub(super) struct Lake {
    folder: tempfile::TempDir,
    files: FileIO,
    format: FormatVersion,
    spec: UnboundPartitionSpec,
    manifests: Vec<ManifestFile>,
}

impl Lake {
    pub(super) fn new(format: FormatVersion, fields: &[(i32, &str, Transform)]) -> Self {
        let mut spec = UnboundPartitionSpec::builder();
        for (source, name, transform) in fields {
            spec = spec
                .add_partition_field(*source, *name, *transform)
                .unwrap();
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            files: FileIO::new_with_fs(),
            format,
            spec: spec.build(),
            manifests: Vec::new(),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn bound_spec(&self) -> PartitionSpec {
        self.spec.clone().with_spec_id(0).bind(schema()).unwrap()
    }

    /// A manifest of added files, and the path it was written to.
    pub(super) async fn manifest(&mut self, files: Vec<DataFile>) -> String {
        self.manifest_of(files, Vec::new()).await
    }

    /// A manifest of added and existing files.
    pub(super) async fn manifest_of(
        &mut self,
        added: Vec<DataFile>,
        existing: Vec<DataFile>,
    ) -> String {
        self.manifest_with(added, existing, Vec::new()).await
    }

    /// A manifest of added, existing and deleted files.
    pub(super) async fn manifest_with(
        &mut self,
        added: Vec<DataFile>,
        existing: Vec<DataFile>,
        deleted: Vec<DataFile>,
    ) -> String {
        let path = self.path(&format!("m{}.avro", self.manifests.len()));
        let output = self.files.new_output(&path).unwrap();
        let spec = self.bound_spec();
        let builder = ManifestWriterBuilder::new(output, Some(SNAPSHOT), Arc::new(schema()), spec);
        let mut files = added.iter().chain(&existing).chain(&deleted);
        let deletes = files.any(|file| file.content_type() != DataContentType::Data);
        let mut writer = match (self.format, deletes) {
            (FormatVersion::V1, _) => builder.build_v1(),
            (FormatVersion::V2, false) => builder.build_v2_data(),
            (FormatVersion::V2, true) => builder.build_v2_deletes(),
            (FormatVersion::V3, false) => builder.build_v3_data(),
            (FormatVersion::V3, true) => builder.build_v3_deletes(),
        };
        for file in added {
            writer.add_file(file, -1).unwrap();
        }
        for file in existing {
            writer.add_existing_file(file, 11, 3, Some(3)).unwrap();
        }
        for file in deleted {
            writer.add_delete_file(file, 2, Some(2)).unwrap();
        }
        let manifest = writer.write_manifest_file().await.unwrap();
        self.manifests.push(manifest);
        path
    }

    /// Changes what the manifest list will say of the last manifest.
    pub(super) fn last(&mut self) -> &mut ManifestFile {
        self.manifests.last_mut().unwrap()
    }

    /// The table before its first snapshot.
    pub(super) fn empty_table(&self) -> Table {
        self.table_of(self.metadata())
    }

    fn table_of(&self, metadata: TableMetadataBuilder) -> Table {
        let pointer = TablePointer {
            ident: TableIdent::new(NamespaceIdent::new("db".into()), "t".into()),
            metadata_location: self.path("v1.metadata.json"),
            metadata: Arc::new(metadata.build().unwrap().metadata),
        };
        Table::new(pointer, storage())
    }

    fn metadata(&self) -> TableMetadataBuilder {
        TableMetadataBuilder::new(
            schema(),
            self.spec.clone(),
            SortOrder::unsorted_order(),
            self.folder.path().to_str().unwrap().to_owned(),
            self.format,
            HashMap::new(),
        )
        .unwrap()
    }

    /// The table with one snapshot that has the manifests.
    pub(super) async fn table(&self) -> Table {
        let list = self.path("list.avro");
        let output = self
            .files
            .new_output(&list)
            .unwrap()
            .writer()
            .await
            .unwrap();
        let mut writer = match self.format {
            FormatVersion::V1 => ManifestListWriter::v1(output, SNAPSHOT, None),
            FormatVersion::V2 => ManifestListWriter::v2(output, SNAPSHOT, None, SEQUENCE),
            FormatVersion::V3 => {
                ManifestListWriter::v3(output, SNAPSHOT, None, SEQUENCE, Some(100))
            }
        };
        writer
            .add_manifests(self.manifests.iter().cloned())
            .unwrap();
        writer.close().await.unwrap();
        let sequence = if self.format == FormatVersion::V1 {
            0
        } else {
            SEQUENCE
        };
        let summary = Summary {
            operation: Operation::Append,
            additional_properties: HashMap::from([
                ("b".into(), "2".into()),
                ("a".into(), "1".into()),
            ]),
        };
        let snapshot = Snapshot::builder()
            .with_snapshot_id(SNAPSHOT)
            .with_sequence_number(sequence)
            .with_timestamp_ms(1_900_000_000_000)
            .with_manifest_list(list)
            .with_summary(summary)
            .with_schema_id(0);
        let snapshot = if self.format == FormatVersion::V3 {
            snapshot.with_row_range(0, 1000).build()
        } else {
            snapshot.build()
        };
        let metadata = self.metadata();
        self.table_of(metadata.set_branch_snapshot(snapshot, "main").unwrap())
    }
}

pub(super) fn storage() -> Storage {
    Storage::new(&SystemClock, Durability::None).unwrap()
}

pub(super) fn compare(field_id: i32, comparison: Comparison, literal: Datum) -> Predicate {
    Predicate::Compare {
        field_id,
        comparison,
        literal,
    }
}

/// How engines order floats: by total order, or with zeros equal and NaN largest.
#[derive(Debug, Clone, Copy)]
pub(super) enum FloatOrder {
    Total,
    Numeric,
}

/// Values of one row by column; `None` is NULL.
pub(super) type Row = HashMap<i32, Option<Datum>>;

/// Whether the predicate is true for the row.
pub(super) fn matches(predicate: &Predicate, row: &Row, floats: FloatOrder) -> bool {
    let cell = |field_id: &i32| row.get(field_id).and_then(Option::as_ref);
    match predicate {
        Predicate::AlwaysTrue => true,
        Predicate::AlwaysFalse => false,
        Predicate::And(parts) => parts.iter().all(|part| matches(part, row, floats)),
        Predicate::Or(parts) => parts.iter().any(|part| matches(part, row, floats)),
        Predicate::Compare {
            field_id,
            comparison,
            literal,
        } => {
            cell(field_id).is_some_and(|value| compares(*comparison, order(value, literal, floats)))
        }
        Predicate::In { field_id, literals } => cell(field_id)
            .is_some_and(|value| literals.iter().any(|v| order(value, v, floats).is_eq())),
        Predicate::NotIn { field_id, literals } => cell(field_id)
            .is_some_and(|value| literals.iter().all(|v| order(value, v, floats).is_ne())),
        Predicate::IsNull { field_id } => cell(field_id).is_none(),
        Predicate::IsNotNull { field_id } => cell(field_id).is_some(),
        Predicate::StartsWith { field_id, prefix } => {
            cell(field_id).is_some_and(|value| match value.literal() {
                PrimitiveLiteral::String(text) => text.starts_with(prefix),
                _ => false,
            })
        }
        Predicate::Bucket {
            field_id,
            buckets,
            comparison,
            number,
        } => cell(field_id).is_some_and(|value| {
            let bucket = apply(Transform::Bucket(*buckets), value).unwrap();
            let order = order(&bucket, &Datum::int(*number), floats);
            compares(*comparison, order)
        }),
    }
}

fn compares(comparison: Comparison, order: Ordering) -> bool {
    match comparison {
        Comparison::Eq => order.is_eq(),
        Comparison::NotEq => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::LtEq => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::GtEq => order.is_ge(),
    }
}

fn order(a: &Datum, b: &Datum, floats: FloatOrder) -> Ordering {
    let (a, b) = (Value::of_datum(a).unwrap(), Value::of_datum(b).unwrap());
    match (a, b, floats) {
        (Value::Float(a), Value::Float(b), FloatOrder::Total) => a.total_cmp(&b),
        (Value::Float(a), Value::Float(b), FloatOrder::Numeric) => a
            .partial_cmp(&b)
            .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        _ => a.compare(b).unwrap(),
    }
}
