//! `DELETE FROM`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::Statement;
use super::change::{Target, condition, refusal, refuse_clauses, target};
use crate::parse::Cursor;

/// `DELETE FROM t [AS a] [WHERE condition]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Delete {
    /// Whose rows go.
    pub target: Target,
    /// Rows go for which it is true; all rows without it.
    pub condition: Option<Expr>,
}

impl Delete {
    /// Leads a visitor through the expressions.
    pub(super) fn walk<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        self.condition.visit(visitor)
    }
}

/// `DELETE`.
pub(super) fn delete(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["DELETE", "FROM"])?;
    let target = target(cursor)?;
    let place = cursor.location();
    if *cursor.peek() == Token::Comma {
        let hint = "write a DELETE for each table";
        return Err(refusal(place, "a second table", "DELETE", hint));
    }
    if cursor.peek_words(&["USING"]) {
        let hint = "write `WHERE EXISTS (SELECT …)`, or MERGE INTO … WHEN MATCHED THEN DELETE";
        return Err(refusal(place, "USING", "DELETE", hint));
    }
    refuse_clauses(cursor, "DELETE")?;
    let condition = condition(cursor)?;
    refuse_clauses(cursor, "DELETE")?;
    Ok(Statement::Delete(Box::new(Delete { target, condition })))
}
