//! `ALTER TABLE`: partition fields, the order of new files, identifier fields.

use datafusion::sql::sqlparser::ast::Ident;
use datafusion::sql::sqlparser::tokenizer::Token;
use iceberg::spec::{NullOrder, SortDirection};
use lakehouse_core::commit::DistributionMode;
use lakehouse_core::error::Result;

use super::AlterAction;
use crate::parse::{Cursor, invalid_at};
use crate::statement::partition::{self, PartitionTerm};

/// `WRITE …`: how new files are to be sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOrder {
    /// By what, in order; empty for `UNORDERED`.
    pub terms: Vec<SortTermDefinition>,
    /// How rows are spread over writers; `None` leaves it as it is.
    pub distribution: Option<DistributionMode>,
}

/// One term of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortTermDefinition {
    /// A column or a transform of one, without a name.
    pub term: PartitionTerm,
    /// `ASC` or `DESC`.
    pub direction: SortDirection,
    /// `NULLS FIRST` or `NULLS LAST`; first when ascending, last when descending, if not written.
    pub null_order: NullOrder,
}

/// `PARTITION FIELD term`, behind `ADD`; `None` when something else is added.
pub(super) fn add(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if !accept_field(cursor)? {
        return Ok(None);
    }
    let term = partition::term(cursor)?;
    Ok(Some(AlterAction::AddPartitionField(term)))
}

/// `PARTITION FIELD term` and `IDENTIFIER FIELDS …`, behind `DROP`; `None` for anything else.
pub(super) fn drop(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if cursor.accept(&["IDENTIFIER", "FIELDS"]) {
        let columns = cursor.names("the name of a column")?;
        return Ok(Some(AlterAction::DropIdentifierFields(columns)));
    }
    if !accept_field(cursor)? {
        return Ok(None);
    }
    let term = unnamed(cursor)?;
    Ok(Some(AlterAction::DropPartitionField(term)))
}

/// `PARTITION FIELD term WITH term`, behind `REPLACE`; `None` when something else is replaced.
pub(super) fn replace(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if cursor.peek_words(&["COLUMNS"]) {
        return Err(cursor.unsupported(
            "REPLACE COLUMNS is not offered: it would drop all columns; drop and add them by name",
        ));
    }
    if !accept_field(cursor)? {
        return Ok(None);
    }
    let dropped = unnamed(cursor)?;
    cursor.expect(&["WITH"])?;
    let added = partition::term(cursor)?;
    Ok(Some(AlterAction::ReplacePartitionField { dropped, added }))
}

/// `IDENTIFIER FIELDS …`, behind `SET`; `None` when something else is set.
pub(super) fn set(cursor: &mut Cursor) -> Result<Option<AlterAction>> {
    if !cursor.accept(&["IDENTIFIER", "FIELDS"]) {
        return Ok(None);
    }
    let columns: Vec<Vec<Ident>> = cursor.names("the name of a column")?;
    Ok(Some(AlterAction::SetIdentifierFields(columns)))
}

fn accept_field(cursor: &mut Cursor) -> Result<bool> {
    if cursor.accept(&["PARTITION", "FIELD"]) {
        return Ok(true);
    }
    // Hive's partitions are folders; a column may also be called so.
    if cursor.peek_words(&["PARTITION"]) && *cursor.peek_nth(1) == Token::LParen {
        return Err(cursor.unsupported(
            "partitions are made by the rows that are written; PARTITION FIELD changes how",
        ));
    }
    Ok(false)
}

/// `[LOCALLY] ORDERED BY …`, `UNORDERED` and `DISTRIBUTED BY PARTITION`, behind `WRITE`.
pub(super) fn write(cursor: &mut Cursor) -> Result<AlterAction> {
    let mut terms = None;
    let mut distribution = None;
    let mut is_distributed = false;
    loop {
        let location = cursor.location();
        if cursor.accept(&["DISTRIBUTED", "BY", "PARTITION"]) {
            if is_distributed {
                return Err(invalid_at(location, "the distribution is given twice"));
            }
            is_distributed = true;
        } else if cursor.accept(&["UNORDERED"]) {
            refuse_second(terms.is_some(), location)?;
            terms = Some(Vec::new());
            distribution = Some(DistributionMode::None);
        } else {
            let is_local = cursor.accept(&["LOCALLY"]);
            if !is_local && !cursor.peek_words(&["ORDERED"]) {
                return Err(cursor.expected(
                    "ORDERED BY, LOCALLY ORDERED BY, DISTRIBUTED BY PARTITION or UNORDERED",
                ));
            }
            cursor.expect(&["ORDERED", "BY"])?;
            refuse_second(terms.is_some(), location)?;
            terms = Some(sort_terms(cursor)?);
            distribution = (!is_local).then_some(DistributionMode::Range);
        }
        if cursor.at_end() {
            break;
        }
    }
    if is_distributed {
        distribution = Some(DistributionMode::Hash);
    }
    Ok(AlterAction::Write(WriteOrder {
        terms: terms.unwrap_or_default(),
        distribution,
    }))
}

fn refuse_second(
    is_second: bool,
    location: datafusion::sql::sqlparser::tokenizer::Location,
) -> Result<()> {
    match is_second {
        true => Err(invalid_at(location, "the order is given twice")),
        false => Ok(()),
    }
}

fn sort_terms(cursor: &mut Cursor) -> Result<Vec<SortTermDefinition>> {
    let in_parentheses = cursor.accept_token(&Token::LParen);
    let mut terms = vec![sort_term(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        terms.push(sort_term(cursor)?);
    }
    if in_parentheses {
        cursor.expect_token(&Token::RParen)?;
    }
    Ok(terms)
}

fn sort_term(cursor: &mut Cursor) -> Result<SortTermDefinition> {
    let term = unnamed(cursor)?;
    let direction = match cursor.accept_one(&["ASC", "DESC"]) {
        Some("DESC") => SortDirection::Descending,
        _ => SortDirection::Ascending,
    };
    let null_order = if cursor.accept(&["NULLS"]) {
        match cursor.accept_one(&["FIRST", "LAST"]) {
            Some("FIRST") => NullOrder::First,
            Some(_) => NullOrder::Last,
            None => return Err(cursor.expected("FIRST or LAST")),
        }
    } else {
        match direction {
            SortDirection::Ascending => NullOrder::First,
            SortDirection::Descending => NullOrder::Last,
        }
    };
    Ok(SortTermDefinition {
        term,
        direction,
        null_order,
    })
}

/// A term without `AS`.
fn unnamed(cursor: &mut Cursor) -> Result<PartitionTerm> {
    let term = partition::term(cursor)?;
    match &term.name {
        Some(name) => Err(invalid_at(
            name.span.start,
            "AS names a partition field that is added; nothing has that name here",
        )),
        None => Ok(term),
    }
}
