//! Batches of few bytes in front of operators that hold rows within a memory budget.
//!
//! The engine counts rows: a batch has so many, however wide they are, and a sort spills and merges
//! batches of so many again. And what it counts of a batch's memory is that of the buffers behind
//! it: a few texts of a page of a file count as the page, a slice of a table of groups as the whole
//! table. A sort whose share of the budget is less than two such batches fails with nothing to
//! spill. So within a budget, what is held is cut to a number of bytes and has its values to itself.

mod compact;
mod operator;
mod sort;

use std::sync::Arc;

use datafusion::common::JoinSide;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::sorts::sort::SortExec;

use operator::BoundedBatchExec;
use sort::MeasuredSortExec;

/// How many batches fill a budget. A sort needs several at once, in each of its parts, and a query
/// sorts in several places.
const BATCHES_PER_BUDGET: u64 = 256;
const BATCH_BYTES_MIN: u64 = 16 << 10;
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// Bounds the batches of the operators that hold rows: sorts, and the held sides of joins.
#[derive(Debug)]
pub(crate) struct BoundedBatchRule {
    bytes_max: usize,
}

impl BoundedBatchRule {
    /// The rule for queries that may hold so many bytes in memory.
    pub(crate) fn new(budget_bytes: u64) -> Self {
        let bytes = (budget_bytes / BATCHES_PER_BUDGET).clamp(BATCH_BYTES_MIN, BATCH_BYTES_MAX);
        Self {
            bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    fn bounded(&self, input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(BoundedBatchExec::new(Arc::clone(input), self.bytes_max))
    }
}

impl PhysicalOptimizerRule for BoundedBatchRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let held = held_inputs(&node);
            if held.is_empty() {
                return Ok(Transformed::no(node));
            }
            let children = node.children().into_iter().enumerate();
            let children = children.map(|(place, child)| match held.contains(&place) {
                true => self.bounded(child),
                false => Arc::clone(child),
            });
            let children = children.collect();
            let bounded = Arc::clone(&node).with_new_children(children)?;
            Ok(Transformed::yes(match spills(&node) {
                true => Arc::new(MeasuredSortExec::new(bounded, self.bytes_max)),
                false => bounded,
            }))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_bounded_batches"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The places of the inputs whose rows an operator holds as they come.
fn held_inputs(node: &Arc<dyn ExecutionPlan>) -> Vec<usize> {
    let any = node.as_any();
    if let Some(join) = any.downcast_ref::<SortMergeJoinExec>() {
        let is_right_held = SortMergeJoinExec::probe_side(&join.join_type()) == JoinSide::Left;
        return vec![usize::from(is_right_held)];
    }
    let holds_first =
        any.is::<SortExec>() || any.is::<HashJoinExec>() || any.is::<NestedLoopJoinExec>();
    if holds_first || any.is::<CrossJoinExec>() {
        return vec![0];
    }
    Vec::new()
}

/// Whether an operator is a sort that writes to disk what it cannot hold.
fn spills(node: &Arc<dyn ExecutionPlan>) -> bool {
    let sort = node.as_any().downcast_ref::<SortExec>();
    sort.is_some_and(|sort| sort.fetch().is_none())
}
