//! A catalog that ends with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::pointer::{
    NewPointer, PointerCatalog, PointerStore, StoredPointer, Swap, namespace_exists,
    namespace_not_empty, no_longer_owned, no_namespace, no_table, table_exists,
};
use super::{CatalogParts, Turn};
use crate::error::Result;
use crate::name::{NamespaceIdent, TableIdent};

/// Where the tables of a memory catalog stand unless told otherwise.
pub const MEMORY_WAREHOUSE: &str = "memory:///";

/// A catalog whose names end with the process; its tables' files stand where the warehouse says.
///
/// ```
/// use std::sync::Arc;
/// use lakehouse_core::catalog::{Catalog, CatalogParts, MEMORY_WAREHOUSE, MemoryCatalog};
/// use lakehouse_core::clock::SystemClock;
/// use lakehouse_core::settings::Durability;
/// use lakehouse_core::storage::Storage;
///
/// let storage = Storage::new(&SystemClock, Durability::None)?;
/// let parts = CatalogParts::new(storage, Arc::new(SystemClock));
/// let catalog = MemoryCatalog::new("scratch", MEMORY_WAREHOUSE, parts);
/// assert_eq!(catalog.name(), "scratch");
/// # Ok::<(), lakehouse_core::error::Error>(())
/// ```
pub type MemoryCatalog = PointerCatalog<MemoryPointers>;

impl MemoryCatalog {
    /// An empty catalog that statements address as `name`; new tables go below `warehouse`.
    pub fn new(name: impl Into<String>, warehouse: impl Into<String>, parts: CatalogParts) -> Self {
        Self::over(MemoryPointers::default(), name, warehouse, parts)
    }
}

/// The pointers of a [`MemoryCatalog`].
#[derive(Debug, Default)]
pub struct MemoryPointers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Namespaces by their parts, so that parents come before their children.
    namespaces: BTreeMap<Vec<String>, Namespace>,
}

#[derive(Debug, Default)]
struct Namespace {
    properties: HashMap<String, String>,
    /// Metadata file by table name.
    tables: BTreeMap<String, String>,
}

impl MemoryPointers {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one insert or remove: a panic between leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn namespace(&self, namespace: &NamespaceIdent) -> Option<&Namespace> {
        self.namespaces.get(namespace.as_ref())
    }

    fn tables_mut(&mut self, namespace: &NamespaceIdent) -> Option<&mut BTreeMap<String, String>> {
        let found = self.namespaces.get_mut(namespace.as_ref())?;
        Some(&mut found.tables)
    }
}

#[async_trait]
impl PointerStore for MemoryPointers {
    type Token = ();

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        let state = self.state();
        let names = state.namespaces.keys();
        Ok(names
            .map(|parts| NamespaceIdent::from_vec(parts.clone()))
            .collect::<Result<_, _>>()?)
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<HashMap<String, String>>> {
        let state = self.state();
        Ok(state
            .namespace(namespace)
            .map(|found| found.properties.clone()))
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        let mut state = self.state();
        if state.namespace(namespace).is_some() {
            return Err(namespace_exists(namespace));
        }
        if let Some(parent) = namespace.parent()
            && state.namespace(&parent).is_none()
        {
            return Err(no_namespace(&parent));
        }
        let made = Namespace {
            properties,
            tables: BTreeMap::new(),
        };
        state.namespaces.insert(namespace.as_ref().clone(), made);
        Ok(())
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        let mut state = self.state();
        let found = state
            .namespace(namespace)
            .ok_or_else(|| no_namespace(namespace))?;
        if !found.tables.is_empty() {
            return Err(namespace_not_empty(namespace, "tables"));
        }
        let parts = namespace.as_ref();
        let has_children = state
            .namespaces
            .keys()
            .any(|other| other.len() > parts.len() && other.starts_with(parts));
        if has_children {
            return Err(namespace_not_empty(namespace, "namespaces"));
        }
        state.namespaces.remove(parts);
        Ok(())
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<String>>> {
        let state = self.state();
        Ok(state
            .namespace(namespace)
            .map(|found| found.tables.keys().cloned().collect()))
    }

    async fn get(&self, ident: &TableIdent) -> Result<Option<StoredPointer<()>>> {
        let state = self.state();
        let found = state.namespace(ident.namespace());
        let location = found.and_then(|found| found.tables.get(ident.name()).cloned());
        Ok(location.map(|location| StoredPointer {
            location,
            token: (),
        }))
    }

    async fn turn(&self, _ident: &TableIdent) -> Result<Turn> {
        // One process only, whose changes to one table wait in order above.
        Ok(Turn::default())
    }

    async fn insert(&self, ident: &TableIdent, new: NewPointer<'_>) -> Result<Swap> {
        let mut state = self.state();
        let tables = state
            .tables_mut(ident.namespace())
            .ok_or_else(|| no_namespace(ident.namespace()))?;
        if tables.contains_key(ident.name()) {
            return Ok(Swap::Stale);
        }
        tables.insert(ident.name().to_owned(), new.location.to_owned());
        Ok(Swap::Moved)
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        expected: &StoredPointer<()>,
        new: NewPointer<'_>,
    ) -> Result<Swap> {
        let mut state = self.state();
        let pointer = state
            .tables_mut(ident.namespace())
            .and_then(|tables| tables.get_mut(ident.name()));
        match pointer {
            Some(location) if *location == expected.location => {
                new.location.clone_into(location);
                Ok(Swap::Moved)
            }
            _ => Ok(Swap::Stale),
        }
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        let mut state = self.state();
        let removed = state
            .tables_mut(ident.namespace())
            .and_then(|tables| tables.remove(ident.name()));
        removed.map(|_| ()).ok_or_else(|| no_table(ident))
    }

    async fn remove_owned(&self, ident: &TableIdent, location: &str) -> Result<()> {
        let mut state = self.state();
        let tables = state
            .tables_mut(ident.namespace())
            .ok_or_else(|| no_table(ident))?;
        match tables.get(ident.name()) {
            None => Err(no_table(ident)),
            Some(now) if now != location => Err(no_longer_owned(ident)),
            Some(_) => {
                tables.remove(ident.name());
                Ok(())
            }
        }
    }

    async fn rename(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        let mut state = self.state();
        let location = state
            .namespace(from.namespace())
            .and_then(|found| found.tables.get(from.name()).cloned())
            .ok_or_else(|| no_table(from))?;
        let tables = state
            .tables_mut(to.namespace())
            .ok_or_else(|| no_namespace(to.namespace()))?;
        if tables.contains_key(to.name()) {
            return Err(table_exists(to));
        }
        tables.insert(to.name().to_owned(), location);
        if let Some(tables) = state.tables_mut(from.namespace()) {
            tables.remove(from.name());
        }
        Ok(())
    }
}
