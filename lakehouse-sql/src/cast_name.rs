//! Names of aggregates whose arguments are cast.
//!
//! The engine leaves casts out of names, so that `count(x)` and `count(CAST(x AS BIGINT))` would be
//! two columns of one name, which it refuses.

use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr,
};
use datafusion::prelude::Expr;

/// See the module documentation. Stands before the engine's planners, which make the calls.
#[derive(Debug)]
pub(crate) struct CastNames;

impl ExprPlanner for CastNames {
    fn plan_aggregate(
        &self,
        mut call: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        call.args = named(call.args);
        Ok(PlannerResult::Original(call))
    }

    fn plan_window(&self, mut call: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        call.args = named(call.args);
        Ok(PlannerResult::Original(call))
    }
}

fn named(arguments: Vec<Expr>) -> Vec<Expr> {
    let named = arguments
        .into_iter()
        .map(|argument| match is_cast(&argument) {
            true => {
                let name = argument.to_string();
                argument.alias(name)
            }
            false => argument,
        });
    named.collect()
}

/// Whether a column is cast in an argument.
fn is_cast(argument: &Expr) -> bool {
    let is_cast = |expr: &Expr| matches!(expr, Expr::Cast(_) | Expr::TryCast(_));
    argument.any_column_refs() && argument.exists(|expr| Ok(is_cast(expr))).unwrap_or(false)
}
