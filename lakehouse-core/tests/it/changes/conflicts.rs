//! What others commit between the read and the commit: what conflicts with it and what does not.

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::{FileChange, Isolation, RowStatement};
use lakehouse_core::error::{ErrorKind, Result};
use lakehouse_core::scan::{Predicate, ScanFile};
use lakehouse_core::table::Table;

use super::world::{World, id_below, part_is, refused};

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

/// A file rewritten without some of its rows.
async fn copied(world: &World, base: &Table, of: RowStatement, file: &ScanFile) -> FileChange {
    let rows = world.write(&[(2, "a")]).await;
    FileChange::row_level(base, of).remove(file).add(rows)
}

/// Deletes of the first row of a file.
fn marked(world: &World, base: &Table, of: RowStatement, file: &ScanFile) -> FileChange {
    FileChange::row_level(base, of)
        .add(vec![world.deletes(base, file, &[0])])
        .referencing(file)
}

/// Commits deletes of a row of the one file of a partition as somebody else.
async fn delete_in(world: &World, part: &str, row: u64) {
    let table = world.table().await;
    let file = world.file(&table, part).await;
    let change = FileChange::row_level(&table, RowStatement::Delete)
        .add(vec![world.deletes(&table, &file, &[row])])
        .referencing(&file);
    world.commit(change).await.unwrap();
}

fn is_ok(result: Result<lakehouse_core::commit::Committed>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            false
        }
    }
}

#[tokio::test]
async fn c13_an_insert_conflicts_with_serializable_changes_that_would_have_read_it() {
    for version in VERSIONS {
        for statement in [
            RowStatement::Delete,
            RowStatement::Update,
            RowStatement::Merge,
        ] {
            for (level, part, conflicts) in [
                (Isolation::Serializable, "a", true),
                (Isolation::Serializable, "b", false),
                (Isolation::Snapshot, "a", false),
                (Isolation::None, "a", false),
            ] {
                for copies in [true, false] {
                    let (world, base) = filled(version).await;
                    let file = world.file(&base, "a").await;
                    world.append(&[(9, part)]).await;
                    let change = match copies {
                        true => copied(&world, &base, statement, &file).await,
                        false => marked(&world, &base, statement, &file),
                    };
                    let change = change
                        .with_isolation(level)
                        .with_conflict_filter(part_is("a"));
                    let result = world.commit(change).await;
                    if conflicts {
                        let error = refused(result, ErrorKind::Conflict, "conflicting data");
                        let text = error.to_string();
                        assert!(text.contains("another writer was first"), "{text}");
                        assert!(text.contains("nothing was changed, try again"), "{text}");
                        assert!(text.contains("filter: "), "{text}");
                        assert_eq!(world.ids().await, [1, 2, 3, 4, 9]);
                    } else {
                        result.unwrap();
                        assert_eq!(world.ids().await, [2, 3, 4, 9]);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn the_level_comes_from_the_property_of_the_statement() {
    for (statement, key) in [
        (RowStatement::Delete, "write.delete.isolation-level"),
        (RowStatement::Update, "write.update.isolation-level"),
        (RowStatement::Merge, "write.merge.isolation-level"),
    ] {
        for (value, expected) in [(None, false), (Some("snapshot"), true)] {
            let (world, base) = filled(FormatVersion::V2).await;
            if let Some(value) = value {
                world.set_property(key, value).await;
            }
            let file = world.file(&base, "a").await;
            world.append(&[(9, "b")]).await;
            // Without a filter every row counts as read.
            let change = copied(&world, &base, statement, &file).await;
            assert_eq!(is_ok(world.commit(change).await), expected);
        }
    }
}

#[tokio::test]
async fn c10_new_deletes_of_a_replaced_file_conflict_at_every_level() {
    for version in VERSIONS {
        for level in [
            Isolation::Serializable,
            Isolation::Snapshot,
            Isolation::None,
        ] {
            for (part, conflicts) in [("a", true), ("b", false)] {
                let (world, base) = filled(version).await;
                let file = world.file(&base, "a").await;
                delete_in(&world, part, 1).await;
                let rows = world.write(&[(2, "a")]).await;
                let copied = FileChange::row_level(&base, RowStatement::Update)
                    .remove(&file)
                    .add(rows.clone())
                    .with_isolation(level);
                let rewritten = FileChange::rewrite(&base, std::slice::from_ref(&file), rows);
                let change = if level == Isolation::None {
                    rewritten
                } else {
                    copied
                };
                let result = world.commit(change).await;
                if conflicts {
                    refused(result, ErrorKind::Conflict, "(new deletes)");
                    assert_eq!(world.ids().await, [1, 3, 4]);
                } else {
                    result.unwrap();
                    assert_eq!(world.ids().await, [2, 3]);
                }
            }
        }
    }
}

#[tokio::test]
async fn c11_deletes_of_rows_whose_file_went_conflict() {
    for version in VERSIONS {
        for (statement, rewritten, conflicts) in [
            (RowStatement::Delete, true, true),
            (RowStatement::Update, true, true),
            // All rows were deleted: deleting some of them again changes nothing.
            (RowStatement::Delete, false, false),
            (RowStatement::Update, false, true),
            (RowStatement::Merge, false, true),
        ] {
            let (world, base) = filled(version).await;
            let file = world.file(&base, "a").await;
            if rewritten {
                let rows = world.write(&[(1, "a"), (2, "a")]).await;
                let change = FileChange::rewrite(&base, std::slice::from_ref(&file), rows);
                world.commit(change).await.unwrap();
            } else {
                let change = FileChange::delete_rows(&base, part_is("a"));
                world.commit(change).await.unwrap();
            }
            let change =
                marked(&world, &base, statement, &file).with_isolation(Isolation::Snapshot);
            let result = world.commit(change).await;
            if conflicts {
                let error = refused(result, ErrorKind::Conflict, "missing data files");
                assert!(error.to_string().contains(file.path()), "{error}");
            } else {
                result.unwrap();
                assert_eq!(world.ids().await, [3, 4]);
            }
        }
    }
}

#[tokio::test]
async fn new_deletes_conflict_with_updates_but_not_with_deletes() {
    for (statement, part, conflicts) in [
        (RowStatement::Delete, "a", false),
        (RowStatement::Update, "a", true),
        (RowStatement::Merge, "a", true),
        (RowStatement::Update, "b", false),
    ] {
        for level in [Isolation::Serializable, Isolation::Snapshot] {
            let (world, base) = filled(FormatVersion::V2).await;
            let file = world.file(&base, "a").await;
            delete_in(&world, part, 1).await;
            let change = marked(&world, &base, statement, &file)
                .with_isolation(level)
                .with_conflict_filter(part_is("a"));
            assert_eq!(
                is_ok(world.commit(change).await),
                !conflicts,
                "{statement:?} {part}"
            );
            if statement == RowStatement::Delete {
                assert_eq!(world.ids().await, [3, 4]);
            }
        }
    }
}

#[tokio::test]
async fn two_deletion_vectors_of_one_file_conflict() {
    for statement in [RowStatement::Delete, RowStatement::Update] {
        let (world, base) = filled(FormatVersion::V3).await;
        let file = world.file(&base, "a").await;
        delete_in(&world, "a", 1).await;
        let change = marked(&world, &base, statement, &file).with_isolation(Isolation::None);
        refused(
            world.commit(change).await,
            ErrorKind::Conflict,
            "conflicting deletion vectors",
        );
        assert_eq!(world.ids().await, [1, 3, 4]);
        // Of another file they do not.
        let other = world.file(&base, "b").await;
        world
            .commit(marked(&world, &base, RowStatement::Delete, &other))
            .await
            .unwrap();
        assert_eq!(world.ids().await, [1, 4]);
    }
}

#[tokio::test]
async fn a_replaced_file_that_went_is_missed() {
    for version in VERSIONS {
        let (world, base) = filled(version).await;
        let file = world.file(&base, "a").await;
        let first = copied(&world, &base, RowStatement::Update, &file).await;
        let second = copied(&world, &base, RowStatement::Update, &file).await;
        world.commit(first).await.unwrap();
        let second = second.with_isolation(Isolation::None);
        let error = refused(
            world.commit(second).await,
            ErrorKind::Conflict,
            "missing files to delete",
        );
        assert!(error.to_string().contains(file.path()), "{error}");
        assert_eq!(world.ids().await, [2, 3, 4]);
    }
}

#[tokio::test]
async fn superseded_deletes_that_went_are_missed() {
    let (world, _) = filled(FormatVersion::V2).await;
    delete_in(&world, "a", 0).await;
    let base = world.table().await;
    let file = world.file(&base, "a").await;
    let old = file.deletes.positions[0].as_ref();
    let change = || {
        FileChange::row_level(&base, RowStatement::Delete)
            .add(vec![world.deletes(&base, &file, &[0, 1])])
            .supersede(old)
            .referencing(&file)
    };
    let (first, second) = (change(), change());
    world.commit(first).await.unwrap();
    assert_eq!(world.ids().await, [3, 4]);
    assert_eq!(world.summary("total-delete-files").await.unwrap(), "1");
    refused(
        world.commit(second).await,
        ErrorKind::Conflict,
        "missing files to delete",
    );
}

#[tokio::test]
async fn c21_of_two_overlapping_overwrites_the_second_fails() {
    for version in VERSIONS {
        for dynamic in [true, false] {
            for (level, part, conflicts) in [
                (None, "a", true),
                (Some(Isolation::Serializable), "a", true),
                (None, "b", false),
                (Some(Isolation::Snapshot), "a", true),
                (Some(Isolation::None), "a", false),
            ] {
                let (world, base) = filled(version).await;
                let overwrite = |rows, part| match dynamic {
                    true => FileChange::replace_partitions(&base, rows),
                    false => FileChange::overwrite_rows(&base, part_is(part), rows),
                };
                let first = overwrite(world.write(&[(5, part)]).await, part);
                world.commit(first).await.unwrap();
                let mut second = overwrite(world.write(&[(6, "a")]).await, "a");
                if let Some(level) = level {
                    second = second.with_isolation(level);
                }
                assert_eq!(
                    is_ok(world.commit(second).await),
                    !conflicts,
                    "{level:?} {part}"
                );
                let ids = world.ids().await;
                assert_eq!(ids.contains(&6), !conflicts);
                assert_eq!(ids.contains(&5), conflicts || part == "b");
            }
        }
    }
}

#[tokio::test]
async fn an_insert_or_a_delete_conflicts_with_an_overwrite_by_its_level() {
    for dynamic in [true, false] {
        for (level, inserts, conflicts) in [
            (Isolation::Serializable, true, true),
            (Isolation::Snapshot, true, false),
            (Isolation::Serializable, false, true),
            (Isolation::Snapshot, false, true),
            (Isolation::None, false, false),
        ] {
            let (world, base) = filled(FormatVersion::V3).await;
            if inserts {
                world.append(&[(9, "a")]).await;
            } else {
                delete_in(&world, "a", 0).await;
            }
            let rows = world.write(&[(6, "a")]).await;
            let change = match dynamic {
                true => FileChange::replace_partitions(&base, rows),
                false => FileChange::overwrite_rows(&base, part_is("a"), rows),
            };
            let result = world.commit(change.with_isolation(level)).await;
            assert_eq!(is_ok(result), !conflicts, "{level:?} {inserts}");
            if !conflicts {
                assert_eq!(world.ids().await, [3, 4, 6]);
            }
        }
    }
}

#[tokio::test]
async fn c12_two_inserting_merges_of_one_key_cannot_both_succeed() {
    let (world, base) = filled(FormatVersion::V2).await;
    let merge = async |id| {
        FileChange::row_level(&base, RowStatement::Merge)
            .add(world.write(&[(id, "c")]).await)
            .with_conflict_filter(id_below(100))
    };
    let (first, second) = (merge(50).await, merge(50).await);
    world.commit(first).await.unwrap();
    refused(
        world.commit(second).await,
        ErrorKind::Conflict,
        "conflicting data",
    );
    assert_eq!(world.ids().await, [1, 2, 3, 4, 50]);
    assert_eq!(
        world.table().await.snapshot().unwrap().summary().operation,
        iceberg::spec::Operation::Append
    );
}

#[tokio::test]
async fn appends_and_deletions_by_filter_never_conflict() {
    let (world, base) = filled(FormatVersion::V3).await;
    let rows = world.write(&[(8, "a")]).await;
    delete_in(&world, "a", 0).await;
    world.append(&[(9, "a"), (10, "b")]).await;
    world.commit(FileChange::append(&base, rows)).await.unwrap();
    let change = FileChange::delete_rows(&base, part_is("a"));
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [3, 4, 10]);
    // A file that came since and matches in part is a conflict, and no mistake of the caller.
    let base = world.table().await;
    world.append(&[(1, "d"), (99, "d")]).await;
    let change = FileChange::delete_rows(&base, Predicate::And(vec![id_below(50), part_is("d")]));
    refused(
        world.commit(change).await,
        ErrorKind::Conflict,
        "some, but not all",
    );
}

#[tokio::test]
async fn a_history_that_does_not_reach_the_base_conflicts() {
    let (world, base) = filled(FormatVersion::V2).await;
    let file = world.file(&base, "a").await;
    let before = base.snapshot_id().unwrap();
    world.append(&[(9, "c")]).await;
    let read = world.table().await;
    let change = lakehouse_core::commit::RollbackToSnapshot {
        snapshot_id: before,
    };
    world.commit(change).await.unwrap();
    let change = copied(&world, &read, RowStatement::Update, &file).await;
    refused(
        world.commit(change).await,
        ErrorKind::Conflict,
        "cannot determine the history",
    );
    assert_eq!(world.ids().await, [1, 2, 3, 4]);
}

#[tokio::test]
async fn compaction_conflicts_with_nobody_who_only_adds() {
    for version in VERSIONS {
        let (world, base) = filled(version).await;
        let file = world.file(&base, "a").await;
        let rows = world.write(&[(1, "a"), (2, "a")]).await;
        world.append(&[(9, "a")]).await;
        let change = FileChange::rewrite(&base, std::slice::from_ref(&file), rows);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 3, 4, 9]);
        // And nobody who only reads what it moved.
        let other = world.file(&base, "b").await;
        let change =
            marked(&world, &base, RowStatement::Update, &other).with_isolation(Isolation::Snapshot);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 4, 9]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_share_a_swap_are_checked_against_each_other() {
    for _ in 0..4 {
        let (world, base) = filled(FormatVersion::V3).await;
        let world = std::sync::Arc::new(world);
        let file = world.file(&base, "a").await;
        let mut tasks = Vec::new();
        for _ in 0..6 {
            let change = copied(&world, &base, RowStatement::Update, &file)
                .await
                .with_isolation(Isolation::Snapshot);
            let append = FileChange::append(&base, world.write(&[(100, "c")]).await);
            for change in [change, append] {
                let world = std::sync::Arc::clone(&world);
                tasks.push(lakehouse_core::runtime::spawn(async move {
                    is_ok(world.commit(change).await)
                }));
            }
        }
        let mut done = 0;
        for task in tasks {
            done += usize::from(task.await.unwrap());
        }
        // One of the updates and every append.
        assert_eq!(done, 7);
        world.check_totals(&world.table().await).await;
        let total = world.summary("total-records").await.unwrap();
        assert_eq!(total, "9");
    }
}
