//! Catalogs: the shared contract on each of them, and what is special to one.

mod files;
mod find;
mod sqlite;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, NestedField, PartitionSpec, PrimitiveType, Schema, SortOrder, TableMetadata,
    TableMetadataBuilder, Type,
};
use lakehouse_core::catalog::{
    Catalog, CatalogParts, CommitOutcome, MEMORY_WAREHOUSE, MemoryCatalog, OpenOptions,
    SqliteCatalog, TablePointer,
};
use lakehouse_core::clock::SystemClock;
use lakehouse_core::error::Result;
use lakehouse_core::name::{NamespaceIdent, TableIdent};
use lakehouse_core::settings::Durability;
use lakehouse_core::storage::Storage;
use tempfile::TempDir;

/// Catalogs in memory.
mod memory {
    use super::*;

    async fn make() -> (Arc<dyn Catalog>, ()) {
        let catalog = MemoryCatalog::new("lake", MEMORY_WAREHOUSE, parts(Durability::None));
        (Arc::new(catalog), ())
    }

    lakehouse_testkit::catalog_contract!(make);
}

/// Catalogs in a SQLite file that this library made, with everything synced.
mod sqlite_new {
    use super::*;

    async fn make() -> (Arc<dyn Catalog>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let catalog = open(folder.path(), Durability::Full).await.unwrap();
        (Arc::new(catalog), folder)
    }

    lakehouse_testkit::catalog_contract!(make);
}

/// Catalogs in a SQLite file as older PyIceberg made it, without `iceberg_type`.
mod sqlite_without_types {
    use super::*;

    async fn make() -> (Arc<dyn Catalog>, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        sqlite::make_old_file(&folder.path().join("catalog.db"));
        let catalog = open(folder.path(), Durability::None).await.unwrap();
        (Arc::new(catalog), folder)
    }

    lakehouse_testkit::catalog_contract!(make);
}

fn parts(durability: Durability) -> CatalogParts {
    let storage = Storage::new(&SystemClock, durability).unwrap();
    CatalogParts::new(storage, Arc::new(SystemClock))
}

async fn open(folder: &Path, durability: Durability) -> Result<SqliteCatalog> {
    let options = OpenOptions {
        create: true,
        ..OpenOptions::default()
    };
    SqliteCatalog::open(
        Some("lake".to_owned()),
        folder.join("catalog.db"),
        options,
        parts(durability),
    )
    .await
}

fn ident(parts: &[&str]) -> TableIdent {
    TableIdent::from_strs(parts).unwrap()
}

fn metadata(location: &str) -> TableMetadata {
    let id = NestedField::optional(1, "id", Type::Primitive(PrimitiveType::Long));
    let schema = Schema::builder().with_fields([id.into()]).build().unwrap();
    let builder = TableMetadataBuilder::new(
        schema,
        PartitionSpec::unpartition_spec(),
        SortOrder::unsorted_order(),
        location.to_owned(),
        FormatVersion::V2,
        HashMap::new(),
    );
    builder.unwrap().build().unwrap().metadata
}

/// Makes a table in a namespace of one part, which is made when it is missing.
async fn make_table(catalog: &dyn Catalog, parts: &[&str]) -> TablePointer {
    let ident = ident(parts);
    let namespace = NamespaceIdent::new(parts[0].to_owned());
    if catalog.namespace_properties(&namespace).await.is_err() {
        catalog
            .create_namespace(&namespace, HashMap::new())
            .await
            .unwrap();
    }
    let location = catalog.new_table_location(&ident).await.unwrap();
    let outcome = catalog.create_table(&ident, metadata(&location)).await;
    committed(outcome.unwrap())
}

#[track_caller]
fn committed(outcome: CommitOutcome) -> TablePointer {
    match outcome {
        CommitOutcome::Committed(pointer) => pointer,
        other => panic!("{other:?}"),
    }
}

fn set_property(key: &str, value: &str) -> Vec<TableUpdate> {
    vec![TableUpdate::SetProperties {
        updates: HashMap::from([(key.to_owned(), value.to_owned())]),
    }]
}
