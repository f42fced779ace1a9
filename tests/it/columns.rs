//! Columns of tables as other engines make them: types that are not read, UUIDs, row ids that files
//! hold.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int32Type, Schema};
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Struct};
use lakehouse::ErrorKind;
use lakehouse::core::commit::FileChange;
use lakehouse::core::scan::MetadataColumn;
use lakehouse::core::write::WrittenFile;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};

use crate::lake::{TestLake, rows_of};

/// Appends a file of one's own making: columns with their field ids.
pub(crate) async fn append_file(
    lake: &TestLake,
    table: &str,
    columns: Vec<(i32, ArrayRef)>,
    partition: Struct,
) {
    let table = lake.lake.table(table).await.unwrap();
    let fields = columns.iter().map(|(id, array)| {
        let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), id.to_string())]);
        Field::new("c", array.data_type().clone(), true).with_metadata(id)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let name = lake.clock_name();
    let location = format!("{}/data/{name}.parquet", table.location());
    let size = bytes.len() as u64;
    table
        .storage()
        .write_new(&location, bytes.into())
        .await
        .unwrap();
    let data_file = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(location)
        .file_format(DataFileFormat::Parquet)
        .partition(partition)
        .record_count(batch.num_rows() as u64)
        .file_size_in_bytes(size)
        .build()
        .unwrap();
    let file = WrittenFile {
        data_file,
        spec_id: table.partition_spec().spec_id(),
    };
    let append = FileChange::append(&table, vec![file]);
    let catalog = lake.lake.catalog("lake").unwrap();
    let commits = lake.lake.lake().commits();
    let _ = commits
        .commit(catalog, table.ident(), append)
        .await
        .unwrap();
}

#[tokio::test]
async fn row_ids_that_a_file_holds_are_kept() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT) TBLPROPERTIES ('format-version' = '3'); INSERT INTO t VALUES (1)",
    )
    .await;
    let (row_id, updated) = (
        MetadataColumn::RowId.field_id(),
        MetadataColumn::LastUpdatedSequenceNumber.field_id(),
    );
    let longs =
        |values: [Option<i64>; 3]| -> ArrayRef { Arc::new(Int64Array::from(values.to_vec())) };
    let columns: Vec<(i32, ArrayRef)> = vec![
        (1, Arc::new(Int32Array::from(vec![10, 11, 12]))),
        (row_id, longs([Some(500), None, Some(400)])),
        (updated, longs([Some(1), None, None])),
    ];
    append_file(&lake, "t", columns, Struct::empty()).await;
    let query = "SELECT id, _row_id, _last_updated_sequence_number, _pos FROM t ORDER BY id";
    assert_eq!(
        lake.rows(query).await,
        ["1|0|1|0", "10|500|1|0", "11|2|2|1", "12|400|2|2"]
    );
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE _row_id = 2").await,
        ["11"]
    );
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE _row_id = 400").await,
        ["12"]
    );
    assert_eq!(
        lake.rows("SELECT * FROM t WHERE _row_id > 450").await,
        ["10"]
    );
}

/// Rewrites the current metadata file of a table, as another engine would have written it.
async fn edit_metadata(lake: &TestLake, table: &str, edit: impl FnOnce(&mut serde_json::Value)) {
    let location = lake.lake.table(table).await.unwrap();
    let location = location.metadata_location().to_owned();
    let path = location.strip_prefix("file://").unwrap_or(&location);
    let mut metadata = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    edit(&mut metadata);
    std::fs::write(path, metadata.to_string()).unwrap();
}

#[tokio::test]
async fn types_that_are_not_read_leave_the_rest_of_the_table() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, v BINARY, g BINARY, u VARCHAR, s STRUCT<a: INT, v: BINARY>) \
         TBLPROPERTIES ('format-version' = '3'); \
         INSERT INTO t VALUES (1, X'00', X'01', NULL, NULL), (2, NULL, NULL, NULL, NULL)",
    )
    .await;
    edit_metadata(&lake, "t", |metadata| {
        let fields = &mut metadata["schemas"][0]["fields"];
        fields[1]["type"] = "variant".into();
        fields[2]["type"] = "geography(srid:4326, spherical)".into();
        fields[3]["type"] = "unknown".into();
        fields[4]["type"]["fields"][1]["type"] = "geometry".into();
    })
    .await;
    let session = lake.reopen().await.session().unwrap();
    let rows = async |query: &str| rows_of(session.sql(query).await?).await;
    assert_eq!(
        rows("SELECT id, u FROM t ORDER BY id").await.unwrap(),
        ["1|NULL", "2|NULL"]
    );
    assert_eq!(
        rows("SELECT count(*), count(u), max(id) FROM t")
            .await
            .unwrap(),
        ["2|0|2"]
    );
    assert_eq!(
        rows("SELECT id FROM t WHERE u IS NULL AND id = 2")
            .await
            .unwrap(),
        ["2"]
    );
    assert_eq!(
        rows("SELECT record_count FROM t.files").await.unwrap(),
        ["2"]
    );
    let shown = rows("SHOW COLUMNS IN t").await.unwrap().join("\n");
    for name in ["VARIANT", "GEOGRAPHY(SRID:4326, SPHERICAL)", "UNKNOWN"] {
        assert!(shown.contains(name), "{shown}");
    }
    for (query, named) in [
        ("SELECT * FROM t", "\"v\""),
        ("SELECT id FROM t WHERE v IS NULL", "variant"),
        ("SELECT g FROM t", "geography"),
        ("SELECT s['a'] FROM t", "geometry"),
        (
            "INSERT INTO t VALUES (3, NULL, NULL, NULL, NULL)",
            "variant",
        ),
        ("ALTER TABLE t CREATE TAG x", "only be read"),
    ] {
        let error = rows(query).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{query}: {error}");
        assert!(error.to_string().contains(named), "{query}: {error}");
    }
    assert_eq!(
        rows("SELECT id FROM t ORDER BY id").await.unwrap(),
        ["1", "2"]
    );
}

/// None are made here; see `tests/slt/fixed_partitions.slt`.
#[tokio::test]
async fn partitions_by_fixed_values_are_written_where_they_are_there() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (f FIXED(3), g FIXED(3), n INT)")
        .await;
    edit_metadata(&lake, "t", |metadata| {
        let field = |source: i32, id: i32, transform: &str, name: &str| {
            serde_json::json!({"source-id": source, "field-id": id, "transform": transform,
                "name": name})
        };
        metadata["partition-specs"][0]["fields"] = serde_json::json!([
            field(1, 1000, "identity", "f"),
            field(2, 1001, "identity", "g"),
            field(1, 1002, "bucket[4]", "f_bucket"),
        ]);
        metadata["last-partition-id"] = 1002.into();
    })
    .await;
    let lake = lake.reopened().await;
    lake.run(
        "INSERT INTO t VALUES (X'FBFF00', X'000001', 1), (X'FBFF00', X'000002', 2), \
         (NULL, X'000001', 3); \
         UPDATE t SET n = 10 WHERE n = 1",
    )
    .await;
    let all = "SELECT encode(f, 'hex'), encode(g, 'hex'), n FROM t ORDER BY n";
    assert_eq!(
        lake.rows(all).await,
        ["fbff00|000002|2", "NULL|000001|3", "fbff00|000001|10"]
    );
    lake.run("INSERT OVERWRITE t PARTITION (f = X'FBFF00', g = X'000001') SELECT 11")
        .await;
    assert_eq!(
        lake.rows("SELECT n FROM t WHERE f = X'FBFF00' ORDER BY n")
            .await,
        ["2", "11"]
    );
    // Bytes stand in folders' names in base64, as Iceberg's Java library writes them.
    assert_eq!(
        lake.rows(
            "SELECT DISTINCT split_part(file_path, '/', -4) || ' ' || \
             split_part(file_path, '/', -3) FROM t.files ORDER BY 1"
        )
        .await,
        ["f=%2B%2F8A g=AAAB", "f=%2B%2F8A g=AAAC", "f=null g=AAAB"]
    );
}

#[tokio::test]
async fn initial_defaults_of_metadata_files_reach_rows() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (id INT, s STRUCT<a: INT>) TBLPROPERTIES ('format-version' = '3'); \
         INSERT INTO t VALUES (1, named_struct('a', 5)), (2, NULL)",
    )
    .await;
    edit_metadata(&lake, "t", |metadata| {
        let field = |id: i32, name: &str, kind: &str, default: serde_json::Value| {
            serde_json::json!({"id": id, "name": name, "required": true, "type": kind,
                "initial-default": default, "write-default": default})
        };
        let fields = metadata["schemas"][0]["fields"].as_array_mut().unwrap();
        fields.push(field(10, "city", "string", "Oslo".into()));
        fields.push(field(
            11,
            "at",
            "timestamptz",
            "2020-02-29T00:00:00+00:00".into(),
        ));
        let inner = fields[1]["type"]["fields"].as_array_mut().unwrap();
        inner.push(field(12, "b", "decimal(9, 2)", "1.50".into()));
        metadata["last-column-id"] = 12.into();
    })
    .await;
    let session = lake.reopen().await.session().unwrap();
    let rows = async |query: &str| rows_of(session.sql(query).await.unwrap()).await.unwrap();
    assert_eq!(
        rows("SELECT * FROM t ORDER BY id").await,
        [
            "1|{a: 5, b: 1.50}|Oslo|2020-02-29T00:00:00Z",
            "2|NULL|Oslo|2020-02-29T00:00:00Z"
        ]
    );
    assert_eq!(
        rows("SELECT count(*) FROM t WHERE city = 'Oslo'").await,
        ["2"]
    );
    assert_eq!(
        rows("SELECT count(*) FROM t WHERE city <> 'Oslo' OR city IS NULL").await,
        ["0"]
    );
    assert_eq!(rows("SELECT min(city), count(at) FROM t").await, ["Oslo|2"]);
    session
        .sql("INSERT INTO t VALUES (3, NULL, 'Lima', TIMESTAMPTZ '2021-01-01 00:00:00+00:00')")
        .await
        .unwrap();
    assert_eq!(rows("SELECT id FROM t WHERE city = 'Lima'").await, ["3"]);
    assert_eq!(
        rows("SELECT id FROM t WHERE city = 'Oslo' ORDER BY id").await,
        ["1", "2"]
    );
}

#[tokio::test]
async fn uuids_are_written_and_compared_as_text() {
    let lake = TestLake::memory().await;
    let (first, second) = (
        "f79c3e09-677c-4bbd-a479-3f349cb785e7",
        "00000000-0000-0000-0000-000000000001",
    );
    lake.run(&format!(
        "CREATE TABLE t (u UUID, id INT); \
         INSERT INTO t VALUES ('{first}', 1), (NULL, 3); \
         INSERT INTO t SELECT '{second}', 2; \
         CREATE TABLE b (u UUID) PARTITIONED BY (bucket(4, u)); \
         INSERT INTO b SELECT u FROM t"
    ))
    .await;
    for (condition, rows) in [
        (format!("u = '{first}'"), vec!["1"]),
        (format!("u = '{}'", first.to_uppercase()), vec!["1"]),
        (format!("'{second}' = u"), vec!["2"]),
        (format!("u IN ('{first}', '{second}')"), vec!["1", "2"]),
        (format!("u < '{first}'"), vec!["2"]),
        (format!("u <> '{first}'"), vec!["2"]),
        (format!("u BETWEEN '{second}' AND '{second}'"), vec!["2"]),
    ] {
        let query = format!("SELECT id FROM t WHERE {condition}");
        assert_eq!(lake.sorted(&query).await, rows, "{condition}");
    }
    let plan = lake
        .rows(&format!("EXPLAIN SELECT id FROM t WHERE u = '{first}'"))
        .await;
    // Bounds of UUIDs prune nothing: old Java writers order them otherwise.
    assert!(plan.join("\n").contains("files=2/2"), "{plan:?}");
    let bucket = format!("SELECT count(*) FROM b WHERE u = '{first}'");
    assert_eq!(lake.one(&bucket).await, "1");
    for bad in [
        "INSERT INTO t VALUES ('no uuid', 4)",
        "INSERT INTO t SELECT 'no uuid', 4",
        "SELECT id FROM t WHERE u = 'no uuid'",
    ] {
        let error = lake.fails(bad).await;
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("no uuid"), "{error}");
    }
}

#[tokio::test]
async fn small_things_work_as_in_other_engines() {
    let lake = TestLake::memory().await;
    let lists = FixedSizeListArray::from_iter_primitive::<Int32Type, _, _>(
        vec![Some(vec![Some(1), Some(2)]), None],
        2,
    );
    let field = Field::new(
        "l",
        DataType::clone(arrow::array::Array::data_type(&lists)),
        true,
    );
    let batch =
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(lists)]).unwrap();
    lake.session
        .register_batches("source", vec![batch])
        .await
        .unwrap();
    lake.run(
        "CREATE TABLE lists AS SELECT * FROM source; \
         CREATE TABLE t (id INT NOT NULL, v VARCHAR); INSERT INTO t VALUES (1, 'one')",
    )
    .await;
    assert_eq!(lake.sorted("SELECT l FROM lists").await, ["NULL", "[1, 2]"]);

    let error = lake
        .fails("INSERT INTO t VALUES (2, 'two'), (NULL, 'none')")
        .await;
    assert!(error.to_string().contains("\"id\""), "{error}");
    let error = lake
        .fails("INSERT INTO t (v, id) VALUES ('none', NULL)")
        .await;
    assert!(error.to_string().contains("\"id\""), "{error}");

    assert_eq!(lake.rows("SELECT *, id FROM t").await, ["1|one|1"]);
    assert_eq!(lake.rows("SELECT id, * FROM t").await, ["1|1|one"]);
    assert_eq!(
        lake.rows("SELECT a.*, a.id, b.v FROM t a JOIN t b USING (id)")
            .await,
        ["1|one|1|one"]
    );
    assert_eq!(
        lake.rows("SELECT * EXCLUDE (id), id FROM t").await,
        ["one|1"]
    );
    let copied = lake.fails("CREATE TABLE copy AS SELECT *, id FROM t").await;
    assert!(copied.to_string().contains("id"), "{copied}");
}
