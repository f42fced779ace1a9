//! The tables that are damaged: small, of many types, formats and codecs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, StringArray};
use bytes::Bytes;
use futures::TryStreamExt;
use iceberg::spec::{
    DataFileBuilder, NestedField, NestedFieldRef, PrimitiveType, Schema, TableMetadata, Type,
};
use lakehouse::core::settings::Durability;
use lakehouse::core::storage::Storage;
use lakehouse::{Lakehouse, Settings};
use lakehouse_testkit::{
    FakeClock, PositionDeletes, RowDelta, repack_avro, write_deletion_vectors,
    write_equality_deletes,
};
use serde::{Deserialize, Serialize};

use crate::read::texts;

/// What a file is to its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Kind {
    Metadata,
    List,
    Manifest,
    Data,
    Delete,
}

/// A file that a read of a table's current state opens.
#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    pub(crate) kind: Kind,
    pub(crate) location: String,
    pub(crate) bytes: Bytes,
}

/// A table that is whole. All have a column `id`.
#[derive(Debug, Clone)]
pub(crate) struct TestTable {
    pub(crate) name: String,
    pub(crate) files: Vec<TableFile>,
}

impl TestTable {
    /// Whether values in data files decide which rows there are.
    pub(crate) fn is_keyed(&self) -> bool {
        self.name.starts_with("keys")
    }

    pub(crate) fn metadata_location(&self) -> &str {
        let mut files = self.files.iter();
        &files
            .find(|file| file.kind == Kind::Metadata)
            .unwrap()
            .location
    }
}

const TABLES: [(&str, &str); 6] = [
    (
        "types",
        "CREATE TABLE types (id INT, b BOOLEAN, l BIGINT, f FLOAT, d DOUBLE, dec DECIMAL(20, 4), \
           day DATE, ts TIMESTAMP, tz TIMESTAMPTZ, s VARCHAR, bin BINARY, u UUID); \
         INSERT INTO types SELECT value, value % 2 = 0, value * 1000000007, value / 4.0, \
           value * 1e300, value * 1.25, DATE '2026-01-01', TIMESTAMP '2026-01-01 00:00:00', \
           TIMESTAMPTZ '2026-01-01 00:00:00Z', concat('text ', value), X'00FF10', \
           NULL FROM generate_series(1, 40); \
         INSERT INTO types (id, s) VALUES (41, NULL), (42, 'x'), (43, ''); \
         INSERT INTO types (id, u) VALUES (44, X'9C12D44103FE46939A96A0705DDF69C1')",
    ),
    (
        "parts",
        "CREATE TABLE parts (id BIGINT, city VARCHAR, at TIMESTAMP, n INT) \
           PARTITIONED BY (city, day(at), bucket(4, id), truncate(10, n)); \
         INSERT INTO parts VALUES (1, 'Oslo', TIMESTAMP '2026-01-01 10:00:00', 5), \
           (2, 'Lima', TIMESTAMP '2026-01-02 10:00:00', 15), (3, NULL, NULL, NULL); \
         INSERT INTO parts VALUES (4, 'Oslo', TIMESTAMP '2026-02-01 10:00:00', -5); \
         INSERT INTO parts VALUES (5, 'Pune', TIMESTAMP '1969-12-31 23:00:00', 25)",
    ),
    (
        "nested",
        "CREATE TABLE nested (id INT, tags ARRAY<VARCHAR>, who STRUCT<first: VARCHAR, age: INT>, \
           m MAP<VARCHAR, INT>, deep ARRAY<ARRAY<INT>>) TBLPROPERTIES ('format-version' = '3'); \
         INSERT INTO nested VALUES \
           (1, ['a', 'b'], named_struct('first', 'Ada', 'age', 36), map {'x': 1, 'y': 2}, \
             [[1, NULL], [], NULL]), \
           (2, [], named_struct('first', NULL, 'age', NULL), map {}, []), \
           (3, NULL, NULL, NULL, NULL); \
         INSERT INTO nested (id, tags) VALUES (4, ['c'])",
    ),
    (
        "pages",
        "CREATE TABLE pages (id INT, s VARCHAR, n BIGINT) TBLPROPERTIES (\
           'write.parquet.compression-codec' = 'snappy', 'write.parquet.page-row-limit' = '20', \
           'write.parquet.page-version' = 'v2', \
           'write.parquet.bloom-filter-enabled.column.id' = 'true', \
           'write.parquet.bloom-filter-max-bytes' = '256'); \
         INSERT INTO pages SELECT value, concat('v', value % 7), value * value \
           FROM generate_series(1, 100)",
    ),
    (
        "plain",
        "CREATE TABLE plain (id INT, s VARCHAR) TBLPROPERTIES ('format-version' = '1', \
           'write.parquet.compression-codec' = 'uncompressed', \
           'write.parquet.dict-size-bytes' = '8'); \
         INSERT INTO plain SELECT value, concat('plain ', value) FROM generate_series(1, 50); \
         INSERT INTO plain VALUES (51, NULL)",
    ),
    (
        "packed",
        "CREATE TABLE packed (id INT, s VARCHAR) TBLPROPERTIES (\
           'write.metadata.compression-codec' = 'gzip', \
           'write.parquet.compression-codec' = 'gzip'); \
         INSERT INTO packed SELECT value, concat('packed ', value) FROM generate_series(1, 50); \
         INSERT INTO packed VALUES (51, 'x')",
    ),
];

/// 2026-01-01T00:00:00Z.
const START_MS: i64 = 1_767_225_600_000;

/// Builds all tables, in memory.
pub(crate) async fn build() -> Vec<TestTable> {
    let clock = Arc::new(FakeClock::new(START_MS, 1));
    let storage = Storage::new(&*clock, Durability::None).unwrap();
    let settings = Settings {
        durability: Durability::None,
        parallelism: Some(1),
        ..Settings::default()
    };
    let lake = Lakehouse::builder()
        .location("memory:")
        .settings(settings)
        .clock(clock)
        .storage(storage.clone())
        .build()
        .await
        .unwrap();
    let session = lake.session().unwrap();
    let mut tables = Vec::new();
    for (name, statements) in TABLES {
        for statement in lakehouse::sql::parse(statements).unwrap() {
            let result = session.execute(statement).await.unwrap();
            result.collect().await.unwrap();
        }
        let table = lake.table(name).await.unwrap();
        let list = table.snapshot().unwrap().manifest_list().to_owned();
        let mut stored: Vec<_> = storage
            .list(table.location())
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        stored.sort_by(|file, other| file.location.cmp(&other.location));
        let mut files = Vec::new();
        for file in stored {
            let location = file.location;
            let kind = if location == table.metadata_location() {
                Kind::Metadata
            } else if location == list {
                Kind::List
            } else if location.ends_with(".parquet") {
                Kind::Data
            } else if location.ends_with(".avro") && !location.contains("/snap-") {
                Kind::Manifest
            } else {
                continue;
            };
            let bytes = storage.read(&location).await.unwrap();
            files.push(TableFile {
                kind,
                location,
                bytes,
            });
        }
        let name = name.to_owned();
        tables.push(TestTable { name, files });
    }
    for (name, deletes, codec) in [
        ("positions", Deletes::Positions, None),
        ("vectors", Deletes::Vectors, None),
        ("keys", Deletes::Keys, None),
        ("zstandard", Deletes::Positions, Some("zstandard")),
        ("keys-snappy", Deletes::Keys, Some("snappy")),
    ] {
        tables.push(Box::pin(with_deletes(name, deletes, codec)).await);
    }
    tables
}

/// What deletes rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deletes {
    Positions,
    Vectors,
    Keys,
}

impl Deletes {
    /// Delete files below `root`, for two data files.
    fn write(self, root: &str, data: &[String]) -> Vec<DataFileBuilder> {
        let parquet = format!("{root}/d.parquet");
        match self {
            Self::Positions => {
                let rows = [
                    (data[0].as_str(), 1),
                    (data[0].as_str(), 2),
                    (data[1].as_str(), 9),
                ];
                vec![PositionDeletes::new(rows).write(&parquet).unwrap()]
            }
            Self::Vectors => {
                let vectors = [
                    (data[0].as_str(), vec![1..3, 9..10]),
                    (data[1].as_str(), vec![0..2, 2..5]),
                ];
                write_deletion_vectors(&format!("{root}/v.puffin"), &vectors).unwrap()
            }
            Self::Keys => {
                let column = |id, name: &str, kind| -> NestedFieldRef {
                    NestedField::optional(id, name, Type::Primitive(kind)).into()
                };
                let keys = |fields: Vec<NestedFieldRef>| {
                    Schema::builder().with_fields(fields).build().unwrap()
                };
                let id = column(1, "id", PrimitiveType::Int);
                let text = column(2, "s", PrimitiveType::String);
                let ids: ArrayRef = Arc::new(Int32Array::from(vec![2, 3, 33]));
                let texts = vec![Some("row 5"), None, Some("row 40")];
                let texts: ArrayRef = Arc::new(StringArray::from(texts));
                let of_text = format!("{root}/text-d.parquet");
                let both = keys(vec![Arc::clone(&id), text]);
                vec![
                    write_equality_deletes(&parquet, &keys(vec![id]), &[Arc::clone(&ids)]).unwrap(),
                    write_equality_deletes(&of_text, &both, &[ids, texts]).unwrap(),
                ]
            }
        }
    }
}

/// A table of 40 rows in two files, some of them deleted; `codec` packs its manifests.
async fn with_deletes(name: &str, deletes: Deletes, codec: Option<&str>) -> TestTable {
    let format = if deletes == Deletes::Vectors { 3 } else { 2 };
    // The same path at each build: files hold it.
    let root = std::env::temp_dir().join("lakehouse-mutation").join(name);
    if root.exists() {
        std::fs::remove_dir_all(&root).unwrap();
    }
    let root = root.to_str().unwrap();
    let lake = Lakehouse::open(root).await.unwrap();
    let session = lake.session().unwrap();
    let statements = format!(
        "CREATE TABLE t (id INT, s VARCHAR) TBLPROPERTIES ('format-version' = '{format}'); \
         INSERT INTO t SELECT value, concat('row ', value) FROM generate_series(1, 25); \
         INSERT INTO t SELECT value, concat('row ', value) FROM generate_series(26, 40)"
    );
    for statement in lakehouse::sql::parse(&statements).unwrap() {
        let result = session.execute(statement).await.unwrap();
        result.collect().await.unwrap();
    }
    let batches = session.sql("SELECT file_path FROM t.files").await.unwrap();
    let data: Vec<String> = batches
        .collect()
        .await
        .unwrap()
        .iter()
        .flat_map(texts)
        .collect();
    let delete_files = deletes.write(root, &data);
    let table = lake.table("t").await.unwrap();
    let metadata = TableMetadata::clone(table.metadata());
    let mut delta = RowDelta::new(root);
    for mut file in delete_files {
        delta = delta.add(file.partition_spec_id(0).build().unwrap());
    }
    let snapshot = delta.snapshot(&metadata).await.unwrap();
    let list = snapshot.manifest_list().to_owned();
    let builder = metadata.into_builder(None);
    let changed = builder.set_branch_snapshot(snapshot, "main").unwrap();
    let changed = changed.build().unwrap().metadata;
    let json = format!("{root}/t.metadata.json");
    std::fs::write(&json, serde_json::to_vec(&changed).unwrap()).unwrap();

    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let location = path.to_str().unwrap().to_owned();
            let is_data = data.iter().any(|data| data.ends_with(&location));
            let kind = if location == json {
                Kind::Metadata
            } else if location == list {
                Kind::List
            } else if location.ends_with("d.parquet") || location.ends_with(".puffin") {
                Kind::Delete
            } else if is_data {
                Kind::Data
            } else if location.ends_with(".avro") && !location.contains("/snap-") {
                Kind::Manifest
            } else {
                continue;
            };
            if let (Kind::List | Kind::Manifest, Some(codec)) = (kind, codec) {
                repack_avro(&location, codec).await.unwrap();
            }
            let bytes = Bytes::from(std::fs::read(&path).unwrap());
            files.push(TableFile {
                kind,
                location,
                bytes,
            });
        }
    }
    files.sort_by(|file, other| file.location.cmp(&other.location));
    std::fs::remove_dir_all(root).unwrap();
    let name = name.to_owned();
    TestTable { name, files }
}

#[derive(Serialize, Deserialize)]
struct Entry {
    table: String,
    kind: Kind,
    location: String,
    file: String,
}

const INDEX: &str = "index.json";

/// Keeps tables in a folder.
pub(crate) fn save(tables: &[TestTable], folder: &Path) {
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
    std::fs::create_dir_all(folder).unwrap();
    let mut index = Vec::new();
    for table in tables {
        for file in &table.files {
            let name = format!("{}.bin", index.len());
            std::fs::write(folder.join(&name), &file.bytes).unwrap();
            index.push(Entry {
                table: table.name.clone(),
                kind: file.kind,
                location: file.location.clone(),
                file: name,
            });
        }
    }
    std::fs::write(folder.join(INDEX), serde_json::to_vec(&index).unwrap()).unwrap();
}

/// The tables that [`save`] has kept.
pub(crate) fn load(folder: &Path) -> Vec<TestTable> {
    let index = std::fs::read(folder.join(INDEX)).unwrap();
    let index: Vec<Entry> = serde_json::from_slice(&index).unwrap();
    let mut tables: Vec<TestTable> = Vec::new();
    for entry in index {
        let file = TableFile {
            kind: entry.kind,
            location: entry.location,
            bytes: Bytes::from(std::fs::read(folder.join(entry.file)).unwrap()),
        };
        match tables.last_mut() {
            Some(table) if table.name == entry.table => table.files.push(file),
            _ => tables.push(TestTable {
                name: entry.table,
                files: vec![file],
            }),
        }
    }
    tables
}
