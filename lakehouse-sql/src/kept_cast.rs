//! Casts that lose something stay where the user wrote them.
//!
//! The engine moves a cast from a column to the literal it is compared with: `CAST(price AS INT) =
//! 1` becomes `price = 1.00`, which finds no 1.28. It may do so only when the cast loses nothing.
//! Casts that do are replaced by a function of the same result, which nothing takes apart.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::DFSchema;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

/// Replaces every cast over a column that loses something.
#[derive(Debug)]
pub(crate) struct KeepLossyCasts;

impl AnalyzerRule for KeepLossyCasts {
    fn name(&self) -> &str {
        "keep_lossy_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> EngineResult<LogicalPlan> {
        let rewritten = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            node.map_expressions(|expression| {
                let name = names.save(&expression);
                let kept = expression.transform_up(|inner| keep(inner, &schema))?;
                Ok(kept.update_data(|inner| name.restore(inner)))
            })
        })?;
        Ok(rewritten.data)
    }
}

fn keep(expression: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    let (inner, target, is_try) = match &expression {
        Expr::Cast(Cast { expr, data_type }) => (expr, data_type, false),
        Expr::TryCast(TryCast { expr, data_type }) => (expr, data_type, true),
        _ => return Ok(Transformed::no(expression)),
    };
    // Only a comparison with a column is ever rewritten; a constant is folded as it is.
    if matches!(inner.as_ref(), Expr::Literal(..)) || !loses(&inner.get_type(schema)?, target) {
        return Ok(Transformed::no(expression));
    }
    let function = ScalarUDF::from(LossyCast::new(target.clone(), is_try));
    let arguments = vec![inner.as_ref().clone()];
    let call = ScalarFunction::new_udf(Arc::new(function), arguments);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// Whether two values of one type may become one value of the other.
fn loses(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal32, Decimal64, Decimal128, Decimal256, Timestamp};
    let scale = |data_type: &DataType| match data_type {
        Decimal32(_, scale) | Decimal64(_, scale) | Decimal128(_, scale) | Decimal256(_, scale) => {
            Some(*scale)
        }
        _ => None,
    };
    match (scale(from), scale(to), from, to) {
        (Some(from), Some(to), ..) => to < from,
        (Some(from), None, _, to) => from > 0 && to.is_integer(),
        (_, _, Timestamp(from, _), Timestamp(to, _)) => fineness(from) > fineness(to),
        _ => false,
    }
}

fn fineness(unit: &TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    }
}

/// A cast in the form of a function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LossyCast {
    signature: Signature,
    target: DataType,
    is_try: bool,
}

impl LossyCast {
    fn new(target: DataType, is_try: bool) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            target,
            is_try,
        }
    }
}

impl ScalarUDFImpl for LossyCast {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        if self.is_try { "try_cast" } else { "cast" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let options = arrow::compute::CastOptions {
            safe: self.is_try,
            ..Default::default()
        };
        let [value] = args.args.as_slice() else {
            return Err(lakehouse_core::error::Error::internal("a cast takes one value").into());
        };
        value.cast_to(&self.target, Some(&options))
    }
}
