//! Queries and `EXPLAIN`.

use datafusion::common::format::ExplainFormat;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::{Statement, read};
use crate::parse::Cursor;

/// `EXPLAIN [ANALYZE] [VERBOSE] [FORMAT f] statement`, or PostgreSQL's
/// `EXPLAIN (ANALYZE, VERBOSE, FORMAT f) statement`.
#[derive(Debug, Clone)]
pub struct Explain {
    /// Run the statement and show what it measured.
    pub analyze: bool,
    /// Show every step of planning (Spark's `EXTENDED` means the same).
    pub verbose: bool,
    /// How to print the plan; the session's setting if not given.
    pub format: Option<ExplainFormat>,
    /// A query or a statement that writes rows.
    pub statement: Box<Statement>,
}

/// A query at the beginning of a statement.
pub(super) fn query(cursor: &mut Cursor) -> Result<Statement> {
    cursor.run(Parser::parse_query).map(Statement::Query)
}

/// `EXPLAIN`.
pub(super) fn explain(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["EXPLAIN"])?;
    let mut options = Options::default();
    if *cursor.peek() == Token::LParen && !begins_query(cursor.peek_nth(1)) {
        cursor.advance();
        loop {
            if !options.accept(cursor)? {
                return Err(cursor.expected("ANALYZE, VERBOSE or FORMAT"));
            }
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    } else {
        while options.accept(cursor)? {}
    }
    for word in ["FORMATTED", "COST", "CODEGEN", "LOGICAL", "DISTRIBUTED"] {
        if cursor.peek_words(&[word]) {
            return Err(cursor.unsupported(&format!("EXPLAIN {word} is not offered")));
        }
    }

    let place = cursor.unsupported(
        "EXPLAIN is offered for a query, INSERT, DELETE, UPDATE, MERGE and TRUNCATE only",
    );
    // Refused before reading on, so that no chain of EXPLAINs can exhaust the stack.
    if cursor.peek_words(&["EXPLAIN"]) {
        return Err(place);
    }
    let statement = Box::new(read(cursor)?);
    match *statement {
        Statement::Query(_)
        | Statement::Insert(_)
        | Statement::Delete(_)
        | Statement::Update(_)
        | Statement::Merge(_) => {}
        _ => return Err(place),
    }
    let Options {
        analyze,
        verbose,
        format,
    } = options;
    Ok(Statement::Explain(Explain {
        analyze,
        verbose,
        format,
        statement,
    }))
}

/// What stands between `EXPLAIN` and the statement.
#[derive(Default)]
struct Options {
    analyze: bool,
    verbose: bool,
    format: Option<ExplainFormat>,
}

impl Options {
    /// Moves over one option if one comes next.
    fn accept(&mut self, cursor: &mut Cursor) -> Result<bool> {
        match cursor.accept_one(&["ANALYZE", "VERBOSE", "EXTENDED", "FORMAT"]) {
            Some("ANALYZE") => self.analyze = true,
            Some("FORMAT") => self.format = Some(explain_format(cursor)?),
            Some(_) => self.verbose = true,
            None => return Ok(false),
        }
        Ok(true)
    }
}

fn explain_format(cursor: &mut Cursor) -> Result<ExplainFormat> {
    const EXPECTED: &str = "a format: INDENT, TREE, PGJSON or GRAPHVIZ";
    let name = match cursor.peek() {
        Token::Word(word) => word.value.clone(),
        Token::SingleQuotedString(text) => text.clone(),
        _ => return Err(cursor.expected(EXPECTED)),
    };
    if name.eq_ignore_ascii_case("JSON") {
        return Err(cursor.unsupported("EXPLAIN (FORMAT JSON) is not offered: write PGJSON"));
    }
    let format = name.parse().map_err(|_| cursor.expected(EXPECTED))?;
    cursor.advance();
    Ok(format)
}

fn begins_query(token: &Token) -> bool {
    match token {
        Token::LParen => true,
        Token::Word(word) => ["SELECT", "WITH", "VALUES", "FROM"]
            .iter()
            .any(|first| word.value.eq_ignore_ascii_case(first)),
        _ => false,
    }
}
