//! What a change of rows says about the rows it looks at, as the table format compares it.
//!
//! Files that others write meanwhile conflict with the change only where they may hold such rows.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Filter, LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::Expr;
use lakehouse_core::error::Result;
use lakehouse_core::provider::filter_predicate;
use lakehouse_core::scan::Predicate;
use lakehouse_core::table::Table;

use super::change::Found;

/// Conditions that are true of every row that a change looks at.
pub(super) struct Condition(Vec<Expr>);

impl Condition {
    /// Every row is looked at.
    pub(super) fn all() -> Self {
        Self(Vec::new())
    }

    /// What a `WHERE` says.
    pub(super) fn of_filter(input: &LogicalPlan) -> Self {
        Self(match input {
            LogicalPlan::Filter(filter) => split_conjunction_owned(filter.predicate.clone()),
            _ => Vec::new(),
        })
    }

    /// What an `ON` says.
    pub(super) fn of_join(input: &LogicalPlan) -> Self {
        Self(match input {
            LogicalPlan::Join(join) => join
                .filter
                .iter()
                .flat_map(|filter| split_conjunction_owned(filter.clone()))
                .collect(),
            _ => Vec::new(),
        })
    }

    /// The conditions about the target alone, which need nothing else to be known.
    fn about_target(&self, target: &HashSet<Column>) -> Vec<Expr> {
        let is_about = |expr: &&Expr| {
            let columns = expr.column_refs();
            let is_known = !expr.is_volatile() && !has_subquery(expr);
            is_known && columns.iter().all(|column| target.contains(*column))
        };
        self.0.iter().filter(is_about).cloned().collect()
    }
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    })
    .unwrap_or(true)
}

/// The filter by which a change finds conflicts. It holds for every row that the change looks at,
/// and may hold for more.
pub(super) fn conflict_filter(
    condition: &Condition,
    found: &Found,
    table: &Table,
    state: &SessionState,
) -> Result<Predicate> {
    let target: HashSet<Column> = found.target().into_iter().collect();
    let Some(filter) = conjunction(condition.about_target(&target)) else {
        return Ok(Predicate::AlwaysTrue);
    };
    let Some(scan) = leftmost(&found.input) else {
        return Ok(Predicate::AlwaysTrue);
    };
    // The conditions as the engine would give them to a scan: with types made equal, simplified.
    let plan = LogicalPlanBuilder::from(scan).filter(filter)?.build()?;
    let plan = state.optimize(&plan)?;
    let mut filters = Vec::new();
    let mut is_empty = true;
    plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                is_empty = false;
                filters.extend(scan.filters.iter().cloned());
            }
            LogicalPlan::Filter(Filter { predicate, .. }) => {
                filters.extend(split_conjunction_owned(predicate.clone()));
            }
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(match is_empty {
        true => Predicate::AlwaysFalse,
        false => filter_predicate(&filters, table),
    })
}

/// The target: what stands furthest to the left.
fn leftmost(plan: &LogicalPlan) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) => Some(plan.clone()),
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::Projection(_) => {
            plan.inputs().first().and_then(|input| leftmost(input))
        }
        _ => None,
    }
}
