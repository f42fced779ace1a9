//! The operator that waits when the task has run for long enough.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::task::{coop, yield_now};

use super::interruption::is_interruption;

/// The rows of its input, whose interruptions it waits out.
#[derive(Debug)]
pub(super) struct YieldingExec {
    input: Arc<dyn ExecutionPlan>,
    /// How many rows come without a wait between them, where that is few.
    rows_max: Option<usize>,
}

impl YieldingExec {
    /// Waits when the budget of the task is used up, of which each batch takes a little.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self {
            input,
            rows_max: None,
        }
    }

    /// Waits before each batch, which has so many rows at most.
    pub(super) fn few_rows(input: Arc<dyn ExecutionPlan>, rows_max: usize) -> Self {
        Self {
            input,
            rows_max: Some(rows_max),
        }
    }
}

impl DisplayAs for YieldingExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (form, self.rows_max) {
            (DisplayFormatType::TreeRender, None) => Ok(()),
            (DisplayFormatType::TreeRender, Some(rows)) => write!(f, "rows_max={rows}"),
            (_, None) => write!(f, "YieldingExec"),
            (_, Some(rows)) => write!(f, "YieldingExec: rows_max={rows}"),
        }
    }
}

impl ExecutionPlan for YieldingExec {
    fn name(&self) -> &str {
        "YieldingExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("a yielding operator has one input");
        };
        Ok(Arc::new(Self {
            input: Arc::clone(input),
            rows_max: self.rows_max,
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        Ok(match self.rows_max {
            None => Box::pin(Yielding { rows }),
            Some(rows_max) => few_rows(rows, rows_max),
        })
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        self.input.partition_statistics(partition)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// Rows of a join that may be interrupted.
struct Yielding {
    rows: SendableRecordBatchStream,
}

impl Stream for Yielding {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let budget = ready!(coop::poll_proceed(cx));
        let polled = self.rows.poll_next_unpin(cx);
        match polled {
            Poll::Ready(Some(Err(error))) if is_interruption(&error) => {
                budget.made_progress();
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(batch) => {
                budget.made_progress();
                Poll::Ready(batch)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl RecordBatchStream for Yielding {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// The same rows in batches of so many, with a wait before each.
fn few_rows(rows: SendableRecordBatchStream, rows_max: usize) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let few = rows.map_ok(move |batch| {
        let starts = (0..batch.num_rows()).step_by(rows_max);
        let pieces = starts.map(move |start| {
            let rows = rows_max.min(batch.num_rows() - start);
            Ok(batch.slice(start, rows))
        });
        stream::iter(pieces)
    });
    let few = few.try_flatten().and_then(|batch| async move {
        yield_now().await;
        Ok(batch)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, few))
}
