//! Procedures that move a table's `main` branch to another snapshot.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;

use super::{Arguments, CallContext, Parameter, ParameterKind, Procedure};
use crate::commit::{Change, RollbackToSnapshot, RollbackToTimestamp, SetCurrentSnapshot};
use crate::error::{Error, Result};

/// `rollback_to_snapshot(table, snapshot_id)`: to an ancestor of the current snapshot.
#[derive(Debug)]
pub(super) struct RollbackToSnapshotProcedure;

#[async_trait]
impl Procedure for RollbackToSnapshotProcedure {
    fn name(&self) -> &'static str {
        "rollback_to_snapshot"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::required("snapshot_id", ParameterKind::Long),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let snapshot_id = arguments.required_long("snapshot_id")?;
        move_main(context, &arguments, RollbackToSnapshot { snapshot_id }).await
    }
}

/// `rollback_to_timestamp(table, timestamp)`: to the newest ancestor older than a time.
#[derive(Debug)]
pub(super) struct RollbackToTimestampProcedure;

#[async_trait]
impl Procedure for RollbackToTimestampProcedure {
    fn name(&self) -> &'static str {
        "rollback_to_timestamp"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::required("timestamp", ParameterKind::Timestamp),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let timestamp_ms = arguments.required_long("timestamp")?;
        move_main(context, &arguments, RollbackToTimestamp { timestamp_ms }).await
    }
}

/// `set_current_snapshot(table, snapshot_id | ref)`: to any snapshot the table still knows.
#[derive(Debug)]
pub(super) struct SetCurrentSnapshotProcedure;

#[async_trait]
impl Procedure for SetCurrentSnapshotProcedure {
    fn name(&self) -> &'static str {
        "set_current_snapshot"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::optional("snapshot_id", ParameterKind::Long),
                Parameter::optional("ref", ParameterKind::Text),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let change = match (arguments.long("snapshot_id"), arguments.text("ref")) {
            (Some(id), None) => SetCurrentSnapshot::Snapshot(id),
            (None, Some(name)) => SetCurrentSnapshot::Reference(name.to_owned()),
            _ => return Err(Error::invalid("give exactly one of snapshot_id and ref")),
        };
        move_main(context, &arguments, change).await
    }
}

/// Commits the change and tells from where to where `main` was moved.
async fn move_main(
    context: &CallContext<'_>,
    arguments: &Arguments,
    change: impl Into<Change>,
) -> Result<RecordBatch> {
    let found = context.table(arguments.required_text("table")?).await?;
    let commits = context.access.lake().commits();
    let committed = commits
        .commit(&found.catalog, found.table.ident(), change)
        .await?;
    let schema = Schema::new(vec![
        Field::new("previous_snapshot_id", DataType::Int64, true),
        Field::new("current_snapshot_id", DataType::Int64, true),
    ]);
    let ids = [committed.previous_snapshot_id, committed.snapshot_id];
    let columns = ids.map(|id| Arc::new(Int64Array::from(vec![id])) as ArrayRef);
    Ok(RecordBatch::try_new(Arc::new(schema), columns.to_vec())?)
}
