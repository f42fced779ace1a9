//! `WITH x(a, b) AS (query)`: the names of its columns move to a table of the `FROM` clause,
//! `WITH x AS (SELECT * FROM (query) AS x(a, b))`, where they are given by place.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Cte, Query, SelectItem, SetExpr, TableAlias, TableFactor, VisitorMut,
};
use datafusion::sql::sqlparser::parser::Parser;
use lakehouse_core::error::{Error, Result};

use crate::parse::DIALECT;
use crate::statement::Statement;
use crate::statement::relation::walk;

/// Moves the names of every common table's columns; those of a recursive one into its first query,
/// `SELECT … AS a, … AS b`, because the engine knows it by that query's own names.
pub(super) fn move_column_names(statement: &mut Statement) -> Result<()> {
    match walk(statement, &mut Mover) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Mover;

impl VisitorMut for Mover {
    type Break = Error;

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let Some(with) = &mut query.with else {
            return ControlFlow::Continue(());
        };
        for cte in &mut with.cte_tables {
            if with.recursive {
                name_first_query(cte);
            } else if let Err(error) = move_names(cte) {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    }
}

fn name_first_query(cte: &mut Cte) {
    let mut body = cte.query.body.as_mut();
    while let SetExpr::SetOperation { left, .. } = body {
        body = left.as_mut();
    }
    let SetExpr::Select(select) = body else {
        return;
    };
    let is_column = |item: &SelectItem| {
        matches!(
            item,
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
        )
    };
    // Otherwise the names are given to the result as a whole.
    if select.projection.len() != cte.alias.columns.len()
        || !select.projection.iter().all(is_column)
    {
        return;
    }
    for (item, column) in select
        .projection
        .iter_mut()
        .zip(cte.alias.columns.drain(..))
    {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: column.name,
            };
        }
    }
}

fn move_names(cte: &mut Cte) -> Result<()> {
    if cte.alias.columns.is_empty() {
        return Ok(());
    }
    let mut renaming = Parser::new(&DIALECT)
        .try_with_sql("SELECT * FROM t")
        .and_then(|mut parser| parser.parse_query())
        .map_err(|error| Error::internal(error.to_string()))?;
    let SetExpr::Select(select) = renaming.body.as_mut() else {
        return Err(Error::internal("a SELECT was read as another query"));
    };
    let [table] = select.from.as_mut_slice() else {
        return Err(Error::internal("a FROM was read without its table"));
    };
    table.relation = TableFactor::Derived {
        lateral: false,
        subquery: cte.query.clone(),
        alias: Some(TableAlias {
            explicit: true,
            name: cte.alias.name.clone(),
            columns: std::mem::take(&mut cte.alias.columns),
        }),
        sample: None,
    };
    cte.query = renaming;
    Ok(())
}
