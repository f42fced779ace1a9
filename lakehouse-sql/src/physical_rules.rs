//! The engine's physical rules, and where ours stand among them.

use std::sync::Arc;

use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use lakehouse_core::provider::RowFilterRule;

use crate::join_choice::JoinChoice;
use crate::null_safe_filter::NullSafe;
use crate::semi_join::SemiJoinPushdown;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The rule after which joins have their sides and before which inputs are distributed and sorted.
const JOIN_SIDES_RULE: &str = "join_selection";

/// The rule that hands the filters of joins to scans.
const JOIN_FILTERS_RULE: &str = "FilterPushdown(Post)";

/// The rules that physical plans go through, in order.
pub(crate) fn physical_rules(budget_bytes: Option<u64>) -> Vec<Rule> {
    let mut rules = PhysicalOptimizer::new().rules;
    let mut of_joins: Vec<Rule> = vec![Arc::new(SemiJoinPushdown)];
    if let Some(budget) = budget_bytes {
        let budget_bytes = usize::try_from(budget).unwrap_or(usize::MAX);
        of_joins.push(Arc::new(JoinChoice { budget_bytes }));
    }
    let place = rules.iter().position(|rule| rule.name() == JOIN_SIDES_RULE);
    let place = place.map_or(0, |place| place + 1);
    rules.splice(place..place, of_joins);
    for rule in rules
        .iter_mut()
        .filter(|rule| rule.name() == JOIN_FILTERS_RULE)
    {
        *rule = Arc::new(NullSafe(Arc::clone(rule)));
    }
    // Scans have all their filters now.
    rules.push(Arc::new(RowFilterRule));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_rules_that_ours_go_by() {
        let rules = PhysicalOptimizer::new().rules;
        for name in [JOIN_SIDES_RULE, JOIN_FILTERS_RULE] {
            let found = rules.iter().filter(|rule| rule.name() == name);
            assert_eq!(found.count(), 1, "{name}");
        }
    }
}
