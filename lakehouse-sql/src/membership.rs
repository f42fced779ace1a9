//! `IN (SELECT …)` is refused where it may be NULL and the engine would take it for false.
//!
//! As a condition of its own, `NOT IN` becomes a join that knows NULL. Inside of `OR` and others the
//! engine makes a mark of it, which is true or false: right where both mean that a row is left out,
//! wrong below `NOT` or `IS NULL`.

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, InSubquery};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct MembershipRule;

impl AnalyzerRule for MembershipRule {
    fn name(&self) -> &str {
        "lakehouse_memberships"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(|node| {
            if let LogicalPlan::Filter(filter) = &node {
                let schema = filter.input.schema();
                let conditions = split_conjunction(&filter.predicate).into_iter();
                conditions
                    .filter(|condition| !is_membership(condition))
                    .try_for_each(|condition| check(condition, schema, true))?;
            }
            Ok(Transformed::no(node))
        })?;
        Ok(checked.data)
    }
}

/// Whether a condition is nothing but a membership, or its contrary.
fn is_membership(condition: &Expr) -> bool {
    match condition {
        Expr::InSubquery(_) => true,
        Expr::Not(inner) => matches!(inner.as_ref(), Expr::InSubquery(_)),
        _ => false,
    }
}

/// Refuses memberships that are not known where more than their truth matters. Below an even number
/// of `NOT`s only truth does.
fn check(expr: &Expr, schema: &DFSchema, is_even: bool) -> Result<()> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => {
            check(left, schema, is_even)?;
            check(right, schema, is_even)
        }
        Expr::Not(inner) => check(inner, schema, !is_even),
        Expr::InSubquery(membership) if membership.negated != is_even => Ok(()),
        other => {
            other.apply(|expr| match expr {
                Expr::InSubquery(membership) if may_be_null(membership, schema)? => {
                    Err(Error::unsupported(
                        "IN (SELECT …) of values that may be NULL stands below NOT, IS NULL or \
                         another expression, where NULL is not false; write EXISTS or NOT EXISTS, \
                         or take NULL out on both sides with coalesce",
                    )
                    .into())
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })?;
            Ok(())
        }
    }
}

fn may_be_null(membership: &InSubquery, schema: &DFSchema) -> Result<bool> {
    let mut found = membership.subquery.subquery.schema().fields().iter();
    Ok(membership.expr.nullable(schema)? || found.any(|field| field.is_nullable()))
}
