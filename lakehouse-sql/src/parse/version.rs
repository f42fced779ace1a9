//! Time travel clauses: the spellings of seven engines become two forms of the syntax tree.
//!
//! sqlparser reads three clauses after a table name, one of them for numbers only. So the tokens
//! are rewritten first: what asks for a timestamp becomes `TIMESTAMP AS OF e`, and what asks for a
//! version becomes `FOR SYSTEM_TIME AS OF e`, the other form whose operand sqlparser reads as an
//! expression. Every `FOR SYSTEM_TIME AS OF` that the user typed is gone by then, because it is
//! rewritten (or refused) wherever it stands; so the ones that sqlparser reads are ours, and
//! [`normalise`] turns them into `VersionAsOf`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator, FunctionArguments, Spanned,
    TableFactor, TableVersion, VisitorMut,
};
use datafusion::sql::sqlparser::keywords::{self, Keyword};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};
use lakehouse_core::error::{Error, ErrorKind, Result};

use super::cursor::{is_word, word_token};
use super::failure::{invalid_at, unsupported_at};
use crate::statement::{Statement, relation};

/// What a table reference asks to travel to. The operand is as written: a literal, a parameter or
/// an expression to be folded to a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum VersionClause {
    /// The state at a time.
    Timestamp(Expr),
    /// A snapshot id, or the name of a branch or tag.
    Version(Expr),
}

/// Reads the version of a table factor in a statement that [`parse`](super::parse()) returned.
///
/// # Errors
/// `InvalidInput` for the forms that `parse` never leaves in a tree (`FOR SYSTEM_TIME AS OF`,
/// `AT(…)`, `BEFORE(…)`): the tree came from elsewhere and was not normalised.
pub fn version_clause(version: &TableVersion) -> Result<VersionClause> {
    match version {
        TableVersion::TimestampAsOf(operand) => Ok(VersionClause::Timestamp(operand.clone())),
        TableVersion::VersionAsOf(operand) => Ok(VersionClause::Version(operand.clone())),
        TableVersion::ForSystemTimeAsOf(_) | TableVersion::Function(_) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "expected `VERSION AS OF` or `TIMESTAMP AS OF` after a table name, found `{version}`"
            ),
        )),
    }
}

/// The two meanings of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Travel {
    Timestamp,
    Version,
}

/// Brings the version clauses among the tokens of one statement into the forms named above.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len() + 4);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let Some((travel, length)) = clause_at(&tokens[at..], &out)? else {
            out.push(plain_token(token, &tokens[at + 1..]));
            at += 1;
            continue;
        };
        refuse_misplaced(&out, token.span.start)?;
        push_clause(&mut out, travel, token.span);
        at += length;
    }
    Ok(out)
}

/// The clause that begins with the first of `rest`, and its number of tokens before the operand;
/// `before` are the tokens to its left.
fn clause_at(rest: &[TokenWithSpan], before: &[TokenWithSpan]) -> Result<Option<(Travel, usize)>> {
    let word = |n: usize, text: &str| rest.get(n).is_some_and(|token| is_word(&token.token, text));
    if word(0, "FOR") {
        let Some(travel) = rest.get(1).and_then(travel_word) else {
            return Ok(None);
        };
        if word(2, "AS") && word(3, "OF") {
            return Ok(Some((travel, 4)));
        }
        if word(1, "SYSTEM_TIME") || word(1, "SYSTEM_VERSION") {
            let message = format!(
                "expected `AS OF` after `FOR {}`: ranges of versions are not offered",
                rest[1].token
            );
            return Err(unsupported_at(rest[1].span.end, message));
        }
        return Ok(None);
    }
    let travel = if word(1, "AS") && word(2, "OF") {
        rest.first().and_then(travel_word)
    } else if word(0, "AS") && word(1, "OF") && word(2, "TIMESTAMP") {
        Some(Travel::Timestamp)
    } else {
        None
    };
    // Without `FOR` the words may be a column and its alias (`SELECT version AS of FROM t`).
    let is_clause = table_name_start(before).is_some() && rest.get(3).is_some_and(begins_operand);
    Ok(travel.filter(|_| is_clause).map(|travel| (travel, 3)))
}

fn travel_word(token: &TokenWithSpan) -> Option<Travel> {
    let is = |text| is_word(&token.token, text);
    if is("TIMESTAMP") || is("SYSTEM_TIME") {
        Some(Travel::Timestamp)
    } else if is("VERSION") || is("SYSTEM_VERSION") {
        Some(Travel::Version)
    } else {
        None
    }
}

/// Whether an expression can begin here; what ends a table factor cannot.
fn begins_operand(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Word(word) => !is_reserved(word),
        Token::EOF | Token::Comma | Token::RParen | Token::Period => false,
        _ => true,
    }
}

/// Whether this word ends a table factor, so that no operand begins with it.
fn is_reserved(word: &Word) -> bool {
    word.quote_style.is_none()
        && (keywords::RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
            || keywords::RESERVED_FOR_COLUMN_ALIAS.contains(&word.keyword))
}

/// Whether this word, where a table's name could stand, is none: a column or a table may follow it
/// (`(SELECT version AS of …`, `FROM LATERAL …`).
fn introduces_name(word: &Word) -> bool {
    word.quote_style.is_none()
        && matches!(
            word.keyword,
            Keyword::SELECT
                | Keyword::DISTINCT
                | Keyword::ALL
                | Keyword::FROM
                | Keyword::JOIN
                | Keyword::LATERAL
                | Keyword::ONLY
                | Keyword::NOT
                | Keyword::WHERE
                | Keyword::WITH
        )
}

/// Where the dotted table name that ends the tokens so far begins, if they end in one.
///
/// A name is a table's if it follows `FROM`, `JOIN`, `INTO` and the like, a comma, or an opening
/// parenthesis. (After a comma or parenthesis it may be a column too, but then none of the clauses
/// can follow it.)
fn table_name_start(before: &[TokenWithSpan]) -> Option<usize> {
    let mut start = before.len().checked_sub(1)?;
    let Token::Word(last) = &before[start].token else {
        return None;
    };
    while let Some(left) = start.checked_sub(2) {
        let dotted = before[left + 1].token == Token::Period;
        if !dotted || !matches!(before[left].token, Token::Word(_)) {
            break;
        }
        start = left;
    }
    if start + 1 == before.len() && introduces_name(last) {
        return None;
    }
    let introducer = &before[start.checked_sub(1)?].token;
    let is_table = matches!(introducer, Token::Comma | Token::LParen)
        || ["FROM", "JOIN", "USING", "COPY", "ONLY", "APPLY"]
            .iter()
            .chain(&[
                "INTO",
                "OVERWRITE",
                "UPDATE",
                "DELETE",
                "TABLE",
                "STRAIGHT_JOIN",
            ])
            .any(|word| is_word(introducer, word));
    is_table.then_some(start)
}

/// Refuses a clause that is not after the name of a table that is read.
fn refuse_misplaced(before: &[TokenWithSpan], location: Location) -> Result<()> {
    let Some(start) = table_name_start(before) else {
        return Err(invalid_at(
            location,
            "a version clause follows the name of a table, before its alias",
        ));
    };
    let left = |n: usize, text: &str| {
        start
            .checked_sub(n)
            .is_some_and(|index| is_word(&before[index].token, text))
    };
    let is_write_target = ["INTO", "OVERWRITE", "UPDATE", "DELETE"]
        .iter()
        .any(|verb| left(1, verb))
        || (left(1, "TABLE") && (left(2, "INTO") || left(2, "OVERWRITE")))
        || (left(1, "FROM") && left(2, "DELETE"));
    if is_write_target {
        return Err(invalid_at(
            location,
            "the target of a write cannot have a version clause: past versions are read-only",
        ));
    }
    if left(1, "TABLE") {
        return Err(invalid_at(
            location,
            "a version clause is for a table that a query reads",
        ));
    }
    Ok(())
}

fn push_clause(out: &mut Vec<TokenWithSpan>, travel: Travel, span: Span) {
    let words: &[(&str, Keyword)] = match travel {
        Travel::Timestamp => &[
            ("TIMESTAMP", Keyword::TIMESTAMP),
            ("AS", Keyword::AS),
            ("OF", Keyword::OF),
        ],
        Travel::Version => &[
            ("FOR", Keyword::FOR),
            ("SYSTEM_TIME", Keyword::SYSTEM_TIME),
            ("AS", Keyword::AS),
            ("OF", Keyword::OF),
        ],
    };
    out.extend(
        words
            .iter()
            .map(|(text, keyword)| word_token(text, *keyword, span)),
    );
}

/// A token outside of any clause. sqlparser takes `at` and `before` after a table name for the
/// beginning of a version function; without a parenthesis they are ordinary names.
fn plain_token(token: &TokenWithSpan, rest: &[TokenWithSpan]) -> TokenWithSpan {
    let mut token = token.clone();
    if let Token::Word(word) = &mut token.token
        && matches!(word.keyword, Keyword::AT | Keyword::BEFORE)
    {
        let next = rest.first().map(|next| &next.token);
        let is_zone = next.is_some_and(|next| is_word(next, "TIME"));
        if next != Some(&Token::LParen) && !is_zone {
            word.keyword = Keyword::NoKeyword;
        }
    }
    token
}

/// Leaves only `VersionAsOf` and `TimestampAsOf` in the tree, and refuses what nobody claims.
pub(super) fn normalise(statement: &mut Statement) -> Result<()> {
    match relation::walk(statement, &mut Normaliser) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Normaliser;

impl VisitorMut for Normaliser {
    type Break = Error;

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        let location = factor.span().start;
        if let TableFactor::Table { version, .. } = factor
            && let Some(clause) = version.take()
        {
            match claim(clause, location) {
                Ok(claimed) => *version = Some(claimed),
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

fn claim(version: TableVersion, location: Location) -> Result<TableVersion> {
    let claimed = match &version {
        TableVersion::ForSystemTimeAsOf(operand) => {
            Some(TableVersion::VersionAsOf(operand.clone()))
        }
        TableVersion::TimestampAsOf(_) | TableVersion::VersionAsOf(_) => Some(version.clone()),
        TableVersion::Function(Expr::Function(function)) => claim_function(function),
        TableVersion::Function(_) => None,
    };
    claimed.ok_or_else(|| {
        let message = format!(
            "`{version}` is not offered: expected `AT(VERSION => …)` or `AT(TIMESTAMP => …)`"
        );
        unsupported_at(location, message)
    })
}

/// DuckDB's and Snowflake's `AT(VERSION => x)` and `AT(TIMESTAMP => x)`.
fn claim_function(function: &Function) -> Option<TableVersion> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [argument] = list.args.as_slice() else {
        return None;
    };
    let FunctionArg::Named {
        name,
        arg: FunctionArgExpr::Expr(operand),
        operator: FunctionArgOperator::RightArrow,
    } = argument
    else {
        return None;
    };
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && list.clauses.is_empty()
        && list.duplicate_treatment.is_none();
    if !plain || !function.name.to_string().eq_ignore_ascii_case("AT") {
        return None;
    }
    match name.value.to_ascii_uppercase().as_str() {
        "VERSION" => Some(TableVersion::VersionAsOf(operand.clone())),
        "TIMESTAMP" => Some(TableVersion::TimestampAsOf(operand.clone())),
        _ => None,
    }
}
