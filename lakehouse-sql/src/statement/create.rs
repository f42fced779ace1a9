//! `CREATE`: the choice among its forms, and `CREATE TABLE` as Spark, Athena and Trino write it.

mod options;

use datafusion::sql::sqlparser::ast::{DataType, Expr, Ident, Query};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use lakehouse_core::error::{Error, Result};

use super::data_type::data_type;
use super::partition::{self, PartitionTerm};
use super::{Statement, if_not_exists, namespace, properties};
use crate::parse::{Cursor, invalid_at};

/// `CREATE TABLE`, with or without a query. What Trino says in `WITH (…)` stands where Spark's
/// clauses put it.
#[derive(Debug, Clone)]
pub struct CreateTable {
    /// The name's parts; the first may be a catalog.
    pub name: Vec<Ident>,
    /// What a table that exists already means.
    pub mode: CreateMode,
    /// The columns; empty means those of the query. With a query, a column may have
    /// `DataType::Unspecified`: only its name is given.
    pub columns: Vec<ColumnDefinition>,
    /// How rows are divided into partitions; empty means not at all.
    pub partitioned_by: Vec<PartitionTerm>,
    /// Table properties in the order written, under Iceberg's keys; no key twice.
    pub properties: Vec<(String, String)>,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
    /// Where the table's files go; the catalog chooses if not given.
    pub location: Option<String>,
    /// `AS query`: the first rows.
    pub query: Option<Box<Query>>,
}

/// What a table that exists already means to `CREATE TABLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    /// An error: `CREATE TABLE`.
    New,
    /// There is nothing to do: `CREATE TABLE IF NOT EXISTS`.
    NewOrNothing,
    /// Its definition and rows are replaced: `CREATE OR REPLACE TABLE`.
    NewOrReplace,
    /// As before, and it is an error when there is none: `REPLACE TABLE`.
    Replace,
}

/// One column of a new table.
#[derive(Debug, Clone)]
pub struct ColumnDefinition {
    /// Its name, as typed.
    pub name: Ident,
    /// Its type, as typed; nested types are normalised (arrays are `Array(AngleBracket)` or
    /// `Array(SquareBracket)`, maps `Map`, structs `Struct` with named fields).
    pub data_type: DataType,
    /// Whether it may hold nulls.
    pub nullable: bool,
    /// `COMMENT '…'`.
    pub comment: Option<String>,
    /// `DEFAULT expression`.
    pub default: Option<Expr>,
}

/// `CREATE`.
pub(super) fn create(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.peek_words(&["CREATE", "EXTERNAL", "TABLE"])
        || cursor.peek_words(&["CREATE", "UNBOUNDED", "EXTERNAL", "TABLE"])
        || cursor.peek_words(&["CREATE", "OR", "REPLACE", "EXTERNAL", "TABLE"])
    {
        return Ok(Statement::DataFusion(Box::new(cursor.run_datafusion()?)));
    }
    cursor.expect(&["CREATE"])?;
    if cursor.accept(&["OR", "REPLACE", "TABLE"]) {
        return create_table(cursor, CreateMode::NewOrReplace);
    }
    if cursor.peek_words(&["OR", "REPLACE"]) {
        return Err(cursor.unsupported("CREATE OR REPLACE is offered for TABLE only"));
    }
    if cursor.accept(&["TABLE"]) {
        return create_table(cursor, CreateMode::New);
    }
    if cursor
        .accept_one(&["SCHEMA", "DATABASE", "NAMESPACE"])
        .is_some()
    {
        return namespace::create_namespace(cursor);
    }
    match cursor.peek_upper() {
        Some(word) => Err(cursor.unsupported(&format!(
            "CREATE {word} is not offered: expected TABLE, EXTERNAL TABLE or NAMESPACE (SCHEMA, \
             DATABASE)"
        ))),
        None => Err(cursor.expected("TABLE or NAMESPACE (SCHEMA, DATABASE)")),
    }
}

/// `REPLACE TABLE`.
pub(super) fn replace(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["REPLACE", "TABLE"])?;
    create_table(cursor, CreateMode::Replace)
}

fn create_table(cursor: &mut Cursor, mut mode: CreateMode) -> Result<Statement> {
    let place = cursor.location();
    if if_not_exists(cursor)? {
        if mode != CreateMode::New {
            return Err(invalid_at(
                place,
                "IF NOT EXISTS and REPLACE exclude each other",
            ));
        }
        mode = CreateMode::NewOrNothing;
    }
    let name = cursor.name("the name of a table")?;
    let columns = if *cursor.peek() == Token::LParen {
        columns(cursor)?
    } else {
        Vec::new()
    };
    let mut table = CreateTable {
        name,
        mode,
        columns,
        partitioned_by: Vec::new(),
        properties: Vec::new(),
        comment: None,
        location: None,
        query: None,
    };
    while !cursor.at_end() && !cursor.peek_words(&["AS"]) {
        clause(cursor, &mut table)?;
    }
    if cursor.accept(&["AS"]) {
        table.query = Some(cursor.run(Parser::parse_query)?);
        if cursor.peek_words(&["WITH", "NO", "DATA"]) {
            return Err(cursor.unsupported("WITH NO DATA is not offered: add WHERE false"));
        }
        cursor.accept(&["WITH", "DATA"]);
    } else if table.columns.is_empty() {
        return Err(cursor.expected("a list of columns or AS and a query"));
    }
    Ok(Statement::CreateTable(table))
}

fn columns(cursor: &mut Cursor) -> Result<Vec<ColumnDefinition>> {
    cursor.expect_token(&Token::LParen)?;
    if cursor.peek_words(&["LIKE"]) {
        return Err(cursor.unsupported("CREATE TABLE … LIKE is not offered"));
    }
    let start = cursor.location();
    let mut columns = vec![column(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        columns.push(column(cursor)?);
    }
    cursor.expect_token(&Token::RParen)?;
    let has_names_only = columns
        .iter()
        .any(|column| matches!(column.data_type, DataType::Unspecified));
    if has_names_only && !has_query(cursor.tokens(), start) {
        return Err(cursor.expected("a type for every column, or AS and a query"));
    }
    Ok(columns)
}

/// Whether `AS` stands outside of all parentheses somewhere after `start`.
fn has_query(tokens: &[TokenWithSpan], start: Location) -> bool {
    let mut depth = 0_usize;
    tokens.iter().any(|token| {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) => {
                return depth == 0
                    && token.span.start > start
                    && word.quote_style.is_none()
                    && word.value.eq_ignore_ascii_case("AS");
            }
            _ => {}
        }
        false
    })
}

fn column(cursor: &mut Cursor) -> Result<ColumnDefinition> {
    let refused = ["PRIMARY", "FOREIGN", "UNIQUE", "CONSTRAINT", "CHECK"];
    for word in refused {
        let is_constraint = match cursor.peek_nth(1) {
            Token::LParen => word == "UNIQUE" || word == "CHECK",
            Token::Word(next) => next.value.eq_ignore_ascii_case("KEY") || word == "CONSTRAINT",
            _ => false,
        };
        if cursor.peek_words(&[word]) && is_constraint {
            return Err(cursor.unsupported(&format!("{word} is not offered: Iceberg checks none")));
        }
    }
    let name = cursor.identifier("the name of a column")?;
    let data_type = match cursor.peek() {
        Token::Comma | Token::RParen => DataType::Unspecified,
        _ => data_type(cursor)?,
    };
    let mut column = ColumnDefinition {
        name,
        data_type,
        nullable: true,
        comment: None,
        default: None,
    };
    while !matches!(cursor.peek(), Token::Comma | Token::RParen) {
        column_option(cursor, &mut column)?;
    }
    Ok(column)
}

fn column_option(cursor: &mut Cursor, column: &mut ColumnDefinition) -> Result<()> {
    if cursor.accept(&["NOT", "NULL"]) {
        column.nullable = false;
    } else if cursor.accept(&["NULL"]) {
        column.nullable = true;
    } else if cursor.peek_words(&["COMMENT"]) {
        properties::text_clause(cursor, &mut column.comment)?;
    } else if column.default.is_none() && cursor.accept(&["DEFAULT"]) {
        column.default = Some(cursor.default_value()?);
    } else {
        let others = [
            "PRIMARY",
            "UNIQUE",
            "CHECK",
            "REFERENCES",
            "GENERATED",
            "CONSTRAINT",
        ];
        if let Some(word) = others.iter().find(|word| cursor.peek_words(&[word])) {
            return Err(cursor.unsupported(&format!("{word} is not offered for a column")));
        }
        return Err(cursor.expected("NOT NULL, COMMENT, DEFAULT, `,` or `)`"));
    }
    Ok(())
}

/// One clause between the columns and the query.
fn clause(cursor: &mut Cursor, table: &mut CreateTable) -> Result<()> {
    if cursor.accept(&["USING"]) {
        if !cursor.accept(&["ICEBERG"]) {
            return Err(cursor.unsupported("only tables USING iceberg are offered"));
        }
    } else if cursor.peek_words(&["PARTITIONED", "BY"]) {
        if !table.partitioned_by.is_empty() {
            return Err(cursor.expected("the partitioning once"));
        }
        cursor.expect(&["PARTITIONED", "BY"])?;
        table.partitioned_by = partition::list(cursor)?;
    } else if cursor.peek_words(&["LOCATION"]) {
        properties::text_clause(cursor, &mut table.location)?;
    } else if cursor.peek_words(&["COMMENT"]) {
        properties::text_clause(cursor, &mut table.comment)?;
    } else if cursor.accept(&["TBLPROPERTIES"]) {
        options::table_properties(cursor, table)?;
    } else if cursor.accept(&["WITH"]) {
        options::with_options(cursor, table)?;
    } else {
        return Err(refused_clause(cursor));
    }
    Ok(())
}

fn refused_clause(cursor: &Cursor) -> Error {
    let refused = [
        "STORED",
        "ROW",
        "CLUSTERED",
        "OPTIONS",
        "LIKE",
        "CLONE",
        "DISTRIBUTED",
        "WRITE",
    ];
    match refused.iter().find(|word| cursor.peek_words(&[word])) {
        Some(word) => cursor.unsupported(&format!("{word} is not offered in CREATE TABLE")),
        None => cursor.expected(
            "USING iceberg, PARTITIONED BY, LOCATION, COMMENT, TBLPROPERTIES, WITH, AS or the end \
             of the statement",
        ),
    }
}

#[cfg(test)]
mod tests;
