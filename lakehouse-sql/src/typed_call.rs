//! Calls written so that their types are known before types are made equal.
//!
//! The engine's `nullif` compares two values as they are, which fails for decimals of different
//! scales and for times of different zones: as an `=` they become of one type first. Its `round` of
//! a decimal has as many places as it is told, but not while the number is cast to the type it
//! takes: it is given a number of that type.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::functions::core::nullif::NullIfFunc;
use datafusion::functions::math::round::RoundFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Case, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::{Expr, lit};

/// See the module documentation. Stands before the rules that make types of comparisons equal.
#[derive(Debug)]
pub(crate) struct TypedCallRule;

impl AnalyzerRule for TypedCallRule {
    fn name(&self) -> &str {
        "lakehouse_typed_calls"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let written = expr.transform_up(|expr| Ok(written(expr)))?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

fn written(expr: Expr) -> Transformed<Expr> {
    let Expr::ScalarFunction(call) = &expr else {
        return Transformed::no(expr);
    };
    let function = call.func.inner().as_any();
    let written = match () {
        () if function.is::<NullIfFunc>() => nullif(&call.args),
        () if function.is::<RoundFunc>() => round(call),
        () => None,
    };
    written.map_or_else(|| Transformed::no(expr), Transformed::yes)
}

/// `nullif` as `CASE`, but for a first value that would be another one the second time.
fn nullif(args: &[Expr]) -> Option<Expr> {
    let [value, other] = args else {
        return None;
    };
    if value.is_volatile() {
        return None;
    }
    let is_equal = value.clone().eq(other.clone());
    let cases = vec![(Box::new(is_equal), Box::new(lit(ScalarValue::Null)))];
    let case = Case::new(None, cases, Some(Box::new(value.clone())));
    Some(Expr::Case(case))
}

/// `round` to a number of places of 32 bits.
fn round(call: &ScalarFunction) -> Option<Expr> {
    let [value, Expr::Literal(ScalarValue::Int64(Some(places)), None)] = call.args.as_slice()
    else {
        return None;
    };
    let places = lit(i32::try_from(*places).ok()?);
    Some(Expr::ScalarFunction(ScalarFunction {
        func: Arc::clone(&call.func),
        args: vec![value.clone(), places],
    }))
}
