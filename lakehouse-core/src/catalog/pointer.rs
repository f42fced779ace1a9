//! A catalog of stored pointers: the part of commit, create and register that is the same for
//! every store of pointers.

mod change;
mod refusal;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};

use super::folder::table_folder;
use super::metadata_file::{self, MetadataFiles, NewMetadataFile};
use super::{
    AskedSwap, Catalog, CatalogParts, CommitOutcome, NameCase, OtherTable, SwapTrace, TablePointer,
    Turn,
};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{NamespaceIdent, TableIdent};
use crate::storage::Storage;
use change::{Change, Changed};
use refusal::moved_by_others;
pub use refusal::{
    namespace_exists, namespace_not_empty, no_longer_owned, no_namespace, no_table, table_exists,
};

/// How a pointer swap ended, when it did not fail before it was asked for.
#[must_use = "a swap that is not looked at may be lost or unknown"]
#[derive(Debug)]
pub enum Swap {
    /// The pointer stands on the new file.
    Moved,
    /// The pointer did not stand on the expected file and was left alone.
    Stale,
    /// The pointer stands elsewhere, and was moved more than once since the expected file: perhaps
    /// by this very swap first. The table's history tells.
    Overtaken(Error),
    /// The store did not say whether the pointer was moved.
    Unknown(Error),
}

/// Where a table stands, in one answer of its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPointer<T> {
    /// The metadata file.
    pub location: String,
    /// What the same answer held beside the location, by which a swap tells that nobody changed the
    /// table since.
    pub token: T,
}

/// Where a table is to stand.
#[derive(Debug, Clone, Copy)]
pub struct NewPointer<'a> {
    /// The metadata file, which is written already.
    pub location: &'a str,
    /// What it says.
    pub metadata: &'a TableMetadata,
}

/// Names, and one location of a metadata file for each table name.
///
/// An `Err` of any method means that nothing was changed; where that is not sure, the error's kind
/// is [`ErrorKind::Unknown`] or the answer is [`Swap::Unknown`]. A [`PointerCatalog`] calls these,
/// and nobody else does.
#[async_trait]
pub trait PointerStore: Debug + Send + Sync {
    /// What a swap needs to know of the answer that it builds on, beside the location.
    type Token: Debug + Clone + Send + Sync;

    /// As [`Catalog::name_case`].
    fn name_case(&self) -> NameCase {
        NameCase::AsWritten
    }

    /// As [`Catalog::place`].
    fn place(&self) -> Option<&str> {
        None
    }

    /// As [`Catalog::list_namespaces`].
    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>>;

    /// The properties of a namespace, `None` when there is no such namespace.
    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<HashMap<String, String>>>;

    /// As [`Catalog::create_namespace`].
    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()>;

    /// As [`Catalog::drop_namespace`].
    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()>;

    /// The names of a namespace's tables in order, `None` when there is no such namespace.
    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<String>>>;

    /// As [`Catalog::list_other_tables`].
    async fn list_other_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<OtherTable>> {
        let _ = namespace;
        Ok(Vec::new())
    }

    /// The metadata file a table stands on, `None` when there is no such table.
    async fn get(&self, ident: &TableIdent) -> Result<Option<StoredPointer<Self::Token>>>;

    /// Whether a name is taken, by a table or by something that is none of ours.
    async fn is_taken(&self, ident: &TableIdent) -> Result<bool> {
        Ok(self.get(ident).await?.is_some())
    }

    /// Fails for a name that a new table cannot have here.
    fn check_new_name(&self, ident: &TableIdent) -> Result<()> {
        let _ = ident;
        Ok(())
    }

    /// As [`Catalog::turn`].
    async fn turn(&self, ident: &TableIdent) -> Result<Turn>;

    /// Names a table. [`Swap::Stale`] says that the name is taken; a missing namespace is an error.
    async fn insert(&self, ident: &TableIdent, new: NewPointer<'_>) -> Result<Swap>;

    /// Moves a pointer from `expected` to `new` in one step, or leaves it.
    async fn swap(
        &self,
        ident: &TableIdent,
        expected: &StoredPointer<Self::Token>,
        new: NewPointer<'_>,
    ) -> Result<Swap>;

    /// As [`Catalog::is_droppable`].
    async fn is_droppable(&self, ident: &TableIdent) -> Result<bool> {
        let names = self.list_tables(ident.namespace()).await?;
        let has = |names: Vec<String>| names.iter().any(|name| name == ident.name());
        Ok(names.is_some_and(has))
    }

    /// As [`Catalog::drop_table`].
    async fn remove(&self, ident: &TableIdent) -> Result<()>;

    /// As [`Catalog::drop_owned_table`], of the table that stands on a metadata file. For a name
    /// that stands elsewhere by now the error is [`no_longer_owned`].
    async fn remove_owned(&self, ident: &TableIdent, location: &str) -> Result<()>;

    /// As [`Catalog::rename_table`].
    async fn rename(&self, from: &TableIdent, to: &TableIdent) -> Result<()>;
}

/// A catalog over a store of pointers; see [`super::MemoryCatalog`] and [`super::SqliteCatalog`].
#[derive(Debug)]
pub struct PointerCatalog<P> {
    name: String,
    warehouse: String,
    clock: Arc<dyn Clock>,
    files: MetadataFiles,
    pub(super) pointers: P,
}

impl<P> PointerCatalog<P> {
    /// A catalog that statements address as `name`; new tables go below `warehouse`.
    pub fn over(
        pointers: P,
        name: impl Into<String>,
        warehouse: impl Into<String>,
        parts: CatalogParts,
    ) -> Self {
        Self {
            name: name.into(),
            warehouse: warehouse.into(),
            clock: parts.clock,
            files: MetadataFiles::new(parts.storage, parts.metadata_bytes_max),
            pointers,
        }
    }

    /// The root of new tables' folders, as it was given.
    pub fn warehouse(&self) -> &str {
        &self.warehouse
    }
}

impl<P: PointerStore> PointerCatalog<P> {
    async fn pointer_at(&self, ident: &TableIdent, location: String) -> Result<TablePointer> {
        let metadata = self
            .files
            .load(&location)
            .await
            .map_err(|error| error.with_context("table", ident))?;
        Ok(TablePointer {
            ident: ident.clone(),
            metadata_location: location,
            metadata,
        })
    }

    /// As [`Self::pointer_at`], of a file that the catalog names.
    async fn named(&self, ident: &TableIdent, location: String) -> Result<TablePointer> {
        let found = self.pointer_at(ident, location.clone()).await;
        found.map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::corrupt(
                "the catalog names a metadata file that does not exist; restore the file, or drop \
                 the table's name (DROP TABLE without PURGE) and register an older metadata file \
                 of it",
            )
            .with_context("table", ident)
            .with_context("metadata file", location)
            .with_source(error),
            _ => error,
        })
    }

    /// The state to commit on, `base` itself when it still is the current one, and the answer of
    /// the store that named it.
    async fn current(
        &self,
        base: &TablePointer,
    ) -> Result<(TablePointer, StoredPointer<P::Token>)> {
        let stored = self.pointers.get(&base.ident).await?;
        let stored = stored.ok_or_else(|| no_table(&base.ident))?;
        if stored.location == base.metadata_location {
            return Ok((base.clone(), stored));
        }
        let current = self.named(&base.ident, stored.location.clone()).await?;
        Ok((current, stored))
    }

    /// Fails when a new table of this name could not be named anyway, before any file is written.
    async fn check_free(&self, ident: &TableIdent) -> Result<()> {
        if ident.name().is_empty() {
            return Err(Error::invalid("a table's name must not be empty"));
        }
        self.pointers.check_new_name(ident)?;
        if self
            .pointers
            .namespace_properties(ident.namespace())
            .await?
            .is_none()
        {
            return Err(no_namespace(ident.namespace()));
        }
        match self.pointers.is_taken(ident).await? {
            false => Ok(()),
            true => Err(table_exists(ident)),
        }
    }

    /// What the history tells of a swap that others' may have followed.
    async fn traced(
        &self,
        ident: &TableIdent,
        asked: &AskedSwap,
        metadata: &TableMetadata,
        error: Error,
    ) -> Swap {
        let now = match self.load_table(ident).await {
            Ok(now) if now.metadata.uuid() == metadata.uuid() => now,
            Ok(_) | Err(_) => return Swap::Unknown(error),
        };
        match asked.trace(&now) {
            SwapTrace::Applied => Swap::Moved,
            SwapTrace::NeverApplied => Swap::Stale,
            SwapTrace::Open => Swap::Unknown(error),
        }
    }

    /// Moves the pointer from `stored` to the written file and tidies up after the outcome.
    async fn swap(
        &self,
        ident: &TableIdent,
        stored: StoredPointer<P::Token>,
        file: NewMetadataFile,
        changed: Changed,
    ) -> Result<CommitOutcome> {
        let new = NewPointer {
            location: &file.location,
            metadata: &changed.metadata,
        };
        let swapped = match answered(self.pointers.swap(ident, &stored, new).await) {
            Ok(Swap::Overtaken(error)) => {
                let asked = AskedSwap {
                    from: stored.location.clone(),
                    to: file.location.clone(),
                };
                Ok(self.traced(ident, &asked, &changed.metadata, error).await)
            }
            swapped => swapped,
        };
        match swapped {
            Ok(Swap::Moved) => {
                let metadata = Arc::new(changed.metadata);
                self.files.remember(&file, &metadata);
                // Only now are the trimmed files out of every reader's sight.
                for location in changed.trimmed_files {
                    self.files.delete_unnamed(&location).await;
                }
                Ok(CommitOutcome::Committed(TablePointer {
                    ident: ident.clone(),
                    metadata_location: file.location,
                    metadata,
                }))
            }
            Ok(Swap::Stale) => {
                self.files.delete_unnamed(&file.location).await;
                Ok(CommitOutcome::Conflicted(moved_by_others(ident)))
            }
            // The pointer may stand on the new file: it must stay.
            Ok(Swap::Unknown(error) | Swap::Overtaken(error)) => Ok(CommitOutcome::Unknown {
                error: error
                    .with_context("table", ident)
                    .with_context("metadata file", &file.location),
                swap: Some(AskedSwap {
                    from: stored.location,
                    to: file.location,
                }),
            }),
            Err(error) => {
                self.files.delete_unnamed(&file.location).await;
                Err(error.with_context("table", ident))
            }
        }
    }
}

/// An error that leaves open what happened is the answer [`Swap::Unknown`]: the new metadata file
/// must stay.
fn answered(swapped: Result<Swap>) -> Result<Swap> {
    swapped.or_else(|error| match error.kind() {
        ErrorKind::Unknown => Ok(Swap::Unknown(error)),
        _ => Err(error),
    })
}

#[async_trait]
impl<P: PointerStore> Catalog for PointerCatalog<P> {
    fn name(&self) -> &str {
        &self.name
    }

    fn storage(&self) -> &Storage {
        self.files.storage()
    }

    fn name_case(&self) -> NameCase {
        self.pointers.name_case()
    }

    fn place(&self) -> Option<&str> {
        self.pointers.place()
    }

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        self.pointers.list_namespaces().await
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<HashMap<String, String>> {
        let properties = self.pointers.namespace_properties(namespace).await?;
        properties.ok_or_else(|| no_namespace(namespace))
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        if namespace.iter().any(String::is_empty) {
            return Err(Error::invalid("a namespace's name must not be empty"));
        }
        self.pointers.create_namespace(namespace, properties).await
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        self.pointers.drop_namespace(namespace).await
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>> {
        let names = self.pointers.list_tables(namespace).await?;
        let names = names.ok_or_else(|| no_namespace(namespace))?;
        Ok(names
            .into_iter()
            .map(|name| TableIdent::new(namespace.clone(), name))
            .collect())
    }

    async fn list_other_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<OtherTable>> {
        self.pointers.list_other_tables(namespace).await
    }

    async fn is_taken(&self, ident: &TableIdent) -> Result<bool> {
        self.pointers.is_taken(ident).await
    }

    async fn load_table(&self, ident: &TableIdent) -> Result<TablePointer> {
        let stored = self.pointers.get(ident).await?;
        let stored = stored.ok_or_else(|| no_table(ident))?;
        self.named(ident, stored.location).await
    }

    async fn new_table_location(&self, ident: &TableIdent) -> Result<String> {
        let properties = self.namespace_properties(ident.namespace()).await?;
        let own = properties.get("location").map(String::as_str);
        if self.warehouse.is_empty() && own.is_none_or(str::is_empty) {
            return Err(Error::invalid(format!(
                "there is no place for new tables: give namespace {:?} a location, or the catalog's \
                 settings a warehouse",
                ident.namespace().join(".")
            )));
        }
        Ok(table_folder(
            &self.warehouse,
            own,
            ident,
            self.clock.new_uuid(),
        ))
    }

    async fn create_table(
        &self,
        ident: &TableIdent,
        metadata: TableMetadata,
    ) -> Result<CommitOutcome> {
        self.check_free(ident).await?;
        // The builder that made the metadata took the time from the machine's clock.
        let metadata = if metadata.snapshots().len() == 0 {
            metadata_file::stamp(&metadata, self.clock.now_ms(), 0)?
        } else {
            metadata
        };
        let file = self
            .files
            .write(&metadata, None, self.clock.as_ref())
            .await?;
        let new = NewPointer {
            location: &file.location,
            metadata: &metadata,
        };
        match answered(self.pointers.insert(ident, new).await) {
            Ok(Swap::Moved) => {
                let metadata = Arc::new(metadata);
                self.files.remember(&file, &metadata);
                Ok(CommitOutcome::Committed(TablePointer {
                    ident: ident.clone(),
                    metadata_location: file.location,
                    metadata,
                }))
            }
            Ok(Swap::Unknown(error) | Swap::Overtaken(error)) => Ok(CommitOutcome::Unknown {
                error: error
                    .with_context("table", ident)
                    .with_context("metadata file", &file.location),
                swap: None,
            }),
            Ok(Swap::Stale) => {
                self.files.delete_unnamed(&file.location).await;
                Err(table_exists(ident))
            }
            Err(error) => {
                self.files.delete_unnamed(&file.location).await;
                Err(error.with_context("table", ident))
            }
        }
    }

    async fn register_table(
        &self,
        ident: &TableIdent,
        metadata_location: &str,
    ) -> Result<TablePointer> {
        self.check_free(ident).await?;
        let pointer = self.pointer_at(ident, metadata_location.to_owned()).await?;
        let new = NewPointer {
            location: metadata_location,
            metadata: &pointer.metadata,
        };
        match self.pointers.insert(ident, new).await? {
            Swap::Moved => Ok(pointer),
            Swap::Stale => Err(table_exists(ident)),
            Swap::Unknown(error) | Swap::Overtaken(error) => Err(Error::new(
                ErrorKind::Unknown,
                "it is not known whether the table was registered: look for it before it is tried \
                 again",
            )
            .with_context("table", ident)
            .with_context("metadata file", metadata_location)
            .with_source(error)),
        }
    }

    async fn is_droppable(&self, ident: &TableIdent) -> Result<bool> {
        self.pointers.is_droppable(ident).await
    }

    async fn drop_table(&self, ident: &TableIdent) -> Result<()> {
        self.pointers.remove(ident).await
    }

    async fn drop_owned_table(&self, table: &TablePointer) -> Result<()> {
        let location = &table.metadata_location;
        self.pointers.remove_owned(&table.ident, location).await
    }

    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        if to.name().is_empty() {
            return Err(Error::invalid("a table's name must not be empty"));
        }
        self.pointers.check_new_name(to)?;
        self.pointers.rename(from, to).await
    }

    async fn turn(&self, ident: &TableIdent) -> Result<Turn> {
        self.pointers.turn(ident).await
    }

    async fn commit(
        &self,
        base: &TablePointer,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<CommitOutcome> {
        let (current, stored) = self.current(base).await?;
        let change = change::apply(&current, base, requirements, updates, self.clock.as_ref())
            .map_err(|error| error.with_context("table", &base.ident))?;
        let changed = match change {
            Change::Made(changed) => *changed,
            Change::Nothing => return Ok(CommitOutcome::Committed(current)),
            Change::Conflict(error) => {
                return Ok(CommitOutcome::Conflicted(
                    error.with_context("table", &base.ident),
                ));
            }
        };
        let file = self
            .files
            .write(
                &changed.metadata,
                Some(&current.metadata_location),
                self.clock.as_ref(),
            )
            .await
            .map_err(|error| error.with_context("table", &base.ident))?;
        self.swap(&current.ident, stored, file, changed).await
    }
}
