//! Pointers as rows of a catalog file, for many tasks and processes.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::connection::{Connections, Ended};
use super::layout::Layout;
use super::rows::{Location, Rows};
use crate::catalog::Turn;
use crate::catalog::pointer::{
    NewPointer, PointerStore, StoredPointer, Swap, namespace_exists, namespace_not_empty,
    no_longer_owned, no_namespace, no_table, table_exists,
};
use crate::error::{Error, Result};
use crate::name::{NamespaceIdent, TableIdent};
use crate::runtime;

/// The pointers of a [`super::SqliteCatalog`].
#[derive(Debug, Clone)]
pub struct SqlitePointers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connections: Connections,
    layout: Layout,
    catalog_name: String,
    /// The tasks of this process queue here in order of arrival, so that at most one of them asks
    /// for the file's lock.
    writer: Arc<Mutex<()>>,
}

impl SqlitePointers {
    pub(super) fn new(connections: Connections, layout: Layout, catalog_name: String) -> Self {
        Self {
            shared: Arc::new(Shared {
                connections,
                layout,
                catalog_name,
                writer: Arc::default(),
            }),
        }
    }

    /// Only before the catalog is shared.
    #[cfg(test)]
    pub(super) fn end_by(&mut self, end: super::End) {
        let shared = Arc::get_mut(&mut self.shared).expect("a catalog that was just opened");
        shared.connections.end_by(end);
    }

    pub(super) fn catalog_name(&self) -> &str {
        &self.shared.catalog_name
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl Fn(&Rows<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        runtime::blocking(move || shared.read(query)).await?
    }

    /// Runs `work` in a transaction. The work goes on to its end when nobody waits any longer.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> rusqlite::Result<Result<T>> + Send + 'static,
    ) -> Result<Ended<T>> {
        let turn = Arc::clone(&self.shared.writer).lock_owned().await;
        let shared = Arc::clone(&self.shared);
        runtime::blocking(move || {
            let _turn = turn;
            shared
                .connections
                .with(|session| session.write(|connection| work(&shared.rows(connection))))
        })
        .await?
    }
}

impl Shared {
    fn rows<'a>(&'a self, connection: &'a rusqlite::Connection) -> Rows<'a> {
        Rows {
            connection,
            catalog: &self.catalog_name,
            layout: self.layout,
        }
    }

    fn read<T>(&self, query: impl Fn(&Rows<'_>) -> rusqlite::Result<T>) -> Result<T> {
        self.connections
            .with(|session| session.read(|connection| query(&self.rows(connection))))
    }
}

/// A namespace as the file holds it.
///
/// # Errors
/// When a part holds a dot: it would come back as two parts.
fn joined(namespace: &NamespaceIdent) -> Result<String> {
    if let Some(part) = namespace.iter().find(|part| part.contains('.')) {
        return Err(Error::invalid(format!(
            "namespace {part:?} holds a dot, which a SQLite catalog cannot keep: its layout joins \
             nested namespaces by dots"
        )));
    }
    Ok(namespace.join("."))
}

/// As [`joined`] for a lookup: what cannot be kept does not exist.
fn lookup(namespace: &NamespaceIdent) -> Option<String> {
    joined(namespace).ok()
}

#[async_trait]
impl PointerStore for SqlitePointers {
    type Token = ();

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        let found = self.read(|rows| rows.namespaces()).await?;
        Ok(found
            .into_iter()
            .map(NamespaceIdent::from_vec)
            .collect::<Result<_, _>>()?)
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<HashMap<String, String>>> {
        let Some(name) = lookup(namespace) else {
            return Ok(None);
        };
        self.read(move |rows| {
            Ok(if rows.namespace_exists(&name)? {
                Some(rows.properties(&name)?)
            } else {
                None
            })
        })
        .await
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        let name = joined(namespace)?;
        let namespace = namespace.clone();
        self.write(move |rows| {
            if rows.namespace_exists(&name)? {
                return Ok(Err(namespace_exists(&namespace)));
            }
            if let Some(parent) = namespace.parent()
                && !rows.namespace_exists(&parent.join("."))?
            {
                return Ok(Err(no_namespace(&parent)));
            }
            rows.insert_namespace(&name, &properties).map(Ok)
        })
        .await?
        .known()
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        let name = lookup(namespace).ok_or_else(|| no_namespace(namespace))?;
        let namespace = namespace.clone();
        self.write(move |rows| {
            if !rows.namespace_exists(&name)? {
                return Ok(Err(no_namespace(&namespace)));
            }
            if rows.has_tables(&name)? {
                return Ok(Err(namespace_not_empty(&namespace, "tables or views")));
            }
            if rows.has_children(&name)? {
                return Ok(Err(namespace_not_empty(&namespace, "namespaces")));
            }
            rows.delete_namespace(&name).map(Ok)
        })
        .await?
        .known()
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<String>>> {
        let Some(name) = lookup(namespace) else {
            return Ok(None);
        };
        self.read(move |rows| {
            Ok(if rows.namespace_exists(&name)? {
                Some(rows.tables(&name)?)
            } else {
                None
            })
        })
        .await
    }

    async fn get(&self, ident: &TableIdent) -> Result<Option<StoredPointer<()>>> {
        let Some(namespace) = lookup(ident.namespace()) else {
            return Ok(None);
        };
        let table = ident.name().to_owned();
        let location = self
            .read(move |rows| rows.location(&namespace, &table))
            .await?;
        match location {
            Location::NoTable => Ok(None),
            Location::File(location) => Ok(Some(StoredPointer {
                location,
                token: (),
            })),
            Location::Empty => Err(Error::corrupt(
                "the catalog names no metadata file for the table; register it anew",
            )
            .with_context("table", ident)
            .with_context("file", self.shared.connections.access().path.display())),
        }
    }

    async fn turn(&self, ident: &TableIdent) -> Result<Turn> {
        let Some(namespace) = lookup(ident.namespace()) else {
            return Ok(Turn::default());
        };
        let access = self.shared.connections.access();
        let queue = access.table_queue(&namespace, ident.name());
        let turn = runtime::blocking(move || queue.enter()).await?;
        Ok(Turn::until_dropped(turn))
    }

    async fn insert(&self, ident: &TableIdent, new: NewPointer<'_>) -> Result<Swap> {
        let namespace = joined(ident.namespace())?;
        let (wanted, location) = (ident.clone(), new.location.to_owned());
        let ended = self
            .write(move |rows| {
                if !rows.namespace_exists(&namespace)? {
                    return Ok(Err(no_namespace(wanted.namespace())));
                }
                if rows.is_taken(&namespace, wanted.name())? {
                    return Ok(Ok(false));
                }
                rows.insert_table(&namespace, wanted.name(), &location)?;
                Ok(Ok(true))
            })
            .await?;
        self.settle(ident, new.location, ended).await
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        expected: &StoredPointer<()>,
        new: NewPointer<'_>,
    ) -> Result<Swap> {
        let Some(namespace) = lookup(ident.namespace()) else {
            return Ok(Swap::Stale);
        };
        let table = ident.name().to_owned();
        let (from, to) = (expected.location.clone(), new.location.to_owned());
        let ended = self
            .write(move |rows| rows.swap(&namespace, &table, &from, &to).map(Ok))
            .await?;
        self.settle(ident, new.location, ended).await
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        let namespace = lookup(ident.namespace()).ok_or_else(|| no_table(ident))?;
        let ident = ident.clone();
        self.write(move |rows| {
            let removed = rows.delete_table(&namespace, ident.name())?;
            Ok(if removed {
                Ok(())
            } else {
                Err(no_table(&ident))
            })
        })
        .await?
        .known()
    }

    async fn remove_owned(&self, ident: &TableIdent, location: &str) -> Result<()> {
        let namespace = lookup(ident.namespace()).ok_or_else(|| no_table(ident))?;
        let (ident, expected) = (ident.clone(), Location::File(location.to_owned()));
        self.write(move |rows| {
            let found = rows.location(&namespace, ident.name())?;
            if found == Location::NoTable {
                return Ok(Err(no_table(&ident)));
            }
            if found != expected {
                return Ok(Err(no_longer_owned(&ident)));
            }
            rows.delete_table(&namespace, ident.name()).map(|_| Ok(()))
        })
        .await?
        .known()
    }

    async fn rename(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        let from_namespace = lookup(from.namespace()).ok_or_else(|| no_table(from))?;
        let to_namespace = joined(to.namespace())?;
        let (from, to) = (from.clone(), to.clone());
        self.write(move |rows| {
            let source = (from_namespace.as_str(), from.name());
            let target = (to_namespace.as_str(), to.name());
            if rows.location(source.0, source.1)? == Location::NoTable {
                return Ok(Err(no_table(&from)));
            }
            if !rows.namespace_exists(target.0)? {
                return Ok(Err(no_namespace(to.namespace())));
            }
            if rows.is_taken(target.0, target.1)? {
                return Ok(Err(table_exists(&to)));
            }
            rows.rename(source, target).map(|_| Ok(()))
        })
        .await?
        .known()
    }
}

impl SqlitePointers {
    /// The outcome of moving a pointer to `new`. Where the end of the transaction failed, a reader
    /// that finds the pointer there knows more: SQLite has undone or kept the change by then.
    async fn settle(&self, ident: &TableIdent, new: &str, ended: Ended<bool>) -> Result<Swap> {
        match ended {
            Ended::Committed(true) => Ok(Swap::Moved),
            Ended::Committed(false) => Ok(Swap::Stale),
            Ended::Unknown(error) => match self.get(ident).await {
                Ok(Some(found)) if found.location == new => Ok(Swap::Moved),
                _ => Ok(Swap::Unknown(error)),
            },
        }
    }
}
