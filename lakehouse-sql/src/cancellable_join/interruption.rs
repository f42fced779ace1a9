//! The condition that interrupts its join when the task has run for long enough.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::internal_err;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use tokio::task::coop;

/// What an interrupted join ends with for now.
#[derive(Debug)]
struct Interruption;

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a join was interrupted and not taken up again")
    }
}

impl std::error::Error for Interruption {}

/// Whether a join that ended with this error is to be polled again.
pub(super) fn is_interruption(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::External(error) => error.is::<Interruption>(),
        _ => false,
    }
}

/// A condition that fails with an [`Interruption`] when the task's budget is used up.
///
/// A hashed and a nested join evaluate their condition before they change anything: polled again,
/// they evaluate it for the same pairs.
#[derive(Debug)]
pub(super) struct InterruptingFilter {
    filter: Arc<dyn PhysicalExpr>,
}

impl PartialEq for InterruptingFilter {
    fn eq(&self, other: &Self) -> bool {
        self.filter.eq(&other.filter)
    }
}

impl Eq for InterruptingFilter {}

impl Hash for InterruptingFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.filter.hash(state);
    }
}

impl InterruptingFilter {
    pub(super) fn new(filter: Arc<dyn PhysicalExpr>) -> Self {
        Self { filter }
    }
}

impl fmt::Display for InterruptingFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)
    }
}

impl PhysicalExpr for InterruptingFilter {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.filter.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.filter.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.filter.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        // The operator above wakes the task.
        match coop::poll_proceed(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(budget) => budget.made_progress(),
            Poll::Pending => return Err(DataFusionError::External(Box::new(Interruption))),
        }
        self.filter.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.filter]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let [filter] = children.as_slice() else {
            return internal_err!("an interrupting filter has one child");
        };
        Ok(Arc::new(Self::new(Arc::clone(filter))))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_sql(f)
    }
}
