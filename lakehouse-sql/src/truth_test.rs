//! `IS TRUE` and its kin, written as what they are planned as.
//!
//! They are never NULL. The engine plans them as `IS NOT DISTINCT FROM TRUE`, takes that for
//! something that may be NULL, and refuses aggregates of it, whose input is not what it was. So the
//! columns that a query makes of them are written that way at once; conditions stay as they are,
//! for what prunes by them.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{LogicalPlan, Operator, Union, binary_expr, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct TruthTestRule;

impl AnalyzerRule for TruthTestRule {
    fn name(&self) -> &str {
        "lakehouse_truth_tests"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        if !has_columns_of_tests(&plan)? {
            return Ok(plan);
        }
        plan.transform_up_with_subqueries(|node| {
            if !makes_columns(&node) {
                return with_schema_of_inputs(node).map(Transformed::yes);
            }
            let names = NamePreserver::new(&node);
            let written = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let written = expr.transform_up(|inner| Ok(written(inner)))?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })?;
            written.map_data(LogicalPlan::recompute_schema)
        })
        .data()
    }
}

fn has_columns_of_tests(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if makes_columns(node) {
            node.apply_expressions(|expr| {
                found |= expr.exists(|inner| Ok(is_test(inner)))?;
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

fn is_test(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::IsTrue(_) | Expr::IsFalse(_) | Expr::IsNotTrue(_) | Expr::IsNotFalse(_)
    )
}

/// The node with columns that may be NULL where those below may. The engine's own does not do it
/// for a union.
fn with_schema_of_inputs(node: LogicalPlan) -> Result<LogicalPlan> {
    match node {
        LogicalPlan::Union(union) => {
            Union::try_new_with_loose_types(union.inputs).map(LogicalPlan::Union)
        }
        other => other.recompute_schema(),
    }
}

fn makes_columns(node: &LogicalPlan) -> bool {
    matches!(
        node,
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_)
    )
}

fn written(expr: Expr) -> Transformed<Expr> {
    let (tested, operator, value) = match expr {
        Expr::IsTrue(tested) => (tested, Operator::IsNotDistinctFrom, true),
        Expr::IsFalse(tested) => (tested, Operator::IsNotDistinctFrom, false),
        Expr::IsNotTrue(tested) => (tested, Operator::IsDistinctFrom, true),
        Expr::IsNotFalse(tested) => (tested, Operator::IsDistinctFrom, false),
        other => return Transformed::no(other),
    };
    Transformed::yes(binary_expr(*tested, operator, lit(value)))
}
