//! Equality deletes: which rows they remove, whatever a query reads and however they are applied.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float32Array,
    Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::prelude::SessionConfig;
use iceberg::spec::{
    Literal, NestedField, PrimitiveType, Schema, Struct, Transform, Type, UnboundPartitionSpec,
};
use lakehouse_core::error::{Error, ErrorKind};
use lakehouse_core::settings::Settings;
use lakehouse_testkit::write_equality_deletes;
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade, rows};

pub(super) fn longs(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

pub(super) fn texts(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

fn id_and_name() -> Schema {
    schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "name", PrimitiveType::String),
    ])
}

fn sample() -> RecordBatch {
    batch(vec![
        longs([Some(1), Some(2), None, Some(4), Some(5)]),
        texts(vec![Some("a"), None, Some("c"), None, Some("a")]),
    ])
}

/// A table with [`sample`] in it.
async fn sampled() -> HandMade {
    let mut made = HandMade::new(id_and_name());
    let file = made.write(&sample(), WriterProperties::default());
    made.commit(vec![file]).await;
    made
}

/// The rows of a query, by keys in memory and by a join.
pub(super) async fn both_ways(made: &mut HandMade, sql: &str) -> Vec<String> {
    made.set_key_bytes_max(None);
    let in_memory = made.rows(sql).await;
    let plan = made.rows(&format!("EXPLAIN {sql}")).await.join("\n");
    assert!(!plan.contains("SortMergeJoin"), "{plan}");
    made.set_key_bytes_max(Some(0));
    assert_eq!(made.rows(sql).await, in_memory, "{sql}");
    in_memory
}

pub(super) async fn ids(made: &mut HandMade) -> Vec<String> {
    both_ways(made, "SELECT id FROM t").await
}

#[tokio::test]
async fn d01_an_equality_delete_reaches_only_files_of_earlier_commits() {
    let mut made = sampled().await;
    let deletes = made.write_deletes(&[1], vec![longs([Some(1), Some(4)])]);
    let same_commit = made.write(&sample().slice(0, 1), WriterProperties::default());
    made.commit(vec![deletes, same_commit]).await;
    let later = made.write(&sample().slice(3, 1), WriterProperties::default());
    made.commit(vec![later]).await;
    assert_eq!(ids(&mut made).await, ["-", "1", "2", "4", "5"]);
    let plan = made.rows("EXPLAIN SELECT id FROM t").await.join("\n");
    assert!(plan.contains("SortMergeJoin"), "{plan}");
}

#[tokio::test]
async fn d02_a_deleted_value_leaves_null() {
    let mut made = sampled().await;
    let deletes = made.write_deletes(&[2], vec![texts(vec![Some("a")])]);
    made.commit(vec![deletes]).await;
    assert_eq!(ids(&mut made).await, ["-", "2", "4"]);
}

#[tokio::test]
async fn d03_a_deleted_null_removes_null() {
    let mut made = sampled().await;
    let deletes = made.write_deletes(&[2], vec![texts(vec![None])]);
    let of_ids = made.write_deletes(&[1], vec![longs([None])]);
    made.commit(vec![deletes, of_ids]).await;
    assert_eq!(ids(&mut made).await, ["1", "5"]);
}

#[tokio::test]
async fn d04_columns_count_together_and_files_on_their_own() {
    let mut made = sampled().await;
    let pairs = made.write_deletes(
        &[2, 1],
        vec![
            texts(vec![Some("a"), Some("c"), None]),
            longs([Some(5), Some(1), Some(4)]),
        ],
    );
    let of_ids = made.write_deletes(&[1], vec![longs([Some(2), Some(77)])]);
    made.commit(vec![pairs, of_ids]).await;
    assert_eq!(ids(&mut made).await, ["-", "1"]);
}

#[tokio::test]
async fn d05_fifty_thousand_keys_leave_exactly_the_others() {
    let mut made = HandMade::new(id_and_name());
    let numbers = batch(vec![
        longs((0..120_000).map(Some)),
        texts(vec![Some("x"); 120_000]),
    ]);
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(10_000))
        .build();
    let file = made.write(&numbers, properties);
    made.commit(vec![file]).await;
    let mut deletes = Vec::new();
    for part in 0..5 {
        let keys = (0..10_000).map(|key| Some((part * 10_000 + key) * 2));
        deletes.push(made.write_deletes(&[1], vec![longs(keys)]));
    }
    made.commit(deletes).await;
    let sql = "SELECT count(*), sum(id), count(*) FILTER (WHERE id % 2 = 0) FROM t";
    let odd: i64 = (0..120_000).filter(|id| id % 2 == 1).sum();
    let even: i64 = (100_000..120_000).filter(|id| id % 2 == 0).sum();
    let wanted = format!("70000|{}|10000", odd + even);
    assert_eq!(both_ways(&mut made, sql).await, [wanted]);
}

#[tokio::test]
async fn d06_required_columns_need_not_be_in_a_delete_file() {
    let required =
        |id, name: &str, kind| Arc::new(NestedField::required(id, name, Type::Primitive(kind)));
    let mut made = HandMade::new(schema(vec![
        required(1, "id", PrimitiveType::Long),
        required(2, "name", PrimitiveType::String),
    ]));
    let required = batch(vec![
        longs([Some(1), Some(2)]),
        texts(vec![Some("a"), Some("b")]),
    ]);
    let file = made.write(&required, WriterProperties::default());
    made.commit(vec![file]).await;
    let deletes = made.write_deletes(&[1], vec![longs([Some(2)])]);
    made.commit(vec![deletes]).await;
    assert_eq!(both_ways(&mut made, "SELECT name FROM t").await, ["a"]);
}

#[tokio::test]
async fn d07_a_missing_key_column_has_its_default_and_a_promoted_one_its_new_type() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "id", PrimitiveType::Int),
        optional(2, "price", PrimitiveType::Float),
    ]));
    let old = batch(vec![
        Arc::new(Int32Array::from(vec![1, 2, 3])),
        Arc::new(Float32Array::from(vec![0.5, 1.5, 2.5])),
    ]);
    let old_file = made.write(&old, WriterProperties::default());
    made.commit(vec![old_file]).await;
    // Old deletes have the old type.
    let old_deletes = made.write_deletes(&[1], vec![Arc::new(Int32Array::from(vec![1]))]);
    made.commit(vec![old_deletes]).await;
    let with_default = NestedField::optional(4, "kind", Type::Primitive(PrimitiveType::String))
        .with_initial_default(Literal::string("usual"));
    made.evolve(schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "price", PrimitiveType::Double),
        optional(3, "note", PrimitiveType::String),
        Arc::new(with_default),
    ]));
    assert_eq!(ids(&mut made).await, ["2", "3"]);
    let of_price = made.write_deletes(
        &[2, 3],
        vec![Arc::new(Float64Array::from(vec![1.5])), texts(vec![None])],
    );
    made.commit(vec![of_price]).await;
    assert_eq!(ids(&mut made).await, ["3"]);
    let null_kind = made.write_deletes(&[4], vec![texts(vec![None])]);
    made.commit(vec![null_kind]).await;
    assert_eq!(ids(&mut made).await, ["3"]);
    let usual = made.write_deletes(&[1, 4], vec![longs([Some(3)]), texts(vec![Some("usual")])]);
    made.commit(vec![usual]).await;
    assert_eq!(ids(&mut made).await.len(), 0);
}

fn by_region() -> UnboundPartitionSpec {
    UnboundPartitionSpec::builder()
        .add_partition_field(2, "name", Transform::Identity)
        .unwrap()
        .build()
}

fn in_partition(mut file: FileSpec, name: Option<&str>) -> FileSpec {
    file.partition = Struct::from_iter([name.map(Literal::string)]);
    file
}

fn of_region(made: &mut HandMade, name: Option<&str>, ids: &[i64]) -> FileSpec {
    let rows = batch(vec![
        longs(ids.iter().copied().map(Some)),
        texts(vec![name; ids.len()]),
    ]);
    let file = made.write(&rows, WriterProperties::default());
    in_partition(file, name)
}

#[tokio::test]
async fn d08_a_delete_stays_in_its_partition_and_one_without_reaches_all() {
    let mut made = HandMade::new(id_and_name());
    let file = made.write(&sample().slice(0, 2), WriterProperties::default());
    made.commit(vec![file]).await;
    let unpartitioned = made.table().metadata().default_partition_spec_id();
    made.repartition(by_region());
    let files = vec![
        of_region(&mut made, Some("a"), &[1, 2, 3]),
        of_region(&mut made, Some("b"), &[1, 2, 3]),
        of_region(&mut made, None, &[1, 2, 3]),
    ];
    made.commit(files).await;
    let keys = made.write_deletes(&[1], vec![longs([Some(1)])]);
    let keys_null = made.write_deletes(&[1], vec![longs([Some(2)])]);
    made.commit(vec![
        in_partition(keys, Some("a")),
        in_partition(keys_null, None),
    ])
    .await;
    let sql = "SELECT name, id FROM t";
    let rows = both_ways(&mut made, sql).await;
    let scoped = [
        "-|1", "-|2", "-|3", "a|1", "a|2", "a|3", "b|1", "b|2", "b|3",
    ];
    assert_eq!(rows, scoped);
    let mut global = made.write_deletes(&[1], vec![longs([Some(3), Some(1)])]);
    global.spec_id = unpartitioned;
    made.commit(vec![global]).await;
    let rows = both_ways(&mut made, sql).await;
    assert_eq!(rows, ["-|2", "a|2", "b|2"]);
    let later = vec![of_region(&mut made, Some("a"), &[1, 3])];
    made.commit(later).await;
    assert_eq!(both_ways(&mut made, sql).await.len(), 5);
}

#[tokio::test]
async fn d09_deletes_count_whatever_is_selected_and_filtered() {
    let mut made = HandMade::partitioned(id_and_name(), by_region());
    let file = of_region(&mut made, Some("a"), &[1, 2, 3, 4]);
    let other = of_region(&mut made, None, &[1, 2]);
    made.commit(vec![file, other]).await;
    let keys = made.write_deletes(&[1], vec![longs([Some(1), Some(4)])]);
    let keys_null = made.write_deletes(&[1], vec![longs([Some(2), None])]);
    made.commit(vec![
        in_partition(keys, Some("a")),
        in_partition(keys_null, None),
    ])
    .await;
    for (sql, wanted) in [
        ("SELECT name FROM t", vec!["-", "a", "a"]),
        ("SELECT count(*) FROM t", vec!["3"]),
        ("SELECT 1 FROM t", vec!["1", "1", "1"]),
        ("SELECT count(*) FROM t WHERE name IS NULL", vec!["1"]),
        (
            "SELECT name, count(*) FROM t GROUP BY name",
            vec!["-|1", "a|2"],
        ),
        ("SELECT DISTINCT name FROM t", vec!["-", "a"]),
        ("SELECT name FROM t WHERE id = 4", vec![]),
        ("SELECT id FROM t WHERE id IS NULL", vec![]),
        ("SELECT id + 1 FROM t WHERE name = 'a'", vec!["3", "4"]),
        ("SELECT max(id), min(id) FROM t", vec!["3|1"]),
    ] {
        assert_eq!(both_ways(&mut made, sql).await, wanted, "{sql}");
    }
}

#[tokio::test]
async fn d23_limits_and_counts_see_live_rows_only() {
    let mut made = HandMade::new(id_and_name());
    let mut files = Vec::new();
    for part in 0..4 {
        let ids = (part * 100..part * 100 + 100).map(Some);
        let rows = batch(vec![longs(ids), texts(vec![Some("x"); 100])]);
        files.push(made.write(&rows, WriterProperties::default()));
    }
    made.commit(files).await;
    // Nothing is left of the first files but the last row of each.
    let keys = (0..400).filter(|key| key % 100 != 99).map(Some);
    let deletes = made.write_deletes(&[1], vec![longs(keys)]);
    made.commit(vec![deletes]).await;
    for bytes in [None, Some(0)] {
        made.set_key_bytes_max(bytes);
        for partitions in [1, 3] {
            let config = SessionConfig::new().with_target_partitions(partitions);
            let context = made.context(config);
            for (sql, wanted) in [
                ("SELECT id FROM t LIMIT 3", 3),
                ("SELECT id FROM t LIMIT 10", 4),
                ("SELECT id FROM t LIMIT 10 OFFSET 1", 3),
                ("SELECT id FROM t WHERE id > 150 LIMIT 2", 2),
            ] {
                assert_eq!(rows(&context, sql).await.len(), wanted, "{sql}");
            }
            let sql = "SELECT id FROM t ORDER BY id DESC LIMIT 2";
            assert_eq!(rows(&context, sql).await, ["299", "399"]);
            let sql = "SELECT count(*), min(id), max(id), count(id) FROM t";
            assert_eq!(rows(&context, sql).await, ["4|99|399|4"]);
        }
    }
}

#[tokio::test]
async fn a_key_column_that_was_dropped_still_deletes() {
    let mut made = sampled().await;
    let deletes = made.write_deletes(&[1], vec![longs([Some(4), None])]);
    made.commit(vec![deletes]).await;
    // The old name comes back as another column.
    made.evolve(schema(vec![
        optional(2, "name", PrimitiveType::String),
        optional(3, "id", PrimitiveType::Long),
    ]));
    let rows = both_ways(&mut made, "SELECT * FROM t").await;
    assert_eq!(rows, ["-|-", "a|-", "a|-"]);
    // Files that never had the column have NULL there, which was deleted before they came.
    let file = made.write(&sample_of_names(), WriterProperties::default());
    made.commit(vec![file]).await;
    assert_eq!(both_ways(&mut made, "SELECT id FROM t").await.len(), 4);
    let deletes = made.write_deletes(&[1], vec![longs([None])]);
    made.commit(vec![deletes]).await;
    assert_eq!(both_ways(&mut made, "SELECT id FROM t").await.len(), 3);
}

fn sample_of_names() -> RecordBatch {
    batch(vec![texts(vec![Some("new")]), longs([Some(9)])])
}

#[tokio::test]
async fn keys_of_every_type_are_found() {
    let days: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![-1, 1]));
    let zoned: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![-1, 1]).with_timezone("UTC"));
    let decimals = Decimal128Array::from(vec![-5, 5]).with_precision_and_scale(9, 2);
    let fixed = |length: usize| -> ArrayRef {
        let values = [vec![1_u8; length], vec![2_u8; length]];
        Arc::new(FixedSizeBinaryArray::try_from_iter(values.iter()).unwrap())
    };
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![-f64::NAN, 0.0]));
    let decimal = PrimitiveType::Decimal {
        precision: 9,
        scale: 2,
    };
    for (kind, values) in [
        (PrimitiveType::Date, days),
        (PrimitiveType::Timestamp, times),
        (PrimitiveType::Timestamptz, zoned),
        (decimal, Arc::new(decimals.unwrap())),
        (PrimitiveType::Fixed(3), fixed(3)),
        (PrimitiveType::Uuid, fixed(16)),
        (
            PrimitiveType::Binary,
            Arc::new(BinaryArray::from(vec![&b"a"[..], b"b"])),
        ),
        (PrimitiveType::Double, floats),
    ] {
        let columns = vec![
            optional(1, "id", PrimitiveType::Long),
            optional(2, "k", kind.clone()),
        ];
        let mut made = HandMade::new(schema(columns));
        let rows = batch(vec![longs([Some(1), Some(2)]), Arc::clone(&values)]);
        let file = made.write(&rows, WriterProperties::default());
        made.commit(vec![file]).await;
        let key = if kind == PrimitiveType::Double {
            Arc::new(Float64Array::from(vec![f64::NAN, -0.0]))
        } else {
            values.slice(0, 1)
        };
        let deletes = made.write_deletes(&[2], vec![key]);
        made.commit(vec![deletes]).await;
        assert_eq!(ids(&mut made).await, ["2"], "{kind}");
    }
}

#[tokio::test]
async fn empty_files_and_keys_named_twice_change_nothing() {
    let mut made = sampled().await;
    let empty = made.write_deletes(&[1], vec![longs([])]);
    made.commit(vec![empty]).await;
    assert_eq!(ids(&mut made).await.len(), 5);
    let twice = made.write_deletes(&[1], vec![longs([Some(2), Some(2), Some(99)])]);
    let again = made.write_deletes(&[1], vec![longs([Some(2)])]);
    made.commit(vec![twice, again]).await;
    let later = made.write_deletes(&[1], vec![longs([Some(2)])]);
    made.commit(vec![later]).await;
    assert_eq!(ids(&mut made).await, ["-", "1", "4", "5"]);
}

#[tokio::test]
async fn damaged_deletes_are_named() {
    for (ids, kind, words) in [
        (
            &[9][..],
            ErrorKind::Corrupt,
            "field id 9, which the table never had",
        ),
        (&[], ErrorKind::Corrupt, "no equality ids"),
        (&[1, 2], ErrorKind::Corrupt, "no column \"name\""),
    ] {
        let mut made = sampled().await;
        let mut deletes = made.write_deletes(&[1], vec![longs([Some(2)])]);
        deletes.equality_ids = Some(ids.to_vec());
        made.commit(vec![deletes]).await;
        for bytes in [None, Some(0)] {
            made.set_key_bytes_max(bytes);
            let error = made.error("SELECT name FROM t").await;
            assert_eq!(error.kind(), kind, "{error}");
            let error = error.to_string();
            assert!(error.contains(words), "{error}");
            assert!(error.contains("data-2.parquet"), "{error}");
        }
    }
}

/// Keys `0..keys` of a table with ids `0..rows`, deleted by a file that claims `claimed` of them.
async fn with_many_deletes(rows: i64, keys: i64, claimed: u64) -> HandMade {
    let columns = schema(vec![optional(1, "id", PrimitiveType::Long)]);
    let mut made = HandMade::new(columns.clone());
    let file = made.write(
        &batch(vec![longs((0..rows).map(Some))]),
        WriterProperties::default(),
    );
    made.commit(vec![file]).await;
    let keys = longs((0..keys).map(Some));
    let path = made.path("deletes.parquet");
    let mut deletes = write_equality_deletes(&path, &columns, &[keys]).unwrap();
    let deletes = deletes.record_count(claimed).build().unwrap();
    made.commit_delta(made.delta().add(deletes)).await;
    made
}

fn with_budget(mib: u64) -> Settings {
    Settings {
        memory_budget_bytes: Some(mib << 20),
        ..Settings::default()
    }
}

#[tokio::test]
async fn keys_beyond_a_share_of_the_budget_are_joined_within_it() {
    let made = with_many_deletes(100_000, 90_000, 90_000).await;
    let config = SessionConfig::new().with_target_partitions(1);
    let context = made.context_with(config, &with_budget(24));
    let sql = "SELECT count(*), min(id) FROM t";
    let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
    assert!(plan.contains("SortMergeJoin"), "{plan}");
    assert_eq!(rows(&context, sql).await, ["10000|90000"]);
}

#[tokio::test]
async fn more_keys_than_the_manifest_says_are_a_damaged_file() {
    let made = with_many_deletes(10, 100_000, 1).await;
    let context = made.context_with(SessionConfig::new(), &with_budget(1));
    let frame = context.sql("SELECT id FROM t").await.unwrap();
    let error = Error::from(frame.collect().await.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("deletes.parquet"), "{error}");
}
