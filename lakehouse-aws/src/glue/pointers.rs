//! Pointers as tables of a Glue data catalog.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use aws_sdk_glue::types::{Database, DatabaseInput, Table};
use lakehouse_core::catalog::{
    NameCase, NewPointer, OtherTable, PointerStore, StoredPointer, Swap, Turn, namespace_exists,
    namespace_not_empty, no_namespace,
};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};

use super::calls::{Calls, Place};
use super::settle::AskedUpdate;
use super::{names, other, rename, table_input};
use crate::answer::{Effect, Failure};

/// The property of a namespace that is the database's location.
const LOCATION: &str = "location";
/// The property of a namespace that is the database's description.
const COMMENT: &str = "comment";

/// The pointers of a [`super::GlueCatalog`].
#[derive(Debug)]
pub struct GluePointers {
    pub(super) calls: Calls,
    pub(super) catalog_id: Option<String>,
    pub(super) region: Option<String>,
    pub(super) skip_archive: bool,
}

/// The Glue table that an answer held, and where it really is when its name was a link.
#[derive(Clone)]
pub struct SeenTable {
    pub(super) table: Box<Table>,
    pub(super) place: Place,
}

impl fmt::Debug for SeenTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenTable")
            .field("place", &self.place)
            .field("version", &self.table.version_id())
            .finish_non_exhaustive()
    }
}

impl GluePointers {
    pub(super) fn new(
        calls: Calls,
        catalog_id: Option<String>,
        region: Option<String>,
        skip_archive: bool,
    ) -> Self {
        Self {
            calls,
            catalog_id,
            region,
            skip_archive,
        }
    }

    pub(super) fn account(&self) -> Option<&str> {
        self.catalog_id.as_deref()
    }
}

/// The error of a change: unknown when it may have been carried out all the same.
pub(super) fn changed(failure: Failure) -> Error {
    match failure.effect {
        Effect::None => failure.error,
        Effect::Possible => Error::new(
            ErrorKind::Unknown,
            "it is not known whether Glue carried out the change: look before it is tried again",
        )
        .with_source(failure.error),
    }
}

fn properties(database: &Database) -> HashMap<String, String> {
    let mut properties = database.parameters().cloned().unwrap_or_default();
    for (key, value) in [
        (LOCATION, database.location_uri()),
        (COMMENT, database.description()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            properties.insert(key.to_owned(), value.to_owned());
        }
    }
    properties
}

#[async_trait]
impl PointerStore for GluePointers {
    type Token = SeenTable;

    fn name_case(&self) -> NameCase {
        NameCase::Lower
    }

    fn place(&self) -> Option<&str> {
        Some(self.calls.place())
    }

    async fn list_namespaces(&self) -> Result<Vec<NamespaceIdent>> {
        let databases = self.calls.get_databases(self.account()).await?;
        let mut names: Vec<String> = databases.into_iter().map(|found| found.name).collect();
        names.sort_unstable();
        Ok(names.into_iter().map(NamespaceIdent::new).collect())
    }

    async fn namespace_properties(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<HashMap<String, String>>> {
        let found = self.database(namespace).await?;
        Ok(found.map(|found| properties(&found.database)))
    }

    async fn create_namespace(
        &self,
        namespace: &NamespaceIdent,
        properties: HashMap<String, String>,
    ) -> Result<()> {
        let name = names::new_database(namespace)?;
        let mut properties = properties;
        let input = DatabaseInput::builder()
            .name(&name)
            .set_location_uri(properties.remove(LOCATION))
            .set_description(properties.remove(COMMENT))
            .set_parameters(Some(properties))
            .build()
            .map_err(|error| Error::internal("a database has no name").with_source(error))?;
        match self.calls.create_database(self.account(), &input).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is("AlreadyExistsException") => {
                Err(namespace_exists(namespace))
            }
            Err(failure) => Err(changed(failure)),
        }
    }

    async fn drop_namespace(&self, namespace: &NamespaceIdent) -> Result<()> {
        let name = names::database(namespace).ok_or_else(|| no_namespace(namespace))?;
        let found = self.calls.get_database(self.account(), &name).await?;
        let found = found.ok_or_else(|| no_namespace(namespace))?;
        // Glue itself drops a database with its tables. What is behind a link stays.
        if found.target_database().is_none() {
            let held = self.calls.get_tables(self.account(), &name, true).await?;
            if held.is_some_and(|tables| !tables.is_empty()) {
                return Err(namespace_not_empty(namespace, "tables or views"));
            }
        }
        match self.calls.delete_database(self.account(), &name).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is("EntityNotFoundException") => Err(no_namespace(namespace)),
            Err(failure) => Err(changed(failure)),
        }
    }

    async fn list_tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<String>>> {
        let tables = self.tables(namespace).await?;
        Ok(tables.map(|tables| {
            // What a link stands for is known when it is followed.
            let ours = |table: &Table| other::is_iceberg(table) || table.target_table().is_some();
            let ours = tables.into_iter().filter(ours);
            let mut names: Vec<String> = ours.map(|table| table.name).collect();
            names.sort_unstable();
            names
        }))
    }

    async fn list_other_tables(&self, namespace: &NamespaceIdent) -> Result<Vec<OtherTable>> {
        let tables = self.tables(namespace).await?;
        let tables = tables.ok_or_else(|| no_namespace(namespace))?;
        let mut others: Vec<OtherTable> = tables
            .iter()
            .filter(|table| !other::is_iceberg(table) && table.target_table().is_none())
            .map(|table| OtherTable {
                name: table.name().to_owned(),
                kind: other::kind(table),
            })
            .collect();
        others.sort_by(|one, two| one.name.cmp(&two.name));
        Ok(others)
    }

    async fn get(&self, ident: &TableIdent) -> Result<Option<StoredPointer<SeenTable>>> {
        let Some(seen) = self.find(ident).await? else {
            return Ok(None);
        };
        if !other::is_iceberg(&seen.table) {
            return Err(other::refused(&seen.table, &seen.place.shown()));
        }
        let location = other::parameter(&seen.table, other::METADATA_LOCATION);
        let Some(location) = location.filter(|location| !location.is_empty()) else {
            return Err(Error::corrupt(format!(
                "{} says that it is an Iceberg table but names no metadata file: the parameter {} \
                 is missing, as after an update by a tool that knows nothing of Iceberg; drop it with \
                 DROP TABLE, without PURGE, and register its newest metadata file anew",
                seen.place.shown(),
                other::METADATA_LOCATION
            )));
        };
        Ok(Some(StoredPointer {
            location: location.to_owned(),
            token: seen,
        }))
    }

    async fn is_taken(&self, ident: &TableIdent) -> Result<bool> {
        Ok(self.entry(ident).await?.is_some())
    }

    fn check_new_name(&self, ident: &TableIdent) -> Result<()> {
        names::new_database(ident.namespace())?;
        names::check_new("table", ident.name())
    }

    async fn turn(&self, _ident: &TableIdent) -> Result<Turn> {
        Ok(Turn::default())
    }

    async fn insert(&self, ident: &TableIdent, new: NewPointer<'_>) -> Result<Swap> {
        self.check_new_name(ident)?;
        let found = self.database(ident.namespace()).await?;
        let found = found.ok_or_else(|| no_namespace(ident.namespace()))?;
        let place = Place {
            catalog_id: found.catalog_id,
            database: found.name,
            table: ident.name().to_owned(),
        };
        let input = table_input::created(ident.name(), new)?;
        match self.calls.create_table(&place, &input).await {
            Ok(()) => Ok(Swap::Moved),
            Err(failure) if failure.is("AlreadyExistsException") => {
                self.found_taken(&place, new.location, failure).await
            }
            Err(failure) if failure.is("EntityNotFoundException") => {
                Err(no_namespace(ident.namespace()))
            }
            Err(failure) if failure.effect == Effect::Possible => {
                // Nobody else knows the name of its metadata file.
                let mark = (other::METADATA_LOCATION, new.location);
                self.settle_creation(&place, mark, &input, failure).await
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn swap(
        &self,
        _ident: &TableIdent,
        expected: &StoredPointer<SeenTable>,
        new: NewPointer<'_>,
    ) -> Result<Swap> {
        let seen = &expected.token;
        let asked = AskedUpdate {
            seen,
            version: version(seen)?,
            input: table_input::moved(&seen.table, new)?,
            location: new.location,
        };
        match self.update(&asked).await {
            Ok(()) => Ok(Swap::Moved),
            Err(failure) if failure.is_stale() => self.refused(&asked, failure).await,
            Err(failure) if failure.is("EntityNotFoundException") => Ok(Swap::Stale),
            Err(failure) if failure.effect == Effect::Possible => {
                self.settle(&asked, failure).await
            }
            Err(failure) => Err(failure.error),
        }
    }

    async fn is_droppable(&self, ident: &TableIdent) -> Result<bool> {
        Ok(self.droppable(ident).await?.is_some())
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        self.drop_entry(ident).await
    }

    async fn remove_owned(&self, ident: &TableIdent, location: &str) -> Result<()> {
        self.drop_owned_entry(ident, location).await
    }

    async fn rename(&self, from: &TableIdent, to: &TableIdent) -> Result<()> {
        rename::rename(self, from, to).await
    }
}

/// The version that a change is made from.
///
/// # Errors
/// When Glue gave none: without it, somebody else's commit could be overwritten.
pub(super) fn version(seen: &SeenTable) -> Result<&str> {
    seen.table.version_id().ok_or_else(|| {
        Error::unsupported(format!(
            "Glue tells no version of {}, without which another engine's commit could be lost; \
             nothing was changed",
            seen.place.shown()
        ))
    })
}
