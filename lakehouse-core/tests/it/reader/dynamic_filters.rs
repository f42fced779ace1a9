//! What joins and TopK learn while they run skips files, row groups and rows.

use std::sync::Arc;

use arrow::array::{Date32Array, Int64Array, RecordBatch};
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{Literal, PrimitiveType, Struct, Transform, UnboundPartitionSpec};
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, pruned, rows};

const FILES: &str = "files_ranges_pruned_statistics";
const ROW_GROUPS: &str = "row_groups_pruned_statistics";
const ROWS: &str = "page_index_rows_pruned";

/// Row groups of twenty rows, pages of two.
fn finely() -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(20))
        .set_data_page_row_count_limit(2)
        .set_write_batch_size(1)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build()
}

/// A hundred rows of one day, numbered from the day's hundred on.
fn day(day: i32) -> RecordBatch {
    let first = i64::from(day) * 100;
    batch(vec![
        Arc::new(Int64Array::from_iter_values(first..first + 100)),
        Arc::new(Date32Array::from_iter_values(vec![day; 100])),
    ])
}

/// Four files of a day each, for which no manifest bounds the days.
async fn table(is_partitioned: bool) -> HandMade {
    let schema = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "d", PrimitiveType::Date),
    ]);
    let mut made = match is_partitioned {
        true => {
            let spec = UnboundPartitionSpec::builder()
                .add_partition_field(2, "d", Transform::Identity)
                .unwrap()
                .build();
            HandMade::partitioned(schema, spec)
        }
        false => HandMade::new(schema),
    };
    let mut files = Vec::new();
    for number in 0..4 {
        let mut file = made.write(&day(number), finely());
        if is_partitioned {
            file.partition = Struct::from_iter([Some(Literal::date(number))]);
        }
        files.push(file);
    }
    made.commit(files).await;
    made
}

fn context(made: &HandMade) -> SessionContext {
    // A filter gathers whole batches, so that large ones would be read before anything is learned.
    let config = SessionConfig::new().with_target_partitions(1);
    made.context(config.with_batch_size(50))
}

#[tokio::test]
async fn keys_of_a_join_skip_files_row_groups_and_rows() {
    let made = table(false).await;
    let context = context(&made);
    let sql = "SELECT t.id FROM (VALUES (151), (154)) AS v(k) JOIN t ON t.id = v.k";
    assert_eq!(rows(&context, sql).await, ["151", "154"]);
    assert_eq!(pruned(&context, sql, FILES).await, 3);
    assert_eq!(pruned(&context, sql, ROW_GROUPS).await, 4);
    assert!(pruned(&context, sql, ROWS).await >= 10);
    let none = "SELECT t.id FROM (VALUES (1000)) AS v(k) JOIN t ON t.id = v.k";
    assert!(rows(&context, none).await.is_empty());
    assert_eq!(pruned(&context, none, FILES).await, 4);
}

#[tokio::test]
async fn keys_of_a_join_skip_files_by_partition_values() {
    let sql = "SELECT count(*) FROM (VALUES (arrow_cast(arrow_cast(2, 'Int32'), 'Date32'))) AS v(k) \
               JOIN t ON t.d = v.k";
    for (is_partitioned, skipped) in [(true, 3), (false, 0)] {
        let made = table(is_partitioned).await;
        let context = context(&made);
        assert_eq!(rows(&context, sql).await, ["100"]);
        assert_eq!(pruned(&context, sql, FILES).await, skipped);
    }
}

#[tokio::test]
async fn topk_skips_what_lies_behind_the_last_row_so_far() {
    let made = table(false).await;
    let context = context(&made);
    let sql = "SELECT id FROM t ORDER BY id LIMIT 3";
    assert_eq!(rows(&context, sql).await, ["0", "1", "2"]);
    assert_eq!(pruned(&context, sql, FILES).await, 3);
    let filtered = "SELECT id FROM t WHERE id <> 0 ORDER BY id NULLS LAST LIMIT 3";
    assert_eq!(rows(&context, filtered).await, ["1", "2", "3"]);
    assert!(pruned(&context, filtered, FILES).await >= 2);
}

#[tokio::test]
async fn nulls_are_kept_while_topk_learns() {
    let mut made = HandMade::new(schema(vec![optional(1, "id", PrimitiveType::Long)]));
    let values = [
        vec![Some(5), Some(6)],
        vec![None, Some(9)],
        vec![Some(1), None],
    ];
    let mut files = Vec::new();
    for values in values {
        let ids: Int64Array = values.into_iter().collect();
        files.push(made.write(&batch(vec![Arc::new(ids)]), finely()));
    }
    made.commit(files).await;
    let context = context(&made);
    for (order, expected) in [
        ("id NULLS FIRST", ["-", "-"]),
        ("id NULLS LAST", ["1", "5"]),
        ("id DESC NULLS FIRST", ["-", "-"]),
        ("id DESC NULLS LAST", ["6", "9"]),
    ] {
        let sql = format!("SELECT id FROM t ORDER BY {order} LIMIT 2");
        assert_eq!(rows(&context, &sql).await, expected, "{order}");
    }
}
