//! Tables put together by hand: any Parquet file under any schema, with the metrics a test wants.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::io::FileIO;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion,
    ManifestListWriter, ManifestWriterBuilder, Operation, Schema, Snapshot, SortOrder, Struct,
    Summary, TableMetadata, TableMetadataBuilder, UnboundPartitionSpec,
};
use lakehouse_core::catalog::TablePointer;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::provider::LakeTable;
use lakehouse_core::runtime::Runtime;
use lakehouse_core::scan::{MetadataColumn, ScanContext};
use lakehouse_core::settings::{CacheSettings, Durability, Settings};
use lakehouse_core::storage::Storage;
use lakehouse_core::table::{Table, Version, write_schema};
use lakehouse_testkit::RowDelta;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// A table below a temporary folder.
pub(super) struct HandMade {
    folder: TempDir,
    io: FileIO,
    storage: Storage,
    metadata: TableMetadata,
    files: u32,
}

impl HandMade {
    pub(super) fn new(schema: Schema) -> Self {
        Self::partitioned(schema, UnboundPartitionSpec::builder().build())
    }

    pub(super) fn partitioned(schema: Schema, spec: UnboundPartitionSpec) -> Self {
        Self::of_version(schema, spec, FormatVersion::V2)
    }

    pub(super) fn of_version(
        schema: Schema,
        spec: UnboundPartitionSpec,
        version: FormatVersion,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = folder.path().display().to_string();
        let metadata = TableMetadataBuilder::new(
            schema,
            spec,
            SortOrder::unsorted_order(),
            location,
            version,
            HashMap::new(),
        )
        .unwrap()
        .build()
        .unwrap()
        .metadata;
        Self {
            folder,
            io: FileIO::new_with_fs(),
            storage: Storage::new(&SystemClock, Durability::None).unwrap(),
            metadata,
            files: 0,
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn edit(
        &mut self,
        edit: impl FnOnce(TableMetadataBuilder) -> iceberg::Result<TableMetadataBuilder>,
    ) {
        let builder = self.metadata.clone().into_builder(None);
        self.metadata = edit(builder).unwrap().build().unwrap().metadata;
    }

    /// Makes `schema` the current one.
    pub(super) fn evolve(&mut self, schema: Schema) {
        self.edit(|builder| builder.add_current_schema(schema));
    }

    pub(super) fn set_property(&mut self, key: &str, value: &str) {
        let properties = HashMap::from([(key.to_owned(), value.to_owned())]);
        self.edit(|builder| builder.set_properties(properties));
    }

    /// Writes a file with the field ids of the current schema, columns matched by position.
    pub(super) fn write(&mut self, batch: &RecordBatch, properties: WriterProperties) -> FileSpec {
        let schema = Arc::new(write_schema(self.metadata.current_schema()).unwrap());
        let columns = batch
            .columns()
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| arrow::compute::cast(column, field.data_type()).unwrap())
            .collect();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let file = self.write_as_it_is(&batch, properties);
        let ids = self.metadata.current_schema().as_struct().fields().to_vec();
        FileSpec {
            ids: ids.iter().map(|field| field.id).collect(),
            ..file
        }
    }

    /// Writes a file with the Arrow schema of `batch`, without any metrics but row counts.
    pub(super) fn write_as_it_is(
        &mut self,
        batch: &RecordBatch,
        properties: WriterProperties,
    ) -> FileSpec {
        self.write_by(batch, |file| {
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
        })
    }

    /// Takes a file that `write` makes for one of `batch`, without any metrics but row counts.
    pub(super) fn write_by(&mut self, batch: &RecordBatch, write: impl FnOnce(File)) -> FileSpec {
        self.files += 1;
        let path = self.path(&format!("data-{}.parquet", self.files));
        write(File::create(&path).unwrap());
        FileSpec {
            path,
            batch: batch.clone(),
            ids: Vec::new(),
            partition: Struct::empty(),
            nan_counts: false,
        }
    }

    /// Adds files in a new snapshot.
    pub(super) async fn commit(&mut self, files: Vec<FileSpec>) {
        let snapshot_id = 1_000 + i64::from(self.files);
        let sequence_number = self.metadata.last_sequence_number() + 1;
        let manifest = self.path(&format!("manifest-{snapshot_id}.avro"));
        let mut writer = ManifestWriterBuilder::new(
            self.io.new_output(&manifest).unwrap(),
            Some(snapshot_id),
            Arc::clone(self.metadata.current_schema()),
            self.metadata.default_partition_spec().as_ref().clone(),
        )
        .build_v2_data();
        let mut manifests = Vec::new();
        if let Some(current) = self.metadata.current_snapshot() {
            let bytes = std::fs::read(current.manifest_list()).unwrap();
            let list =
                iceberg::spec::ManifestList::parse_with_version(&bytes, FormatVersion::V2).unwrap();
            manifests.extend(list.entries().iter().cloned());
        }
        for file in files {
            writer.add_file(file.data_file(), -1).unwrap();
        }
        manifests.push(writer.write_manifest_file().await.unwrap());
        let list = self.path(&format!("list-{snapshot_id}.avro"));
        let output = self.io.new_output(&list).unwrap();
        let parent = self.metadata.current_snapshot_id();
        let mut writer = ManifestListWriter::v2(
            output.writer().await.unwrap(),
            snapshot_id,
            parent,
            sequence_number,
        );
        writer.add_manifests(manifests.into_iter()).unwrap();
        writer.close().await.unwrap();
        let snapshot = Snapshot::builder()
            .with_snapshot_id(snapshot_id)
            .with_parent_snapshot_id(parent)
            .with_sequence_number(sequence_number)
            .with_timestamp_ms(SystemClock.now_ms())
            .with_manifest_list(list)
            .with_summary(Summary {
                operation: Operation::Append,
                additional_properties: HashMap::new(),
            })
            .with_schema_id(self.metadata.current_schema_id())
            .build();
        self.edit(|builder| builder.set_branch_snapshot(snapshot, "main"));
    }

    /// The folder that manifests are written to.
    pub(super) fn delta(&self) -> RowDelta {
        RowDelta::new(self.folder.path().display().to_string())
    }

    /// Adds the snapshot of a change made by hand; its id.
    pub(super) async fn commit_delta(&mut self, delta: RowDelta) -> i64 {
        let snapshot = delta.snapshot(&self.metadata).await.unwrap();
        let id = snapshot.snapshot_id();
        self.edit(|builder| builder.set_branch_snapshot(snapshot, "main"));
        id
    }

    pub(super) fn table(&self) -> Table {
        let ident = TableIdent::new(NamespaceIdent::new("s".to_owned()), "t".to_owned());
        let pointer = TablePointer {
            ident,
            metadata_location: self.path("v1.metadata.json"),
            metadata: Arc::new(self.metadata.clone()),
        };
        Table::new(pointer, self.storage.clone())
    }

    /// A context in which the table is `t`.
    pub(super) fn context(&self, config: SessionConfig) -> SessionContext {
        self.context_with(config, &Settings::default())
    }

    /// A context in which `t` is the table at a version.
    pub(super) fn context_at(&self, version: Version) -> SessionContext {
        let context = self.context(SessionConfig::new());
        let scans = ScanContext::new(&CacheSettings::default());
        let table = LakeTable::new(self.table(), scans).unwrap();
        context.deregister_table("t").unwrap();
        let table = Arc::new(table.at(version).unwrap());
        context.register_table("t", table).unwrap();
        context
    }

    /// As [`Self::context`], with other budgets.
    pub(super) fn context_with(
        &self,
        config: SessionConfig,
        settings: &Settings,
    ) -> SessionContext {
        let runtime = Runtime::new(settings, &self.storage, &SystemClock).unwrap();
        let context = SessionContext::new_with_config_rt(config, Arc::clone(runtime.env()));
        let scans = ScanContext::new(&CacheSettings::default());
        let table = LakeTable::new(self.table(), scans).unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        context
    }

    /// A context in which the table is `t`, with its metadata columns.
    pub(super) fn context_with_metadata(&self, config: SessionConfig) -> SessionContext {
        let context = self.context(config);
        let scans = ScanContext::new(&CacheSettings::default());
        let table = LakeTable::new(self.table(), scans).unwrap();
        let table = table.with_metadata_columns(&MetadataColumn::ALL).unwrap();
        context.deregister_table("t").unwrap();
        context.register_table("t", Arc::new(table)).unwrap();
        context
    }

    /// The rows of a query as text, sorted, one line a row.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let config = SessionConfig::new().with_target_partitions(3);
        rows(&self.context(config), sql).await
    }

    /// The error of a query.
    pub(super) async fn error(&self, sql: &str) -> lakehouse_core::error::Error {
        let context = self.context(SessionConfig::new());
        let result = match context.sql(sql).await {
            Ok(frame) => frame.collect().await,
            Err(error) => Err(error),
        };
        lakehouse_core::error::Error::from(result.unwrap_err())
    }
}

/// The rows of a query as text, sorted, one line a row; columns with `|` between, NULL as `-`.
pub(super) async fn rows(context: &SessionContext, sql: &str) -> Vec<String> {
    let batches = context.sql(sql).await.unwrap().collect().await.unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        let options = arrow::util::display::FormatOptions::default().with_null("-");
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| arrow::util::display::ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            rows.push(values.join("|"));
        }
    }
    rows.sort();
    rows
}

/// A file that was written, before a manifest names it.
#[derive(Clone)]
pub(super) struct FileSpec {
    pub(super) path: String,
    batch: RecordBatch,
    ids: Vec<i32>,
    pub(super) partition: Struct,
    /// Whether the manifest tells how many values are NaN.
    pub(super) nan_counts: bool,
}

impl FileSpec {
    pub(super) fn data_file(&self) -> DataFile {
        let rows = self.batch.num_rows() as u64;
        let mut nulls = HashMap::new();
        let mut values = HashMap::new();
        let mut nans = HashMap::new();
        let mut lower = HashMap::new();
        let mut upper = HashMap::new();
        for (id, column) in self.ids.iter().zip(self.batch.columns()) {
            if column.data_type().is_nested() {
                continue;
            }
            nulls.insert(*id, column.null_count() as u64);
            values.insert(*id, rows);
            let bounds = bounds(column);
            if let Some((least, most)) = bounds {
                lower.insert(*id, least);
                upper.insert(*id, most);
            }
            if self.nan_counts && *column.data_type() == DataType::Float64 {
                let floats = column.as_primitive::<Float64Type>();
                let count = floats.iter().flatten().filter(|v| v.is_nan()).count();
                nans.insert(*id, count as u64);
            }
        }
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(self.path.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(self.partition.clone())
            .record_count(rows)
            .file_size_in_bytes(std::fs::metadata(&self.path).unwrap().len())
            .null_value_counts(nulls)
            .value_counts(values)
            .nan_value_counts(nans)
            .lower_bounds(lower)
            .upper_bounds(upper)
            .build()
            .unwrap()
    }
}

/// Bounds of the types that tests prune by; without NaN, as the format says.
fn bounds(column: &arrow::array::ArrayRef) -> Option<(Datum, Datum)> {
    match column.data_type() {
        DataType::Int32 => {
            let column = column.as_primitive::<Int32Type>();
            let (least, most) = (
                column.iter().flatten().min()?,
                column.iter().flatten().max()?,
            );
            Some((Datum::int(least), Datum::int(most)))
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            let (least, most) = (
                column.iter().flatten().min()?,
                column.iter().flatten().max()?,
            );
            Some((Datum::long(least), Datum::long(most)))
        }
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>();
            let numbers = || floats.iter().flatten().filter(|value| !value.is_nan());
            let least = numbers().reduce(f64::min)?;
            let most = numbers().reduce(f64::max)?;
            Some((Datum::double(least), Datum::double(most)))
        }
        DataType::Utf8 => {
            let column = column.as_string::<i32>();
            let (least, most) = (
                column.iter().flatten().min()?,
                column.iter().flatten().max()?,
            );
            Some((Datum::string(least), Datum::string(most)))
        }
        _ => None,
    }
}
