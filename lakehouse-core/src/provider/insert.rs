//! INSERT as the engine executes it: rows in, one snapshot and a count out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, ExecutionPlanProperties,
    Partitioning, PlanProperties,
};
use futures::StreamExt;
use iceberg::spec::{NestedFieldRef, PrimitiveType, Type};

use crate::commit::{FileChange, FilesOnFailure};
use crate::error::{Error, Result};
use crate::lake::{FoundTable, Lake};
use crate::runtime;
use crate::table::Table;
use crate::write::{TableWriter, WriteOptions, WrittenFile};

/// Files that a statement wrote, and the rows in them.
#[derive(Debug)]
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
/// deleted.
pub async fn write_streams(
    lake: &Lake,
    table: &Table,
    streams: Vec<SendableRecordBatchStream>,
) -> Result<WrittenRows> {
    refuse_uuid_partitions(table)?;
    let query_id = lake.clock().new_uuid();
    let mut tasks = Vec::with_capacity(streams.len());
    for (task, stream) in streams.into_iter().enumerate() {
        let options = WriteOptions::new(lake.runtime().reserve("write"), query_id)
            .with_task(u32::try_from(task).unwrap_or(u32::MAX));
        let writer = TableWriter::try_new(table, options)?;
        tasks.push(runtime::spawn(write_stream(writer, stream)));
    }
    let mut written = WrittenRows {
        files: Vec::new(),
        rows: 0,
    };
    let mut failed = None;
    for task in tasks {
        match task.await.and_then(|outcome| outcome) {
            Ok((files, rows)) => {
                written.files.extend(files);
                written.rows += rows;
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        None => Ok(written),
        Some(error) => {
            for file in &written.files {
                // What cannot be deleted is a file that nobody names; the cause matters more.
                if let Err(error) = table.storage().delete(file.data_file.file_path()).await {
                    tracing::warn!(%error, "a file of a failed write was left behind");
                }
            }
            Err(error)
        }
    }
}

/// The format crate cannot write a partition value of this type into a manifest.
pub(super) fn refuse_uuid_partitions(table: &Table) -> Result<()> {
    let values = table
        .partition_spec()
        .partition_type(table.metadata().current_schema())?;
    let is_uuid =
        |field: &&NestedFieldRef| *field.field_type == Type::Primitive(PrimitiveType::Uuid);
    match values.fields().iter().find(is_uuid) {
        None => Ok(()),
        Some(field) => Err(Error::unsupported(format!(
            "partition field {:?} has UUID values, which are not written; partition by \
             bucket(n, …) of the column",
            field.name
        ))),
    }
}

async fn write_stream(
    mut writer: TableWriter,
    mut rows: SendableRecordBatchStream,
) -> Result<(Vec<WrittenFile>, u64)> {
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let written = match batch {
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
    Ok((writer.close().await?, count))
}

/// Writes its input's rows to a lake's table and commits them as one snapshot.
#[derive(Debug)]
pub(super) struct InsertExec {
    lake: Lake,
    target: FoundTable,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl InsertExec {
    pub(super) fn new(lake: Lake, target: FoundTable, input: Arc<dyn ExecutionPlan>) -> Self {
        let schema = count_schema();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            lake,
            target,
            input,
            properties: Arc::new(properties),
        }
    }

    /// Rows of a partitioned table go through one writer, or each task would make a file of its
    /// own in each partition.
    fn is_partitioned(&self) -> bool {
        !self.target.table.partition_spec().is_unpartitioned()
    }
}

fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(
        "count",
        DataType::UInt64,
        false,
    )]))
}

impl DisplayAs for InsertExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "InsertExec: table={}.{}",
            self.target.catalog_name,
            self.target.table.ident()
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
        vec![match self.is_partitioned() {
            true => Distribution::SinglePartition,
            false => Distribution::UnspecifiedDistribution,
        }]
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
        Ok(Arc::new(Self::new(
            self.lake.clone(),
            self.target.clone(),
            input,
        )))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> DataFusionResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(Error::internal("an insert has one partition").into());
        }
        let partitions = self.input.output_partitioning().partition_count();
        let streams = (0..partitions)
            .map(|partition| self.input.execute(partition, Arc::clone(&context)))
            .collect::<DataFusionResult<Vec<_>>>()?;
        let (lake, target) = (self.lake.clone(), self.target.clone());
        let count = async move {
            let rows = insert(&lake, &target, streams).await?;
            let rows: UInt64Array = [rows].into_iter().collect();
            Ok(RecordBatch::try_new(count_schema(), vec![Arc::new(rows)])?)
        };
        let stream = futures::stream::once(count);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            count_schema(),
            stream,
        )))
    }
}

async fn insert(
    lake: &Lake,
    target: &FoundTable,
    streams: Vec<SendableRecordBatchStream>,
) -> Result<u64> {
    let written = write_streams(lake, &target.table, streams).await?;
    // No rows, no snapshot: an empty insert leaves the history as it is.
    if written.files.is_empty() {
        return Ok(0);
    }
    let append = FileChange::append(&target.table, written.files)
        .with_files_on_failure(FilesOnFailure::Delete);
    lake.commits()
        .commit(&target.catalog, target.table.ident(), append)
        .await?;
    Ok(written.rows)
}
