//! How rows lie in the files that statements write: by partition, sorted, in few files.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use iceberg::spec::{
    FormatVersion, NestedField, NullOrder, PrimitiveType, Schema, SortDirection, SortField,
    SortOrder, Transform, Type, UnboundPartitionSpec,
};
use lakehouse::core::commit::NewTable;
use lakehouse::core::name::TableIdent;
use lakehouse::core::runtime::{Task, spawn};
use lakehouse::{ErrorKind, Lakehouse, Settings};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use crate::lake::{TestLake, settings};

/// A column, a transform, and whether it goes down and has NULL last.
type Term = (&'static str, Transform, bool, bool);

/// Makes the table `t (id BIGINT, p INT, name STRING)`.
async fn make(lake: &Lakehouse, partitions: &[(&str, Transform)], order: &[Term], mode: &str) {
    let types = [
        ("id", PrimitiveType::Long),
        ("p", PrimitiveType::Int),
        ("name", PrimitiveType::String),
    ];
    let fields = (1..).zip(types).map(|(id, (name, field_type))| {
        NestedField::optional(id, name, Type::Primitive(field_type)).into()
    });
    let schema = Schema::builder().with_fields(fields).build().unwrap();
    let mut spec = UnboundPartitionSpec::builder();
    for (column, transform) in partitions {
        let id = schema.field_id_by_name(column).unwrap();
        let name = format!(
            "{column}_{}",
            transform.to_string().replace(['[', ']'], "_")
        );
        spec = spec.add_partition_field(id, name, *transform).unwrap();
    }
    let terms = order
        .iter()
        .map(|(column, transform, descending, last)| SortField {
            source_id: schema.field_id_by_name(column).unwrap(),
            transform: *transform,
            direction: match descending {
                true => SortDirection::Descending,
                false => SortDirection::Ascending,
            },
            null_order: match last {
                true => NullOrder::Last,
                false => NullOrder::First,
            },
        });
    let order = SortOrder {
        order_id: i64::from(!order.is_empty()),
        fields: terms.collect(),
    };
    let mut properties = [
        ("write.target-file-size-bytes", "20000"),
        ("write.parquet.compression-codec", "uncompressed"),
        ("write.distribution-mode", mode),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec();
    properties.retain(|(_, value)| !value.is_empty());
    let new = NewTable {
        schema,
        partition_spec: Some(spec.build()),
        sort_order: Some(order),
        properties: properties.into_iter().collect(),
        location: None,
        format_version: FormatVersion::V2,
    };
    let (lake, catalog) = (lake.lake(), lake.catalog(lake.default_catalog()).unwrap());
    let ident = TableIdent::from_strs(["default", "t"]).unwrap();
    let staged = lake.commits().stage(catalog, &ident, new).await.unwrap();
    let _ = lake.commits().create(catalog, &staged, None).await.unwrap();
}

/// Rows whose order is that of a shuffled deck, some columns NULL.
const ROWS: &str = "SELECT (value * 7919) % 20011 AS id, \
     CASE WHEN value % 11 = 0 THEN NULL ELSE CAST(value % 5 AS INT) END AS p, \
     CASE WHEN value % 13 = 0 THEN NULL ELSE concat('n', value % 997) END AS name \
     FROM generate_series(1, 12000)";

/// The files of `t`: path without the folder, sort order, rows as they stand in it.
async fn files(lake: &TestLake) -> Vec<(String, String, RecordBatch)> {
    let listed = lake
        .rows("SELECT file_path, sort_order_id FROM t.files")
        .await;
    let mut files = Vec::new();
    for file in listed {
        let (path, order) = file.split_once('|').unwrap();
        let bytes = lake.lake.table("t").await.unwrap();
        let bytes = bytes.storage().read(path).await.unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let schema = std::sync::Arc::clone(reader.schema());
        let rows: Vec<RecordBatch> = reader.build().unwrap().map(|rows| rows.unwrap()).collect();
        let rows = arrow::compute::concat_batches(&schema, &rows).unwrap();
        files.push((path.to_owned(), order.to_owned(), rows));
    }
    files
}

fn ids(rows: &RecordBatch) -> Vec<i64> {
    rows.column(0).as_primitive::<Int64Type>().values().to_vec()
}

async fn same_rows(lake: &TestLake) {
    let found = lake.sorted("SELECT * FROM t").await;
    assert_eq!(found, lake.sorted(ROWS).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_sorted_table_hold_ranges_that_do_not_overlap() {
    let lake = TestLake::memory().await;
    make(
        &lake.lake,
        &[],
        &[("id", Transform::Identity, true, true)],
        "",
    )
    .await;
    let rows = "SELECT (value * 7919) % 200003 AS id, 1 AS p, 'a' AS name \
                FROM generate_series(1, 200000)";
    lake.run(&format!("INSERT INTO t {rows}")).await;
    let files = files(&lake).await;
    assert!(files.len() > 3, "{}", files.len());
    let mut ranges = Vec::new();
    for (_, order, rows) in &files {
        assert_eq!(order, "1");
        let ids = ids(rows);
        assert!(ids.iter().rev().is_sorted(), "{ids:?}");
        ranges.push((*ids.last().unwrap(), ids[0]));
    }
    ranges.sort_unstable();
    assert!(
        ranges.windows(2).all(|pair| pair[0].1 < pair[1].0),
        "{ranges:?}"
    );
    let count = "SELECT count(*), count(DISTINCT id) FROM t";
    assert_eq!(lake.rows(count).await, ["200000|200000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_sorted_by_transforms_and_nulls_stand_where_the_order_says() {
    let lake = TestLake::memory().await;
    let order = [
        ("name", Transform::Truncate(2), false, true),
        ("p", Transform::Identity, true, true),
        ("id", Transform::Identity, false, false),
    ];
    make(&lake.lake, &[("id", Transform::Bucket(3))], &order, "").await;
    lake.run(&format!("INSERT INTO t {ROWS}")).await;
    for (path, order, rows) in files(&lake).await {
        assert_eq!(order, "1", "{path}");
        let ids = ids(&rows);
        let parts: Vec<Option<i32>> = rows.column(1).as_primitive::<Int32Type>().iter().collect();
        let names = rows.column(2).as_string::<i32>().iter();
        let prefix = |name: Option<&str>| match name {
            Some(name) => (false, name.chars().take(2).collect::<String>()),
            None => (true, String::new()),
        };
        // NULL last: after every value of a column that goes up or down.
        let part = |part: Option<i32>| match part {
            Some(part) => (false, -part),
            None => (true, 0),
        };
        let keys = names.zip(parts).zip(ids);
        let keys: Vec<_> = keys
            .map(|((name, p), id)| (prefix(name), part(p), id))
            .collect();
        assert!(keys.is_sorted(), "{path}");
    }
    same_rows(&lake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_has_one_writer_though_several_write() {
    let lake = TestLake::memory().await;
    make(&lake.lake, &[("p", Transform::Identity)], &[], "").await;
    // Rows of several files come in several streams.
    lake.run(&format!(
        "CREATE TABLE source AS {ROWS}; INSERT INTO source {ROWS} LIMIT 0"
    ))
    .await;
    let plan =
        lake.rows("EXPLAIN INSERT INTO t SELECT * FROM source UNION ALL SELECT * FROM source");
    let plan = plan.await.join("\n");
    assert!(plan.contains("Hash([p@1], 2)"), "{plan}");
    lake.run("INSERT INTO t SELECT * FROM source UNION ALL SELECT * FROM source")
        .await;
    let mut writers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, order, _) in files(&lake).await {
        assert_eq!(order, "NULL");
        let (folder, name) = path.rsplit_once('/').unwrap();
        let writer = name.split('-').next().unwrap().to_owned();
        writers.entry(folder.to_owned()).or_default().push(writer);
    }
    assert_eq!(writers.len(), 6);
    for (folder, mut tasks) in writers.clone() {
        tasks.dedup();
        assert_eq!(tasks.len(), 1, "{folder}");
    }
    let mut tasks: Vec<_> = writers.into_values().flatten().collect();
    tasks.sort_unstable();
    tasks.dedup();
    assert_eq!(tasks.len(), 2);
    assert_eq!(lake.rows("SELECT count(*) FROM t").await, ["24000"]);
}

#[tokio::test]
async fn a_mode_that_is_not_known_is_refused_before_a_row_is_read() {
    let lake = TestLake::memory().await;
    make(&lake.lake, &[], &[], "sideways").await;
    let error = lake.session.sql("INSERT INTO t SELECT 1 / 0, 1, 'a'").await;
    let error = match error {
        Ok(result) => result.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("none, hash or range"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_partitions_are_written_within_a_small_budget() {
    let settings = Settings {
        memory_budget_bytes: Some(48 << 20),
        ..settings()
    };
    let lake = Lakehouse::builder().location("memory:").settings(settings);
    let session = lake.build().await.unwrap().session().unwrap();
    for sql in [
        "CREATE TABLE t (id BIGINT, p INT, s STRING) PARTITIONED BY (p)",
        "INSERT INTO t SELECT value, CAST(value % 1000 AS INT), repeat('x', 200) \
         FROM generate_series(1, 60000)",
    ] {
        session.sql(sql).await.unwrap().collect().await.unwrap();
    }
    let count = "SELECT count(*), count(DISTINCT id), (SELECT count(*) FROM t.files) FROM t";
    let rows = session.sql(count).await.unwrap().collect().await.unwrap();
    let number = |column: usize| rows[0].column(column).as_primitive::<Int64Type>().value(0);
    assert_eq!((number(0), number(1)), (60_000, 60_000));
    // A file that was begun before memory was short gets a second one.
    assert!((1_000..1_200).contains(&number(2)), "{}", number(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_insert_leaves_no_data_file() {
    let lake = TestLake::memory().await;
    make(&lake.lake, &[("p", Transform::Identity)], &[], "").await;
    let sql = "INSERT INTO t SELECT value, CAST(value % 3 AS INT), repeat('x', 100) \
               FROM generate_series(1, 100000000)";
    let session = lake.lake.session().unwrap();
    let insert = async move { session.sql(sql).await?.collect().await };
    let running: Task<lakehouse::Result<_>> = spawn(insert);
    let table = lake.lake.table("t").await.unwrap();
    let stored = async || {
        use futures::TryStreamExt;
        let files = table.storage().list(table.location()).unwrap();
        let files: Vec<_> = files.try_collect().await.unwrap();
        files
            .iter()
            .filter(|file| file.location.ends_with(".parquet"))
            .count()
    };
    while stored().await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(running);
    let mut left = usize::MAX;
    for _ in 0..1_000 {
        left = stored().await;
        if left == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(left, 0);
    assert_eq!(lake.rows("SELECT count(*) FROM t").await, ["0"]);
}

const MODES: [&str; 4] = ["", "none", "hash", "range"];
const PARTITIONS: [&[(&str, Transform)]; 4] = [
    &[],
    &[("p", Transform::Identity)],
    &[
        ("id", Transform::Bucket(7)),
        ("name", Transform::Truncate(1)),
    ],
    &[("id", Transform::Truncate(50))],
];
const ORDERS: [&[Term]; 3] = [
    &[],
    &[
        ("name", Transform::Identity, true, false),
        ("id", Transform::Bucket(4), false, true),
    ],
    &[("id", Transform::Identity, false, false)],
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_layout_keeps_every_row(
        mode in 0..MODES.len(),
        partitions in 0..PARTITIONS.len(),
        order in 0..ORDERS.len(),
        parts in 1..4,
        rows in 0..1_500,
    ) {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().unwrap().block_on(async move {
            let lake = TestLake::memory().await;
            make(&lake.lake, PARTITIONS[partitions], ORDERS[order], MODES[mode]).await;
            let part = |part: i32| format!("(SELECT * FROM ({ROWS}) WHERE id % {parts} = {part} \
                AND id < {rows})");
            let source: Vec<String> = (0..parts).map(part).collect();
            let source = source.join(" UNION ALL ");
            lake.run(&format!("INSERT INTO t {source}")).await;
            assert_eq!(lake.sorted("SELECT * FROM t").await, lake.sorted(&source).await);
            let is_sorted = order > 0;
            for (path, said, rows) in files(&lake).await {
                assert_eq!(said == "1", is_sorted, "{path}");
                let ids = ids(&rows);
                assert!(order != 2 || ids.is_sorted(), "{path}");
            }
        });
    }
}
