//! Joins that stop when nobody wants their rows any longer.
//!
//! What is dropped stops where it waits, and some joins of the engine do not wait for minutes: they
//! compare all rows of one side with a batch of the other before they look for the next batch, and
//! when no pair fulfils the condition, nothing comes out either. So their conditions use up the
//! task's budget of the runtime, a little for each batch of pairs, and interrupt the join when it is
//! used up; the operator above waits, and goes on where the join stopped. A merged join cannot go on
//! like that: its condition is a filter of its rows instead, or, where it decides which rows have no
//! partner, the side that streams comes in few rows at a time.

mod interruption;
mod operator;

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::{Column, lit};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use interruption::InterruptingFilter;
use operator::YieldingExec;

/// How many rows of the streamed side a merged join may compare with all of the other that have
/// the same key before it waits.
const STREAMED_ROWS: usize = 64;

/// Makes joins wait now and then. Stands behind all rules that look at joins, and
/// before readers of shared rows know their operators.
#[derive(Debug)]
pub(crate) struct CancellableJoins;

impl PhysicalOptimizerRule for CancellableJoins {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match cancellable(&node)? {
                Some(join) => Transformed::yes(join),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_cancellable_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The join of a node as one that waits, if the node is a join.
fn cancellable(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let any = node.as_any();
    let join: Arc<dyn ExecutionPlan> = if any.is::<CrossJoinExec>() {
        Arc::clone(node)
    } else if let Some(join) = any.downcast_ref::<NestedLoopJoinExec>() {
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        let interrupted = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
            .with_filter(interrupting(join.filter(), *join.join_type()))
            .with_projection_ref(join.projection().clone())
            .build()?;
        Arc::new(interrupted)
    } else if let Some(join) = any.downcast_ref::<HashJoinExec>() {
        let filter = interrupting(join.filter(), *join.join_type());
        join.builder().with_filter(filter).build_exec()?
    } else if let Some(join) = any.downcast_ref::<SortMergeJoinExec>() {
        return merged(node, join).map(Some);
    } else {
        return Ok(None);
    };
    Ok(Some(Arc::new(YieldingExec::new(join))))
}

/// The condition of a join as one that interrupts it. One that only looks for partners and has no
/// condition gets one that is always true: it may compare many pairs for few rows.
fn interrupting(filter: Option<&JoinFilter>, join_type: JoinType) -> Option<JoinFilter> {
    let looks_for_partners = match join_type {
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => false,
        JoinType::LeftSemi
        | JoinType::RightSemi
        | JoinType::LeftAnti
        | JoinType::RightAnti
        | JoinType::LeftMark
        | JoinType::RightMark => true,
    };
    let always = || JoinFilter::new(lit(true), Vec::new(), Arc::new(Schema::empty()));
    let filter = filter
        .cloned()
        .or_else(|| looks_for_partners.then(always))?;
    Some(JoinFilter::new(
        Arc::new(InterruptingFilter::new(Arc::clone(filter.expression()))),
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    ))
}

fn merged(
    node: &Arc<dyn ExecutionPlan>,
    join: &SortMergeJoinExec,
) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(filter) = join.filter() else {
        return Ok(Arc::new(YieldingExec::new(Arc::clone(node))));
    };
    let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
    if join.join_type() != JoinType::Inner {
        let is_left_streamed = SortMergeJoinExec::probe_side(&join.join_type()) == JoinSide::Left;
        let few = |input| -> Arc<dyn ExecutionPlan> {
            Arc::new(YieldingExec::few_rows(input, STREAMED_ROWS))
        };
        let inputs = match is_left_streamed {
            true => vec![few(left), right],
            false => vec![left, few(right)],
        };
        let join = Arc::clone(node).with_new_children(inputs)?;
        return Ok(Arc::new(YieldingExec::new(join)));
    }
    let condition = over_rows(filter, left.schema().fields().len())?;
    let unfiltered = SortMergeJoinExec::try_new(
        left,
        right,
        join.on().to_vec(),
        None,
        join.join_type(),
        join.sort_options().to_vec(),
        join.null_equality(),
    )?;
    let unfiltered = Arc::new(YieldingExec::new(Arc::new(unfiltered)));
    Ok(Arc::new(FilterExec::try_new(condition, unfiltered)?))
}

/// The condition of an inner join as one over its rows, in which the left columns come first.
fn over_rows(filter: &JoinFilter, left_columns: usize) -> Result<Arc<dyn PhysicalExpr>> {
    let indices = filter.column_indices();
    let expression = Arc::clone(filter.expression());
    expression
        .transform_up(|expr| {
            let Some(column) = expr.as_any().downcast_ref::<Column>() else {
                return Ok(Transformed::no(expr));
            };
            let index = &indices[column.index()];
            let place = match index.side {
                JoinSide::Right => left_columns + index.index,
                JoinSide::Left | JoinSide::None => index.index,
            };
            let column = Column::new(column.name(), place);
            Ok(Transformed::yes(Arc::new(column) as Arc<dyn PhysicalExpr>))
        })
        .data()
}
