//! The statements on a catalog file's rows, each for one catalog of the file.

use std::collections::{BTreeSet, HashMap};

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::layout::Layout;

/// The row that PyIceberg writes for a namespace without properties of its own.
const EXISTS: (&str, &str) = ("exists", "true");

/// The rows of one catalog name in one file. Namespaces are their parts joined by dots.
pub(super) struct Rows<'a> {
    pub(super) connection: &'a Connection,
    pub(super) catalog: &'a str,
    pub(super) layout: Layout,
}

/// What a table's row says of its metadata file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// There is no such row.
    NoTable,
    /// The row names no file.
    Empty,
    /// The row names this file.
    File(String),
}

impl Rows<'_> {
    /// Every namespace that has properties or tables, parents that only follow from them included.
    pub(super) fn namespaces(&self) -> Result<BTreeSet<Vec<String>>> {
        let mut statement = self.connection.prepare(
            "SELECT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?1
             UNION SELECT table_namespace FROM iceberg_tables WHERE catalog_name = ?1",
        )?;
        let names = statement.query_map([self.catalog], |row| row.get::<_, String>(0))?;
        let mut found = BTreeSet::new();
        for name in names {
            let parts: Vec<String> = name?.split('.').map(str::to_owned).collect();
            // Rows with empty parts are not ours and cannot be addressed.
            if parts.iter().all(|part| !part.is_empty()) {
                found.extend((1..=parts.len()).map(|length| parts[..length].to_vec()));
            }
        }
        Ok(found)
    }

    /// Whether a namespace exists as PyIceberg sees it: it has a row, or one inside it has.
    pub(super) fn namespace_exists(&self, namespace: &str) -> Result<bool> {
        Ok(
            self.has_tables(namespace)? || self.has_children(namespace)? || {
                self.connection.query_row(
                    "SELECT EXISTS (SELECT 1 FROM iceberg_namespace_properties
                 WHERE catalog_name = ?1 AND namespace = ?2)",
                    params![self.catalog, namespace],
                    |row| row.get(0),
                )?
            },
        )
    }

    /// Whether a namespace holds tables, or views, which we do not show but must not lose.
    pub(super) fn has_tables(&self, namespace: &str) -> Result<bool> {
        self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM iceberg_tables
             WHERE catalog_name = ?1 AND table_namespace = ?2)",
            params![self.catalog, namespace],
            |row| row.get(0),
        )
    }

    /// Whether a namespace holds namespaces.
    pub(super) fn has_children(&self, namespace: &str) -> Result<bool> {
        // `substr` and not LIKE, which has wildcards and ignores case.
        self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM iceberg_namespace_properties
                 WHERE catalog_name = ?1 AND substr(namespace, 1, length(?2)) = ?2)
                 OR EXISTS (SELECT 1 FROM iceberg_tables
                 WHERE catalog_name = ?1 AND substr(table_namespace, 1, length(?2)) = ?2)",
            params![self.catalog, format!("{namespace}.")],
            |row| row.get(0),
        )
    }

    /// A namespace's properties, without the one that only says that it exists.
    pub(super) fn properties(&self, namespace: &str) -> Result<HashMap<String, String>> {
        let mut statement = self.connection.prepare(
            "SELECT property_key, property_value FROM iceberg_namespace_properties
             WHERE catalog_name = ?1 AND namespace = ?2",
        )?;
        let rows = statement.query_map(params![self.catalog, namespace], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut properties: HashMap<String, String> = rows.collect::<Result<_>>()?;
        if properties
            .get(EXISTS.0)
            .is_some_and(|value| value == EXISTS.1)
        {
            properties.remove(EXISTS.0);
        }
        Ok(properties)
    }

    /// Adds a namespace's rows.
    pub(super) fn insert_namespace(
        &self,
        namespace: &str,
        properties: &HashMap<String, String>,
    ) -> Result<()> {
        let mut statement = self.connection.prepare(
            "INSERT INTO iceberg_namespace_properties
             (catalog_name, namespace, property_key, property_value) VALUES (?1, ?2, ?3, ?4)",
        )?;
        // The marker stands beside other properties too, so that the namespace outlives them.
        let marker = (!properties.contains_key(EXISTS.0)).then_some(EXISTS);
        let given = properties
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in given.chain(marker) {
            statement.execute(params![self.catalog, namespace, key, value])?;
        }
        Ok(())
    }

    /// Removes a namespace's rows.
    pub(super) fn delete_namespace(&self, namespace: &str) -> Result<()> {
        self.connection.execute(
            "DELETE FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND namespace = ?2",
            params![self.catalog, namespace],
        )?;
        Ok(())
    }

    /// The names of a namespace's tables, in order.
    pub(super) fn tables(&self, namespace: &str) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT table_name FROM iceberg_tables
             WHERE catalog_name = ?1 AND table_namespace = ?2 AND {} ORDER BY table_name",
            self.layout.is_table()
        ))?;
        let names = statement.query_map(params![self.catalog, namespace], |row| row.get(0))?;
        names.collect()
    }

    /// Where a table stands.
    pub(super) fn location(&self, namespace: &str, table: &str) -> Result<Location> {
        let found = self
            .connection
            .query_row(
                &format!(
                    "SELECT metadata_location FROM iceberg_tables
                     WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
                    self.layout.is_table()
                ),
                params![self.catalog, namespace, table],
                |row| row.get::<_, Option<String>>(0),
            )
            .optional()?;
        Ok(match found {
            None => Location::NoTable,
            Some(None) => Location::Empty,
            Some(Some(location)) => Location::File(location),
        })
    }

    /// Whether a name is taken, by a table or by a view.
    pub(super) fn is_taken(&self, namespace: &str, table: &str) -> Result<bool> {
        self.connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM iceberg_tables
             WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3)",
            params![self.catalog, namespace, table],
            |row| row.get(0),
        )
    }

    /// Adds a table.
    pub(super) fn insert_table(&self, namespace: &str, table: &str, location: &str) -> Result<()> {
        let statement = match self.layout {
            Layout::Typed => {
                "INSERT INTO iceberg_tables
                 (catalog_name, table_namespace, table_name, metadata_location, iceberg_type)
                 VALUES (?1, ?2, ?3, ?4, 'TABLE')"
            }
            Layout::TablesOnly => {
                "INSERT INTO iceberg_tables
                 (catalog_name, table_namespace, table_name, metadata_location)
                 VALUES (?1, ?2, ?3, ?4)"
            }
        };
        self.connection
            .execute(statement, params![self.catalog, namespace, table, location])?;
        Ok(())
    }

    /// Moves a table from the `expected` file to the `new` one; false when it is not there.
    pub(super) fn swap(
        &self,
        namespace: &str,
        table: &str,
        expected: &str,
        new: &str,
    ) -> Result<bool> {
        let rows = self.connection.execute(
            &format!(
                "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4
                 WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3
                 AND metadata_location = ?4 AND {}",
                self.layout.is_table()
            ),
            params![self.catalog, namespace, table, expected, new],
        )?;
        Ok(rows == 1)
    }

    /// Removes a table; false when there is none.
    pub(super) fn delete_table(&self, namespace: &str, table: &str) -> Result<bool> {
        let rows = self.connection.execute(
            &format!(
                "DELETE FROM iceberg_tables
                 WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
                self.layout.is_table()
            ),
            params![self.catalog, namespace, table],
        )?;
        Ok(rows == 1)
    }

    /// Gives a table another name; false when there is none. The new name must be free.
    pub(super) fn rename(&self, from: (&str, &str), to: (&str, &str)) -> Result<bool> {
        let rows = self.connection.execute(
            &format!(
                "UPDATE iceberg_tables SET table_namespace = ?4, table_name = ?5
                 WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
                self.layout.is_table()
            ),
            params![self.catalog, from.0, from.1, to.0, to.1],
        )?;
        Ok(rows == 1)
    }

    /// The metadata files of all tables.
    pub(super) fn locations(&self) -> Result<Vec<String>> {
        let mut statement = self.connection.prepare(&format!(
            "SELECT metadata_location FROM iceberg_tables
             WHERE catalog_name = ?1 AND metadata_location IS NOT NULL AND {}",
            self.layout.is_table()
        ))?;
        let locations = statement.query_map([self.catalog], |row| row.get(0))?;
        locations.collect()
    }
}

/// The names of the catalogs that share a file.
pub(super) fn catalog_names(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT catalog_name FROM iceberg_tables
         UNION SELECT catalog_name FROM iceberg_namespace_properties ORDER BY 1",
    )?;
    let names = statement.query_map([], |row| row.get(0))?;
    names.collect()
}
