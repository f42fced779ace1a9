//! `FILTER (WHERE …)` takes the rows whose condition is true, and not those where it is NULL.
//!
//! The engine's `count` of groups looks at the values of conditions only, which a NULL has as well.
//! So a condition that may be NULL becomes `… IS TRUE`.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, cast};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct AggregateFilterRule;

impl AnalyzerRule for AggregateFilterRule {
    fn name(&self) -> &str {
        "lakehouse_aggregate_filters"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let known = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let known = expr.transform_up(|expr| with_known_filter(expr, &schema))?;
                Ok(known.update_data(|expr| name.restore(expr)))
            })
        })?;
        Ok(known.data)
    }
}

fn with_known_filter(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::AggregateFunction(AggregateFunction { func, mut params }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let mut filter = params.filter.take();
    // The engine compares a condition that is NULL and nothing else with TRUE, of another type.
    if let Some(condition) = &mut filter
        && condition.get_type(schema)? == DataType::Null
    {
        let unknown = std::mem::take(condition.as_mut());
        **condition = cast(unknown, DataType::Boolean);
    }
    let is_unknown = match &filter {
        Some(filter) => filter.nullable(schema)?,
        None => false,
    };
    params.filter = match is_unknown {
        true => filter.map(|filter| Box::new(Expr::IsTrue(filter))),
        false => filter,
    };
    let expr = Expr::AggregateFunction(AggregateFunction { func, params });
    Ok(Transformed::new_transformed(expr, is_unknown))
}
