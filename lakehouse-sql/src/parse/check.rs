//! Refuses clauses that sqlparser reads and DataFusion's planner drops without a word.
//!
//! An ignored clause is a wrong answer (`TABLESAMPLE` would return the whole table), so each one is
//! an error here, before any name is looked up.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Query, Select, SetExpr, Spanned, TableFactor, VisitorMut};
use datafusion::sql::sqlparser::tokenizer::Location;
use lakehouse_core::error::{Error, Result};

use super::failure::{invalid_at, unsupported_at};
use crate::statement::Statement;
use crate::statement::relation::{self, Relation};

/// Walks all queries of a statement; see the module documentation.
pub(super) fn refuse_ignored_clauses(statement: &mut Statement) -> Result<()> {
    if let ControlFlow::Break(error) = relation::walk(statement, &mut Checker) {
        return Err(error);
    }
    relation::visit_tables_mut(statement, |factor, relation| match factor {
        TableFactor::Table {
            version: Some(version),
            name,
            ..
        } if relation != Relation::Table => {
            let message = format!(
                "`{version}` after {name}: only a stored table has versions, put the clause into \
                 the query that reads it"
            );
            Err(invalid_at(name.span().start, message))
        }
        _ => Ok(()),
    })
}

struct Checker;

impl VisitorMut for Checker {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let ignored = ignored_in_query(query).or_else(|| ignored_in_body(&query.body));
        refuse(ignored, query.span().start)?;
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            // In `WITH a AS (…) FROM t SELECT *` sqlparser gives `t` to the common table.
            if let Some(from) = &cte.from {
                refuse(Some("`FROM` between `WITH` and `SELECT`"), from.span.start)?;
            }
            // The planner finds common tables by the printed name, in which the dot of a quoted
            // name and the dot of a qualified table look the same.
            if cte.alias.name.value.contains('.') {
                let ignored = Some("a dot in the name of a common table expression");
                refuse(ignored, cte.alias.name.span.start)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        refuse(ignored_in_factor(factor), factor.span().start)
    }
}

fn refuse(ignored: Option<&str>, location: Location) -> ControlFlow<Error> {
    match ignored {
        Some(clause) => {
            ControlFlow::Break(unsupported_at(location, format!("{clause} is not offered")))
        }
        None => ControlFlow::Continue(()),
    }
}

fn ignored_in_query(query: &Query) -> Option<&'static str> {
    if !query.locks.is_empty() {
        Some("locking rows (`FOR UPDATE`, `FOR SHARE`)")
    } else if query.for_clause.is_some() {
        Some("`FOR XML`, `FOR JSON` or `FOR BROWSE`")
    } else if query.settings.is_some() {
        Some("`SETTINGS` in a query")
    } else if query.format_clause.is_some() {
        Some("`FORMAT` in a query")
    } else {
        None
    }
}

fn ignored_in_body(body: &SetExpr) -> Option<&'static str> {
    match body {
        SetExpr::Select(select) => ignored_in_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            ignored_in_body(left).or_else(|| ignored_in_body(right))
        }
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Some("a write inside of a query (`WITH … INSERT`, `UPDATE`, `DELETE`, `MERGE`)")
        }
        SetExpr::Table(_) => Some("`TABLE t` as a query (write `SELECT * FROM t`)"),
        SetExpr::Query(_) | SetExpr::Values(_) => None,
    }
}

fn ignored_in_select(select: &Select) -> Option<&'static str> {
    if select.into.is_some() {
        Some("`SELECT … INTO` (write `CREATE TABLE … AS SELECT`)")
    } else if select.prewhere.is_some() {
        Some("`PREWHERE`")
    } else if !select.connect_by.is_empty() {
        Some("`CONNECT BY`")
    } else if select.value_table_mode.is_some() {
        Some("`SELECT AS VALUE` or `SELECT AS STRUCT`")
    } else if select.select_modifiers.is_some() {
        Some("a modifier between `SELECT` and the columns")
    } else if select.exclude.is_some() {
        Some("`EXCLUDE` without `*`")
    } else {
        None
    }
}

fn ignored_in_factor(factor: &TableFactor) -> Option<&'static str> {
    match factor {
        TableFactor::Table {
            with_hints,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
            ..
        } => {
            if sample.is_some() {
                Some("`TABLESAMPLE`")
            } else if !partitions.is_empty() {
                Some("`PARTITION (…)` after a table name")
            } else if *with_ordinality {
                Some("`WITH ORDINALITY`")
            } else if json_path.is_some() {
                Some("a path after a table name")
            } else if !with_hints.is_empty() || !index_hints.is_empty() {
                Some("a hint after a table name")
            } else {
                None
            }
        }
        TableFactor::Derived {
            sample: Some(_), ..
        } => Some("`TABLESAMPLE`"),
        _ => None,
    }
}
