//! Casts that lose something stay where they are.
//!
//! The optimiser moves a cast from a column to the literal beside it: `CAST(price AS BIGINT) = 10`
//! becomes `price = 10.00`, which is another question when the price is 10.49. It does so whatever
//! is lost, and a literal that a finer unit of time needs loses its last digits on the way. So
//! before the optimiser begins, such casts become calls of a function that it does not look into;
//! the others are left to it, because files are pruned by them.

use std::any::Any;
use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct LossyCastRule;

impl AnalyzerRule for LossyCastRule {
    fn name(&self) -> &str {
        "lakehouse_lossy_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let hidden = plan.transform_up_with_subqueries(hide_in_node)?;
        Ok(hidden.data)
    }
}

fn hide_in_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&node.inputs());
    let names = NamePreserver::new(&node);
    let hidden = node.map_expressions(|expr| {
        let name = names.save(&expr);
        let hidden = expr.transform_up(|expr| hide(expr, &schema))?;
        Ok(hidden.update_data(|expr| name.restore(expr)))
    })?;
    match hidden.transformed {
        true => hidden.map_data(LogicalPlan::recompute_schema),
        false => Ok(hidden),
    }
}

fn hide(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::Cast(Cast { expr, data_type }) if loses(&expr.get_type(schema)?, &data_type) => {
            Ok(Transformed::yes(call(*expr, data_type, false)))
        }
        Expr::TryCast(TryCast { expr, data_type })
            if loses(&expr.get_type(schema)?, &data_type) =>
        {
            Ok(Transformed::yes(call(*expr, data_type, true)))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn call(expr: Expr, target: DataType, is_try: bool) -> Expr {
    let function = ScalarUDF::from(HiddenCast::new(target, is_try));
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![expr]))
}

/// Whether a value of one of the types may have no place in the other, among the types whose casts
/// the optimiser moves without a look at what is lost.
fn loses(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Timestamp(from, None), DataType::Timestamp(to, Some(zone))) => {
            from != to || !is_utc(zone)
        }
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from != to,
        (DataType::Date32 | DataType::Date64, DataType::Timestamp(_, Some(zone))) => !is_utc(zone),
        (DataType::Dictionary(_, from), to) => loses(from, to),
        (from, DataType::Dictionary(_, to)) => loses(from, to),
        (from, to) => match (scale(from), scale(to)) {
            (Some(from), Some(to)) => from > to,
            _ => false,
        },
    }
}

/// Whether times of day are those of UTC; elsewhere the optimiser takes the one for the other.
fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "Z" | "Etc/UTC" | "+00:00" | "+00" | "GMT")
}

/// Digits behind the point; none for whole numbers.
fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        other if other.is_integer() => Some(0),
        _ => None,
    }
}

/// A cast that the optimiser takes for any function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct HiddenCast {
    signature: Signature,
    target: DataType,
    is_try: bool,
}

impl HiddenCast {
    fn new(target: DataType, is_try: bool) -> Self {
        let signature = Signature::any(1, Volatility::Immutable);
        Self {
            signature,
            target,
            is_try,
        }
    }
}

impl ScalarUDFImpl for HiddenCast {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "lossy_cast"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let nullable = self.is_try || args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            self.target.clone(),
            nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value] = args.args.as_slice() else {
            return internal_err!("a cast takes one value");
        };
        let options = match self.is_try {
            true => CastOptions {
                safe: true,
                ..DEFAULT_CAST_OPTIONS
            },
            false => DEFAULT_CAST_OPTIONS,
        };
        match value {
            ColumnarValue::Array(values) => {
                let cast = cast_with_options(values, &self.target, &options)?;
                Ok(ColumnarValue::Array(cast))
            }
            ColumnarValue::Scalar(value) => {
                let cast = cast_with_options(&value.to_array()?, &self.target, &options)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                    &cast, 0,
                )?))
            }
        }
    }
}
