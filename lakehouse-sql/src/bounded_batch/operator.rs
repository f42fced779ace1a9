//! The operator that bounds its input's batches.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Statistics, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{TryStreamExt, stream};

use super::compact::{compact, pieces};
use super::measured::StartedInputs;

/// The rows of its input in batches of so many bytes at most, each with its values to itself.
#[derive(Debug)]
pub(super) struct BoundedBatchExec {
    input: Arc<dyn ExecutionPlan>,
    bytes_max: usize,
}

impl BoundedBatchExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, bytes_max: usize) -> Self {
        Self { input, bytes_max }
    }
}

impl DisplayAs for BoundedBatchExec {
    fn fmt_as(&self, form: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match form {
            DisplayFormatType::TreeRender => write!(f, "bytes_max={}", self.bytes_max),
            _ => write!(f, "BoundedBatchExec: bytes_max={}", self.bytes_max),
        }
    }
}

impl ExecutionPlan for BoundedBatchExec {
    fn name(&self) -> &str {
        "BoundedBatchExec"
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
            return internal_err!("bounded batches have one input");
        };
        Ok(Arc::new(Self::new(Arc::clone(input), self.bytes_max)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if let Some(started) = StartedInputs::take(&context, partition) {
            return Ok(started);
        }
        let bytes_max = self.bytes_max;
        let batches = self.input.execute(partition, context)?;
        Ok(bounded(batches, bytes_max, usize::MAX))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        self.input.partition_statistics(partition)
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::Equal
    }
}

/// The same rows in batches of so many bytes and rows at most, each with its values to itself.
pub(super) fn bounded(
    batches: SendableRecordBatchStream,
    bytes_max: usize,
    rows_max: usize,
) -> SendableRecordBatchStream {
    let schema = batches.schema();
    let bounded = batches.map_ok(move |batch| {
        let pieces = pieces(&batch, bytes_max, rows_max).into_iter();
        stream::iter(pieces.map(|piece| compact(piece).map_err(DataFusionError::from)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, bounded.try_flatten()))
}
