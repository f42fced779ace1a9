//! Making tables: staged first, so that rows can be written before anybody sees the name.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use iceberg::TableUpdate;
use iceberg::spec::{
    FormatVersion, Schema, SnapshotReference, SnapshotRetention, SortOrder, TableMetadata,
    TableMetadataBuilder, UnboundPartitionSpec,
};
use tracing::Instrument;

use super::change::{self, FilesOnFailure};
use super::file_change::FileChange;
use super::group::Caller;
use super::snapshot::StagedSnapshot;
use super::{Commits, Committed, Presence, cleanup, evolution, lost, properties};
use crate::catalog::{Catalog, CommitOutcome, TablePointer};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::name::TableIdent;
use crate::runtime;
use crate::scan::ManifestCache;
use crate::storage::Storage;
use crate::table::Table;

/// How a new table is to be.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its columns; field ids are given anew, from 1.
    pub schema: Schema,
    /// How it is partitioned, by the field ids of `schema`; unpartitioned when unset.
    pub partition_spec: Option<UnboundPartitionSpec>,
    /// The order its files promise; none when unset.
    pub sort_order: Option<SortOrder>,
    /// Its properties.
    pub properties: HashMap<String, String>,
    /// Its folder, which must be empty; one that the catalog chooses when unset.
    pub location: Option<String>,
    /// The Iceberg format version.
    pub format_version: FormatVersion,
}

impl NewTable {
    /// An unpartitioned table of format version 2 at a place that the catalog chooses.
    pub fn new(schema: Schema) -> Self {
        Self {
            schema,
            partition_spec: None,
            sort_order: None,
            properties: HashMap::new(),
            location: None,
            format_version: FormatVersion::V2,
        }
    }
}

impl Commits {
    /// A table that no catalog knows yet, for [`Self::create`]: rows may be written for it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is no such namespace; [`ErrorKind::InvalidInput`] for
    /// reserved properties, folders that are no locations, or a location that holds files;
    /// [`ErrorKind::Unsupported`] for partitions by the values of a `fixed` column, which Iceberg's
    /// Java library cannot read; what the format refuses.
    pub async fn stage(
        &self,
        catalog: &Arc<dyn Catalog>,
        ident: &TableIdent,
        new: NewTable,
    ) -> Result<Table> {
        properties::check_new(&new.properties)?;
        let fields = new.schema.as_struct().fields();
        evolution::check_new_defaults(fields, new.format_version)?;
        if let Some(spec) = &new.partition_spec {
            evolution::check_new_partitions(&new.schema, spec)?;
        }
        let storage = catalog.storage();
        let location = match new.location {
            Some(location) => {
                check_empty(storage, &location).await?;
                location
            }
            None => catalog.new_table_location(ident).await?,
        };
        let mut properties = new.properties;
        properties
            .entry("write.parquet.compression-codec".to_owned())
            .or_insert_with(|| "zstd".to_owned());
        let spec = new.partition_spec.unwrap_or_default();
        let order = new.sort_order.unwrap_or_else(SortOrder::unsorted_order);
        let built = TableMetadataBuilder::new(
            new.schema,
            spec,
            order,
            location,
            new.format_version,
            properties,
        )?
        .assign_uuid(self.clock.new_uuid())
        .build()?;
        let pointer = TablePointer {
            ident: ident.clone(),
            // The catalog names the file when it is written.
            metadata_location: String::new(),
            metadata: Arc::new(updated_at(&built.metadata, self.clock.now_ms())?),
        };
        Ok(Table::new(pointer, storage.clone()))
    }

    /// Gives a staged table its name, with the rows of `first` in its first metadata file: nobody
    /// ever sees the table without them. Rows for a new branch, or to be staged, leave `main`
    /// without a snapshot.
    ///
    /// Dropping the future before the catalog was asked makes nothing and deletes what was written
    /// for the commit; dropped later, the work is finished in the background.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the name is taken; [`ErrorKind::Unknown`] when it is not
    /// known whether the table was made; else what catalog and storage answer, nothing was made
    /// then.
    pub async fn create(
        &self,
        catalog: &Arc<dyn Catalog>,
        staged: &Table,
        first: Option<FileChange>,
    ) -> Result<Committed> {
        let caller = Arc::new(Caller::default());
        let _presence = Presence(Arc::clone(&caller));
        let span = tracing::debug_span!("create_table", table = %staged.ident());
        let creation = Creation {
            catalog: Arc::clone(catalog),
            clock: Arc::clone(&self.clock),
            staged: staged.clone(),
            first: first.map(Arc::new),
            snapshot: None,
            caller,
        };
        let work = self.tally.counted(creation.run().instrument(span));
        let guard = catalog.storage().begin_work();
        runtime::finish(guard, Box::pin(work)).await.map_err(lost)?
    }
}

struct Creation {
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    staged: Table,
    first: Option<Arc<FileChange>>,
    snapshot: Option<StagedSnapshot>,
    caller: Arc<Caller>,
}

impl Creation {
    async fn run(mut self) -> Result<Committed> {
        let ident = self.staged.ident().clone();
        let metadata = match self.metadata().await {
            Ok(_) if self.caller.is_gone() => {
                let error = Error::new(ErrorKind::Cancelled, "the creation was cancelled");
                return self.fail(error).await;
            }
            Ok(metadata) => metadata,
            Err(error) => return self.fail(error).await,
        };
        match self.catalog.create_table(&ident, metadata).await {
            Ok(CommitOutcome::Committed(pointer)) => Ok(self.committed(pointer)),
            Ok(CommitOutcome::Unknown { error, .. }) => self.after_unknown(error).await,
            Err(error) if error.kind() == ErrorKind::Unknown => self.after_unknown(error).await,
            Ok(CommitOutcome::Conflicted(error)) | Err(error) => self.fail(error).await,
        }
    }

    /// The first metadata, with the first snapshot if there are rows.
    async fn metadata(&mut self) -> Result<TableMetadata> {
        let metadata = TableMetadata::clone(self.staged.metadata());
        let Some(first) = &self.first else {
            return Ok(metadata);
        };
        let snapshot = StagedSnapshot::new(&self.staged, self.clock.as_ref(), Arc::clone(first))?;
        let snapshot = self.snapshot.insert(snapshot);
        let nothing = ManifestCache::new(0);
        snapshot.prepare(&self.staged, &nothing).await?;
        let made = snapshot
            .produce(&self.staged, &nothing, None, self.clock.now_ms())
            .await?;
        let Some(made) = made else {
            return Ok(metadata);
        };
        let retention = SnapshotRetention::branch(None, None, None);
        let reference = SnapshotReference::new(made.snapshot_id(), retention);
        let mut updates = vec![TableUpdate::AddSnapshot { snapshot: made }];
        if first.stage.is_none() {
            let (ref_name, _) = first.head(&self.staged)?;
            updates.push(TableUpdate::SetSnapshotRef {
                ref_name,
                reference,
            });
        }
        change::apply(&metadata, &updates)
    }

    fn committed(&self, pointer: TablePointer) -> Committed {
        if self.caller.is_gone() {
            tracing::info!(table = %pointer.ident, "a table was made after its caller had gone");
        }
        let table = Table::new(pointer, self.catalog.storage().clone());
        Committed {
            snapshot_id: self.snapshot.as_ref().map(StagedSnapshot::snapshot_id),
            previous_snapshot_id: None,
            attempts: 1,
            is_changed: true,
            table,
        }
    }

    /// Certainly not made: what was written for it goes.
    async fn fail(self, error: Error) -> Result<Committed> {
        let own = self.snapshot.iter().flat_map(StagedSnapshot::written);
        let data: &[_] = match &self.first {
            Some(first) if first.on_failure == FilesOnFailure::Delete => &first.added,
            _ => &[],
        };
        let data = data.iter().map(|file| file.data_file.file_path());
        cleanup::delete_all(self.catalog.storage(), own.chain(data)).await;
        Err(error)
    }

    /// Nobody knows whether the table was made: it is looked for, and nothing is deleted.
    async fn after_unknown(self, error: Error) -> Result<Committed> {
        let ident = self.staged.ident();
        tracing::warn!(%error, table = %ident, "the outcome of a creation is not known yet");
        match self.catalog.load_table(ident).await {
            Ok(now) if now.metadata.uuid() == self.staged.metadata().uuid() => {
                Ok(self.committed(now))
            }
            Ok(_) => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("table {ident} exists already: somebody else made it"),
            )
            .with_source(error)),
            // Not there, or not to be seen: the catalog may still be about to make it.
            Err(_) => Err(Error::new(
                ErrorKind::Unknown,
                "it is not known whether the table was made: look for it before it is tried \
                 again; none of its files was deleted",
            )
            .with_context("table", ident)
            .with_source(error)),
        }
    }
}

/// Refuses a folder with files in it: a table that shared its folder would have others' files
/// counted as its own.
pub(super) async fn check_empty(storage: &Storage, location: &str) -> Result<()> {
    match storage.list(location)?.next().await {
        None => Ok(()),
        Some(found) => Err(Error::invalid(format!(
            "the location of a new table must be empty, it holds {:?}",
            found?.location
        ))
        .with_context("location", location)),
    }
}

/// The same metadata with the time of its last update from our clock: the format crate takes the
/// machine's.
fn updated_at(metadata: &TableMetadata, now_ms: i64) -> Result<TableMetadata> {
    let mut json = serde_json::to_value(metadata)?;
    json["last-updated-ms"] = now_ms.into();
    Ok(serde_json::from_value(json)?)
}
