//! Columns of a `SELECT` without a name of their own, where two would get the same one.
//!
//! The engine refuses `SELECT NULL, NULL` and `SELECT a, a`; other engines do not, and an
//! `INSERT … SELECT NULL, NULL` is everyday SQL. A repeated column gets its text and its place as
//! its name.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Query, Select, SelectItem, SetExpr, VisitorMut,
};

use crate::statement::Statement;
use crate::statement::relation::walk;

/// Gives names to the repeated columns of every `SELECT` of a statement.
pub(super) fn name_repeated_columns(statement: &mut Statement) {
    let ControlFlow::Continue(()) = walk(statement, &mut Namer);
}

struct Namer;

impl VisitorMut for Namer {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        name_in_body(&mut query.body);
        ControlFlow::Continue(())
    }
}

fn name_in_body(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => name_in_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            name_in_body(left);
            name_in_body(right);
        }
        _ => {}
    }
}

fn name_in_select(select: &mut Select) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (place, item) in select.projection.iter_mut().enumerate() {
        let SelectItem::UnnamedExpr(expr) = item else {
            continue;
        };
        let text = expr.to_string();
        // The engine calls every subquery the same.
        let is_subquery = matches!(expr, Expr::Subquery(_));
        let is_new = seen.insert(text.to_lowercase());
        if is_new && !is_subquery {
            continue;
        }
        let name = if is_new {
            text
        } else {
            format!("{text}:{}", place + 1)
        };
        *item = SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: Ident::with_quote('"', name),
        };
    }
}
