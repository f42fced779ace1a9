//! SQL text → [`Statement`]s: tokens, version clauses, statement by statement. No catalog, no IO.
//!
//! The text is tokenised once. Time travel clauses are normalised on the tokens (never on the
//! text, so every place in an error is the place in what the user wrote), each statement is read
//! by its own builder in [`crate::statement`], and the finished tree is checked for clauses that
//! the planner would silently ignore.

mod bounds;
mod check;
mod cursor;
mod dialect;
mod failure;
mod plain_word;
mod similar;
mod suggest;
mod version;

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use lakehouse_core::error::Result;

pub use version::{VersionClause, version_clause};

pub(crate) use cursor::{Cursor, word_token};
pub(crate) use dialect::DIALECT;
pub(crate) use failure::{CAST_TO_MAP, invalid_at, unsupported_at};
pub(crate) use suggest::nearest;

use crate::statement::{self, Statement};

/// Reads SQL text holding any number of statements separated by `;`.
///
/// Comments and empty statements are skipped; text without a statement gives an empty list. A
/// statement is returned only if all of it was understood.
///
/// # Errors
/// `InvalidInput` for text that is not SQL as offered here, `Unsupported` for a statement or a
/// clause that is SQL but not offered. Both name line and column, in the message and in the
/// context pairs `line` and `column`.
pub fn parse(sql: &str) -> Result<Vec<Statement>> {
    // Editors put the mark of UTF-8 before a script.
    let sql = sql.strip_prefix('\u{feff}').unwrap_or(sql);
    let tokens = Tokenizer::new(&DIALECT, sql)
        .tokenize_with_location()
        .map_err(|error| invalid_at(error.location, error.message))?;
    let tokens = tokens
        .into_iter()
        .filter(|token| !matches!(token.token, Token::Whitespace(_)));

    let mut statements = Vec::new();
    let mut current: Vec<TokenWithSpan> = Vec::new();
    for token in tokens {
        if token.token != Token::SemiColon {
            current.push(token);
        } else if !current.is_empty() {
            statements.push(parse_one(std::mem::take(&mut current))?);
        }
    }
    if !current.is_empty() {
        statements.push(parse_one(current)?);
    }
    Ok(statements)
}

/// Reads the tokens of one statement, without its `;`.
fn parse_one(tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    bounds::refuse_long_chains(&tokens)?;
    let tokens = version::rewrite(tokens)?;
    let mut cursor = Cursor::new(tokens);
    let mut statement = statement::read(&mut cursor)?;
    cursor.expect_end()?;
    version::normalise(&mut statement)?;
    check::refuse_ignored_clauses(&mut statement)?;
    Ok(statement)
}

#[cfg(test)]
mod tests;
