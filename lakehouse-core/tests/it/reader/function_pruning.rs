//! Conditions on functions of columns skip row groups, and no row.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::PrimitiveType;
use lakehouse_core::provider::transform_functions;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, pruned, rows};
use super::pruning::finely;

const DAY_US: i64 = 86_400_000_000;

/// Forty rows in five row groups: times from 1969 on, ten days apart, and texts in their order.
fn values() -> RecordBatch {
    let times = (0..40).map(|n| (n - 10) * 10 * DAY_US - 1);
    let times: Vec<i64> = times.collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..40)),
        Arc::new(TimestampMicrosecondArray::from(times.clone())),
        Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")),
        Arc::new(StringArray::from_iter_values(
            (0..40).map(|n| format!("a{n:03}b")),
        )),
    ];
    batch(columns)
}

#[tokio::test]
async fn functions_of_columns_skip_row_groups() {
    let mut made = HandMade::new(schema(vec![
        optional(1, "n", PrimitiveType::Long),
        optional(2, "ts", PrimitiveType::Timestamp),
        optional(3, "tz", PrimitiveType::Timestamptz),
        optional(4, "s", PrimitiveType::String),
    ]));
    let file = made.write(&values(), finely());
    made.commit(vec![file]).await;
    let context = made.context(SessionConfig::new().with_target_partitions(2));
    let full = SessionContext::new();
    let names = ["n", "ts", "tz", "s"].map(str::to_owned);
    let renamed = values();
    let fields: Vec<_> = renamed
        .schema()
        .fields()
        .iter()
        .zip(names)
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    let named = Arc::new(arrow::datatypes::Schema::new(fields));
    let renamed = RecordBatch::try_new(Arc::clone(&named), renamed.columns().to_vec()).unwrap();
    let memory = MemTable::try_new(named, vec![vec![renamed]]).unwrap();
    full.register_table("t", Arc::new(memory)).unwrap();
    for context in [&context, &full] {
        for function in transform_functions() {
            context.register_udf(function);
        }
    }
    let berlin = "arrow_cast(tz, 'Timestamp(Microsecond, Some(\"Europe/Berlin\"))')";
    for condition in [
        "date_trunc('month', ts) = TIMESTAMP '1969-12-01 00:00:00'".to_owned(),
        "date_trunc('week', ts) < TIMESTAMP '1969-12-01 00:00:00'".to_owned(),
        "CAST(ts AS DATE) = DATE '1969-12-31'".to_owned(),
        "date_part('year', ts) = 1969".to_owned(),
        "date_part('year', ts) IN (1968, 1969)".to_owned(),
        format!("CAST({berlin} AS DATE) = DATE '1970-01-01'"),
        format!(
            "date_trunc('month', {berlin}) > arrow_cast('1970-07-01T00:00:00', \
             'Timestamp(Microsecond, Some(\"Europe/Berlin\"))')"
        ),
        format!(
            "{berlin} > arrow_cast('1970-07-01T00:00:00', 'Timestamp(Microsecond, Some(\"Europe/Berlin\"))')"
        ),
        "left(s, 3) = 'a00'".to_owned(),
        "substr(s, 1, 3) > 'a01'".to_owned(),
        "s LIKE 'a01%'".to_owned(),
        "starts_with(s, 'a03')".to_owned(),
        "truncate(3, s) <= 'a00'".to_owned(),
        "truncate(10, n) = 20".to_owned(),
        "truncate(10, n) NOT IN (0, 10, 20)".to_owned(),
        "days(tz) = DATE '1969-12-31'".to_owned(),
        "months(ts) < 0".to_owned(),
        "years(ts) = -1".to_owned(),
        "hours(ts) BETWEEN -24 AND 24".to_owned(),
    ] {
        let sql = format!("SELECT n FROM t WHERE {condition}");
        let found = rows(&context, &sql).await;
        assert_eq!(found, rows(&full, &sql).await, "{condition}");
        assert!(!found.is_empty(), "{condition}");
        let skipped = pruned(&context, &sql, "row_groups_pruned_statistics").await;
        assert!(skipped > 0, "{condition}");
    }
}
