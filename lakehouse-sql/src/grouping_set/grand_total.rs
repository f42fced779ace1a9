//! The row of the grouping set `()` where there are no rows to group.
//!
//! Each partition groups its rows for itself, and what it made of them is merged. If the first one
//! made nothing, it now gives a group of `()` without values, which changes nothing when there are
//! others.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExprRef};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, aggregate_expressions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, stream};

use super::REPETITION;

/// Puts the row where it may be missing. Runs before partial and final aggregates become one.
#[derive(Debug)]
pub(crate) struct GrandTotalRule;

impl PhysicalOptimizerRule for GrandTotalRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let Some(aggregate) = node.as_any().downcast_ref::<AggregateExec>() else {
                return Ok(Transformed::no(node));
            };
            Ok(match totals_of_nothing(aggregate)? {
                Some(totals) => Transformed::yes(Arc::new(GrandTotalExec::new(node, totals))),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_grand_totals"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What the sets without columns are given when there are no rows; `None` where there are no such
/// sets.
fn totals_of_nothing(aggregate: &AggregateExec) -> Result<Option<RecordBatch>> {
    let groups = aggregate.group_expr();
    if *aggregate.mode() != AggregateMode::Partial || groups.is_single() || groups.is_empty() {
        return Ok(None);
    }
    let states = states_of_nothing(aggregate)?;
    let schema = aggregate.schema();
    let mut totals = Vec::new();
    for set in groups.groups() {
        let columns = set.iter().zip(groups.expr().iter().zip(groups.null_expr()));
        let columns = columns.map(|(is_out, ((column, _), (null, _)))| match is_out {
            true => Some(null),
            false => Some(column).filter(|column| is_repetition(column)),
        });
        let Some(columns) = columns.collect::<Option<Vec<_>>>() else {
            continue;
        };
        let one_row = one_row_of_nothing()?;
        let mut row: Vec<ArrayRef> = columns
            .into_iter()
            .map(|column| column.evaluate(&one_row)?.into_array(1))
            .collect::<Result<_>>()?;
        let bits = set
            .iter()
            .fold(0, |bits, is_out| (bits << 1) | u64::from(*is_out));
        let id = schema.field(row.len()).data_type();
        row.push(ScalarValue::UInt64(Some(bits)).cast_to(id)?.to_array()?);
        row.extend(states.iter().cloned());
        totals.push(RecordBatch::try_new(Arc::clone(&schema), row)?);
    }
    match totals.is_empty() {
        true => Ok(None),
        false => Ok(Some(concat_batches(&schema, &totals)?)),
    }
}

/// Whether a column of a set only tells it from another.
fn is_repetition(column: &PhysicalExprRef) -> bool {
    let literal = column.as_any().downcast_ref::<Literal>();
    literal
        .and_then(|literal| literal.value().try_as_str().flatten())
        .is_some_and(|text| text.starts_with(REPETITION))
}

fn one_row_of_nothing() -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &options,
    )?)
}

/// The states of a group that no row is in.
fn states_of_nothing(aggregate: &AggregateExec) -> Result<Vec<ArrayRef>> {
    let functions = aggregate.aggr_expr();
    let input = aggregate.input_schema();
    let arguments = aggregate_expressions(functions, aggregate.mode(), 0)?;
    let no_row = BooleanArray::from(vec![false]);
    let mut states = Vec::new();
    for (function, arguments) in functions.iter().zip(arguments) {
        if !function.groups_accumulator_supported() {
            for state in function.create_accumulator()?.state()? {
                states.push(state.to_array()?);
            }
            continue;
        }
        let values: Vec<ArrayRef> = arguments
            .iter()
            .map(|argument| Ok(new_null_array(&argument.data_type(&input)?, 1)))
            .collect::<Result<_>>()?;
        let mut groups = function.create_groups_accumulator()?;
        // Without a filter, accumulators take every group of theirs to have a value.
        groups.update_batch(&values, &[0], Some(&no_row), 1)?;
        states.extend(groups.state(EmitTo::All)?);
    }
    Ok(states)
}

/// Passes rows on, and gives a row of its own if there are none.
#[derive(Debug)]
struct GrandTotalExec {
    input: Arc<dyn ExecutionPlan>,
    /// The rows in the place of none.
    totals: RecordBatch,
    properties: Arc<PlanProperties>,
}

impl GrandTotalExec {
    fn new(input: Arc<dyn ExecutionPlan>, totals: RecordBatch) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self {
            input,
            totals,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for GrandTotalExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GrandTotalExec")
    }
}

impl ExecutionPlan for GrandTotalExec {
    fn name(&self) -> &str {
        "GrandTotalExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = children.as_slice() else {
            return internal_err!("a grand total has one input");
        };
        Ok(Arc::new(Self::new(Arc::clone(input), self.totals.clone())))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        if partition > 0 {
            return Ok(rows);
        }
        let schema: SchemaRef = rows.schema();
        let start = (rows.fuse(), Some(self.totals.clone()));
        let rows = stream::unfold(start, |(mut rows, totals)| async move {
            match rows.next().await {
                Some(Ok(batch)) => {
                    let totals = totals.filter(|_| batch.num_rows() == 0);
                    Some((Ok(batch), (rows, totals)))
                }
                Some(Err(error)) => Some((Err(error), (rows, None))),
                None => totals.map(|totals| (Ok(totals), (rows, None))),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}
