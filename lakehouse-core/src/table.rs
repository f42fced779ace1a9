//! An unchanging view of a table at one snapshot.

mod arrow_type;
pub(crate) mod calendar;
mod distinct_count;
mod foreign_type;
mod history;
mod one_nan;
mod refs;
pub(crate) mod transform;
pub(crate) mod value_text;
mod version;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use iceberg::spec::{FormatVersion, PartitionSpecRef, SchemaRef, SnapshotRef, TableMetadata};

pub(crate) use arrow_type::field_id;
pub use arrow_type::{
    iceberg_schema, iceberg_type, read_schema, read_type, type_text, uuid_field, write_schema,
};
pub use history::HistoryEntry;
pub(crate) use history::ancestor_ids;
pub use one_nan::with_one_nan;
pub use refs::{MAIN_BRANCH, Reference, ReferenceKind};
pub use value_text::default_json;
pub use version::Version;
pub(crate) use version::time_text;

use crate::catalog::{TablePointer, nano_default};
use crate::error::{Error, Result};
use crate::name::TableIdent;
use crate::storage::Storage;

/// A table as it is at one moment: its metadata, and the snapshot and schema a reader sees.
///
/// A `Table` never changes; loading it again gives a new one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    pointer: TablePointer,
    storage: Storage,
    snapshot: Option<SnapshotRef>,
    schema: SchemaRef,
    version: Option<Version>,
    refs: Arc<OnceLock<Vec<Reference>>>,
}

impl Table {
    /// The table's current state, `main`, as its catalog's pointer says.
    pub fn new(pointer: TablePointer, storage: Storage) -> Self {
        let metadata = &pointer.metadata;
        let snapshot = metadata.current_snapshot().map(Arc::clone);
        let schema = read_by(metadata, metadata.current_schema());
        Self {
            inner: Arc::new(Inner {
                pointer,
                storage,
                snapshot,
                schema,
                version: None,
                refs: Arc::default(),
            }),
        }
    }

    /// The table as it was: at a time, a snapshot, a tag or a branch.
    ///
    /// Id, time and tag are read with the snapshot's schema, a branch with the current one
    /// (as Spark does).
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such snapshot or ref, or the time
    /// lies before the first snapshot that the table still knows.
    pub fn at(&self, version: Version) -> Result<Self> {
        let (snapshot, schema) = version::resolve(self, &version)
            .map_err(|error| error.with_context("table", self.ident()))?;
        let mut inner = Inner::clone(&self.inner);
        inner.snapshot = snapshot;
        inner.schema = read_by(self.metadata(), &schema);
        inner.version = Some(version);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The same view of a table whose definition has changed: the snapshot and version stay, the
    /// schema is the current one of `metadata`.
    #[must_use]
    pub(crate) fn with_definition(&self, metadata: TableMetadata) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.schema = read_by(&metadata, metadata.current_schema());
        inner.pointer.metadata = Arc::new(metadata);
        inner.refs = Arc::default();
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The same view with its requests counted for one statement.
    #[must_use]
    pub fn with_storage(&self, storage: Storage) -> Self {
        let mut inner = Inner::clone(&self.inner);
        inner.storage = storage;
        Self {
            inner: Arc::new(inner),
        }
    }

    /// What the catalog said when this view was made.
    pub fn pointer(&self) -> &TablePointer {
        &self.inner.pointer
    }

    /// Namespace and name.
    pub fn ident(&self) -> &TableIdent {
        &self.inner.pointer.ident
    }

    /// The metadata file this view was made of.
    pub fn metadata_location(&self) -> &str {
        &self.inner.pointer.metadata_location
    }

    /// The whole metadata, in the format crate's form.
    pub fn metadata(&self) -> &Arc<TableMetadata> {
        &self.inner.pointer.metadata
    }

    /// The stores the table's files are read from and written to.
    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// The snapshot a reader sees; `None` for a table that nothing was written to yet.
    pub fn snapshot(&self) -> Option<&SnapshotRef> {
        self.inner.snapshot.as_ref()
    }

    /// The id of [`Self::snapshot`].
    pub fn snapshot_id(&self) -> Option<i64> {
        self.inner
            .snapshot
            .as_ref()
            .map(|snapshot| snapshot.snapshot_id())
    }

    /// The schema a reader sees.
    pub fn schema(&self) -> &SchemaRef {
        &self.inner.schema
    }

    /// The version this view was asked for; `None` for the current state.
    pub fn version(&self) -> Option<&Version> {
        self.inner.version.as_ref()
    }

    /// The partition spec of new files.
    pub fn partition_spec(&self) -> &PartitionSpecRef {
        self.inner.pointer.metadata.default_partition_spec()
    }

    /// All snapshots the table still knows, oldest first.
    pub fn snapshots(&self) -> Vec<SnapshotRef> {
        let mut snapshots: Vec<_> = self
            .inner
            .pointer
            .metadata
            .snapshots()
            .map(Arc::clone)
            .collect();
        snapshots.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
        snapshots
    }

    /// Which snapshot was current when, oldest first; the snapshot log.
    pub fn history(&self) -> Vec<HistoryEntry> {
        history::entries(&self.inner.pointer.metadata)
    }

    /// Branches and tags by name.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when the metadata holds a ref of no known form.
    pub fn refs(&self) -> Result<&[Reference]> {
        if let Some(known) = self.inner.refs.get() {
            return Ok(known);
        }
        let read = refs::references(&self.inner.pointer.metadata)?;
        Ok(self.inner.refs.get_or_init(|| read))
    }

    /// How many distinct values columns have about, by field id, where a statistics file of the
    /// snapshot or of one of its ancestors says so.
    pub fn distinct_counts(&self) -> HashMap<i32, u64> {
        distinct_count::distinct_counts(self.metadata(), self.snapshot_id())
    }

    /// The table's properties.
    pub fn properties(&self) -> &HashMap<String, String> {
        self.inner.pointer.metadata.properties()
    }

    /// The table's folder.
    pub fn location(&self) -> &str {
        self.inner.pointer.metadata.location()
    }

    /// Iceberg format version: 1, 2 or 3.
    pub fn format_version(&self) -> FormatVersion {
        self.inner.pointer.metadata.format_version()
    }

    /// A property read as a number.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when the property is set and is no such number.
    pub fn numeric_property<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>> {
        let Some(text) = self.properties().get(key) else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|_| {
            Error::invalid(format!(
                "table property {key:?} must be a number, it is {text:?}"
            ))
            .with_context("table", self.ident())
        })
    }
}

/// A schema with all of its defaults. Metadata with defaults that cannot be put back is not decoded.
fn read_by(metadata: &TableMetadata, schema: &SchemaRef) -> SchemaRef {
    nano_default::with_defaults(metadata, schema).unwrap_or_else(|_| Arc::clone(schema))
}
