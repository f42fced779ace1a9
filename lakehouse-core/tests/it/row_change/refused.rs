//! Changes that fail, conflict or are given up leave the table and its files as they were.

use std::time::Duration;

use futures::StreamExt;
use iceberg::spec::FormatVersion;
use lakehouse_core::commit::RowStatement;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::provider::{RowAction, RowChangeNode};
use lakehouse_core::table::Version;

use super::fixture::{Fixture, Statement, action, batch, optional, schema};
use super::{all_modes, numbered, row_id, three_files};

#[tokio::test]
async fn a_row_that_is_changed_twice_is_refused_and_nothing_stays() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let (before, snapshot) = (
            fixture.stored_files().await,
            fixture.table().await.snapshot_id(),
        );
        let rows = format!(
            "SELECT {} AS action, _file, _pos, {}amount FROM t CROSS JOIN (VALUES (1), (2)) AS v(n) \
             WHERE id <> 250 AND (n = 1 OR id = 217)",
            action(RowAction::Update),
            row_id(version),
        );
        let statement = Statement {
            kind: RowStatement::Merge,
            update: &["amount"],
            insert: false,
            rows: &rows,
        };
        let error = fixture.run(&statement).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let text = error.to_string();
        assert!(text.contains("row 17 of the target"), "{text}");
        assert!(error.context().iter().any(|(key, _)| *key == "file"));
        assert_eq!(fixture.stored_files().await, before, "{version:?} {mode:?}");
        assert_eq!(fixture.table().await.snapshot_id(), snapshot);
    }
}

#[tokio::test]
async fn a_value_that_the_table_cannot_hold_leaves_no_file() {
    let fields = vec![
        optional(1, "id", iceberg::spec::PrimitiveType::Long),
        iceberg::spec::NestedField::required(
            2,
            "part",
            iceberg::spec::Type::Primitive(iceberg::spec::PrimitiveType::Long),
        )
        .into(),
    ];
    let fixture = Fixture::new(schema(fields), FormatVersion::V3).await;
    let column = |ids: std::ops::Range<i64>| -> arrow::array::ArrayRef {
        std::sync::Arc::new(arrow::array::Int64Array::from_iter_values(ids))
    };
    fixture
        .append(batch(vec![column(0..100), column(0..100)]))
        .await;
    let before = fixture.stored_files().await;
    let rows = format!(
        "SELECT {} AS action, _file, _pos, _row_id, \
         CASE WHEN id = 90 THEN NULL ELSE part + 1 END AS part FROM t",
        action(RowAction::Update)
    );
    let statement = Statement {
        kind: RowStatement::Update,
        update: &["part"],
        insert: false,
        rows: &rows,
    };
    let error = fixture.run(&statement).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(
        error.to_string().contains("\"part\" is required"),
        "{error}"
    );
    assert_eq!(fixture.stored_files().await, before);
}

#[tokio::test]
async fn a_change_of_rows_that_somebody_else_changed_conflicts_and_leaves_no_file() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let rows = format!(
            "SELECT {} AS action, _file, _pos, {}amount FROM t WHERE id = 17",
            action(RowAction::Update),
            row_id(version)
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["amount"],
            insert: false,
            rows: &rows,
        };
        let late = fixture.planned(&statement).await;
        fixture.run(&statement).await.unwrap();
        let (before, snapshot) = (
            fixture.stored_files().await,
            fixture.table().await.snapshot_id(),
        );
        let frame = late.0.execute_logical_plan(late.1).await.unwrap();
        let error = lakehouse_core::error::Error::from(frame.collect().await.unwrap_err());
        assert_eq!(
            error.kind(),
            ErrorKind::Conflict,
            "{version:?} {mode:?} {error}"
        );
        assert_eq!(fixture.stored_files().await, before);
        assert_eq!(fixture.table().await.snapshot_id(), snapshot);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_given_up_leaves_no_file_or_is_made_whole() {
    let (mut given_up, mut made) = (0, 0);
    for wait_us in [0_u64, 200, 1_000, 3_000, 10_000, 30_000, 100_000, 3_000_000] {
        let fixture = Fixture::new(super::columns(), FormatVersion::V3).await;
        // Files are ended while others are still written.
        fixture
            .set_property("write.target-file-size-bytes", "4096")
            .await;
        fixture.append(numbered(0..50_000)).await;
        let before = fixture.stored_files().await;
        let rows = format!(
            "SELECT {} AS action, _file, _pos, _row_id, amount FROM t",
            action(RowAction::Update)
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["amount"],
            insert: false,
            rows: &rows,
        };
        let snapshot = fixture.table().await.snapshot_id();
        let (context, plan) = fixture.planned(&statement).await;
        let frame = context.execute_logical_plan(plan).await.unwrap();
        let mut stream = frame.execute_stream().await.unwrap();
        let wait = Duration::from_micros(wait_us);
        let ended = tokio::time::timeout(wait, stream.next()).await;
        drop(stream);
        // What goes on in the background comes to its end, also what has not begun its work yet.
        tokio::time::sleep(Duration::from_millis(300)).await;
        fixture.table().await.storage().work_ended().await;
        if fixture.table().await.snapshot_id() == snapshot {
            assert!(ended.is_err());
            given_up += 1;
            assert_eq!(fixture.stored_files().await, before, "{wait_us}");
        } else {
            made += 1;
            let live: Vec<String> = fixture
                .plan()
                .await
                .files
                .iter()
                .map(|f| f.path().to_owned())
                .collect();
            let stored = fixture.stored_files().await;
            assert_eq!(stored.len(), live.len() + before.len(), "{wait_us}");
            assert_eq!(fixture.rows("SELECT count(*) FROM t").await, ["50000"]);
        }
    }
    assert!(given_up > 1 && made > 0, "{given_up} given up, {made} made");
}

#[tokio::test]
async fn versions_are_not_changed() {
    let fixture = three_files(FormatVersion::V2, None).await;
    let rows = format!(
        "SELECT {} AS action, _file, _pos FROM t",
        action(RowAction::Delete)
    );
    let statement = Statement {
        kind: RowStatement::Delete,
        update: &[],
        insert: false,
        rows: &rows,
    };
    let input = fixture.context(1).await.sql(&rows).await.unwrap();
    let mut change = fixture.row_change(&statement).await;
    let snapshot = change.target.table.snapshot_id().unwrap();
    change.target.table = change.target.table.at(Version::Snapshot(snapshot)).unwrap();
    let error = RowChangeNode::try_new(change, input.into_unoptimized_plan()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
