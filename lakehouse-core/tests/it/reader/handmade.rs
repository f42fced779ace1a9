//! Tables put together by hand: any Parquet file under any schema, with the metrics a test wants.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type, Schema as ArrowSchema};
use datafusion::physical_plan::collect;
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, FormatVersion, ManifestList,
    Schema, SortOrder, StatisticsFile, Struct, TableMetadata, TableMetadataBuilder,
    UnboundPartitionSpec,
};
use lakehouse_core::catalog::TablePointer;
use lakehouse_core::clock::SystemClock;
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::provider::LakeTable;
use lakehouse_core::runtime::Runtime;
use lakehouse_core::scan::{MetadataColumn, ScanContext};
use lakehouse_core::settings::{Durability, Settings};
use lakehouse_core::storage::Storage;
use lakehouse_core::table::{Table, Version, write_schema};
use lakehouse_testkit::RowDelta;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// A table below a temporary folder.
pub(super) struct HandMade {
    folder: TempDir,
    storage: Storage,
    metadata: TableMetadata,
    files: u32,
    key_bytes_max: Option<u64>,
    /// Kept for their spill folders.
    runtimes: Mutex<Vec<Runtime>>,
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
            storage: Storage::new(&SystemClock, Durability::None).unwrap(),
            metadata,
            files: 0,
            key_bytes_max: None,
            runtimes: Mutex::default(),
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

    /// Adds a statistics file, of which only the metadata's account exists.
    pub(super) fn set_statistics(&mut self, statistics: StatisticsFile) {
        self.edit(|builder| Ok(builder.set_statistics(statistics)));
    }

    /// Makes `schema` the current one.
    pub(super) fn evolve(&mut self, schema: Schema) {
        self.edit(|builder| builder.add_current_schema(schema));
    }

    /// Makes `spec` the one of new files, and says its id.
    pub(super) fn repartition(&mut self, spec: UnboundPartitionSpec) -> i32 {
        self.edit(|builder| builder.add_default_partition_spec(spec));
        self.metadata.default_partition_spec_id()
    }

    /// Holds at most so many bytes of deleted keys in memory.
    pub(super) fn set_key_bytes_max(&mut self, bytes: Option<u64>) {
        self.key_bytes_max = bytes;
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
            spec_id: self.metadata.default_partition_spec_id(),
            equality_ids: None,
            size_bytes: None,
            column_sizes: HashMap::new(),
        }
    }

    /// Writes a file of equality deletes: one column, of whatever type, for each of the ids.
    pub(super) fn write_deletes(&mut self, ids: &[i32], columns: Vec<ArrayRef>) -> FileSpec {
        let fields = ids.iter().zip(&columns).map(|(id, column)| {
            Field::new(format!("key_{id}"), column.data_type().clone(), true).with_metadata(
                HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]),
            )
        });
        let schema = ArrowSchema::new(fields.collect::<Vec<_>>());
        let batch = RecordBatch::try_new(Arc::new(schema), columns).unwrap();
        let file = self.write_as_it_is(&batch, WriterProperties::default());
        FileSpec {
            ids: ids.to_vec(),
            equality_ids: Some(ids.to_vec()),
            ..file
        }
    }

    /// The same file with other bounds.
    pub(super) fn rebounded(
        &self,
        file: &DataFile,
        lower: HashMap<i32, Datum>,
        upper: HashMap<i32, Datum>,
    ) -> DataFile {
        DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(file.file_path().to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(file.partition().clone())
            .record_count(file.record_count())
            .file_size_in_bytes(file.file_size_in_bytes())
            .null_value_counts(file.null_value_counts().clone())
            .value_counts(file.value_counts().clone())
            .nan_value_counts(file.nan_value_counts().clone())
            .lower_bounds(lower)
            .upper_bounds(upper)
            .build()
            .unwrap()
    }

    /// Adds files in a new snapshot.
    pub(super) async fn commit(&mut self, files: Vec<FileSpec>) {
        let delta = files.iter().fold(self.delta(), |delta, file| {
            delta.in_spec(file.spec_id).add(file.data_file())
        });
        self.commit_delta(delta).await;
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

    /// Requests to the store since the table was made.
    pub(super) fn requests(&self) -> u64 {
        self.storage.counts().requests
    }

    /// The manifests of the current snapshot, in the order of its list.
    pub(super) fn manifests(&self) -> Vec<String> {
        let list = self.metadata.current_snapshot().unwrap().manifest_list();
        let bytes = std::fs::read(list).unwrap();
        let version = self.metadata.format_version();
        let list = ManifestList::parse_with_version(&bytes, version).unwrap();
        let entries = list.consume_entries().into_iter();
        entries.map(|file| file.manifest_path).collect()
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
        let scans = ScanContext::new(&Settings::default());
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
        self.context_sharing(&Self::scans(), config, settings)
    }

    /// Empty caches.
    pub(super) fn scans() -> ScanContext {
        ScanContext::new(&Settings::default())
    }

    /// As [`Self::context_with`], with caches that others may share.
    pub(super) fn context_sharing(
        &self,
        scans: &ScanContext,
        config: SessionConfig,
        settings: &Settings,
    ) -> SessionContext {
        let runtime = Runtime::new(settings, &self.storage).unwrap();
        let context = SessionContext::new_with_config_rt(config, Arc::clone(runtime.env()));
        self.runtimes.lock().unwrap().push(runtime);
        let mut table = LakeTable::new(self.table(), scans.clone()).unwrap();
        if let Some(bytes) = self.key_bytes_max {
            table = table.with_deleted_key_bytes_max(bytes);
        }
        context.register_table("t", Arc::new(table)).unwrap();
        context
    }

    /// A context in which the table is `t`, with its metadata columns.
    pub(super) fn context_with_metadata(&self, config: SessionConfig) -> SessionContext {
        let context = self.context(config);
        let scans = ScanContext::new(&Settings::default());
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

/// How many containers a query's scans skipped, by the name of a pruning metric.
pub(super) async fn pruned(context: &SessionContext, sql: &str, metric: &str) -> usize {
    let plan = context.sql(sql).await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    collect(Arc::clone(&plan), context.task_ctx())
        .await
        .unwrap();
    let mut plans = vec![plan];
    let mut pruned = 0;
    while let Some(plan) = plans.pop() {
        plans.extend(plan.children().into_iter().map(Arc::clone));
        for found in plan.metrics().unwrap_or_default().iter() {
            if let MetricValue::PruningMetrics {
                name,
                pruning_metrics,
            } = found.value()
                && name == metric
            {
                pruned += pruning_metrics.pruned();
            }
        }
    }
    pruned
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
    pub(super) spec_id: i32,
    /// The columns that a file of equality deletes compares.
    pub(super) equality_ids: Option<Vec<i32>>,
    /// What the manifest says instead of the file's real size.
    pub(super) size_bytes: Option<u64>,
    pub(super) column_sizes: HashMap<i32, u64>,
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
        let size = || std::fs::metadata(&self.path).unwrap().len();
        DataFileBuilder::default()
            .content(match self.equality_ids {
                Some(_) => DataContentType::EqualityDeletes,
                None => DataContentType::Data,
            })
            .equality_ids(self.equality_ids.clone())
            .file_path(self.path.clone())
            .file_format(DataFileFormat::Parquet)
            .partition(self.partition.clone())
            .record_count(rows)
            .file_size_in_bytes(self.size_bytes.unwrap_or_else(size))
            .column_sizes(self.column_sizes.clone())
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
fn bounds(column: &ArrayRef) -> Option<(Datum, Datum)> {
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
