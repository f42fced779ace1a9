//! Subqueries that stand for a value where the engine plans conditions only.
//!
//! `EXISTS` and `IN (SELECT …)` are planned as conditions of a `WHERE`, where NULL is as good as
//! false, and one subquery of the query around at a time. Everywhere else, and where NULL is not
//! false, each of them becomes a column of a projection below, which the expression then refers to.

mod mark;

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, InSubquery};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, Projection,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// What the names of the columns begin with.
const NAME: &str = "__subquery";

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct SubqueryValueRule;

impl AnalyzerRule for SubqueryValueRule {
    fn name(&self) -> &str {
        "lakehouse_subquery_values"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let mut columns = 0;
        plan.transform_up_with_subqueries(|node| lift_from(node, &mut columns))
            .data()
    }
}

/// `node` above projections with its subqueries, those that it cannot have itself.
fn lift_from(node: LogicalPlan, columns: &mut usize) -> Result<Transformed<LogicalPlan>> {
    let place = match &node {
        LogicalPlan::Filter(_) => Place::Condition,
        LogicalPlan::Projection(_) => Place::Projection,
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) | LogicalPlan::Sort(_) => Place::Other,
        _ => return Ok(Transformed::no(node)),
    };
    let expressions = node.expressions();
    let inputs = node.inputs();
    let [input] = inputs.as_slice() else {
        return Ok(Transformed::no(node));
    };
    if !expressions.iter().any(has_subquery) {
        return Ok(Transformed::no(node));
    }
    let mut lift = Lift {
        input: (*input).clone(),
        takes_scalars: place == Place::Other || are_mixed_up(&expressions, place, input.schema()),
        is_changed: false,
        columns,
    };
    let names = NamePreserver::new(&node);
    let is_named = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_))
        || matches!(node, LogicalPlan::Window(_));
    let expressions = expressions
        .into_iter()
        .map(|expr| {
            if !has_subquery(&expr) {
                return Ok(expr);
            }
            let name = names.save(&expr);
            let lifted = match place {
                Place::Condition => lift.conditions(expr)?,
                Place::Projection | Place::Other => lift.all(expr)?,
            };
            Ok(if is_named {
                name.restore(lifted)
            } else {
                lifted
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if !lift.is_changed {
        return Ok(Transformed::no(node));
    }
    let shown = node.schema().columns();
    let lifted = node.with_new_exprs(expressions, vec![lift.input])?;
    if lifted.schema().fields().len() == shown.len() {
        return Ok(Transformed::yes(lifted));
    }
    let shown = shown.into_iter().map(Expr::Column);
    let plan = LogicalPlanBuilder::from(lifted).project(shown)?.build()?;
    Ok(Transformed::yes(plan))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Condition,
    Projection,
    Other,
}

/// The input of a node, which takes the subqueries of its expressions.
struct Lift<'a> {
    input: LogicalPlan,
    /// Whether scalar subqueries are taken, too.
    takes_scalars: bool,
    is_changed: bool,
    /// How many columns there are in the statement already.
    columns: &'a mut usize,
}

impl Lift<'_> {
    /// Takes all subqueries of an expression.
    fn all(&mut self, expr: Expr) -> Result<Expr> {
        expr.transform_up(|expr| self.value(expr)).data()
    }

    /// Takes those subqueries of a filter's condition that the engine cannot make a join of its own.
    fn conditions(&mut self, predicate: Expr) -> Result<Expr> {
        let mut conditions = Vec::new();
        for condition in split_conjunction_owned(predicate) {
            conditions.push(match membership(&condition) {
                Some((membership, is_negated)) => {
                    let joins_by_more = !membership.subquery.outer_ref_columns.is_empty();
                    match is_negated && joins_by_more && self.may_be_null(membership)? {
                        true => self.all(condition)?,
                        false => condition,
                    }
                }
                None => self.condition(condition, true)?,
            });
        }
        Ok(conjunction(conditions).unwrap_or_else(|| datafusion::prelude::lit(true)))
    }

    /// Takes memberships that are not known where more than their truth matters. Below an even
    /// number of `NOT`s only truth does.
    fn condition(&mut self, expr: Expr, is_even: bool) -> Result<Expr> {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: op @ (Operator::And | Operator::Or),
                right,
            }) => {
                let left = Box::new(self.condition(*left, is_even)?);
                let right = Box::new(self.condition(*right, is_even)?);
                Ok(Expr::BinaryExpr(BinaryExpr { left, op, right }))
            }
            Expr::Not(inner) => Ok(Expr::Not(Box::new(self.condition(*inner, !is_even)?))),
            Expr::InSubquery(membership) if membership.negated != is_even => {
                Ok(Expr::InSubquery(membership))
            }
            other => other
                .transform_up(|expr| match expr {
                    Expr::Exists(_) => Ok(Transformed::no(expr)),
                    Expr::InSubquery(membership) if !self.may_be_null(&membership)? => {
                        Ok(Transformed::no(Expr::InSubquery(membership)))
                    }
                    Expr::InSubquery(membership) => {
                        let lifted = self.value(Expr::InSubquery(membership))?;
                        match lifted.transformed {
                            true => Ok(lifted),
                            false => Err(unknown_membership().into()),
                        }
                    }
                    other => self.value(other),
                })
                .data(),
        }
    }

    /// The column of a subquery, where there can be one.
    fn value(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        let column = match &expr {
            Expr::Exists(exists) if self.is_joinable(&exists.subquery) => {
                let mark = self.mark(&exists.subquery.subquery, None)?;
                mark.map(|mark| negated(mark, exists.negated))
            }
            Expr::InSubquery(membership) if self.is_joinable(&membership.subquery) => {
                let value = self.membership(membership)?;
                value.map(|value| negated(value, membership.negated))
            }
            Expr::ScalarSubquery(subquery) if self.takes_scalars && self.is_joinable(subquery) => {
                Some(self.scalar(subquery)?)
            }
            _ => None,
        };
        Ok(column.map_or_else(|| Transformed::no(expr), Transformed::yes))
    }

    /// Whether all that a subquery takes from around it is in the input.
    fn is_joinable(&self, subquery: &Subquery) -> bool {
        let mut outer = subquery.outer_ref_columns.iter();
        outer.all(|outer| match outer {
            Expr::OuterReferenceColumn(_, column) => self.input.schema().has_column(column),
            _ => false,
        })
    }

    /// A column of the rows of a scalar subquery, whose own name is that of nothing else.
    fn scalar(&mut self, subquery: &Subquery) -> Result<Expr> {
        let name = self.next_name();
        let value = format!("{name}_value");
        let plan = match subquery.subquery.as_ref() {
            LogicalPlan::Projection(Projection { expr, input, .. }) if expr.len() == 1 => {
                let named = expr.iter().map(|expr| expr.clone().unalias().alias(&value));
                let input = LogicalPlanBuilder::from(input.as_ref().clone());
                input.project(named.collect::<Vec<_>>())?.build()?
            }
            other => {
                let own = other.schema().columns().into_iter().map(Expr::Column);
                let named = own.map(|column| column.alias(&value));
                let input = LogicalPlanBuilder::from(other.clone());
                input.project(named.collect::<Vec<_>>())?.build()?
            }
        };
        let subquery = Subquery {
            subquery: Arc::new(plan),
            ..subquery.clone()
        };
        self.add(Expr::ScalarSubquery(subquery), name)
    }

    /// Adds a column to the input.
    fn add(&mut self, expr: Expr, name: String) -> Result<Expr> {
        let columns = self.input.schema().columns().into_iter().map(Expr::Column);
        let columns: Vec<Expr> = columns.chain([expr.alias(&name)]).collect();
        let input = LogicalPlanBuilder::from(self.input.clone());
        self.input = input.project(columns)?.build()?;
        self.is_changed = true;
        Ok(Expr::Column(Column::new_unqualified(name)))
    }

    fn next_name(&mut self) -> String {
        *self.columns += 1;
        format!("{NAME}_{}", self.columns)
    }

    fn may_be_null(&self, membership: &InSubquery) -> Result<bool> {
        let found = membership.subquery.subquery.schema();
        Ok(membership.expr.nullable(self.input.schema().as_ref())?
            || found.fields().iter().any(|field| field.is_nullable()))
    }
}

/// Whether a condition is `IN` or `EXISTS` as a whole.
fn is_join(condition: &Expr) -> bool {
    match condition {
        Expr::Not(inner) => is_join(inner),
        other => matches!(other, Expr::InSubquery(_) | Expr::Exists(_)),
    }
}

/// The membership that is all of a condition, and whether its contrary is asked for.
fn membership(condition: &Expr) -> Option<(&InSubquery, bool)> {
    match condition {
        Expr::InSubquery(membership) => Some((membership, membership.negated)),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::InSubquery(membership) => Some((membership, !membership.negated)),
            _ => None,
        },
        _ => None,
    }
}

fn negated(value: Expr, is_negated: bool) -> Expr {
    match is_negated {
        true => Expr::Not(Box::new(value)),
        false => value,
    }
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(false)
}

fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_)
    )
}

/// Whether the engine would take the results of scalar subqueries for each other's, or for columns
/// around them: it looks for them by their names, also those of one that it writes out twice. A
/// condition that is `IN` or `EXISTS` as a whole is a join before that, and has no name.
fn are_mixed_up(expressions: &[Expr], place: Place, schema: &DFSchema) -> bool {
    let mut subqueries = 0;
    let mut has_correlated = false;
    let mut has_namesake = false;
    let mut is_repeated = false;
    let parts = expressions.iter().flat_map(|expr| match place {
        Place::Condition => split_conjunction(expr),
        Place::Projection | Place::Other => vec![expr],
    });
    for expr in parts.filter(|part| place != Place::Condition || !is_join(part)) {
        let _ = expr.exists(|expr| {
            subqueries += usize::from(is_subquery(expr));
            is_repeated |= may_be_repeated(expr) && has_subquery(expr);
            if let Expr::ScalarSubquery(subquery) = expr {
                has_correlated |= !subquery.outer_ref_columns.is_empty();
                let value = subquery.subquery.schema().fields().first();
                let mut around = schema.fields().iter();
                has_namesake |=
                    value.is_some_and(|value| around.any(|column| column.name() == value.name()));
            }
            Ok(false)
        });
    }
    has_correlated && (subqueries > 1 || has_namesake || is_repeated)
}

/// Whether the engine may write out twice what stands in an expression: `x BETWEEN a AND b` becomes
/// `x >= a AND x <= b`.
fn may_be_repeated(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Between(_) | Expr::InList(_) | Expr::Case(_) | Expr::ScalarFunction(_)
    )
}

fn unknown_membership() -> Error {
    Error::unsupported(
        "IN (SELECT …) of values that may be NULL stands below NOT, IS NULL or another expression, \
         where NULL is not false; write EXISTS or NOT EXISTS, or take NULL out on both sides with \
         coalesce",
    )
}
