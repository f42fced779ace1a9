//! An order of aggregates and of `DISTINCT ON` that names a value once.
//!
//! The engine forgets what is repeated in an order, but goes on counting it.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Distinct, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct AggregateOrderRule;

impl AnalyzerRule for AggregateOrderRule {
    fn name(&self) -> &str {
        "lakehouse_aggregate_order"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let single = plan.transform_up_with_subqueries(|mut node| {
            if let LogicalPlan::Distinct(Distinct::On(distinct)) = &mut node {
                distinct.sort_expr.as_mut().map(keep_first);
            }
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let single = expr.transform_up(|expr| Ok(with_single_order(expr)))?;
                Ok(single.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(single.data)
    }
}

fn with_single_order(expr: Expr) -> Transformed<Expr> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else {
        return Transformed::no(expr);
    };
    let is_shorter = keep_first(&mut params.order_by);
    let expr = Expr::AggregateFunction(AggregateFunction { func, params });
    Transformed::new_transformed(expr, is_shorter)
}

/// Leaves out what stands in an order before; true if there was any.
fn keep_first(order: &mut Vec<Sort>) -> bool {
    let before = order.len();
    let mut first: Vec<Sort> = Vec::with_capacity(before);
    for sort in order.drain(..) {
        if !first.iter().any(|earlier| earlier.expr == sort.expr) {
            first.push(sort);
        }
    }
    *order = first;
    order.len() < before
}
