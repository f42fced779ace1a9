//! Session state: `SET`, `RESET` and `USE`.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::Statement;
use crate::parse::Cursor;

/// The variable that `SET TIME ZONE` sets.
const TIME_ZONE: &str = "time zone";

/// Words that are an expression by themselves.
const CONSTANTS: &[&str] = &[
    "TRUE",
    "FALSE",
    "NULL",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "LOCALTIMESTAMP",
];

/// `SET name = value`, `SET name TO value` or `SET TIME ZONE value`.
#[derive(Debug, Clone)]
pub struct Set {
    /// The variable: its parts joined by dots, unquoted parts in lower case. `SET TIME ZONE`,
    /// `SET timezone` and `SET spark.sql.session.timeZone` all give `time zone`.
    pub name: String,
    /// What it is set to.
    pub value: SetValue,
}

/// The right side of a `SET`.
#[derive(Debug, Clone)]
pub enum SetValue {
    /// A constant; a bare word (`SET x = fast`) is an [`Expr::Identifier`].
    Expression(Box<Expr>),
    /// `DEFAULT` (and `LOCAL` for the time zone): back to the value at the session's start.
    Default,
}

/// `RESET name`.
#[derive(Debug, Clone)]
pub struct Reset {
    /// The variable, written as in [`Set::name`].
    pub name: String,
}

/// `USE namespace`.
#[derive(Debug, Clone)]
pub struct Use {
    /// The name's parts; the first may be a catalog.
    pub namespace: Vec<Ident>,
}

/// `SET`.
pub(super) fn set(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["SET"])?;
    if cursor.peek_words(&["LOCAL"]) && matches!(cursor.peek_nth(1), Token::Word(_)) {
        return Err(cursor.unsupported("SET LOCAL is not offered: there are no transactions"));
    }
    let is_session =
        cursor.peek_words(&["SESSION"]) && matches!(cursor.peek_nth(1), Token::Word(_));
    if is_session && !cursor.peek_words(&["SESSION", "TO"]) {
        cursor.advance();
    }
    let (name, is_zone_clause) = variable(cursor)?;
    if !is_zone_clause && !cursor.accept_token(&Token::Eq) && !cursor.accept(&["TO"]) {
        return Err(cursor.expected("`=` or TO"));
    }
    let is_word = matches!(cursor.peek(), Token::Word(_)) && *cursor.peek_nth(1) == Token::EOF;
    let value = if is_word && cursor.accept(&["DEFAULT"])
        || is_word && name == TIME_ZONE && cursor.accept(&["LOCAL"])
    {
        SetValue::Default
    } else if is_word && !CONSTANTS.iter().any(|word| cursor.peek_words(&[word])) {
        SetValue::Expression(Box::new(Expr::Identifier(cursor.identifier("a value")?)))
    } else {
        SetValue::Expression(Box::new(cursor.expression()?))
    };
    Ok(Statement::Set(Set { name, value }))
}

/// `RESET`.
pub(super) fn reset(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["RESET"])?;
    let (name, _) = variable(cursor)?;
    Ok(Statement::Reset(Reset { name }))
}

/// A variable's name, and whether it was written `TIME ZONE`.
fn variable(cursor: &mut Cursor) -> Result<(String, bool)> {
    if cursor.accept(&["TIME", "ZONE"]) {
        return Ok((TIME_ZONE.to_string(), true));
    }
    let parts: Vec<String> = cursor
        .name("the name of a variable")?
        .into_iter()
        .map(|part| match part.quote_style {
            Some(_) => part.value,
            None => part.value.to_ascii_lowercase(),
        })
        .collect();
    let name = parts.join(".");
    let is_zone = matches!(name.as_str(), "timezone" | "spark.sql.session.timezone");
    Ok((if is_zone { TIME_ZONE.to_string() } else { name }, false))
}

/// `USE [NAMESPACE | SCHEMA | DATABASE] name`.
pub(super) fn use_namespace(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["USE"])?;
    // `USE schema` alone is a namespace of that name.
    if matches!(cursor.peek_nth(1), Token::Word(_)) {
        if cursor.peek_words(&["CATALOG"]) {
            return Err(
                cursor.unsupported("USE CATALOG is not offered: write USE catalog.namespace")
            );
        }
        cursor.accept_one(&["NAMESPACE", "SCHEMA", "DATABASE"]);
    }
    let namespace = cursor.name("the name of a namespace")?;
    Ok(Statement::Use(Use { namespace }))
}
