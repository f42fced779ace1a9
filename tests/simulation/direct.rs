//! Statements that go below SQL: rows written to files, and the files committed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use iceberg::spec::Datum;
use lakehouse::core::commit::{
    Change, FileChange, FilesOnFailure, PublishChanges, RewriteManifests,
};
use lakehouse::core::lake::Lake;
use lakehouse::core::name::Name;
use lakehouse::core::scan::{Comparison, Predicate};
use lakehouse::core::write::{TableWriter, WriteOptions, WrittenFile};
use lakehouse::{Error, Result, Table};

use crate::lake::AUDIT;
use crate::model::{Action, Row, extra};
use crate::statement::Statement;

/// The field id of column `p`.
const PART_ID: i32 = 2;

/// Runs a statement on the table as `table` views it; the number of rows that it adds. One about a
/// snapshot is about `target`.
pub(crate) async fn run(
    lake: &Lake,
    table: &Table,
    statement: &Statement,
    target: Option<i64>,
) -> Result<Option<u64>> {
    let (change, count): (Change, usize) = match &statement.action {
        Action::Insert(rows) => {
            let files = write(lake, table, rows).await?;
            (of(FileChange::append(table, files), statement), rows.len())
        }
        Action::Overwrite { part, rows } => {
            let files = write(lake, table, rows).await?;
            let replaced = Predicate::Compare {
                field_id: PART_ID,
                comparison: Comparison::Eq,
                literal: Datum::long(*part),
            };
            let change = FileChange::overwrite_rows(table, replaced, files);
            (of(change, statement), rows.len())
        }
        Action::OverwriteDynamic(rows) => {
            let files = write(lake, table, rows).await?;
            let change = FileChange::replace_partitions(table, files);
            (of(change, statement), rows.len())
        }
        Action::Stage(rows) => {
            let files = write(lake, table, rows).await?;
            let change = FileChange::append(table, files).staged(Some(statement.audit()));
            (of(change, statement), rows.len())
        }
        Action::Publish { .. } => {
            let wap_id = audit_of(table, target)?;
            (PublishChanges { wap_id }.into(), 0)
        }
        Action::Gather => (RewriteManifests::default().into(), 0),
        other => return Err(Error::internal(format!("{} is for SQL", other.name()))),
    };
    let (_, catalog) = lake.catalog(&Name::new(lake.default_catalog()))?;
    let commits = lake.commits();
    commits.commit(catalog, table.ident(), change).await?;
    Ok(Some(count as u64))
}

/// What a staged snapshot is published by.
fn audit_of(table: &Table, snapshot: Option<i64>) -> Result<String> {
    let snapshot = snapshot.and_then(|id| table.metadata().snapshot_by_id(id));
    let audit = snapshot.and_then(|snapshot| snapshot.summary().additional_properties.get(AUDIT));
    audit
        .cloned()
        .ok_or_else(|| Error::internal("a snapshot without an audit is published"))
}

fn of(change: FileChange, statement: &Statement) -> Change {
    let change = change.with_files_on_failure(FilesOnFailure::Delete);
    match statement.branch {
        Some(branch) => change.with_branch(branch).into(),
        None => change.into(),
    }
}

async fn write(lake: &Lake, table: &Table, rows: &[Row]) -> Result<Vec<WrittenFile>> {
    let options = WriteOptions::new(lake.runtime().reserve("write"), lake.clock().new_uuid());
    let mut writer = TableWriter::try_new(table, options)?;
    if let Err(error) = writer.write(batch(table, rows)?).await {
        // The first error is the one to tell.
        let _ = writer.abort().await;
        return Err(error);
    }
    writer.close().await
}

/// The rows in the table's columns, with values in those that came later.
fn batch(table: &Table, rows: &[Row]) -> Result<RecordBatch> {
    let columns = table.metadata().current_schema().as_struct().fields();
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = columns
        .iter()
        .map(|column| {
            let value = |row: &Row| match column.name.as_str() {
                "k" => Some(row.k),
                "p" => Some(row.p),
                "v" => Some(row.v),
                "s" => Some(row.s),
                later => extra(later, row.k),
            };
            let array: Int64Array = rows.iter().map(value).collect();
            let field = Field::new(&column.name, DataType::Int64, !column.required);
            (field, Arc::new(array) as ArrayRef)
        })
        .unzip();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
