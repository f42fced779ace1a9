//! Rows into a table through the engine's INSERT.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_plan::ExecutionPlan;

use crate::error::{Error, Result};
use crate::table::Table;

/// The plan that writes the rows of `input` to `table` and commits them.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`]: tables given to the engine are read only.
pub(super) fn insert_into(
    _state: &dyn Session,
    table: &Table,
    _input: &Arc<dyn ExecutionPlan>,
    _op: InsertOp,
) -> Result<Arc<dyn ExecutionPlan>> {
    Err(
        Error::unsupported("rows are not inserted through this context; use Session::sql")
            .with_context("table", table.ident()),
    )
}
