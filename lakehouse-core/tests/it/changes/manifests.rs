//! Manifests that are merged, kept and gathered.

use iceberg::spec::{FormatVersion, ManifestStatus};
use lakehouse_core::commit::{Commits, FileChange, RewriteManifests, RowStatement};

use super::world::{World, part_is};

const VERSIONS: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];

#[tokio::test]
async fn appends_are_merged_when_there_are_enough_of_them() {
    for version in VERSIONS {
        let world = World::new(version).await;
        world
            .set_property("commit.manifest.min-count-to-merge", "4")
            .await;
        let mut counts = Vec::new();
        for id in 0..9 {
            world.append(&[(id, "a")]).await;
            counts.push(world.manifests(&world.table().await).await.len());
        }
        assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
        let table = world.table().await;
        let rows = world.rows_with_ids(&table).await;
        assert_eq!(rows.len(), 9);
        if version == FormatVersion::V3 {
            // Each row has the id of its first commit.
            let mut seen: Vec<_> = rows.values().map(|row| row.1.unwrap()).collect();
            seen.dedup();
            assert_eq!(seen.len(), 9);
            assert_eq!(seen[0], 0);
        }
        for manifest in world.manifests(&table).await {
            let own = manifest.added_snapshot_id;
            for entry in world.entries(&manifest).await {
                let is_added = entry.status() == ManifestStatus::Added;
                assert_eq!(is_added, entry.snapshot_id() == Some(own));
            }
        }
        world.ids().await;
    }
}

#[tokio::test]
async fn nothing_is_merged_where_the_table_does_not_want_it() {
    let world = World::new(FormatVersion::V2).await;
    world
        .set_property("commit.manifest.min-count-to-merge", "2")
        .await;
    world
        .set_property("commit.manifest-merge.enabled", "false")
        .await;
    for id in 0..4 {
        world.append(&[(id, "a")]).await;
    }
    assert_eq!(world.manifests(&world.table().await).await.len(), 4);
    // Nor what is larger than the target.
    world
        .set_property("commit.manifest-merge.enabled", "true")
        .await;
    world
        .set_property("commit.manifest.target-size-bytes", "1")
        .await;
    world.append(&[(4, "a")]).await;
    assert_eq!(world.manifests(&world.table().await).await.len(), 5);
    assert_eq!(world.ids().await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn manifests_without_a_removed_file_are_kept_as_they_are() {
    let world = World::new(FormatVersion::V3).await;
    for (id, part) in [(1, "a"), (2, "b"), (3, "c")] {
        world.append(&[(id, part)]).await;
    }
    let before = world.manifests(&world.table().await).await;
    let change = FileChange::delete_rows(&world.table().await, part_is("b"));
    world.commit(change).await.unwrap();
    let after = world.manifests(&world.table().await).await;
    let kept = after.iter().filter(|file| before.contains(file)).count();
    assert_eq!((after.len(), kept), (3, 2));
    assert_eq!(world.summary("manifests-kept").await.unwrap(), "2");
    assert_eq!(world.summary("manifests-created").await.unwrap(), "1");
    assert_eq!(world.summary("manifests-replaced").await.unwrap(), "1");
}

#[tokio::test]
async fn c16_gathered_manifests_keep_all_that_is_known_of_files() {
    for version in VERSIONS {
        let world = World::new(version).await;
        for (id, part) in [(1, "a"), (2, "b"), (3, "a"), (4, "b"), (5, "c")] {
            world.append(&[(id, part)]).await;
        }
        let table = world.table().await;
        let file = world.file(&table, "c").await;
        let change = FileChange::row_level(&table, RowStatement::Delete)
            .add(vec![world.deletes(&table, &file, &[0])])
            .referencing(&file);
        world.commit(change).await.unwrap();
        let before = world.table().await;
        let (files, rows) = (
            world.files(&before).await,
            world.rows_with_ids(&before).await,
        );
        let committed = world.commit(RewriteManifests::default()).await.unwrap();
        let after = committed.table;
        let summary = &after.snapshot().unwrap().summary().additional_properties;
        for (key, value) in [
            ("manifests-replaced", "5"),
            ("manifests-created", "1"),
            ("manifests-kept", "1"),
            ("entries-processed", "5"),
        ] {
            assert_eq!(summary[key], value, "{key}");
        }
        let gathered = world.files(&after).await;
        assert_eq!(gathered.len(), files.len());
        for (new, old) in gathered.iter().zip(&files) {
            assert_eq!(new.path(), old.path());
            assert_eq!(new.sequence_number, old.sequence_number);
            assert_eq!(new.file_sequence_number, old.file_sequence_number);
            assert_eq!(new.added_snapshot_id, old.added_snapshot_id);
            assert_eq!(new.first_row_id, old.first_row_id);
        }
        assert_eq!(world.rows_with_ids(&after).await, rows);
        assert_eq!(world.ids().await, [1, 2, 3, 4]);
        // Once more there is nothing to gain.
        let again = world.commit(RewriteManifests::default()).await.unwrap();
        assert!(!again.is_changed);
        // Removing files after it finds them.
        let change = FileChange::delete_rows(&after, part_is("a"));
        world.commit(change).await.unwrap();
        assert_eq!(world.ids().await, [2, 4]);
    }
}

#[tokio::test]
async fn what_cannot_be_gathered_by_is_refused() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&[(1, "a")]).await;
    for change in [
        RewriteManifests {
            spec_id: Some(7),
            ..RewriteManifests::default()
        },
        RewriteManifests {
            sort_by: vec!["id".to_owned()],
            ..RewriteManifests::default()
        },
    ] {
        assert!(world.commit(change).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c06_several_programs_that_merge_lose_no_row_and_leave_no_file() {
    let world = std::sync::Arc::new(World::new(FormatVersion::V3).await);
    world
        .set_property("commit.manifest.min-count-to-merge", "3")
        .await;
    let mut tasks = Vec::new();
    for program in 0..4_i64 {
        let clock = std::sync::Arc::new(lakehouse_core::clock::SystemClock);
        let commits = Commits::new(clock);
        let world = std::sync::Arc::clone(&world);
        tasks.push(lakehouse_core::runtime::spawn(async move {
            for step in 0..5 {
                let rows = world.write(&[(program * 10 + step, "a")]).await;
                let change = FileChange::append(&world.table().await, rows);
                let done = commits.commit(&world.catalog, &world.ident, change).await;
                done.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.ids().await.len(), 20);
    let table = world.table().await;
    let rows = world.rows_with_ids(&table).await;
    let ids: std::collections::BTreeSet<_> = rows.values().map(|row| row.1).collect();
    assert_eq!(ids.len(), 20);
    // Each manifest on the disk is named by some snapshot.
    let mut named = std::collections::BTreeSet::new();
    for snapshot in table.snapshots() {
        let at = lakehouse_core::table::Version::Snapshot(snapshot.snapshot_id());
        let manifests = world.manifests(&table.at(at).unwrap()).await;
        named.extend(manifests.into_iter().map(|file| file.manifest_path));
        named.insert(snapshot.manifest_list().to_owned());
    }
    let mut found = 0;
    let folder = format!("{}/metadata", table.location());
    let listed = table.storage().list(&folder).unwrap();
    let listed: Vec<_> = futures::TryStreamExt::try_collect(listed).await.unwrap();
    for file in listed {
        let file: lakehouse_core::storage::StoredFile = file;
        found += usize::from(file.location.ends_with(".avro"));
    }
    assert_eq!(found, named.len());
}
