//! Filters that joins hand to scans, where NULL matches NULL.
//!
//! The engine's joins tell the scans below them which keys they hold, as a range and a set that no
//! NULL is in. Under `IS NOT DISTINCT FROM` a NULL has partners all the same, and its rows would be
//! lost; such a statement runs without these filters.

use std::sync::Arc;

use datafusion::common::NullEquality;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;

/// One of the engine's rules, which makes no dynamic filters of joins that match NULL with NULL.
#[derive(Debug)]
pub(crate) struct NullSafe(pub(crate) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for NullSafe {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !plan.exists(|node| Ok(matches_null(node)))? {
            return self.0.optimize(plan, config);
        }
        let mut config = config.clone();
        config.optimizer.enable_join_dynamic_filter_pushdown = false;
        self.0.optimize(plan, &config)
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn matches_null(node: &Arc<dyn ExecutionPlan>) -> bool {
    let join = node.as_any().downcast_ref::<HashJoinExec>();
    join.is_some_and(|join| join.null_equality() == NullEquality::NullEqualsNull)
}
