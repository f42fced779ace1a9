//! Rules of the engine, held back from plans in which they would lose or mix up rows.

mod missing_sort;
mod wall;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{JoinType, NullEquality};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use missing_sort::with_missing_sorts;
use wall::{with_walls, with_walls_above, without_walls};

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// `rule` as it is safe, among the engine's physical rules.
pub(crate) fn guarded(rule: Rule) -> Rule {
    let guard = match rule.name() {
        "FilterPushdown" | "FilterPushdown(Post)" => Guard::Filters,
        "ProjectionPushdown" => Guard::MergedJoins,
        "aggregate_statistics" => Guard::Statistics,
        "EnforceSorting" => Guard::Sorts,
        "SanityCheckPlan" => Guard::Orders,
        _ => return rule,
    };
    Arc::new(GuardedRule { rule, guard })
}

/// What a rule does wrong.
#[derive(Debug, Clone, Copy)]
enum Guard {
    /// Joins tell the scans below them which keys they hold, as a range and a set that no NULL is
    /// in. Under `IS NOT DISTINCT FROM` a NULL has partners all the same, whose rows would be lost:
    /// such a plan has no filters of joins.
    ///
    /// A `min` or `max` of all rows tells the scans which values it has passed. Of several, those
    /// that have no value yet, and those of more than a column, are left out of the filter, which
    /// then keeps their rows away: such a plan has no filters of aggregates.
    ///
    /// And filters of any kind take the columns of one name for each other: see [`wall`].
    Filters,
    /// A projection that moves below a merged join leaves the join's filter with the columns of
    /// before, and is taken for one of the other side by right semi joins: it stays above. Of joins
    /// that mark their rows it takes the mark for a column of the other side.
    MergedJoins,
    /// An aggregate of all rows is answered by statistics that are exact. But an estimate of rows
    /// becomes exact where an offset skips as many, and an estimate of none in every join and sort:
    /// only operators that change no count of rows are believed, and those that make rows.
    Statistics,
    /// Where sorts are made parallel or dropped, joins may lose what brings all rows of a side
    /// together: sorts of such a plan stay as they are.
    Sorts,
    /// The last check of a plan finds orders missing that the rules before have done without: see
    /// [`missing_sort`].
    Orders,
}

/// A rule with its guard.
#[derive(Debug)]
struct GuardedRule {
    rule: Rule,
    guard: Guard,
}

impl PhysicalOptimizerRule for GuardedRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match self.guard {
            Guard::Filters => {
                let has_null_keys = plan.exists(|node| Ok(matches_null(node)))?;
                let has_extremes = plan.exists(|node| Ok(has_several_results(node)))?;
                let mut config = config.clone();
                let options = &mut config.optimizer;
                options.enable_join_dynamic_filter_pushdown &= !has_null_keys;
                options.enable_aggregate_dynamic_filter_pushdown &= !has_extremes;
                without_walls(self.rule.optimize(with_walls(plan)?, &config)?)
            }
            Guard::MergedJoins => match plan.exists(|node| Ok(is_mixed_up(node)))? {
                true => Ok(plan),
                false => {
                    let walled = with_walls_above(plan, has_other_columns)?;
                    without_walls(self.rule.optimize(walled, config)?)
                }
            },
            Guard::Statistics => {
                let walled = with_walls_above(plan, |node| !has_true_statistics(node))?;
                without_walls(self.rule.optimize(walled, config)?)
            }
            Guard::Sorts => {
                let sorted = self.rule.optimize(Arc::clone(&plan), config)?;
                if !sorted.exists(|node| Ok(lacks_rows(node)))? {
                    return Ok(sorted);
                }
                let mut config = config.clone();
                config.optimizer.repartition_sorts = false;
                self.rule.optimize(plan, &config)
            }
            Guard::Orders => self.rule.optimize(with_missing_sorts(plan)?, config),
        }
    }

    fn name(&self) -> &str {
        self.rule.name()
    }

    fn schema_check(&self) -> bool {
        self.rule.schema_check()
    }
}

fn matches_null(node: &Arc<dyn ExecutionPlan>) -> bool {
    let join = node.as_any().downcast_ref::<HashJoinExec>();
    join.is_some_and(|join| join.null_equality() == NullEquality::NullEqualsNull)
}

fn has_several_results(node: &Arc<dyn ExecutionPlan>) -> bool {
    let aggregate = node.as_any().downcast_ref::<AggregateExec>();
    aggregate.is_some_and(|aggregate| {
        aggregate.group_expr().is_empty() && aggregate.aggr_expr().len() > 1
    })
}

/// Whether a join's columns are not those of its left side and then those of its right one.
fn has_other_columns(node: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(join) = node.as_any().downcast_ref::<NestedLoopJoinExec>() {
        let is_of_right = matches!(join.join_type(), JoinType::RightSemi | JoinType::RightAnti);
        return is_of_right || is_mark(*join.join_type());
    }
    let join = node.as_any().downcast_ref::<HashJoinExec>();
    join.is_some_and(|join| is_mark(*join.join_type()))
}

fn is_mark(join_type: JoinType) -> bool {
    matches!(join_type, JoinType::LeftMark | JoinType::RightMark)
}

/// Whether an operator that wants all rows of an input in one partition gets them in several.
fn lacks_rows(node: &Arc<dyn ExecutionPlan>) -> bool {
    let wanted = node.required_input_distribution().into_iter();
    wanted.zip(node.children()).any(|(wanted, input)| {
        matches!(wanted, Distribution::SinglePartition)
            && input.output_partitioning().partition_count() > 1
    })
}

/// Whether what an operator calls exact is so if it is of its inputs.
fn has_true_statistics(node: &Arc<dyn ExecutionPlan>) -> bool {
    let operator = node.as_any();
    let gives_all_rows = operator.is::<AggregateExec>()
        || operator.is::<CoalescePartitionsExec>()
        || operator.is::<DataSourceExec>()
        || operator.is::<EmptyExec>()
        || operator.is::<PlaceholderRowExec>()
        || operator.is::<ProjectionExec>()
        || operator.is::<RepartitionExec>()
        || operator.is::<UnionExec>();
    gives_all_rows && node.fetch().is_none()
}

fn is_mixed_up(node: &Arc<dyn ExecutionPlan>) -> bool {
    let join = node.as_any().downcast_ref::<SortMergeJoinExec>();
    join.is_some_and(|join| {
        let is_of_right = matches!(
            join.join_type(),
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
        );
        is_of_right || join.filter().is_some()
    })
}

#[cfg(test)]
mod tests {
    use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

    use super::*;

    #[test]
    fn the_engine_has_the_rules_that_are_guarded() {
        let rules = PhysicalOptimizer::new().rules.into_iter().map(guarded);
        let rules: Vec<String> = rules.map(|rule| format!("{rule:?}")).collect();
        for guard in ["Filters", "MergedJoins", "Statistics", "Sorts", "Orders"] {
            assert!(rules.iter().any(|rule| rule.contains(guard)), "{guard}");
        }
    }
}
