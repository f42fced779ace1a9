//! How commits end: conflicted, unknown, failed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::BoxFuture;
use lakehouse_core::commit::{
    Change, Commits, DropReference, FileChange, FilesOnFailure, ReferenceMode, Retention,
    RollbackToSnapshot, SetProperties, SetReference,
};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::table::ReferenceKind;

use super::catalog::Fault;
use super::fixture::{Lake, files};

async fn put_data(lake: &Lake, name: &str) -> String {
    let location = format!("memory:///lake/orders/data/{name}");
    lake.storage()
        .write_new(&location, "rows".into())
        .await
        .unwrap();
    location
}

#[tokio::test]
async fn a_conflict_to_the_end_cleans_up_after_itself() {
    for on_failure in [FilesOnFailure::Keep, FilesOnFailure::Delete] {
        let lake = Lake::new().await;
        lake.set_property("commit.retry.num-retries", "2").await;
        let data = put_data(&lake, "a").await;
        for _ in 0..3 {
            lake.faulty.inject(Fault::Conflict);
        }
        let change = FileChange::append(&lake.table().await, files(&["a"]));
        let error = lake
            .commit(change.with_files_on_failure(on_failure))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(lake.table().await.snapshot().is_none());
        assert!(lake.metadata_files("", ".avro").await.is_empty());
        let kept = lake.storage().exists(&data).await.unwrap();
        assert_eq!(kept, on_failure == FilesOnFailure::Keep);
    }
}

#[tokio::test]
async fn a_catalog_that_fails_before_the_swap_leaves_nothing() {
    let lake = Lake::new().await;
    lake.faulty.inject(Fault::Refused);
    let error = lake.append(&["a"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourcesExhausted);
    assert!(lake.metadata_files("", ".avro").await.is_empty());
    lake.append(&["a"]).await.unwrap();
}

#[tokio::test]
async fn a_panic_while_a_change_is_planned_is_the_error_of_that_change_alone() {
    let lake = Lake::new().await;
    let names = ["a", "b", "c"];
    for name in names {
        put_data(&lake, name).await;
    }
    let table = lake.table().await;
    let append = |name| {
        let change = FileChange::append(&table, files(&[name]));
        lake.commit(change.with_files_on_failure(FilesOnFailure::Delete))
    };
    lake.clock.panics.store(true, Ordering::SeqCst);
    let (a, b, c) = tokio::join!(append("a"), append("b"), append("c"));
    let (made, failed): (Vec<_>, Vec<_>) = [a, b, c]
        .into_iter()
        .zip(names)
        .partition(|(outcome, _)| outcome.is_ok());
    assert_eq!((made.len(), failed.len()), (2, 1));
    let (outcome, name) = &failed[0];
    let error = outcome.as_ref().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
    assert!(error.to_string().contains("the clock is broken"), "{error}");
    let data = format!("memory:///lake/orders/data/{name}");
    assert!(!lake.storage().exists(&data).await.unwrap());
    // A list and a manifest for each of the others.
    assert_eq!(lake.metadata_files("", ".avro").await.len(), 4);
    let live = lake.live(&lake.table().await).await;
    let expected: Vec<_> = made.iter().map(|(_, name)| *name).collect();
    assert_eq!(live, expected);
}

#[tokio::test]
async fn c01_a_swap_that_timed_out_but_was_applied_is_found_in_the_history() {
    let lake = Lake::new().await;
    lake.faulty.inject(Fault::AppliedUnknown);
    let committed = lake.append(&["a"]).await.unwrap();
    assert_eq!(committed.table.snapshot_id(), committed.snapshot_id);
    assert_eq!(lake.live(&lake.table().await).await, ["a"]);
}

#[tokio::test]
async fn c03_a_swap_that_is_not_in_the_history_stays_unknown_and_nothing_is_deleted() {
    let lake = Lake::new().await;
    let data = put_data(&lake, "a").await;
    lake.faulty.inject(Fault::NotAppliedUnknown);
    let change = FileChange::append(&lake.table().await, files(&["a"]))
        .with_files_on_failure(FilesOnFailure::Delete);
    let error = lake.commit(change).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(lake.storage().exists(&data).await.unwrap());
    assert_eq!(lake.metadata_files("", ".avro").await.len(), 2);
}

#[tokio::test]
async fn an_unknown_swap_that_somebody_overtook_is_tried_again() {
    let lake = Lake::new().await;
    let other = Commits::new(Arc::clone(&lake.clock) as _);
    let (catalog, ident) = (Arc::clone(&lake.catalog), lake.ident.clone());
    let change = FileChange::append(&lake.table().await, files(&["theirs"]));
    lake.faulty
        .inject(Fault::NotAppliedUnknownThen(Box::pin(async move {
            other.commit(&catalog, &ident, change).await.unwrap();
        })));
    let committed = lake.append(&["ours"]).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert_eq!(lake.live(&committed.table).await, ["ours", "theirs"]);
    // The list of the attempt whose outcome was unknown is still there.
    assert_eq!(lake.metadata_files("snap-", ".avro").await.len(), 3);
}

#[tokio::test]
async fn properties_are_found_after_an_unknown_outcome_too() {
    let lake = Lake::new().await;
    lake.faulty.inject(Fault::AppliedUnknown);
    lake.set_property("owner", "me").await;
    lake.faulty.inject(Fault::NotAppliedUnknown);
    let change = SetProperties {
        properties: [("owner".to_owned(), "you".to_owned())].into(),
    };
    let error = lake.commit(change).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
}

#[tokio::test]
async fn reserved_properties_are_refused() {
    let lake = Lake::new().await;
    let change = SetProperties {
        properties: [("uuid".to_owned(), "3".to_owned())].into(),
    };
    let error = lake.commit(change).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// What another process does, through a door of its own.
fn others(lake: &Lake, change: impl Into<Change>) -> BoxFuture<'static, ()> {
    let other = Commits::new(Arc::clone(&lake.clock) as _);
    let (catalog, ident, change) = (Arc::clone(&lake.catalog), lake.ident.clone(), change.into());
    Box::pin(async move {
        other.commit(&catalog, &ident, change).await.unwrap();
    })
}

fn tag(name: &str) -> SetReference {
    SetReference {
        name: name.to_owned(),
        kind: ReferenceKind::Tag,
        snapshot_id: None,
        retention: Retention::default(),
        mode: ReferenceMode::Create {
            if_not_exists: false,
        },
    }
}

#[tokio::test]
async fn c02_a_tag_that_somebody_else_made_meanwhile_is_not_ours() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let theirs = others(&lake, tag("eod"));
    lake.faulty.inject(Fault::NotAppliedUnknownThen(theirs));
    let error = lake.commit(tag("eod")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn c02_a_tag_of_ours_is_found_though_others_dropped_it() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let theirs = others(
        &lake,
        DropReference {
            name: "eod".to_owned(),
            kind: ReferenceKind::Tag,
            if_exists: false,
        },
    );
    lake.faulty.inject(Fault::AppliedUnknownThen(theirs));
    let committed = lake.commit(tag("eod")).await.unwrap();
    assert_eq!(committed.attempts, 1);
    // Tried again, it would have come back.
    assert!(
        lake.table()
            .await
            .metadata()
            .snapshot_for_ref("eod")
            .is_none()
    );
}

#[tokio::test]
async fn c02_a_rollback_that_took_place_does_not_undo_what_others_added_since() {
    let lake = Lake::new().await;
    let first = lake.append(&["a"]).await.unwrap().snapshot_id.unwrap();
    lake.append(&["b"]).await.unwrap();
    let theirs = others(
        &lake,
        FileChange::append(&lake.table().await, files(&["c"])),
    );
    lake.faulty.inject(Fault::AppliedUnknownThen(theirs));
    let back = RollbackToSnapshot { snapshot_id: first };
    lake.commit(back).await.unwrap();
    assert_eq!(lake.live(&lake.table().await).await, ["a", "c"]);
}

#[tokio::test]
async fn properties_that_others_changed_meanwhile_are_set_again() {
    let lake = Lake::new().await;
    let owner = |name: &str| SetProperties {
        properties: [("owner".to_owned(), name.to_owned())].into(),
    };
    let theirs = others(&lake, owner("them"));
    lake.faulty.inject(Fault::NotAppliedUnknownThen(theirs));
    let committed = lake.commit(owner("us")).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert_eq!(committed.table.properties()["owner"], "us");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_refused_for_another_of_its_swap_is_tried_without_it() {
    for is_taken in [false, true] {
        let lake = Arc::new(Lake::new().await);
        lake.append(&["a"]).await.unwrap();
        lake.set_property("commit.retry.num-retries", "0").await;
        let create = || SetReference {
            name: "b".to_owned(),
            kind: ReferenceKind::Branch,
            snapshot_id: None,
            retention: Retention::default(),
            mode: ReferenceMode::Create {
                if_not_exists: false,
            },
        };
        // A swap that waits, so that what comes after it shares the next.
        lake.faulty.gate.forget_permits(usize::MAX);
        lake.faulty.inject(Fault::None);
        lake.faulty.inject(match is_taken {
            true => Fault::None,
            false => Fault::Conflict,
        });
        let spawn = |change: Change| {
            let lake = Arc::clone(&lake);
            lakehouse_core::runtime::spawn(async move { lake.commit(change).await })
        };
        let pause = || tokio::time::sleep(std::time::Duration::from_millis(50));
        let append = FileChange::append(&lake.table().await, files(&["c"]));
        let first = spawn(append.into());
        pause().await;
        let second = spawn(create().into());
        pause().await;
        let third = spawn(create().into());
        pause().await;
        lake.faulty.gate.add_permits(8);
        first.await.unwrap().unwrap();
        let (second, third) = (second.await.unwrap(), third.await.unwrap());
        let (done, refused, kind) = match is_taken {
            true => (second, third, ErrorKind::AlreadyExists),
            false => (third, second, ErrorKind::Conflict),
        };
        assert!(done.unwrap().is_changed);
        assert_eq!(refused.unwrap_err().kind(), kind);
        assert_eq!(lake.table().await.refs().unwrap().len(), 2);
    }
}
