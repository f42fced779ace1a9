//! T: transforms and partition values.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use iceberg::spec::{
    DataContentType, DataFileBuilder, DataFileFormat, Literal, ManifestList, Struct,
};
use lakehouse::core::commit::FileChange;
use lakehouse::core::write::WrittenFile;
use parquet::arrow::{ArrowWriter, PARQUET_FIELD_ID_META_KEY};

use crate::columns::append_file;
use crate::lake::TestLake;
use crate::process::{answers, command};

#[tokio::test]
async fn t01_times_before_1970_go_down() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (y DATE, m DATE, d TIMESTAMP, h TIMESTAMP) \
         PARTITIONED BY (years(y), months(m), days(d), hours(h)); \
         INSERT INTO t VALUES ('1969-12-31', '1969-12-31', '1969-12-31 23:59:59', \
         '1969-12-31 23:59:59'), ('1968-12-31', '1969-11-30', '1969-12-30 00:00:00', \
         '1969-12-31 22:59:59.999999')",
    )
    .await;
    let partitions = "SELECT partition.y_year, partition.m_month, partition.d_day, \
                      partition.h_hour FROM t.files ORDER BY 1";
    assert_eq!(
        lake.rows(partitions).await,
        ["-2|-2|1969-12-30|-2", "-1|-1|1969-12-31|-1"]
    );
    let found = "SELECT count(*) FROM t WHERE h = TIMESTAMP '1969-12-31 23:59:59' \
                 AND d >= TIMESTAMP '1969-12-31 00:00:00' AND y > DATE '1969-01-01'";
    assert_eq!(lake.one(found).await, "1");
}

#[tokio::test]
async fn t03_no_time_zone_changes_a_partition() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (n INT, ts TIMESTAMP, tz TIMESTAMPTZ) PARTITIONED BY (days(ts), days(tz))",
    )
    .await;
    let insert = |n: i32| {
        format!(
            "INSERT INTO t VALUES ({n}, TIMESTAMP '2026-01-01 23:30:00', '2026-01-01T23:30:00Z')"
        )
    };
    for (n, zone) in [(1, "UTC"), (2, "Asia/Tokyo"), (3, "America/Los_Angeles")] {
        lake.run(&format!("SET TIME ZONE '{zone}'; {}", insert(n)))
            .await;
    }
    let mut machine = command(&lake.path(), &insert(4), 1);
    machine.env("TZ", "Pacific/Auckland").stdout(Stdio::piped());
    assert_eq!(answers(&machine.output().unwrap()), ["ok 1"]);

    let partitions = "SELECT DISTINCT partition.ts_day, partition.tz_day FROM t.files";
    assert_eq!(lake.rows(partitions).await, ["2026-01-01|2026-01-01"]);
    for zone in ["UTC", "Asia/Tokyo", "America/Los_Angeles"] {
        lake.run(&format!("SET TIME ZONE '{zone}'")).await;
        let found = "SELECT count(*) FROM t WHERE ts = TIMESTAMP '2026-01-01 23:30:00' \
                     AND tz = '2026-01-01T23:30:00Z'";
        assert_eq!(lake.one(found).await, "4", "{zone}");
    }
}

#[tokio::test]
async fn t04_a_truncated_negative_number_is_found() {
    let lake = TestLake::memory().await;
    lake.run(
        "CREATE TABLE t (i INT) PARTITIONED BY (truncate(10, i)); \
         INSERT INTO t VALUES (-1), (-10), (-11), (0), (9)",
    )
    .await;
    let partitions = "SELECT partition.i_trunc, record_count FROM t.files ORDER BY 1";
    assert_eq!(lake.rows(partitions).await, ["-20|1", "-10|2", "0|2"]);
    assert_eq!(lake.rows("SELECT i FROM t WHERE i = -1").await, ["-1"]);
    assert_eq!(
        lake.sorted("SELECT i FROM t WHERE i < -9").await,
        ["-10", "-11"]
    );
}

#[tokio::test]
async fn t02_files_of_old_writers_are_found() {
    const HOUR_US: i64 = 3_600_000_000;
    for (transform, step_us) in [("hours", HOUR_US), ("days", 24 * HOUR_US)] {
        let lake = TestLake::folder().await;
        lake.run(&format!(
            "CREATE TABLE t (ts TIMESTAMP) PARTITIONED BY ({transform}(ts))"
        ))
        .await;
        // Old writers cut towards zero: what belongs to -1 and -2 stands under 0 and -1.
        for (time, partition) in [
            (-1, 0),
            (-step_us - 1, -1),
            (-2 * step_us, -2),
            (step_us, 1),
        ] {
            let times = TimestampMicrosecondArray::from(vec![time]);
            let partition = match transform {
                "hours" => Literal::int(partition),
                _ => Literal::date(partition),
            };
            let columns = vec![(1, Arc::new(times) as ArrayRef)];
            append_file(&lake, "t", columns, Struct::from_iter([Some(partition)])).await;
        }
        for time in [-1, -step_us - 1, -2 * step_us, step_us] {
            let literal = format!("arrow_cast({time}, 'Timestamp(Microsecond, None)')");
            for condition in [
                format!("ts = {literal}"),
                format!("ts BETWEEN {literal} AND {literal}"),
                format!("ts IN ({literal})"),
            ] {
                let query = format!("SELECT arrow_cast(ts, 'Int64') FROM t WHERE {condition}");
                assert_eq!(
                    lake.rows(&query).await,
                    [time.to_string()],
                    "{transform}: {query}"
                );
            }
        }
        let before = "SELECT count(*) FROM t WHERE ts < TIMESTAMP '1970-01-01 00:00:00'";
        assert_eq!(lake.one(before).await, "3");
    }
}

#[tokio::test]
async fn t05_t06_t07_values_of_every_type_are_found_in_their_buckets() {
    let lake = TestLake::memory().await;
    for (kind, values) in [
        ("INT", vec!["-2147483648", "-1", "0", "34"]),
        ("BIGINT", vec!["-1", "34", "9223372036854775807"]),
        ("DECIMAL(9, 2)", vec!["-0.01", "-1.28", "-1.29", "14.20"]),
        (
            "DECIMAL(38, 3)",
            vec!["-12345678901234567890.123", "-0.128"],
        ),
        ("DATE", vec!["DATE '1969-12-31'", "DATE '2017-11-16'"]),
        ("TIME", vec!["TIME '00:00:00'", "TIME '22:31:08.000001'"]),
        (
            "TIMESTAMP",
            vec![
                "TIMESTAMP '1969-12-31 23:59:59.999999'",
                "TIMESTAMP '2017-11-16 22:31:08'",
            ],
        ),
        (
            "TIMESTAMPTZ",
            vec!["TIMESTAMPTZ '2017-11-16T14:31:08-08:00'"],
        ),
        ("VARCHAR", vec!["''", "'iceberg'", "'größe'", "'🦀 beyond'"]),
        ("UUID", vec!["'f79c3e09-677c-4bbd-a479-3f349cb785e7'"]),
        ("BINARY", vec!["X''", "X'00010203'"]),
    ] {
        lake.run(&format!(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (v {kind}) PARTITIONED BY (bucket(16, v))"
        ))
        .await;
        for value in &values {
            lake.run(&format!("INSERT INTO t VALUES ({value})")).await;
        }
        for value in &values {
            for condition in [format!("v = {value}"), format!("v IN ({value})")] {
                let found = format!("SELECT count(*) FROM t WHERE {condition}");
                assert_eq!(lake.one(&found).await, "1", "{kind}: {found}");
            }
        }
    }
}

#[tokio::test]
async fn t08_summaries_of_every_transform_have_bounds() {
    let lake = TestLake::folder().await;
    lake.run(
        "CREATE TABLE t (i INT, s VARCHAR, ts TIMESTAMP, tz TIMESTAMPTZ, d DATE, y DATE) PARTITIONED BY \
         (bucket(4, i), bucket(4, s), truncate(2, s), years(y), months(d), days(tz), hours(ts)); \
         INSERT INTO t VALUES (1, 'one', '1969-12-31 23:00:00', '2026-01-01T00:00:00Z', \
         '1969-12-31', '1969-12-31'), \
         (2, 'two', '2026-01-01 00:00:00', '1969-12-31T23:00:00Z', \
         '2026-01-01', '1968-01-01'); \
         INSERT INTO t VALUES (NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    let table = lake.lake.table("t").await.unwrap();
    let list = table.snapshot().unwrap().manifest_list();
    let bytes = table.storage().read(list).await.unwrap();
    let list = ManifestList::parse_with_version(&bytes, table.format_version()).unwrap();
    let mut with_nulls = 0;
    for manifest in list.entries() {
        let summaries = manifest.partitions.as_ref().unwrap();
        assert_eq!(summaries.len(), 7);
        let all_null = summaries.iter().filter(|field| field.contains_null).count();
        assert!(all_null == 0 || all_null == 7, "{summaries:?}");
        with_nulls += usize::from(all_null > 0);
        for field in summaries {
            let has_bounds = field.lower_bound.is_some() && field.upper_bound.is_some();
            assert_eq!(has_bounds, !field.contains_null, "{field:?}");
        }
    }
    assert_eq!((list.entries().len(), with_nulls), (2, 1));
}

#[tokio::test]
async fn t10_a_column_the_file_lacks_takes_the_manifests_value() {
    let lake = TestLake::folder().await;
    lake.run("CREATE TABLE t (id INT, part VARCHAR) PARTITIONED BY (part)")
        .await;
    let table = lake.lake.table("t").await.unwrap();
    let mut files = Vec::new();
    for (number, part) in [Some("x"), None].into_iter().enumerate() {
        let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), "1".to_owned())]);
        let field = Field::new("id", DataType::Int32, true).with_metadata(id);
        let schema = Arc::new(Schema::new(vec![field]));
        let id = i32::try_from(number).unwrap();
        let rows = vec![Arc::new(Int32Array::from(vec![id])) as _];
        let batch = RecordBatch::try_new(Arc::clone(&schema), rows).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let location = format!("{}/data/hive-{number}.parquet", table.location());
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
            .partition(Struct::from_iter([part.map(Literal::string)]))
            .record_count(1)
            .file_size_in_bytes(size)
            .build()
            .unwrap();
        files.push(WrittenFile {
            data_file,
            spec_id: table.partition_spec().spec_id(),
        });
    }
    let catalog = lake.lake.catalog("lake").unwrap();
    let append = FileChange::append(&table, files);
    let commits = lake.lake.lake().commits();
    let _ = commits
        .commit(catalog, table.ident(), append)
        .await
        .unwrap();

    assert_eq!(
        lake.rows("SELECT id, part FROM t ORDER BY id").await,
        ["0|x", "1|NULL"]
    );
    assert_eq!(lake.rows("SELECT id FROM t WHERE part = 'x'").await, ["0"]);
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE part IS NULL").await,
        ["1"]
    );
    assert_eq!(
        lake.rows("SELECT id FROM t WHERE part <> 'x'").await,
        [""; 0]
    );
    let counts = "SELECT part, count(*) FROM t GROUP BY part ORDER BY part";
    assert_eq!(lake.rows(counts).await, ["x|1", "NULL|1"]);
}

#[tokio::test]
async fn t14_special_characters_are_encoded_once() {
    let lake = TestLake::folder().await;
    let values = [
        "a/b", "a#b", "a?b", "100%", "%2F", "a b", "..", "ü", "日本", "a=b&c", "\\",
    ];
    lake.run("CREATE TABLE \"t%20 #?\" (v VARCHAR) PARTITIONED BY (v)")
        .await;
    let rows: Vec<String> = values.iter().map(|value| format!("('{value}')")).collect();
    lake.run(&format!(
        "INSERT INTO \"t%20 #?\" VALUES {}",
        rows.join(", ")
    ))
    .await;
    let mut expected: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
    expected.sort_unstable();
    assert_eq!(lake.sorted("SELECT v FROM \"t%20 #?\"").await, expected);
    for value in values {
        let found = format!("SELECT v FROM \"t%20 #?\" WHERE v = '{value}'");
        assert_eq!(lake.rows(&found).await, [value]);
    }
    // Each recorded path is, byte for byte, a file that is there.
    for path in lake.rows("SELECT file_path FROM \"t%20 #?\".files").await {
        let file = path.strip_prefix("file://").unwrap_or(&path);
        assert!(std::path::Path::new(file).is_file(), "{path}");
    }
    let other = lake.reopen().await.session().unwrap();
    let count = other.sql("SELECT count(*) FROM \"t%20 #?\"").await.unwrap();
    let count = crate::lake::rows_of(count).await.unwrap();
    assert_eq!(count, [values.len().to_string()]);
}

#[tokio::test]
async fn t15_locations_keep_every_byte() {
    let lake = TestLake::folder().await;
    for (number, place) in ["a//b", "/c", "per%20cent"].into_iter().enumerate() {
        let location = format!("{}/{place}{number}", lake.root());
        lake.run(&format!(
            "CREATE TABLE t{number} (a INT) LOCATION '{location}'; \
             INSERT INTO t{number} VALUES ({number})"
        ))
        .await;
        let table = lake.lake.table(&format!("t{number}")).await.unwrap();
        assert_eq!(table.location(), location);
        let read = lake.one(&format!("SELECT a FROM t{number}")).await;
        assert_eq!(read, number.to_string());
        let below =
            format!("SELECT bool_and(starts_with(file_path, '{location}')) FROM t{number}.files");
        assert_eq!(lake.one(&below).await, "true");
    }
}

/// Tables of others whose location ends with slashes, or holds two: the recorded text stays as it
/// is, over commits of several processes, and their files are found.
#[tokio::test]
async fn t15_a_registered_location_keeps_its_slashes() {
    let lake = TestLake::folder().await;
    for (number, place) in ["end/", "in//side", "both//ends//"].into_iter().enumerate() {
        let location = format!("{}/{place}", lake.root());
        let metadata = serde_json::json!({
            "format-version": 2,
            "table-uuid": format!("9c12d441-03fe-4693-9a96-a0705ddf69c{number}"),
            "location": location,
            "last-sequence-number": 0,
            "last-updated-ms": 1_700_000_000_000_i64,
            "last-column-id": 1,
            "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "int"}
            ]}],
            "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}],
            "last-partition-id": 999,
            "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}],
        });
        let folder = format!("{}/metadata", location.trim_end_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        let first = format!("{folder}/v1.metadata.json");
        std::fs::write(&first, metadata.to_string()).unwrap();

        let table = format!("t{number}");
        lake.run(&format!(
            "CALL system.register_table('{table}', '{first}'); \
             INSERT INTO {table} VALUES (1); INSERT INTO {table} VALUES (2)"
        ))
        .await;
        let other = lake.reopen().await;
        let insert = format!("INSERT INTO {table} VALUES (3)");
        other.session().unwrap().sql(&insert).await.unwrap();

        let rows = lake.sorted(&format!("SELECT a FROM {table}")).await;
        assert_eq!(rows, ["1", "2", "3"]);
        let now = other.table(&table).await.unwrap();
        let written = std::fs::read(now.metadata_location()).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written["location"], location);
        let root = location.trim_end_matches('/');
        let below =
            format!("SELECT bool_and(starts_with(file_path, '{root}/')) FROM {table}.files");
        assert_eq!(lake.one(&below).await, "true");
    }
}

#[tokio::test]
async fn a_partition_whose_type_grew_counts_once() {
    for mode in ["copy-on-write", "merge-on-read"] {
        let lake = TestLake::memory().await;
        lake.run(&format!(
            "CREATE TABLE t (p INT, r REAL, v INT) PARTITIONED BY (p, r) TBLPROPERTIES (
               'write.update.mode' = '{mode}', 'write.summary.partition-limit' = '10');
             INSERT INTO t VALUES (1, 0.5, 1), (1, 0.5, 2), (2, 0.5, 3);
             ALTER TABLE t ALTER COLUMN p TYPE BIGINT;
             ALTER TABLE t ALTER COLUMN r TYPE DOUBLE;
             UPDATE t SET v = v + 10 WHERE p = 1 AND v = 1"
        ))
        .await;
        let last = "FROM t.snapshots ORDER BY committed_at DESC LIMIT 1";
        let count = format!("SELECT summary['changed-partition-count'] {last}");
        assert_eq!(lake.one(&count).await, "1", "{mode}");
        let counts = format!("SELECT summary['partitions.p=1/r=0.5'] {last}");
        let counts = lake.one(&counts).await;
        assert!(counts.contains("added-data-files=1"), "{counts}");
        let rows = lake.sorted("SELECT p, v FROM t").await;
        assert_eq!(rows, ["1|11", "1|2", "2|3"]);
    }
}
