//! A change of rows as the engine executes it: one row for each change in, a snapshot and counts
//! out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr,
};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties,
};

use tracing::{Instrument, Span};

use super::RowChange;
use super::run::run;
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::provider::counted_write::{input_streams, properties_of, row_of, schema_of};
use crate::runtime;
use crate::table::Version;

/// The input's column of what becomes of rows, by position.
pub(super) const ACTION: usize = 0;
/// The input's column of data files, by position.
pub(super) const FILE: usize = 1;
/// The input's column of rows in them, by position.
pub(super) const POSITION: usize = 2;

/// Applies a change to the rows that its input names and commits it as one snapshot.
///
/// Takes all changes of one data file from one partition, in the order of the file; gives one row:
/// `count`, `inserted`, `updated`, `deleted`.
#[derive(Debug)]
pub struct RowChangeExec {
    change: Arc<RowChange>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl RowChangeExec {
    /// The operator; `input` has the columns of [`RowChange::input_schema`].
    ///
    /// # Errors
    /// As [`RowChange::check`]; an input of another form.
    pub fn try_new(change: Arc<RowChange>, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        change.check()?;
        let wanted = change.input_schema()?;
        let given = input.schema();
        if wanted.fields().len() != given.fields().len() {
            return Err(Error::internal(format!(
                "the rows of a change have {} columns where {} are wanted",
                given.fields().len(),
                wanted.fields().len()
            )));
        }
        Ok(Self {
            change,
            input,
            properties: properties_of(count_schema()),
        })
    }

    /// What is changed and how.
    pub fn change(&self) -> &Arc<RowChange> {
        &self.change
    }

    fn column(&self, position: usize) -> Arc<dyn PhysicalExpr> {
        Arc::new(Column::new(
            self.input.schema().field(position).name(),
            position,
        ))
    }
}

/// The columns of the one row that a change gives.
pub(super) fn count_schema() -> SchemaRef {
    schema_of(&["count", "inserted", "updated", "deleted"])
}

impl fmt::Display for RowChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (catalog, table) = (&self.target.catalog_name, self.target.table.ident());
        write!(f, "{:?} table={catalog}.{table}", self.statement)?;
        if let Some(Version::Branch(branch) | Version::Reference(branch)) = self.table().version() {
            write!(f, ", branch={branch}")?;
        }
        write!(f, "{}", self.terms)?;
        match self.removed.len() {
            0 => Ok(()),
            files => write!(f, ", files deleted whole={files}"),
        }
    }
}

impl DisplayAs for RowChangeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowChangeExec: {}", self.change)
    }
}

impl ExecutionPlan for RowChangeExec {
    fn name(&self) -> &'static str {
        "RowChangeExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::HashPartitioned(vec![self.column(FILE)])]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let sort = |position| PhysicalSortExpr::new(self.column(position), SortOptions::default());
        let order = LexOrdering::new([sort(FILE), sort(POSITION)]);
        vec![order.map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![true]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let input = children
            .pop()
            .ok_or_else(|| DataFusionError::from(Error::internal("a change needs an input")))?;
        Ok(Arc::new(Self::try_new(Arc::clone(&self.change), input)?))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let streams = input_streams(partition, &self.input, &context)?;
        let tasks = context.session_config().target_partitions();
        let change = Arc::clone(&self.change);
        let stop = Stop::new();
        let counts = async move {
            // Whoever drops the answer gives the change up; the tasks then clean up behind it.
            let _presence = stop.on_drop();
            let guard = change.target.table.storage().begin_work();
            let work = Box::pin(run(change, streams, tasks, stop)).instrument(Span::current());
            let counts = runtime::finish(guard, work).await??;
            let all = counts.inserted + counts.updated + counts.deleted;
            Ok([all, counts.inserted, counts.updated, counts.deleted])
        };
        Ok(row_of(self.schema(), counts))
    }
}
