//! The physical rules of a session: the engine's, with this project's in their places.

use std::sync::Arc;

use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use lakehouse_core::provider::RowFilterRule;

use crate::aggregate_choice::AggregateChoice;
use crate::bounded_batch::BoundedBatchRule;
use crate::bounded_call::BoundedConstants;
use crate::cancellable_join::CancellableJoins;
use crate::decimal_arithmetic::DecimalArithmeticRule;
use crate::first_rows::FirstRows;
use crate::grouping_set::GrandTotalRule;
use crate::guarded_condition::GuardedConditions;
use crate::guarded_rule::guarded;
use crate::join_choice::JoinChoice;
use crate::null_counts::NullCounts;
use crate::ordered_offset::OrderedOffset;
use crate::semi_join::SemiJoinPushdown;
use crate::shared_subplan::add_sharing;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The name of the rule that sorts rows for aggregates.
const AGGREGATE_CHOICE: &str = "lakehouse_aggregate_choice";
/// The engine's rule that groups no more rows than a `LIMIT` wants.
const LIMITED_GROUPS: &str = "LimitAggregation";

/// The engine's rules and ours; a budget is what a query may hold in memory, in bytes.
pub(crate) fn physical_rules(budget_bytes: Option<u64>) -> Vec<Rule> {
    let engine = PhysicalOptimizer::new().rules.into_iter();
    // The best groups are found without those whose key or extreme is NULL, which may be the first.
    let engine = engine.filter(|rule| rule.name() != LIMITED_GROUPS);
    let mut rules: Vec<Rule> = engine.map(guarded).collect();
    for (after, rule) in own_rules(budget_bytes) {
        let place = rules.iter().position(|rule| rule.name() == after);
        rules.insert(place.map_or(0, |place| place + 1), rule);
    }
    // No other looks at constants and joins any longer.
    rules.push(Arc::new(BoundedConstants::new(budget_bytes)));
    rules.push(Arc::new(CancellableJoins));
    // Last: what reads the rows of another keeps the operators it knows.
    add_sharing(&mut rules);
    rules
}

/// This project's rules, each with the rule that it follows.
fn own_rules(budget_bytes: Option<u64>) -> Vec<(&'static str, Rule)> {
    let mut own: Vec<(&'static str, Rule)> = vec![
        // Nothing has looked at statistics yet.
        ("OutputRequirements", Arc::new(NullCounts)),
        (NullCounts.name(), Arc::new(OrderedOffset)),
        (OrderedOffset.name(), Arc::new(GuardedConditions)),
        // Partial aggregates are followed by final ones.
        ("aggregate_statistics", Arc::new(GrandTotalRule)),
        // Joins have their sides, and their inputs are not distributed and sorted yet.
        ("join_selection", Arc::new(SemiJoinPushdown)),
    ];
    if let Some(budget) = budget_bytes {
        let choice = Arc::new(JoinChoice::new(budget));
        own.push((SemiJoinPushdown.name(), choice));
    }
    // Rows are distributed and sorted, and projections are not in the scans yet.
    own.push(("OptimizeAggregateOrder", Arc::new(DecimalArithmeticRule)));
    // Sorts have their limits, and no filters of them yet.
    own.push(("LimitPushdown", Arc::new(FirstRows)));
    // Scans have all their filters.
    own.push(("SanityCheckPlan", Arc::new(RowFilterRule)));
    if let Some(budget) = budget_bytes {
        // The plan is as it will run.
        let choice = Arc::new(AggregateChoice::new(budget));
        let bounded = Arc::new(BoundedBatchRule::new(budget));
        own.push((RowFilterRule.name(), Arc::clone(&choice) as Rule));
        own.push((AGGREGATE_CHOICE, bounded));
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_that_loses_groups_is_left_out() {
        let is_lossy = |rule: &Rule| rule.name() == LIMITED_GROUPS;
        assert!(PhysicalOptimizer::new().rules.iter().any(is_lossy));
        assert!(!physical_rules(None).iter().any(is_lossy));
    }

    #[test]
    fn each_rule_follows_the_one_it_names() {
        let rules = physical_rules(Some(1));
        for (after, own) in own_rules(Some(1)) {
            let place = rules.iter().position(|rule| rule.name() == own.name());
            let before = place.and_then(|place| rules.get(place.checked_sub(1)?));
            assert_eq!(before.map(|rule| rule.name()), Some(after));
        }
    }
}
