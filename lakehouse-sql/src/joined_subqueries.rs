//! Refuses what is left of subqueries when plans are made to run.
//!
//! By then each of them should be a join. The engine says of the rest that an operator does not
//! support an expression, which nobody wrote.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// A planner that sees no subqueries.
#[derive(Debug)]
pub(crate) struct JoinedSubqueries {
    planner: Arc<dyn QueryPlanner + Send + Sync>,
}

impl JoinedSubqueries {
    pub(crate) fn new(planner: Arc<dyn QueryPlanner + Send + Sync>) -> Self {
        Self { planner }
    }
}

#[async_trait]
impl QueryPlanner for JoinedSubqueries {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.apply(|node| {
            node.apply_expressions(|expr| expr.apply(refuse_subquery))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        self.planner.create_physical_plan(plan, state).await
    }
}

fn refuse_subquery(expr: &Expr) -> Result<TreeNodeRecursion> {
    let message = match expr {
        Expr::ScalarSubquery(_) => {
            "a subquery that stands for a value refers to the query around by more than columns \
             that are equal; join its tables in the query around and group there"
        }
        Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
            "IN (SELECT …) or EXISTS cannot be made a join here; write a join, or the subquery \
             without LIMIT and in a WHERE"
        }
        Expr::OuterReferenceColumn(..) => {
            "LATERAL, or a subquery that refers to the query around, cannot be made a join here; \
             write a join"
        }
        _ => return Ok(TreeNodeRecursion::Continue),
    };
    Err(Error::unsupported(message).into())
}
