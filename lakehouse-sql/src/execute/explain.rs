//! `EXPLAIN` and `EXPLAIN ANALYZE`, as texts for people.
//!
//! Nothing that a query learns from rows is told: operators are written down before they run, when
//! filters that are made on the way are empty still, and afterwards only counts and times are added.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use datafusion::common::format::ExplainFormat;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Analyze, Explain, LogicalPlan};
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::physical_plan::{ExecutionPlan, displayable};
use futures::TryStreamExt;
use lakehouse_core::clock::Clock;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::provider::{ScanReport, bytes_text, time_text};

use crate::shared_subplan::marked;

use super::{QueryResult, plan_query, run_rows, start};

/// What the row is called that tells of the scans of tables.
const SCANS: &str = "table_scans";

/// Answers `EXPLAIN`: the plans, and what each scan of a table would read and skip.
///
/// # Errors
/// What planning meets; but a plan with parameters that have no values is shown as far as it comes.
pub(super) async fn explain(explain: &Explain, state: &SessionState) -> Result<QueryResult> {
    let is_text = matches!(
        explain.explain_format,
        ExplainFormat::Indent | ExplainFormat::Tree
    );
    if !is_text {
        let plan = LogicalPlan::Explain(explain.clone());
        return Ok(QueryResult::rows(run_rows(&plan, state).await?, true));
    }
    let optimized = marked(state.optimize(&explain.plan)?)?;
    let physical = state.query_planner();
    let physical = physical.create_physical_plan(&optimized, state).await;
    let scans = |physical: &Arc<dyn ExecutionPlan>| ScanReport::of(physical).planned();
    if explain.verbose {
        // The engine's own account: each plan after each of its rules.
        let plan = LogicalPlan::Explain(explain.clone());
        let stream = run_rows(&plan, state).await?;
        let mut batches: Vec<RecordBatch> = stream.map_err(Error::from).try_collect().await?;
        let scans = physical.as_ref().ok().and_then(scans);
        batches.push(batch(&schema(explain), scans.map(|text| (SCANS, text)))?);
        return Ok(QueryResult::of_batches(schema(explain), batches, true));
    }
    let is_tree = explain.explain_format == ExplainFormat::Tree;
    let options = &state.config_options().explain;
    let mut rows = Vec::new();
    if !is_tree && !options.physical_plan_only {
        rows.push(("logical_plan", optimized.display_indent().to_string()));
    }
    match physical {
        Ok(physical) => {
            if is_tree {
                let width = options.tree_maximum_render_width;
                let tree = displayable(physical.as_ref()).set_tree_maximum_render_width(width);
                rows.push(("physical_plan", tree.tree_render().to_string()));
            } else if !options.logical_plan_only {
                rows.push(("physical_plan", operators_text(&physical)));
            }
            rows.extend(scans(&physical).map(|text| (SCANS, text)));
        }
        Err(error) if !explain.plan.get_parameter_names()?.is_empty() => {
            rows.push(("physical_plan_error", Error::from(error).to_string()));
        }
        Err(error) => return Err(error.into()),
    }
    let batch = batch(&schema(explain), rows)?;
    Ok(QueryResult::of_batches(batch.schema(), vec![batch], true))
}

/// Answers `EXPLAIN ANALYZE`: runs the query to its end, and tells what each operator and each scan
/// did. `began` is when the statement's way began.
///
/// # Errors
/// What planning and running meet.
pub(super) async fn analyze(
    analyze: &Analyze,
    mut state: SessionState,
    clock: &dyn Clock,
    began: Instant,
) -> Result<QueryResult> {
    let resolved = clock.instant();
    let physical = plan_query(&analyze.input, &mut state).await?;
    let planned = clock.instant();
    let report = ScanReport::of(&physical);
    let operators = operators(&physical, &report);
    let mut stream = start(Arc::clone(&physical), &state)?;
    let mut rows: u64 = 0;
    while let Some(batch) = stream.try_next().await.map_err(Error::from)? {
        rows += batch.num_rows() as u64;
    }
    // Measurements are whole once the operators' streams are gone.
    drop(stream);
    let ended = clock.instant();

    let mut texts = vec![("analyzed_plan", analyzed_text(&operators, &report))];
    texts.extend(report.measured().map(|text| (SCANS, text)));
    let totals = [
        ("resolving", resolved.saturating_duration_since(began)),
        ("planning", planned.saturating_duration_since(resolved)),
        ("running", ended.saturating_duration_since(planned)),
        ("all", ended.saturating_duration_since(began)),
    ];
    texts.push(("totals", totals_text(rows, &totals)));
    if analyze.verbose {
        texts.push(("metrics", metrics_text(&operators)));
    }
    let batch = batch(analyze.schema.inner(), texts)?;
    Ok(QueryResult::of_batches(batch.schema(), vec![batch], true))
}

fn schema(explain: &Explain) -> SchemaRef {
    Arc::clone(explain.schema.inner())
}

/// The rows of an answer: a kind and a text each.
fn batch<'a>(
    schema: &SchemaRef,
    rows: impl IntoIterator<Item = (&'a str, String)>,
) -> Result<RecordBatch> {
    let (kinds, texts): (Vec<&str>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(kinds)),
        Arc::new(StringArray::from(texts)),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// One operator of a plan, as it was before it ran.
struct Operator {
    depth: usize,
    text: String,
    plan: Arc<dyn ExecutionPlan>,
}

/// The operators of a plan from the top, each before its inputs.
fn operators(plan: &Arc<dyn ExecutionPlan>, report: &ScanReport) -> Vec<Operator> {
    let mut operators = Vec::new();
    let mut ahead = vec![(0, plan)];
    while let Some((depth, plan)) = ahead.pop() {
        let text = report.operator(plan.as_ref()).unwrap_or_else(|| {
            let line = displayable(plan.as_ref()).one_line().to_string();
            line.trim_end().to_owned()
        });
        operators.push(Operator {
            depth,
            text,
            plan: Arc::clone(plan),
        });
        let inputs = plan.children().into_iter().rev();
        ahead.extend(inputs.map(|input| (depth + 1, input)));
    }
    operators
}

/// The operators of a plan, one a line, inputs below and to the right.
fn operators_text(plan: &Arc<dyn ExecutionPlan>) -> String {
    let operators = operators(plan, &ScanReport::of(plan));
    let lines = operators.iter().map(indented);
    lines.collect::<Vec<_>>().join("\n")
}

fn indented(operator: &Operator) -> String {
    format!("{:1$}{2}", "", operator.depth * 2, operator.text)
}

/// The operators of a plan that has run, each after the rows it gave and the time it worked.
fn analyzed_text(operators: &[Operator], report: &ScanReport) -> String {
    let measured: Vec<(String, String)> = operators
        .iter()
        .map(|operator| {
            let metrics = operator.plan.metrics();
            let rows = metrics.as_ref().and_then(MetricsSet::output_rows);
            let ns = report.elapsed_ns(operator.plan.as_ref()).or_else(|| {
                let worked = metrics.as_ref()?.elapsed_compute()?;
                u64::try_from(worked).ok()
            });
            let unknown = || "-".to_owned();
            (
                rows.map_or_else(unknown, |rows| rows.to_string()),
                ns.map_or_else(unknown, time_text),
            )
        })
        .collect();
    let width = |column: fn(&(String, String)) -> &String, title: &str| {
        let widths = measured.iter().map(|row| column(row).chars().count());
        widths.max().unwrap_or(0).max(title.len())
    };
    let rows_width = width(|row| &row.0, "rows");
    let time_width = width(|row| &row.1, "time");
    let mut text = format!("{:>rows_width$}  {:>time_width$}  operator", "rows", "time");
    for (operator, (rows, time)) in operators.iter().zip(&measured) {
        let line = indented(operator);
        // Formatting into a string cannot fail.
        let _ = write!(text, "\n{rows:>rows_width$}  {time:>time_width$}  {line}");
        if let Some(spilled) = operator.plan.metrics().and_then(|m| spilled_text(&m)) {
            let _ = write!(text, ", {spilled}");
        }
    }
    text
}

/// What an operator wrote to disk, because memory did not hold it.
fn spilled_text(metrics: &MetricsSet) -> Option<String> {
    let files = metrics.spill_count().filter(|files| *files > 0)?;
    let bytes = metrics.spilled_bytes().unwrap_or(0) as u64;
    Some(format!("spilled {} in {files} files", bytes_text(bytes)))
}

fn totals_text(rows: u64, steps: &[(&str, Duration)]) -> String {
    let mut text = format!("{:18}{rows}", "rows");
    for (step, took) in steps {
        let took = time_text(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        let _ = write!(text, "\n{step:18}{took}");
    }
    text
}

/// The engine's metrics of each operator, as it names them.
fn metrics_text(operators: &[Operator]) -> String {
    let mut lines = Vec::new();
    for operator in operators {
        lines.push(operator.text.clone());
        let metrics = operator.plan.metrics().unwrap_or_default();
        let metrics = metrics
            .aggregate_by_name()
            .sorted_for_display()
            .timestamps_removed();
        lines.extend(metrics.iter().map(|metric| format!("  {metric}")));
    }
    lines.join("\n")
}
