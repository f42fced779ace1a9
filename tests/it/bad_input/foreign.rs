//! Files that are whole and not what their table says.

use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Struct};
use iceberg::spec::{Manifest, TableMetadata};
use lakehouse::{Error, ErrorKind};
use lakehouse_testkit::RowDelta;
use serde_json::{Value, json};

use crate::lake::{TestLake, rows_of};

async fn lake() -> TestLake {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, v VARCHAR); INSERT INTO t VALUES (1, 'one'), (2, 'two'); \
         CREATE TABLE other (id VARCHAR, v INT); INSERT INTO other VALUES ('a', 1), ('b', 2)",
    )
    .await;
    lake
}

fn local(location: &str) -> &str {
    location.strip_prefix("file://").unwrap_or(location)
}

async fn metadata(lake: &TestLake) -> Value {
    let table = lake.lake.table("t").await.unwrap();
    let bytes = std::fs::read(local(table.metadata_location())).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What a table of this metadata answers; the file's name is `name`.
async fn read_as(lake: &TestLake, name: &str, metadata: &[u8]) -> Result<Vec<String>, Error> {
    let path = lake.path().join(name);
    std::fs::write(&path, metadata).unwrap();
    let register = format!("CALL system.register_table('u', '{}')", path.display());
    lake.try_rows(&register).await?;
    rows_of(lake.session.sql("SELECT id FROM u WHERE id > 0").await?).await
}

fn is_clear(error: &Error, kind: ErrorKind, file: &str, what: &str) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    assert!(text.contains(file), "{file} is not in: {text}");
    assert!(text.contains(what), "{what} is not in: {text}");
    assert!(!text.contains('\n'), "one line: {text}");
}

#[tokio::test]
async fn metadata_that_nests_without_end_is_corrupt() {
    let lake = lake().await;
    let deep = vec![b'['; 200 << 20];
    let error = read_as(&lake, "deep.json", &deep).await.unwrap_err();
    is_clear(&error, ErrorKind::Corrupt, "deep.json", "not JSON");

    let mut nested = metadata(&lake).await;
    let mut kind = json!("int");
    for _ in 0..60 {
        kind = json!({"type": "list", "element-id": 9, "element": kind, "element-required": true});
    }
    nested["schemas"][0]["fields"][0]["type"] = kind;
    let nested = nested.to_string();
    let error = read_as(&lake, "nested.json", nested.as_bytes()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Makes a file a byte longer than what is read, without a byte on the disk.
fn make_huge(path: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.set_len((1 << 30) + 1).unwrap();
}

#[tokio::test]
async fn metadata_and_manifests_beyond_a_limit_are_not_read() {
    let lake = lake().await;
    let limit = 1_u64 << 30;
    let path = lake.path().join("huge.json");
    std::fs::write(&path, b"{").unwrap();
    make_huge(path.to_str().unwrap());
    let register = format!("CALL system.register_table('u', '{}')", path.display());
    let error = lake.fails(&register).await;
    let sizes = format!("{} bytes", limit + 1);
    is_clear(&error, ErrorKind::ResourcesExhausted, "huge.json", &sizes);
    assert!(error.to_string().contains(&limit.to_string()), "{error}");

    let manifest = lake.one("SELECT path FROM t.manifests").await;
    let table = lake.lake.table("t").await.unwrap();
    let list = table.snapshot().unwrap().manifest_list().to_owned();
    for path in [manifest, list] {
        let whole = std::fs::read(local(&path)).unwrap();
        make_huge(local(&path));
        let session = lake.reopen().await.session().unwrap();
        let error = match session.sql("SELECT * FROM t").await {
            Ok(rows) => rows_of(rows).await.unwrap_err(),
            Err(error) => error,
        };
        is_clear(&error, ErrorKind::ResourcesExhausted, &path, &sizes);
        std::fs::write(local(&path), whole).unwrap();
    }
}

#[tokio::test]
async fn metadata_without_its_schema_is_corrupt() {
    let lake = lake().await;
    let mut other = metadata(&lake).await;
    other["current-schema-id"] = json!(99);
    let other = other.to_string();
    let error = read_as(&lake, "schema.json", other.as_bytes()).await;
    let error = error.unwrap_err();
    is_clear(&error, ErrorKind::Corrupt, "schema.json", "99");
}

#[tokio::test]
async fn a_manifest_list_that_is_a_data_file_is_corrupt() {
    let lake = lake().await;
    let data = lake.one("SELECT file_path FROM t.files").await;
    let mut other = metadata(&lake).await;
    other["snapshots"][0]["manifest-list"] = json!(data);
    let other = other.to_string();
    let error = read_as(&lake, "list.json", other.as_bytes()).await;
    let error = error.unwrap_err();
    is_clear(&error, ErrorKind::Corrupt, &data, "manifest list");
}

#[tokio::test]
async fn a_list_that_was_cut_behind_its_header_is_no_empty_table() {
    let lake = lake().await;
    let table = lake.lake.table("t").await.unwrap();
    let list = table.snapshot().unwrap().manifest_list().to_owned();
    let bytes = std::fs::read(local(&list)).unwrap();
    let marker = &bytes[bytes.len() - 16..];
    let header = bytes.windows(16).position(|part| part == marker).unwrap() + 16;
    std::fs::write(local(&list), &bytes[..header]).unwrap();
    for statement in ["SELECT * FROM t", "INSERT INTO t VALUES (3, 'three')"] {
        let session = lake.reopen().await.session().unwrap();
        let error = match session.sql(statement).await {
            Ok(rows) => rows_of(rows).await.unwrap_err(),
            Err(error) => error,
        };
        is_clear(&error, ErrorKind::Corrupt, &list, "restore");
    }
}

#[tokio::test]
async fn a_manifest_of_a_spec_that_the_table_lacks_gives_the_right_rows_or_an_error() {
    let lake = lake().await;
    let manifest = lake.one("SELECT path FROM t.manifests").await;
    let bytes = std::fs::read(local(&manifest)).unwrap();
    Manifest::parse_avro(&bytes).unwrap();
    let key = b"partition-spec-id\x02";
    let at = bytes.windows(key.len()).position(|part| part == key);
    let mut other = bytes.clone();
    other[at.unwrap() + key.len()] = b'7';
    std::fs::write(local(&manifest), &other).unwrap();
    let session = lake.reopen().await.session().unwrap();
    match rows_of(session.sql("SELECT id FROM t").await.unwrap()).await {
        Ok(rows) => assert_eq!(rows, ["1", "2"]),
        Err(error) => is_clear(&error, ErrorKind::Corrupt, &manifest, "spec"),
    }
}

/// Why `t` gives no answer once it has `file` too.
async fn with_file(lake: &TestLake, file: DataFile) -> Error {
    rows_with_file(lake, file).await.unwrap_err()
}

/// What `t` answers once it has `file` too.
async fn rows_with_file(lake: &TestLake, file: DataFile) -> Result<Vec<String>, Error> {
    let table = lake.lake.table("t").await.unwrap();
    let metadata = TableMetadata::clone(table.metadata());
    let folder = lake.path();
    let delta = RowDelta::new(folder.to_str().unwrap()).add(file);
    let snapshot = delta.snapshot(&metadata).await.unwrap();
    let builder = metadata.into_builder(None);
    let changed = builder.set_branch_snapshot(snapshot, "main").unwrap();
    let changed = changed.build().unwrap().metadata;
    let json = serde_json::to_vec(&changed).unwrap();
    read_as(lake, "file.json", &json).await
}

fn data_file(path: &str, rows: u64, size_bytes: u64) -> DataFile {
    DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(path.to_owned())
        .file_format(DataFileFormat::Parquet)
        .partition(Struct::empty())
        .partition_spec_id(0)
        .record_count(rows)
        .file_size_in_bytes(size_bytes)
        .build()
        .unwrap()
}

fn copy(lake: &TestLake, of: &str, name: &str) -> (String, u64) {
    let path = lake.path().join(name);
    let bytes = std::fs::copy(local(of), &path).unwrap();
    (path.to_str().unwrap().to_owned(), bytes)
}

#[tokio::test]
async fn a_size_that_lies_costs_no_rows() {
    for (more, less) in [(0, 1), (1, 0), (0, 60), (1 << 20, 0), (1 << 50, 0)] {
        let lake = lake().await;
        let ours = lake.one("SELECT file_path FROM t.files").await;
        let (path, size) = copy(&lake, &ours, "lie.parquet");
        let file = data_file(&path, 2, size + more - less);
        let mut rows = rows_with_file(&lake, file).await.unwrap();
        rows.sort();
        assert_eq!(rows, ["1", "1", "2", "2"]);
    }
}

#[tokio::test]
async fn a_size_that_no_end_of_the_file_bears_out_is_told() {
    let lake = lake().await;
    let ours = lake.one("SELECT file_path FROM t.files").await;
    let (path, size) = copy(&lake, &ours, "lie.parquet");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let error = with_file(&lake, data_file(&path, 2, size)).await;
    is_clear(
        &error,
        ErrorKind::Corrupt,
        "lie.parquet",
        "where the manifest says",
    );
}

#[tokio::test]
async fn a_number_of_rows_that_lies_is_told() {
    let lake = lake().await;
    let ours = lake.one("SELECT file_path FROM t.files").await;
    let (path, size) = copy(&lake, &ours, "rows.parquet");
    let error = with_file(&lake, data_file(&path, 3, size)).await;
    is_clear(&error, ErrorKind::Corrupt, "rows.parquet", "2 rows");
}

#[tokio::test]
async fn a_data_file_without_bytes_is_corrupt() {
    for size in [0, 8, 1000] {
        let lake = lake().await;
        let path = lake.path().join("none.parquet");
        std::fs::write(&path, b"").unwrap();
        let error = with_file(&lake, data_file(path.to_str().unwrap(), 2, size)).await;
        is_clear(&error, ErrorKind::Corrupt, "none.parquet", "file");
    }
}

#[tokio::test]
async fn the_file_of_a_table_of_other_types_is_refused_by_name() {
    let lake = lake().await;
    let theirs = lake.one("SELECT file_path FROM other.files").await;
    let (path, size) = copy(&lake, &theirs, "theirs.parquet");
    let error = with_file(&lake, data_file(&path, 2, size)).await;
    // It may be of an older schema, with a change of type that is not offered.
    is_clear(&error, ErrorKind::Unsupported, "theirs.parquet", "\"id\"");
}
