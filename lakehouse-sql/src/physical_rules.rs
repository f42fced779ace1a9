//! The engine's physical rules, and where ours stand among them.

use std::sync::Arc;

use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use lakehouse_core::provider::RowFilterRule;

use crate::guarded_rule::guarded;
use crate::join_choice::JoinChoice;
use crate::semi_join::SemiJoinPushdown;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rule after which joins have their sides and before which inputs are distributed and sorted.
const JOIN_SIDES_RULE: &str = "join_selection";

/// The rules that physical plans go through, in order.
pub(crate) fn physical_rules(budget_bytes: Option<u64>) -> Vec<Rule> {
    let engine = PhysicalOptimizer::new().rules.into_iter();
    let mut rules: Vec<Rule> = engine.map(guarded).collect();
    let mut of_joins: Vec<Rule> = vec![Arc::new(SemiJoinPushdown)];
    if let Some(budget) = budget_bytes {
        let budget_bytes = usize::try_from(budget).unwrap_or(usize::MAX);
        of_joins.push(Arc::new(JoinChoice { budget_bytes }));
    }
    let place = rules.iter().position(|rule| rule.name() == JOIN_SIDES_RULE);
    let place = place.map_or(0, |place| place + 1);
    rules.splice(place..place, of_joins);
    // Scans have all their filters now.
    rules.push(Arc::new(RowFilterRule));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_rule_that_ours_go_by() {
        let rules = PhysicalOptimizer::new().rules;
        let found = rules.iter().filter(|rule| rule.name() == JOIN_SIDES_RULE);
        assert_eq!(found.count(), 1);
    }
}
