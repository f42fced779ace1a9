//! Sorts that spill and merge as many rows at a time as their rows are wide.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::compact::batch_bytes;

/// A sort that starts when the first of its rows have come, and then takes the engine's number of
/// rows of a batch from their width.
///
/// Whatever a sort's input looks like, what it spills and what it merges are batches of that many
/// rows.
#[derive(Debug)]
pub(super) struct MeasuredSortExec {
    /// The engine's sort, whose input is a `BoundedBatchExec`.
    sort: Arc<dyn ExecutionPlan>,
    bytes_max: usize,
}

impl MeasuredSortExec {
    pub(super) fn new(sort: Arc<dyn ExecutionPlan>, bytes_max: usize) -> Self {
        Self { sort, bytes_max }
    }
}

impl DisplayAs for MeasuredSortExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match form {
            DisplayFormatType::TreeRender => write!(f, "bytes_max={}", self.bytes_max),
            _ => write!(f, "MeasuredSortExec: bytes_max={}", self.bytes_max),
        }
    }
}

impl ExecutionPlan for MeasuredSortExec {
    fn name(&self) -> &str {
        "MeasuredSortExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.sort.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.sort]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [sort] = children.as_slice() else {
            return internal_err!("a measured sort is of one sort");
        };
        Ok(Arc::new(Self::new(Arc::clone(sort), self.bytes_max)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let [input] = self.sort.children()[..] else {
            return internal_err!("a sort has one input");
        };
        let mut input = input.execute(partition, Arc::clone(&context))?;
        // Others that start before the sort leave it its share.
        let share = MemoryConsumer::new("sort that waits for rows")
            .with_can_spill(true)
            .register(context.memory_pool());
        let (sort, bytes_max) = (Arc::clone(&self.sort), self.bytes_max);
        let sorted = async move {
            let first = loop {
                match input.try_next().await? {
                    Some(batch) if batch.num_rows() == 0 => {}
                    first => break first,
                }
            };
            let Some(first) = first else {
                let empty = EmptyRecordBatchStream::new(sort.schema());
                return Ok(Box::pin(empty) as SendableRecordBatchStream);
            };
            let rows = rows_within(&first, bytes_max, context.session_config().batch_size());
            let schema = input.schema();
            let input = stream::iter([Ok(first)]).chain(input);
            let input = Box::pin(RecordBatchStreamAdapter::new(schema, input));
            let context = StartedInput::context(input, rows, &context);
            drop(share);
            sort.execute(partition, context)
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream::once(sorted).try_flatten(),
        )))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        self.sort.partition_statistics(partition)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// How many rows as those of `batch` are within so many bytes.
fn rows_within(batch: &RecordBatch, bytes_max: usize, rows_max: usize) -> usize {
    let bytes = batch_bytes(batch).max(1);
    let rows = bytes_max.saturating_mul(batch.num_rows()) / bytes;
    rows.clamp(1, rows_max.max(1))
}

/// The input of a sort that has been started already.
pub(super) struct StartedInput {
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl StartedInput {
    /// A context for a sort and the `BoundedBatchExec` below it, which gives these rows.
    fn context(
        rows: SendableRecordBatchStream,
        batch_rows: usize,
        context: &TaskContext,
    ) -> Arc<TaskContext> {
        let started = Self {
            rows: Mutex::new(Some(rows)),
        };
        let config = context.session_config().clone();
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config
                .with_batch_size(batch_rows)
                .with_extension(Arc::new(started)),
            context.scalar_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }

    /// The rows that a context brings with it, for the first who asks.
    pub(super) fn take(context: &TaskContext) -> Option<SendableRecordBatchStream> {
        let started = context.session_config().get_extension::<Self>();
        started?.rows.lock().take()
    }
}
