//! Partition terms: a column, or a transform of a column, in Spark's and Trino's spellings.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};
use iceberg::spec::Transform;
use lakehouse_core::error::Result;

use crate::parse::{Cursor, DIALECT, invalid_at, nearest};

/// One term of `PARTITIONED BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTerm {
    /// The column's name; more parts lead into a struct.
    pub source: Vec<Ident>,
    /// What is done with its values.
    pub transform: Transform,
    /// `AS name`: the name of the partition field, otherwise made from column and transform.
    pub name: Option<Ident>,
    /// Where the term stands in the SQL.
    pub span: Span,
}

/// Transforms with one argument, under every name they are known by.
const UNARY: &[(&str, Transform)] = &[
    ("identity", Transform::Identity),
    ("year", Transform::Year),
    ("years", Transform::Year),
    ("month", Transform::Month),
    ("months", Transform::Month),
    ("day", Transform::Day),
    ("days", Transform::Day),
    ("date", Transform::Day),
    ("hour", Transform::Hour),
    ("hours", Transform::Hour),
    ("date_hour", Transform::Hour),
];

const NAMES: &[&str] = &[
    "years", "months", "days", "hours", "bucket", "truncate", "identity",
];

/// `(term, …)`.
pub(super) fn list(cursor: &mut Cursor) -> Result<Vec<PartitionTerm>> {
    cursor.expect_token(&Token::LParen)?;
    let mut terms = vec![term(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        terms.push(term(cursor)?);
    }
    if matches!(cursor.peek(), Token::Word(_)) {
        return Err(cursor.expected(
            "`,` or `)` (a partition column is declared among the table's columns and named here)",
        ));
    }
    cursor.expect_token(&Token::RParen)?;
    Ok(terms)
}

/// A term inside of a string, as Trino's `partitioning = ARRAY['month(d)']` has them.
pub(super) fn from_text(text: &str, span: Span) -> Result<PartitionTerm> {
    let tokens = Tokenizer::new(&DIALECT, text)
        .tokenize()
        .map_err(|error| invalid_at(span.start, error.to_string()))?;
    let tokens = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .map(|token| TokenWithSpan::new(token, span))
        .collect();
    let mut cursor = Cursor::new(tokens);
    let mut term = term(&mut cursor)?;
    cursor.expect_end()?;
    term.span = span;
    Ok(term)
}

/// One term: a column or a transform of one, and `AS name`.
pub(super) fn term(cursor: &mut Cursor) -> Result<PartitionTerm> {
    let span = cursor.span();
    let (source, transform) = if *cursor.peek_nth(1) == Token::LParen {
        transform(cursor)?
    } else {
        (
            cursor.name("a column or a transform of one")?,
            Transform::Identity,
        )
    };
    let name = if cursor.accept(&["AS"]) {
        Some(cursor.identifier("the name of the partition field")?)
    } else {
        None
    };
    Ok(PartitionTerm {
        source,
        transform,
        name,
        span,
    })
}

fn transform(cursor: &mut Cursor) -> Result<(Vec<Ident>, Transform)> {
    let name = cursor.identifier("the name of a transform")?;
    let lower = name.value.to_ascii_lowercase();
    cursor.expect_token(&Token::LParen)?;
    let found = if let Some((_, transform)) = UNARY.iter().find(|(known, _)| *known == lower) {
        (cursor.name("a column")?, *transform)
    } else if lower == "bucket" {
        let (source, number) = with_number(cursor)?;
        (source, Transform::Bucket(number))
    } else if lower == "truncate" {
        let (source, number) = with_number(cursor)?;
        (source, Transform::Truncate(number))
    } else {
        let hint = match nearest(&lower, NAMES) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("expected one of {}", NAMES.join(", ")),
        };
        let message = format!("`{name}` is no partition transform: {hint}");
        return Err(invalid_at(name.span.start, message));
    };
    cursor.expect_token(&Token::RParen)?;
    Ok(found)
}

/// `N, column` (Spark) or `column, N` (Trino).
fn with_number(cursor: &mut Cursor) -> Result<(Vec<Ident>, u32)> {
    if matches!(cursor.peek(), Token::Number(..)) {
        let number = positive(cursor)?;
        cursor.expect_token(&Token::Comma)?;
        return Ok((cursor.name("a column")?, number));
    }
    let source = cursor.name("a column or a number")?;
    cursor.expect_token(&Token::Comma)?;
    Ok((source, positive(cursor)?))
}

/// A number from 1 to the largest that the format can hold (a Java `int`).
fn positive(cursor: &mut Cursor) -> Result<u32> {
    const EXPECTED: &str = "a whole number from 1 to 2147483647";
    let location: Location = cursor.location();
    let number: u32 = cursor.integer(EXPECTED)?;
    if number == 0 || i32::try_from(number).is_err() {
        return Err(invalid_at(
            location,
            format!("expected {EXPECTED}, found `{number}`"),
        ));
    }
    Ok(number)
}
