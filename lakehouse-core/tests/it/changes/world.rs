//! A table of two columns, `id` and `part`, partitioned by `part`, and all that changes it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{
    DataFile, DataFileBuilder, Datum, FormatVersion, Manifest, ManifestEntryRef, ManifestFile,
    ManifestList, NestedField, PrimitiveType, Schema, Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::catalog::{Catalog, CatalogParts, OpenOptions, SqliteCatalog};
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::commit::{Change, Commits, Committed, FileChange, NewTable, SetProperties};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::provider::LakeTable;
use lakehouse_core::runtime::{Reservation, Runtime};
use lakehouse_core::scan::{
    Comparison, ManifestCache, MetadataColumn, Predicate, ScanContext, ScanFile, plan,
};
use lakehouse_core::settings::{Durability, Settings};
use lakehouse_core::storage::Storage;
use lakehouse_core::table::{Table, write_schema};
use lakehouse_core::write::{TableWriter, WriteOptions, WrittenFile};
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors};
use tempfile::TempDir;

pub(super) const ID: i32 = 1;
pub(super) const PART: i32 = 2;

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) commits: Commits,
    pub(super) ident: TableIdent,
    runtime: Runtime,
    files: AtomicU64,
}

/// `part = value`
pub(super) fn part_is(value: &str) -> Predicate {
    Predicate::Compare {
        field_id: PART,
        comparison: Comparison::Eq,
        literal: Datum::string(value),
    }
}

/// `id < value`
pub(super) fn id_below(value: i64) -> Predicate {
    Predicate::Compare {
        field_id: ID,
        comparison: Comparison::Lt,
        literal: Datum::long(value),
    }
}

/// The kind and text of what a commit was refused for.
pub(super) fn refused(result: Result<Committed>, kind: ErrorKind, text: &str) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(text), "{error}");
    error
}

impl World {
    pub(super) async fn new(version: FormatVersion) -> Self {
        let clock = Arc::new(SystemClock);
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::new(clock.as_ref(), Durability::None).unwrap();
        let runtime = Runtime::new(&Settings::default(), &storage).unwrap();
        let options = OpenOptions {
            create: true,
            ..OpenOptions::default()
        };
        let parts = CatalogParts::new(storage, Arc::clone(&clock) as _);
        let catalog = SqliteCatalog::open(None, folder.path().join("catalog.db"), options, parts)
            .await
            .unwrap();
        let world = Self {
            folder,
            catalog: Arc::new(catalog),
            commits: Commits::new(clock),
            ident: TableIdent::from_strs(["n", "t"]).unwrap(),
            runtime,
            files: AtomicU64::new(0),
        };
        world.make_table(version).await;
        world
    }

    async fn make_table(&self, version: FormatVersion) {
        let namespace = NamespaceIdent::new("n".to_owned());
        self.catalog
            .create_namespace(&namespace, [].into())
            .await
            .unwrap();
        let field =
            |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
        let schema = Schema::builder()
            .with_fields([
                field(ID, "id", PrimitiveType::Long),
                field(PART, "part", PrimitiveType::String),
            ])
            .build()
            .unwrap();
        let spec = UnboundPartitionSpec::builder()
            .add_partition_field(PART, "part", Transform::Identity)
            .unwrap()
            .build();
        let new = NewTable {
            partition_spec: Some(spec),
            format_version: version,
            ..NewTable::new(schema)
        };
        let staged = self.commits.stage(&self.catalog, &self.ident, new).await;
        let staged = staged.unwrap();
        let made = self.commits.create(&self.catalog, &staged, None).await;
        made.unwrap();
    }

    pub(super) async fn table(&self) -> Table {
        let pointer = self.catalog.load_table(&self.ident).await.unwrap();
        Table::new(pointer, self.catalog.storage().clone())
    }

    pub(super) async fn commit(&self, change: impl Into<Change>) -> Result<Committed> {
        self.commits
            .commit(&self.catalog, &self.ident, change)
            .await
    }

    pub(super) async fn set_property(&self, key: &str, value: &str) {
        let properties = HashMap::from([(key.to_owned(), value.to_owned())]);
        self.commit(SetProperties { properties }).await.unwrap();
    }

    /// Writes rows into files, one for each partition.
    pub(super) async fn write(&self, rows: &[(i64, &str)]) -> Vec<WrittenFile> {
        let table = self.table().await;
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let memory = Reservation::new(&pool, "write");
        let options = WriteOptions::new(memory, SystemClock.new_uuid());
        let mut writer = TableWriter::try_new(&table, options).unwrap();
        let schema = Arc::new(write_schema(table.schema()).unwrap());
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0)));
        let parts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1)));
        let columns = [ids, parts]
            .iter()
            .zip(schema.fields())
            .map(|(column, field)| cast(column, field.data_type()).unwrap())
            .collect();
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        writer.write(batch).await.unwrap();
        writer.close().await.unwrap()
    }

    pub(super) async fn append(&self, rows: &[(i64, &str)]) -> Committed {
        let files = self.write(rows).await;
        let table = self.table().await;
        self.commit(FileChange::append(&table, files))
            .await
            .unwrap()
    }

    /// The live data files, by the partition and the age of the file.
    pub(super) async fn files(&self, table: &Table) -> Vec<ScanFile> {
        let nothing = ManifestCache::new(0);
        let plan = plan(table, &Predicate::AlwaysTrue, &nothing).await;
        let mut files = plan.unwrap().files;
        files.sort_by_key(|file| (file.sequence_number, part_of(file)));
        files
    }

    /// The one live data file of a partition.
    pub(super) async fn file(&self, table: &Table, part: &str) -> ScanFile {
        let files = self.files(table).await.into_iter();
        let mut files: Vec<_> = files.filter(|file| part_of(file) == part).collect();
        assert_eq!(files.len(), 1);
        files.remove(0)
    }

    fn new_path(&self) -> String {
        let number = self.files.fetch_add(1, Ordering::SeqCst);
        let path = self.folder.path().join(format!("deletes-{number}"));
        path.display().to_string()
    }

    /// Deletes of rows of one file as the table's format version has them: a vector, or a file of
    /// positions.
    pub(super) fn deletes(&self, table: &Table, file: &ScanFile, rows: &[u64]) -> WrittenFile {
        let path = self.new_path();
        let mut builder: DataFileBuilder = match table.format_version() {
            FormatVersion::V3 => {
                let runs = rows.iter().map(|row| *row..row + 1).collect();
                let mut made = write_deletion_vectors(&path, &[(file.path(), runs)]).unwrap();
                made.remove(0)
            }
            _ => {
                let rows = rows.iter().map(|row| (file.path(), *row as i64));
                PositionDeletes::new(rows).write(&path).unwrap()
            }
        };
        builder.partition(file.data_file().partition().clone());
        builder.referenced_data_file(Some(file.path().to_owned()));
        WrittenFile {
            data_file: builder.build().unwrap(),
            spec_id: file.spec_id(),
        }
    }

    fn context(&self, table: &Table) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(1);
        let env = Arc::clone(self.runtime.env());
        let context = SessionContext::new_with_config_rt(config, env);
        let scans = ScanContext::new(&Settings::default());
        let provider = LakeTable::new(table.clone(), scans).unwrap();
        let provider = provider.with_metadata_columns(&MetadataColumn::ALL);
        context
            .register_table("t", Arc::new(provider.unwrap()))
            .unwrap();
        context
    }

    /// Rows by id, with the row id where there is one.
    pub(super) async fn rows_with_ids(
        &self,
        table: &Table,
    ) -> BTreeMap<i64, (String, Option<i64>)> {
        let context = self.context(table);
        let is_v3 = table.format_version() == FormatVersion::V3;
        let row_id = if is_v3 {
            "_row_id"
        } else {
            "cast(null as bigint)"
        };
        let sql = format!("SELECT id, part, {row_id} FROM t");
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        let mut rows = BTreeMap::new();
        for batch in batches {
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let parts = cast(batch.column(1), &DataType::Utf8).unwrap();
            let row_ids = batch.column(2).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let part = parts.as_string::<i32>().value(row).to_owned();
                let row_id = row_ids.iter().nth(row).unwrap();
                let twice = rows.insert(ids.value(row), (part, row_id));
                assert!(twice.is_none(), "row {} is there twice", ids.value(row));
            }
        }
        rows
    }

    /// The live rows of a file: position and id.
    pub(super) async fn positions(&self, table: &Table, file: &ScanFile) -> Vec<(u64, i64)> {
        let context = self.context(table);
        let path = file.path();
        let sql = format!("SELECT _pos, id FROM t WHERE _file = '{path}' ORDER BY _pos");
        let batches = context.sql(&sql).await.unwrap().collect().await.unwrap();
        let mut rows = Vec::new();
        for batch in batches {
            let positions = batch.column(0).as_primitive::<Int64Type>();
            let ids = batch.column(1).as_primitive::<Int64Type>();
            let both = positions.values().iter().zip(ids.values());
            rows.extend(both.map(|(position, id)| (*position as u64, *id)));
        }
        rows
    }

    /// The ids of the rows of the table as it is now.
    pub(super) async fn ids(&self) -> Vec<i64> {
        let table = self.table().await;
        self.check_totals(&table).await;
        self.rows_with_ids(&table).await.into_keys().collect()
    }

    pub(super) async fn manifests(&self, table: &Table) -> Vec<ManifestFile> {
        let Some(snapshot) = table.snapshot() else {
            return Vec::new();
        };
        let bytes = table
            .storage()
            .read(snapshot.manifest_list())
            .await
            .unwrap();
        let list = ManifestList::parse_with_version(&bytes, table.format_version()).unwrap();
        list.consume_entries().into_iter().collect()
    }

    pub(super) async fn entries(&self, manifest: &ManifestFile) -> Vec<ManifestEntryRef> {
        let storage = self.catalog.storage();
        let bytes = storage.read(&manifest.manifest_path).await.unwrap();
        Manifest::parse_avro(&bytes).unwrap().into_parts().0
    }

    /// The live files that manifests of a snapshot list, data and deletes.
    pub(super) async fn live(&self, table: &Table) -> Vec<DataFile> {
        let mut live = Vec::new();
        for manifest in self.manifests(table).await {
            let entries = self.entries(&manifest).await;
            let alive = entries.iter().filter(|entry| entry.is_alive());
            live.extend(alive.map(|entry| entry.data_file().clone()));
        }
        live
    }

    /// The summary's totals are what the manifests list, and every delete is for a live file.
    pub(super) async fn check_totals(&self, table: &Table) {
        use iceberg::spec::{DataContentType, DataFileFormat};
        let Some(snapshot) = table.snapshot() else {
            return;
        };
        let live = self.live(table).await;
        let sum = |of: &dyn Fn(&DataFile) -> u64| live.iter().map(of).sum::<u64>();
        let when = |yes: bool, count: u64| if yes { count } else { 0 };
        let is = |file: &DataFile, content| file.content_type() == content;
        let size = |file: &DataFile| match file.file_format() {
            DataFileFormat::Puffin => file.content_size_in_bytes().unwrap() as u64,
            _ => file.file_size_in_bytes(),
        };
        let data = DataContentType::Data;
        let positions = DataContentType::PositionDeletes;
        let equality = DataContentType::EqualityDeletes;
        for (key, count) in [
            ("total-data-files", sum(&|f| when(is(f, data), 1))),
            (
                "total-records",
                sum(&|f| when(is(f, data), f.record_count())),
            ),
            ("total-delete-files", sum(&|f| when(!is(f, data), 1))),
            (
                "total-position-deletes",
                sum(&|f| when(is(f, positions), f.record_count())),
            ),
            (
                "total-equality-deletes",
                sum(&|f| when(is(f, equality), f.record_count())),
            ),
            ("total-files-size", sum(&size)),
        ] {
            let summary = &snapshot.summary().additional_properties;
            assert_eq!(summary.get(key), Some(&count.to_string()), "{key}");
        }
    }

    /// The value of a key of the current snapshot's summary.
    pub(super) async fn summary(&self, key: &str) -> Option<String> {
        let table = self.table().await;
        let summary = table.snapshot().unwrap().summary();
        summary.additional_properties.get(key).cloned()
    }
}

/// The partition of a file.
pub(super) fn part_of(file: &ScanFile) -> String {
    let (_, value) = file.partition().next().unwrap();
    let literal = value.unwrap().as_primitive_literal().unwrap();
    match literal {
        iceberg::spec::PrimitiveLiteral::String(text) => text,
        other => panic!("{other:?}"),
    }
}
