//! The first rows by a key that is a list, a struct or a map are found by sorting all.
//!
//! Where it keeps the first rows only, the engine leaves out rows by a comparison in which NULLs inside
//! of a key stand elsewhere than in its sorts.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

/// Takes limits out of such sorts. Stands behind the rule that puts them there.
#[derive(Debug)]
pub(crate) struct NestedOrder;

impl PhysicalOptimizerRule for NestedOrder {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let sort = node.as_any().downcast_ref::<SortExec>();
            let Some((sort, fetch)) = sort.and_then(|sort| Some((sort, sort.fetch()?))) else {
                return Ok(Transformed::no(node));
            };
            if !has_nested_key(sort)? {
                return Ok(Transformed::no(node));
            }
            let all = Arc::new(sort.with_fetch(None));
            Ok(Transformed::yes(Arc::new(LocalLimitExec::new(all, fetch))))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_nested_order"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn has_nested_key(sort: &SortExec) -> Result<bool> {
    let schema = sort.schema();
    for key in sort.expr() {
        if key.expr.data_type(&schema)?.is_nested() {
            return Ok(true);
        }
    }
    Ok(false)
}
