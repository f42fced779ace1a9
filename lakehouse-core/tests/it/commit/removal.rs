//! Removing files while others commit first.

use iceberg::spec::Datum;
use lakehouse_core::commit::{Change, Commits, FileChange, RowStatement};
use lakehouse_core::error::ErrorKind;
use lakehouse_core::scan::{Comparison, ManifestCache, Predicate, ScanFile, plan};
use lakehouse_core::table::{Table, Version};

use super::catalog::Fault;
use super::fixture::{Lake, files};

/// Where the fixture's files are.
fn everywhere() -> Predicate {
    Predicate::Compare {
        field_id: 2,
        comparison: Comparison::Eq,
        literal: Datum::string("p"),
    }
}

/// Somebody else commits before the next swap.
fn first(lake: &Lake, change: impl Into<Change>) {
    let other = Commits::new(std::sync::Arc::clone(&lake.clock) as _);
    let (catalog, ident) = (std::sync::Arc::clone(&lake.catalog), lake.ident.clone());
    let change = change.into();
    lake.faulty.inject(Fault::Before(Box::pin(async move {
        other.commit(&catalog, &ident, change).await.unwrap();
    })));
}

async fn live_file(table: &Table) -> ScanFile {
    let cache = ManifestCache::new(0);
    let plan = plan(table, &Predicate::AlwaysTrue, &cache).await.unwrap();
    plan.files[0].clone()
}

/// Every manifest and list in the store is named by a snapshot, and the other way round.
async fn nothing_is_left_over(lake: &Lake) {
    let table = lake.table().await;
    let mut named = std::collections::BTreeSet::new();
    for snapshot in table.snapshots() {
        let then = table.at(Version::Snapshot(snapshot.snapshot_id())).unwrap();
        let manifests = lake.manifests(&then).await;
        named.extend(manifests.into_iter().map(|file| file.manifest_path));
        named.insert(snapshot.manifest_list().to_owned());
    }
    let mut named: Vec<_> = named
        .iter()
        .map(|path| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    named.sort();
    assert_eq!(lake.metadata_files("", ".avro").await, named);
}

#[tokio::test]
async fn c04_a_retry_that_turned_out_needless_cleans_up_nothing_of_the_table() {
    let lake = Lake::new().await;
    lake.append(&["a", "b"]).await.unwrap();
    let table = lake.table().await;
    let change = || FileChange::delete_rows(&table, everywhere());
    first(&lake, change());
    let committed = lake.commit(change()).await.unwrap();
    assert_eq!((committed.attempts, committed.is_changed), (2, false));
    assert!(lake.live(&lake.table().await).await.is_empty());
    assert_eq!(lake.table().await.snapshots().len(), 2);
    nothing_is_left_over(&lake).await;
}

#[tokio::test]
async fn a_manifest_is_written_without_its_files_once_for_all_attempts() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let table = lake.table().await;
    lake.faulty.inject(Fault::Conflict);
    lake.faulty.inject(Fault::Conflict);
    let change = FileChange::delete_rows(&table, everywhere());
    let committed = lake.commit(change).await.unwrap();
    assert_eq!(committed.attempts, 3);
    assert_eq!(lake.metadata_files("", "-m0.avro").await.len(), 2);
    assert!(lake.metadata_files("", "-m1.avro").await.is_empty());
    nothing_is_left_over(&lake).await;
}

#[tokio::test]
async fn a_deletion_takes_what_came_before_it_was_committed() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let table = lake.table().await;
    first(&lake, FileChange::append(&table, files(&["b"])));
    let change = FileChange::delete_rows(&table, everywhere());
    let committed = lake.commit(change).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert!(lake.live(&committed.table).await.is_empty());
    let summary = committed.table.snapshot().unwrap().summary();
    assert_eq!(summary.additional_properties["total-data-files"], "0");
    nothing_is_left_over(&lake).await;
}

#[tokio::test]
async fn each_attempt_is_checked_against_what_came_first() {
    let lake = Lake::new().await;
    lake.append(&["a"]).await.unwrap();
    let table = lake.table().await;
    let file = live_file(&table).await;
    let change = || {
        FileChange::row_level(&table, RowStatement::Update)
            .remove(&file)
            .add(files(&["new"]))
            .with_files_on_failure(lakehouse_core::commit::FilesOnFailure::Keep)
    };
    first(&lake, FileChange::append(&table, files(&["b"])));
    let error = lake.commit(change()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("conflicting data"), "{error}");
    assert_eq!(lake.live(&lake.table().await).await, ["a", "b"]);
    nothing_is_left_over(&lake).await;
    // What only adds elsewhere is no conflict, and both changes stay.
    let elsewhere = change().with_conflict_filter(Predicate::AlwaysFalse);
    first(&lake, FileChange::append(&table, files(&["c"])));
    let committed = lake.commit(elsewhere).await.unwrap();
    assert_eq!(committed.attempts, 2);
    assert_eq!(lake.live(&committed.table).await, ["b", "c", "new"]);
    nothing_is_left_over(&lake).await;
}
