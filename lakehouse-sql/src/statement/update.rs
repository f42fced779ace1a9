//! `UPDATE`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, TableWithJoins, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;
use lakehouse_core::error::Result;

use super::Statement;
use super::change::{Assignment, Target, assignments, condition, refusal, refuse_clauses, target};
use crate::parse::Cursor;

/// `UPDATE t [AS a] SET column = value, … [FROM relations] [WHERE condition]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Whose rows change.
    pub target: Target,
    /// What changes in them.
    pub assignments: Vec<Assignment>,
    /// Other relations; a row of the target takes part with one row of theirs at most.
    pub from: Vec<TableWithJoins>,
    /// Rows change for which it is true; all rows without it.
    pub condition: Option<Expr>,
}

impl Update {
    /// Leads a visitor through the expressions and relations.
    pub(super) fn walk<V: VisitorMut>(&mut self, visitor: &mut V) -> ControlFlow<V::Break> {
        for assignment in &mut self.assignments {
            assignment.value.walk(visitor)?;
        }
        self.from.visit(visitor)?;
        self.condition.visit(visitor)
    }
}

/// `UPDATE`.
pub(super) fn update(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect(&["UPDATE"])?;
    let target = target(cursor)?;
    let place = cursor.location();
    if *cursor.peek() == Token::Comma || cursor.peek_words(&["JOIN"]) {
        let hint = "write `UPDATE t SET … FROM other WHERE …`";
        return Err(refusal(place, "a second table before SET", "UPDATE", hint));
    }
    cursor.expect(&["SET"])?;
    if *cursor.peek() == Token::Mul {
        let hint = "name the columns; MERGE offers UPDATE SET *";
        return Err(refusal(cursor.location(), "SET *", "UPDATE", hint));
    }
    let assignments = assignments(cursor)?;
    let from = match cursor.accept(&["FROM"]) {
        true => cursor.run(|parser| parser.parse_comma_separated(Parser::parse_table_and_joins))?,
        false => Vec::new(),
    };
    refuse_clauses(cursor, "UPDATE")?;
    let condition = condition(cursor)?;
    refuse_clauses(cursor, "UPDATE")?;
    Ok(Statement::Update(Box::new(Update {
        target,
        assignments,
        from,
        condition,
    })))
}
