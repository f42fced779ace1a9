//! Semi joins that an inner join need not wait for: done on the one of its inputs that they look at.
//!
//! `EXISTS` and `IN` become semi joins above the joins of their query. Where one looks at columns
//! of a single input only, it filters that input as well, and the join then has fewer rows to
//! build and to probe.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExprRef;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;

/// Moves semi joins below inner joins, while that leaves them fewer rows to look at.
///
/// Runs once joins have their sides: the smaller side of a semi join is then its left one, which is
/// held in memory, and its rows come from the right one.
#[derive(Debug)]
pub(crate) struct SemiJoinPushdown;

impl PhysicalOptimizerRule for SemiJoinPushdown {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let semi = node.as_any().downcast_ref::<HashJoinExec>();
            let moved = match semi.and_then(SemiJoin::of) {
                Some((semi, keys)) => semi.below(semi.join.right(), &keys)?,
                None => None,
            };
            Ok(moved.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_semi_join_pushdown"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A join that keeps the rows of its right side that have a match on the left.
struct SemiJoin<'a> {
    join: &'a HashJoinExec,
}

impl<'a> SemiJoin<'a> {
    /// The semi join that `join` is, and the columns of its right side that it looks at. None for
    /// other joins, and for conditions beyond equal columns.
    fn of(join: &'a HashJoinExec) -> Option<(Self, Vec<usize>)> {
        let is_plain = join.filter().is_none() && !join.contains_projection() && !join.null_aware;
        if *join.join_type() != JoinType::RightSemi || !is_plain {
            return None;
        }
        let keys = join.on().iter().map(|(_, right)| position(right));
        Some((Self { join }, keys.collect::<Option<_>>()?))
    }

    /// `node` with the semi join somewhere below it; `None` where that brings nothing.
    fn below(
        &self,
        node: &Arc<dyn ExecutionPlan>,
        keys: &[usize],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if let Some(projection) = node.as_any().downcast_ref::<ProjectionExec>() {
            let expressions = projection.expr();
            let keys = keys
                .iter()
                .map(|key| position(&expressions.get(*key)?.expr));
            let Some(keys) = keys.collect::<Option<Vec<_>>>() else {
                return Ok(None);
            };
            let Some(input) = self.below(projection.input(), &keys)? else {
                return Ok(None);
            };
            return Arc::clone(node).with_new_children(vec![input]).map(Some);
        }
        let Some(join) = node.as_any().downcast_ref::<HashJoinExec>() else {
            return Ok(None);
        };
        let Some((side, keys)) = one_side(join, keys) else {
            return Ok(None);
        };
        let input = match side {
            JoinSide::Left => join.left(),
            _ => join.right(),
        };
        if !has_no_more_rows(input, node) {
            return Ok(None);
        }
        let filtered = match self.below(input, &keys)? {
            Some(filtered) => filtered,
            None => self.on(input, &keys)?,
        };
        let children = match side {
            JoinSide::Left => vec![filtered, Arc::clone(join.right())],
            _ => vec![Arc::clone(join.left()), filtered],
        };
        Arc::clone(node).with_new_children(children).map(Some)
    }

    /// The semi join of other rows.
    fn on(&self, rows: &Arc<dyn ExecutionPlan>, keys: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = rows.schema();
        let left = self.join.on().iter().map(|(left, _)| Arc::clone(left));
        let right = keys.iter().map(|key| {
            let column = Column::new(schema.field(*key).name(), *key);
            Arc::new(column) as PhysicalExprRef
        });
        let join = HashJoinExec::try_new(
            Arc::clone(self.join.left()),
            Arc::clone(rows),
            left.zip(right).collect(),
            None,
            &JoinType::RightSemi,
            None,
            *self.join.partition_mode(),
            self.join.null_equality(),
            false,
        )?;
        Ok(Arc::new(join))
    }
}

/// The one input of an inner join that all `columns` of its output come from, and where they stand
/// there.
fn one_side(join: &HashJoinExec, columns: &[usize]) -> Option<(JoinSide, Vec<usize>)> {
    if *join.join_type() != JoinType::Inner {
        return None;
    }
    let width = join.left().schema().fields().len();
    let joined = columns.iter().map(|column| match &join.projection {
        Some(projection) => projection.get(*column).copied(),
        None => Some(*column),
    });
    let joined: Vec<usize> = joined.collect::<Option<_>>()?;
    if joined.iter().all(|column| *column < width) {
        return Some((JoinSide::Left, joined));
    }
    let right = joined.iter().map(|column| column.checked_sub(width));
    Some((JoinSide::Right, right.collect::<Option<_>>()?))
}

/// Whether statistics say that `input` has no more rows than `joined`.
fn has_no_more_rows(input: &Arc<dyn ExecutionPlan>, joined: &Arc<dyn ExecutionPlan>) -> bool {
    let rows = |plan: &Arc<dyn ExecutionPlan>| {
        let statistics = plan.partition_statistics(None).ok()?;
        statistics.num_rows.get_value().copied()
    };
    rows(input)
        .zip(rows(joined))
        .is_some_and(|(input, joined)| input <= joined)
}

/// The place of a plain column.
fn position(expression: &PhysicalExprRef) -> Option<usize> {
    let column = expression.as_any().downcast_ref::<Column>();
    column.map(Column::index)
}
