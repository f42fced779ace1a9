//! How commits end: conflicted, unknown, failed.

use std::sync::Arc;

use lakehouse_core::commit::{Append, Commits, FilesOnFailure, SetProperties};
use lakehouse_core::error::ErrorKind;

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
        let change = Append::new(&lake.table().await, files(&["a"]));
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
    let change = Append::new(&lake.table().await, files(&["a"]))
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
    let change = Append::new(&lake.table().await, files(&["theirs"]));
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
        properties: [("format-version".to_owned(), "3".to_owned())].into(),
    };
    let error = lake.commit(change).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
