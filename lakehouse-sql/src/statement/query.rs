//! Queries, `EXPLAIN` and `COPY … TO`.

use datafusion::common::format::ExplainFormat;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use lakehouse_core::error::{Error, ErrorKind, Result};

use super::{Statement, read};
use crate::parse::{Cursor, DIALECT};

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

/// `COPY t TO …` or `COPY (query) TO …`, which DataFusion plans.
///
/// A table name becomes `(SELECT * FROM t)`, so that there is one way in for what is read, and a
/// version clause after the name means what it means in a query.
pub(super) fn copy(cursor: &mut Cursor) -> Result<Statement> {
    let tokens = cursor.tokens().to_vec();
    if tokens
        .get(1)
        .is_none_or(|token| token.token != Token::LParen)
    {
        cursor.expect(&["COPY"])?;
        if cursor.peek_words(&["INTO"]) {
            return Err(cursor.unsupported("COPY INTO is not offered: write INSERT INTO … SELECT"));
        }
        let source_end = source_end(cursor, &tokens)?;
        let mut with_query = tokens[..1].to_vec();
        with_query.extend(tokens_of("(SELECT * FROM", &tokens[1])?);
        with_query.extend_from_slice(&tokens[1..source_end]);
        with_query.extend(tokens_of(")", &tokens[source_end])?);
        with_query.extend_from_slice(&tokens[source_end..tokens.len() - 1]);
        cursor.restart(with_query);
    }
    match cursor.run_datafusion()? {
        copy @ DataFusionStatement::CopyTo(_) => Ok(Statement::DataFusion(Box::new(copy))),
        _ => Err(cursor.unsupported("this form of COPY is not offered: write COPY … TO '…'")),
    }
}

/// Index of the first token after the table that `COPY` reads. The cursor stands on the table.
fn source_end(cursor: &mut Cursor, tokens: &[TokenWithSpan]) -> Result<usize> {
    let mut index = 1;
    let mut depth = 0_usize;
    while !cursor.at_end() {
        match &tokens[index].token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 && word.quote_style.is_none() && index > 1 => {
                if word.value.eq_ignore_ascii_case("TO")
                    || word.value.eq_ignore_ascii_case("STORED")
                    || word.value.eq_ignore_ascii_case("PARTITIONED")
                    || word.value.eq_ignore_ascii_case("OPTIONS")
                {
                    return Ok(index);
                }
                if word.value.eq_ignore_ascii_case("FROM") {
                    return Err(cursor.unsupported("COPY … FROM is not offered yet"));
                }
            }
            _ => {}
        }
        cursor.advance();
        index += 1;
    }
    Err(cursor.expected("TO and a target such as 'folder/file.parquet'"))
}

/// Tokens of ours, as if typed where `place` stands.
fn tokens_of(sql: &str, place: &TokenWithSpan) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&DIALECT, sql)
        .tokenize()
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let placed = tokens
        .into_iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .map(|token| TokenWithSpan::new(token, place.span))
        .collect();
    Ok(placed)
}
