//! Procedures that make audited snapshots part of a branch.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;

use super::{Arguments, CallContext, Parameter, ParameterKind, Procedure};
use crate::commit::{CherryPick, FastForward, PublishChanges};
use crate::error::{Error, Result};
use crate::table::Table;

/// The key of a snapshot's summary that names a staged snapshot for its publication.
const WAP_ID: &str = "wap.id";

/// `fast_forward(table, branch, to)`: a branch to the snapshot of another one that is ahead.
#[derive(Debug)]
pub(super) struct FastForwardProcedure;

#[async_trait]
impl Procedure for FastForwardProcedure {
    fn name(&self) -> &'static str {
        "fast_forward"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::required("branch", ParameterKind::Text),
                Parameter::required("to", ParameterKind::Text),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let found = context.table(arguments.required_text("table")?).await?;
        let branch = arguments.required_text("branch")?;
        let change = FastForward {
            branch: branch.to_owned(),
            to: arguments.required_text("to")?.to_owned(),
        };
        let commits = context.access.lake().commits();
        let committed = commits
            .commit(&found.catalog, found.table.ident(), change)
            .await?;
        let schema = Schema::new(vec![
            Field::new("branch_updated", DataType::Utf8, false),
            Field::new("previous_ref", DataType::Int64, true),
            Field::new("updated_ref", DataType::Int64, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![branch])),
            Arc::new(Int64Array::from(vec![committed.previous_snapshot_id])),
            Arc::new(Int64Array::from(vec![committed.snapshot_id])),
        ];
        Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
    }
}

/// `cherrypick_snapshot(table, snapshot_id)`: the changes of one snapshot on top of `main`.
#[derive(Debug)]
pub(super) struct CherryPickProcedure;

#[async_trait]
impl Procedure for CherryPickProcedure {
    fn name(&self) -> &'static str {
        "cherrypick_snapshot"
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
        let found = context.table(arguments.required_text("table")?).await?;
        let snapshot_id = arguments.required_long("snapshot_id")?;
        let commits = context.access.lake().commits();
        let committed = commits
            .commit(
                &found.catalog,
                found.table.ident(),
                CherryPick { snapshot_id },
            )
            .await?;
        published(snapshot_id, committed.snapshot_id)
    }
}

/// `publish_changes(table, wap_id)`: the one staged snapshot of a name on top of `main`.
#[derive(Debug)]
pub(super) struct PublishChangesProcedure;

#[async_trait]
impl Procedure for PublishChangesProcedure {
    fn name(&self) -> &'static str {
        "publish_changes"
    }

    fn parameters(&self) -> &'static [Parameter] {
        const {
            &[
                Parameter::required("table", ParameterKind::Text),
                Parameter::required("wap_id", ParameterKind::Text),
            ]
        }
    }

    async fn call(&self, context: &CallContext<'_>, arguments: Arguments) -> Result<RecordBatch> {
        let found = context.table(arguments.required_text("table")?).await?;
        let wap_id = arguments.required_text("wap_id")?;
        let change = PublishChanges {
            wap_id: wap_id.to_owned(),
        };
        let commits = context.access.lake().commits();
        let committed = commits
            .commit(&found.catalog, found.table.ident(), change)
            .await?;
        // The publication found it, and a snapshot is not forgotten by the swap that publishes it.
        let source = staged_snapshot(&committed.table, wap_id).ok_or_else(|| {
            Error::internal("a published snapshot is not in the table's metadata")
        })?;
        published(source, committed.snapshot_id)
    }
}

/// The snapshot that was staged with a name.
fn staged_snapshot(table: &Table, wap_id: &str) -> Option<i64> {
    let mut snapshots = table.metadata().snapshots();
    let staged = snapshots.find(|snapshot| {
        let keys = &snapshot.summary().additional_properties;
        keys.get(WAP_ID).is_some_and(|id| id == wap_id)
    })?;
    Some(staged.snapshot_id())
}

/// Which snapshot was published, and the current one after it.
fn published(source: i64, current: Option<i64>) -> Result<RecordBatch> {
    let schema = Schema::new(vec![
        Field::new("source_snapshot_id", DataType::Int64, false),
        Field::new("current_snapshot_id", DataType::Int64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![source])),
        Arc::new(Int64Array::from(vec![current])),
    ];
    Ok(RecordBatch::try_new(Arc::new(schema), columns)?)
}
