//! `FROM t CROSS JOIN UNNEST(t.list)`: each row beside the values of its own list.
//!
//! The engine plans a subquery that refers to the row around, which it cannot make a join of. But
//! what stands in that subquery goes over the rows around as well as over none: the columns around
//! are carried through it, under names of their own until they have theirs again.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::{Projection, Subquery};
use datafusion::logical_expr::{EmptyRelation, Join, LogicalPlan, SubqueryAlias, Unnest};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

/// The name of a column around while it is carried, before its place.
const CARRIED: &str = "__carried_";

/// See the module documentation. Stands before all rules that look at joins or at subqueries.
#[derive(Debug)]
pub(crate) struct LateralUnnestRule;

impl AnalyzerRule for LateralUnnestRule {
    fn name(&self) -> &str {
        "lakehouse_lateral_unnest"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match &node {
            LogicalPlan::Join(join) => Ok(match unnested(join)? {
                Some(unnested) => Transformed::yes(unnested),
                None => Transformed::no(node),
            }),
            _ => Ok(Transformed::no(node)),
        })
        .data()
    }
}

/// The rows of a join with an unnested list of its left side, if it is one.
fn unnested(join: &Join) -> Result<Option<LogicalPlan>> {
    let is_true =
        |filter: &Expr| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(true)), _));
    let keeps_all = join.on.is_empty() && join.filter.as_ref().is_none_or(is_true);
    let Some(subquery) = subquery_of(&join.right) else {
        return Ok(None);
    };
    if join.join_type != JoinType::Inner || !keeps_all {
        return Ok(None);
    }
    let Some(carrying) = over(&subquery.subquery, &join.left)? else {
        return Ok(None);
    };
    let (left, right) = (join.left.schema(), join.right.schema());
    let carried = carrying.schema().iter().map(Column::from);
    let columns = carried.zip(left.iter().chain(right.iter()));
    let columns = columns.map(|(column, (relation, field))| {
        Expr::Column(column).alias_qualified(relation.cloned(), field.name())
    });
    let columns = columns.collect();
    let named = Projection::try_new(columns, Arc::new(carrying))?;
    Ok(Some(LogicalPlan::Projection(named)))
}

fn subquery_of(plan: &LogicalPlan) -> Option<&Subquery> {
    match plan {
        LogicalPlan::Subquery(subquery) => Some(subquery),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => subquery_of(input),
        _ => None,
    }
}

/// A plan over no table with the rows around in the place of none, their columns first; nothing
/// where it is another plan, or refers to queries further around.
fn over(plan: &LogicalPlan, around: &Arc<LogicalPlan>) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::EmptyRelation(EmptyRelation {
            produce_one_row: true,
            ..
        }) => {
            let columns = around.schema().iter().enumerate();
            let columns = columns.map(|(place, column)| {
                Expr::Column(Column::from(column)).alias(format!("{CARRIED}{place}"))
            });
            let carried = Projection::try_new(columns.collect(), Arc::clone(around))?;
            Ok(Some(LogicalPlan::Projection(carried)))
        }
        LogicalPlan::Projection(projection) => {
            let Some(input) = over(&projection.input, around)? else {
                return Ok(None);
            };
            let carried = (0..around.schema().fields().len()).map(|place| Ok(Some(carried(place))));
            let own = projection.expr.iter().map(|expr| inside(expr, around));
            let columns: Option<Vec<Expr>> = carried.chain(own).collect::<Result<_>>()?;
            let Some(columns) = columns else {
                return Ok(None);
            };
            let projection = Projection::try_new(columns, Arc::new(input))?;
            Ok(Some(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::Unnest(unnest) => {
            let Some(input) = over(&unnest.input, around)? else {
                return Ok(None);
            };
            let (columns, options) = (unnest.exec_columns.clone(), unnest.options.clone());
            let unnest = Unnest::try_new(Arc::new(input), columns, options)?;
            Ok(Some(LogicalPlan::Unnest(unnest)))
        }
        _ => Ok(None),
    }
}

fn carried(place: usize) -> Expr {
    Expr::Column(Column::from_name(format!("{CARRIED}{place}")))
}

/// An expression with the columns around as they are carried, under the name that it had.
fn inside(expr: &Expr, around: &LogicalPlan) -> Result<Option<Expr>> {
    let name = expr.schema_name().to_string();
    let mut is_found = true;
    let inside = expr.clone().transform_up(|expr| {
        let Expr::OuterReferenceColumn(_, column) = &expr else {
            return Ok(Transformed::no(expr));
        };
        Ok(match around.schema().maybe_index_of_column(column) {
            Some(place) => Transformed::yes(carried(place)),
            None => {
                is_found = false;
                Transformed::no(expr)
            }
        })
    })?;
    let inside = match inside.transformed && inside.data.schema_name().to_string() != name {
        true => inside.data.alias(name),
        false => inside.data,
    };
    Ok(is_found.then_some(inside))
}
