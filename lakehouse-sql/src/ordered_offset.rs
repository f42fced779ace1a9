//! An order that decides which rows an `OFFSET` skips is kept.
//!
//! To the engine a limit needs the order of its rows where it has a `LIMIT`. Without one, a sort
//! whose keys nobody asks for any more is dropped, and other rows are skipped.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::output_requirements::OutputRequirementExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;

/// Marks such sorts as needed, until the engine takes its own marks of the kind away.
#[derive(Debug)]
pub(crate) struct OrderedOffset;

impl PhysicalOptimizerRule for OrderedOffset {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let limit = node.as_any().downcast_ref::<GlobalLimitExec>();
            if limit.is_none_or(|limit| limit.skip() == 0) {
                return Ok(Transformed::no(node));
            }
            node.map_children(|child| Ok(Transformed::yes(needed(child)?)))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_ordered_offset"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The rows that an offset skips the first of, their order marked as needed if they have one.
fn needed(node: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    if node.as_any().is::<ProjectionExec>() {
        let input = node.map_children(|child| Ok(Transformed::yes(needed(child)?)));
        return input.data();
    }
    let Some(sort) = node.as_any().downcast_ref::<SortExec>() else {
        return Ok(node);
    };
    let order = Some(sort.expr().clone().into());
    let fetch = sort.fetch();
    let mark = OutputRequirementExec::new(node, order, Distribution::SinglePartition, fetch);
    Ok(Arc::new(mark))
}
