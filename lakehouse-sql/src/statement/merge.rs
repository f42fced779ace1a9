//! `MERGE INTO`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, TableFactor, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use lakehouse_core::error::{Error, Result};

use super::Statement;
use super::change::{
    AssignedValue, Assignment, Target, assigned_value, assignments, refuse_clauses, target,
};
use crate::parse::{Cursor, invalid_at};

/// `MERGE INTO t [AS a] USING source [AS s] ON condition WHEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct Merge {
    /// Whose rows change.
    pub target: Target,
    /// A table or a query.
    pub source: TableFactor,
    /// Which rows of the two belong together.
    pub on: Expr,
    /// What is done, at least one; the first that is true for a row wins.
    pub clauses: Vec<MergeClause>,
}

/// `WHEN … [AND condition] THEN …`.
#[derive(Debug, Clone, PartialEq)]
pub struct MergeClause {
    /// Which rows it is about.
    pub kind: MergeKind,
    /// What must be true of them too.
    pub condition: Option<Expr>,
    /// What is done with them.
    pub action: MergeAction,
    /// Where `WHEN` stands.
    pub place: Location,
}

/// Which rows a clause is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeKind {
    /// Pairs of a row of the target and a row of the source.
    Matched,
    /// Rows of the source without a row of the target.
    NotMatched,
    /// Rows of the target without a row of the source.
    NotMatchedBySource,
}

impl MergeKind {
    const fn text(self) -> &'static str {
        match self {
            Self::Matched => "WHEN MATCHED",
            Self::NotMatched => "WHEN NOT MATCHED",
            Self::NotMatchedBySource => "WHEN NOT MATCHED BY SOURCE",
        }
    }
}

/// What a clause does.
#[derive(Debug, Clone, PartialEq)]
pub enum MergeAction {
    /// `DELETE`.
    Delete,
    /// `UPDATE SET column = value, …`.
    Update(Vec<Assignment>),
    /// `UPDATE SET *`: every column of the target from the source's of the same name.
    UpdateAll,
    /// `INSERT [(columns)] VALUES (values)`; all columns in their order where none is named.
    Insert {
        /// The columns that values are given for.
        columns: Vec<Ident>,
        /// A value for each of them.
        values: Vec<AssignedValue>,
    },
    /// `INSERT *`: every column of the target from the source's of the same name.
    InsertAll,
}

impl Merge {
    /// Leads a visitor through the expressions and the source.
    pub(super) fn walk<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        self.source.visit(visitor)?;
        self.on.visit(visitor)?;
        for clause in &mut self.clauses {
            clause.condition.visit(visitor)?;
            match &mut clause.action {
                MergeAction::Update(assignments) => {
                    for assignment in assignments {
                        assignment.value.walk(visitor)?;
                    }
                }
                MergeAction::Insert { columns: _, values } => {
                    for value in values {
                        value.walk(visitor)?;
                    }
                }
                MergeAction::Delete | MergeAction::UpdateAll | MergeAction::InsertAll => {}
            }
        }
        ControlFlow::Continue(())
    }
}

/// `MERGE`.
pub(super) fn merge(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["MERGE", "INTO"])?;
    let target = target(cursor)?;
    cursor.expect(&["USING"])?;
    let source = cursor.run(Parser::parse_table_factor)?;
    cursor.expect(&["ON"])?;
    let on = cursor.expression()?;
    let mut clauses = Vec::new();
    while cursor.peek_words(&["WHEN"]) {
        let clause = clause(cursor)?;
        refuse_unreachable(&clauses, &clause)?;
        clauses.push(clause);
    }
    refuse_clauses(cursor, "MERGE")?;
    if clauses.is_empty() {
        return Err(cursor.expected("WHEN MATCHED or WHEN NOT MATCHED"));
    }
    Ok(Statement::Merge(Box::new(Merge {
        target,
        source,
        on,
        clauses,
    })))
}

/// A clause behind one of its kind that takes every row would never be looked at.
fn refuse_unreachable(clauses: &[MergeClause], next: &MergeClause) -> Result<()> {
    let taken = clauses
        .iter()
        .any(|clause| clause.kind == next.kind && clause.condition.is_none());
    if !taken {
        return Ok(());
    }
    let message = format!(
        "an earlier {0} without AND takes every row of this clause; only the last {0} may leave \
         out its condition",
        next.kind.text()
    );
    Err(invalid_at(next.place, message))
}

fn clause(cursor: &mut Cursor) -> Result<MergeClause> {
    let place = cursor.location();
    cursor.expect(&["WHEN"])?;
    let kind = if cursor.accept(&["MATCHED"]) {
        MergeKind::Matched
    } else {
        cursor.expect(&["NOT", "MATCHED"])?;
        match cursor.accept(&["BY"]) {
            true if cursor.accept(&["SOURCE"]) => MergeKind::NotMatchedBySource,
            true if cursor.accept(&["TARGET"]) => MergeKind::NotMatched,
            true => return Err(cursor.expected("SOURCE or TARGET")),
            false => MergeKind::NotMatched,
        }
    };
    let condition = match cursor.accept(&["AND"]) {
        true => Some(cursor.expression()?),
        false => None,
    };
    cursor.expect(&["THEN"])?;
    let action = action(cursor, kind)?;
    Ok(MergeClause {
        kind,
        condition,
        action,
        place,
    })
}

fn action(cursor: &mut Cursor, kind: MergeKind) -> Result<MergeAction> {
    let changes = kind != MergeKind::NotMatched;
    let place = wrong_action(cursor, kind);
    match cursor.accept_one(&["DELETE", "UPDATE", "INSERT"]) {
        Some("DELETE") if changes => Ok(MergeAction::Delete),
        Some("UPDATE") if changes => {
            cursor.expect(&["SET"])?;
            if *cursor.peek() != Token::Mul {
                return assignments(cursor).map(MergeAction::Update);
            }
            if kind == MergeKind::NotMatchedBySource {
                return Err(cursor.unsupported(
                    "UPDATE SET * takes a row of the source, and WHEN NOT MATCHED BY SOURCE has none",
                ));
            }
            cursor.advance();
            Ok(MergeAction::UpdateAll)
        }
        Some("INSERT") if !changes => insert(cursor),
        _ => Err(place),
    }
}

fn wrong_action(cursor: &Cursor, kind: MergeKind) -> Error {
    if cursor.peek_words(&["DO", "NOTHING"]) {
        return cursor.unsupported(
            "DO NOTHING is not offered: leave these rows out by conditions of the other clauses",
        );
    }
    let actions = match kind {
        MergeKind::NotMatched => "INSERT",
        MergeKind::Matched | MergeKind::NotMatchedBySource => "UPDATE SET or DELETE",
    };
    cursor.expected(&format!("{actions} behind {}", kind.text()))
}

/// Behind `INSERT`.
fn insert(cursor: &mut Cursor) -> Result<MergeAction> {
    if cursor.accept_token(&Token::Mul) {
        return Ok(MergeAction::InsertAll);
    }
    let mut columns = Vec::new();
    if cursor.accept_token(&Token::LParen) {
        loop {
            columns.push(cursor.identifier("a column")?);
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
        cursor.expect_token(&Token::RParen)?;
    }
    let place = cursor.location();
    cursor.expect(&["VALUES"])?;
    cursor.expect_token(&Token::LParen)?;
    let mut values = Vec::new();
    loop {
        values.push(assigned_value(cursor)?);
        if !cursor.accept_token(&Token::Comma) {
            break;
        }
    }
    cursor.expect_token(&Token::RParen)?;
    if *cursor.peek() == Token::Comma {
        return Err(cursor.unsupported("INSERT of MERGE takes one row of values"));
    }
    if !columns.is_empty() && columns.len() != values.len() {
        let message = format!(
            "INSERT names {} columns and has {} values",
            columns.len(),
            values.len()
        );
        return Err(invalid_at(place, message));
    }
    Ok(MergeAction::Insert { columns, values })
}
