//! Where a name leads: to a table or database of this catalog, or behind a link to another's.

use aws_sdk_glue::types::{Database, Table};
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::{NamespaceIdent, TableIdent};

use super::calls::Place;
use super::names;
use super::pointers::{GluePointers, SeenTable};

/// A database, and where its tables are.
pub(super) struct FoundDatabase {
    pub(super) database: Database,
    pub(super) catalog_id: Option<String>,
    pub(super) name: String,
}

impl GluePointers {
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
        let Some(SeenTable { table, place }) = self.entry(ident).await? else {
            return Ok(None);
        };
        let Some(target) = table.target_table() else {
            return Ok(Some(SeenTable { table, place }));
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
            None => Err(Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "{} is a link to {}, which does not exist or is not shared with this identity: \
                     have it shared, or drop the link",
                    place.shown(),
                    aimed.shown()
                ),
            )),
        }
    }

    /// The entry of a name, behind a link of its database; an entry that is a link itself as such.
    pub(super) async fn entry(&self, ident: &TableIdent) -> Result<Option<SeenTable>> {
        let Some(mut place) = self.place(ident) else {
            return Ok(None);
        };
        let mut found = self.asked(&place).await?;
        if found.is_none()
            && let Some(linked) = self.linked_database(&place).await?
        {
            place = linked;
            found = self.asked(&place).await?;
        }
        Ok(found.map(|table| SeenTable {
            table: Box::new(table),
            place,
        }))
    }

    pub(super) async fn asked(&self, place: &Place) -> Result<Option<Table>> {
        let found = self.calls.get_table(place).await;
        found.map_err(|failure| failure.error)
    }

    /// The same name in the database that a link stands for; `None` when it is no link.
    async fn linked_database(&self, place: &Place) -> Result<Option<Place>> {
        let account = place.catalog_id.as_deref();
        let found = match self.calls.get_database(account, &place.database).await {
            // Whoever may not look at the database has been told what counts: no such table.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                tracing::debug!(%error, "not looked at for a link");
                return Ok(None);
            }
            found => found?,
        };
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
    pub(super) async fn database(
        &self,
        namespace: &NamespaceIdent,
    ) -> Result<Option<FoundDatabase>> {
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

    pub(super) async fn tables(&self, namespace: &NamespaceIdent) -> Result<Option<Vec<Table>>> {
        let Some(found) = self.database(namespace).await? else {
            return Ok(None);
        };
        let account = found.catalog_id.as_deref();
        self.calls.get_tables(account, &found.name, false).await
    }
}
