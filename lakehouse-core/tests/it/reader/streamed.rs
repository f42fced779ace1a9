//! Scans that are planned while they run: the same rows, sooner, and no planning that nobody needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use iceberg::spec::{
    FormatVersion, Literal, PrimitiveType, Struct, Transform, UnboundPartitionSpec,
};
use lakehouse_core::error::{Error, ErrorKind};
use lakehouse_core::provider::StreamedPlanning;
use lakehouse_core::settings::Settings;
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors};
use parquet::file::properties::WriterProperties;
use proptest::prelude::*;

use super::evolution::{batch, optional, schema};
use super::handmade::{HandMade, rows};

/// What EXPLAIN says of a streamed scan.
const STREAMED: &str = "planned while read";

fn config(partitions: usize) -> SessionConfig {
    SessionConfig::new().with_target_partitions(partitions)
}

/// A context in which the table is `t`, and scans are planned while they run.
fn streaming(made: &HandMade, partitions: usize) -> SessionContext {
    made.context(config(partitions).with_extension(Arc::new(StreamedPlanning)))
}

fn made() -> HandMade {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "part", PrimitiveType::Int),
    ]);
    HandMade::of_version(
        columns,
        UnboundPartitionSpec::builder().build(),
        FormatVersion::V3,
    )
}

fn numbers(first: i64, rows: i64, part: i32) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + rows));
    let parts = (0..rows).map(|_| part);
    batch(vec![ids, Arc::new(Int32Array::from_iter_values(parts))])
}

fn groups_of(rows: usize) -> WriterProperties {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(rows))
        .build()
}

/// A table of so many commits of one file of ten rows each.
async fn table(commits: i64) -> HandMade {
    let mut made = made();
    for commit in 0..commits {
        let file = made.write(&numbers(commit * 10, 10, 0), groups_of(100));
        made.commit(vec![file]).await;
    }
    made
}

/// What deletes rows of one file of the property's tables.
#[derive(Debug, Clone)]
enum Deletes {
    Nothing,
    Vector(BTreeSet<u64>),
    /// In a position delete file of its own.
    Positions(BTreeSet<u64>),
}

#[derive(Debug, Clone)]
struct File {
    rows: i64,
    group: usize,
    part: i32,
    /// Whether it is in the table's second spec, which is partitioned by `part`.
    is_partitioned: bool,
    deletes: Deletes,
}

fn file() -> impl Strategy<Value = File> {
    let rows = proptest::collection::btree_set(0_u64..40, 1..9);
    let deletes = prop_oneof![
        3 => Just(Deletes::Nothing),
        1 => rows.clone().prop_map(Deletes::Vector),
        1 => rows.prop_map(Deletes::Positions),
    ];
    (
        1_i64..40,
        prop_oneof![Just(7_usize), Just(1_000)],
        0..3_i32,
        any::<bool>(),
        deletes,
    )
        .prop_map(|(rows, group, part, is_partitioned, deletes)| File {
            rows,
            group,
            part,
            is_partitioned,
            deletes,
        })
}

/// A table with a manifest for each file; `shares_deletes` adds one that names no file.
async fn filled(files: &[File], shares_deletes: bool) -> HandMade {
    let mut made = made();
    let plain = 0;
    let by_part = UnboundPartitionSpec::builder()
        .add_partition_field(2, "part", Transform::Identity)
        .unwrap()
        .build();
    let by_part = made.repartition(by_part);
    let mut first = 0;
    let mut shared = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let data = numbers(first, file.rows, file.part);
        first += file.rows;
        let mut written = made.write(&data, groups_of(file.group));
        written.spec_id = plain;
        if file.is_partitioned {
            written.spec_id = by_part;
            written.partition = Struct::from_iter([Some(Literal::int(file.part))]);
        }
        shared.push((written.path.clone(), 0));
        let mut delta = made.delta().in_spec(written.spec_id);
        delta = delta.add(written.data_file());
        let within = |rows: &BTreeSet<u64>| -> Vec<u64> {
            let rows = rows.iter().copied();
            rows.filter(|row| row.cast_signed() < file.rows).collect()
        };
        match &file.deletes {
            Deletes::Nothing => {}
            Deletes::Vector(rows) => {
                let runs = within(rows).into_iter().map(|row| row..row + 1);
                let vectors = [(written.path.as_str(), runs.collect::<Vec<_>>())];
                let path = made.path(&format!("v{number}.puffin"));
                for mut vector in write_deletion_vectors(&path, &vectors).unwrap() {
                    vector.partition(written.partition.clone());
                    delta = delta.add(vector.build().unwrap());
                }
            }
            Deletes::Positions(rows) => {
                let rows = within(rows).into_iter();
                let rows = rows.map(|row| (written.path.clone(), row.cast_signed()));
                let path = made.path(&format!("d{number}.parquet"));
                let mut deletes = PositionDeletes::new(rows).write(&path).unwrap();
                deletes
                    .partition(written.partition.clone())
                    .referenced_data_file(Some(written.path.clone()));
                delta = delta.add(deletes.build().unwrap());
            }
        }
        made.commit_delta(delta).await;
    }
    if shares_deletes {
        let deletes = PositionDeletes::new(shared);
        let deletes = deletes.write(&made.path("shared.parquet")).unwrap();
        let delta = made.delta().in_spec(plain).add(deletes.build().unwrap());
        made.commit_delta(delta).await;
    }
    made
}

async fn check(made: &HandMade, shares_deletes: bool, partitions: usize, bound: i64, limit: usize) {
    let explained = format!("EXPLAIN SELECT id FROM t WHERE id >= {bound}");
    for sql in [
        "SELECT id, part FROM t".to_owned(),
        format!("SELECT part, id FROM t WHERE id >= {bound}"),
        format!("SELECT id + 1 FROM t WHERE part = 1 AND id < {bound}"),
        "SELECT 1 FROM t WHERE part <> 2".to_owned(),
        format!("SELECT id FROM t WHERE part = 0 UNION ALL SELECT id FROM t WHERE id = {bound}"),
    ] {
        let eager = rows(&made.context(config(partitions)), &sql).await;
        let streamed = rows(&streaming(made, partitions), &sql).await;
        assert_eq!(streamed, eager, "{sql}");
        let limited = rows(
            &streaming(made, partitions),
            &format!("{sql} LIMIT {limit}"),
        )
        .await;
        assert_eq!(limited.len(), limit.min(eager.len()), "{sql}");
        assert!(limited.iter().all(|row| eager.binary_search(row).is_ok()));
        if !sql.contains("SELECT 1") && !sql.contains("UNION") {
            assert_eq!(limited.iter().collect::<BTreeSet<_>>().len(), limited.len());
        }
    }
    let explained = rows(&streaming(made, partitions), &explained).await;
    let explained = explained.join("\n");
    // All manifests are wanted where nothing can be pruned.
    if bound == 0 {
        assert_eq!(explained.contains(STREAMED), !shares_deletes, "{explained}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_streamed_scan_gives_what_a_planned_one_gives(
        files in proptest::collection::vec(file(), 17..24),
        shares_deletes in proptest::bool::weighted(0.2),
        bound in prop_oneof![Just(0_i64), 0_i64..400],
        limit in 0_usize..60,
        partitions in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let made = filled(&files, shares_deletes).await;
            check(&made, shares_deletes, partitions, bound, limit).await;
        });
    }
}

#[tokio::test]
async fn a_first_batch_arrives_though_the_last_manifest_is_missing() {
    let made = table(40).await;
    let missing = made.manifests().pop().unwrap();
    std::fs::remove_file(&missing).unwrap();
    let context = streaming(&made, 2);
    let frame = context.sql("SELECT id FROM t").await.unwrap();
    let mut stream = frame.execute_stream().await.unwrap();
    let first = stream.try_next().await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 10);
    let rest: Result<Vec<_>, _> = stream.try_collect().await;
    let error = Error::from(rest.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let text = error.to_string();
    assert!(text.contains(&missing) && text.contains("s.t"), "{text}");
}

#[tokio::test]
async fn a_limit_stops_planning() {
    let made = table(120).await;
    for sql in [
        "SELECT id FROM t WHERE part = 0 LIMIT 5",
        "SELECT id FROM t WHERE id % 2 = 0 LIMIT 12",
        "SELECT id FROM t LIMIT 3",
    ] {
        let before = made.requests();
        assert!(!rows(&streaming(&made, 2), sql).await.is_empty());
        let requests = made.requests() - before;
        assert!(requests < 100, "{sql}: {requests}");
    }
    let before = made.requests();
    let context = streaming(&made, 2);
    let all = rows(&context, "SELECT id FROM t").await;
    assert_eq!(all.len(), 1_200);
    assert!(made.requests() - before > 121);
}

#[tokio::test]
async fn after_an_append_only_what_is_new_is_read() {
    let mut made = table(20).await;
    let scans = HandMade::scans();
    let context = |made: &HandMade| {
        let config = config(2).with_extension(Arc::new(StreamedPlanning));
        made.context_sharing(&scans, config, &Settings::default())
    };
    let sql = "SELECT id FROM t WHERE id >= 0";
    assert_eq!(rows(&context(&made), sql).await.len(), 200);
    let file = made.write(&numbers(200, 10, 0), groups_of(100));
    made.commit(vec![file]).await;
    let context = context(&made);
    let before = made.requests();
    let explained = rows(&context, &format!("EXPLAIN {sql}")).await.join("\n");
    assert!(!explained.contains(STREAMED), "{explained}");
    // The list and the one manifest.
    assert_eq!(made.requests() - before, 2);
    assert_eq!(rows(&context, sql).await.len(), 210);
}

#[tokio::test]
async fn metrics_and_explanations_tell_what_was_planned() {
    let made = table(20).await;
    let context = streaming(&made, 2);
    let sql = "SELECT id FROM t WHERE id >= 30";
    let analyzed = rows(&context, &format!("EXPLAIN ANALYZE {sql}")).await;
    let analyzed = analyzed.join("\n");
    for part in [
        STREAMED,
        "table=s.t",
        "manifests=20/20",
        "predicate=",
        "projection=[id]",
        "files_planned=17",
        "manifests_planned=20",
        "time_elapsed_opening=",
        "output_rows=170",
    ] {
        assert!(analyzed.contains(part), "{part}: {analyzed}");
    }
    // One manifest alone in memory is no reason to stream.
    let few = table(16).await;
    let explained = rows(&streaming(&few, 2), &format!("EXPLAIN {sql}")).await;
    assert!(!explained.join("\n").contains(STREAMED));
}

#[tokio::test]
async fn a_streamed_plan_is_run_once() {
    let made = table(20).await;
    let context = streaming(&made, 2);
    let frame = context.sql("SELECT id FROM t").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let run = || execute_stream(Arc::clone(&plan), context.task_ctx());
    let first: Vec<_> = run().unwrap().try_collect().await.unwrap();
    let count: usize = first.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(count, 200);
    let again = match run() {
        Ok(stream) => stream.try_collect::<Vec<_>>().await,
        Err(error) => Err(error),
    };
    let error = Error::from(again.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
