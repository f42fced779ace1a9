//! Sorts that the engine's rules have taken for needless, and its last check has not.
//!
//! Where a condition makes a key constant, the rules do without it, and a window above still asks
//! for it.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

/// The plan with a sort wherever an operator's rows are not known to be in the order that it wants.
pub(super) fn with_missing_sorts(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let mut wanted = node.required_input_ordering().into_iter();
        node.map_children(|input| {
            let Some(order) = wanted.next().flatten() else {
                return Ok(Transformed::no(input));
            };
            let order = order.into_single();
            let properties = input.equivalence_properties();
            if properties.ordering_satisfy_requirement(order.clone())? {
                return Ok(Transformed::no(input));
            }
            let has_parts = input.output_partitioning().partition_count() > 1;
            let sort = SortExec::new(order.into(), input).with_preserve_partitioning(has_parts);
            Ok(Transformed::yes(Arc::new(sort)))
        })
    })
    .data()
}
