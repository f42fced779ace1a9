//! What arithmetic of decimals costs a query: a session's, beside the engine's alone on the same
//! rows in memory.

use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use criterion::{Criterion, Throughput};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use lakehouse::Lakehouse;
use tokio::runtime::Runtime;

/// Rows of the table, and of one batch of it.
const ROWS: usize = 1_048_576;
const BATCH_ROWS: usize = 8192;

/// Queries by what they measure: one operation more each, then decimals of more than 64 bits.
const QUERIES: [(&str, &str); 6] = [
    ("sum alone", "sum(price)"),
    ("1 - discount", "sum(1 - discount)"),
    ("price - discount", "sum(price - discount)"),
    ("price * discount", "sum(price * discount)"),
    (
        "charge",
        "sum(price * (1 - discount)), sum(price * (1 - discount) * (1 + tax))",
    ),
    ("wide * discount", "sum(wide * discount)"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new()?;
    let batches = rows()?;
    let folder = tempfile::tempdir()?;
    let location = folder.path().join("lake").to_string_lossy().into_owned();
    let session = runtime.block_on(async {
        let session = Lakehouse::open(&location).await?.session()?;
        let one_thread = "SET datafusion.execution.target_partitions = 1";
        session.sql(one_thread).await?.collect().await?;
        session.register_batches("t", batches.clone()).await?;
        Ok::<_, lakehouse::Error>(session)
    })?;
    let engine = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let schema = batches.first().ok_or("the table has rows")?.schema();
    engine.register_table("t", Arc::new(MemTable::try_new(schema, vec![batches])?))?;

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("decimal");
    group.throughput(Throughput::Elements(u64::try_from(ROWS)?));
    for (name, sums) in QUERIES {
        for (shape, tail) in [("", ""), (", grouped", " GROUP BY id")] {
            let sql = format!("SELECT {sums} FROM t{tail}");
            group.bench_function(format!("{name}{shape}/session"), |bencher| {
                bencher
                    .to_async(&runtime)
                    .iter(|| async { session.sql(&sql).await?.collect().await });
            });
            group.bench_function(format!("{name}{shape}/engine"), |bencher| {
                bencher
                    .to_async(&runtime)
                    .iter(|| async { engine.sql(&sql).await?.collect().await });
            });
        }
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// The columns of TPC-H's line items that its first query calculates with, and one of values that
/// 64 bits do not hold.
fn rows() -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let mut batches = Vec::with_capacity(ROWS / BATCH_ROWS);
    for first in (0..ROWS).step_by(BATCH_ROWS) {
        let column = |precision, value: fn(i128) -> i128| -> Result<ArrayRef, Box<dyn Error>> {
            let numbers = first..first + BATCH_ROWS;
            let values = numbers.map(|row| Ok(value(i128::try_from(row)?)));
            let values = values.collect::<Result<Vec<i128>, std::num::TryFromIntError>>()?;
            let array = Decimal128Array::from(values);
            Ok(Arc::new(
                array.with_data_type(DataType::Decimal128(precision, 2)),
            ))
        };
        let numbers = i64::try_from(first)?..i64::try_from(first + BATCH_ROWS)?;
        let ids: Int64Array = numbers.map(|row| row % 4).collect();
        batches.push(RecordBatch::try_from_iter([
            ("id", Arc::new(ids) as ArrayRef),
            ("price", column(15, |row| 90_000 + row * 7919 % 10_000_000)?),
            ("discount", column(15, |row| row % 11)?),
            ("tax", column(15, |row| row % 9)?),
            ("wide", column(30, |row| (row + 1) * 10_i128.pow(21))?),
        ])?);
    }
    Ok(batches)
}
