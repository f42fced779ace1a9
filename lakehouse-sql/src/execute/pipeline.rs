//! Statements whose rows flow from their scans to the user, so that the first need not wait for the
//! last.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;

/// Whether no operator of an optimised plan waits for all rows of another, or asks for statistics
/// of a whole table to be planned well.
///
/// An explanation without execution is none: it tells which files are read, so it plans them all.
pub(super) fn is_pipeline(plan: &LogicalPlan) -> Result<bool> {
    let mut is_pipeline = true;
    plan.apply_with_subqueries(|node| {
        is_pipeline = matches!(
            node,
            LogicalPlan::EmptyRelation(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Projection(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::Union(_)
                | LogicalPlan::Values(_)
        );
        Ok(match is_pipeline {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    })?;
    Ok(is_pipeline)
}
