//! `COPY` of rows into files and from them.

mod options;
mod written;

use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};
use lakehouse_core::error::{Error, ErrorKind, Result};

use super::insert::InsertRows;
use super::{Statement, WriteOptions};
use crate::parse::{Cursor, DIALECT};
pub use options::{CopyFormat, CsvForm};
pub(crate) use written::PARTITION_COLUMN;

/// The file that `COPY … FROM` reads.
#[derive(Debug, Clone)]
pub struct CopiedFile {
    /// Where it is, as written.
    pub location: String,
    /// Its format.
    pub format: CopyFormat,
    /// How it is packed, by the name of the method; by the ending of its name when unset.
    pub compression: Option<String>,
    /// The place of the location in the text.
    pub place: Location,
}

/// `COPY t TO …`, `COPY (query) TO …` or `COPY [INTO] t [(columns)] FROM '…'`.
pub(super) fn copy(cursor: &mut Cursor) -> Result<Statement> {
    let tokens = cursor.tokens().to_vec();
    if is_from(&tokens) {
        return copy_from(cursor);
    }
    if tokens
        .get(1)
        .is_none_or(|token| token.token != Token::LParen)
    {
        name_source(cursor, &tokens)?;
    }
    let (options, place) = options::cut_to(cursor)?;
    match cursor.run_datafusion()? {
        DataFusionStatement::CopyTo(mut copy) => {
            written::apply(&options, &mut copy, place)?;
            Ok(Statement::DataFusion(Box::new(
                DataFusionStatement::CopyTo(copy),
            )))
        }
        _ => Err(cursor.unsupported("this form of COPY is not offered: write COPY … TO '…'")),
    }
}

/// Whether `FROM` stands behind the table and its columns.
fn is_from(tokens: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    let is_query = tokens
        .get(1)
        .is_some_and(|token| token.token == Token::LParen);
    !is_query
        && tokens.iter().any(|token| {
            match &token.token {
                Token::LParen => depth += 1,
                Token::RParen => depth = depth.saturating_sub(1),
                Token::Word(word) if depth == 0 && word.quote_style.is_none() => {
                    return word.value.eq_ignore_ascii_case("FROM");
                }
                _ => {}
            }
            false
        })
}

/// `COPY [INTO] t [(columns)] FROM 'file' [options]`, as an insert of all rows of the file.
fn copy_from(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["COPY"])?;
    cursor.accept(&["INTO"]);
    let begin = cursor.position();
    cursor.name("the name of a table")?;
    if cursor.accept_token(&Token::LParen) {
        loop {
            cursor.identifier("the name of a column")?;
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    let end = cursor.position();
    cursor.expect(&["FROM"])?;
    let place = cursor.location();
    if *cursor.peek() == Token::LParen {
        return Err(cursor.unsupported("COPY … FROM takes a file: write INSERT INTO … SELECT"));
    }
    let location = cursor.string("a file such as 'folder/file.csv'")?;
    let options = options::read(cursor)?;
    cursor.expect_end()?;
    let (format, compression) = options.of_source(&location, place)?;
    let tokens = cursor.tokens().to_vec();
    let mut insert = tokens_of("INSERT INTO", &tokens[0])?;
    insert.extend_from_slice(&tokens[begin..end]);
    let quoted = location.replace('"', "\"\"");
    insert.extend(tokens_of(
        &format!("SELECT * FROM \"{quoted}\""),
        &tokens[end],
    )?);
    cursor.restart(insert);
    let SqlStatement::Insert(insert) = cursor.run(Parser::parse_statement)? else {
        return Err(Error::internal("a copy became no insert"));
    };
    Ok(Statement::Insert(Box::new(InsertRows {
        insert,
        overwrite: false,
        partition: Vec::new(),
        by_name: false,
        options: WriteOptions::default(),
        file: Some(CopiedFile {
            location,
            format,
            compression,
            place,
        }),
    })))
}

/// Puts `(SELECT * FROM t)` where a table stands, so that there is one way in for what is read, and
/// a version clause after the name means what it means in a query. Columns in brackets behind the
/// table stand for the `*`.
fn name_source(cursor: &mut Cursor, tokens: &[TokenWithSpan]) -> Result<()> {
    cursor.expect(&["COPY"])?;
    let source_end = source_end(cursor, tokens)?;
    let columns = columns_from(&tokens[..source_end]);
    let name_end = columns.unwrap_or(source_end);
    let mut with_query = tokens[..1].to_vec();
    with_query.extend(tokens_of("(SELECT", &tokens[1])?);
    match columns {
        None => with_query.extend(tokens_of("*", &tokens[1])?),
        Some(begin) => with_query.extend_from_slice(&tokens[begin + 1..source_end - 1]),
    }
    with_query.extend(tokens_of("FROM", &tokens[1])?);
    with_query.extend_from_slice(&tokens[1..name_end]);
    with_query.extend(tokens_of(")", &tokens[source_end])?);
    with_query.extend_from_slice(&tokens[source_end..tokens.len() - 1]);
    cursor.restart(with_query);
    Ok(())
}

/// Index of the bracket where columns begin at the end of a table that `COPY` reads.
fn columns_from(source: &[TokenWithSpan]) -> Option<usize> {
    let begin = source
        .iter()
        .rposition(|token| token.token == Token::LParen)
        .filter(|begin| *begin > 1)?;
    let (close, columns) = source[begin + 1..].split_last()?;
    // A function has values in its brackets, or nothing.
    let is_list = columns.iter().enumerate().all(|(at, token)| match at % 2 {
        0 => matches!(token.token, Token::Word(_)),
        _ => token.token == Token::Comma,
    });
    (close.token == Token::RParen && columns.len() % 2 == 1 && is_list).then_some(begin)
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
                let ends = ["TO", "STORED", "PARTITIONED", "OPTIONS"];
                if ends.iter().any(|end| word.value.eq_ignore_ascii_case(end)) {
                    return Ok(index);
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
