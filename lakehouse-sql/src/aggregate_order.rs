//! An order of aggregates and of `DISTINCT ON` that names a value once.
//!
//! The engine forgets what is repeated in an order, but goes on counting it. Of two aggregates in
//! opposite orders it turns one around, which an aggregate of distinct values does not survive: that
//! is refused.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{AggregateFunction, Sort};
use datafusion::logical_expr::{Distinct, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

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
            if let LogicalPlan::Aggregate(aggregate) = &node {
                refuse_opposite_orders(&aggregate.aggr_expr)?;
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

fn refuse_opposite_orders(aggregates: &[Expr]) -> Result<()> {
    let orders = aggregates.iter().filter_map(|aggregate| {
        let Expr::AggregateFunction(call) = aggregate.clone().unalias() else {
            return None;
        };
        let first = call.params.order_by.into_iter().next()?;
        Some((first, call.params.distinct))
    });
    let orders: Vec<(Sort, bool)> = orders.collect();
    let distinct = orders.iter().filter(|(_, is_distinct)| *is_distinct);
    for (first, _) in distinct {
        let is_opposite =
            |(other, _): &(Sort, bool)| other.expr == first.expr && other.asc != first.asc;
        if orders.iter().any(is_opposite) {
            let message = "an aggregate of DISTINCT values in an order, beside one in the \
                           opposite order; compute one of them in a subquery";
            return Err(Error::unsupported(message).into());
        }
    }
    Ok(())
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
