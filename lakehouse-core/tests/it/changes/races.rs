//! Two changes at a time, where one pulls something away from under the other.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use iceberg::TableUpdate;
use iceberg::spec::{
    DataContentType, FormatVersion, NestedField, Operation, PrimitiveType, Schema,
    SnapshotReference, SnapshotRetention, Transform, Type,
};
use lakehouse_core::catalog::CommitOutcome;
use lakehouse_core::commit::{
    ColumnPath, EvolvePartitions, FileChange, FilesOnFailure, Isolation, NewPartitionField,
    PartitionFieldReference, PartitionOperation, RowStatement,
};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::scan::ScanFile;
use lakehouse_core::table::Table;
use lakehouse_core::write::WrittenFile;
use lakehouse_testkit::{RowDelta, write_equality_deletes};

use super::world::{ID, World, part_is, refused};

const VERSIONS: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];

/// Rows 1, 2 in `a`; 3, 4 in `b`; with the table as it is then.
async fn filled(version: FormatVersion) -> (World, Table) {
    let world = World::new(version).await;
    world
        .append(&[(1, "a"), (2, "a"), (3, "b"), (4, "b")])
        .await;
    let table = world.table().await;
    (world, table)
}

fn by_part() -> ColumnPath {
    ColumnPath::parse("part").unwrap()
}

fn unpartitioned() -> EvolvePartitions {
    EvolvePartitions {
        operations: vec![PartitionOperation::Drop(PartitionFieldReference::Term {
            column: by_part(),
            transform: Transform::Identity,
        })],
    }
}

fn partitioned() -> EvolvePartitions {
    EvolvePartitions {
        operations: vec![PartitionOperation::Add(NewPartitionField {
            column: by_part(),
            transform: Transform::Identity,
            name: None,
        })],
    }
}

/// Commits what was put together by hand.
async fn commit_delta(world: &World, delta: RowDelta) {
    let table = world.table().await;
    let snapshot = delta.snapshot(table.metadata()).await.unwrap();
    let reference = SnapshotReference {
        snapshot_id: snapshot.snapshot_id(),
        retention: SnapshotRetention::branch(None, None, None),
    };
    let ref_name = "main".to_owned();
    let updates = vec![
        TableUpdate::AddSnapshot { snapshot },
        TableUpdate::SetSnapshotRef {
            ref_name,
            reference,
        },
    ];
    let outcome = world.catalog.commit(table.pointer(), Vec::new(), updates);
    assert!(matches!(
        outcome.await.unwrap(),
        CommitOutcome::Committed(_)
    ));
}

#[tokio::test]
async fn t16_a_dynamic_overwrite_goes_by_the_spec_of_its_files() {
    for version in VERSIONS {
        // Its files have partitions, the table has none any more.
        let (world, base) = filled(version).await;
        let change = FileChange::replace_partitions(&base, world.write(&[(5, "a")]).await);
        world.commit(unpartitioned()).await.unwrap();
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [3, 4, 5]);
        // And the other way round.
        let base = world.table().await;
        let change = FileChange::replace_partitions(&base, world.write(&[(6, "a")]).await);
        world.commit(partitioned()).await.unwrap();
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [6]);
    }
}

#[tokio::test]
async fn d18_deletes_of_one_file_stay_with_it_whatever_they_are_listed_under() {
    for version in VERSIONS {
        for replaces in [true, false] {
            let (world, base) = filled(version).await;
            let file = world.file(&base, "a").await;
            let other = world.file(&base, "b").await;
            let mut deletes = world.deletes(&base, &file, &[0]);
            // As a writer that took the partition of another file.
            let mut built = data_file_builder(&deletes);
            built.partition(other.data_file().partition().clone());
            deletes.data_file = built.build().unwrap();
            let change = FileChange::row_level(&base, RowStatement::Delete)
                .add(vec![deletes])
                .referencing(&file);
            world.commit(change).await.unwrap();
            assert_eq!(world.ids().await, [2, 3, 4]);
            let table = world.table().await;
            let change = match replaces {
                true => FileChange::replace_partitions(&table, world.write(&[(7, "b")]).await),
                false => FileChange::delete_rows(&table, part_is("b")),
            };
            world.commit(change).await.unwrap();
            let expected: &[i64] = if replaces { &[2, 7] } else { &[2] };
            assert_eq!(world.ids().await, expected, "{version} {replaces}");
        }
    }
}

/// A builder of a delete file that is there already.
fn data_file_builder(file: &WrittenFile) -> iceberg::spec::DataFileBuilder {
    let file = &file.data_file;
    let mut builder = iceberg::spec::DataFileBuilder::default();
    builder
        .content(file.content_type())
        .file_path(file.file_path().to_owned())
        .file_format(file.file_format())
        .record_count(file.record_count())
        .file_size_in_bytes(file.file_size_in_bytes())
        .referenced_data_file(file.referenced_data_file())
        .content_offset(file.content_offset())
        .content_size_in_bytes(file.content_size_in_bytes());
    builder
}

#[tokio::test]
async fn two_updates_of_one_row_conflict_without_isolation_too() {
    let (world, base) = filled(FormatVersion::V2).await;
    let file = world.file(&base, "a").await;
    let update = async |id| {
        FileChange::row_level(&base, RowStatement::Update)
            .add(vec![world.deletes(&base, &file, &[0])])
            .add(world.write(&[(id, "a")]).await)
            .referencing(&file)
            .with_isolation(Isolation::None)
    };
    let (first, second) = (update(101).await, update(102).await);
    world.commit(first).await.unwrap();
    refused(
        world.commit(second).await,
        ErrorKind::Conflict,
        "(new deletes)",
    );
    assert_eq!(world.ids().await, [2, 3, 4, 101]);
}

fn keys() -> Schema {
    let id = NestedField::optional(ID, "id", Type::Primitive(PrimitiveType::Long));
    Schema::builder()
        .with_fields([Arc::new(id)])
        .build()
        .unwrap()
}

/// Commits an equality delete of a row of partition `a`, and what takes its place if `converts`.
async fn delete_by_key(world: &World, file: &ScanFile, converts: bool) {
    let folder = world.folder.path().display().to_string();
    let path = format!("{folder}/keys.parquet");
    let key: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let mut keys = write_equality_deletes(&path, &keys(), &[key]).unwrap();
    keys.partition(file.data_file().partition().clone());
    commit_delta(world, RowDelta::new(&folder).add(keys.build().unwrap())).await;
    if converts {
        let positions = world.deletes(&world.table().await, file, &[0]);
        let delta = RowDelta::new(&folder)
            .as_operation(Operation::Replace)
            .drop_deletes(|file| file.content_type() == DataContentType::EqualityDeletes)
            .add(positions.data_file);
        commit_delta(world, delta).await;
    }
}

#[tokio::test]
async fn a_rewrite_conflicts_with_equality_deletes_that_became_positions() {
    for version in VERSIONS {
        for converts in [false, true] {
            let (world, base) = filled(version).await;
            let file = world.file(&base, "a").await;
            let rows = world.write(&[(1, "a"), (2, "a")]).await;
            let rewrite = FileChange::rewrite(&base, std::slice::from_ref(&file), rows);
            delete_by_key(&world, &file, converts).await;
            let result = world.commit(rewrite).await;
            match converts {
                true => {
                    let text = "(new deletes)";
                    refused(result, ErrorKind::Conflict, text);
                }
                // They apply to the file that takes the place as well.
                false => {
                    result.unwrap();
                }
            }
            let rows = world.rows_with_ids(&world.table().await).await;
            assert_eq!(rows.into_keys().collect::<Vec<_>>(), [2, 3, 4]);
        }
    }
}

/// PyIceberg up to 0.11 rewrites a file so that the removal's entry names the adding snapshot.
#[tokio::test]
async fn a_removal_listed_under_the_adding_snapshot_conflicts() {
    let changes = [
        (RowStatement::Delete, false, "missing data files"),
        (RowStatement::Update, false, "missing data files"),
        (RowStatement::Update, true, "missing files to delete"),
    ];
    for (statement, copies, text) in changes {
        let (world, base) = filled(FormatVersion::V2).await;
        let file = world.file(&base, "a").await;
        let rewritten = world.write(&[(1, "a")]).await.remove(0).data_file;
        let path = file.path().to_owned();
        let delta = RowDelta::new(world.folder.path().display().to_string())
            .remove_under_adding_snapshot(move |file| file.file_path() == path)
            .add(rewritten);
        commit_delta(&world, delta).await;
        let change = FileChange::row_level(&base, statement)
            .add(world.write(&[(101, "a")]).await)
            .with_isolation(Isolation::Snapshot);
        let change = match copies {
            true => change.remove(&file),
            false => change
                .add(vec![world.deletes(&base, &file, &[0])])
                .referencing(&file),
        };
        refused(world.commit(change).await, ErrorKind::Conflict, text);
        let rows = world.rows_with_ids(&world.table().await).await;
        assert_eq!(rows.into_keys().collect::<Vec<_>>(), [1, 3, 4]);
    }
}

#[tokio::test]
async fn deletes_of_a_file_that_went_are_left_out() {
    for version in VERSIONS {
        for had_deletes in [false, true] {
            for marks_another in [false, true] {
                let (world, mut base) = filled(version).await;
                let mark = |base: &Table, change: FileChange, file: &ScanFile, rows: &[u64]| {
                    let old = file.deletes.vector.iter().chain(&file.deletes.positions);
                    let change = old.fold(change, |change, old| change.supersede(old));
                    change
                        .add(vec![world.deletes(base, file, rows)])
                        .referencing(file)
                };
                let delete = |base: &Table| FileChange::row_level(base, RowStatement::Delete);
                if had_deletes {
                    let file = world.file(&base, "a").await;
                    let change = mark(&base, delete(&base), &file, &[0]);
                    world.commit(change).await.unwrap();
                    base = world.table().await;
                }
                let file = world.file(&base, "a").await;
                let mut change = mark(&base, delete(&base), &file, &[0, 1]);
                if marks_another {
                    let other = world.file(&base, "b").await;
                    change = mark(&base, change, &other, &[0]);
                }
                let change = change
                    .with_isolation(Isolation::Snapshot)
                    .with_files_on_failure(FilesOnFailure::Delete);
                let gone = FileChange::delete_rows(&base, part_is("a"));
                world.commit(gone).await.unwrap();
                let before = world.table().await.snapshot_id();
                let committed = world.commit(change).await.unwrap();
                let left: &[i64] = if marks_another { &[4] } else { &[3, 4] };
                assert_eq!(world.ids().await, left);
                assert_eq!(committed.is_changed, marks_another);
                assert_eq!(
                    world.table().await.snapshot_id() != before,
                    marks_another,
                    "no snapshot without a change"
                );
                let deletes = u32::from(marks_another).to_string();
                assert_eq!(world.summary("total-delete-files").await, Some(deletes));
                let live = world.live(&world.table().await).await;
                let paths: Vec<&str> = live.iter().map(|file| file.file_path()).collect();
                for file in &live {
                    let path = file.referenced_data_file();
                    assert!(path.is_none_or(|path| paths.contains(&path.as_str())));
                }
                // What nobody names is deleted.
                let mut files = std::fs::read_dir(world.folder.path()).unwrap();
                let is_named = |name: &str| paths.iter().any(|path| path.ends_with(name));
                let stray = files.find_map(|file| {
                    let name = file.unwrap().file_name().into_string().unwrap();
                    let is_own = name.starts_with("deletes-") && name != "deletes-0";
                    (is_own && !is_named(&name)).then_some(name)
                });
                assert_eq!(stray, None, "{version} {had_deletes} {marks_another}");
            }
        }
    }
}
