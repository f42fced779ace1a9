//! Logical rules of the engine, held back where they would lose or mix up rows.
//!
//! A join has one equality for all its keys: NULL equals NULL, or nothing. Two rules of the engine
//! bring keys of several conditions together without a look at it. Two others forget that an
//! aggregate of all rows has a row also where there are none, and one of them that a NULL among the
//! rows of `NOT IN` decides all. What brings lists of `IN` together forgets NULL altogether. And
//! those that compute equal expressions once take literals of two types for equal.

mod alike_literals;
mod sealed_list;

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchemaRef, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Expr, Extension, Filter, Join, LogicalPlan, UserDefinedLogicalNodeCore,
};
use datafusion::optimizer::optimizer::{ApplyOrder, Optimizer};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use alike_literals::{has_alike_literals, node_has_alike_literals};
use sealed_list::rewrite_around_lists;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The engine's logical rules, as they are safe.
pub(crate) fn logical_rules() -> Vec<Rule> {
    Optimizer::new().rules.into_iter().map(guarded).collect()
}

fn guarded(rule: Rule) -> Rule {
    let guard = match rule.name() {
        "common_sub_expression_eliminate" => Guard::Literals,
        "eliminate_duplicated_expr" => Guard::LiteralsOfNode,
        "eliminate_cross_join" => Guard::Chains,
        "extract_equijoin_predicate" => Guard::Conditions,
        "optimize_projections" => Guard::Recursions,
        "propagate_empty_relation" => Guard::GroupingSets,
        "push_down_filter" => Guard::Filters,
        "simplify_expressions" => Guard::Lists,
        _ => return rule,
    };
    Arc::new(GuardedRule { rule, guard })
}

/// What a rule does wrong.
#[derive(Debug, Clone, Copy)]
enum Guard {
    /// All inner joins of a chain, and the conditions above it, become joins of one equality: one
    /// in which NULL equals NULL is no part of a chain.
    Chains,
    /// An `=` of a join's condition becomes a key of the join, whatever the equality of the keys
    /// that it has: it stays a condition where NULL equals NULL.
    Conditions,
    /// A grouped aggregate of no rows becomes no rows, but the grouping set `()` has one.
    GroupingSets,
    /// A condition without columns goes below every aggregate, but one of all rows has a row also
    /// where the condition leaves it none: it stays above. One about the left side of `NOT IN` is
    /// taken for one about its subquery, and the NULL that makes all of it unknown is gone: it goes
    /// to the left side alone.
    Filters,
    /// What a recursion computes is reduced to the columns that are looked at in the end, though its
    /// next round needs the others, and `UNION` tells rows apart by all of them: it keeps its
    /// columns.
    Recursions,
    /// `x NOT IN (1, 2) OR x NOT IN (3)` becomes true, also where `x` is NULL, and what a NULL in a
    /// list means is lost: the rule does not see lists about the same values.
    Lists,
    /// An expression is computed once for two that differ in the type of a literal alone: nothing is
    /// done in a plan that has such literals.
    Literals,
    /// As [`Self::Literals`], by a rule that goes from node to node.
    LiteralsOfNode,
}

/// A rule with its guard.
#[derive(Debug)]
struct GuardedRule {
    rule: Rule,
    guard: Guard,
}

impl OptimizerRule for GuardedRule {
    fn name(&self) -> &str {
        self.rule.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        match self.guard {
            Guard::Chains => self.rewrite_around(plan, config, is_null_chain),
            Guard::Recursions => self.rewrite_around(plan, config, is_recursion),
            Guard::Conditions if null_join(&plan).is_some_and(|join| !join.on.is_empty()) => {
                Ok(Transformed::no(plan))
            }
            Guard::GroupingSets if has_grouping_sets(&plan) => Ok(Transformed::no(plan)),
            Guard::Filters if filters_all_rows(&plan) => Ok(Transformed::no(plan)),
            Guard::Filters => match filtered_left_of_not_in(&plan)? {
                Some(join) => Ok(Transformed::yes(join)),
                None => self.rule.rewrite(plan, config),
            },
            Guard::Lists => rewrite_around_lists(plan, |plan| self.rule.rewrite(plan, config)),
            Guard::Literals if has_alike_literals(&plan)? => Ok(Transformed::no(plan)),
            Guard::LiteralsOfNode if node_has_alike_literals(&plan)? => Ok(Transformed::no(plan)),
            Guard::Conditions | Guard::GroupingSets | Guard::Literals | Guard::LiteralsOfNode => {
                self.rule.rewrite(plan, config)
            }
        }
    }
}

impl GuardedRule {
    /// Rewrites what is above and what is below the nodes that the rule does not understand, each
    /// alone.
    fn rewrite_around(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
        is_sealed: fn(&LogicalPlan) -> bool,
    ) -> Result<Transformed<LogicalPlan>> {
        let sealed = plan.transform_down(|node| {
            if !is_sealed(&node) {
                return Ok(Transformed::no(node));
            }
            let below = |input| self.rewrite_around(input, config, is_sealed);
            let node = Arc::new(SealedNode {
                node: node.map_children(below)?.data,
            });
            let sealed = LogicalPlan::Extension(Extension { node });
            Ok(Transformed::new(sealed, true, TreeNodeRecursion::Jump))
        })?;
        if !sealed.transformed {
            return self.rule.rewrite(sealed.data, config);
        }
        let rewritten = self.rule.rewrite(sealed.data, config)?.data;
        let opened = rewritten.transform_down(|node| {
            let LogicalPlan::Extension(extension) = &node else {
                return Ok(Transformed::no(node));
            };
            match extension.node.as_any().downcast_ref::<SealedNode>() {
                Some(sealed) => {
                    let node = sealed.node.clone();
                    Ok(Transformed::new(node, true, TreeNodeRecursion::Jump))
                }
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(Transformed::yes(opened.data))
    }
}

/// Whether a node is an inner join in which NULL equals NULL.
fn is_null_chain(plan: &LogicalPlan) -> bool {
    null_join(plan).is_some_and(|join| join.join_type == JoinType::Inner)
}

fn is_recursion(plan: &LogicalPlan) -> bool {
    matches!(plan, LogicalPlan::RecursiveQuery(_))
}

/// A join in which NULL equals NULL.
fn null_join(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Join(join) if join.null_equality == NullEquality::NullEqualsNull => Some(join),
        _ => None,
    }
}

fn has_grouping_sets(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(Aggregate { group_expr, .. }) => group_expr
            .iter()
            .any(|expr| matches!(expr, Expr::GroupingSet(_))),
        _ => false,
    }
}

/// Whether a condition without columns stands above an aggregate that has a row for no rows.
fn filters_all_rows(plan: &LogicalPlan) -> bool {
    let (mut below, mut is_constant) = (plan, false);
    while let LogicalPlan::Filter(filter) = below {
        let parts = split_conjunction(&filter.predicate);
        is_constant |= parts.iter().any(|part| part.column_refs().is_empty());
        below = &filter.input;
    }
    match below {
        LogicalPlan::Aggregate(aggregate) => {
            is_constant && (aggregate.group_expr.is_empty() || has_grouping_sets(below))
        }
        _ => false,
    }
}

/// The join of a `NOT IN` with the conditions above it on its left side, which all of its columns
/// are from; nothing where there are none, or no such join.
fn filtered_left_of_not_in(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let (mut below, mut conditions) = (plan, Vec::new());
    while let LogicalPlan::Filter(filter) = below {
        conditions.push(filter.predicate.clone());
        below = &filter.input;
    }
    let LogicalPlan::Join(join) = below else {
        return Ok(None);
    };
    let Some(predicate) = conjunction(conditions) else {
        return Ok(None);
    };
    if !join.null_aware || join.join_type != JoinType::LeftAnti {
        return Ok(None);
    }
    let mut join = join.clone();
    join.left = Arc::new(LogicalPlan::Filter(Filter::try_new(predicate, join.left)?));
    Ok(Some(LogicalPlan::Join(join)))
}

/// A node that a rule takes for any input.
#[derive(Debug, PartialEq, Eq, PartialOrd, Hash)]
struct SealedNode {
    node: LogicalPlan,
}

impl UserDefinedLogicalNodeCore for SealedNode {
    fn name(&self) -> &str {
        "SealedNode"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        self.node.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedNode")
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, _: Vec<LogicalPlan>) -> Result<Self> {
        let node = self.node.clone();
        Ok(Self { node })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_has_the_rules_that_are_guarded() {
        let rules: Vec<String> = logical_rules()
            .iter()
            .map(|rule| format!("{rule:?}"))
            .collect();
        for guard in [
            "Chains",
            "Conditions",
            "GroupingSets",
            "Filters",
            "Recursions",
            "Lists",
            "Literals",
            "LiteralsOfNode",
        ] {
            let end = format!("guard: {guard} }}");
            assert!(rules.iter().any(|rule| rule.ends_with(&end)), "{guard}");
        }
    }
}
