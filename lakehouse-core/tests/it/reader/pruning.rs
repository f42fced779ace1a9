//! Whatever is skipped, the answer is that of a scan that skips nothing.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, PrimitiveType, Struct};
use lakehouse_core::table::with_one_nan;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, rows};

/// Small row groups and pages, with every index that pruning uses.
pub(super) fn finely() -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(8))
        .set_data_page_row_count_limit(2)
        .set_write_batch_size(1)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_bloom_filter_enabled(true)
        .build()
}

async fn table(batches: &[RecordBatch], nan_counts: bool) -> HandMade {
    let mut made = HandMade::new(schema(vec![
        optional(1, "l", PrimitiveType::Long),
        optional(2, "d", PrimitiveType::Double),
        optional(3, "s", PrimitiveType::String),
    ]));
    let mut files = Vec::new();
    for batch in batches {
        let mut file = made.write(batch, finely());
        file.nan_counts = nan_counts;
        files.push(file);
    }
    made.commit(files).await;
    made
}

/// The same rows where nothing can be skipped.
fn unpruned(batches: &[RecordBatch]) -> SessionContext {
    let context = SessionContext::new();
    let fields = batches[0].schema();
    let fields = fields.fields().iter().zip(["l", "d", "s"]);
    let fields: Vec<Field> = fields
        .map(|(field, name)| field.as_ref().clone().with_name(name))
        .collect();
    let named = Arc::new(Schema::new(fields));
    let batches: Vec<_> = batches
        .iter()
        .map(|batch| {
            let columns = batch.columns().iter().map(with_one_nan).collect();
            RecordBatch::try_new(Arc::clone(&named), columns).unwrap()
        })
        .collect();
    let table = MemTable::try_new(batches[0].schema(), vec![batches]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

fn three(
    longs: Vec<Option<i64>>,
    doubles: Vec<Option<f64>>,
    texts: Vec<Option<&str>>,
) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(longs)),
        Arc::new(Float64Array::from(doubles)),
        Arc::new(StringArray::from(texts)),
    ];
    batch(columns)
}

async fn assert_same(made: &HandMade, full: &SessionContext, condition: &str) {
    let sql = format!("SELECT l, d, s FROM t WHERE {condition}");
    let config = SessionConfig::new().with_target_partitions(3);
    let pruned = rows(&made.context(config), &sql).await;
    assert_eq!(pruned, rows(full, &sql).await, "{condition}");
}

/// Files whose manifest has bounds and no counts, or nothing but the number of rows, and whose
/// pages say nothing.
#[tokio::test]
async fn m01_rows_of_files_without_counts_are_found() {
    let batches = [
        three(
            vec![Some(1), None, Some(3)],
            vec![None, Some(1.5), None],
            vec![Some("a"), Some("b"), None],
        ),
        three(vec![None, None], vec![None, None], vec![None, None]),
        three(
            vec![Some(7), Some(9)],
            vec![Some(0.5), Some(2.5)],
            vec![Some("y"), Some("z")],
        ),
    ];
    let full = unpruned(&batches);
    let silent = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    for has_bounds in [true, false] {
        let mut made = HandMade::new(schema(vec![
            optional(1, "l", PrimitiveType::Long),
            optional(2, "d", PrimitiveType::Double),
            optional(3, "s", PrimitiveType::String),
        ]));
        let mut delta = made.delta();
        for batch in &batches {
            let file = made.write(batch, silent.clone()).data_file();
            let mut bare = DataFileBuilder::default();
            bare.content(DataContentType::Data)
                .file_path(file.file_path().to_owned())
                .file_format(DataFileFormat::Parquet)
                .partition(Struct::empty())
                .record_count(file.record_count())
                .file_size_in_bytes(file.file_size_in_bytes());
            if has_bounds {
                bare.lower_bounds(file.lower_bounds().clone())
                    .upper_bounds(file.upper_bounds().clone());
            }
            delta = delta.add(bare.build().unwrap());
        }
        made.commit_delta(delta).await;
        for column in ["l", "d", "s"] {
            assert_same(&made, &full, &format!("{column} IS NULL")).await;
            assert_same(&made, &full, &format!("{column} IS NOT NULL")).await;
            assert_same(&made, &full, &format!("NOT ({column} IS NULL)")).await;
            let sql = format!("SELECT count({column}), min({column}), max({column}) FROM t");
            assert_eq!(made.rows(&sql).await, rows(&full, &sql).await, "{sql}");
        }
        for condition in [
            "l = 1",
            "l <> 1",
            "d > 1",
            "s >= 'b'",
            "l IS NULL OR d > 2",
            "l NOT IN (1, 9)",
            "l IS NULL AND s = 'b'",
        ] {
            assert_same(&made, &full, condition).await;
        }
    }
}

#[tokio::test]
async fn m02_m03_nan_and_zero_rows_survive_pruning() {
    let nan = f64::NAN;
    let negative_nan = -f64::NAN;
    let files = [
        vec![Some(1.0), Some(nan), Some(2.0), None],
        vec![Some(nan), Some(nan)],
        vec![Some(negative_nan), Some(7.0)],
        vec![Some(5.0), Some(6.0), Some(8.0)],
        vec![Some(0.0), Some(0.0)],
        vec![Some(-0.0), Some(-0.0)],
        vec![Some(f64::INFINITY), Some(f64::NEG_INFINITY)],
    ]
    .map(|doubles| {
        let longs = (0..).map(Some).take(doubles.len()).collect();
        let texts = doubles.iter().map(|_| Some("x")).collect();
        three(longs, doubles, texts)
    });
    let full = unpruned(&files);
    for nan_counts in [false, true] {
        let made = table(&files, nan_counts).await;
        for literal in [
            "0.0",
            "-0.0",
            "1.0",
            "5.5",
            "6.0",
            "9.0",
            "CAST('NaN' AS DOUBLE)",
        ] {
            for op in ["=", "<>", "<", "<=", ">", ">="] {
                assert_same(&made, &full, &format!("d {op} {literal}")).await;
                assert_same(&made, &full, &format!("NOT (d {op} {literal})")).await;
            }
            assert_same(&made, &full, &format!("d NOT IN ({literal}, 8.0)")).await;
            assert_same(&made, &full, &format!("d IN ({literal}, 8.0)")).await;
            assert_same(&made, &full, &format!("d NOT BETWEEN 5.0 AND {literal}")).await;
        }
        assert_same(&made, &full, "isnan(d)").await;
        assert_same(&made, &full, "d IS NOT NULL AND d > 100.0").await;
        let sql = "SELECT min(d), max(d) FROM t WHERE d < 9.0";
        assert_eq!(made.rows(sql).await, rows(&full, sql).await);
        let sql = "SELECT max(d), min(d) FROM t";
        assert_eq!(made.rows(sql).await, rows(&full, sql).await);
        let sql = "SELECT d FROM t ORDER BY d DESC NULLS LAST LIMIT 3";
        assert_eq!(made.rows(sql).await, rows(&full, sql).await);
    }
}

#[tokio::test]
async fn m03_negated_ranges_keep_nan_rows_of_row_groups_and_pages() {
    let nan = f64::NAN;
    // Row groups of eight rows, pages of two: groups with and without NaN, pages of NaN alone.
    let doubles = [
        [1.0, 1.5, nan, nan, 2.0, 2.5, 3.0, 3.5],
        [1.0, nan, 1.5, 1.5, 2.0, nan, 3.0, 3.5],
        [nan, nan, nan, nan, nan, nan, nan, nan],
        [4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5],
        [-nan, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0, nan],
    ];
    let doubles: Vec<Option<f64>> = doubles.iter().flatten().copied().map(Some).collect();
    let longs = (0..40).map(Some).collect();
    let texts = vec![Some("x"); 40];
    let files = [three(longs, doubles, texts)];
    let full = unpruned(&files);
    for nan_counts in [false, true] {
        let made = table(&files, nan_counts).await;
        for condition in [
            "NOT (d < 10)",
            "NOT (d <= 3.5)",
            "NOT (d BETWEEN 0 AND 10)",
            "NOT (d >= 1 AND d <= 7.5)",
            "NOT (d < 4 OR d = 5.5)",
            "d NOT BETWEEN 1 AND 7.5",
            "NOT (d > 0)",
            "NOT (d >= 4)",
            "d <> 4.5 AND NOT (d < 7.5)",
            "NOT (d IN (1.0, 4.5)) AND NOT (d < 8)",
        ] {
            assert_same(&made, &full, condition).await;
        }
    }
}

#[tokio::test]
async fn m06_casts_in_conditions_find_every_row() {
    let files = [
        three(
            vec![Some(5), Some(6)],
            vec![Some(5.7), Some(5.2)],
            vec![Some("12"), Some("9")],
        ),
        three(
            vec![Some(50), None],
            vec![Some(-0.5), Some(10.0)],
            vec![Some("100"), None],
        ),
    ];
    let full = unpruned(&files);
    let made = table(&files, true).await;
    for condition in [
        "CAST(d AS INT) = 5",
        "CAST(d AS INT) = 0",
        "CAST(d AS REAL) = CAST(5.7 AS REAL)",
        "CAST(l AS VARCHAR) = '50'",
        "CAST(l AS VARCHAR) > '6'",
        "CAST(s AS INT) > 10",
        "CAST(l AS SMALLINT) = 6",
        "CAST(l AS DOUBLE) >= 5.5",
        "l < 5.5",
        "l = 5.5",
    ] {
        assert_same(&made, &full, condition).await;
    }
}

fn values() -> impl Strategy<Value = Vec<(Option<i64>, Option<f64>, Option<String>)>> {
    let long = prop::option::weighted(0.9, -20_i64..20);
    let double = prop::option::weighted(
        0.9,
        prop_oneof![
            8 => (-8_i32..8).prop_map(|v| f64::from(v) / 2.0),
            1 => Just(f64::NAN),
            1 => Just(-0.0),
        ],
    );
    let text = prop::option::weighted(0.9, "[ab]{0,3}");
    prop::collection::vec((long, double, text), 1..40)
}

fn leaf() -> impl Strategy<Value = String> {
    let op = prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    prop_oneof![
        (op.clone(), -22_i64..22).prop_map(|(op, v)| format!("l {op} {v}")),
        (op.clone(), -10_i32..10).prop_map(|(op, v)| format!("d {op} {:.1}", f64::from(v) / 2.0)),
        (op, "[ab]{0,3}").prop_map(|(op, v)| format!("s {op} '{v}'")),
        "[ab]{0,2}".prop_map(|v| format!("s LIKE '{v}%'")),
        "[ab]{0,2}".prop_map(|v| format!("s NOT LIKE '{v}%'")),
        (-20_i64..20, -20_i64..20).prop_map(|(a, b)| format!("l BETWEEN {a} AND {b}")),
        (-20_i64..20, -20_i64..20).prop_map(|(a, b)| format!("l NOT IN ({a}, {b})")),
        (-20_i64..20, -20_i64..20).prop_map(|(a, b)| format!("l IN ({a}, {b}, NULL)")),
        prop::sample::select(vec!["l", "d", "s"]).prop_map(|c| format!("{c} IS NULL")),
        prop::sample::select(vec!["l", "d", "s"]).prop_map(|c| format!("{c} IS NOT NULL")),
        (-20_i64..20).prop_map(|v| format!("l + 1 > {v}")),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    leaf().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_pruned_scan_is_a_full_scan(
        files in prop::collection::vec(values(), 1..4),
        conditions in prop::collection::vec(condition(), 12),
        nan_counts in any::<bool>(),
    ) {
        let files: Vec<RecordBatch> = files
            .iter()
            .map(|rows| {
                // Sorted by the number, so that row groups and pages can be skipped.
                let mut rows = rows.clone();
                rows.sort_by_key(|row| row.0);
                three(
                    rows.iter().map(|row| row.0).collect(),
                    rows.iter().map(|row| row.1).collect(),
                    rows.iter().map(|row| row.2.as_deref()).collect(),
                )
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let full = unpruned(&files);
            let made = table(&files, nan_counts).await;
            for condition in &conditions {
                assert_same(&made, &full, condition).await;
            }
        });
    }
}
