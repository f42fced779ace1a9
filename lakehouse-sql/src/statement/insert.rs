//! `INSERT INTO`.

use datafusion::sql::sqlparser::ast::{Insert, Statement as SqlStatement, TableObject};
use datafusion::sql::sqlparser::parser::Parser;
use lakehouse_core::error::Result;

use super::Statement;
use crate::parse::Cursor;

/// `INSERT INTO [TABLE] t [(columns)] query | VALUES …`.
pub(super) fn insert(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.peek_words(&["INSERT", "OVERWRITE"]) {
        return Err(cursor.unsupported("INSERT OVERWRITE is not offered yet"));
    }
    let place = cursor.location();
    let SqlStatement::Insert(insert) = cursor.run(Parser::parse_statement)? else {
        return Err(cursor.expected("INSERT"));
    };
    if let Some(clause) = refused_clause(&insert) {
        let message = format!("{clause} is not offered in INSERT");
        return Err(crate::parse::unsupported_at(place, message));
    }
    if insert.source.is_none() {
        return Err(cursor.expected("a query or VALUES"));
    }
    Ok(Statement::Insert(Box::new(insert)))
}

/// The first clause of an insert that is not offered. Every field is named, so that a clause which
/// a later sqlparser learns does not slip through.
fn refused_clause(insert: &Insert) -> Option<&'static str> {
    let Insert {
        insert_token: _,
        // A hint is a comment, which changes nothing.
        optimizer_hint: _,
        or,
        ignore,
        into: _,
        table,
        table_alias,
        columns: _,
        overwrite,
        source: _,
        assignments,
        partitioned,
        after_columns,
        has_table_keyword: _,
        on,
        returning,
        replace_into,
        priority,
        insert_alias,
        settings,
        format_clause,
    } = insert;
    [
        (*overwrite, "OVERWRITE"),
        (or.is_some(), "OR …"),
        (*ignore, "IGNORE"),
        (
            !matches!(table, TableObject::TableName(_)),
            "a table function as target",
        ),
        (table_alias.is_some(), "an alias of the target"),
        (!assignments.is_empty(), "SET"),
        (
            partitioned.is_some() || !after_columns.is_empty(),
            "PARTITION (…)",
        ),
        (on.is_some(), "ON CONFLICT"),
        (returning.is_some(), "RETURNING"),
        (*replace_into, "REPLACE"),
        (priority.is_some(), "a priority"),
        (insert_alias.is_some(), "an alias of the new row"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
    ]
    .into_iter()
    .find_map(|(present, clause)| present.then_some(clause))
}
