//! What a scan tells of itself: planned and, once it has run, measured.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use datafusion::physical_plan::collect;
use datafusion::prelude::{SessionConfig, SessionContext};
use iceberg::spec::{FormatVersion, PrimitiveType, UnboundPartitionSpec};
use lakehouse_core::provider::ScanReport;
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::evolution::{batch, optional, schema};
use super::handmade::{FileSpec, HandMade};

/// Columns of the test table: `id`, which is even and ascends, and `name`.
fn made(version: FormatVersion) -> HandMade {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "name", PrimitiveType::String),
    ]);
    HandMade::of_version(columns, UnboundPartitionSpec::builder().build(), version)
}

/// Row groups of 100 rows, pages of 10.
fn pieces() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .set_data_page_row_count_limit(10)
        .set_write_batch_size(10)
}

/// A file with a row for each number: twice the number, and its text.
fn file(made: &mut HandMade, numbers: Range<i64>, properties: WriterProperties) -> FileSpec {
    let names: StringArray = numbers.clone().map(|n| Some(format!("n{n}"))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(numbers.map(|n| n * 2)));
    made.write(&batch(vec![ids, Arc::new(names)]), properties)
}

/// The lines of the only scan of a query that has run, by their names.
async fn account(context: &SessionContext, sql: &str) -> BTreeMap<String, String> {
    let mut scans = accounts(context, sql).await;
    assert_eq!(scans.len(), 1, "{scans:?}");
    scans.remove(0)
}

async fn accounts(context: &SessionContext, sql: &str) -> Vec<BTreeMap<String, String>> {
    let frame = context.sql(sql).await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let report = ScanReport::of(&plan);
    collect(plan, context.task_ctx()).await.unwrap();
    let text = report.measured().unwrap();
    let mut scans: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines() {
        let Some(fact) = line.strip_prefix("  ") else {
            let title = [("title".to_owned(), line.to_owned())];
            scans.push(BTreeMap::from(title));
            continue;
        };
        let (name, value) = fact.split_at(18);
        let scan = scans.last_mut().unwrap();
        scan.insert(name.trim().to_owned(), value.to_owned());
    }
    scans
}

/// Whether each of these facts is told so.
fn check(account: &BTreeMap<String, String>, facts: &[(&str, &str)]) {
    for (name, value) in facts {
        let found = account.get(*name).map(String::as_str);
        assert_eq!(found, Some(*value), "{name} in {account:#?}");
    }
}

#[tokio::test]
async fn files_row_groups_and_pages_are_told_with_the_reason() {
    let mut made = made(FormatVersion::V2);
    let one = file(&mut made, 0..1_000, pieces().build());
    let two = file(&mut made, 1_000..2_000, pieces().build());
    made.commit(vec![one, two]).await;
    let context = made.context(SessionConfig::new().with_target_partitions(1));
    let sql = "SELECT id FROM t WHERE id BETWEEN 410 AND 428 AND name LIKE '%7'";
    let told = account(&context, sql).await;
    check(
        &told,
        &[
            ("title", "TableScan 1: s.t"),
            ("manifests", "1 of 1 read"),
            ("files", "1 of 2 to scan; skipped: 1 by bounds"),
            ("rows", "1000, before filters"),
            ("deletes", "none"),
            ("skips files by", "id >= 410 AND id <= 428"),
            ("filters rows by", "name LIKE '%7'"),
            ("files opened", "1 of 1"),
            ("row groups", "1 of 10 read; skipped: 9 by statistics"),
            // One of the pages' bounds is that of the next one: ids are even.
            ("pages", "4 of 20 read; skipped: 16 without a wanted row"),
            ("rows decoded", "20 of 1000; given: 20"),
        ],
    );
    assert!(told["planning"].contains("read: the manifest list, 1 manifest, "));
    let read = &told["bytes read"];
    for kind in ["of columns", "of footers", "of page indexes"] {
        assert!(read.contains(kind), "{read}");
    }
    assert!(told["time"].starts_with("opening "), "{told:?}");
    // What was read once is kept, and bytes are of what is not.
    let again = account(&context, sql).await;
    let planning = &again["planning"];
    assert!(planning.ends_with("; in the cache: the manifest list, 1 manifest"));
    assert!(!again["bytes read"].contains("footers"), "{again:?}");
    assert!(again["bytes read"].contains("of columns"), "{again:?}");
}

#[tokio::test]
async fn bloom_filters_and_filters_on_nothing_are_told() {
    let mut made = made(FormatVersion::V2);
    let properties = pieces().set_bloom_filter_enabled(true).build();
    let file = file(&mut made, 0..300, properties);
    made.commit(vec![file]).await;
    let context = made.context(SessionConfig::new());
    // Odd numbers lie between the bounds, and are not there.
    let told = account(&context, "SELECT name FROM t WHERE id = 201").await;
    let groups = "0 of 3 read; skipped: 2 by statistics, 1 by bloom filters";
    check(&told, &[("row groups", groups), ("files opened", "1 of 1")]);
    assert!(told["bytes read"].contains("of bloom filters"), "{told:?}");
    let told = account(&context, "SELECT name FROM t").await;
    check(&told, &[("row groups", "3 of 3 read")]);
    assert!(!told.contains_key("skips files by"), "{told:?}");
    assert!(!told.contains_key("filters rows by"), "{told:?}");
}

#[tokio::test]
async fn limits_and_filters_made_on_the_way_are_told_without_values() {
    let mut made = made(FormatVersion::V2);
    let files = (0..4).map(|n| file(&mut made, n * 100..(n + 1) * 100, pieces().build()));
    let files = files.collect();
    made.commit(files).await;
    let context = made.context(SessionConfig::new().with_target_partitions(1));
    let told = account(&context, "SELECT id FROM t LIMIT 150").await;
    let files = "2 of 4 to scan; skipped: 2 by the limit";
    check(&told, &[("files", files), ("rows", "200, before filters")]);
    let told = account(&context, "SELECT id FROM t ORDER BY id LIMIT 2").await;
    let filter = "on id, made as the query runs";
    check(
        &told,
        &[("dynamic filter", filter), ("files", "4 of 4 to scan")],
    );
    assert!(!told.contains_key("filters rows by"), "{told:?}");
    let lines: Vec<&String> = told.values().collect();
    assert!(!lines.iter().any(|line| line.contains("id <")), "{lines:?}");
}

#[tokio::test]
async fn deletes_by_position_are_told_by_kind() {
    let mut made = made(FormatVersion::V2);
    let data = file(&mut made, 0..500, pieces().build());
    // The second row group, and every tenth row of the others.
    let gone = (0..500).filter(|row| (100..200).contains(row) || row % 10 == 0);
    let rows = gone.map(|row| (data.path.clone(), row));
    let deletes = PositionDeletes::new(rows).write(&made.path("d.parquet"));
    let deletes = deletes.unwrap().build().unwrap();
    let delta = made.delta().add(data.data_file()).add(deletes);
    made.commit_delta(delta).await;
    let context = made.context(SessionConfig::new().with_target_partitions(1));
    let told = account(&context, "SELECT id FROM t").await;
    check(
        &told,
        &[
            ("delete manifests", "1 of 1 read"),
            ("deletes", "1 position delete file"),
            (
                "row groups",
                "4 of 5 read; skipped: 1 because all rows are deleted",
            ),
            (
                "rows decoded",
                "400 of 500; deleted: 140 by position deletes; given: 360",
            ),
        ],
    );
    assert!(told["delete files read"].starts_with("1, "), "{told:?}");
    assert!(told["time"].contains("(deletes "), "{told:?}");
}

#[tokio::test]
async fn deletion_vectors_and_exact_rows_are_told() {
    let mut made = made(FormatVersion::V3);
    let one = file(&mut made, 0..100, pieces().build());
    let two = file(&mut made, 100..200, pieces().build());
    let vectors = [
        (one.path.as_str(), vec![0..10, 10..30]),
        (two.path.as_str(), vec![5..6, 6..10]),
    ];
    let vectors = write_deletion_vectors(&made.path("v.puffin"), &vectors).unwrap();
    let delta = made.delta().add(one.data_file()).add(two.data_file());
    let delta = vectors
        .into_iter()
        .fold(delta, |delta, vector| delta.add(vector.build().unwrap()));
    made.commit_delta(delta).await;
    let context = made.context(SessionConfig::new().with_target_partitions(1));
    let told = account(&context, "SELECT id FROM t").await;
    check(
        &told,
        &[
            ("deletes", "2 deletion vectors"),
            ("rows", "165, before filters"),
            (
                "rows decoded",
                "200 of 200; deleted: 35 by deletion vectors; given: 165",
            ),
        ],
    );
    // Both are in one file, which is read once.
    assert!(told["delete files read"].starts_with("1, "), "{told:?}");
}

#[tokio::test]
async fn equality_deletes_are_told_in_memory_and_joined() {
    let mut made = made(FormatVersion::V2);
    let data = file(&mut made, 0..100, pieces().build());
    made.commit(vec![data]).await;
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![2, 4, 77]));
    let deletes = made.write_deletes(&[1], vec![keys]);
    made.commit(vec![deletes]).await;
    let config = || SessionConfig::new().with_target_partitions(1);
    let told = account(&made.context(config()), "SELECT name FROM t").await;
    check(
        &told,
        &[
            ("deletes", "1 equality delete file"),
            ("rows", "at most 100, before filters"),
            ("files opened", "1 of 1"),
            ("row groups", "1 of 1 read"),
            (
                "rows decoded",
                "100 of 100; deleted: 2 by equality deletes; given: 98",
            ),
        ],
    );
    assert!(told["delete files read"].starts_with("1, "), "{told:?}");

    made.set_key_bytes_max(Some(0));
    let scans = accounts(&made.context(config()), "SELECT name FROM t").await;
    let [data, deletes] = scans.as_slice() else {
        panic!("{scans:?}");
    };
    check(data, &[("rows decoded", "100 of 100; given: 100")]);
    let title = "DeleteScan 2: equality deletes of s.t, joined";
    check(
        deletes,
        &[
            ("title", title),
            ("files opened", "1"),
            ("rows decoded", "3 of 3; given: 3"),
        ],
    );
}

#[tokio::test]
async fn a_table_nothing_was_written_to_has_an_account() {
    let made = made(FormatVersion::V2);
    let context = made.context(SessionConfig::new());
    let frame = context.sql("SELECT id FROM t").await.unwrap();
    let plan = frame.create_physical_plan().await.unwrap();
    let report = ScanReport::of(&plan);
    let told = report.planned().unwrap();
    assert!(told.contains("none: nothing was written yet"), "{told}");
}
