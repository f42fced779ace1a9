//! Splitting, limits, statistics and what EXPLAIN shows.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::prelude::SessionConfig;
use iceberg::spec::PrimitiveType;
use lakehouse_core::error::ErrorKind;
use lakehouse_testkit::edit_row_groups;
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::properties::WriterProperties;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, rows};

fn numbers(from: i64, to: i64) -> RecordBatch {
    let texts: Vec<String> = (from..to).map(|v| format!("row {v:06}")).collect();
    batch(vec![
        Arc::new(Int64Array::from_iter_values(from..to)),
        Arc::new(StringArray::from(texts)),
    ])
}

fn row_groups_of(rows: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        .build()
}

async fn table(ranges: &[(i64, i64)], row_group_rows: usize) -> HandMade {
    let mut made = HandMade::new(schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "name", PrimitiveType::String),
    ]));
    let mut files = Vec::new();
    for (from, to) in ranges {
        files.push(made.write(&numbers(*from, *to), row_groups_of(row_group_rows)));
    }
    made.commit(files).await;
    made
}

fn splitting(partitions: usize) -> SessionConfig {
    SessionConfig::new()
        .with_target_partitions(partitions)
        .with_repartition_file_min_size(1)
}

#[tokio::test]
async fn d25_a_file_read_by_many_partitions_gives_each_row_once() {
    let made = table(&[(0, 5_000)], 100).await;
    for partitions in [1, 2, 4, 7] {
        let context = made.context(splitting(partitions));
        let sql = "SELECT count(DISTINCT id), count(name), sum(id) FROM t WHERE name <> ''";
        assert_eq!(rows(&context, sql).await, ["5000|5000|12497500"]);
        let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
        let groups = format!("{partitions} group");
        assert!(plan.contains(&groups), "{plan}");
    }
}

#[tokio::test]
async fn d25_what_the_footer_says_of_where_a_row_group_starts_is_not_used() {
    for wrong in [-1, 0, 4, 1 << 40, i64::MAX] {
        let made = table(&[(0, 5_000)], 100).await;
        let path = made.path("data-1.parquet");
        edit_row_groups(&path, |group| group.set_file_offset(wrong)).unwrap();
        let footer = ParquetMetaDataReader::new().parse_and_finish(&File::open(&path).unwrap());
        assert_eq!(footer.unwrap().row_group(7).file_offset(), Some(wrong));
        for partitions in [1, 3, 7] {
            let context = made.context(splitting(partitions));
            let sql = "SELECT count(DISTINCT id), count(name), sum(id) FROM t WHERE name <> ''";
            assert_eq!(rows(&context, sql).await, ["5000|5000|12497500"], "{wrong}");
            let sql = "SELECT name FROM t WHERE id = 4321";
            assert_eq!(rows(&context, sql).await, ["row 004321"], "{wrong}");
        }
    }
}

#[tokio::test]
async fn limits_and_topk_stop_early_and_stay_right() {
    let made = table(&[(0, 1_000), (1_000, 2_000), (2_000, 3_000)], 100).await;
    let context = made.context(splitting(2));
    let sql = "SELECT id FROM t LIMIT 10";
    assert_eq!(rows(&context, sql).await.len(), 10);
    let sql = "SELECT id FROM t WHERE id >= 1990 LIMIT 20";
    assert_eq!(rows(&context, sql).await.len(), 20);
    let sql = "SELECT id FROM t ORDER BY id DESC LIMIT 3";
    assert_eq!(rows(&context, sql).await, ["2997", "2998", "2999"]);
    let sql = "SELECT name FROM t WHERE id < 2500 ORDER BY name DESC LIMIT 1";
    assert_eq!(rows(&context, sql).await, ["row 002499"]);
    let sql = "SELECT count(*) FROM (SELECT * FROM t LIMIT 1500)";
    assert_eq!(rows(&context, sql).await, ["1500"]);
}

#[tokio::test]
async fn d23_counts_and_bounds_are_answered_without_reading_when_exact() {
    let made = table(&[(0, 1_000), (1_000, 2_000)], 100).await;
    let context = made.context(SessionConfig::new());
    let sql = "SELECT count(*), count(id), min(id), max(id) FROM t";
    assert_eq!(rows(&context, sql).await, ["2000|2000|0|1999"]);
    let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
    assert!(!plan.contains("DataSourceExec"), "{plan}");
    // Bounds of texts may be cut, so they answer nothing.
    let sql = "SELECT max(name) FROM t";
    assert_eq!(rows(&context, sql).await, ["row 001999"]);
    let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
    assert!(plan.contains("DataSourceExec"), "{plan}");
    let sql = "SELECT count(*) FROM t WHERE id > 1500";
    assert_eq!(rows(&context, sql).await, ["499"]);
}

#[tokio::test]
async fn explain_names_table_snapshot_and_what_was_skipped() {
    let made = table(&[(0, 1_000), (1_000, 2_000)], 100).await;
    let context = made.context(SessionConfig::new());
    let sql = "SELECT name FROM t WHERE id = 150";
    let plan = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
    for part in [
        "table=s.t",
        "snapshot=",
        "files=1/2",
        "manifests=1/1",
        "predicate=",
    ] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let analyzed = rows(&context, &format!("EXPLAIN ANALYZE {sql}"))
        .await
        .join("\n");
    assert!(
        analyzed.contains("row_groups_pruned_statistics=10 total → 1 matched"),
        "{analyzed}"
    );
}

#[tokio::test]
async fn projections_joins_and_views_are_typed_as_declared() {
    let made = table(&[(0, 10)], 100).await;
    let context = made.context(SessionConfig::new());
    let sql = "SELECT upper(name), id * 2, arrow_typeof(name) FROM t WHERE id = 4";
    assert_eq!(rows(&context, sql).await, ["ROW 000004|8|Utf8View"]);
    let sql = "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.name = 'row 000007'";
    assert_eq!(rows(&context, sql).await, ["7"]);
    assert_eq!(
        rows(&context, "SELECT 1 FROM t WHERE id < 3").await.len(),
        3
    );
}

#[tokio::test]
async fn an_empty_table_has_no_rows() {
    let made = HandMade::new(schema(vec![optional(1, "id", PrimitiveType::Long)]));
    assert_eq!(made.rows("SELECT id FROM t").await.len(), 0);
    assert_eq!(made.rows("SELECT count(*), max(id) FROM t").await, ["0|-"]);
}

#[tokio::test]
async fn a_missing_or_cut_file_is_named() {
    let made = table(&[(0, 1_000)], 100).await;
    let path = made.path("data-1.parquet");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = made.error("SELECT name FROM t").await;
    assert!(error.to_string().contains("data-1.parquet"), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = made.error("SELECT name FROM t").await;
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("data-1.parquet"), "{error}");
}

#[tokio::test]
async fn changes_are_refused_here() {
    let made = table(&[(0, 10)], 100).await;
    for sql in [
        "DELETE FROM t WHERE 1 = 0",
        "DELETE FROM t",
        "UPDATE t SET id = 1",
    ] {
        let error = made.error(sql).await;
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{sql}: {error}");
    }
    assert_eq!(made.rows("SELECT count(*) FROM t").await, ["10"]);
}
