//! Recursive queries whose rounds give other values than the first part can hold: refused.
//!
//! The engine casts what each round computes to the types of the first part. There `n * 1.5` loses
//! what is behind the point: the answer is another one, or none, as the recursion never ends.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, RecursiveQuery};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// See the module documentation. Stands before casts are looked at by others.
#[derive(Debug)]
pub(crate) struct RecursiveTypeRule;

impl AnalyzerRule for RecursiveTypeRule {
    fn name(&self) -> &str {
        "lakehouse_recursive_types"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::RecursiveQuery(recursion) = node {
                check(recursion)?;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(plan)
    }
}

fn check(recursion: &RecursiveQuery) -> Result<()> {
    let LogicalPlan::Projection(round) = recursion.recursive_term.as_ref() else {
        return Ok(());
    };
    let fields = recursion.static_term.schema().fields();
    for (column, field) in round.expr.iter().zip(fields) {
        let Expr::Cast(Cast { expr, data_type }) = column.clone().unalias() else {
            continue;
        };
        let given = expr.get_type(round.input.schema())?;
        if loses(&given, &data_type) {
            return Err(DataFusionError::from(Error::unsupported(format!(
                "column {} of the recursive query {} is {data_type} in its first part and {given} \
                 in the next: cast it in the first part to the type of all rounds; a cast that is \
                 meant goes into a subquery of the next",
                field.name(),
                recursion.name
            ))));
        }
    }
    Ok(())
}

/// Whether a cast may leave something out without an error.
fn loses(given: &DataType, taken: &DataType) -> bool {
    let scale = |kind: &DataType| match kind {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => Some(*scale),
        kind if kind.is_integer() => Some(0),
        _ => None,
    };
    match (scale(given), scale(taken)) {
        (Some(given), Some(taken)) => given > taken,
        (None, Some(_)) => given.is_floating(),
        _ => matches!(
            (given, taken),
            (DataType::Timestamp(..), DataType::Date32 | DataType::Date64)
        ),
    }
}
