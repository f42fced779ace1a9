//! Tables about a table with deletes, and what reading them leaves alone.

use iceberg::spec::{
    DataFile, DataFileBuilder, Literal, NestedField, PrimitiveType, Schema, Struct, TableMetadata,
};
use lakehouse_testkit::{
    PositionDeletes, RowDelta, write_deletion_vectors, write_equality_deletes,
};

use crate::lake::TestLake;

fn in_city(mut file: DataFileBuilder, city: &str) -> DataFile {
    file.partition(Struct::from_iter([Some(Literal::string(city))]));
    file.build().unwrap()
}

/// The table `d`: `t` with more files in one more snapshot.
async fn add_to_t(lake: &TestLake, files: Vec<DataFile>) {
    let table = lake.lake.table("t").await.unwrap();
    let folder = lake.path().join("by hand").display().to_string();
    std::fs::create_dir_all(&folder).unwrap();
    let mut delta = RowDelta::new(&folder);
    for file in files {
        delta = delta.add(file);
    }
    // By hand, files are found by path and not by URL.
    let text = serde_json::to_string(table.metadata().as_ref()).unwrap();
    let metadata: TableMetadata = serde_json::from_str(&text.replace("file://", "")).unwrap();
    let snapshot = delta.snapshot(&metadata).await.unwrap();
    let builder = metadata.into_builder(Some(table.metadata_location().to_owned()));
    let builder = builder.set_branch_snapshot(snapshot, "main").unwrap();
    let changed = builder.build().unwrap().metadata;
    let location = format!("{folder}/v9.metadata.json");
    std::fs::write(&location, serde_json::to_vec(&changed).unwrap()).unwrap();
    lake.run(&format!("CALL system.register_table('d', '{location}')"))
        .await;
}

/// Where the data file of a city is.
async fn file_of(lake: &TestLake, city: &str) -> String {
    let query = format!("SELECT file_path FROM t.files WHERE partition.city = '{city}'");
    lake.one(&query).await
}

/// Oslo with 3 rows and Lima with 2; of Oslo two rows are deleted by position, and everywhere those
/// of a key.
async fn with_delete_files() -> TestLake {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, city VARCHAR) PARTITIONED BY (city); \
         INSERT INTO t VALUES (1, 'Oslo'), (2, 'Oslo'), (3, 'Oslo'), (4, 'Lima'), (5, 'Lima')",
    )
    .await;
    let oslo = file_of(&lake, "Oslo").await;
    let path = |name: &str| lake.path().join(name).display().to_string();
    let positions = PositionDeletes::new([(oslo.clone(), 0), (oslo, 2)]);
    let positions = positions.write(&path("positions.parquet")).unwrap();
    let id = NestedField::optional(1, "id", PrimitiveType::Int.into());
    let keys = Schema::builder().with_fields([id.into()]).build().unwrap();
    let ids = arrow::array::Int32Array::from(vec![4, 9, 10]);
    let keys = write_equality_deletes(&path("keys.parquet"), &keys, &[std::sync::Arc::new(ids)]);
    let files = vec![in_city(positions, "Oslo"), in_city(keys.unwrap(), "Lima")];
    add_to_t(&lake, files).await;
    lake
}

#[tokio::test]
async fn m13_deletes_are_counted_apart_and_not_applied() {
    let lake = with_delete_files().await;
    let counts = "SELECT content, count(*), sum(record_count) FROM d.files GROUP BY 1 ORDER BY 1";
    assert_eq!(lake.rows(counts).await, ["0|2|5", "1|1|2", "2|1|3"]);
    let columns = "partition.city, record_count, file_count, position_delete_record_count, \
                   position_delete_file_count, equality_delete_record_count, \
                   equality_delete_file_count";
    assert_eq!(
        lake.sorted(&format!("SELECT {columns} FROM d.partitions"))
            .await,
        ["Lima|2|1|0|0|3|1", "Oslo|3|1|2|1|0|0"]
    );
    assert_eq!(
        lake.rows(
            "SELECT content, added_data_files_count, added_delete_files_count FROM d.manifests \
             ORDER BY 1"
        )
        .await,
        ["0|2|0", "1|0|2"]
    );
    for (query, expected) in [
        ("SELECT count(*) FROM d.data_files", "2"),
        ("SELECT count(*) FROM d.delete_files", "2"),
        ("SELECT count(*) FROM d.entries", "4"),
        ("SELECT count(*) FROM d.all_delete_files", "2"),
        ("SELECT equality_ids FROM d.files WHERE content = 2", "[1]"),
        (
            "SELECT last_updated_snapshot_id = s.snapshot_id FROM d.partitions p, d.snapshots s \
             WHERE p.partition.city = 'Oslo' ORDER BY s.committed_at DESC LIMIT 1",
            "true",
        ),
    ] {
        assert_eq!(lake.one(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn position_deletes_are_listed_with_what_they_name() {
    let lake = with_delete_files().await;
    let oslo = file_of(&lake, "Oslo").await;
    let positions = lake.path().join("positions.parquet").display().to_string();
    let all = lake.sorted("SELECT * FROM d.position_deletes").await;
    let row = |pos| format!("{oslo}|{pos}|NULL|{{city: Oslo}}|0|{positions}");
    assert_eq!(all, [row(0), row(2)]);
    for (condition, expected) in [
        (format!("file_path = '{oslo}'"), "2"),
        ("file_path = 'elsewhere'".to_owned(), "0"),
        ("partition.city = 'Lima'".to_owned(), "0"),
        (format!("delete_file_path = '{positions}' AND pos > 1"), "1"),
        ("spec_id = 0".to_owned(), "2"),
    ] {
        let query = format!("SELECT count(*) FROM d.position_deletes WHERE {condition}");
        assert_eq!(lake.one(&query).await, expected, "{query}");
    }
    assert_eq!(
        lake.rows("SELECT 1 FROM d.position_deletes LIMIT 1")
            .await
            .len(),
        1
    );
    let before = lake.one("SELECT snapshot_id FROM t.snapshots").await;
    let query = format!("SELECT count(*) FROM d.position_deletes FOR VERSION AS OF {before}");
    assert_eq!(lake.one(&query).await, "0");
    // A file that is not read need not be there.
    std::fs::remove_file(&positions).unwrap();
    let other = "SELECT count(*) FROM d.position_deletes WHERE file_path = 'elsewhere'";
    assert_eq!(lake.one(other).await, "0");
    let error = lake.fails("SELECT * FROM d.position_deletes").await;
    assert!(error.to_string().contains("positions.parquet"), "{error}");
}

#[tokio::test]
async fn deletion_vectors_are_listed_row_by_row() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT) TBLPROPERTIES ('format-version' = '3'); \
         INSERT INTO t SELECT value FROM generate_series(1, 40000)",
    )
    .await;
    let data = lake
        .one("SELECT file_path FROM t.files ORDER BY record_count DESC LIMIT 1")
        .await;
    let puffin = lake.path().join("v.puffin").display().to_string();
    let runs = vec![3..4, 7..9, 1000..19_000];
    let vectors = write_deletion_vectors(&puffin, &[(&data, runs)]).unwrap();
    let files = vectors.into_iter().map(|vector| vector.build().unwrap());
    add_to_t(&lake, files.collect()).await;
    assert_eq!(
        lake.rows("SELECT pos, row FROM d.position_deletes ORDER BY pos LIMIT 4")
            .await,
        ["3|NULL", "7|NULL", "8|NULL", "1000|NULL"]
    );
    let whole = "SELECT count(*), count(DISTINCT pos), max(pos), count(DISTINCT file_path) \
                 FROM d.position_deletes";
    assert_eq!(lake.one(whole).await, "18003|18003|18999|1");
    let places = "SELECT count(*) FROM d.position_deletes p, d.delete_files f \
                  WHERE p.content_offset = f.content_offset \
                  AND p.content_size_in_bytes = f.content_size_in_bytes \
                  AND p.delete_file_path = f.file_path AND f.file_format = 'PUFFIN' \
                  AND p.file_path = f.referenced_data_file";
    assert_eq!(lake.one(places).await, "18003");
    let live = "SELECT (SELECT count(*) FROM d), (SELECT sum(record_count) FROM d.data_files)";
    assert_eq!(lake.one(live).await, "21997|40000");
}

#[tokio::test]
async fn manifests_that_a_condition_rules_out_are_not_read() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, city VARCHAR) PARTITIONED BY (city); \
         INSERT INTO t VALUES (1, 'Oslo'); INSERT INTO t VALUES (2, 'Lima')",
    )
    .await;
    let lima =
        lake.one("SELECT path FROM t.manifests WHERE partition_summaries[1].lower_bound = 'Lima'");
    let lima = lima.await;
    let other =
        lake.one("SELECT max(snapshot_id) FROM t.entries WHERE data_file.partition.city = 'Oslo'");
    let other = other.await;
    std::fs::remove_file(lima.trim_start_matches("file://")).unwrap();
    // Opened anew, because manifests that were read before are kept.
    let session = lake.reopen().await.session().unwrap();
    let count = async |condition: &str| {
        let query = format!("SELECT count(*) FROM t.{condition}");
        crate::lake::rows_of(session.sql(&query).await?).await
    };
    for condition in [
        "files WHERE partition.city = 'Oslo'",
        "data_files WHERE partition.city > 'M' AND record_count > 0",
        "partitions WHERE partition.city IN ('Oslo', 'Rome')",
        "entries WHERE data_file.partition.city = 'Oslo'",
        &format!("entries WHERE snapshot_id = {other}"),
        &format!("all_entries WHERE snapshot_id = {other}"),
        "all_files WHERE partition.city LIKE 'O%'",
    ] {
        assert_eq!(count(condition).await.unwrap(), ["1"], "{condition}");
    }
    for condition in [
        "delete_files",
        "files WHERE content = 1",
        "entries WHERE status = 2",
    ] {
        assert_eq!(count(condition).await.unwrap(), ["0"], "{condition}");
    }
    for condition in ["files", "entries WHERE status = 1", "partitions"] {
        assert!(count(condition).await.is_err(), "{condition}");
    }
}
