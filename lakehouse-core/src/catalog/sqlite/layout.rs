//! The tables of a catalog file, as PyIceberg's `SqlCatalog` lays them out.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use rusqlite::Connection;

use super::connection::{self, Access, Session};
use super::rows::Rows;
use crate::error::{Error, Result};

/// The tables as PyIceberg 0.12 makes them, statement for statement.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS iceberg_tables (
	catalog_name VARCHAR(255) NOT NULL, 
	table_namespace VARCHAR(255) NOT NULL, 
	table_name VARCHAR(255) NOT NULL, 
	metadata_location VARCHAR(1000), 
	previous_metadata_location VARCHAR(1000), 
	iceberg_type VARCHAR(5), 
	PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
	catalog_name VARCHAR(255) NOT NULL, 
	namespace VARCHAR(255) NOT NULL, 
	property_key VARCHAR(255) NOT NULL, 
	property_value VARCHAR(1000) NOT NULL, 
	PRIMARY KEY (catalog_name, namespace, property_key)
);";

/// What an empty file is told by.
const EMPTY: &str = "the catalog file is empty: the making of the lake was interrupted, or the \
     file has lost what it held; if the lake never had a table, open it with `create` (--create), \
     which makes it to its end where nothing else stands in its folder; else restore the file from \
     a backup";

const TABLES: [&str; 5] = [
    "catalog_name",
    "table_namespace",
    "table_name",
    "metadata_location",
    "previous_metadata_location",
];
const PROPERTIES: [&str; 4] = [
    "catalog_name",
    "namespace",
    "property_key",
    "property_value",
];

/// Which of the two layouts a file has. It is read and written as it is, never altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Without `iceberg_type`: every row is a table (PyIceberg before 0.12).
    TablesOnly,
    /// With `iceberg_type`: rows of type `TABLE`, or none, are tables; others are views.
    Typed,
}

impl Layout {
    /// The layout of an open file.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::InvalidInput`] when the file holds no catalog, or tables of the
    /// same names in another form.
    pub(super) fn of(session: &Session<'_>, path: &Path) -> Result<Self> {
        let tables = session.read(|connection| columns(connection, "iceberg_tables"))?;
        if tables.is_empty() {
            let message = match session.read(has_tables)? {
                true => {
                    "the SQLite file holds no Iceberg catalog: it has no table \"iceberg_tables\""
                }
                false => EMPTY,
            };
            return Err(Error::invalid(message).with_context("file", path.display()));
        }
        let properties =
            session.read(|connection| columns(connection, "iceberg_namespace_properties"))?;
        for (table, found, expected) in [
            ("iceberg_tables", &tables, TABLES.as_slice()),
            (
                "iceberg_namespace_properties",
                &properties,
                PROPERTIES.as_slice(),
            ),
        ] {
            if let Some(missing) = expected.iter().find(|name| !found.contains(**name)) {
                return Err(Error::invalid(format!(
                    "the SQLite file is no catalog in PyIceberg's layout: table {table:?} has no \
                     column {missing:?}"
                ))
                .with_context("file", path.display()));
            }
        }
        Ok(if tables.contains("iceberg_type") {
            Self::Typed
        } else {
            Self::TablesOnly
        })
    }

    /// The condition that a row of `iceberg_tables` is a table.
    pub(super) const fn is_table(self) -> &'static str {
        match self {
            Self::TablesOnly => "TRUE",
            Self::Typed => "(iceberg_type IS NULL OR iceberg_type = 'TABLE')",
        }
    }
}

/// The columns of a table, none when there is no such table.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT lower(name) FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get(0))?;
    names.collect()
}

/// Makes the tables in a new or empty file, with a namespace of `catalog` in the same transaction;
/// a file that has them, or others, is left as it is.
pub(super) fn create(access: &Access, catalog: &str, first_namespace: Option<&str>) -> Result<()> {
    let connection = connection::open_or_create(access)?;
    let session = Session::over(&connection, access);
    // A peek first: opening an existing catalog must not need the right to write.
    if session.read(has_tables)? {
        return Ok(());
    }
    let made = session.write(|connection| {
        if !has_tables(connection)? {
            connection.execute_batch(CREATE)?;
            if let Some(namespace) = first_namespace {
                let rows = Rows {
                    connection,
                    catalog,
                    layout: Layout::Typed,
                };
                rows.insert_namespace(namespace, &HashMap::new())?;
            }
        }
        Ok(Ok(()))
    })?;
    made.known()
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_master)", [], |row| {
        row.get(0)
    })
}

/// Whether a file is a SQLite file with a table named as a catalog's.
///
/// Asked through SQLite: opening the file ourselves would drop the locks of this process on it.
pub(super) fn is_catalog_file(access: &Access) -> bool {
    let asked = connection::open(access).and_then(|connection| {
        Session::over(&connection, access).read(|connection| columns(connection, "iceberg_tables"))
    });
    asked.is_ok_and(|columns| !columns.is_empty())
}
