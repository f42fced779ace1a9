//! Pointers as tables of a Glue data catalog.

use std::collections::HashMap;
use std::fmt;

use async_trait::async_trait;
use aws_sdk_glue::types::{Database, DatabaseInput, Table};
use lakehouse_core::catalog::{
    NameCase, NewPointer, OtherTable, PointerStore, StoredPointer, Swap, Turn, namespace_exists,
    namespace_not_empty, no_namespace, no_table,
};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};

use super::calls::{Calls, Place};
use super::{names, other, rename, table_input};
use crate::answer::{Effect, Failure};

/// How often a change whose answer was lost is looked for, and sent again when it was not made.
const SETTLE_ATTEMPTS_MAX: u32 = 4;
/// The property of a namespace that is the database's location.
const LOCATION: &str = "location";
/// The property of a namespace that is the database's description.
const COMMENT: &str = "comment";

/// The pointers of a [`super::GlueCatalog`].
#[derive(Debug)]
pub struct GluePointers {
    pub(super) calls: Calls,
    catalog_id: Option<String>,
    region: Option<String>,
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

    fn account(&self) -> Option<&str> {
        self.catalog_id.as_deref()
    }

    /// Where a name would be in this catalog; `None` for a name that Glue cannot have.
    pub(super) fn place(&self, ident: &TableIdent) -> Option<Place> {
        let (database, table) = names::table(ident)?;
        Some(Place {
            catalog_id: self.catalog_id.clone(),
            database,
            table,
        })
    }

    /// The Glue table of a name, of whatever kind, behind links of tables and databases.
    pub(super) async fn find(&self, ident: &TableIdent) -> Result<Option<SeenTable>> {
        match self.place(ident) {
            Some(place) => self.find_at(place).await,
            None => Ok(None),
        }
    }

    async fn find_at(&self, place: Place) -> Result<Option<SeenTable>> {
        let mut place = place;
        let mut found = self.asked(&place).await?;
        if found.is_none()
            && let Some(linked) = self.linked_database(&place).await?
        {
            place = linked;
            found = self.asked(&place).await?;
        }
        let Some(table) = found else {
            return Ok(None);
        };
        let Some(target) = table.target_table() else {
            return Ok(Some(SeenTable {
                table: Box::new(table),
                place,
            }));
        };
        self.check_region(&place.shown(), target.region())?;
        let aimed = Place {
            catalog_id: target.catalog_id().map(str::to_owned),
            database: target.database_name().unwrap_or_default().to_owned(),
            table: target.name().unwrap_or_default().to_owned(),
        };
        match self.asked(&aimed).await? {
            Some(table) => Ok(Some(SeenTable {
                table: Box::new(table),
                place: aimed,
            })),
            None => Err(Error::not_found(format!(
                "{} is a link to {}, which does not exist or is not shared with this identity",
                place.shown(),
                aimed.shown()
            ))),
        }
    }

    async fn asked(&self, place: &Place) -> Result<Option<Table>> {
        let found = self.calls.get_table(place).await;
        found.map_err(|failure| failure.error)
    }

    /// The same name in the database that a link stands for; `None` when it is no link.
    async fn linked_database(&self, place: &Place) -> Result<Option<Place>> {
        let account = place.catalog_id.as_deref();
        let found = self.calls.get_database(account, &place.database).await?;
        let Some((catalog_id, database)) = self.target(found.as_ref())? else {
            return Ok(None);
        };
        Ok(Some(Place {
            catalog_id,
            database,
            table: place.table.clone(),
        }))
    }

    /// Account and name of the database that a link stands for.
    fn target(&self, database: Option<&Database>) -> Result<Option<(Option<String>, String)>> {
        let Some(database) = database else {
            return Ok(None);
        };
        let Some(target) = database.target_database() else {
            return Ok(None);
        };
        let shown = format!("database {:?}", database.name());
        self.check_region(&shown, target.region())?;
        let name = target.database_name().unwrap_or_default().to_owned();
        Ok(Some((target.catalog_id().map(str::to_owned), name)))
    }

    fn check_region(&self, shown: &str, region: Option<&str>) -> Result<()> {
        match (region, self.region.as_deref()) {
            (Some(there), Some(here)) if there != here => Err(Error::unsupported(format!(
                "{shown} is a link to region {there}, and this catalog is in {here}; open a catalog \
                 with region = {there:?} for it"
            ))),
            _ => Ok(()),
        }
    }

    /// The database of a namespace, behind a link; `None` when there is none.
    async fn database(&self, namespace: &NamespaceIdent) -> Result<Option<FoundDatabase>> {
        let Some(name) = names::database(namespace) else {
            return Ok(None);
        };
        let found = self.calls.get_database(self.account(), &name).await?;
        let Some(database) = found else {
            return Ok(None);
        };
        let (catalog_id, name) = match self.target(Some(&database))? {
            Some(target) => target,
            None => (self.catalog_id.clone(), name),
        };
        Ok(Some(FoundDatabase {
            database,
            catalog_id,
            name,
        }))
    }

    async fn tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<Table>>> {
        let Some(found) = self.database(namespace).await? else {
            return Ok(None);
        };
        let account = found.catalog_id.as_deref();
        self.calls.get_tables(account, &found.name, false).await
    }

    /// What became of a swap whose answer was lost. The version makes it safe to ask for it again:
    /// of two requests from one version one is carried out at most.
    async fn settle(&self, asked: &AskedUpdate<'_>, lost: Failure) -> Result<Swap> {
        let mut lost = lost;
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            self.calls.pause(attempt).await;
            let now = match self.calls.get_table(&asked.seen.place).await {
                Ok(Some(now)) => now,
                Ok(None) | Err(_) => break,
            };
            if other::parameter(&now, other::METADATA_LOCATION) == Some(asked.location) {
                return Ok(Swap::Moved);
            }
            if now.version_id() != Some(asked.version) {
                // Somebody committed, on top of ours or instead of it: the history tells.
                break;
            }
            match self.update(asked).await {
                Ok(()) => return Ok(Swap::Moved),
                Err(failure) if failure.effect == Effect::None && !failure.is_stale() => {
                    lost = failure;
                    break;
                }
                Err(failure) => lost = failure,
            }
        }
        Ok(Swap::Unknown(lost.error))
    }

    /// A swap that was refused because the version has gone. Something between us and Glue may have
    /// sent it twice, and the refusal be that of the second: then the table stands on our file.
    async fn refused(&self, asked: &AskedUpdate<'_>, failure: Failure) -> Result<Swap> {
        match self.calls.get_table(&asked.seen.place).await {
            Ok(Some(now)) => Ok(made_by(&now, asked.location)),
            Ok(None) => Ok(Swap::Stale),
            Err(_) => Ok(Swap::Unknown(failure.error)),
        }
    }

    async fn update(&self, asked: &AskedUpdate<'_>) -> Result<(), Failure> {
        let (place, archive) = (&asked.seen.place, self.skip_archive);
        self.calls
            .update_table(place, &asked.input, asked.version, archive)
            .await
    }

    /// What became of a creation whose answer was lost, or that found the name taken: by itself,
    /// when an earlier attempt was carried out.
    pub(super) async fn settle_creation(
        &self,
        place: &Place,
        location: &str,
        input: &aws_sdk_glue::types::TableInput,
        lost: Failure,
    ) -> Result<Swap> {
        let mut lost = lost;
        for attempt in 1..=SETTLE_ATTEMPTS_MAX {
            self.calls.pause(attempt).await;
            match self.calls.get_table(place).await {
                Ok(Some(now)) => return Ok(made_by(&now, location)),
                Ok(None) => {}
                Err(failure) => return Ok(Swap::Unknown(failure.error)),
            }
            match self.calls.create_table(place, input).await {
                Ok(()) => return Ok(Swap::Moved),
                Err(failure) if failure.effect == Effect::Possible => lost = failure,
                Err(failure) if failure.is("AlreadyExistsException") => lost = failure,
                // The first request may still be carried out.
                Err(failure) => return Ok(Swap::Unknown(failure.error)),
            }
        }
        Ok(Swap::Unknown(lost.error))
    }
}

/// Whether a table that was found is the one that was to be made: nobody else knows the name of its
/// metadata file.
fn made_by(now: &Table, location: &str) -> Swap {
    match other::parameter(now, other::METADATA_LOCATION) == Some(location) {
        true => Swap::Moved,
        false => Swap::Stale,
    }
}

/// A database, and where its tables are.
struct FoundDatabase {
    database: Database,
    catalog_id: Option<String>,
    name: String,
}

/// An update that was asked for.
struct AskedUpdate<'a> {
    seen: &'a SeenTable,
    version: &'a str,
    input: aws_sdk_glue::types::TableInput,
    location: &'a str,
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
                 is missing, as after an update by a tool that knows nothing of Iceberg; register \
                 the table anew with its newest metadata file",
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
        let Some(place) = self.place(ident) else {
            return Ok(false);
        };
        Ok(self.asked(&place).await?.is_some())
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
            Err(failure) if failure.is("AlreadyExistsException") => Ok(Swap::Stale),
            Err(failure) if failure.is("EntityNotFoundException") => {
                Err(no_namespace(ident.namespace()))
            }
            Err(failure) if failure.effect == Effect::Possible => {
                self.settle_creation(&place, new.location, &input, failure)
                    .await
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

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        let place = self.place(ident).ok_or_else(|| no_table(ident))?;
        let found = self.asked(&place).await?.ok_or_else(|| no_table(ident))?;
        // A link is dropped as such: its target belongs to somebody else.
        let is_ours = other::is_iceberg(&found)
            || other::is_remainder(&found)
            || found.target_table().is_some();
        if !is_ours {
            return Err(other::refused(&found, &place.shown()));
        }
        match self.calls.delete_table(&place).await {
            Ok(()) => Ok(()),
            Err(failure) if failure.is("EntityNotFoundException") => Err(no_table(ident)),
            Err(failure) if failure.effect == Effect::Possible => {
                self.calls.pause(1).await;
                match self.calls.get_table(&place).await {
                    Ok(None) => Ok(()),
                    Ok(Some(_)) | Err(_) => Err(changed(failure)),
                }
            }
            Err(failure) => Err(failure.error),
        }
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
