//! What the optimiser is told of a scan: exact only when true.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use datafusion::common::stats::Precision;
use datafusion::common::{ScalarValue, Statistics};
use datafusion::prelude::SessionConfig;
use iceberg::spec::{BlobMetadata, Datum, PrimitiveType, StatisticsFile};
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, rows};

async fn statistics(made: &HandMade, sql: &str) -> Statistics {
    let context = made.context(SessionConfig::new().with_target_partitions(1));
    let plan = context.sql(sql).await.unwrap();
    let plan = plan.create_physical_plan().await.unwrap();
    plan.partition_statistics(None).unwrap()
}

fn sketch(field_id: i32, kind: &str, estimate: &str) -> BlobMetadata {
    BlobMetadata {
        r#type: kind.to_owned(),
        snapshot_id: 1,
        sequence_number: 1,
        fields: vec![field_id],
        properties: HashMap::from([("ndv".to_owned(), estimate.to_owned())]),
    }
}

fn sketches(snapshot_id: i64, blob_metadata: Vec<BlobMetadata>) -> StatisticsFile {
    StatisticsFile {
        snapshot_id,
        statistics_path: "nowhere.puffin".to_owned(),
        file_size_in_bytes: 1,
        file_footer_size_in_bytes: 1,
        key_metadata: None,
        blob_metadata,
    }
}

#[tokio::test]
async fn distinct_counts_come_from_the_nearest_sketches_and_are_estimates() {
    const THETA: &str = "apache-datasketches-theta-v1";
    let kinds = [("a", 1), ("b", 2), ("c", 3), ("d", 4)];
    let fields = kinds.map(|(name, id)| optional(id, name, PrimitiveType::Long));
    let mut made = HandMade::new(schema(fields.to_vec()));
    let column = || Arc::new(Int64Array::from_iter_values(0..10)) as _;
    let rows = batch(vec![column(), column(), column(), column()]);
    let mut snapshots = Vec::new();
    for _ in 0..3 {
        let file = made.write(&rows, WriterProperties::default());
        made.commit(vec![file]).await;
        snapshots.push(made.table().snapshot_id().unwrap());
    }
    let distinct = |statistics: Statistics| -> Vec<Precision<usize>> {
        let columns = statistics.column_statistics.into_iter();
        columns.map(|column| column.distinct_count).collect()
    };
    let sql = "SELECT a, b, c, d FROM t";
    assert_eq!(
        distinct(statistics(&made, sql).await),
        [Precision::Absent; 4]
    );
    let old = vec![
        sketch(1, THETA, "3"),
        sketch(2, THETA, "1000"),
        sketch(3, "other", "7"),
    ];
    made.set_statistics(sketches(snapshots[0], old));
    let new = vec![sketch(1, THETA, "5"), sketch(4, THETA, "many")];
    made.set_statistics(sketches(snapshots[1], new));
    assert_eq!(
        distinct(statistics(&made, sql).await),
        [
            Precision::Inexact(5),
            // No more than there are rows.
            Precision::Inexact(30),
            Precision::Absent,
            Precision::Absent
        ]
    );
    assert_eq!(
        distinct(statistics(&made, "SELECT b, a FROM t").await).len(),
        2
    );
    // Estimates answer nothing.
    let context = made.context(SessionConfig::new());
    let count = "SELECT count(DISTINCT a) FROM t";
    assert_eq!(super::handmade::rows(&context, count).await, ["10"]);
}

#[tokio::test]
async fn only_bounds_that_are_values_for_certain_answer_min_and_max() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "l", PrimitiveType::Long),
        optional(2, "s", PrimitiveType::String),
        optional(3, "f", PrimitiveType::Double),
        optional(4, "d", PrimitiveType::Date),
        optional(5, "ts", PrimitiveType::Timestamp),
        optional(6, "odd", PrimitiveType::Timestamp),
    ]));
    let times = [1_700_000, 2_400_999];
    let columns = batch(vec![
        Arc::new(Int64Array::from(vec![1, 2])),
        Arc::new(StringArray::from(vec!["a", "b"])),
        Arc::new(Float64Array::from(vec![1.0, f64::NAN])),
        Arc::new(Date32Array::from(vec![1, 2])),
        Arc::new(TimestampMicrosecondArray::from(times.to_vec())),
        Arc::new(TimestampMicrosecondArray::from(vec![1_700_001, 2_400_999])),
    ]);
    let file = made
        .write(&columns, WriterProperties::default())
        .data_file();
    // Times are bounded as by a writer that knows milliseconds.
    let mut lower = file.lower_bounds().clone();
    let mut upper = file.upper_bounds().clone();
    lower.insert(4, Datum::date(1));
    upper.insert(4, Datum::date(2));
    lower.insert(5, Datum::timestamp_micros(1_700_000));
    upper.insert(5, Datum::timestamp_micros(2_401_000));
    lower.insert(6, Datum::timestamp_micros(1_700_001));
    upper.insert(6, Datum::timestamp_micros(2_400_999));
    let file = made.rebounded(&file, lower, upper);
    let delta = made.delta().add(file);
    made.commit_delta(delta).await;
    let statistics = statistics(&made, "SELECT l, s, f, d, ts, odd FROM t").await;
    let columns = &statistics.column_statistics;
    assert_eq!(
        columns[0].max_value,
        Precision::Exact(ScalarValue::Int64(Some(2)))
    );
    assert_eq!(columns[0].null_count, Precision::Exact(0));
    assert_eq!(columns[1].max_value.is_exact(), Some(false));
    assert_ne!(columns[2].max_value.is_exact(), Some(true));
    assert_eq!(
        columns[3].max_value,
        Precision::Exact(ScalarValue::Date32(Some(2)))
    );
    assert_eq!(columns[4].max_value.is_exact(), Some(false));
    assert_eq!(columns[5].max_value.is_exact(), Some(true));
    let context = made.context(SessionConfig::new());
    for (sql, answer, is_read) in [
        ("SELECT max(ts) FROM t", "1970-01-01T00:00:02.400999", true),
        (
            "SELECT max(odd) FROM t",
            "1970-01-01T00:00:02.400999",
            false,
        ),
        ("SELECT min(s) FROM t", "a", true),
        ("SELECT max(f) FROM t", "NaN", true),
        ("SELECT count(*) FROM t", "2", false),
        ("SELECT count(s) FROM t", "2", false),
        ("SELECT max(l) FROM t", "2", false),
        ("SELECT max(l) FROM t WHERE l < 2", "1", true),
        ("SELECT max(l + 1) FROM t", "3", true),
    ] {
        assert_eq!(rows(&context, sql).await, [answer], "{sql}");
        let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
        assert_eq!(plan.contains("DataSourceExec"), is_read, "{sql}: {plan}");
    }
}
