//! Subqueries that refer to the query around, in the forms that the engine takes apart rightly.
//!
//! It takes the conditions on the query around out of the subquery and joins by them. For that to
//! mean the same, an aggregate of all rows must give its row where nothing is joined, which it does
//! for a scalar subquery without `HAVING`: other subqueries over such an aggregate become one. A
//! condition that cannot leave its place is refused: one below a window, whose rows it picks, or on
//! the side of an outer join whose rows may be missing.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, Exists, InSubquery};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    Aggregate, Case, Filter, LogicalPlan, LogicalPlanBuilder, Operator,
};
use datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::optimizer::{AnalyzerRule, OptimizerContext, OptimizerRule};
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// The name of a computed value.
const VALUE: &str = "__value";

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct CorrelationRule;

impl AnalyzerRule for CorrelationRule {
    fn name(&self) -> &str {
        "lakehouse_correlations"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let node = without_comparisons(node)?;
            check_reach(&node)?;
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let formed = expr.transform_up(formed)?;
                Ok(formed.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

/// The columns of the query around that the subqueries of an expression refer to, however deep they
/// stand.
pub(crate) fn outer_columns(expr: &Expr) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    expr.apply(|expr| {
        if let Some(subquery) = subquery_of(expr) {
            found.extend(free_columns(&subquery.subquery)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The columns that a subquery's plan refers to and that no query inside of it has.
fn free_columns(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        let inputs = node.inputs();
        let is_there = |column: &Column| inputs.iter().any(|at| at.schema().has_column(column));
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::OuterReferenceColumn(_, column) => found.push(column.clone()),
                    expr => {
                        let inner = subquery_of(expr).map(|inner| free_columns(&inner.subquery));
                        let inner = inner.transpose()?.unwrap_or_default();
                        found.extend(inner.into_iter().filter(|column| !is_there(column)));
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}

fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. }) => Some(subquery),
        Expr::SetComparison(comparison) => Some(&comparison.subquery),
        _ => None,
    }
}

/// Refuses subqueries that refer to a query beyond the one right around them.
fn check_reach(node: &LogicalPlan) -> Result<()> {
    let inputs = node.inputs();
    if inputs.is_empty() {
        return Ok(());
    }
    let is_there = |column: &Column| inputs.iter().any(|input| input.schema().has_column(column));
    node.apply_expressions(|expr| {
        expr.apply(|expr| {
            let outer = match expr {
                Expr::ScalarSubquery(subquery)
                | Expr::Exists(Exists { subquery, .. })
                | Expr::InSubquery(InSubquery { subquery, .. }) => &subquery.outer_ref_columns,
                _ => return Ok(TreeNodeRecursion::Continue),
            };
            let is_far = |outer: &Expr| match outer {
                Expr::OuterReferenceColumn(_, column) => !is_there(column),
                _ => false,
            };
            match outer.iter().any(is_far) {
                true => Err(Error::unsupported(
                    "a subquery refers to a query beyond the one right around it; join the tables \
                     in one of them instead",
                )
                .into()),
                false => Ok(TreeNodeRecursion::Continue),
            }
        })
    })?;
    Ok(())
}

/// A correlated subquery in a form that means the same when it is joined.
fn formed(expr: Expr) -> Result<Transformed<Expr>> {
    let formed = match &expr {
        Expr::ScalarSubquery(subquery) if is_correlated(subquery) => scalar_of_having(subquery)?,
        Expr::Exists(exists) if is_correlated(&exists.subquery) => exists_of_having(exists)?,
        Expr::InSubquery(membership) if is_correlated(&membership.subquery) => {
            match equal_to_total(membership) {
                Some(equal) => Some(equal),
                None => with_named_value(&membership.subquery)?.map(|subquery| {
                    let membership = membership.clone();
                    Expr::InSubquery(InSubquery {
                        subquery,
                        ..membership
                    })
                }),
            }
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let is_new = formed.is_some();
    let expr = formed.unwrap_or(expr);
    let subquery = match &expr {
        Expr::Exists(Exists { subquery, .. }) | Expr::InSubquery(InSubquery { subquery, .. }) => {
            check(&subquery.subquery, false)?;
            None
        }
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::BinaryExpr(BinaryExpr { right, .. }) => scalar(right),
        Expr::Not(inner) => scalar(inner),
        _ => None,
    };
    if let Some(subquery) = subquery {
        check(&subquery.subquery, true)?;
    }
    Ok(Transformed::new_transformed(expr, is_new))
}

fn scalar(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        _ => None,
    }
}

fn is_correlated(subquery: &Subquery) -> bool {
    !subquery.outer_ref_columns.is_empty()
}

/// `IN` of a subquery that always gives one row is `=` to it.
fn equal_to_total(membership: &InSubquery) -> Option<Expr> {
    total(&membership.subquery.subquery)?;
    let op = match membership.negated {
        true => Operator::NotEq,
        false => Operator::Eq,
    };
    let right = Expr::ScalarSubquery(membership.subquery.clone());
    Some(Expr::BinaryExpr(BinaryExpr::new(
        membership.expr.clone(),
        op,
        Box::new(right),
    )))
}

/// A subquery of one value that is computed, under a name of its own: beside it will stand the
/// columns that the query around refers to, of which one may be the value but for a cast.
fn with_named_value(subquery: &Subquery) -> Result<Option<Subquery>> {
    let LogicalPlan::Projection(projection) = subquery.subquery.as_ref() else {
        return Ok(None);
    };
    let [value] = projection.expr.as_slice() else {
        return Ok(None);
    };
    if matches!(value, Expr::Column(_)) {
        return Ok(None);
    }
    let plan = LogicalPlanBuilder::from(projection.input.as_ref().clone())
        .project(vec![value.clone().unalias().alias(VALUE)])?
        .build()?;
    Ok(Some(of_plan(subquery, plan)))
}

/// `ANY` and `ALL` as what they mean: `EXISTS` in a `CASE`. The engine's rule for it forgets the
/// names of columns.
fn without_comparisons(node: LogicalPlan) -> Result<LogicalPlan> {
    if !node.expressions().iter().any(has_comparison) {
        return Ok(node);
    }
    let preserver = NamePreserver::new(&node);
    let expressions = node.expressions();
    let names: Vec<_> = expressions
        .iter()
        .map(|expr| preserver.save(expr))
        .collect();
    let named = node.map_expressions(|expr| {
        expr.transform_up(|expr| match expr {
            Expr::SetComparison(mut comparison) => {
                if let Some(subquery) = with_named_value(&comparison.subquery)? {
                    comparison.subquery = subquery;
                }
                Ok(Transformed::yes(Expr::SetComparison(comparison)))
            }
            other => Ok(Transformed::no(other)),
        })
    })?;
    let rule = RewriteSetComparison::new();
    let node = rule.rewrite(named.data, &OptimizerContext::new())?.data;
    let mut names = names.into_iter();
    node.map_expressions(|expr| match names.next() {
        Some(name) => Ok(Transformed::yes(name.restore(expr))),
        None => Ok(Transformed::no(expr)),
    })
    .data()
}

fn has_comparison(expr: &Expr) -> bool {
    let found = expr.exists(|expr| Ok(matches!(expr, Expr::SetComparison(_))));
    found.unwrap_or(false)
}

/// `EXISTS` of an aggregate of all rows `HAVING` a condition is that condition.
fn exists_of_having(exists: &Exists) -> Result<Option<Expr>> {
    let Some((filter, _)) = having(&exists.subquery.subquery) else {
        return Ok(None);
    };
    if !refers_out(&filter.input) {
        return Ok(None);
    }
    let condition = filter.predicate.clone().is_true().alias("having");
    let plan = LogicalPlanBuilder::from(filter.input.as_ref().clone())
        .project(vec![condition])?
        .build()?;
    let value = Expr::ScalarSubquery(of_plan(&exists.subquery, plan));
    Ok(Some(match exists.negated {
        true => Expr::Not(Box::new(value)),
        false => value,
    }))
}

/// The value of an aggregate of all rows `HAVING` a condition is NULL where that is not true.
fn scalar_of_having(subquery: &Subquery) -> Result<Option<Expr>> {
    let Some((filter, shown)) = having(&subquery.subquery) else {
        return Ok(None);
    };
    let Some(LogicalPlan::Projection(projection)) = shown else {
        return Ok(None);
    };
    let [value] = projection.expr.as_slice() else {
        return Ok(None);
    };
    if !refers_out(&filter.input) {
        return Ok(None);
    }
    let name = projection.schema.field(0).name();
    let cases = vec![(
        Box::new(filter.predicate.clone()),
        Box::new(value.clone().unalias()),
    )];
    let case = Expr::Case(Case::new(None, cases, None)).alias(name);
    let plan = LogicalPlanBuilder::from(filter.input.as_ref().clone())
        .project(vec![case])?
        .build()?;
    Ok(Some(Expr::ScalarSubquery(of_plan(subquery, plan))))
}

fn of_plan(subquery: &Subquery, plan: LogicalPlan) -> Subquery {
    Subquery {
        subquery: Arc::new(plan),
        ..subquery.clone()
    }
}

/// The aggregate of all rows that gives a subquery its one row.
fn total(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Projection(projection) => total(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => total(&alias.input),
        LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => Some(aggregate),
        _ => None,
    }
}

/// The `HAVING` of an aggregate of all rows, and the projection right above it.
fn having(plan: &LogicalPlan) -> Option<(&Filter, Option<&LogicalPlan>)> {
    match plan {
        LogicalPlan::Projection(projection) => match projection.input.as_ref() {
            LogicalPlan::Filter(filter) => {
                total(&filter.input)?;
                Some((filter, Some(plan)))
            }
            other => having(other).map(|(filter, _)| (filter, None)),
        },
        LogicalPlan::Filter(filter) => {
            total(&filter.input)?;
            Some((filter, None))
        }
        LogicalPlan::SubqueryAlias(alias) => having(&alias.input).map(|(filter, _)| (filter, None)),
        _ => None,
    }
}

/// Refuses a plan in which a condition on the query around may not leave its place. `is_total` is
/// whether an aggregate of all rows may stand here.
fn check(plan: &LogicalPlan, is_total: bool) -> Result<()> {
    let inner = |input: &LogicalPlan| check(input, false);
    match plan {
        LogicalPlan::Projection(projection) => check(&projection.input, is_total),
        LogicalPlan::SubqueryAlias(alias) if has_groups(&alias.input)? && !is_total => {
            Err(refused("groups in another subquery"))
        }
        LogicalPlan::SubqueryAlias(alias) => check(&alias.input, is_total),
        LogicalPlan::Aggregate(aggregate) if refers_out(&aggregate.input) => {
            if aggregate.group_expr.is_empty() && !is_total {
                return Err(refused("an aggregate of all rows"));
            }
            match has_groups(&aggregate.input)? {
                true => Err(refused("one aggregate in another")),
                false => inner(&aggregate.input),
            }
        }
        LogicalPlan::Window(window) if refers_out(&window.input) => {
            Err(refused("a window function"))
        }
        LogicalPlan::Join(join) => {
            let (left, right) = match join.join_type {
                JoinType::Inner => (false, false),
                JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                    (false, true)
                }
                JoinType::Right
                | JoinType::RightSemi
                | JoinType::RightAnti
                | JoinType::RightMark => (true, false),
                JoinType::Full => (true, true),
            };
            if left && refers_out(&join.left) || right && refers_out(&join.right) {
                return Err(refused("an outer join"));
            }
            inner(&join.left)?;
            inner(&join.right)
        }
        other => other.inputs().into_iter().try_for_each(inner),
    }
}

/// Whether the query around is referred to below groups, or rows made distinct.
fn has_groups(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| match node {
        LogicalPlan::Aggregate(aggregate) => Ok(refers_out(&aggregate.input)),
        LogicalPlan::Distinct(distinct) => Ok(refers_out(distinct.input())),
        _ => Ok(false),
    })
}

fn refers_out(plan: &LogicalPlan) -> bool {
    !plan.all_out_ref_exprs().is_empty()
}

fn refused(place: &str) -> datafusion::error::DataFusionError {
    Error::unsupported(format!(
        "a subquery refers to the query around below {place}, where the condition cannot become \
         part of a join; join the tables in the query around instead"
    ))
    .into()
}
