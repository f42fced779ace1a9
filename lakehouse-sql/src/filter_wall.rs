//! Walls for filters where columns of one name stand beside each other.
//!
//! The engine's physical rules hand filters down by the names of columns. A join of tables with a
//! column in common has two of one name, and a filter on the one would be taken for one on the
//! other. While filters move, an operator with such columns stands behind a wall that lets none
//! through; filters that begin below it move on.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::internal_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// `rule` with walls in the plans that it is given, if it hands filters down.
pub(crate) fn walled(rule: Rule) -> Rule {
    match rule.name() {
        "FilterPushdown" | "FilterPushdown(Post)" => Arc::new(WalledRule(rule)),
        _ => rule,
    }
}

#[derive(Debug)]
struct WalledRule(Rule);

impl PhysicalOptimizerRule for WalledRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if !plan.exists(|node| Ok(repeats_names(node)))? {
            return self.0.optimize(plan, config);
        }
        let built = plan.transform_up(|node| {
            Ok(match repeats_names(&node) {
                true => Transformed::yes(Arc::new(Wall(node)) as Arc<dyn ExecutionPlan>),
                false => Transformed::no(node),
            })
        });
        let moved = self.0.optimize(built.data()?, config)?;
        let torn_down = moved.transform_up(|node| {
            let behind = node.as_any().downcast_ref::<Wall>();
            Ok(match behind.map(|wall| Arc::clone(&wall.0)) {
                Some(behind) => Transformed::yes(behind),
                None => Transformed::no(node),
            })
        });
        torn_down.data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

fn repeats_names(node: &Arc<dyn ExecutionPlan>) -> bool {
    let schema = node.schema();
    let mut seen = HashSet::new();
    schema
        .fields()
        .iter()
        .any(|field| !seen.insert(field.name()))
}

/// Lets no filter through, as operators do that say nothing of filters.
#[derive(Debug)]
struct Wall(Arc<dyn ExecutionPlan>);

impl DisplayAs for Wall {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wall")
    }
}

impl ExecutionPlan for Wall {
    fn name(&self) -> &str {
        "Wall"
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[_; 1]>::try_from(children) {
            Ok([behind]) => Ok(Arc::new(Self(behind))),
            Err(_) => internal_err!("a wall stands before one operator"),
        }
    }

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        internal_err!("a wall for filters was left in a plan")
    }
}
