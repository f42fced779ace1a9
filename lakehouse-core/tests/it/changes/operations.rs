//! Each change of files, then all rows.

use iceberg::spec::{
    DataContentType, DataFile, FormatVersion, ManifestContentType, ManifestStatus, Operation,
};
use lakehouse_core::catalog::CommitOutcome;
use lakehouse_core::commit::{FileChange, Isolation, RowStatement};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::scan::{ManifestCache, Predicate, selects_whole_files};
use lakehouse_core::table::Table;

use super::world::{PART, World, id_below, part_is, refused};

const VERSIONS: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];
const ALL_VERSIONS: [FormatVersion; 3] = [FormatVersion::V1, FormatVersion::V2, FormatVersion::V3];

/// Rows 1, 2 in `a`; 3, 4 in `b`; 11, 12 in `a` of a later commit.
async fn filled(version: FormatVersion) -> World {
    let world = World::new(version).await;
    world
        .append(&[(1, "a"), (2, "a"), (3, "b"), (4, "b")])
        .await;
    world.append(&[(11, "a"), (12, "a")]).await;
    world
}

#[tokio::test]
async fn d21_a_filter_that_meets_all_rows_of_files_removes_the_files() {
    for version in ALL_VERSIONS {
        let world = filled(version).await;
        let before = world.rows_with_ids(&world.table().await).await;
        let change = FileChange::delete_rows(&world.table().await, part_is("a"));
        let committed = world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [3, 4]);
        let summary = committed.table.snapshot().unwrap().summary().clone();
        assert_eq!(summary.operation, Operation::Delete);
        for (key, value) in [
            ("deleted-data-files", "2"),
            ("deleted-records", "4"),
            ("changed-partition-count", "1"),
            ("manifests-replaced", "2"),
        ] {
            assert_eq!(summary.additional_properties[key], value, "{key}");
        }
        let after = world.rows_with_ids(&world.table().await).await;
        assert_eq!(after[&3], before[&3]);
        assert_eq!(after[&4], before[&4]);
        // By metrics: all ids of the files lie below.
        let change = FileChange::delete_rows(&world.table().await, id_below(5));
        world.commit(change).await.unwrap();
        assert!(world.ids().await.is_empty());
    }
}

#[tokio::test]
async fn d20_a_partly_matching_file_refuses_the_deletion_and_is_named() {
    let world = filled(FormatVersion::V2).await;
    let table = world.table().await;
    let cache = ManifestCache::new(0);
    for (filter, whole) in [
        (id_below(2), false),
        (id_below(3), true),
        (part_is("b"), true),
    ] {
        let filter = Predicate::And(vec![filter, id_below(9)]);
        assert_eq!(
            selects_whole_files(&table, &filter, &cache).await.unwrap(),
            whole
        );
    }
    let change = FileChange::delete_rows(&table, id_below(2));
    let error = refused(
        world.commit(change).await,
        ErrorKind::InvalidInput,
        "some, but not all",
    );
    let path = world.files(&table).await[0].path().to_owned();
    assert!(error.to_string().contains(&path), "{error}");
    assert_eq!(world.ids().await, [1, 2, 3, 4, 11, 12]);
    // Nothing matches: no snapshot.
    let change = FileChange::delete_rows(&table, part_is("none"));
    let committed = world.commit(change).await.unwrap();
    assert!(!committed.is_changed);
    assert_eq!(world.table().await.snapshots().len(), 2);
    // A condition that NULL does not meet, and a column that may hold NULL.
    let not_null = Predicate::IsNotNull { field_id: PART };
    world
        .commit(FileChange::delete_rows(&table, not_null))
        .await
        .unwrap();
    assert!(world.ids().await.is_empty());
}

#[tokio::test]
async fn d22_a_deletion_without_a_condition_removes_everything() {
    for version in VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let file = world.file(&table, "b").await;
        let deletes = world.deletes(&table, &file, &[0]);
        let change = FileChange::row_level(&table, RowStatement::Delete)
            .add(vec![deletes])
            .referencing(&file);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 4, 11, 12]);
        let change = FileChange::delete_rows(&world.table().await, Predicate::AlwaysTrue);
        world.commit(change).await.unwrap();
        assert!(world.ids().await.is_empty());
        assert_eq!(world.summary("total-delete-files").await.unwrap(), "0");
        assert_eq!(world.summary("removed-delete-files").await.unwrap(), "1");
        let dvs = world.summary("removed-dvs").await;
        assert_eq!(dvs.is_some(), version == FormatVersion::V3);
        // C15: what was removed stays removed.
        world.append(&[(5, "a")]).await;
        assert_eq!(world.ids().await, [5]);
    }
}

#[tokio::test]
async fn an_overwrite_by_filter_replaces_whole_files_only() {
    for version in ALL_VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let new = world.write(&[(5, "a")]).await;
        let change = FileChange::overwrite_rows(&table, part_is("a"), new);
        let committed = world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [3, 4, 5]);
        let snapshot = committed.table.snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Overwrite);
        let beside = world.write(&[(6, "b")]).await;
        let change = FileChange::overwrite_rows(&committed.table, id_below(4), beside);
        refused(
            world.commit(change).await,
            ErrorKind::InvalidInput,
            "may hold rows which do not match",
        );
        let new = world.write(&[(3, "b")]).await;
        let change = FileChange::overwrite_rows(&committed.table, id_below(4), new);
        refused(
            world.commit(change).await,
            ErrorKind::InvalidInput,
            "some, but not all",
        );
        // Over everything, with nothing.
        let table = world.table().await;
        let change = FileChange::overwrite_rows(&table, Predicate::AlwaysTrue, Vec::new());
        let committed = world.commit(change).await.unwrap();
        assert!(world.ids().await.is_empty());
        let snapshot = committed.table.snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Delete);
    }
}

#[tokio::test]
async fn a_dynamic_overwrite_replaces_the_partitions_of_its_rows() {
    for version in ALL_VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let new = world.write(&[(5, "a"), (6, "c")]).await;
        let change = FileChange::replace_partitions(&table, new);
        let committed = world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [3, 4, 5, 6]);
        let summary = committed.table.snapshot().unwrap().summary();
        assert_eq!(summary.operation, Operation::Overwrite);
        assert_eq!(summary.additional_properties["replace-partitions"], "true");
        assert_eq!(
            summary.additional_properties["changed-partition-count"],
            "2"
        );
        let change = FileChange::replace_partitions(&committed.table, Vec::new());
        assert!(!world.commit(change).await.unwrap().is_changed);
        assert_eq!(world.ids().await, [3, 4, 5, 6]);
    }
}

#[tokio::test]
async fn d19_a_rewritten_file_takes_its_deletes_along() {
    for version in VERSIONS {
        let world = filled(version).await;
        let before = world.rows_with_ids(&world.table().await).await;
        let table = world.table().await;
        let file = world.file(&table, "b").await;
        let change = FileChange::row_level(&table, RowStatement::Delete)
            .add(vec![world.deletes(&table, &file, &[0])])
            .referencing(&file);
        let committed = world.commit(change).await.unwrap();
        let summary = committed.table.snapshot().unwrap().summary().clone();
        assert_eq!(summary.operation, Operation::Delete);
        assert_eq!(summary.additional_properties["added-delete-files"], "1");
        assert_eq!(summary.additional_properties["added-position-deletes"], "1");
        let of_vectors = summary.additional_properties.get("added-dvs");
        let of_files = summary
            .additional_properties
            .get("added-position-delete-files");
        assert_eq!(of_vectors.is_some(), version == FormatVersion::V3);
        assert_eq!(of_files.is_some(), version == FormatVersion::V2);

        // Row 4 is updated by writing the file anew, without the row that was deleted.
        let table = world.table().await;
        let file = world.file(&table, "b").await;
        let change = FileChange::row_level(&table, RowStatement::Update)
            .remove(&file)
            .add(world.write(&[(40, "b")]).await);
        let committed = world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 11, 12, 40]);
        let summary = committed.table.snapshot().unwrap().summary();
        assert_eq!(summary.operation, Operation::Overwrite);
        assert_eq!(summary.additional_properties["removed-delete-files"], "1");
        assert_eq!(world.summary("total-delete-files").await.unwrap(), "0");
        let after = world.rows_with_ids(&committed.table).await;
        for id in [1, 2, 11, 12] {
            assert_eq!(after[&id], before[&id]);
        }
    }
}

#[tokio::test]
async fn d15_repeated_deletes_keep_one_vector_of_a_file() {
    let world = filled(FormatVersion::V3).await;
    for rows in [&[0_u64][..], &[0, 1]] {
        let table = world.table().await;
        let file = world.file(&table, "b").await;
        // The old vector goes without being named.
        let change = FileChange::row_level(&table, RowStatement::Delete)
            .add(vec![world.deletes(&table, &file, rows)])
            .referencing(&file);
        world.commit(change).await.unwrap();
    }
    assert_eq!(world.ids().await, [1, 2, 11, 12]);
    assert_eq!(world.summary("removed-dvs").await.unwrap(), "1");
    let live = world.live(&world.table().await).await;
    let vectors = live
        .iter()
        .filter(|file| file.content_type() != DataContentType::Data);
    assert_eq!(vectors.count(), 1);
}

#[tokio::test]
async fn c20_data_and_deletes_stand_in_manifests_of_their_own() {
    for version in VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let file = world.file(&table, "b").await;
        let new = world.write(&[(30, "b")]).await;
        let change = FileChange::row_level(&table, RowStatement::Merge)
            .add(new)
            .add(vec![world.deletes(&table, &file, &[0])])
            .referencing(&file);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 4, 11, 12, 30]);
        for manifest in world.manifests(&world.table().await).await {
            for entry in world.entries(&manifest).await {
                let is_data = entry.content_type() == DataContentType::Data;
                assert_eq!(is_data, manifest.content == ManifestContentType::Data);
            }
        }
    }
}

#[tokio::test]
async fn d17_position_deletes_of_many_files_stay_until_they_apply_to_none() {
    let world = filled(FormatVersion::V2).await;
    let table = world.table().await;
    let files = world.files(&table).await;
    let of_a: Vec<_> = files
        .iter()
        .filter(|file| super::world::part_of(file) == "a")
        .collect();
    let rows = [(of_a[0].path(), 0), (of_a[1].path(), 0)];
    let path = world.folder.path().join("shared").display().to_string();
    let mut shared = lakehouse_testkit::PositionDeletes::new(rows)
        .write(&path)
        .unwrap();
    shared.partition(of_a[0].data_file().partition().clone());
    let shared = lakehouse_core::write::WrittenFile {
        data_file: shared.build().unwrap(),
        spec_id: 0,
    };
    let change = FileChange::row_level(&table, RowStatement::Delete)
        .add(vec![shared])
        .referencing(of_a[0])
        .referencing(of_a[1]);
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [2, 3, 4, 12]);
    // The first file goes, the other still needs the deletes.
    let table = world.table().await;
    let files = world.files(&table).await;
    let first = files
        .iter()
        .find(|file| file.path() == of_a[0].path())
        .unwrap();
    let deletes = first.deletes.positions[0].as_ref();
    let change = FileChange::row_level(&table, RowStatement::Update).supersede(deletes);
    refused(
        world.commit(change).await,
        ErrorKind::Internal,
        "for one data file alone",
    );
    let change = FileChange::row_level(&table, RowStatement::Delete).remove(first);
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [3, 4, 12]);
    assert_eq!(world.summary("total-delete-files").await.unwrap(), "1");
}

#[tokio::test]
async fn a_rewrite_keeps_the_age_of_its_rows() {
    for version in VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let files: Vec<_> = world.files(&table).await;
        let of_a: Vec<_> = files
            .into_iter()
            .filter(|file| super::world::part_of(file) == "a")
            .collect();
        let new = world
            .write(&[(1, "a"), (2, "a"), (11, "a"), (12, "a")])
            .await;
        let base = table.snapshot().unwrap().sequence_number();
        world.append(&[(7, "a")]).await;
        let committed = world
            .commit(FileChange::rewrite(&table, &of_a, new))
            .await
            .unwrap();
        assert_eq!(world.ids().await, [1, 2, 3, 4, 7, 11, 12]);
        let snapshot = committed.table.snapshot().unwrap();
        assert_eq!(snapshot.summary().operation, Operation::Replace);
        let numbers: Vec<_> = world.files(&committed.table).await;
        assert!(numbers.iter().any(|file| {
            file.sequence_number == base && file.file_sequence_number == Some(base + 2)
        }));
        let many = world.write(&[(1, "b"), (2, "b"), (3, "b")]).await;
        let file = world.file(&committed.table, "b").await;
        let change = FileChange::rewrite(&committed.table, &[file], many);
        refused(
            world.commit(change).await,
            ErrorKind::Internal,
            "adds 3 rows",
        );
    }
}

#[tokio::test]
async fn c14_old_deletes_go_only_when_no_live_file_is_old_enough() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&[(1, "a"), (2, "a")]).await;
    let table = world.table().await;
    // An equality delete by hand, of `id = 1` in partition `a`.
    let ids: arrow::array::ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(vec![1]));
    let path = world.folder.path().join("equality").display().to_string();
    let id = std::sync::Arc::clone(table.schema().field_by_id(1).unwrap());
    let schema = iceberg::spec::Schema::builder()
        .with_fields([id])
        .build()
        .unwrap();
    let mut equality = lakehouse_testkit::write_equality_deletes(&path, &schema, &[ids]).unwrap();
    let file = world.file(&table, "a").await;
    equality.partition(file.data_file().partition().clone());
    let equality = lakehouse_core::write::WrittenFile {
        data_file: equality.build().unwrap(),
        spec_id: 0,
    };
    let change = FileChange::row_level(&table, RowStatement::Delete).add(vec![equality]);
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [2]);
    assert_eq!(world.summary("added-equality-deletes").await.unwrap(), "1");
    // A younger file: the deletes are of no use to it, and the old file still needs them.
    world.append(&[(1, "b")]).await;
    let table = world.table().await;
    let young = world.file(&table, "b").await;
    let change = FileChange::row_level(&table, RowStatement::Delete)
        .add(vec![world.deletes(&table, &young, &[0])])
        .referencing(&young);
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [2]);
    assert_eq!(world.summary("total-delete-files").await.unwrap(), "2");
    // Both partitions' files go; the deletes of the young one with its file.
    let table = world.table().await;
    let change = FileChange::delete_rows(&table, part_is("b"));
    world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [2]);
    assert_eq!(world.summary("total-delete-files").await.unwrap(), "1");
    let change = FileChange::delete_rows(&world.table().await, part_is("a"));
    world.commit(change).await.unwrap();
    assert_eq!(world.summary("total-delete-files").await.unwrap(), "0");
}

#[tokio::test]
async fn c15_c16_g13_entries_carried_on_lose_nothing() {
    for version in ALL_VERSIONS {
        let world = filled(version).await;
        let before = world.table().await;
        let files: Vec<_> = world.live(&before).await;
        let placed = world.files(&before).await;
        let change = FileChange::delete_rows(&before, id_below(0));
        assert!(!world.commit(change).await.unwrap().is_changed);
        let b = world.file(&before, "b").await;
        let change = FileChange::row_level(&before, RowStatement::Delete).remove(&b);
        let after = world.commit(change).await.unwrap().table;
        let is_v3 = version == FormatVersion::V3;
        let live = world.live(&after).await;
        for old in files.iter().filter(|file| file.file_path() != b.path()) {
            let new = live.iter().find(|new| new.file_path() == old.file_path());
            same(new.unwrap(), old);
            assert!(!old.lower_bounds().is_empty() && !old.column_sizes().is_empty());
        }
        let placed_after = world.files(&after).await;
        for old in placed.iter().filter(|file| file.path() != b.path()) {
            let new = placed_after.iter().find(|file| file.path() == old.path());
            let new = new.unwrap();
            assert_eq!(new.sequence_number, old.sequence_number);
            assert_eq!(new.file_sequence_number, old.file_sequence_number);
            assert_eq!(new.added_snapshot_id, old.added_snapshot_id);
            assert_eq!(new.first_row_id, old.first_row_id);
            assert_eq!(new.first_row_id.is_some(), is_v3);
        }
        // What was removed is told once, by the snapshot that removed it.
        let deleted = async |table: &Table| {
            let mut count = 0;
            for manifest in world.manifests(table).await {
                let entries = world.entries(&manifest).await;
                let gone = entries
                    .iter()
                    .filter(|e| e.status() == ManifestStatus::Deleted);
                for entry in gone {
                    assert_eq!(entry.snapshot_id(), table.snapshot_id());
                    count += 1;
                }
            }
            count
        };
        assert_eq!(deleted(&after).await, 1);
        let change = FileChange::delete_rows(&after, part_is("a"));
        let last = world.commit(change).await.unwrap().table;
        assert_eq!(deleted(&last).await, 2);
        world.append(&[(9, "c")]).await;
        assert_eq!(deleted(&world.table().await).await, 0);
        assert_eq!(world.ids().await, [9]);
    }
}

/// All that manifests say of a file, but for row ids, which are written down where they were
/// inherited.
fn same(new: &DataFile, old: &DataFile) {
    macro_rules! same {
        ($($field:ident),+) => {
            $(assert_eq!(new.$field(), old.$field(), stringify!($field));)+
        };
    }
    same!(
        content_type,
        file_path,
        file_format,
        partition,
        record_count,
        file_size_in_bytes,
        column_sizes,
        value_counts,
        null_value_counts,
        nan_value_counts,
        lower_bounds,
        upper_bounds,
        key_metadata,
        split_offsets,
        equality_ids,
        sort_order_id,
        referenced_data_file,
        content_offset,
        content_size_in_bytes
    );
}

#[tokio::test]
async fn changes_that_contradict_themselves_or_the_format_are_refused() {
    let old = filled(FormatVersion::V2).await;
    let new = filled(FormatVersion::V3).await;
    let (of_old, of_new) = (old.table().await, new.table().await);
    let file = old.file(&of_old, "b").await;
    let vector = new.deletes(&of_new, &file, &[0]);
    let positions = old.deletes(&of_old, &file, &[0]);
    let row_level = |table| FileChange::row_level(table, RowStatement::Delete);
    for (world, change) in [
        (&old, row_level(&of_old).add(vec![vector.clone()])),
        (&new, row_level(&of_new).add(vec![positions.clone()])),
        (
            &old,
            row_level(&of_old)
                .add(vec![positions.clone()])
                .remove(&file),
        ),
        (
            &new,
            row_level(&of_new).add(vec![vector.clone(), vector.clone()]),
        ),
        (&old, FileChange::append(&of_old, vec![positions])),
    ] {
        refused(
            world.commit(change).await,
            ErrorKind::Internal,
            "a file to commit",
        );
        assert_eq!(world.ids().await, [1, 2, 3, 4, 11, 12]);
    }
    for text in ["serializable", " SNAPSHOT ", "none"] {
        let level: Isolation = text.parse().unwrap();
        assert!(text.to_lowercase().contains(level.as_str()));
    }
    assert!("chaos".parse::<Isolation>().is_err());
}

#[tokio::test]
async fn partitions_are_summed_up_when_the_table_asks_for_it() {
    let world = filled(FormatVersion::V2).await;
    world
        .set_property("write.summary.partition-limit", "3")
        .await;
    let table = world.table().await;
    let new = world.write(&[(5, "a")]).await;
    let change = FileChange::replace_partitions(&table, new);
    world.commit(change).await.unwrap();
    let text = world.summary("partitions.part=a").await.unwrap();
    for part in [
        "added-data-files=1",
        "deleted-data-files=2",
        "deleted-records=4",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(
        world.summary("partition-summaries-included").await.unwrap(),
        "true"
    );
}

#[tokio::test]
async fn rows_of_before_row_ids_get_them_once() {
    let world = filled(FormatVersion::V2).await;
    let table = world.table().await;
    let upgrade = iceberg::TableUpdate::UpgradeFormatVersion {
        format_version: FormatVersion::V3,
    };
    let done = world
        .catalog
        .commit(table.pointer(), Vec::new(), vec![upgrade])
        .await;
    assert!(matches!(done, Ok(CommitOutcome::Committed(_))), "{done:?}");
    let before = world.rows_with_ids(&world.table().await).await;
    assert!(before.values().all(|row| row.1.is_none()));
    let file = world.file(&world.table().await, "b").await;
    let change = FileChange::row_level(&world.table().await, RowStatement::Delete).remove(&file);
    world.commit(change).await.unwrap();
    let first = world.rows_with_ids(&world.table().await).await;
    let ids: std::collections::BTreeSet<_> = first.values().map(|row| row.1.unwrap()).collect();
    assert_eq!(ids.len(), 4);
    world.append(&[(20, "b")]).await;
    world
        .commit(lakehouse_core::commit::RewriteManifests::default())
        .await
        .unwrap();
    let mut then = world.rows_with_ids(&world.table().await).await;
    let new = then.remove(&20).unwrap();
    assert_eq!(then, first);
    assert!(!ids.contains(&new.1.unwrap()));
    world.ids().await;
}

#[tokio::test]
async fn d18_deletes_stand_under_the_spec_of_their_data_file() {
    for version in VERSIONS {
        let world = filled(version).await;
        let table = world.table().await;
        let spec = iceberg::spec::UnboundPartitionSpec::builder()
            .add_partition_field(1, "bucket", iceberg::spec::Transform::Bucket(2))
            .unwrap()
            .build();
        let updates = vec![
            iceberg::TableUpdate::AddSpec { spec },
            iceberg::TableUpdate::SetDefaultSpec { spec_id: -1 },
        ];
        let done = world
            .catalog
            .commit(table.pointer(), Vec::new(), updates)
            .await;
        assert!(matches!(done, Ok(CommitOutcome::Committed(_))), "{done:?}");
        let table = world.table().await;
        let files = world.files(&table).await;
        let file = files
            .iter()
            .find(|file| super::world::part_of(file) == "b")
            .unwrap();
        let change = FileChange::row_level(&table, RowStatement::Update)
            .add(vec![world.deletes(&table, file, &[0])])
            .add(world.write(&[(30, "b")]).await)
            .referencing(file);
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 4, 11, 12, 30]);
        for manifest in world.manifests(&world.table().await).await {
            let is_old = manifest.partition_spec_id == file.spec_id();
            let is_new_data = manifest.added_rows_count == Some(1)
                && manifest.content == ManifestContentType::Data;
            assert_eq!(is_old, !is_new_data);
        }
        // A filter is asked of each file by its own spec.
        let table = world.table().await;
        let change = FileChange::delete_rows(&table, part_is("a"));
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [4, 30]);
        // The bucket of the row that is left in an old file is not told.
        let table = world.table().await;
        let change = FileChange::replace_partitions(&table, world.write(&[(30, "z")]).await);
        let text = "of another partitioning";
        refused(world.commit(change).await, ErrorKind::InvalidInput, text);
        assert_eq!(world.ids().await, [4, 30]);
    }
}
