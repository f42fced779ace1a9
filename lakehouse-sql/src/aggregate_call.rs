//! Calls of aggregate functions in a plan, and other functions in their places.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, WindowFunctionDefinition};
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

/// A call of an aggregate function.
pub(crate) struct AggregateCall<'a> {
    /// The function.
    pub(crate) function: &'a Arc<AggregateUDF>,
    /// What it is called with.
    pub(crate) arguments: &'a [Expr],
    /// Whether its values are the rows of a window.
    pub(crate) is_windowed: bool,
    /// The columns that the arguments refer to.
    pub(crate) schema: &'a DFSchema,
}

/// A plan, its subqueries too, in which each function is the one that `other` gives for its call, if
/// it gives one. Columns keep their names.
///
/// # Errors
/// Those of `other`.
pub(crate) fn with_functions(
    plan: LogicalPlan,
    other: impl Fn(&AggregateCall<'_>) -> Result<Option<Arc<AggregateUDF>>>,
) -> Result<LogicalPlan> {
    let replaced = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let replaced = expr.transform_up(|expr| replace(expr, &schema, &other))?;
            Ok(replaced.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(replaced.data)
}

fn replace(
    expr: Expr,
    schema: &DFSchema,
    other: impl Fn(&AggregateCall<'_>) -> Result<Option<Arc<AggregateUDF>>>,
) -> Result<Transformed<Expr>> {
    match expr {
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let replaced = other(&AggregateCall {
                function: &func,
                arguments: &params.args,
                is_windowed: false,
                schema,
            })?;
            let is_new = replaced.is_some();
            let func = replaced.unwrap_or(func);
            let expr = Expr::AggregateFunction(AggregateFunction { func, params });
            Ok(Transformed::new_transformed(expr, is_new))
        }
        Expr::WindowFunction(mut call) => {
            let WindowFunction { fun, params } = call.as_mut();
            let mut is_new = false;
            if let WindowFunctionDefinition::AggregateUDF(function) = fun {
                let replaced = other(&AggregateCall {
                    function,
                    arguments: &params.args,
                    is_windowed: true,
                    schema,
                })?;
                if let Some(replaced) = replaced {
                    *function = replaced;
                    is_new = true;
                }
            }
            Ok(Transformed::new_transformed(
                Expr::WindowFunction(call),
                is_new,
            ))
        }
        other => Ok(Transformed::no(other)),
    }
}
