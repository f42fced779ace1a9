//! Any mix of position deletes and deletion vectors gives what a list of live rows gives.

use std::collections::BTreeSet;
use std::ops::Range;

use datafusion::prelude::SessionContext;
use iceberg::spec::FormatVersion;
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors};
use proptest::prelude::*;

use super::super::handmade::{HandMade, rows};
use super::{built, data, made, part, splitting};

/// A data file, how it is cut, and what deletes its rows.
#[derive(Debug, Clone)]
struct File {
    rows: i64,
    group: usize,
    page: usize,
    vector: Option<Vec<Range<i64>>>,
    positions: Vec<Vec<Range<i64>>>,
}

/// Runs of rows of which some are long enough to be skipped, and single ones.
fn deleted() -> impl Strategy<Value = Vec<Range<i64>>> {
    let length = prop_oneof![6 => 1_i64..3, 2 => 20_i64..300, 1 => 1_000_i64..2_500];
    let run = (0_i64..5_000, length).prop_map(|(start, length)| start..start + length);
    proptest::collection::vec(run, 0..30)
}

fn file() -> impl Strategy<Value = File> {
    let rows = prop_oneof![1_i64..60, 2_000_i64..5_000];
    let group = prop_oneof![Just(37_usize), Just(700), Just(1_500), Just(10_000)];
    let page = prop_oneof![Just(10_usize), Just(64), Just(1_000)];
    let vector = proptest::option::of(deleted());
    let positions = proptest::collection::vec(deleted(), 0..3);
    (rows, group, page, vector, positions).prop_map(|(rows, group, page, vector, positions)| File {
        rows,
        group,
        page,
        vector,
        positions,
    })
}

/// The table, and its live ids.
async fn table(files: &[File], shared: bool) -> (HandMade, BTreeSet<i64>) {
    let mut made = made(FormatVersion::V3);
    let mut live = BTreeSet::new();
    let mut vectors = Vec::new();
    let mut positions: Vec<Vec<(String, i64)>> = vec![Vec::new(); 3];
    let mut data_files = Vec::new();
    let mut first = 0;
    for file in files {
        let written = data(&mut made, first..first + file.rows, file.group, file.page);
        data_files.push(written.data_file());
        let cut = |runs: &[Range<i64>]| -> Vec<Range<i64>> {
            let runs = runs
                .iter()
                .map(|run| run.start.min(file.rows)..run.end.min(file.rows));
            runs.filter(|run| !run.is_empty()).collect()
        };
        let mut gone: BTreeSet<i64> = BTreeSet::new();
        for (number, runs) in file.positions.iter().enumerate() {
            let rows: BTreeSet<i64> = cut(runs).into_iter().flatten().collect();
            gone.extend(&rows);
            positions[number].extend(rows.into_iter().map(|row| (written.path.clone(), row)));
        }
        if let Some(runs) = &file.vector {
            gone = cut(runs).into_iter().flatten().collect();
            let runs = cut(runs).into_iter();
            let runs = runs.map(|run| run.start.unsigned_abs()..run.end.unsigned_abs());
            vectors.push((written.path.clone(), runs.collect::<Vec<_>>()));
        }
        live.extend(
            (0..file.rows)
                .filter(|row| !gone.contains(row))
                .map(|row| first + row),
        );
        first += file.rows;
    }
    let mut delta = data_files
        .into_iter()
        .fold(made.delta(), |delta, file| delta.add(file));
    for (number, rows) in positions.into_iter().enumerate() {
        let pieces = if shared { vec![rows] } else { by_path(rows) };
        for (part, rows) in pieces
            .into_iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
        {
            let name = made.path(&format!("d{number}-{part}.parquet"));
            let deletes = PositionDeletes::new(rows).in_pieces(97, 11);
            delta = delta.add(built(&mut deletes.write(&name).unwrap()));
        }
    }
    let vectors: Vec<_> = vectors
        .iter()
        .map(|(path, runs)| (path.as_str(), runs.clone()))
        .collect();
    for mut vector in write_deletion_vectors(&made.path("v.puffin"), &vectors).unwrap() {
        delta = delta.add(built(&mut vector));
    }
    made.commit_delta(delta).await;
    (made, live)
}

fn by_path(rows: Vec<(String, i64)>) -> Vec<Vec<(String, i64)>> {
    rows.chunk_by(|a, b| a.0 == b.0)
        .map(<[_]>::to_vec)
        .collect()
}

async fn check(context: &SessionContext, live: &BTreeSet<i64>, bound: i64, limit: usize) {
    let text = |ids: &mut dyn Iterator<Item = i64>| {
        let mut lines: Vec<String> = ids.map(|id| id.to_string()).collect();
        lines.sort();
        lines
    };
    let all = rows(context, "SELECT id FROM t").await;
    assert_eq!(all, text(&mut live.iter().copied()));
    let count = rows(
        context,
        "SELECT count(*), count(id), min(id), max(id) FROM t",
    )
    .await;
    let edge = |id: Option<&i64>| id.map_or_else(|| "-".to_owned(), i64::to_string);
    let (least, most) = (edge(live.first()), edge(live.last()));
    assert_eq!(count, [format!("{0}|{0}|{least}|{most}", live.len())]);

    let filtered = rows(context, &format!("SELECT id FROM t WHERE id >= {bound}")).await;
    assert_eq!(filtered, text(&mut live.range(bound..).copied()));
    let sql = format!(
        "SELECT count(part) FROM t WHERE id BETWEEN {bound} AND {}",
        bound + 150
    );
    let near = live.range(bound..=bound + 150);
    let parts = near.filter(|id| part(**id).is_some()).count();
    assert_eq!(rows(context, &sql).await, [parts.to_string()]);
    let nulls = live.iter().filter(|id| part(**id).is_none()).count();
    let sql = "SELECT count(*) FROM t WHERE part IS NULL";
    assert_eq!(rows(context, sql).await, [nulls.to_string()]);

    let limited = rows(context, &format!("SELECT id FROM t LIMIT {limit}")).await;
    assert_eq!(limited.len(), limit.min(live.len()));
    assert!(limited.iter().all(|id| live.contains(&id.parse().unwrap())));
    assert_eq!(limited.iter().collect::<BTreeSet<_>>().len(), limited.len());
    let sql = format!("SELECT id FROM t WHERE id >= {bound} LIMIT {limit}");
    assert_eq!(
        rows(context, &sql).await.len(),
        limit.min(live.range(bound..).count())
    );
    let sql = format!("SELECT id FROM t ORDER BY id DESC LIMIT {limit}");
    assert_eq!(
        rows(context, &sql).await,
        text(&mut live.iter().rev().copied().take(limit))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_mix_of_deletes_gives_what_the_model_gives(
        files in proptest::collection::vec(file(), 1..4),
        shared in any::<bool>(),
        bound in 0_i64..6_000,
        limit in 1_usize..400,
        partitions in 1_usize..5,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (made, live) = table(&files, shared).await;
            let context = made.context(splitting(partitions));
            // Columns come from files at first, and from memory later.
            for _ in 0..3 {
                check(&context, &live, bound, limit).await;
            }
        });
    }
}
