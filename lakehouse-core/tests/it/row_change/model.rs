//! Any sequence of changes gives what a map of rows gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::spec::{FormatVersion, Transform, UnboundPartitionSpec};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::provider::RowAction;
use proptest::prelude::*;

use super::fixture::{Fixture, Statement, action, batch, optional, schema};
use super::set_modes;
use iceberg::spec::PrimitiveType;

/// One statement: rows by the remainder of their ids.
#[derive(Debug, Clone)]
struct Change {
    update: (i64, i64),
    delete: (i64, i64),
    insert: u8,
    /// Whether all columns are updated.
    whole: bool,
}

#[derive(Debug, Clone)]
struct Case {
    version: FormatVersion,
    mode: Option<&'static str>,
    partitioned: bool,
    partition_granularity: bool,
    files: Vec<u16>,
    changes: Vec<Change>,
}

fn change() -> impl Strategy<Value = Change> {
    let rest = || (1_i64..40).prop_flat_map(|divisor| (Just(divisor), 0..divisor));
    (rest(), rest(), 0_u8..5, any::<bool>()).prop_map(|(update, delete, insert, whole)| Change {
        update,
        delete,
        insert,
        whole,
    })
}

fn case() -> impl Strategy<Value = Case> {
    let version = prop_oneof![
        1 => Just(FormatVersion::V1),
        2 => Just(FormatVersion::V2),
        3 => Just(FormatVersion::V3)
    ];
    let mode = prop_oneof![
        Just(None),
        Just(Some("copy-on-write")),
        Just(Some("merge-on-read"))
    ];
    let files = proptest::collection::vec(1_u16..400, 1..4);
    let changes = proptest::collection::vec(change(), 1..5);
    (version, mode, any::<bool>(), any::<bool>(), files, changes).prop_map(
        |(version, mode, partitioned, partition_granularity, files, changes)| Case {
            version,
            mode,
            partitioned,
            partition_granularity,
            files,
            changes,
        },
    )
}

/// What is known of a row: its value, its row id, the number of its last change.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    value: Option<i64>,
    row_id: Option<String>,
    sequence_number: Option<i64>,
}

async fn check(case: &Case) {
    let columns = schema(vec![
        optional(1, "id", PrimitiveType::Long),
        optional(2, "value", PrimitiveType::Long),
    ]);
    let spec = UnboundPartitionSpec::builder();
    let spec = match case.partitioned {
        true => spec
            .add_partition_field(2, "value_bucket", Transform::Bucket(2))
            .unwrap(),
        false => spec,
    };
    let fixture = Fixture::partitioned(columns, spec.build(), case.version).await;
    set_modes(&fixture, case.mode).await;
    if case.partition_granularity {
        fixture
            .set_property("write.delete.granularity", "partition")
            .await;
    }
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    let mut next = 0;
    for (number, count) in (1..).zip(&case.files) {
        let ids: Vec<i64> = (next..next + i64::from(*count)).collect();
        let value = |id: i64| (id % 3 != 0).then_some(id);
        let values: Int64Array = ids.iter().map(|id| value(*id)).collect();
        let id_column: ArrayRef = Arc::new(Int64Array::from(ids.clone()));
        fixture
            .append(batch(vec![id_column, Arc::new(values)]))
            .await;
        for id in ids {
            let row = Row {
                value: value(id),
                row_id: None,
                sequence_number: Some(number),
            };
            rows.insert(id, row);
        }
        next += i64::from(*count);
    }
    let is_v3 = case.version == FormatVersion::V3;
    let mut known = observe(&fixture, is_v3).await;
    same_values(&known, &rows, case);
    for change in &case.changes {
        apply(&fixture, change, is_v3, &mut rows, &mut next).await;
        let after = observe(&fixture, is_v3).await;
        same_values(&after, &rows, case);
        for (id, row) in &after {
            if let Some(before) = known.get(id) {
                assert_eq!(row.row_id, before.row_id, "{case:?} {id}");
            }
        }
        known = after;
    }
}

fn same_values(found: &BTreeMap<i64, Row>, expected: &BTreeMap<i64, Row>, case: &Case) {
    let found: Vec<_> = found
        .iter()
        .map(|(id, row)| (*id, row.value, row.sequence_number))
        .collect();
    let is_v3 = case.version == FormatVersion::V3;
    let number = |row: &Row| row.sequence_number.filter(|_| is_v3);
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, row)| (*id, row.value, number(row)))
        .collect();
    assert_eq!(found, expected, "{case:?}");
}

async fn observe(fixture: &Fixture, is_v3: bool) -> BTreeMap<i64, Row> {
    let lineage = match is_v3 {
        true => "_row_id, _last_updated_sequence_number",
        false => "NULL AS a, NULL AS b",
    };
    let lines = fixture
        .rows(&format!("SELECT id, value, {lineage} FROM t"))
        .await;
    let count = lines.len();
    let parsed = lines.iter().map(|line| {
        let parts: Vec<&str> = line.split('|').collect();
        let row = Row {
            value: parts[1].parse().ok(),
            row_id: is_v3.then(|| parts[2].to_owned()),
            sequence_number: parts[3].parse().ok(),
        };
        (parts[0].parse().unwrap(), row)
    });
    let rows: BTreeMap<i64, Row> = parsed.collect();
    assert_eq!(rows.len(), count, "an id twice");
    if is_v3 {
        let mut ids: Vec<_> = rows.values().map(|row| row.row_id.clone()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), count, "a row id twice");
        assert!(rows.values().all(|row| row.row_id.as_deref() != Some("-")));
    }
    rows
}

async fn apply(
    fixture: &Fixture,
    change: &Change,
    is_v3: bool,
    rows: &mut BTreeMap<i64, Row>,
    next: &mut i64,
) {
    let ((update, update_rest), (delete, delete_rest)) = (change.update, change.delete);
    let (row_id, no_row_id) = match is_v3 {
        true => ("_row_id, ", "arrow_cast(NULL, 'Int64') AS r, "),
        false => ("", ""),
    };
    let mut query = format!(
        "SELECT CASE WHEN id % {delete} = {delete_rest} THEN {} ELSE {} END AS action, _file, _pos, \
         {row_id}id, value + 1 AS value FROM t WHERE id % {update} = {update_rest} \
         OR id % {delete} = {delete_rest}",
        action(RowAction::Delete),
        action(RowAction::Update),
    );
    let before = rows.clone();
    rows.retain(|id, _| id % delete != delete_rest);
    let number = fixture.table().await.metadata().last_sequence_number() + 1;
    for (id, row) in rows.iter_mut() {
        if id % update == update_rest {
            row.value = row.value.map(|value| value + 1);
            row.sequence_number = Some(number);
        }
    }
    for _ in 0..change.insert {
        query.push_str(&format!(
            " UNION ALL SELECT {}, arrow_cast(NULL, 'Utf8View') AS f, arrow_cast(NULL, 'Int64') AS p, \
             {no_row_id}arrow_cast({next}, 'Int64') AS i, arrow_cast({next}, 'Int64') AS v",
            action(RowAction::Insert),
        ));
        let row = Row {
            value: Some(*next),
            row_id: None,
            sequence_number: Some(number),
        };
        rows.insert(*next, row);
        *next += 1;
    }
    let update_columns: &[&str] = match change.whole {
        true => &["id", "value"],
        false => &["value"],
    };
    let statement = Statement {
        kind: RowStatement::Merge,
        update: update_columns,
        insert: true,
        rows: &query,
    };
    let (inserted, updated, deleted) = fixture.run(&statement).await.unwrap();
    let gone = before
        .keys()
        .filter(|id| *id % delete == delete_rest)
        .count() as u64;
    let changed = before
        .keys()
        .filter(|id| *id % delete != delete_rest && *id % update == update_rest);
    assert_eq!(
        (inserted, updated, deleted),
        (u64::from(change.insert), changed.count() as u64, gone)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn changes_give_what_a_map_gives(case in case()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(&case));
    }
}
