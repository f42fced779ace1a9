//! Physical rules by which the twins of a share come to read the same rows.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::{ExecutionPlan, with_new_children_if_necessary};

use super::operator::SharedExec;

/// Keeps the input of each twin as it is before operators are bound to each other's filters: those
/// hold what one run found, so a plan that has them is not run again.
#[derive(Debug)]
pub(super) struct Pristine;

impl PhysicalOptimizerRule for Pristine {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| match shared(&node) {
            Some(shared) => {
                let kept: Arc<dyn ExecutionPlan> = Arc::new(shared.with_pristine());
                Ok(Transformed::yes(kept))
            }
            None => Ok(Transformed::no(node)),
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_shared_pristine"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Lets the first twin of each share read for all, when every other rule has run.
#[derive(Debug)]
pub(super) struct ReadByAll;

impl PhysicalOptimizerRule for ReadByAll {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut readers = HashMap::new();
        count_readers(&plan, &mut readers);
        if readers.is_empty() {
            return Ok(plan);
        }
        let mut sharing = Sharing {
            readers: readers
                .into_iter()
                .map(|(share, found)| (share, found.1))
                .collect(),
            firsts: HashMap::new(),
        };
        sharing.visit(plan)
    }

    fn name(&self) -> &str {
        "lakehouse_shared"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn shared(plan: &Arc<dyn ExecutionPlan>) -> Option<&SharedExec> {
    plan.as_any().downcast_ref::<SharedExec>()
}

/// The first twin of each share, with how many may read its rows. Below a later one nothing is
/// read, so nothing is counted.
fn count_readers<'a>(
    plan: &'a Arc<dyn ExecutionPlan>,
    readers: &mut HashMap<usize, (&'a SharedExec, usize)>,
) {
    if let Some(shared) = shared(plan) {
        match readers.get_mut(&shared.share()) {
            Some((first, count)) if first.can_stand_for(shared) => {
                *count += 1;
                return;
            }
            Some(_) => {}
            None => {
                readers.insert(shared.share(), (shared, 1));
            }
        }
    }
    for child in plan.children() {
        count_readers(child, readers);
    }
}

/// A walk in the order in which readers were counted.
struct Sharing {
    readers: HashMap<usize, usize>,
    firsts: HashMap<usize, Arc<SharedExec>>,
}

impl Sharing {
    fn visit(&mut self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(twin) = shared(&plan) else {
            let children = plan.children().into_iter().map(Arc::clone);
            let children: Vec<_> = children
                .map(|child| self.visit(child))
                .collect::<Result<_>>()?;
            if children.is_empty() {
                return Ok(plan);
            }
            return with_new_children_if_necessary(plan, children);
        };
        let share = twin.share();
        match self.firsts.get(&share) {
            Some(first) if first.can_stand_for(twin) => {
                return Ok(Arc::new(twin.with_reader_of(first)?));
            }
            // Twins that were planned differently after all go their own ways.
            Some(_) => return self.visit(Arc::clone(twin.input())),
            None => {}
        }
        let input = self.visit(Arc::clone(twin.input()))?;
        if self.readers.get(&share).is_none_or(|count| *count < 2) {
            return Ok(input);
        }
        let first = Arc::new(twin.with_first_reader(input));
        self.firsts.insert(share, Arc::clone(&first));
        Ok(first)
    }
}
