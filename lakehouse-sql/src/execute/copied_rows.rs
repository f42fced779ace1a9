//! Which row of a copied file was refused, and why: looked for once a `COPY … FROM` has failed.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, Projection};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::name::quote;

/// The error of a failed copy, with the file, the first refused row and its column where they can
/// be found by reading the file again.
pub(super) async fn locate(
    error: Error,
    insert: &LogicalPlan,
    file: &str,
    state: &SessionState,
) -> Error {
    if error.kind() != ErrorKind::InvalidInput {
        return error.with_context("file", file);
    }
    match refused_row(insert, state).await {
        Ok(Some(refused)) => refused.with_context("file", file),
        Ok(None) => error.with_context("file", file),
        Err(other) => {
            tracing::debug!(error = %other, "the refused row of a copy was not found");
            error.with_context("file", file)
        }
    }
}

/// One column of the target: how it is made of the file's, and whether it takes NULL.
struct Column {
    name: String,
    value: Arc<dyn PhysicalExpr>,
    nullable: bool,
}

async fn refused_row(insert: &LogicalPlan, state: &SessionState) -> Result<Option<Error>> {
    let mut state = state.clone();
    // Rows in the order of the file.
    let options = state.config_mut().options_mut();
    options.execution.target_partitions = 1;
    options.optimizer.enable_round_robin_repartition = false;
    // The insert as a whole: its casts refuse what those of a query would take.
    let analyzed = state.analyzer().execute_and_check(
        insert.clone(),
        &Arc::clone(state.config_options()),
        |_, _| {},
    )?;
    let LogicalPlan::Dml(dml) = analyzed else {
        return Ok(None);
    };
    let LogicalPlan::Projection(Projection { expr, input, .. }) = dml.input.as_ref() else {
        return Ok(None);
    };
    let mut columns = Vec::with_capacity(expr.len());
    for (value, field) in expr.iter().zip(dml.target.schema().fields()) {
        columns.push(Column {
            name: field.name().clone(),
            value: create_physical_expr(value, input.schema(), state.execution_props())?,
            nullable: field.is_nullable(),
        });
    }
    let rows = state.create_physical_plan(input).await?;
    let mut rows = execute_stream(rows, state.task_ctx())?;
    let mut before = 0;
    while let Some(batch) = rows.try_next().await? {
        if let Some((row, error)) = refused_of(&batch, &columns)? {
            return Ok(Some(error.with_context("row", before + row + 1)));
        }
        before += batch.num_rows();
    }
    Ok(None)
}

/// The first row of a batch that a column does not take.
fn refused_of(batch: &RecordBatch, columns: &[Column]) -> Result<Option<(usize, Error)>> {
    let mut first: Option<(usize, Error)> = None;
    for column in columns {
        let rows = first.as_ref().map_or(batch.num_rows(), |(row, _)| *row);
        let refusal = |slice: &RecordBatch| refusal_of(slice, column);
        if refusal(&batch.slice(0, rows))?.is_none() {
            continue;
        }
        // The shortest beginning that is refused ends with the row.
        let (mut taken, mut refused) = (0, rows);
        while refused - taken > 1 {
            let middle = taken + (refused - taken) / 2;
            match refusal(&batch.slice(0, middle))? {
                None => taken = middle,
                Some(_) => refused = middle,
            }
        }
        let row = refused - 1;
        if let Some(error) = refusal(&batch.slice(row, 1))? {
            let given = given_text(batch, row, column);
            let message = format!(
                "a value does not fit column {}: {}{given}",
                quote(&column.name),
                error.message()
            );
            first = Some((row, Error::invalid(message)));
        }
    }
    Ok(first)
}

fn refusal_of(rows: &RecordBatch, column: &Column) -> Result<Option<Error>> {
    if rows.num_rows() == 0 {
        return Ok(None);
    }
    let value = match column.value.evaluate(rows) {
        Ok(value) => value.into_array(rows.num_rows())?,
        Err(error) => return Ok(Some(Error::from(error))),
    };
    let is_null = !column.nullable && value.null_count() > 0;
    Ok(is_null.then(|| Error::invalid("it must not be NULL")))
}

/// What the file has there, where one column of it is what the value is made of.
fn given_text(batch: &RecordBatch, row: usize, column: &Column) -> String {
    let columns = collect_columns(&column.value);
    let mut columns = columns.iter();
    let (Some(only), None) = (columns.next(), columns.next()) else {
        return String::new();
    };
    let array = batch.column(only.index());
    match array_value_to_string(array, row) {
        Ok(text) if !array.is_null(row) => format!(" (found {text:?})"),
        _ => String::new(),
    }
}
