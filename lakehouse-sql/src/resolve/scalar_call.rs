//! Refuses clauses of scalar functions, which the engine's planner drops without a word.
//!
//! `abs(x) FILTER (WHERE …)` would be `abs(x)` of every row. Which functions are scalar only the
//! session knows, so the check stands here and not beside the parser's.

use std::ops::ControlFlow;

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArgumentList, FunctionArguments,
    ObjectNamePart, Spanned, VisitorMut,
};
use lakehouse_core::error::{Error, Result};

use crate::parse::unsupported_at;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Walks every call of a statement.
pub(super) fn refuse_ignored_clauses(
    statement: &mut Statement,
    state: &SessionState,
) -> Result<()> {
    match walk(statement, &mut Checker(state)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Checker<'a>(&'a SessionState);

impl VisitorMut for Checker<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::Function(function) = expr
            && let Some(clause) = clause_of(function)
            && self.is_scalar(function)
        {
            let message = format!(
                "{clause} is for functions of many rows, and {} is of one",
                function.name
            );
            return ControlFlow::Break(unsupported_at(function.name.span().start, message));
        }
        ControlFlow::Continue(())
    }
}

impl Checker<'_> {
    fn is_scalar(&self, function: &Function) -> bool {
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
            return false;
        };
        let name = match name.quote_style {
            Some(_) => name.value.clone(),
            None => name.value.to_lowercase(),
        };
        name == "unnest" || self.0.scalar_functions().contains_key(&name)
    }
}

/// A clause of a call that only aggregates and window functions have.
fn clause_of(function: &Function) -> Option<&'static str> {
    let Function {
        name: _,
        uses_odbc_syntax: _,
        parameters: _,
        args,
        filter,
        null_treatment,
        over,
        within_group,
    } = function;
    if filter.is_some() {
        Some("`FILTER`")
    } else if null_treatment.is_some() {
        Some("`IGNORE NULLS` or `RESPECT NULLS`")
    } else if over.is_some() {
        Some("`OVER`")
    } else if !within_group.is_empty() {
        Some("`WITHIN GROUP`")
    } else {
        clause_of_arguments(args)
    }
}

fn clause_of_arguments(arguments: &FunctionArguments) -> Option<&'static str> {
    let FunctionArguments::List(list) = arguments else {
        return None;
    };
    let FunctionArgumentList {
        duplicate_treatment,
        args: _,
        clauses,
    } = list;
    if duplicate_treatment.is_some() {
        return Some("`DISTINCT` or `ALL`");
    }
    clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(_) => Some("`ORDER BY`"),
        FunctionArgumentClause::IgnoreOrRespectNulls(_) => {
            Some("`IGNORE NULLS` or `RESPECT NULLS`")
        }
        // The planner refuses the others by name.
        _ => None,
    })
}
