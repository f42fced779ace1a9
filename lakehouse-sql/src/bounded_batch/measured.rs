//! Sorts and merges that hold as many rows at a time as their rows are wide.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::{Statistics, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, EmptyRecordBatchStream, ExecutionPlan, ExecutionPlanProperties,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use super::compact::batch_bytes;
use super::operator::bounded;

/// The first rows of an order are looked for among this many batches at once: theirs are smaller.
const BATCHES_PER_FIRST: usize = 8;
/// First rows that take more than so many batches are sorted as all rows, which spills.
const FIRST_BATCHES_MAX: usize = 8;

/// A sort or a merge that starts when the first of its rows have come, and then takes the engine's
/// number of rows of a batch from their width.
///
/// Whatever the input looks like, what a sort spills and what is merged are batches of that many
/// rows.
#[derive(Debug)]
pub(super) struct MeasuredExec {
    /// The engine's operator, whose input is a `BoundedBatchExec`.
    inner: Arc<dyn ExecutionPlan>,
    bytes_max: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl MeasuredExec {
    pub(super) fn new(inner: Arc<dyn ExecutionPlan>, bytes_max: usize) -> Self {
        Self {
            inner,
            bytes_max,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// The inputs of one partition of the inner operator, which they are started for.
    fn start(&self, partition: usize, context: &Arc<TaskContext>) -> Result<StartedInputs> {
        let [input] = self.inner.children()[..] else {
            return internal_err!("a sort and a merge have one input");
        };
        let mut inputs = StartedInputs::default();
        if self.inner.as_any().is::<SortExec>() {
            let rows = input.execute(partition, Arc::clone(context))?;
            inputs.rows.get_mut().insert(partition, rows);
            return Ok(inputs);
        }
        // A merge waits for the first rows of all.
        for number in 0..input.output_partitioning().partition_count() {
            let rows = spawn_buffered(input.execute(number, Arc::clone(context))?, 1);
            inputs.rows.get_mut().insert(number, rows);
        }
        Ok(inputs)
    }

    /// Runs the inner operator when the first rows are there; `share` is its own until then.
    async fn run(
        self,
        partition: usize,
        mut inputs: StartedInputs,
        share: Option<MemoryReservation>,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(first) = inputs.first().await? else {
            return Ok(Box::pin(EmptyRecordBatchStream::new(self.schema())));
        };
        let measured = self.measured(&first, &context);
        let context = inputs.context(self.bytes_max, measured.batch_rows, &context);
        drop((first, share));
        let rows = measured.inner.execute(partition, context)?;
        if measured.limit.is_none() {
            return Ok(rows);
        }
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let limited = LimitStream::new(rows, 0, measured.limit, metrics);
        Ok(Box::pin(limited))
    }

    /// How rows as those of `first` are sorted or merged.
    fn measured(&self, first: &RecordBatch, context: &TaskContext) -> Measured {
        let rows_max = context.session_config().batch_size();
        let sort = self.inner.as_any().downcast_ref::<SortExec>();
        let fetch = sort.and_then(|sort| Some((sort, sort.fetch()?)));
        let all = rows_within(first, self.bytes_max, rows_max);
        let Some((sort, fetch)) = fetch else {
            return Measured {
                inner: Arc::clone(&self.inner),
                batch_rows: all,
                limit: None,
            };
        };
        let kept = self.bytes_max.saturating_mul(FIRST_BATCHES_MAX);
        if fetch > rows_within(first, kept, usize::MAX) {
            return Measured {
                inner: Arc::new(sort.with_fetch(None)),
                batch_rows: all,
                limit: Some(fetch),
            };
        }
        Measured {
            inner: Arc::clone(&self.inner),
            batch_rows: rows_within(first, self.bytes_max / BATCHES_PER_FIRST, rows_max),
            limit: None,
        }
    }
}

/// What is run once the rows' width is known.
struct Measured {
    inner: Arc<dyn ExecutionPlan>,
    batch_rows: usize,
    limit: Option<usize>,
}

impl DisplayAs for MeasuredExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match form {
            DisplayFormatType::TreeRender => write!(f, "bytes_max={}", self.bytes_max),
            _ => write!(f, "MeasuredExec: bytes_max={}", self.bytes_max),
        }
    }
}

impl ExecutionPlan for MeasuredExec {
    fn name(&self) -> &str {
        "MeasuredExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [inner] = children.as_slice() else {
            return internal_err!("what is measured is one operator");
        };
        Ok(Arc::new(Self::new(Arc::clone(inner), self.bytes_max)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let this = Self {
            inner: Arc::clone(&self.inner),
            bytes_max: self.bytes_max,
            metrics: self.metrics.clone(),
        };
        let inputs = self.start(partition, &context)?;
        // Operators that start before a sort leave it its share of the budget.
        let is_sort = self.inner.as_any().is::<SortExec>();
        let share = is_sort.then(|| share_of_sort(&context));
        let rows = this.run(partition, inputs, share, context);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream::once(rows).try_flatten(),
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        self.inner.partition_statistics(partition)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        self.inner.cardinality_effect()
    }
}

/// A place among those who share the budget.
fn share_of_sort(context: &TaskContext) -> MemoryReservation {
    MemoryConsumer::new("sort that waits for rows")
        .with_can_spill(true)
        .register(context.memory_pool())
}

/// How many rows as those of `batch` are within so many bytes.
fn rows_within(batch: &RecordBatch, bytes_max: usize, rows_max: usize) -> usize {
    let bytes = batch_bytes(batch).max(1);
    let rows = bytes_max.saturating_mul(batch.num_rows()) / bytes;
    rows.clamp(1, rows_max.max(1))
}

/// Inputs of an operator that have been started already, by partition.
#[derive(Default)]
pub(super) struct StartedInputs {
    rows: Mutex<HashMap<usize, SendableRecordBatchStream>>,
}

impl StartedInputs {
    /// The first rows there are, which stay in their input; `None` when there are none at all.
    async fn first(&mut self) -> Result<Option<RecordBatch>> {
        for input in self.rows.get_mut().values_mut() {
            while let Some(batch) = input.try_next().await? {
                if batch.num_rows() > 0 {
                    let schema = input.schema();
                    let empty = Box::pin(EmptyRecordBatchStream::new(Arc::clone(&schema)));
                    let rest = std::mem::replace(input, empty);
                    let rows = stream::iter([Ok(batch.clone())]).chain(rest);
                    *input = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
                    return Ok(Some(batch));
                }
            }
        }
        Ok(None)
    }

    /// A context for an operator and the `BoundedBatchExec` below it, which gives these rows.
    fn context(
        mut self,
        bytes_max: usize,
        batch_rows: usize,
        context: &TaskContext,
    ) -> Arc<TaskContext> {
        // A sorted batch that is cut has the memory of the whole counted for each of its parts.
        let rows = self.rows.get_mut().drain();
        let rows = rows.map(|(number, rows)| (number, bounded(rows, bytes_max, batch_rows)));
        let rows = Mutex::new(rows.collect());
        let config = context.session_config().clone();
        let mut config = config
            .with_batch_size(batch_rows)
            .with_extension(Arc::new(Self { rows }));
        let execution = &mut config.options_mut().execution;
        execution.sort_in_place_threshold_bytes =
            execution.sort_in_place_threshold_bytes.min(bytes_max);
        Arc::new(TaskContext::new(
            context.task_id(),
            context.session_id(),
            config,
            context.scalar_functions().clone(),
            context.aggregate_functions().clone(),
            context.window_functions().clone(),
            context.runtime_env(),
        ))
    }

    /// The rows that a context brings with it, for the first who asks.
    pub(super) fn take(
        context: &TaskContext,
        partition: usize,
    ) -> Option<SendableRecordBatchStream> {
        let started = context.session_config().get_extension::<Self>();
        started?.rows.lock().remove(&partition)
    }
}
