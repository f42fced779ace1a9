//! Results of decimal arithmetic that have more digits than their type are errors.
//!
//! The engine checks 128 bits, which hold more than 38 digits: 10^38 would be calculated with, and
//! shown with its last digit cut. So where the digits of a result are those of the widest decimal,
//! and it may have more, a function is called with it that looks. It stands in the plan before the
//! optimiser begins, which calculates what is constant. What is calculated for every row looks by
//! itself, and [`super::DecimalArithmeticRule`] takes the function away there.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, DecimalType};
use arrow::datatypes::{Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::utils::NamePreserver;
use datafusion::prelude::Expr;
use lakehouse_core::error::Error;

/// The function whose results the engine does not look at either; `round`, `ceil` and `floor` fail.
const POWER: &str = "power";

/// Refuses results of an operation, `of`, with more digits than their type.
///
/// # Errors
/// When there is such a result.
pub(super) fn in_precision(results: ColumnarValue, of: impl fmt::Display) -> Result<ColumnarValue> {
    let DataType::Decimal128(precision, scale) = results.data_type() else {
        return Ok(results);
    };
    let fits = |value: i128| Decimal128Type::is_valid_decimal_precision(value, precision);
    let all_fit = match &results {
        ColumnarValue::Array(array) => match array.as_primitive_opt::<Decimal128Type>() {
            // Beneath NULLs anything may stand.
            Some(array) => {
                array.values().iter().all(|value| fits(*value)) || array.iter().flatten().all(fits)
            }
            None => true,
        },
        ColumnarValue::Scalar(ScalarValue::Decimal128(Some(value), ..)) => fits(*value),
        ColumnarValue::Scalar(_) => true,
    };
    if all_fit {
        return Ok(results);
    }
    Err(Error::invalid(format!(
        "a result of {of} leaves DECIMAL({precision}, {scale}); cast what it is made of to fewer \
         decimal places or to DOUBLE"
    ))
    .into())
}

/// See the module documentation. Stands behind the engine's own coercion.
#[derive(Debug)]
pub(crate) struct DecimalPrecisionRule;

impl AnalyzerRule for DecimalPrecisionRule {
    fn name(&self) -> &str {
        "lakehouse_decimal_precision"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let checked = plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let check = |expr: Expr| {
                let name = names.save(&expr);
                let checked = expr.transform_up(|expr| check(expr, &schema))?;
                Ok(checked.update_data(|expr| name.restore(expr)))
            };
            node.map_expressions(|expr| match expr {
                // Its members have the names.
                Expr::GroupingSet(_) => expr.map_children(check),
                expr => check(expr),
            })
        })?;
        Ok(checked.data)
    }
}

fn check(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let of = match &expr {
        Expr::BinaryExpr(binary) if may_leave(binary, schema)? => binary.op.to_string(),
        Expr::ScalarFunction(call)
            if call.name() == POWER
                && matches!(expr.get_type(schema)?, DataType::Decimal128(..)) =>
        {
            POWER.to_owned()
        }
        _ => return Ok(Transformed::no(expr)),
    };
    let function = ScalarUDF::from(InPrecision::new(of));
    let call = ScalarFunction::new_udf(Arc::new(function), vec![expr]);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// Whether the type of the results has fewer digits than they may have.
fn may_leave(binary: &BinaryExpr, schema: &DFSchema) -> Result<bool> {
    if !matches!(
        binary.op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide
    ) {
        return Ok(false);
    }
    let types = [&binary.left, &binary.right].map(|side| side.get_type(schema));
    let [
        Ok(DataType::Decimal128(left, left_scale)),
        Ok(DataType::Decimal128(right, right_scale)),
    ] = types
    else {
        return Ok(false);
    };
    let [left, left_scale, right, right_scale] = [
        left.into(),
        left_scale.into(),
        right.into(),
        right_scale.into(),
    ]
    .map(|n: i32| n);
    let digits = match binary.op {
        Operator::Multiply => left + right,
        // The engine adds four digits behind the point of the dividend.
        Operator::Divide => left + 4 + right_scale,
        _ => left_scale.max(right_scale) + (left - left_scale).max(right - right_scale) + 1,
    };
    Ok(digits > i32::from(DECIMAL128_MAX_PRECISION))
}

/// A result, if its type holds it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct InPrecision {
    signature: Signature,
    /// The operation, as errors call it.
    of: String,
}

impl InPrecision {
    fn new(of: String) -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
            of,
        }
    }
}

impl ScalarUDFImpl for InPrecision {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "in_precision"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let Some(field) = args.arg_fields.first() else {
            return internal_err!("one result is checked at a time");
        };
        let field = Field::new(self.name(), field.data_type().clone(), field.is_nullable());
        Ok(Arc::new(field))
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        let input = inputs.first();
        Ok(input.map_or(SortProperties::Unordered, |input| input.sort_properties))
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match inputs {
            [input] => Ok((*input).clone()),
            _ => internal_err!("one result is checked at a time"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([results]) => in_precision(results, &self.of),
            Err(_) => internal_err!("one result is checked at a time"),
        }
    }
}
