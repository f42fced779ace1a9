//! Names of namespaces and tables, and the only place that swaps a metadata pointer.

mod asked;
mod find;
mod folder;
mod folder_property;
pub(crate) mod foreign_type;
mod later_clock;
mod memory;
mod metadata_file;
pub(crate) mod nano_default;
mod pointer;
mod sqlite;
pub(crate) mod unwritten_default;
mod void_partition;

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};

use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::name::{NamespaceIdent, TableIdent};
use crate::runtime;
use crate::settings::CacheSettings;
use crate::storage::Storage;
pub use asked::{AskedSwap, SwapTrace};
pub use find::{find_metadata_file, load_by_metadata_file};
pub(crate) use folder_property::{check_folders, metadata_folder, stated_folder};
pub(crate) use later_clock::build_on;
pub use memory::{MEMORY_WAREHOUSE, MemoryCatalog, MemoryPointers};
pub(crate) use metadata_file::to_value as metadata_json;
pub use pointer::{
    NewPointer, PointerCatalog, PointerStore, StoredPointer, Swap, namespace_exists,
    namespace_not_empty, no_longer_owned, no_namespace, no_table, table_exists,
};
#[cfg(test)]
pub(crate) use sqlite::End;
pub use sqlite::{
    CATALOG_FILE, CATALOG_NAME, OpenOptions, SqliteCatalog, SqlitePointers, find_catalog_file,
};

/// What every catalog is made with.
#[derive(Debug, Clone)]
pub struct CatalogParts {
    /// The stores of the tables' files.
    pub storage: Storage,
    /// Where times and identifiers of changes come from.
    pub clock: Arc<dyn Clock>,
    /// How much table metadata stays in memory, in bytes of its JSON.
    pub metadata_bytes_max: u64,
}

impl CatalogParts {
    /// Parts with the default bound of the metadata cache.
    pub fn new(storage: Storage, clock: Arc<dyn Clock>) -> Self {
        Self {
            storage,
            clock,
            metadata_bytes_max: CacheSettings::default().metadata_bytes_max,
        }
    }
}

/// What a catalog knows of a table: its metadata file, read.
#[derive(Debug, Clone)]
pub struct TablePointer {
    /// Namespace and name, as stored.
    pub ident: TableIdent,
    /// The current metadata file.
    pub metadata_location: String,
    /// What the file says.
    pub metadata: Arc<TableMetadata>,
}

/// How a pointer swap ended.
#[must_use = "a commit that is not looked at may be lost or unknown"]
#[derive(Debug)]
pub enum CommitOutcome {
    /// The pointer was moved to this.
    Committed(TablePointer),
    /// The pointer was not moved, because a requirement does not hold or somebody else moved it.
    Conflicted(Error),
    /// It is not known whether the pointer was moved: nothing may be deleted, and nothing tried
    /// again before the table's history was read.
    Unknown {
        /// Why nobody knows.
        error: Error,
        /// The swap that was asked for, where the catalog swaps files that we wrote.
        swap: Option<AskedSwap>,
    },
}

/// The turn of one process to change a table, given back when it ends or is dropped.
///
/// It keeps processes from working on a base that others replace meanwhile; it is no lock, and
/// nothing is right or wrong by it.
#[derive(Default)]
pub struct Turn {
    held: Option<Box<dyn Send>>,
}

impl Turn {
    /// A turn that lasts as long as `held` lives.
    pub fn until_dropped(held: impl Send + 'static) -> Self {
        Self {
            held: Some(Box::new(held)),
        }
    }

    /// Gives the turn back, away from the threads that serve queries.
    ///
    /// # Errors
    /// When the runtime is going down; the turn is given back all the same.
    pub async fn end(self) -> Result<()> {
        match self.held {
            Some(held) => runtime::blocking(move || drop(held)).await,
            None => Ok(()),
        }
    }
}

impl Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// How a catalog keeps names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameCase {
    /// As they were written: names may differ in case alone.
    AsWritten,
    /// In lower case, whatever was written: a name in any case finds its table with one question.
    Lower,
}

/// Something in a namespace that has a table's name and is no Iceberg table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherTable {
    /// Its name.
    pub name: String,
    /// What it is, in words of its catalog: `hive table`, `view`.
    pub kind: String,
}

/// A catalog: names of tables, and a compare-and-swap of each table's metadata pointer.
///
/// Implemented once per kind of catalog; called by `commit`, which alone asks for a swap, and by
/// statements that look names up. Names are matched byte for byte here; matching without regard to
/// case is done above, on what the lists say.
#[async_trait]
pub trait Catalog: Debug + Send + Sync {
    /// The name under which statements address this catalog.
    fn name(&self) -> &str;

    /// The stores of the tables' files.
    fn storage(&self) -> &Storage;

    /// How names are kept. Where they are kept in lower case, lookups fold them and ask for the
    /// table at once, without any list.
    fn name_case(&self) -> NameCase {
        NameCase::AsWritten
    }

    /// Where names are looked for, in words, when it is a place that settings may have wrong.
    fn place(&self) -> Option<&str> {
        None
    }

    /// Every namespace, nested ones too, parents before children, in order of name.
    ///
    /// # Errors
    /// When the catalog does not answer.
    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>>;

    /// A namespace's properties.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such namespace.
    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<HashMap<String, String>>;

    /// Makes a namespace; the parents of a nested one must exist.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::AlreadyExists`], [`crate::error::ErrorKind::NotFound`] for a
    /// missing parent.
    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()>;

    /// Removes a namespace that holds neither tables nor namespaces.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`]; [`crate::error::ErrorKind::InvalidInput`] when it is
    /// not empty.
    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()>;

    /// The tables of a namespace, in order of name.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such namespace.
    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<TableIdent>>;

    /// What else has a table's name in a namespace, in order of name: it can be listed, not read.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such namespace.
    async fn list_other_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<OtherTable>> {
        let _ = namespace;
        Ok(Vec::new())
    }

    /// Whether a new table cannot have this name, because a table has it or something else.
    ///
    /// # Errors
    /// When the catalog does not answer.
    async fn is_taken(&self, ident: &TableIdent) -> Result<bool> {
        if self.list_tables(ident.namespace()).await?.contains(ident) {
            return Ok(true);
        }
        let others = self.list_other_tables(ident.namespace()).await?;
        Ok(others.iter().any(|other| other.name == ident.name()))
    }

    /// The current state of a table. Reads the pointer each time; a metadata file that was read
    /// before is not read again.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`]; [`crate::error::ErrorKind::Corrupt`] for a metadata
    /// file that cannot be read as one.
    async fn load_table(&self, ident: &TableIdent) -> Result<TablePointer>;

    /// The folder of a new table, one that no table had before.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`] when there is no such namespace.
    async fn new_table_location(&self, ident: &TableIdent) -> Result<String>;

    /// Writes the first metadata file of a table and names it.
    ///
    /// # Errors
    /// Before anything was named: [`crate::error::ErrorKind::AlreadyExists`],
    /// [`crate::error::ErrorKind::NotFound`] for a missing namespace.
    async fn create_table(
        &self,
        ident: &TableIdent,
        metadata: TableMetadata,
    ) -> Result<CommitOutcome>;

    /// Names an existing metadata file.
    ///
    /// # Errors
    /// As [`Self::create_table`]; also when the file is not a metadata file.
    async fn register_table(
        &self,
        ident: &TableIdent,
        metadata_location: &str,
    ) -> Result<TablePointer>;

    /// Whether [`Self::drop_table`] would find a name to remove: a table's, which need not be
    /// readable.
    ///
    /// # Errors
    /// As [`Self::drop_table`], but for a name that is nobody's.
    async fn is_droppable(&self, ident: &TableIdent) -> Result<bool> {
        Ok(self.list_tables(ident.namespace()).await?.contains(ident))
    }

    /// Removes a table's name; its files stay.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`].
    async fn drop_table(&self, ident: &TableIdent) -> Result<()>;

    /// As [`Self::drop_table`], by one who deletes the table's files next. The name goes only while
    /// it stands on the metadata file of `table`, in one step.
    ///
    /// # Errors
    /// Also [`crate::error::ErrorKind::Unsupported`] for a name whose files belong to another one,
    /// and [`crate::error::ErrorKind::Conflict`] when the name stands for something else by now.
    async fn drop_owned_table(&self, table: &TablePointer) -> Result<()>;

    /// Gives a table another name.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::NotFound`], [`crate::error::ErrorKind::AlreadyExists`].
    async fn rename_table(&self, from: &TableIdent, to: &TableIdent) -> Result<()>;

    /// Waits until it is this process's turn to change a table, in the order in which processes
    /// asked, where the catalog can tell. Taken by `commit` before it reads the table, and given
    /// back after the swap.
    ///
    /// # Errors
    /// When the runtime is going down. A catalog in which nobody can queue, or a wait that takes too
    /// long, gives a turn at once.
    async fn turn(&self, ident: &TableIdent) -> Result<Turn> {
        let _ = ident;
        Ok(Turn::default())
    }

    /// Checks `requirements` against the current metadata, applies `updates`, writes the new
    /// metadata file and moves the pointer, if nobody else moved it meanwhile.
    ///
    /// `base` is the state that the caller worked on: when it still is the current one, no
    /// metadata file is read.
    ///
    /// # Errors
    /// Failures before the swap was asked for; the pointer was then not moved.
    async fn commit(
        &self,
        base: &TablePointer,
        requirements: Vec<TableRequirement>,
        updates: Vec<TableUpdate>,
    ) -> Result<CommitOutcome>;
}
