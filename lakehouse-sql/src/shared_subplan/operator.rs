//! The operator above each of several twins: it lets nothing through, and reads shared rows.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::{Statistics, internal_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExprRef};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, SchedulingType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

use super::rows::SharedRows;

/// One twin of a share.
///
/// While plans are made it is a wall: rules see no order of its rows, push nothing into it, and so
/// leave twins the same. When all rules are done, the first twin of a share reads its input into
/// memory for all of them, and the others have no input any more.
#[derive(Debug)]
pub(super) struct SharedExec {
    share: usize,
    input: Arc<dyn ExecutionPlan>,
    /// The input as it was before filters of one run were put into it.
    pristine: Option<Arc<dyn ExecutionPlan>>,
    reader: Option<Reader>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

/// Rows that several twins read, and which of them this one is.
#[derive(Debug, Clone)]
struct Reader {
    rows: Arc<SharedRows>,
    number: usize,
}

impl SharedExec {
    /// A twin that shares nothing yet: its rows are its input's.
    pub(super) fn of(share: usize, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self {
            share,
            input,
            pristine: None,
            reader: None,
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// Keeps the input as it is now for runs after the first.
    pub(super) fn with_pristine(&self) -> Self {
        Self {
            pristine: Some(Arc::clone(&self.input)),
            ..Self::of(self.share, Arc::clone(&self.input))
        }
    }

    /// The first reader of its own rows, whose input may have become another.
    pub(super) fn with_first_reader(&self, input: Arc<dyn ExecutionPlan>) -> Self {
        let pristine = self.pristine.as_ref().unwrap_or(&input);
        let rows = SharedRows::new(Arc::clone(&input), Arc::clone(pristine));
        let number = rows.add_reader();
        Self {
            pristine: self.pristine.clone(),
            reader: Some(Reader { rows, number }),
            ..Self::of(self.share, input)
        }
    }

    /// One more reader of the rows of `first`.
    ///
    /// # Errors
    /// When `first` reads nothing, which no rule makes.
    pub(super) fn with_reader_of(&self, first: &Self) -> Result<Self> {
        let reader = first.reader.as_ref();
        let rows = reader.map(|reader| Arc::clone(&reader.rows));
        let rows = rows.ok_or_else(|| internal_datafusion_err!("a share without rows"))?;
        let number = rows.add_reader();
        Ok(Self {
            pristine: None,
            reader: Some(Reader { rows, number }),
            properties: Arc::clone(&self.properties),
            ..Self::of(self.share, Arc::clone(&first.input))
        })
    }

    pub(super) fn share(&self) -> usize {
        self.share
    }

    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    /// Whether rows of `self` may stand where those of `other` were planned: columns of the same
    /// types, dealt out to as many partitions by the same columns. Rows without an end are not kept.
    pub(super) fn can_stand_for(&self, other: &Self) -> bool {
        let (own, others) = (self.schema(), other.schema());
        let is_same = |(own, other): (&Arc<Field>, &Arc<Field>)| {
            own.data_type() == other.data_type() && own.is_nullable() == other.is_nullable()
        };
        self.properties.boundedness == Boundedness::Bounded
            && own.fields().len() == others.fields().len()
            && own.fields().iter().zip(others.fields()).all(is_same)
            && are_same_partitions(
                &self.properties.partitioning,
                &other.properties.partitioning,
            )
    }

    /// The rows' own columns by the names this twin has for them.
    fn named(schema: &SchemaRef, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref() == schema {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        let schema = Arc::clone(schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// Whether two inputs deal rows out alike. Columns count by their place; twins may name them
/// otherwise.
fn are_same_partitions(one: &Partitioning, other: &Partitioning) -> bool {
    match (one, other) {
        (Partitioning::Hash(keys, count), Partitioning::Hash(other_keys, other_count)) => {
            let places = |keys: &[PhysicalExprRef]| -> Option<Vec<usize>> {
                keys.iter()
                    .map(|key| Some(key.as_any().downcast_ref::<Column>()?.index()))
                    .collect()
            };
            let places = (places(keys), places(other_keys));
            count == other_count && places.0.is_some() && places.0 == places.1
        }
        (Partitioning::Hash(..), _) | (_, Partitioning::Hash(..)) => false,
        (one, other) => one.partition_count() == other.partition_count(),
    }
}

impl DisplayAs for SharedExec {
    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.reader {
            Some(reader) if reader.number == 0 => {
                format!("share={}, readers={}", self.share, reader.rows.readers())
            }
            Some(_) => format!("share={}, rows of the first", self.share),
            None => format!("share={}", self.share),
        };
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "SharedExec: {what}")
            }
            DisplayFormatType::TreeRender => writeln!(f, "{what}"),
        }
    }
}

impl ExecutionPlan for SharedExec {
    fn name(&self) -> &str {
        "SharedExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        match &self.reader {
            Some(reader) if reader.number > 0 => Vec::new(),
            _ => vec![&self.input],
        }
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.into_iter().next() {
            Some(input) if !Arc::ptr_eq(&input, &self.input) => Ok(Arc::new(Self {
                pristine: self.pristine.clone(),
                // The other readers keep the input they know; this one reads its new one alone.
                ..Self::of(self.share, input)
            })),
            _ => Ok(self),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(reader) = &self.reader else {
            return self.input.execute(partition, context);
        };
        let claim = reader.rows.claim(reader.number, partition);
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let schema = self.schema();
        let batches = stream::once(async move {
            let rows = claim.rows(&context).await?;
            // The claim is given back when the last batch was read.
            Ok::<_, DataFusionError>(rows.read()?.inspect(move |_| {
                let _held = &claim;
            }))
        });
        let named = Arc::clone(&schema);
        let batches = batches.try_flatten().map(move |batch| {
            let batch = Self::named(&named, batch?)?;
            Ok(batch.record_output(&metrics))
        });
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(
            schema,
            batches.boxed(),
        ))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        let mut metrics = self.metrics.clone_inner();
        if let Some(reader) = self.reader.as_ref().filter(|reader| reader.number == 0) {
            for metric in reader.rows.metrics().iter() {
                metrics.push(Arc::clone(metric));
            }
        }
        Some(metrics)
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        self.input.partition_statistics(partition)
    }
}
