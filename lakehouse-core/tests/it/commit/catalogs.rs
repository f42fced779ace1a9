//! Commits over the catalogs of the crate.

use std::sync::Arc;

use iceberg::spec::FormatVersion;
use lakehouse_core::catalog::{Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog};
use lakehouse_core::clock::Clock;
use lakehouse_core::commit::{Commits, FileChange, RollbackToSnapshot};
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::runtime;
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use lakehouse_core::table::Table;

use super::fixture::{Lake, NOW_MS, files, new_table};

async fn memory_catalog(clock: Arc<dyn Clock>) -> Arc<dyn Catalog> {
    let storage = Storage::new(clock.as_ref(), Durability::Full).unwrap();
    let parts = CatalogParts::new(storage, clock);
    let catalog = Arc::new(MemoryCatalog::new("lake", MEMORY_WAREHOUSE, parts));
    let namespace = NamespaceIdent::new("sales".to_owned());
    catalog
        .create_namespace(&namespace, [].into())
        .await
        .unwrap();
    catalog
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_a_memory_catalog_lose_no_row_and_rollback_is_logged_after_them() {
    let clock: Arc<dyn Clock> = Lake::empty().clock;
    let catalog = memory_catalog(Arc::clone(&clock)).await;
    let ident = TableIdent::from_strs(["sales", "orders"]).unwrap();
    let commits = Commits::new(Arc::clone(&clock));
    let new = new_table(FormatVersion::V2);
    let staged = commits.stage(&catalog, &ident, new).await.unwrap();
    let rows = FileChange::append(&staged, files(&["first"]));
    let made = commits.create(&catalog, &staged, Some(rows)).await.unwrap();
    let first = made.snapshot_id.unwrap();
    let tasks: Vec<_> = (0..12)
        .map(|task| {
            // Each third task shares its commits, as tasks of one process do.
            let commits = match task % 3 {
                0 => commits.clone(),
                _ => Commits::new(Arc::clone(&clock)),
            };
            let (catalog, ident) = (Arc::clone(&catalog), ident.clone());
            let change = FileChange::append(&staged, files(&[&format!("f{task}")]));
            runtime::spawn(async move {
                commits.commit(&catalog, &ident, change).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let back = RollbackToSnapshot { snapshot_id: first };
    let table = commits.commit(&catalog, &ident, back).await.unwrap().table;
    assert_eq!(table.snapshots().len(), 13);
    let last = table.snapshots()[12].summary().additional_properties["total-data-files"].clone();
    assert_eq!(last, "13");
    let loaded = catalog.load_table(&ident).await.unwrap();
    let history = Table::new(loaded, catalog.storage().clone()).history();
    assert_eq!(history[0].made_current_at_ms, NOW_MS);
    assert_eq!(history.last().unwrap().snapshot_id, first);
    assert!(
        history
            .windows(2)
            .all(|pair| pair[0].made_current_at_ms < pair[1].made_current_at_ms)
    );
}
