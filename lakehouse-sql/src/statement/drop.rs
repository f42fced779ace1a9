//! `DROP TABLE` and `DROP NAMESPACE`.

use datafusion::sql::sqlparser::ast::Ident;
use lakehouse_core::error::Result;

use super::{Statement, if_exists};
use crate::parse::Cursor;

/// `DROP TABLE`.
#[derive(Debug, Clone)]
pub struct DropTable {
    /// At least one.
    pub names: Vec<Vec<Ident>>,
    /// No error for a table that does not exist.
    pub if_exists: bool,
    /// Delete the files too, not only the entry in the catalog.
    pub purge: bool,
}

/// `DROP SCHEMA`, `DROP DATABASE` or `DROP NAMESPACE`.
#[derive(Debug, Clone)]
pub struct DropNamespace {
    /// At least one.
    pub names: Vec<Vec<Ident>>,
    /// No error for a namespace that does not exist.
    pub if_exists: bool,
    /// Drop the tables inside too; otherwise only an empty namespace can be dropped.
    pub cascade: bool,
}

/// `DROP`.
pub(super) fn drop(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["DROP"])?;
    if cursor.accept(&["TABLE"]) {
        let if_exists = if_exists(cursor)?;
        let names = cursor.names("the name of a table")?;
        let purge = cursor.accept(&["PURGE"]);
        if cursor.peek_words(&["CASCADE"]) {
            return Err(cursor.unsupported("DROP TABLE … CASCADE is not offered"));
        }
        cursor.accept(&["RESTRICT"]);
        return Ok(Statement::DropTable(DropTable {
            names,
            if_exists,
            purge,
        }));
    }
    if cursor
        .accept_one(&["SCHEMA", "DATABASE", "NAMESPACE"])
        .is_some()
    {
        let if_exists = if_exists(cursor)?;
        let names = cursor.names("the name of a namespace")?;
        let cascade = cursor.accept_one(&["CASCADE", "RESTRICT"]) == Some("CASCADE");
        return Ok(Statement::DropNamespace(DropNamespace {
            names,
            if_exists,
            cascade,
        }));
    }
    match cursor.peek_upper() {
        Some(word) => Err(cursor.unsupported(&format!(
            "DROP {word} is not offered: expected TABLE or NAMESPACE (SCHEMA, DATABASE)"
        ))),
        None => Err(cursor.expected("TABLE or NAMESPACE (SCHEMA, DATABASE)")),
    }
}
