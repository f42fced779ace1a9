//! Arithmetic of decimals that stays in its precision, with a check per batch instead of one per
//! value: where in a plan it takes the engine's place.

mod expression;
mod kernel;
mod precision;

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr::projection::ProjectionExpr;
use datafusion::physical_expr::{Partitioning, PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::filter::{FilterExec, FilterExecBuilder};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use expression::DecimalArithmetic;
use kernel::Operation;
pub(crate) use precision::DecimalPrecisionRule;
use precision::InPrecision;

/// Puts [`DecimalArithmetic`] in the place of the engine's expressions: in projections, filters and
/// the arguments of aggregates, which are calculated for every row.
///
/// It runs once aggregates are split and sorted, and before projections move into scans, where no
/// rule sees them.
#[derive(Debug)]
pub(crate) struct DecimalArithmeticRule;

impl PhysicalOptimizerRule for DecimalArithmeticRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let replaced = match node.as_any() {
                any if any.is::<ProjectionExec>() => projection(&node)?,
                any if any.is::<FilterExec>() => filter(&node)?,
                any if any.is::<AggregateExec>() => aggregate(&node)?,
                _ => None,
            };
            Ok(match replaced {
                Some(replaced) => Transformed::yes(replaced),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_decimal_arithmetic"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn projection(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(exec) = node.as_any().downcast_ref::<ProjectionExec>() else {
        return Ok(None);
    };
    let schema = exec.input().schema();
    let mut changed = false;
    let mut columns = Vec::with_capacity(exec.expr().len());
    for column in exec.expr() {
        let expression = replaced(&column.expr, &schema)?;
        changed |= expression.transformed;
        columns.push(ProjectionExpr::new(expression.data, column.alias.clone()));
    }
    if !changed {
        return Ok(None);
    }
    let projection = ProjectionExec::try_new(columns, Arc::clone(exec.input()))?;
    Ok(if_as_ordered(Arc::new(projection), node))
}

fn filter(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(exec) = node.as_any().downcast_ref::<FilterExec>() else {
        return Ok(None);
    };
    let predicate = replaced(exec.predicate(), &exec.input().schema())?;
    if !predicate.transformed {
        return Ok(None);
    }
    let filter = FilterExecBuilder::from(exec).with_predicate(predicate.data);
    Ok(if_as_ordered(Arc::new(filter.build()?), node))
}

/// Only the aggregates that read rows: the later ones read states, not their arguments.
fn aggregate(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(exec) = node.as_any().downcast_ref::<AggregateExec>() else {
        return Ok(None);
    };
    if exec.mode().input_mode() != AggregateInputMode::Raw {
        return Ok(None);
    }
    let schema = exec.input().schema();
    let mut changed = false;
    let mut aggregates = Vec::with_capacity(exec.aggr_expr().len());
    for aggregate in exec.aggr_expr() {
        let with_new = with_new_arguments(aggregate, &schema)?;
        changed |= with_new.is_some();
        aggregates.push(with_new.map_or_else(|| Arc::clone(aggregate), Arc::new));
    }
    Ok(changed.then(|| Arc::new(exec.with_new_aggr_exprs(aggregates)) as _))
}

fn with_new_arguments(
    aggregate: &AggregateFunctionExpr,
    schema: &Schema,
) -> Result<Option<AggregateFunctionExpr>> {
    // New arguments would turn a reversed aggregate back.
    if aggregate.is_reversed() {
        return Ok(None);
    }
    let mut changed = false;
    let mut arguments = Vec::new();
    for argument in aggregate.expressions() {
        let argument = replaced(&argument, schema)?;
        changed |= argument.transformed;
        arguments.push(argument.data);
    }
    if !changed {
        return Ok(None);
    }
    let orders = aggregate.order_bys().iter();
    let orders = orders.map(|order| Arc::clone(&order.expr)).collect();
    Ok(aggregate.with_new_expressions(arguments, orders))
}

/// The expression with its decimal arithmetic replaced.
fn replaced(
    expression: &Arc<dyn PhysicalExpr>,
    schema: &Schema,
) -> Result<Transformed<Arc<dyn PhysicalExpr>>> {
    Arc::clone(expression).transform_up(|expression| {
        if let Some(result) = result_in_precision(&expression) {
            return Ok(Transformed::yes(result));
        }
        let Some(checked) = expression.as_any().downcast_ref::<BinaryExpr>() else {
            return Ok(Transformed::no(expression));
        };
        let is_replaceable = match checked.op() {
            // A quotient is calculated by the engine, and has more digits than its type here only.
            operator if Operation::of(operator).is_some() || *operator == Operator::Divide => {
                is_decimal(checked.left(), schema)? && is_decimal(checked.right(), schema)?
            }
            // Calculated by the engine; only written with the parentheses that its sides need.
            Operator::Modulo => is_own(checked.left()) || is_own(checked.right()),
            _ => false,
        };
        Ok(if is_replaceable {
            let own = DecimalArithmetic::new(checked.clone());
            Transformed::yes(Arc::new(own) as _)
        } else {
            Transformed::no(expression)
        })
    })
}

/// The argument of a function that looks at a result, if the argument does so itself.
fn result_in_precision(expression: &Arc<dyn PhysicalExpr>) -> Option<Arc<dyn PhysicalExpr>> {
    let call = expression.as_any().downcast_ref::<ScalarFunctionExpr>()?;
    let is_check = call.fun().inner().as_any().is::<InPrecision>();
    let [result] = call.args() else {
        return None;
    };
    (is_check && is_own(result)).then(|| Arc::clone(result))
}

fn is_decimal(expression: &Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<bool> {
    let data_type = expression.data_type(schema)?;
    Ok(matches!(data_type, DataType::Decimal128(..)))
}

fn is_own(expression: &Arc<dyn PhysicalExpr>) -> bool {
    expression.as_any().is::<DecimalArithmetic>()
}

/// The new node, unless less is known of the order of its rows: an order by an expression is
/// known by the expression, which is another one now.
fn if_as_ordered(
    new: Arc<dyn ExecutionPlan>,
    old: &Arc<dyn ExecutionPlan>,
) -> Option<Arc<dyn ExecutionPlan>> {
    let (new_properties, old_properties) = (new.properties(), old.properties());
    let is_partitioned = match &old_properties.partitioning {
        hashed @ Partitioning::Hash(..) => *hashed == new_properties.partitioning,
        _ => true,
    };
    let orders = |plan: &Arc<dyn ExecutionPlan>| plan.equivalence_properties().oeq_class().clone();
    (is_partitioned && orders(&new) == orders(old)).then_some(new)
}

#[cfg(test)]
mod tests;
