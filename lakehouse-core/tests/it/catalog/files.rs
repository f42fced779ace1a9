//! Metadata files: what a store's faults and foreign files lead to, and whose time they carry.

use std::sync::Arc;

use bytes::Bytes;
use iceberg::TableUpdate;
use lakehouse_core::catalog::{Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog};
use lakehouse_core::clock::SystemClock;
use lakehouse_core::error::ErrorKind;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_testkit::{FailingStore, FakeClock, Fault, StoreCall};
use object_store::memory::InMemory;
use object_store::{ObjectStore, path::Path};

use super::{committed, ident, make_table, parts, set_property};

fn failing() -> (MemoryCatalog, FailingStore) {
    let store = FailingStore::new(Arc::new(InMemory::new()));
    let storage = Storage::new(&SystemClock, Durability::None)
        .unwrap()
        .with_local_store(Arc::new(store.clone()));
    let parts = CatalogParts::new(storage, Arc::new(SystemClock));
    (MemoryCatalog::new("lake", "/w", parts), store)
}

async fn file_count(store: &FailingStore) -> usize {
    use futures::TryStreamExt;
    let files: Vec<_> = store
        .list(Some(&Path::from("w")))
        .try_collect()
        .await
        .unwrap();
    files.len()
}

#[tokio::test]
async fn a_metadata_file_that_cannot_be_written_moves_nothing_and_leaves_nothing() {
    for (fault, kind) in [
        (Fault::NoSpace, ErrorKind::ResourcesExhausted),
        (Fault::Denied, ErrorKind::PermissionDenied),
        (Fault::Unavailable, ErrorKind::Unavailable),
        (Fault::AppliedThenTimedOut, ErrorKind::Unavailable),
    ] {
        let (catalog, store) = failing();
        let made = make_table(&catalog, &["n", "t"]).await;
        store.fail_nth(StoreCall::Put, 1, fault);
        let failed = catalog.commit(&made, vec![], set_property("a", "b")).await;
        assert_eq!(failed.unwrap_err().kind(), kind);
        let current = catalog.load_table(&made.ident).await.unwrap();
        assert_eq!(current.metadata_location, made.metadata_location);
        assert_eq!(file_count(&store).await, 1, "{fault:?}");

        store.fail_nth(StoreCall::Put, 1, fault);
        let other = ident(&["n", "other"]);
        let location = catalog.new_table_location(&other).await.unwrap();
        let failed = catalog
            .create_table(&other, super::metadata(&location))
            .await;
        assert_eq!(failed.unwrap_err().kind(), kind);
        let absent = catalog.load_table(&other).await.unwrap_err();
        assert_eq!(absent.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_committed_change_stands_though_cleaning_up_fails() {
    let (catalog, store) = failing();
    let mut base = make_table(&catalog, &["n", "t"]).await;
    for (key, value) in [
        ("write.metadata.previous-versions-max", "1"),
        ("write.metadata.delete-after-commit.enabled", "true"),
    ] {
        let done = catalog
            .commit(&base, vec![], set_property(key, value))
            .await;
        base = committed(done.unwrap());
    }
    store.fail_always_at(StoreCall::Delete, "", Fault::Unavailable);
    let done = catalog.commit(&base, vec![], set_property("a", "b")).await;
    let last = committed(done.unwrap());
    let loaded = catalog.load_table(&base.ident).await.unwrap();
    assert_eq!(loaded.metadata_location, last.metadata_location);
}

#[tokio::test]
async fn metadata_is_read_once_and_a_stores_fault_says_which_file() {
    let (writer, store) = failing();
    let made = make_table(&writer, &["n", "t"]).await;
    let storage = writer.storage().clone();
    let parts = CatalogParts::new(storage.clone(), Arc::new(SystemClock));
    let reader = MemoryCatalog::new("other", "/w", parts);
    let table = ident(&["n", "t"]);
    reader
        .create_namespace(table.namespace(), Default::default())
        .await
        .unwrap();
    store.fail_nth(StoreCall::Get, 1, Fault::Denied);
    let denied = reader.register_table(&table, &made.metadata_location).await;
    let denied = denied.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert!(
        denied.to_string().contains(&made.metadata_location),
        "{denied}"
    );
    let before = storage.counts().requests;
    reader
        .register_table(&table, &made.metadata_location)
        .await
        .unwrap();
    for _ in 0..3 {
        reader.load_table(&table).await.unwrap();
    }
    assert_eq!(storage.counts().requests, before + 1);
}

#[tokio::test]
async fn truncated_and_compressed_files_are_read_for_what_they_are() {
    let catalog = MemoryCatalog::new("lake", MEMORY_WAREHOUSE, parts(Durability::None));
    let made = make_table(&catalog, &["n", "t"]).await;
    let codec = set_property("write.metadata.compression-codec", "gzip");
    let packed = committed(catalog.commit(&made, vec![], codec).await.unwrap());
    let bytes = catalog
        .storage()
        .read(&packed.metadata_location)
        .await
        .unwrap();
    let folder = format!("{}/metadata", made.metadata.location());
    for (name, content, kind) in [
        ("00007-x.metadata.json.gz", bytes.clone(), None),
        ("v7.metadata.json", bytes.clone(), None),
        (
            "v8.gz.metadata.json",
            bytes.slice(..bytes.len() / 2),
            Some(ErrorKind::Corrupt),
        ),
        ("v9.metadata.json", Bytes::new(), Some(ErrorKind::Corrupt)),
    ] {
        let location = format!("{folder}/{name}");
        catalog
            .storage()
            .write_new(&location, content)
            .await
            .unwrap();
        let registered = catalog
            .register_table(&ident(&["n", name]), &location)
            .await;
        match (registered, kind) {
            (Ok(pointer), None) => assert_eq!(pointer.metadata, packed.metadata),
            (Err(error), Some(kind)) => {
                assert_eq!(error.kind(), kind);
                assert!(error.to_string().contains(&location), "{error}");
            }
            (other, _) => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn changes_carry_the_lakes_time_and_identifiers_follow_from_its_seed() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let clock = Arc::new(FakeClock::new(1_700_000_000_000, 42));
        let storage = Storage::new(&SystemClock, Durability::None).unwrap();
        let parts = CatalogParts::new(storage, Arc::clone(&clock) as _);
        let catalog = MemoryCatalog::new("lake", MEMORY_WAREHOUSE, parts);
        let made = make_table(&catalog, &["n", "t"]).await;
        assert_eq!(made.metadata.last_updated_ms(), 1_700_000_000_000);
        clock.advance_ms(5_000);
        let done = catalog.commit(&made, vec![], set_property("a", "b")).await;
        let next = committed(done.unwrap());
        assert_eq!(next.metadata.last_updated_ms(), 1_700_000_005_000);
        clock.set_ms(1_600_000_000_000);
        let removal = vec![TableUpdate::RemoveProperties {
            removals: vec!["a".to_owned()],
        }];
        let back = committed(catalog.commit(&next, vec![], removal).await.unwrap());
        assert_eq!(back.metadata.last_updated_ms(), 1_700_000_005_000);
        runs.push([made, next, back].map(|pointer| pointer.metadata_location));
    }
    assert_eq!(runs[0], runs[1]);
}
