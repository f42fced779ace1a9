//! A lake's catalogs as DataFusion sees them, for one session or one program's own context.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, MemTable, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use iceberg::NamespaceIdent;

use super::access::Access;
use crate::catalog::Catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::dotted;
use crate::name::{Name, TableIdent};

/// One catalog of a lake, in one context.
///
/// The engine asks for lists of names where it cannot wait, so they are kept here and renewed by
/// [`Self::refresh`]; tables themselves are loaded when they are named. Tables that a program
/// registers belong to its context alone and win over the lake's of the same name.
#[derive(Debug)]
pub struct LakeCatalog {
    access: Access,
    name: String,
    catalog: Arc<dyn Catalog>,
    names: Arc<RwLock<Names>>,
}

/// A table that belongs to one context alone, under the names it was registered with.
#[derive(Debug, Clone)]
pub struct LocalTable {
    /// The namespace, its parts joined by dots.
    pub namespace: String,
    /// The table's name.
    pub name: String,
    /// The table itself.
    pub provider: Arc<dyn TableProvider>,
}

/// Names as of the last refresh, and what the context alone knows.
#[derive(Debug, Default)]
struct Names {
    tables: BTreeMap<String, BTreeMap<String, TableIdent>>,
    local: BTreeMap<(String, String), Arc<dyn TableProvider>>,
}

impl LakeCatalog {
    /// The catalog of this name, with names still to be [refreshed](Self::refresh).
    ///
    /// # Errors
    /// When the lake has no such catalog.
    pub fn try_new(access: Access, name: &str) -> Result<Self> {
        let (name, catalog) = access.lake().catalog(&Name::quoted(name))?;
        let (name, catalog) = (name.to_owned(), Arc::clone(catalog));
        Ok(Self {
            access,
            name,
            catalog,
            names: Arc::default(),
        })
    }

    /// Reads the names of namespaces and tables again, for `information_schema` and lists.
    ///
    /// # Errors
    /// When the catalog does not answer; the old names then stay.
    pub async fn refresh(&self) -> Result<()> {
        let mut tables = BTreeMap::new();
        for namespace in self.catalog.list_namespaces().await? {
            let names = self.catalog.list_tables(&namespace).await?;
            let names = names
                .into_iter()
                .map(|ident| (ident.name().to_owned(), ident));
            tables.insert(dotted(&namespace), names.collect());
        }
        self.names
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .tables = tables;
        Ok(())
    }

    /// The context's own table of a name, matched without regard to case.
    ///
    /// # Errors
    /// Ambiguity of names that differ in case.
    pub fn local_table(&self, namespace: &str, name: &Name) -> Result<Option<LocalTable>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let here: Vec<_> = names
            .local
            .iter()
            .filter(|((schema, _), _)| schema.eq_ignore_ascii_case(namespace))
            .collect();
        let found = name.find(&here, |((_, table), _)| table)?;
        Ok(found.map(|((schema, table), provider)| LocalTable {
            namespace: schema.clone(),
            name: table.clone(),
            provider: Arc::clone(provider),
        }))
    }

    /// The names of the context's own tables in a namespace, matched without regard to case.
    pub fn local_names(&self, namespace: &str) -> Vec<String> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names
            .local
            .keys()
            .filter(|(schema, _)| schema.eq_ignore_ascii_case(namespace))
            .map(|(_, table)| table.clone())
            .collect()
    }

    /// Makes a table the context's own.
    pub fn register(&self, namespace: &str, name: &str, table: Arc<dyn TableProvider>) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names
            .local
            .insert((namespace.to_owned(), name.to_owned()), table);
    }

    fn schema_of(&self, namespace: &str) -> Arc<LakeSchema> {
        Arc::new(LakeSchema {
            access: self.access.clone(),
            catalog_name: self.name.clone(),
            namespace: namespace.to_owned(),
            names: Arc::clone(&self.names),
        })
    }
}

impl CatalogProvider for LakeCatalog {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema_names(&self) -> Vec<String> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let local = names.local.keys().map(|(schema, _)| schema.clone());
        names
            .tables
            .keys()
            .cloned()
            .chain(local)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        // Whether the namespace exists is known when a table of it is asked for.
        Some(self.schema_of(name))
    }
}

/// One namespace of a lake, in one context.
#[derive(Debug)]
struct LakeSchema {
    access: Access,
    catalog_name: String,
    namespace: String,
    names: Arc<RwLock<Names>>,
}

impl LakeSchema {
    fn local(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names
            .local
            .get(&(self.namespace.clone(), name.to_owned()))
            .map(Arc::clone)
    }
}

#[async_trait]
impl SchemaProvider for LakeSchema {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_names(&self) -> Vec<String> {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let stored = names
            .tables
            .get(&self.namespace)
            .into_iter()
            .flatten()
            .filter(|(_, ident)| self.access.may_list(&self.catalog_name, ident))
            .map(|(name, _)| name.clone());
        let local = names
            .local
            .keys()
            .filter(|(schema, _)| *schema == self.namespace);
        // One of the context's own may hide one of the lake's.
        stored
            .chain(local.map(|(_, table)| table.clone()))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    async fn table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        if let Some(local) = self.local(name) {
            return Ok(Some(local));
        }
        // The engine folds unquoted names to lower case itself; a mixed-case one was quoted.
        let name = if name.to_lowercase() == name {
            Name::new(name)
        } else {
            Name::quoted(name)
        };
        let parts = [
            Name::quoted(&self.catalog_name),
            Name::new(&self.namespace),
            name,
        ];
        let current = NamespaceIdent::new(self.namespace.clone());
        let lake = self.access.lake();
        match lake.find_table(&parts, &self.catalog_name, &current).await {
            Ok(found) => Ok(Some(self.access.open(found)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn register_table(
        &self,
        name: String,
        table: Arc<dyn TableProvider>,
    ) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        // `CREATE TABLE` and `CREATE VIEW` of the engine come here; their rows would be gone with
        // the process, though the name is one of the lake's.
        if table.as_any().is::<MemTable>() || table.as_any().is::<ViewTable>() {
            return Err(DataFusionError::from(Error::unsupported(format!(
                "table {name:?} would be in memory only, in a namespace of the lake; use \
                 `Session::sql` to create it in the lake, `Session::register_batches` for rows of a \
                 session alone, or a catalog of the context's own"
            ))));
        }
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        Ok(names.local.insert((self.namespace.clone(), name), table))
    }

    fn deregister_table(&self, name: &str) -> DataFusionResult<Option<Arc<dyn TableProvider>>> {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        match names
            .local
            .remove(&(self.namespace.clone(), name.to_owned()))
        {
            Some(table) => Ok(Some(table)),
            None => Err(DataFusionError::from(Error::unsupported(format!(
                "table {name:?} belongs to the lake and not to this context; \
                 use `Session::sql` to drop it"
            )))),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        // The engine asks before it registers or replaces one of the context's own, which must not
        // hide one of the lake's.
        let is_stored = {
            let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
            let stored = names.tables.get(&self.namespace);
            stored.is_some_and(|stored| stored.contains_key(name))
        };
        is_stored || self.local(name).is_some()
    }
}
