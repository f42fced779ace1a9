//! Rows that deletes of every kind took before stay away, and the deletes of files that change are
//! replaced.

#![expect(clippy::single_range_in_vec_init, reason = "a run of rows is a range")]

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::spec::{FormatVersion, PrimitiveType};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::provider::RowAction;
use lakehouse_core::scan::DeleteKind;
use lakehouse_core::write::{DeleteWriter, DeletedPositions, WriteOptions};
use lakehouse_testkit::{PositionDeletes, write_deletion_vectors, write_equality_deletes};
use roaring::RoaringTreemap;

use super::fixture::{Fixture, Statement, action, optional, schema};
use super::{ALL, amount, line, row_id, three_files};

/// Deletes by hand: of the first two files rows 0 to 9 in one file, of the third row 5 and 6 in one
/// of its own, and everywhere ids whose last digit is 8, by their values.
async fn delete_by_hand(fixture: &Fixture, version: FormatVersion) -> BTreeSet<i64> {
    let by_least = |least: i64| async move {
        let path = format!("SELECT DISTINCT _file FROM t WHERE id = {least}");
        fixture.rows(&path).await.remove(0)
    };
    let (one, two, three) = (by_least(0).await, by_least(100).await, by_least(200).await);
    let mut delta = fixture.delta();
    let rows = (0..10).flat_map(|row| [(one.clone(), row), (two.clone(), row)]);
    let shared = PositionDeletes::new(rows).write(&fixture.path("shared.parquet"));
    delta = delta.add(shared.unwrap().build().unwrap());
    let own = match version {
        FormatVersion::V3 => {
            let vectors = [(three.as_str(), vec![5..7])];
            write_deletion_vectors(&fixture.path("own.puffin"), &vectors).unwrap()
        }
        _ => {
            let rows = [(three.clone(), 5), (three.clone(), 6)];
            let own = PositionDeletes::new(rows).write(&fixture.path("own.parquet"));
            vec![own.unwrap()]
        }
    };
    for own in own {
        delta = delta.add(own.build().unwrap());
    }
    let keys = schema(vec![optional(1, "id", PrimitiveType::Long)]);
    let eights: Vec<i64> = (0..300).filter(|id| id % 10 == 8).collect();
    let column: ArrayRef = Arc::new(Int64Array::from(eights));
    let equality = write_equality_deletes(&fixture.path("equality.parquet"), &keys, &[column]);
    delta = delta.add(equality.unwrap().build().unwrap());
    fixture.commit_delta(delta).await;
    let gone = |id: &i64| id % 10 == 8 || (id % 100 < 10 && *id < 200) || (205..207).contains(id);
    (0..300).filter(|id| !gone(id)).collect()
}

#[tokio::test]
async fn d19_rows_that_were_deleted_before_do_not_come_back() {
    for version in [FormatVersion::V2, FormatVersion::V3] {
        for mode in [None, Some("copy-on-write"), Some("merge-on-read")] {
            let fixture = three_files(version, mode).await;
            let mut live = delete_by_hand(&fixture, version).await;
            let expected: BTreeSet<String> = live.iter().map(|id| line(*id, amount(*id))).collect();
            assert_eq!(
                fixture.rows(ALL).await,
                expected.into_iter().collect::<Vec<_>>()
            );
            // One row in ten first, then most of them.
            let mut changed = BTreeSet::new();
            for condition in [3..4, 2..7] {
                let rows = format!(
                    "SELECT CASE WHEN id % 10 = 4 THEN {} ELSE {} END AS action, _file, _pos, {}\
                     -id AS amount FROM t WHERE id % 10 >= {} AND id % 10 < {}",
                    action(RowAction::Delete),
                    action(RowAction::Update),
                    row_id(version),
                    condition.start,
                    condition.end,
                );
                let statement = Statement {
                    kind: RowStatement::Merge,
                    update: &["amount"],
                    insert: false,
                    rows: &rows,
                };
                let counts = fixture.run(&statement).await.unwrap();
                let hit: Vec<i64> = live
                    .iter()
                    .copied()
                    .filter(|id| condition.contains(&(id % 10)))
                    .collect();
                let deleted = hit.iter().filter(|id| **id % 10 == 4).count();
                assert_eq!(counts, (0, (hit.len() - deleted) as u64, deleted as u64));
                live.retain(|id| id % 10 != 4 || !condition.contains(&4));
                changed.extend(hit);
                let mut expected: Vec<String> = live
                    .iter()
                    .map(|id| match changed.contains(id) {
                        true => line(*id, Some(-id)),
                        false => line(*id, amount(*id)),
                    })
                    .collect();
                expected.sort();
                assert_eq!(fixture.rows(ALL).await, expected, "{version:?} {mode:?}");
            }
        }
    }
}

#[tokio::test]
async fn d15_a_new_vector_holds_what_old_deletes_hold() {
    let fixture = three_files(FormatVersion::V3, Some("merge-on-read")).await;
    delete_by_hand(&fixture, FormatVersion::V3).await;
    let rows = format!(
        "SELECT {} AS action, _file, _pos, _row_id FROM t WHERE id % 10 = 9",
        action(RowAction::Delete)
    );
    let statement = Statement {
        kind: RowStatement::Delete,
        update: &[],
        insert: false,
        rows: &rows,
    };
    fixture.run(&statement).await.unwrap();
    let plan = fixture.plan().await;
    assert_eq!(plan.files.len(), 3);
    let mut puffins = BTreeSet::new();
    let mut deleted = Vec::new();
    for file in &plan.files {
        let vector = file.deletes.vector.as_ref().unwrap();
        assert_eq!(vector.kind(), DeleteKind::Vector);
        puffins.insert(vector.path().to_owned());
        deleted.push(vector.data_file().record_count());
    }
    deleted.sort_unstable();
    // Rows 9, 19, … of each; of the first two files rows 0 to 9, of the third rows 5 and 6.
    assert_eq!(deleted, [12, 19, 19]);
    assert!(puffins.len() <= 3);
}

#[tokio::test]
async fn position_deletes_are_for_files_or_partitions() {
    for (granularity, files) in [(None, 3), (Some("file"), 3), (Some("partition"), 1)] {
        let fixture = three_files(FormatVersion::V2, Some("merge-on-read")).await;
        if let Some(granularity) = granularity {
            fixture
                .set_property("write.delete.granularity", granularity)
                .await;
        }
        let table = fixture.table().await;
        let memory = fixture.lake.runtime().reserve("a test");
        let options = WriteOptions::new(memory, fixture.lake.clock().new_uuid());
        let mut writer = DeleteWriter::try_new(&table, options).unwrap();
        let plan = fixture.plan().await;
        for file in &plan.files {
            let positions: RoaringTreemap = [1, 2, 3, 50].into_iter().collect();
            let deleted = DeletedPositions {
                data_file: file.path().to_owned(),
                spec_id: file.spec_id(),
                partition: file.data_file().partition().clone(),
                positions,
            };
            writer.add(deleted).await.unwrap();
        }
        let written = writer.close().await.unwrap();
        assert_eq!(written.len(), files, "{granularity:?}");
        let mut delta = fixture.delta();
        for file in written {
            let referenced = file.data_file.referenced_data_file();
            assert_eq!(referenced.is_some(), files == 3);
            delta = delta.add(file.data_file);
        }
        fixture.commit_delta(delta).await;
        let left = fixture
            .rows("SELECT id FROM t WHERE id % 100 IN (1, 2, 3, 50)")
            .await;
        assert_eq!(left, [""; 0]);
        assert_eq!(fixture.rows(ALL).await.len(), 288);
    }
}

#[tokio::test]
async fn vectors_are_read_as_they_were_written() {
    let fixture = three_files(FormatVersion::V3, None).await;
    // Each vector is a file of its own when no more fit.
    for (bytes, files) in [("67108864", 1), ("1", 3)] {
        fixture
            .set_property("write.delete.target-file-size-bytes", bytes)
            .await;
        let table = fixture.table().await;
        let memory = fixture.lake.runtime().reserve("a test");
        let options = WriteOptions::new(memory, fixture.lake.clock().new_uuid());
        let mut writer = DeleteWriter::try_new(&table, options).unwrap();
        let plan = fixture.plan().await;
        for file in &plan.files {
            let deleted = DeletedPositions {
                data_file: file.path().to_owned(),
                spec_id: file.spec_id(),
                partition: file.data_file().partition().clone(),
                positions: (10..20).chain([99]).collect(),
            };
            writer.add(deleted).await.unwrap();
        }
        let written = writer.close().await.unwrap();
        let puffins: BTreeSet<&str> = written.iter().map(|f| f.data_file.file_path()).collect();
        assert_eq!((written.len(), puffins.len()), (3, files));
        let mut delta = fixture.delta().drop_deletes(|_| true);
        for file in written {
            delta = delta.add(file.data_file);
        }
        fixture.commit_delta(delta).await;
        assert_eq!(fixture.rows(ALL).await.len(), 300 - 33);
        let left = fixture
            .rows("SELECT id FROM t WHERE id % 100 IN (10, 19, 99)")
            .await;
        assert_eq!(left, [""; 0]);
    }
}
