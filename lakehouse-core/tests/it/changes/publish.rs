//! Staged snapshots and those of branches, made part of `main`.

use iceberg::spec::FormatVersion;
use lakehouse_core::commit::{
    CherryPick, FastForward, FileChange, PublishChanges, ReferenceMode, Retention,
    RollbackToSnapshot, RowStatement, SetReference,
};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::table::{ReferenceKind, Version};

use super::world::{World, refused};

const VERSIONS: [FormatVersion; 2] = [FormatVersion::V2, FormatVersion::V3];

fn publish(id: &str) -> PublishChanges {
    PublishChanges {
        wap_id: id.to_owned(),
    }
}

#[tokio::test]
async fn a_staged_append_is_published_once() {
    for version in VERSIONS {
        let world = World::new(version).await;
        world.append(&[(1, "a")]).await;
        let base = world.table().await;
        let change = FileChange::append(&base, world.write(&[(2, "a")]).await);
        let staged = world
            .commit(change.staged(Some("w".to_owned())))
            .await
            .unwrap();
        assert_eq!(world.ids().await, [1]);
        assert_eq!(staged.previous_snapshot_id, base.snapshot_id());
        // Others go on; the staged files are added once more.
        world.append(&[(3, "a")]).await;
        let published = world.commit(publish("w")).await.unwrap();
        assert_eq!(world.ids().await, [1, 2, 3]);
        assert_ne!(published.snapshot_id, staged.snapshot_id);
        let summary = world.summary("source-snapshot-id").await.unwrap();
        assert_eq!(summary, staged.snapshot_id.unwrap().to_string());
        assert_eq!(world.summary("published-wap-id").await.unwrap(), "w");
        refused(
            world.commit(publish("w")).await,
            ErrorKind::AlreadyExists,
            "twice",
        );
        let pick = CherryPick {
            snapshot_id: staged.snapshot_id.unwrap(),
        };
        refused(world.commit(pick).await, ErrorKind::AlreadyExists, "twice");
        refused(
            world.commit(publish("x")).await,
            ErrorKind::NotFound,
            "wap.id",
        );
        assert_eq!(world.ids().await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn a_staged_append_brings_its_own_rows_alone() {
    for version in VERSIONS {
        let world = World::new(version).await;
        let first = world.append(&[(1, "a")]).await.snapshot_id.unwrap();
        world.append(&[(2, "a")]).await;
        let base = world.table().await;
        let change = FileChange::append(&base, world.write(&[(3, "a")]).await);
        let staged = world.commit(change.staged(Some("w".to_owned()))).await;
        let staged = staged.unwrap();
        // The head that it stands on is none of main's any more.
        let back = RollbackToSnapshot { snapshot_id: first };
        world.commit(back).await.unwrap();
        let published = world.commit(publish("w")).await.unwrap();
        assert_ne!(published.snapshot_id, staged.snapshot_id);
        assert_eq!(published.previous_snapshot_id, Some(first));
        assert_eq!(world.ids().await, [1, 3]);
    }
}

#[tokio::test]
async fn a_staged_change_of_the_head_becomes_the_head() {
    let world = World::new(FormatVersion::V2).await;
    world.append(&[(1, "a"), (2, "a")]).await;
    let base = world.table().await;
    let file = world.file(&base, "a").await;
    let staged = async |id: &str| {
        let change = FileChange::row_level(&base, RowStatement::Update)
            .remove(&file)
            .add(world.write(&[(5, "a")]).await)
            .staged(Some(id.to_owned()));
        world.commit(change).await.unwrap().snapshot_id
    };
    let (first, second) = (staged("1").await, staged("2").await);
    assert_eq!(world.ids().await, [1, 2]);
    let published = world.commit(publish("1")).await.unwrap();
    assert_eq!(published.snapshot_id, first);
    assert_eq!(world.ids().await, [5]);
    // The other no longer stands on the head, and an update cannot be done once more.
    refused(
        world.commit(publish("2")).await,
        ErrorKind::InvalidInput,
        "cannot be cherry-picked",
    );
    assert!(second.is_some());
    let twice = FileChange::append(&base, Vec::new()).staged(Some("2".to_owned()));
    world.commit(twice).await.unwrap();
    refused(
        world.commit(publish("2")).await,
        ErrorKind::InvalidInput,
        "several snapshots",
    );
}

#[tokio::test]
async fn a_staged_replacement_is_published_when_its_partitions_were_left_alone() {
    for version in VERSIONS {
        for (part, conflicts) in [("b", false), ("a", true)] {
            let world = World::new(version).await;
            world.append(&[(1, "a"), (2, "b")]).await;
            let base = world.table().await;
            let change = FileChange::replace_partitions(&base, world.write(&[(5, "a")]).await);
            let staged = world.commit(change.staged(None)).await.unwrap();
            world.append(&[(3, part)]).await;
            let pick = CherryPick {
                snapshot_id: staged.snapshot_id.unwrap(),
            };
            let result = world.commit(pick).await;
            if conflicts {
                refused(result, ErrorKind::Conflict, "conflicting data");
                assert_eq!(world.ids().await, [1, 2, 3]);
            } else {
                result.unwrap();
                assert_eq!(world.ids().await, [2, 3, 5]);
                assert_eq!(world.summary("replace-partitions").await.unwrap(), "true");
            }
        }
    }
}

#[tokio::test]
async fn branches_are_moved_forward_only() {
    let world = World::new(FormatVersion::V3).await;
    world.append(&[(1, "a")]).await;
    let branch = SetReference {
        name: "audit".to_owned(),
        kind: ReferenceKind::Branch,
        snapshot_id: None,
        retention: Retention::default(),
        mode: ReferenceMode::Create {
            if_not_exists: false,
        },
    };
    world.commit(branch.clone()).await.unwrap();
    let tag = SetReference {
        name: "tag".to_owned(),
        kind: ReferenceKind::Tag,
        ..branch
    };
    world.commit(tag).await.unwrap();
    let table = world
        .table()
        .await
        .at(Version::Branch("audit".to_owned()))
        .unwrap();
    let file = world.file(&table, "a").await;
    let change = FileChange::row_level(&table, RowStatement::Update)
        .remove(&file)
        .add(world.write(&[(7, "a")]).await)
        .with_branch("audit");
    let written = world.commit(change).await.unwrap();
    assert_eq!(world.ids().await, [1]);
    let forward = |branch: &str, to: &str| FastForward {
        branch: branch.to_owned(),
        to: to.to_owned(),
    };
    refused(
        world.commit(forward("audit", "main")).await,
        ErrorKind::Conflict,
        "no ancestor",
    );
    refused(
        world.commit(forward("tag", "main")).await,
        ErrorKind::InvalidInput,
        "is a tag",
    );
    let moved = world.commit(forward("main", "audit")).await.unwrap();
    assert_eq!(moved.snapshot_id, written.snapshot_id);
    assert_eq!(moved.previous_snapshot_id, table.snapshot_id());
    assert_eq!(world.ids().await, [7]);
    assert!(
        !world
            .commit(forward("main", "audit"))
            .await
            .unwrap()
            .is_changed
    );
    let made = world.commit(forward("new", "tag")).await.unwrap();
    assert_eq!(made.previous_snapshot_id, None);
    assert_eq!(made.snapshot_id, table.snapshot_id());
}
