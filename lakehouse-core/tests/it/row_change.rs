//! Changes of rows over real tables: every mode, format version and kind of delete gives the rows
//! that a list of rows gives.

mod deletes;
mod fixture;
mod lineage;
mod model;
mod refused;
mod shapes;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use iceberg::spec::{FormatVersion, PrimitiveType, Schema, UnboundPartitionSpec};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::provider::{RowAction, RowChangeNode};
use lakehouse_core::settings::Settings;
use lakehouse_core::table::Version;

use fixture::{Fixture, Statement, action, batch, optional, schema};

/// Every format version and mode.
fn all_modes() -> Vec<(FormatVersion, Option<&'static str>)> {
    let mut modes = Vec::new();
    for version in [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3] {
        for mode in [None, Some("copy-on-write"), Some("merge-on-read")] {
            modes.push((version, mode));
        }
    }
    modes
}

fn columns() -> Schema {
    schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "name", PrimitiveType::String),
        optional(3, "amount", PrimitiveType::Long),
    ])
}

/// Rows whose name and amount follow from their ids.
fn numbered(ids: std::ops::Range<i64>) -> RecordBatch {
    let names = ids
        .clone()
        .map(|id| (id % 5 != 0).then(|| format!("a name that says {id}")));
    let names: StringArray = names.collect();
    let amounts = ids.clone().map(|id| (id % 4 != 0).then_some(id * 10));
    let amounts: Int64Array = amounts.collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    batch(vec![ids, Arc::new(names), Arc::new(amounts)])
}

/// A row of [`numbered`] as text, with another amount.
fn line(id: i64, amount: Option<i64>) -> String {
    let name = match id % 5 {
        0 => "-".to_owned(),
        _ => format!("a name that says {id}"),
    };
    let amount = amount.map_or("-".to_owned(), |amount| amount.to_string());
    format!("{id}|{name}|{amount}")
}

fn amount(id: i64) -> Option<i64> {
    (id % 4 != 0).then_some(id * 10)
}

const ALL: &str = "SELECT id, name, amount FROM t";

async fn set_modes(fixture: &Fixture, mode: Option<&str>) {
    for statement in ["delete", "update", "merge"] {
        if let Some(mode) = mode {
            let key = format!("write.{statement}.mode");
            fixture.set_property(&key, mode).await;
        }
    }
}

/// Three files of a hundred rows.
async fn three_files(version: FormatVersion, mode: Option<&str>) -> Fixture {
    let fixture = Fixture::new(columns(), version).await;
    set_modes(&fixture, mode).await;
    for first in [0, 100, 200] {
        fixture.append(numbered(first..first + 100)).await;
    }
    fixture
}

/// The column of row ids, where tables have it.
fn row_id(version: FormatVersion) -> &'static str {
    match version {
        FormatVersion::V3 => "_row_id, ",
        _ => "",
    }
}

#[tokio::test]
async fn every_mode_and_version_gives_the_same_rows() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let row_id = row_id(version);
        let no_id = match row_id {
            "" => "",
            _ => "arrow_cast(NULL, 'Int64') AS r, ",
        };
        let (update, delete, insert) = (
            action(RowAction::Update),
            action(RowAction::DeleteBySource),
            action(RowAction::Insert),
        );
        // Of the second file most rows change, of the third none.
        let rows = format!(
            "SELECT CASE WHEN id % 10 = 3 OR id BETWEEN 110 AND 150 THEN {update} ELSE {delete} END \
             AS action, _file, _pos, {row_id}id, name, -amount AS amount FROM t \
             WHERE id < 200 AND (id % 10 IN (3, 7) OR id BETWEEN 110 AND 150) \
             UNION ALL SELECT {insert}, arrow_cast(NULL, 'Utf8View') AS f, arrow_cast(NULL, 'Int64') AS p, \
             {no_id}id + 1000, name, amount FROM t WHERE id = 204"
        );
        let statement = Statement {
            kind: RowStatement::Merge,
            update: &["amount"],
            insert: true,
            rows: &rows,
        };
        let is_updated = |id: i64| id < 200 && (id % 10 == 3 || (110..=150).contains(&id));
        let is_deleted = |id: i64| id < 200 && id % 10 == 7 && !is_updated(id);
        let mut expected: Vec<String> = (0..300)
            .filter(|id| !is_deleted(*id))
            .map(|id| match is_updated(id) {
                true => line(id, amount(id).map(|amount| -amount)),
                false => line(id, amount(id)),
            })
            .collect();
        expected.push("1204|a name that says 204|-".to_owned());
        expected.sort();
        let updated = (0..300).filter(|id| is_updated(*id)).count() as u64;
        let deleted = (0..300).filter(|id| is_deleted(*id)).count() as u64;
        let counts = fixture.run(&statement).await.unwrap();
        assert_eq!(counts, (1, updated, deleted), "{version:?} {mode:?}");
        assert_eq!(fixture.rows(ALL).await, expected, "{version:?} {mode:?}");
        let (_, vectors, positions) = fixture.files().await;
        let deletes = match (version, mode) {
            (FormatVersion::V1, _) | (_, Some("copy-on-write")) => 0,
            (_, None) => 1,
            _ => 2,
        };
        let expected = match version {
            FormatVersion::V3 => (deletes, 0),
            _ => (0, deletes),
        };
        assert_eq!((vectors, positions), expected, "{version:?} {mode:?}");
        let table = fixture.table().await;
        let summary = &table.snapshot().unwrap().summary().additional_properties;
        let count = |key: &str| {
            let key = format!("spark.merge-into.num-target-rows-{key}");
            summary[&key].parse::<u64>().unwrap()
        };
        assert_eq!((count("inserted"), count("updated")), (1, updated));
        assert_eq!(count("not-matched-by-source-deleted"), deleted);
        assert_eq!((count("deleted"), count("matched-deleted")), (deleted, 0));
        // Once more, over what the first change left.
        let rows = format!(
            "SELECT {} AS action, _file, _pos{} FROM t WHERE id % 2 = 0",
            action(RowAction::Delete),
            if row_id.is_empty() { "" } else { ", _row_id" },
        );
        let statement = Statement {
            kind: RowStatement::Delete,
            update: &[],
            insert: false,
            rows: &rows,
        };
        let odd = fixture.rows(&format!("{ALL} WHERE id % 2 = 1")).await;
        fixture.run(&statement).await.unwrap();
        assert_eq!(fixture.rows(ALL).await, odd, "{version:?} {mode:?}");
    }
}

#[tokio::test]
async fn a_file_of_which_no_row_stays_is_not_written_anew() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let id = if version == FormatVersion::V3 {
            ", _row_id"
        } else {
            ""
        };
        let delete = |condition: &str| {
            let action = action(RowAction::Delete);
            format!("SELECT {action} AS action, _file, _pos{id} FROM t WHERE {condition}")
        };
        for (condition, left) in [("id < 110", 190), ("id < 200", 100), ("true", 0)] {
            let rows = delete(condition);
            let statement = Statement {
                kind: RowStatement::Delete,
                update: &[],
                insert: false,
                rows: &rows,
            };
            let before = fixture.stored_files().await;
            fixture.run(&statement).await.unwrap();
            assert_eq!(fixture.rows(ALL).await.len(), left);
            let written = fixture.stored_files().await.len() - before.len();
            let expected = usize::from(condition == "id < 110");
            assert_eq!(written, expected, "{version:?} {mode:?} {condition}");
        }
        assert_eq!(fixture.files().await, (0, 0, 0));
    }
}

#[tokio::test]
async fn no_row_makes_no_snapshot() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let before = fixture.table().await.snapshot_id();
        let rows = format!(
            "SELECT {} AS action, _file, _pos, {}amount FROM t WHERE id > 1000",
            action(RowAction::Update),
            row_id(version)
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["amount"],
            insert: false,
            rows: &rows,
        };
        assert_eq!(fixture.run(&statement).await.unwrap(), (0, 0, 0));
        assert_eq!(fixture.table().await.snapshot_id(), before);
    }
}

#[tokio::test]
async fn a_branch_changes_alone() {
    for (version, mode) in all_modes() {
        let fixture = three_files(version, mode).await;
        let main = fixture.table().await.snapshot_id().unwrap();
        fixture.branch("dev", main).await;
        let rows = format!(
            "SELECT {} AS action, _file, _pos, {}-amount AS amount FROM t WHERE id < 50",
            action(RowAction::Update),
            row_id(version)
        );
        let statement = Statement {
            kind: RowStatement::Update,
            update: &["amount"],
            insert: false,
            rows: &rows,
        };
        for round in 1..3 {
            let table = fixture.table().await.at(Version::Branch("dev".to_owned()));
            let table = table.unwrap();
            let context = fixture.context_of(&table, 3).await;
            let mut change = fixture.row_change(&statement).await;
            change.target.table = table;
            let input = context.sql(&rows).await.unwrap().into_unoptimized_plan();
            let node = RowChangeNode::try_new(change, input).unwrap();
            let frame = context.execute_logical_plan(node.into_plan()).await;
            frame.unwrap().collect().await.unwrap();
            let negative = if round == 1 { 37 } else { 0 };
            let table = fixture.table().await.at(Version::Branch("dev".to_owned()));
            let context = fixture.context_of(&table.unwrap(), 1).await;
            let count = context
                .sql("SELECT id FROM t WHERE amount < 0")
                .await
                .unwrap();
            assert_eq!(
                count.count().await.unwrap(),
                negative,
                "{version:?} {mode:?}"
            );
            let all = context.sql("SELECT id FROM t").await.unwrap();
            assert_eq!(all.count().await.unwrap(), 300);
        }
        assert_eq!(fixture.table().await.snapshot_id(), Some(main));
        assert_eq!(
            fixture.rows("SELECT id FROM t WHERE amount < 0").await,
            [""; 0]
        );
    }
}

#[tokio::test]
async fn new_values_beyond_the_memory_budget_are_an_error_and_leave_no_file() {
    let budget = Settings {
        memory_budget_bytes: Some(1 << 20),
        ..Settings::default()
    };
    let spec = UnboundPartitionSpec::builder().build();
    let fixture = Fixture::within(columns(), spec, FormatVersion::V3, budget).await;
    fixture.append(numbered(0..200_000)).await;
    let before = fixture.stored_files().await;
    let rows = format!(
        "SELECT {} AS action, _file, _pos, _row_id, name FROM t",
        action(RowAction::Update)
    );
    let statement = Statement {
        kind: RowStatement::Update,
        update: &["name"],
        insert: false,
        rows: &rows,
    };
    let error = fixture.run(&statement).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourcesExhausted, "{error}");
    assert_eq!(fixture.stored_files().await, before);
}
