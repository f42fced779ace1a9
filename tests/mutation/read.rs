//! A table read in every way: whole, filtered, and as its metadata tables.

use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use datafusion::catalog::TableProvider;
use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
use lakehouse::core::catalog::{Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog};
use lakehouse::core::clock::SystemClock;
use lakehouse::core::name::{NamespaceIdent, TableIdent};
use lakehouse::core::provider::LakeTable;
use lakehouse::core::scan::{MetadataTable, ScanContext};
use lakehouse::core::settings::{Durability, Settings};
use lakehouse::core::storage::Storage;
use lakehouse::{Result, Table};
use object_store::memory::InMemory;

use crate::tables::TestTable;

/// What a read of a table gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// All rows as texts, in order.
    pub(crate) all: Vec<String>,
    /// Those with an `id` of 3 or more, and those with an `id` of 2.
    pub(crate) filtered: [Vec<String>; 2],
}

/// Reads `table` with the bytes of one file replaced, each time as a fresh program would.
pub(crate) async fn read(table: &TestTable, replaced: Option<(usize, &Bytes)>) -> Result<Rows> {
    let clock = Arc::new(SystemClock);
    // Local files are kept in memory too.
    let storage =
        Storage::new(&*clock, Durability::None)?.with_local_store(Arc::new(InMemory::new()));
    for (position, file) in table.files.iter().enumerate() {
        let bytes = match replaced {
            Some((wanted, bytes)) if wanted == position => bytes,
            _ => &file.bytes,
        };
        storage.write_new(&file.location, bytes.clone()).await?;
    }
    let parts = CatalogParts::new(storage.clone(), clock);
    let catalog = MemoryCatalog::new("lake", MEMORY_WAREHOUSE, parts);
    let namespace = NamespaceIdent::new("n".to_owned());
    catalog
        .create_namespace(&namespace, Default::default())
        .await?;
    let ident = TableIdent::new(namespace, table.name.clone());
    let pointer = catalog
        .register_table(&ident, table.metadata_location())
        .await?;
    let opened = Table::new(pointer, storage);
    let context = ScanContext::new(&Settings::default());
    read_all(&opened, &context).await
}

/// One engine for all reads: it keeps nothing of a table, and making one takes longer than a read.
fn engine() -> &'static SessionContext {
    static ENGINE: OnceLock<SessionContext> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let config = SessionConfig::new().with_target_partitions(2);
        SessionContext::new_with_config(config)
    })
}

/// The rows, and then the metadata tables whatever came of the rows.
async fn read_all(table: &Table, context: &ScanContext) -> Result<Rows> {
    let engine = engine();
    let storage = table.storage();
    let stores = &engine.runtime_env().object_store_registry;
    stores.register_store(storage.url().as_ref(), storage.routing_store());
    let rows = rows(engine, table, context).await;
    let metadata = metadata(engine, table, context).await;
    stores.deregister_store(storage.url().as_ref())?;
    let rows = rows?;
    metadata.map(|()| rows)
}

async fn rows(engine: &SessionContext, table: &Table, context: &ScanContext) -> Result<Rows> {
    let provider = Arc::new(LakeTable::new(table.clone(), context.clone())?);
    let all = engine.read_table(Arc::clone(&provider) as _)?;
    // A changed schema may have lost the column that is filtered by.
    let has_id = provider.schema().column_with_name("id").is_some();
    let mut read = Vec::new();
    for filter in [
        None,
        Some(col("id").gt_eq(lit(3))),
        Some(col("id").eq(lit(2))),
    ] {
        let rows = match filter {
            Some(filter) if has_id => all.clone().filter(filter)?,
            Some(_) => all.clone().limit(0, Some(1))?,
            None => all.clone(),
        };
        let batches = rows.collect().await?;
        let mut texts: Vec<String> = batches.iter().flat_map(texts).collect();
        texts.sort_unstable();
        read.push(texts);
    }
    let [all, range, point] = read.try_into().unwrap();
    Ok(Rows {
        all,
        filtered: [range, point],
    })
}

async fn metadata(engine: &SessionContext, table: &Table, context: &ScanContext) -> Result<()> {
    let provider = LakeTable::new(table.clone(), context.clone())?;
    // The files of older snapshots, which `all_…` tables read, are not kept.
    let kinds = MetadataTable::ALL.into_iter();
    for kind in kinds.filter(|kind| !kind.name().starts_with("all_")) {
        let listed = engine.read_table(provider.metadata_table(kind)?)?;
        let batches = listed.collect().await?;
        // Looked at, as a client would.
        let texts = batches.iter().flat_map(texts).map(|text| text.len());
        std::hint::black_box(texts.sum::<usize>());
    }
    Ok(())
}

pub(crate) fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
        .collect();
    (0..batch.num_rows())
        .map(|row| {
            let cells = columns.iter();
            let cells: Vec<_> = cells.map(|column| column.value(row).to_string()).collect();
            cells.join("|")
        })
        .collect()
}
