//! A write as the engine executes it: all partitions of its input in, one row of counts out.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};

use crate::error::{Error, Result};

/// The columns of the row.
pub(super) fn schema_of(counts: &[&str]) -> SchemaRef {
    let counts = counts.iter();
    let fields = counts.map(|name| Field::new(*name, DataType::UInt64, false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What the engine is to know of the operator.
pub(super) fn properties_of(schema: SchemaRef) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Final,
        Boundedness::Bounded,
    ))
}

/// All partitions of the input of a write, for its only one.
///
/// # Errors
/// For another partition; what the input answers.
pub(super) fn input_streams(
    partition: usize,
    input: &Arc<dyn ExecutionPlan>,
    context: &Arc<TaskContext>,
) -> EngineResult<Vec<SendableRecordBatchStream>> {
    if partition != 0 {
        return Err(Error::internal("a write has one partition").into());
    }
    let partitions = 0..input.output_partitioning().partition_count();
    partitions
        .map(|partition| input.execute(partition, Arc::clone(context)))
        .collect()
}

/// The row, once the write is done.
pub(super) fn row_of<const COUNT: usize>(
    schema: SchemaRef,
    counts: impl Future<Output = Result<[u64; COUNT]>> + Send + 'static,
) -> SendableRecordBatchStream {
    let of_row = Arc::clone(&schema);
    let row = async move {
        let counts = counts.await?;
        let columns = counts.map(|count| Arc::new(UInt64Array::from(vec![count])) as ArrayRef);
        Ok(RecordBatch::try_new(of_row, columns.to_vec())?)
    };
    Box::pin(RecordBatchStreamAdapter::new(
        schema,
        futures::stream::once(row),
    ))
}
