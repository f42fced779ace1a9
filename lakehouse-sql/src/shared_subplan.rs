//! What a statement computes twice is computed once: equal aggregates and limits share their rows.
//!
//! A common table expression that is named several times is planned several times. Twins are looked
//! for in the optimised logical plan, where filters have gone as far down as they go: what differs
//! there is not shared, so each reference keeps its own pruning. Equality is the engine's own of
//! plans, with tables that are the same provider; only columns may differ, and are read for all.
//! From there on twins stay as they are, because the node that stands above each of them lets
//! nothing through: no filter of one reader, no limit, no order. At the end of physical planning the
//! first of them keeps its input, and the others read what it makes.

mod generated_name;
mod merged;
mod node;
mod operator;
mod read_by_all;
mod rows;
mod twins;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use lakehouse_core::provider::RowChangePlanner;
use node::SharedPlanner;
use read_by_all::{Pristine, ReadByAll};

/// The rule after which operators know of each other's filters, so that a plan runs only once.
const DYNAMIC_FILTER_RULE: &str = "FilterPushdown(Post)";

/// The engine's planner, for plans in which twins have been found.
pub(crate) struct SharingPlanner {
    planner: DefaultPhysicalPlanner,
}

impl SharingPlanner {
    pub(crate) fn new() -> Self {
        let planner = DefaultPhysicalPlanner::with_extension_planners(vec![
            Arc::new(SharedPlanner),
            Arc::new(RowChangePlanner),
        ]);
        Self { planner }
    }
}

impl fmt::Debug for SharingPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharingPlanner").finish_non_exhaustive()
    }
}

#[async_trait]
impl QueryPlanner for SharingPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match twins::mark(plan)? {
            Some(marked) => self.planner.create_physical_plan(&marked, state).await,
            None => self.planner.create_physical_plan(plan, state).await,
        }
    }
}

/// An optimised plan as it is planned: with the nodes above twins, if it has any.
pub(crate) fn marked(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(twins::mark(&plan)?.unwrap_or(plan))
}

/// Adds the rules by which twins come to share their rows to the engine's physical rules.
pub(crate) fn add_sharing(rules: &mut Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) {
    let is_last =
        |rule: &Arc<dyn PhysicalOptimizerRule + Send + Sync>| rule.name() == DYNAMIC_FILTER_RULE;
    let place = rules.iter().rposition(is_last).unwrap_or(rules.len());
    rules.insert(place, Arc::new(Pristine));
    rules.push(Arc::new(ReadByAll));
}
