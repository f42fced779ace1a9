//! Branches, tags and rollback.

use lakehouse_core::commit::{
    Committed, DropReference, FileChange, ReferenceMode, Retention, RollbackToSnapshot,
    RollbackToTimestamp, SetCurrentSnapshot, SetReference,
};
use lakehouse_core::error::{ErrorKind, Result};
use lakehouse_core::table::{Reference, ReferenceKind, Version};

use super::fixture::{Lake, NOW_MS, files};

const CREATE: ReferenceMode = ReferenceMode::Create {
    if_not_exists: false,
};
const CREATE_IF_NOT_EXISTS: ReferenceMode = ReferenceMode::Create {
    if_not_exists: true,
};

fn set(name: &str, kind: ReferenceKind, mode: ReferenceMode) -> SetReference {
    SetReference {
        name: name.to_owned(),
        kind,
        snapshot_id: None,
        retention: Retention::default(),
        mode,
    }
}

fn drop_ref(name: &str, kind: ReferenceKind, if_exists: bool) -> DropReference {
    DropReference {
        name: name.to_owned(),
        kind,
        if_exists,
    }
}

async fn refs(lake: &Lake) -> Vec<Reference> {
    lake.table().await.refs().unwrap().to_vec()
}

fn kind(result: Result<Committed>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn tags_are_made_moved_and_dropped() {
    let lake = Lake::new().await;
    let tag = ReferenceKind::Tag;
    assert_eq!(
        kind(lake.commit(set("t", tag, CREATE)).await),
        ErrorKind::InvalidInput
    );
    let first = lake.append(&["a"]).await.unwrap().snapshot_id.unwrap();
    let kept = SetReference {
        retention: Retention {
            ref_age_ms_max: Some(1_000),
            ..Retention::default()
        },
        ..set("Close", tag, CREATE)
    };
    assert_eq!(lake.commit(kept).await.unwrap().snapshot_id, Some(first));
    let second = lake.append(&["b"]).await.unwrap().snapshot_id.unwrap();
    assert_eq!(
        kind(lake.commit(set("close", tag, CREATE)).await),
        ErrorKind::AlreadyExists
    );
    let left = lake
        .commit(set("close", tag, CREATE_IF_NOT_EXISTS))
        .await
        .unwrap();
    assert!(!left.is_changed);
    let moved = lake
        .commit(set("close", tag, ReferenceMode::Replace))
        .await
        .unwrap();
    assert_eq!(
        (moved.previous_snapshot_id, moved.snapshot_id),
        (Some(first), Some(second))
    );
    // Its retention was not named and stays.
    let known = refs(&lake).await;
    assert_eq!(known[0].name, "Close");
    assert_eq!(known[0].ref_age_ms_max, Some(1_000));
    assert_eq!(
        kind(lake.commit(set("none", tag, ReferenceMode::Replace)).await),
        ErrorKind::NotFound
    );
    lake.commit(set("made", tag, ReferenceMode::CreateOrReplace))
        .await
        .unwrap();
    lake.commit(drop_ref("CLOSE", tag, false)).await.unwrap();
    assert_eq!(
        kind(lake.commit(drop_ref("close", tag, false)).await),
        ErrorKind::NotFound
    );
    assert!(
        !lake
            .commit(drop_ref("close", tag, true))
            .await
            .unwrap()
            .is_changed
    );
    assert_eq!(refs(&lake).await.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_reference_is_refused() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let (tag, branch) = (ReferenceKind::Tag, ReferenceKind::Branch);
    lake.commit(set("b", branch, CREATE)).await.unwrap();
    for mode in [
        CREATE_IF_NOT_EXISTS,
        ReferenceMode::Replace,
        ReferenceMode::CreateOrReplace,
    ] {
        assert_eq!(
            kind(lake.commit(set("b", tag, mode)).await),
            ErrorKind::InvalidInput
        );
    }
    assert_eq!(
        kind(lake.commit(drop_ref("b", tag, true)).await),
        ErrorKind::InvalidInput
    );
    assert_eq!(
        kind(lake.commit(drop_ref("Main", branch, true)).await),
        ErrorKind::InvalidInput
    );
    let unknown = SetReference {
        snapshot_id: Some(1),
        ..set("x", branch, CREATE)
    };
    assert_eq!(kind(lake.commit(unknown).await), ErrorKind::NotFound);
    let retention = Retention {
        snapshots_min: Some(1),
        ..Retention::default()
    };
    let kept = SetReference {
        retention,
        ..set("x", tag, CREATE)
    };
    assert_eq!(kind(lake.commit(kept).await), ErrorKind::InvalidInput);
    let to_tag = lake.commit(set("t", tag, CREATE)).await.unwrap();
    let rows = |branch: &str| FileChange::append(&to_tag.table, files(&["b"])).with_branch(branch);
    assert_eq!(kind(lake.commit(rows("t")).await), ErrorKind::InvalidInput);
    assert_eq!(kind(lake.commit(rows("none")).await), ErrorKind::NotFound);
    assert_eq!(lake.metadata_files("", "-m0.avro").await.len(), 1);
}

#[tokio::test]
async fn c24_a_branch_takes_rows_of_its_own_and_keeps_its_retention() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let branch = SetReference {
        retention: Retention {
            ref_age_ms_max: Some(9_000),
            snapshots_min: Some(3),
            snapshot_age_ms_max: Some(5_000),
        },
        ..set("audit", ReferenceKind::Branch, CREATE)
    };
    lake.commit(branch).await.unwrap();
    let rows = FileChange::append(&lake.table().await, files(&["b"])).with_branch("AUDIT");
    let committed = lake.commit(rows).await.unwrap();
    lake.append(&["c"]).await.unwrap();
    let table = lake.table().await;
    assert_eq!(lake.live(&table).await, ["a", "c"]);
    let audit = table.at(Version::Branch("audit".to_owned())).unwrap();
    assert_eq!(audit.snapshot_id(), committed.snapshot_id);
    assert_eq!(lake.live(&audit).await, ["a", "b"]);
    let known = refs(&lake).await;
    assert_eq!(known.len(), 2);
    assert_eq!(known[0].name, "audit");
    assert_eq!(known[0].snapshots_min, Some(3));
    assert_eq!(known[0].snapshot_age_ms_max, Some(5_000));
    assert_eq!(known[0].ref_age_ms_max, Some(9_000));
    // Only main is in the log.
    assert_eq!(table.history().len(), 2);
}

#[tokio::test]
async fn a_branch_of_an_empty_table_begins_with_an_empty_snapshot() {
    let lake = Lake::new().await;
    let branch = ReferenceKind::Branch;
    assert_eq!(
        kind(lake.commit(set("b", branch, ReferenceMode::Replace)).await),
        ErrorKind::NotFound
    );
    assert_eq!(
        kind(lake.commit(set("main", branch, CREATE)).await),
        ErrorKind::AlreadyExists
    );
    lake.commit(set("b", branch, CREATE)).await.unwrap();
    let table = lake.table().await;
    assert!(table.snapshot().is_none());
    let head = table.at(Version::Branch("b".to_owned())).unwrap();
    assert!(lake.live(&head).await.is_empty());
    lake.append(&["a"]).await.unwrap();
    assert_eq!(lake.live(&lake.table().await).await, ["a"]);
}

#[tokio::test]
async fn main_goes_back_and_forth() {
    let lake = Lake::new().await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(lake.append(&[name]).await.unwrap().snapshot_id.unwrap());
    }
    lake.commit(set("last", ReferenceKind::Tag, CREATE))
        .await
        .unwrap();
    let back = lake
        .commit(RollbackToSnapshot {
            snapshot_id: ids[1],
        })
        .await
        .unwrap();
    assert_eq!(
        (back.previous_snapshot_id, back.snapshot_id),
        (Some(ids[2]), Some(ids[1]))
    );
    assert_eq!(lake.live(&lake.table().await).await, ["a", "b"]);
    let forward = RollbackToSnapshot {
        snapshot_id: ids[2],
    };
    assert_eq!(kind(lake.commit(forward).await), ErrorKind::InvalidInput);
    let unknown = RollbackToSnapshot { snapshot_id: 1 };
    assert_eq!(kind(lake.commit(unknown).await), ErrorKind::NotFound);
    // Snapshots stand at NOW, NOW + 1, NOW + 2: strictly older than the second is the first.
    let at = |timestamp_ms| RollbackToTimestamp { timestamp_ms };
    let back = lake.commit(at(NOW_MS + 1)).await.unwrap();
    assert_eq!(back.snapshot_id, Some(ids[0]));
    assert_eq!(kind(lake.commit(at(NOW_MS)).await), ErrorKind::NotFound);
    let any = SetCurrentSnapshot::Reference("last".to_owned());
    let forward = lake.commit(any).await.unwrap();
    assert_eq!(
        (forward.previous_snapshot_id, forward.snapshot_id),
        (Some(ids[0]), Some(ids[2]))
    );
    let same = lake
        .commit(SetCurrentSnapshot::Snapshot(ids[2]))
        .await
        .unwrap();
    assert!(!same.is_changed);
    // A new commit stands on what is current.
    let next = lake.append(&["d"]).await.unwrap();
    assert_eq!(next.previous_snapshot_id, Some(ids[2]));
}
