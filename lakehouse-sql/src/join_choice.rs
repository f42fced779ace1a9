//! Joins whose build side does not fit the memory budget: sorted and merged instead of hashed.
//!
//! The engine's hash join holds one whole side in memory and cannot spill it; its sort-merge join
//! spills. Which of the two a join takes follows from the statistics of its build side and from the
//! budget, not from a switch for the whole session.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::projection::ProjectionExec;

use crate::mergeable_key::is_mergeable;

/// What one row of a build side takes in the hash table beside its values, in bytes.
const ROW_BYTES: usize = 24;

/// Makes sort-merge joins of the hash joins that do not fit a memory budget.
#[derive(Debug)]
pub(crate) struct JoinChoice {
    budget_bytes: usize,
}

impl JoinChoice {
    /// The rule for queries that may hold so many bytes in memory.
    pub(crate) fn new(budget_bytes: u64) -> Self {
        let budget_bytes = usize::try_from(budget_bytes).unwrap_or(usize::MAX);
        Self { budget_bytes }
    }
}

impl PhysicalOptimizerRule for JoinChoice {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut builds = Vec::new();
        plan.apply(|node| {
            if let Some(join) = node.as_any().downcast_ref::<HashJoinExec>() {
                builds.push(build_bytes(join));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        // Half is for what else a query holds: sorts, aggregates, batches on their way.
        let merged = merged_joins(&builds, self.budget_bytes / 2);
        if merged.is_empty() {
            return Ok(plan);
        }
        // Top down, as the joins were counted.
        let mut number = 0;
        plan.transform_down(|node| {
            let Some(join) = node.as_any().downcast_ref::<HashJoinExec>() else {
                return Ok(Transformed::no(node));
            };
            number += 1;
            match merged.contains(&(number - 1)).then(|| merge_join(join)) {
                Some(Some(merged)) => Ok(Transformed::yes(merged?)),
                _ => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_join_choice"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The joins to take away from hashing, by number, so that the builds of the others fit together:
/// those of unknown size, then the largest first.
fn merged_joins(builds: &[Option<usize>], bytes_max: usize) -> HashSet<usize> {
    let mut merged: HashSet<usize> = HashSet::new();
    let mut known: Vec<(usize, usize)> = Vec::new();
    for (number, build) in builds.iter().enumerate() {
        match build {
            Some(bytes) => known.push((*bytes, number)),
            None => {
                merged.insert(number);
            }
        }
    }
    known.sort_unstable();
    let mut held = 0_usize;
    for (bytes, number) in known {
        held = held.saturating_add(bytes);
        if held > bytes_max {
            merged.insert(number);
        }
    }
    merged
}

/// What a join's build side takes in memory, as far as statistics tell.
fn build_bytes(join: &HashJoinExec) -> Option<usize> {
    let statistics = join.left().partition_statistics(None).ok()?;
    let rows = *statistics.num_rows.get_value()?;
    let values = *statistics.total_byte_size.get_value()?;
    Some(values.saturating_add(rows.saturating_mul(ROW_BYTES)))
}

/// The same join by sorting and merging; `None` for one that only hashing can do.
fn merge_join(join: &HashJoinExec) -> Option<Result<Arc<dyn ExecutionPlan>>> {
    let are_mergeable = |(left, right): &(PhysicalExprRef, PhysicalExprRef)| {
        let left_type = left.data_type(&join.left().schema()).ok();
        let right_type = right.data_type(&join.right().schema()).ok();
        // The engine's merge compares no numbers of so many digits.
        let is_long = matches!(left_type, Some(DataType::Decimal256(_, _)));
        let is_mergeable = left_type.as_ref().is_some_and(is_mergeable) && !is_long;
        is_mergeable && left_type == right_type
    };
    // NOT IN answers by what the other side holds of NULLs as a whole, which only hashing does.
    let is_mark = matches!(join.join_type(), JoinType::LeftMark | JoinType::RightMark);
    // The engine's merge gives rows without a partner twice or never where a condition is NULL.
    let is_full = *join.join_type() == JoinType::Full && join.filter().is_some();
    if join.null_aware
        || is_mark
        || is_full
        || join.on().is_empty()
        || !join.on().iter().all(are_mergeable)
    {
        return None;
    }
    Some(sorted_and_merged(join))
}

/// The same filter with the columns of the left side first. The engine's merge join takes them to
/// be in this order, and compares others than those meant after the sides were swapped.
fn left_first(filter: &JoinFilter) -> Result<JoinFilter> {
    let columns = filter.column_indices();
    let mut order: Vec<usize> = (0..columns.len()).collect();
    order.sort_by_key(|place| columns[*place].side != JoinSide::Left);
    let expression = Arc::clone(filter.expression()).transform(|expression| {
        let Some(column) = expression.as_any().downcast_ref::<Column>() else {
            return Ok(Transformed::no(expression));
        };
        let place = order.iter().position(|place| *place == column.index());
        let place = place.unwrap_or(column.index());
        let moved = Column::new(column.name(), place);
        Ok(Transformed::yes(Arc::new(moved) as PhysicalExprRef))
    });
    // The merge evaluates it for rows without a partner as well, whose other columns are NULL.
    let fields = order
        .iter()
        .map(|place| filter.schema().field(*place).clone().with_nullable(true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let columns = order.iter().map(|place| columns[*place].clone()).collect();
    Ok(JoinFilter::new(
        expression.data()?,
        columns,
        Arc::new(schema),
    ))
}

/// A key as the engine's merge join can compare it. It knows no times with zone and no times of
/// day, of which the numbers behind them have the same order.
fn comparable(key: &PhysicalExprRef, schema: &Schema) -> Result<PhysicalExprRef> {
    let number = match key.data_type(schema)? {
        DataType::Timestamp(_, Some(_)) | DataType::Time64(_) => DataType::Int64,
        DataType::Time32(_) => DataType::Int32,
        DataType::Decimal32(digits, scale) | DataType::Decimal64(digits, scale) => {
            DataType::Decimal128(digits, scale)
        }
        _ => return Ok(Arc::clone(key)),
    };
    Ok(Arc::new(CastExpr::new(Arc::clone(key), number, None)))
}

fn sorted_and_merged(join: &HashJoinExec) -> Result<Arc<dyn ExecutionPlan>> {
    let (left, right) = (join.left().schema(), join.right().schema());
    let keys = join.on().iter().map(|(one, other)| {
        let keys = (comparable(one, &left)?, comparable(other, &right)?);
        Ok(keys)
    });
    let merged = SortMergeJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        keys.collect::<Result<_>>()?,
        join.filter().map(left_first).transpose()?,
        *join.join_type(),
        vec![SortOptions::default(); join.on().len()],
        join.null_equality(),
    )?;
    let merged: Arc<dyn ExecutionPlan> = Arc::new(merged);
    match &join.projection {
        Some(columns) => {
            let expressions = ProjectionExprs::from_indices(columns, &merged.schema());
            let expressions = expressions.as_ref().to_vec();
            Ok(Arc::new(ProjectionExec::try_new(expressions, merged)?))
        }
        None => Ok(merged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_fit_together_stay_hashed() {
        assert!(merged_joins(&[Some(40), Some(60)], 100).is_empty());
    }

    #[test]
    fn unknown_and_largest_builds_are_merged_first() {
        let merged = merged_joins(&[Some(70), None, Some(20), Some(30)], 100);
        assert_eq!(merged, HashSet::from([0, 1]));
    }
}
