//! A lake in memory with one table, and files that are only named.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

use futures::TryStreamExt;
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, FormatVersion, Literal, Manifest,
    ManifestEntryRef, ManifestFile, ManifestList, NestedField, PrimitiveType, Schema, Struct,
    Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::catalog::Catalog;
use lakehouse_core::clock::{Clock, SystemClock};
use lakehouse_core::commit::{Change, Commits, Committed, FileChange, NewTable};
use lakehouse_core::error::Result;
use lakehouse_core::name::TableIdent;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_core::table::Table;
use lakehouse_core::write::WrittenFile;
use uuid::Uuid;

use super::catalog::FaultyCatalog;

/// Some time in 2024.
pub(super) const NOW_MS: i64 = 1_700_000_000_000;

/// A clock that stands still and identifiers from a counter.
#[derive(Debug)]
pub(super) struct FrozenClock {
    pub(super) now_ms: AtomicI64,
    ids: AtomicU64,
    /// Whether the next question for the time panics.
    pub(super) panics: AtomicBool,
}

impl Clock for FrozenClock {
    fn now_ms(&self) -> i64 {
        let panics = self.panics.swap(false, Ordering::SeqCst);
        assert!(!panics, "the clock is broken");
        self.now_ms.load(Ordering::SeqCst)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }

    fn new_uuid(&self) -> Uuid {
        let next = self.ids.fetch_add(1, Ordering::SeqCst) + 1;
        // Spread over all bits, as random identifiers are.
        let high = next.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let low = next.wrapping_mul(0xD1B5_4A32_D192_ED03);
        Uuid::from_u64_pair(high, low)
    }
}

pub(super) struct Lake {
    pub(super) clock: Arc<FrozenClock>,
    pub(super) faulty: Arc<FaultyCatalog>,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) commits: Commits,
    pub(super) ident: TableIdent,
}

pub(super) fn new_table(version: FormatVersion) -> NewTable {
    let field =
        |id, name: &str, kind| Arc::new(NestedField::optional(id, name, Type::Primitive(kind)));
    let schema = Schema::builder()
        .with_fields(vec![
            field(1, "id", PrimitiveType::Long),
            field(2, "part", PrimitiveType::String),
        ])
        .build()
        .unwrap();
    let spec = UnboundPartitionSpec::builder()
        .add_partition_field(2, "part", Transform::Identity)
        .unwrap()
        .add_partition_field(1, "bucket", Transform::Bucket(4))
        .unwrap()
        .build();
    let properties = [
        ("commit.retry.min-wait-ms", "1"),
        ("commit.retry.max-wait-ms", "4"),
        ("commit.status-check.min-wait-ms", "1"),
        ("commit.status-check.max-wait-ms", "2"),
    ];
    NewTable {
        partition_spec: Some(spec),
        properties: properties
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        format_version: version,
        ..NewTable::new(schema)
    }
}

impl Lake {
    /// Without tables.
    pub(super) fn empty() -> Self {
        let clock = Arc::new(FrozenClock {
            now_ms: AtomicI64::new(NOW_MS),
            ids: AtomicU64::new(0),
            panics: AtomicBool::new(false),
        });
        let storage = Storage::new(clock.as_ref(), Durability::Full).unwrap();
        let faulty = Arc::new(FaultyCatalog::new(storage));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        Self {
            clock,
            catalog: Arc::clone(&faulty) as _,
            faulty,
            commits: Commits::new(shared),
            ident: TableIdent::from_strs(["sales", "orders"]).unwrap(),
        }
    }

    /// With an empty table of format version 2.
    pub(super) async fn new() -> Self {
        Self::with(new_table(FormatVersion::V2)).await
    }

    pub(super) async fn with(new: NewTable) -> Self {
        let lake = Self::empty();
        let staged = lake.commits.stage(&lake.catalog, &lake.ident, new).await;
        lake.commits
            .create(&lake.catalog, &staged.unwrap(), None)
            .await
            .unwrap();
        lake
    }

    pub(super) async fn table(&self) -> Table {
        let pointer = self.catalog.load_table(&self.ident).await.unwrap();
        Table::new(pointer, self.storage().clone())
    }

    pub(super) fn storage(&self) -> &Storage {
        self.catalog.storage()
    }

    pub(super) async fn commit(&self, change: impl Into<Change>) -> Result<Committed> {
        self.commits
            .commit(&self.catalog, &self.ident, change)
            .await
    }

    pub(super) async fn append(&self, names: &[&str]) -> Result<Committed> {
        let table = self.table().await;
        self.commit(FileChange::append(&table, files(names))).await
    }

    pub(super) async fn set_property(&self, key: &str, value: &str) {
        let change = lakehouse_core::commit::SetProperties {
            properties: HashMap::from([(key.to_owned(), value.to_owned())]),
        };
        self.commit(change).await.unwrap();
    }

    /// Names of the files below the table's metadata folder.
    pub(super) async fn metadata_files(&self, prefix: &str, suffix: &str) -> Vec<String> {
        let listed = self.storage().list("memory:///lake").unwrap();
        let files: Vec<_> = listed.try_collect().await.unwrap();
        let mut names: Vec<String> = files
            .into_iter()
            .filter_map(|file| file.location.rsplit('/').next().map(str::to_owned))
            .filter(|name| name.starts_with(prefix) && name.ends_with(suffix))
            .collect();
        names.sort();
        names
    }

    pub(super) async fn manifests(&self, table: &Table) -> Vec<ManifestFile> {
        let Some(snapshot) = table.snapshot() else {
            return Vec::new();
        };
        let bytes = self.storage().read(snapshot.manifest_list()).await.unwrap();
        let list = ManifestList::parse_with_version(&bytes, table.format_version()).unwrap();
        list.consume_entries().into_iter().collect()
    }

    pub(super) async fn entries(&self, manifest: &ManifestFile) -> Vec<ManifestEntryRef> {
        let bytes = self.storage().read(&manifest.manifest_path).await.unwrap();
        Manifest::parse_avro(&bytes).unwrap().into_parts().0
    }

    /// Names of the data files a reader of `table` sees, in order.
    pub(super) async fn live(&self, table: &Table) -> Vec<String> {
        let mut live = Vec::new();
        for manifest in self.manifests(table).await {
            let entries = self.entries(&manifest).await;
            live.extend(
                entries
                    .iter()
                    .filter(|entry| entry.is_alive())
                    .map(|entry| entry.file_path().rsplit('/').next().unwrap().to_owned()),
            );
        }
        live.sort();
        live
    }
}

/// Data files of three rows and 100 bytes each.
pub(super) fn files(names: &[&str]) -> Vec<WrittenFile> {
    names
        .iter()
        .map(|name| file(name, DataContentType::Data))
        .collect()
}

pub(super) fn file(name: &str, content: DataContentType) -> WrittenFile {
    let partition = Struct::from_iter([Some(Literal::string("p")), Some(Literal::int(3))]);
    let data_file = DataFileBuilder::default()
        .content(content)
        .file_path(format!("memory:///lake/orders/data/{name}"))
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .record_count(3)
        .file_size_in_bytes(100)
        .build()
        .unwrap();
    WrittenFile {
        data_file,
        spec_id: 0,
    }
}
