//! `INSERT INTO` and `INSERT OVERWRITE`.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Insert, Statement as SqlStatement, TableObject,
};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::Result;

use super::{CopiedFile, Statement, WriteOptions, write_option};
use crate::parse::{Cursor, invalid_at, unsupported_at, word_token};

/// `INSERT INTO | OVERWRITE [TABLE] t [WITH (options)] [PARTITION (…)] [BY NAME | (columns)] query`.
#[derive(Debug, Clone)]
pub struct InsertRows {
    /// The target, its columns and the source; no other clause is set.
    pub insert: Insert,
    /// Whether rows of the target are replaced.
    pub overwrite: bool,
    /// `PARTITION (c = v, d)`: partition columns, with the value that all new rows get where one is
    /// given.
    pub partition: Vec<(Ident, Option<Expr>)>,
    /// `BY NAME`: the source's columns go to those of the same name.
    pub by_name: bool,
    /// How it is written.
    pub options: WriteOptions,
    /// The file that the rows come from: `COPY … FROM`, which is such an insert.
    pub file: Option<CopiedFile>,
}

/// The clauses of an insert that sqlparser does not know, or reads otherwise.
#[derive(Default)]
struct Head {
    overwrite: bool,
    partition: Vec<(Ident, Option<Expr>)>,
    by_name: bool,
    options: WriteOptions,
}

/// `INSERT INTO [TABLE] t [(columns)] query | VALUES …`.
pub(super) fn insert(cursor: &mut Cursor) -> Result<Statement> {
    let place = cursor.location();
    let head = head(cursor)?;
    let SqlStatement::Insert(insert) = cursor.run(Parser::parse_statement)? else {
        return Err(cursor.expected("INSERT"));
    };
    if let Some(clause) = refused_clause(&insert) {
        let message = format!("{clause} is not offered in INSERT");
        return Err(unsupported_at(place, message));
    }
    if insert.source.is_none() {
        return Err(cursor.expected("a query or VALUES"));
    }
    if head.by_name && !insert.columns.is_empty() {
        return Err(invalid_at(
            place,
            "BY NAME and a list of columns exclude each other",
        ));
    }
    Ok(Statement::Insert(Box::new(InsertRows {
        insert,
        overwrite: head.overwrite,
        partition: head.partition,
        by_name: head.by_name,
        options: head.options,
        file: None,
    })))
}

/// Reads the clauses of ours, and sets the cursor before the statement without them.
fn head(cursor: &mut Cursor) -> Result<Head> {
    let mut head = Head::default();
    let start = cursor.position();
    cursor.expect(&["INSERT"])?;
    match cursor.accept_one(&["INTO", "OVERWRITE"]) {
        Some("OVERWRITE") => head.overwrite = true,
        Some(_) => {}
        // Spellings of other systems, which sqlparser reads and we refuse by their words.
        None => {
            cursor.go_back_to(start);
            return Ok(head);
        }
    }
    if head.overwrite && (cursor.peek_words(&["DIRECTORY"]) || cursor.peek_words(&["LOCAL"])) {
        return Err(cursor.unsupported("INSERT OVERWRITE DIRECTORY is not offered: see COPY … TO"));
    }
    let verb = cursor.position() - 1;
    // The table may be called `table`.
    if cursor.peek_words(&["TABLE"]) && matches!(cursor.peek_nth(1), Token::Word(_)) {
        cursor.advance();
    }
    if !matches!(cursor.peek(), Token::Word(_)) || cursor.peek_words(&["FUNCTION"]) {
        cursor.go_back_to(start);
        return Ok(head);
    }
    cursor.name("the name of a table")?;
    let clauses = cursor.position();
    write_option::accept(cursor, &mut head.options)?;
    if cursor.accept(&["PARTITION"]) {
        head.partition = partition(cursor)?;
        if cursor.peek_words(&["IF"]) {
            return Err(cursor.unsupported("IF NOT EXISTS is not offered in INSERT"));
        }
    }
    if cursor.peek_words(&["BY", "NAME"]) {
        cursor.accept(&["BY", "NAME"]);
        head.by_name = true;
    }
    let rest = cursor.position();
    let mut tokens = cursor.tokens().to_vec();
    tokens.pop();
    let span = tokens[verb].span;
    tokens[verb] = word_token("INTO", Keyword::INTO, span);
    tokens.drain(clauses..rest);
    tokens.drain(..start);
    cursor.restart(tokens);
    Ok(head)
}

/// `(c = v, d)`.
fn partition(cursor: &mut Cursor) -> Result<Vec<(Ident, Option<Expr>)>> {
    let mut columns: Vec<(Ident, Option<Expr>)> = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    loop {
        let place: Location = cursor.location();
        let column = cursor.identifier("a partition column")?;
        if columns.iter().any(|(known, _)| *known == column) {
            return Err(invalid_at(
                place,
                format!("partition column {column} is named twice"),
            ));
        }
        let value = match cursor.accept_token(&Token::Eq) {
            true => Some(cursor.expression()?),
            false => None,
        };
        columns.push((column, value));
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(columns)
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
