//! Refuses functions of many rows where a statement speaks of one row at a time.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{Expr, Function, ObjectNamePart, Query, Spanned, VisitorMut};
use lakehouse_core::error::{Error, Result};

use crate::parse::invalid_at;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Walks the expressions of a statement, but not those of queries inside of it.
pub(super) fn refuse_aggregates(statement: &mut Statement, state: &SessionState) -> Result<()> {
    let mut checker = Checker { state, queries: 0 };
    match walk(statement, &mut checker) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Checker<'a> {
    state: &'a SessionState,
    /// How many queries are around the present place.
    queries: usize,
}

impl Checker<'_> {
    fn is_aggregate(&self, function: &Function) -> bool {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return false;
        };
        let name = match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_lowercase(),
        };
        self.state.aggregate_functions().contains_key(&name)
    }
}

impl VisitorMut for Checker<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.queries += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.queries -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let what = match function.over.is_some() {
            true => "window function",
            false if self.is_aggregate(function) => "aggregate",
            false => return ControlFlow::Continue(()),
        };
        if self.queries > 0 {
            return ControlFlow::Continue(());
        }
        let message = format!(
            "the {what} {} is not allowed here, where one row at a time is looked at; write a \
             subquery: (SELECT {} …)",
            function.name, function.name
        );
        ControlFlow::Break(invalid_at(function.name.span().start, message))
    }
}
