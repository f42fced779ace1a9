//! Plans run: rows as a stream, commands with their outcome.

mod alter;
mod command;
mod copied_rows;
mod copy;
mod create;
mod default_value;
mod explain;
mod overtaken;
mod pipeline;
mod show;
mod whole_files;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::ParamValues;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use lakehouse_core::commit::RowStatement;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::provider::{RowChangeNode, StreamedPlanning};
use lakehouse_core::runtime::{Runtime, engine_future, engine_stream};
use tracing::Instrument;

use crate::environment::Environment;
use crate::plan::{Plan, Work};

pub(crate) use overtaken::is_overtaken;

/// What a statement answers: a stream of rows. Dropping it cancels the work behind it.
pub struct QueryResult {
    stream: SendableRecordBatchStream,
    is_query: bool,
}

impl QueryResult {
    fn rows(stream: SendableRecordBatchStream, is_query: bool) -> Self {
        Self { stream, is_query }
    }

    /// The answer of a command that has none.
    pub(crate) fn empty() -> Self {
        Self::of_batches(Arc::new(Schema::empty()), Vec::new(), false)
    }

    /// Rows that are known already.
    pub(crate) fn of_batches(schema: SchemaRef, batches: Vec<RecordBatch>, is_query: bool) -> Self {
        let batches = stream::iter(batches.into_iter().map(Ok));
        Self::rows(
            Box::pin(RecordBatchStreamAdapter::new(schema, batches)),
            is_query,
        )
    }

    /// The schema of the rows.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// Whether the statement asked for rows; false for a command, whose rows tell its outcome.
    pub fn is_query(&self) -> bool {
        self.is_query
    }

    /// The rows as a stream, for programs that want them as they come.
    ///
    /// Errors of the stream turn into ours by [`Error::from`].
    pub fn into_stream(self) -> SendableRecordBatchStream {
        self.stream
    }

    /// All rows.
    ///
    /// # Errors
    /// What the execution meets.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.stream.map_err(Error::from).try_collect().await
    }

    /// All rows as a table for people.
    ///
    /// # Errors
    /// What the execution meets.
    pub async fn to_table(self) -> Result<String> {
        let schema = self.schema();
        let mut batches = self.collect().await?;
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(schema));
        }
        Ok(pretty_format_batches(&batches)?.to_string())
    }

    /// Prints all rows as a table to standard output.
    ///
    /// # Errors
    /// What the execution meets.
    pub async fn show(self) -> Result<()> {
        println!("{}", self.to_table().await?);
        Ok(())
    }
}

impl fmt::Debug for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryResult")
            .field("schema", &self.stream.schema())
            .field("is_query", &self.is_query)
            .finish_non_exhaustive()
    }
}

/// Runs a plan. `began` is when the statement's way began, for those that ask what took how long.
///
/// # Errors
/// What execution meets before its first row.
pub(crate) async fn execute(
    plan: Plan,
    session: &Environment,
    state: SessionState,
    parameters: Option<ParamValues>,
    began: Instant,
) -> Result<QueryResult> {
    match plan.work {
        Work::Rows(logical) => {
            let logical = with_parameters(*logical, parameters)?;
            let logical = whole_files::leave_out_whole_files(logical).await?;
            if let LogicalPlan::Ddl(_) | LogicalPlan::Statement(_) = &logical {
                return engine_command(logical, session).await;
            }
            if let LogicalPlan::Copy(to) = logical {
                return copy::copy(to, session.access().lake(), &state).await;
            }
            match &logical {
                LogicalPlan::Explain(explain) => return explain::explain(explain, &state).await,
                LogicalPlan::Analyze(analyze) => {
                    let clock = session.access().lake().clock();
                    return explain::analyze(analyze, state, clock.as_ref(), began).await;
                }
                _ => {}
            }
            let is_query = !writes(&logical);
            if is_query {
                let runtime = session.access().lake().runtime();
                let rows = run_query(&logical, state, runtime.clone()).await?;
                return Ok(QueryResult::rows(rows, true));
            }
            write(&logical, &state).await
        }
        Work::Copied { plan, file } => {
            let logical = with_parameters(*plan, parameters)?;
            match write(&logical, &state).await {
                Ok(answer) => Ok(answer),
                Err(error) => Err(copied_rows::locate(error, &logical, &file, &state).await),
            }
        }
        Work::Command { command, source } => {
            let source = source
                .map(|plan| with_parameters(*plan, parameters))
                .transpose()?;
            command::run(*command, source, session, &state).await
        }
    }
}

/// Runs a plan that changes a table.
async fn write(logical: &LogicalPlan, state: &SessionState) -> Result<QueryResult> {
    let stream = run_rows(logical, state).await?;
    // A write is done when the statement is, not when somebody reads its count.
    let batches: Vec<RecordBatch> = stream.map_err(Error::from).try_collect().await?;
    counts(logical, &batches)
}

/// Whether a plan changes a table, so that it is run to its end and answers with counts.
fn writes(logical: &LogicalPlan) -> bool {
    matches!(logical, LogicalPlan::Dml(_)) || row_change(logical).is_some()
}

fn row_change(logical: &LogicalPlan) -> Option<&RowChangeNode> {
    match logical {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref(),
        _ => None,
    }
}

/// The counts of a write, which for all but a merge are one.
fn counts(logical: &LogicalPlan, batches: &[RecordBatch]) -> Result<QueryResult> {
    let is_merge =
        row_change(logical).is_some_and(|node| node.change().statement == RowStatement::Merge);
    let schema: SchemaRef = Arc::new(logical.schema().as_arrow().clone());
    let shown: Vec<usize> = match is_merge {
        true => (0..schema.fields().len()).collect(),
        false => vec![0],
    };
    let schema = Arc::new(schema.project(&shown)?);
    let batches = batches
        .iter()
        .map(|batch| batch.project(&shown))
        .collect::<std::result::Result<_, _>>()?;
    Ok(QueryResult::of_batches(schema, batches, false))
}

/// What the engine itself defines, such as an external table of the session.
async fn engine_command(logical: LogicalPlan, session: &Environment) -> Result<QueryResult> {
    let frame = session.context().execute_logical_plan(logical).await?;
    let schema: SchemaRef = Arc::new(frame.schema().as_arrow().clone());
    Ok(QueryResult::of_batches(
        schema,
        frame.collect().await?,
        false,
    ))
}

/// As [`run_rows`], for rows that the user gets as they come, and no table is changed by.
async fn run_query(
    logical: &LogicalPlan,
    mut state: SessionState,
    runtime: Runtime,
) -> Result<SendableRecordBatchStream> {
    let physical = plan_query(logical, &mut state).await?;
    let rows = start(physical, &state)?;
    let schema = rows.schema();
    let rows = engine_stream(rows.map_err(Error::from))
        .map_err(move |error| DataFusionError::from(runtime.with_spill_folder(error)));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
}

/// Optimises and plans a query whose rows the user gets as they come: where nothing else waits for
/// all of them, scans do not wait for the whole of their planning either.
async fn plan_query(
    logical: &LogicalPlan,
    state: &mut SessionState,
) -> Result<Arc<dyn ExecutionPlan>> {
    let planning = tracing::info_span!("planning");
    let planned = async {
        let optimized = state.optimize(logical)?;
        if pipeline::is_pipeline(&optimized)? {
            state.config_mut().set_extension(Arc::new(StreamedPlanning));
        }
        let planner = Arc::clone(state.query_planner());
        planner.create_physical_plan(&optimized, state).await
    };
    let planned = planned.map_err(Error::from).instrument(planning);
    engine_future(planned).await
}

/// Optimises, plans and starts a logical plan.
pub(super) async fn run_rows(
    logical: &LogicalPlan,
    state: &SessionState,
) -> Result<SendableRecordBatchStream> {
    start(plan_rows(logical, state).await?, state)
}

/// Optimises and plans a logical plan.
async fn plan_rows(logical: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let planning = tracing::info_span!("planning");
    let physical = state
        .create_physical_plan(logical)
        .map_err(Error::from)
        .instrument(planning);
    engine_future(physical).await
}

/// Starts a physical plan.
fn start(
    physical: Arc<dyn ExecutionPlan>,
    state: &SessionState,
) -> Result<SendableRecordBatchStream> {
    let stream = execute_stream(physical, state.task_ctx())?;
    let schema = stream.schema();
    let span = tracing::info_span!("execution");
    let stream = stream.map(move |batch| {
        let _entered = span.enter();
        batch.map_err(|error| Error::from(error).into())
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
}

/// The plan with values in the places of its parameters, all of which must have one.
fn with_parameters(plan: LogicalPlan, parameters: Option<ParamValues>) -> Result<LogicalPlan> {
    if let Some(parameters) = parameters {
        return Ok(plan.with_param_values(parameters)?);
    }
    match plan.get_parameter_names()?.into_iter().min() {
        // Only what is run needs the values.
        Some(name) if !matches!(plan, LogicalPlan::Explain(_)) => Err(Error::invalid(format!(
            "parameter {name} has no value; give it one with `Session::sql_with`"
        ))),
        _ => Ok(plan),
    }
}
