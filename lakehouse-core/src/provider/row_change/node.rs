//! A change of rows in logical plans, and the step from there to its operator.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::exec::count_schema;
use super::{RowChange, RowChangeExec};
use crate::error::{Error, Result};

/// A change of rows whose input finds them; gives one row of counts.
#[derive(Debug, Clone)]
pub struct RowChangeNode {
    change: Arc<RowChange>,
    input: LogicalPlan,
    schema: DFSchemaRef,
}

impl RowChangeNode {
    /// The change of the rows that `input` gives, in the form of [`RowChange::input_schema`].
    ///
    /// # Errors
    /// As [`RowChange::check`] and [`RowChange::input_schema`]; an input of another form.
    pub fn try_new(change: RowChange, input: LogicalPlan) -> Result<Self> {
        change.check()?;
        let wanted = change.input_schema()?;
        let given = input.schema().fields();
        let pairs = || wanted.fields().iter().zip(given);
        let is_alike = given.len() == wanted.fields().len()
            && pairs().all(|(wanted, given)| wanted.data_type() == given.data_type());
        if !is_alike {
            return Err(Error::internal(format!(
                "the rows of a change have the columns {given:?} where {wanted:?} are wanted"
            )));
        }
        Ok(Self {
            change: Arc::new(change),
            input,
            schema: Arc::new(DFSchema::try_from(count_schema())?),
        })
    }

    /// What is changed and how.
    pub fn change(&self) -> &Arc<RowChange> {
        &self.change
    }

    /// The node as a plan.
    pub fn into_plan(self) -> LogicalPlan {
        LogicalPlan::Extension(Extension {
            node: Arc::new(self),
        })
    }
}

// Every change is its own: two nodes are alike when they are of one.

impl PartialEq for RowChangeNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.change, &other.change) && self.input == other.input
    }
}

impl Eq for RowChangeNode {}

impl PartialOrd for RowChangeNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for RowChangeNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.change).hash(state);
        self.input.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for RowChangeNode {
    fn name(&self) -> &'static str {
        "RowChange"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowChange: {}", self.change)
    }

    fn necessary_children_exprs(&self, _output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        // All of them. Without an answer the optimiser would leave what is below alone, so that
        // every column of the table would be read.
        Some(vec![(0..self.input.schema().fields().len()).collect()])
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        mut inputs: Vec<LogicalPlan>,
    ) -> EngineResult<Self> {
        let input = inputs
            .pop()
            .ok_or_else(|| DataFusionError::from(Error::internal("a change needs an input")))?;
        Ok(Self {
            change: Arc::clone(&self.change),
            input,
            schema: Arc::clone(&self.schema),
        })
    }
}

/// Plans [`RowChangeNode`]s.
#[derive(Debug, Clone, Copy, Default)]
pub struct RowChangePlanner;

#[async_trait]
impl ExtensionPlanner for RowChangePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session_state: &SessionState,
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<RowChangeNode>() else {
            return Ok(None);
        };
        let [input] = physical_inputs else {
            return Err(Error::internal("a change has one input").into());
        };
        let exec = RowChangeExec::try_new(Arc::clone(&node.change), Arc::clone(input))?;
        Ok(Some(Arc::new(exec)))
    }
}
