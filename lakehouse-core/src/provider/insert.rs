//! INSERT as the engine executes it: rows in, one snapshot and a count out.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::OrderingRequirements;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, PlanProperties,
    execute_stream_partitioned,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use super::counted_write::{input_streams, properties_of, row_of, schema_of};
use super::insert_into::InsertInto;
use super::write_layout::WriteLayout;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::{FoundTable, Lake};
use crate::runtime;
use crate::table::Table;
use crate::write::{EndedFiles, RowOrder, TableWriter, WriteOptions, WrittenFile};

/// Files that a statement wrote, and the rows in them.
#[derive(Debug, Default)]
pub struct WrittenRows {
    /// The files; no snapshot names them yet.
    pub files: Vec<WrittenFile>,
    /// Rows in all files.
    pub rows: u64,
}

/// Writes streams of rows in a table's current schema into new data files, one task a stream.
///
/// # Errors
/// Rows the table cannot hold, and what the store answers; the files written so far are then
/// deleted, as they are when the future is dropped.
pub async fn write_streams(
    lake: &Lake,
    table: &Table,
    streams: Vec<SendableRecordBatchStream>,
) -> Result<WrittenRows> {
    let writes = Writes {
        properties: HashMap::new(),
        order: RowOrder::Any,
    };
    write_all(lake, table, streams, writes).await
}

/// Runs a plan whose rows are a new table's, and writes them as [`write_streams`] does, distributed
/// and sorted as the table wants it; `properties` go before the table's.
///
/// # Errors
/// As [`write_streams`]; for properties that cannot be read, before any row is.
pub async fn write_plan(
    lake: &Lake,
    table: &Table,
    plan: Arc<dyn ExecutionPlan>,
    properties: HashMap<String, String>,
    context: &Arc<TaskContext>,
) -> Result<WrittenRows> {
    let layout = WriteLayout::try_new(table, &properties, &plan.schema())?;
    let writers = context.session_config().target_partitions();
    let plan = layout.arranged(plan, writers)?;
    let order = layout.row_order(&plan)?;
    let streams = execute_stream_partitioned(plan, Arc::clone(context))?;
    write_all(lake, table, streams, Writes { properties, order }).await
}

/// What the writers of one statement have in common.
#[derive(Debug, Clone)]
struct Writes {
    properties: HashMap<String, String>,
    order: RowOrder,
}

async fn write_all(
    lake: &Lake,
    table: &Table,
    streams: Vec<SendableRecordBatchStream>,
    writes: Writes,
) -> Result<WrittenRows> {
    let query_id = lake.clock().new_uuid();
    // Rows that are dealt out or sorted have no number that anybody knows.
    let is_numbered = streams.len() == 1 && writes.order == RowOrder::Any;
    let mut writers = Vec::with_capacity(streams.len());
    for task in 0..streams.len() {
        let mut options = WriteOptions::new(lake.runtime().reserve("write"), query_id)
            .with_task(u32::try_from(task).unwrap_or(u32::MAX))
            .with_spill_space(lake.runtime().spill_space())
            .with_row_order(writes.order);
        if is_numbered {
            options = options.with_row_numbers();
        }
        for (key, value) in &writes.properties {
            options = options.with_property(key, value);
        }
        writers.push(TableWriter::try_new(table, options)?);
    }
    let has_failed = Arc::new(AtomicBool::new(false));
    let tasks = writers.into_iter().zip(streams);
    let tasks = tasks.map(|(writer, stream)| {
        runtime::spawn(write_stream(writer, stream, Arc::clone(&has_failed)))
    });
    let mut tasks: FuturesUnordered<_> = tasks.collect();
    // Dropped files go away, also when this future is dropped.
    let mut files = EndedFiles::new(table.storage().clone());
    let (mut rows, mut failed) = (0, None);
    while let Some(outcome) = tasks.next().await {
        match outcome.and_then(|outcome| outcome) {
            Ok((more, count)) => {
                files.join(more);
                rows += count;
            }
            Err(error) => {
                // The other writers give up too; the first error is the one to tell.
                has_failed.store(true, Ordering::Relaxed);
                failed = failed.or(Some(error));
            }
        }
    }
    let Some(error) = failed else {
        let files = files.take();
        return Ok(WrittenRows { files, rows });
    };
    if let Err(left) = files.delete().await {
        // What cannot be deleted is a file that nobody names; the cause matters more.
        tracing::warn!(error = %left, "files of a failed write were left behind");
    }
    Err(error)
}

async fn write_stream(
    mut writer: TableWriter,
    mut rows: SendableRecordBatchStream,
    has_failed: Arc<AtomicBool>,
) -> Result<(EndedFiles, u64)> {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let written = match batch {
            _ if has_failed.load(Ordering::Relaxed) => Err(Error::new(
                ErrorKind::Cancelled,
                "another writer of the statement failed",
            )),
            Ok(batch) => {
                count += batch.num_rows() as u64;
                writer.write(batch).await
            }
            Err(error) => Err(Error::from(error)),
        };
        if let Err(error) = written {
            if let Err(left) = writer.abort().await {
                tracing::warn!(error = %left, "files of a failed write were left behind");
            }
            return Err(error);
        }
    }
    Ok((writer.finish().await?, count))
}

/// The columns of the one row that an insert gives.
const COUNTS: [&str; 1] = ["count"];

/// Writes its input's rows to a lake's table and commits them as one snapshot.
#[derive(Debug)]
pub(super) struct InsertExec {
    lake: Lake,
    target: FoundTable,
    into: InsertInto,
    input: Arc<dyn ExecutionPlan>,
    layout: WriteLayout,
    properties: Arc<PlanProperties>,
}

impl InsertExec {
    /// # Errors
    /// For a layout that the table asks for and that is not known.
    pub(super) fn try_new(
        lake: Lake,
        target: FoundTable,
        into: InsertInto,
        input: Arc<dyn ExecutionPlan>,
    ) -> Result<Self> {
        let properties = &into.terms.properties;
        let layout = WriteLayout::try_new(&target.table, properties, &input.schema())?;
        let layout = layout.in_order_of(&input);
        Ok(Self::with_layout(lake, target, into, input, layout))
    }

    fn with_layout(
        lake: Lake,
        target: FoundTable,
        into: InsertInto,
        input: Arc<dyn ExecutionPlan>,
        layout: WriteLayout,
    ) -> Self {
        Self {
            lake,
            target,
            into,
            input,
            layout,
            properties: properties_of(schema_of(&COUNTS)),
        }
    }
}

impl DisplayAs for InsertExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InsertExec: table={}.{}{}",
            self.target.catalog_name,
            self.target.table.ident(),
            self.into.text(&self.target.table)
        )
    }
}

impl ExecutionPlan for InsertExec {
    fn name(&self) -> &'static str {
        "InsertExec"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![self.layout.distribution()]
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let ordering = self.layout.ordering().cloned();
        vec![ordering.map(OrderingRequirements::from)]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let input = children
            .pop()
            .ok_or_else(|| DataFusionError::from(Error::internal("an insert needs an input")))?;
        Ok(Arc::new(Self::with_layout(
            self.lake.clone(),
            self.target.clone(),
            self.into.clone(),
            input,
            self.layout.clone(),
        )))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        let streams = input_streams(partition, &self.input, &context)?;
        let (lake, target, into) = (self.lake.clone(), self.target.clone(), self.into.clone());
        let writes = Writes {
            properties: into.terms.properties.clone(),
            order: self.layout.row_order(&self.input)?,
        };
        let count = async move { Ok([insert(&lake, &target, &into, streams, writes).await?]) };
        Ok(row_of(self.schema(), count))
    }
}

async fn insert(
    lake: &Lake,
    target: &FoundTable,
    into: &InsertInto,
    streams: Vec<SendableRecordBatchStream>,
    writes: Writes,
) -> Result<u64> {
    let written = write_all(lake, &target.table, streams, writes).await?;
    if let Some(change) = into.change(&target.table, written.files)? {
        let commits = lake.commits();
        commits
            .commit(&target.catalog, target.table.ident(), change)
            .await?;
    }
    Ok(written.rows)
}
