//! Errors with a place: line and column of the SQL, as context that is written first.

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use lakehouse_core::error::{Error, ErrorKind};

/// What is said of a value that is cast to a map.
pub(crate) const CAST_TO_MAP: &str = "no value is cast to a MAP; make one with MAP {key: value}, or \
     with map(keys, values) of two lists";

/// An `InvalidInput` error at a place of the SQL text.
pub(crate) fn invalid_at(location: Location, message: impl AsRef<str>) -> Error {
    error_at(ErrorKind::InvalidInput, location, message.as_ref())
}

/// An `Unsupported` error at a place of the SQL text.
pub(crate) fn unsupported_at(location: Location, message: impl AsRef<str>) -> Error {
    error_at(ErrorKind::Unsupported, location, message.as_ref())
}

fn error_at(kind: ErrorKind, location: Location, message: &str) -> Error {
    // sqlparser's mark for "no place"; every token of ours has one.
    if location.line == 0 {
        return Error::new(kind, message);
    }
    let Location { line, column } = location;
    Error::new(kind, message)
        .with_context("line", line.to_string())
        .with_context("column", column.to_string())
}

/// An error of sqlparser, which writes the place at the end of its message or leaves it out;
/// `fallback` is the place to name then.
pub(super) fn from_parser(error: &ParserError, fallback: Location) -> Error {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            return invalid_at(
                fallback,
                "the statement nests too deep; split it into parts",
            );
        }
    };
    let (message, location) = split_place(text);
    let message = message.strip_prefix("Expected: ").map_or_else(
        || message.to_string(),
        |rest| format!("expected {}", rest.replacen(", found: ", ", found ", 1)),
    );
    let message = message.replace("found EOF", "found the end of the statement");
    invalid_at(location.unwrap_or(fallback), message)
}

/// The error of a statement with these tokens. sqlparser knows `MAP(…)` alone as a type.
pub(super) fn of_tokens(error: Error, tokens: &[TokenWithSpan]) -> Error {
    let is_map = |pair: &[TokenWithSpan]| match pair {
        [
            TokenWithSpan {
                token: Token::Word(word),
                ..
            },
            angle,
        ] => word.value.eq_ignore_ascii_case("MAP") && angle.token == Token::Lt,
        _ => false,
    };
    let map = tokens.windows(2).find(|pair| is_map(pair));
    match map.filter(|_| error.message().starts_with("expected (, found <")) {
        Some(map) => unsupported_at(map[0].span.start, CAST_TO_MAP),
        None => error,
    }
}

/// An error of DataFusion's statement parser.
pub(super) fn from_datafusion(error: &DataFusionError, fallback: Location) -> Error {
    match error {
        DataFusionError::SQL(inner, _) => from_parser(inner, fallback),
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => {
            from_datafusion(inner, fallback)
        }
        other => invalid_at(fallback, other.strip_backtrace()),
    }
}

/// Splits `"… at Line: 3, Column: 7"`.
fn split_place(text: &str) -> (&str, Option<Location>) {
    let place = text.rsplit_once(" at Line: ").and_then(|(message, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        let location = Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?);
        Some((message, location))
    });
    match place {
        Some((message, location)) => (message, Some(location)),
        None => (text, None),
    }
}
