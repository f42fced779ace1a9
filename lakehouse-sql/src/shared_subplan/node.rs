//! The logical node above each of several twins.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DFSchemaRef, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::operator::SharedExec;

/// A subplan whose rows are those of all subplans with the same share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SharedNode {
    share: usize,
    input: LogicalPlan,
}

impl SharedNode {
    /// Marks `input` as one of the twins of a share.
    pub(super) fn mark(share: usize, input: LogicalPlan) -> LogicalPlan {
        let node = Arc::new(Self { share, input });
        LogicalPlan::Extension(Extension { node })
    }
}

impl PartialOrd for SharedNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let order = (self.share, &self.input).partial_cmp(&(other.share, &other.input));
        order.filter(|order| order.is_ne() || self == other)
    }
}

impl UserDefinedLogicalNodeCore for SharedNode {
    fn name(&self) -> &str {
        "Shared"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shared: share={}", self.share)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = inputs
            .pop()
            .ok_or_else(|| plan_datafusion_err!("a shared subplan without its input"))?;
        let share = self.share;
        Ok(Self { share, input })
    }
}

/// Plans [`SharedNode`]s.
pub(super) struct SharedPlanner;

#[async_trait]
impl ExtensionPlanner for SharedPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _state: &SessionState,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let shared = node.as_any().downcast_ref::<SharedNode>();
        let (Some(shared), [input]) = (shared, physical_inputs) else {
            return Ok(None);
        };
        Ok(Some(Arc::new(SharedExec::of(
            shared.share,
            Arc::clone(input),
        ))))
    }
}
