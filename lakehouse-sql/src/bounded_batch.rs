//! Batches of few bytes in front of operators that hold rows within a memory budget.
//!
//! The engine counts rows: a batch has so many, however wide they are, and a sort spills and merges
//! batches of so many again. And what it counts of a batch's memory is that of the buffers behind
//! it: a few texts of a page of a file count as the page, a slice of a table of groups as the whole
//! table. A sort whose share of the budget is less than two such batches fails with nothing to
//! spill. So within a budget, what is held is cut to a number of bytes and has its values to itself.

mod compact;
mod measured;
mod operator;

use std::sync::Arc;

use datafusion::common::JoinSide;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use measured::MeasuredExec;
use operator::BoundedBatchExec;

/// How many batches fill a budget. A sort needs several at once, in each of its parts, and a query
/// sorts in several places.
const BATCHES_PER_BUDGET: u64 = 512;
const BATCH_BYTES_MIN: u64 = 16 << 10;
const BATCH_BYTES_MAX: u64 = 1 << 20;

/// Bounds the batches of the operators that hold rows.
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
            Ok(Transformed::yes(match counts_rows(&node) {
                true => Arc::new(MeasuredExec::new(bounded, self.bytes_max)),
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
    let holds_input = counts_rows(node)
        || any.is::<RepartitionExec>()
        || any.is::<HashJoinExec>()
        || any.is::<NestedLoopJoinExec>()
        || any.is::<CrossJoinExec>();
    let groups = any.downcast_ref::<AggregateExec>();
    // Parts of the rows are grouped until memory is used up, whatever that takes.
    let is_hashed = groups.is_some_and(|groups| {
        *groups.mode() != AggregateMode::Partial
            && *groups.input_order_mode() == InputOrderMode::Linear
            && !groups.group_expr().is_empty()
    });
    match holds_input || is_hashed {
        true => vec![0],
        false => Vec::new(),
    }
}

/// Whether an operator holds batches of as many rows as the session says.
fn counts_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    node.as_any().is::<SortExec>() || node.as_any().is::<SortPreservingMergeExec>()
}
