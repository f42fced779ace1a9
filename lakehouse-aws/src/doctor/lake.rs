//! Whether databases are listed, and a table of them is read.

use aws_sdk_glue::types::Table;
use lakehouse_core::catalog::Catalog;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::TableIdent;

use super::{Finding, Patient, Seen};
use crate::glue::{Place, is_iceberg};

/// Databases that are searched for a table.
const SEARCHED_MAX: usize = 20;

/// Lists databases, and looks for a table in them when none was named.
pub(super) async fn databases(patient: &Patient<'_>, seen: &mut Seen) -> Finding {
    let account = patient.settings.catalog_id.as_deref();
    let databases = match patient.calls.get_databases(account).await {
        Ok(databases) => databases,
        Err(error) => return Finding::Failed(needs(error, "glue:GetDatabases on the catalog")),
    };
    let count = databases.len();
    let listed = format!(
        "{count} {}",
        if count == 1 { "database" } else { "databases" }
    );
    if patient.examination.table.is_some() {
        return Finding::Passed(listed);
    }
    for database in databases.iter().take(SEARCHED_MAX) {
        let name = database.name();
        let tables = match patient.calls.get_tables(account, name, true).await {
            Ok(tables) => tables.unwrap_or_default(),
            Err(error) => {
                let right = format!("glue:GetTables on database {name:?} and its tables");
                return Finding::Failed(needs(error, &right));
            }
        };
        let found = tables.iter().find(|table| is_iceberg(table));
        if let Some(found) = found.and_then(|table| known(name, table).ok()) {
            seen.table = Some(found);
            break;
        }
    }
    match count {
        0 => Finding::Doubtful(
            "no database is to be seen: make one, check region and catalog_id, or ask for the right \
             to describe databases in Lake Formation, which hides what one may not see"
                .to_owned(),
        ),
        _ => Finding::Passed(listed),
    }
}

fn known(database: &str, table: &Table) -> Result<(TableIdent, bool)> {
    let ident = TableIdent::from_strs([database, table.name()]);
    let ident = ident.map_err(|error| Error::invalid(error.to_string()))?;
    Ok((ident, table.is_registered_with_lake_formation()))
}

/// Reads a table's entry in Glue and its metadata file.
pub(super) async fn table(patient: &Patient<'_>, seen: &mut Seen) -> Finding {
    if let Some(named) = &patient.examination.table {
        let place = Place {
            catalog_id: patient.settings.catalog_id.clone(),
            database: named.namespace().join(".").to_lowercase(),
            table: named.name().to_lowercase(),
        };
        // What is wrong with it, loading it tells.
        if let Ok(Some(table)) = patient.calls.get_table(&place).await {
            seen.table = Some((named.clone(), table.is_registered_with_lake_formation()));
        }
    }
    let found = seen.table.as_ref().map(|(ident, _)| ident);
    let Some(ident) = patient.examination.table.as_ref().or(found) else {
        return Finding::NotChecked(
            "Glue has listed no Iceberg table: name one to have it read".to_owned(),
        );
    };
    match patient.catalog.load_table(ident).await {
        Ok(pointer) => Finding::Passed(format!("{ident}: {} is read", pointer.metadata_location)),
        Err(error) => Finding::Failed(needs(
            error,
            &format!(
                "glue:GetTable on table {ident}, s3:GetObject on its files, and kms:Decrypt on the \
                 key they are encrypted with"
            ),
        )),
    }
}

/// A refusal with the right that is missing; other errors as they are.
pub(super) fn needs(error: Error, right: &str) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => Error::new(
            ErrorKind::PermissionDenied,
            format!("{error}; this step needs {right}"),
        ),
        _ => error,
    }
}
