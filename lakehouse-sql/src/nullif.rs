//! `nullif` written out as the comparison that it is.
//!
//! The engine compares the two values as they are, which fails for decimals of different scales and
//! for times of different zones. As an `=` they become of one type first.

use datafusion::common::ScalarValue;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::functions::core::nullif::NullIfFunc;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Case, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::{Expr, lit};

/// See the module documentation. Stands before the rules that make types of comparisons equal.
#[derive(Debug)]
pub(crate) struct NullifRule;

impl AnalyzerRule for NullifRule {
    fn name(&self) -> &str {
        "lakehouse_nullif"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let names = NamePreserver::new(&node);
            node.map_expressions(|expr| {
                let name = names.save(&expr);
                let written = expr.transform_up(|expr| Ok(written_out(expr)))?;
                Ok(written.update_data(|expr| name.restore(expr)))
            })
        })
        .data()
    }
}

/// A call as `CASE`, but for a first value that would be another one the second time.
fn written_out(expr: Expr) -> Transformed<Expr> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
        return Transformed::no(expr);
    };
    let is_nullif = func.inner().as_any().is::<NullIfFunc>();
    let [value, other] = args.as_slice() else {
        return Transformed::no(expr);
    };
    if !is_nullif || value.is_volatile() {
        return Transformed::no(expr);
    }
    let is_equal = value.clone().eq(other.clone());
    let cases = vec![(Box::new(is_equal), Box::new(lit(ScalarValue::Null)))];
    let case = Case::new(None, cases, Some(Box::new(value.clone())));
    Transformed::yes(Expr::Case(case))
}
