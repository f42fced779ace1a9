//! Equality deletes that memory does not hold: a sort-merge join, which spills.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::SortMergeJoinExec;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::projection::ProjectionExec;

use super::super::file::LakeFile;
use super::super::source::ScanShape;
use super::key::{ColumnPath, Key, key_types};
use super::key_bytes::KeyBytes;
use super::prepare::KeyJoin;
use crate::error::{Error, Result};

/// The name of the column that a join compares keys by.
const KEY_COLUMN: &str = "(key)";

/// Columns of a scan for joins: those that were asked for, then what the joins look at.
pub(in crate::provider) fn joined_columns(projection: &[usize], joins: &[KeyJoin]) -> Vec<usize> {
    let mut columns = projection.to_vec();
    for join in joins {
        let roots = join.key.scanned.iter().map(|path| path.root);
        for column in roots.chain([join.sequence, join.scope]) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
    columns
}

/// Leaves out the deleted rows of `data`, which scans the `columns` of [`joined_columns`], and all
/// columns but the first `width`. `scan` reads the delete files of a join.
///
/// # Errors
/// Those of `scan`.
pub(in crate::provider) fn without_deleted(
    data: Arc<dyn ExecutionPlan>,
    columns: &[usize],
    width: usize,
    joins: Vec<KeyJoin>,
    scan: impl Fn(Arc<ScanShape>, Vec<LakeFile>) -> Result<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut plan = data;
    for mut join in joins {
        let files = std::mem::take(&mut join.files);
        let deletes = scan(Arc::clone(&join.shape), files)?;
        plan = anti_join(plan, columns, &join, deletes)?;
    }
    let asked = columns_of(&plan, 0..width);
    Ok(Arc::new(ProjectionExec::try_new(asked, plan)?))
}

/// `data` without the rows whose key a younger delete has.
fn anti_join(
    data: Arc<dyn ExecutionPlan>,
    columns: &[usize],
    join: &KeyJoin,
    deletes: Arc<dyn ExecutionPlan>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let place = |column: usize| {
        columns
            .iter()
            .position(|known| *known == column)
            .ok_or_else(|| Error::internal("a join of equality deletes lacks a column"))
    };
    let width = columns.len();
    let mut roots = Vec::new();
    let mut paths = Vec::with_capacity(join.key.scanned.len());
    for path in &join.key.scanned {
        paths.push(ColumnPath {
            root: roots.len(),
            fields: path.fields.clone(),
        });
        roots.push(column(&data, place(path.root)?));
    }
    let key = KeyBytes::new(roots, paths, key_types(&join.key)?);
    let mut with_key = columns_of(&data, 0..width);
    with_key.push((Arc::new(key), KEY_COLUMN.to_owned()));
    let left: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(with_key, data)?);
    let right = stored_keys(&join.key, deletes)?;

    let on = vec![
        (column(&left, width), column(&right, 0)),
        (column(&left, place(join.scope)?), column(&right, 2)),
    ];
    let filter = is_older(place(join.sequence)?);
    let sort_options = vec![SortOptions::default(); on.len()];
    let joined: Arc<dyn ExecutionPlan> = Arc::new(SortMergeJoinExec::try_new(
        left,
        right,
        on,
        Some(filter),
        JoinType::LeftAnti,
        sort_options,
        // A row without a scope is in no set of this join; keys are never NULL.
        NullEquality::NullEqualsNothing,
    )?);
    let without_key = columns_of(&joined, 0..width);
    Ok(Arc::new(ProjectionExec::try_new(without_key, joined)?))
}

/// Keys, sequence numbers and scopes of a scan of delete files.
fn stored_keys(key: &Key, deletes: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let width = key.stored.read.fields().len();
    let roots = (0..width).map(|root| column(&deletes, root)).collect();
    let bytes = KeyBytes::new(roots, key.stored_paths.clone(), key_types(key)?);
    let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> =
        vec![(Arc::new(bytes), KEY_COLUMN.to_owned())];
    columns.extend(columns_of(&deletes, width..width + 2));
    Ok(Arc::new(ProjectionExec::try_new(columns, deletes)?))
}

/// Whether the row of `sequence` on the left is older than the delete on the right.
fn is_older(sequence: usize) -> JoinFilter {
    let data = Column::new("data", 0);
    let delete = Column::new("delete", 1);
    let older = BinaryExpr::new(Arc::new(data), Operator::Lt, Arc::new(delete));
    let schema = Schema::new(vec![
        Field::new("data", DataType::Int64, true),
        Field::new("delete", DataType::Int64, true),
    ]);
    let side = |index, side| ColumnIndex { index, side };
    let columns = vec![side(sequence, JoinSide::Left), side(1, JoinSide::Right)];
    JoinFilter::new(Arc::new(older), columns, Arc::new(schema))
}

fn column(plan: &Arc<dyn ExecutionPlan>, position: usize) -> Arc<dyn PhysicalExpr> {
    let schema = plan.schema();
    Arc::new(Column::new(schema.field(position).name(), position))
}

fn columns_of(
    plan: &Arc<dyn ExecutionPlan>,
    positions: std::ops::Range<usize>,
) -> Vec<(Arc<dyn PhysicalExpr>, String)> {
    let schema = plan.schema();
    positions
        .map(|position| {
            let name = schema.field(position).name().clone();
            (column(plan, position), name)
        })
        .collect()
}
