//! RANGE frames over decimals, with bounds that the engine can compare with them.
//!
//! It computes a bound as the difference of two decimals, which has more digits than either, and
//! compares it with values as they are: decimals of two types, which it cannot. Decimals of the most
//! digits stay of one type.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    ExprSchemable, LogicalPlan, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::prelude::{Expr, cast};
use lakehouse_core::error::Error;

/// The type that the calls of a node are to be ordered by, which is one for all, where the frame of
/// any is a range of decimals.
///
/// # Errors
/// When values and bounds have more digits together than a decimal.
pub(crate) fn range_type(node: &LogicalPlan, input: &DFSchema) -> Result<Option<DataType>> {
    let LogicalPlan::Window(window) = node else {
        return Ok(None);
    };
    let calls = window.window_expr.iter().filter_map(window_call);
    let scales = calls.clone().filter_map(scale_of_range);
    let (Some(bound_scale), Some(call)) = (scales.max(), calls.clone().next()) else {
        return Ok(None);
    };
    let [order] = call.params.order_by.as_slice() else {
        return Ok(None);
    };
    let DataType::Decimal128(precision, scale) = order.expr.get_type(input)? else {
        return Ok(None);
    };
    let wider_scale = scale.max(bound_scale);
    let digits = i16::from(precision) - i16::from(scale) + i16::from(wider_scale);
    if digits > i16::from(DECIMAL128_MAX_PRECISION) {
        return Err(Error::unsupported(format!(
            "a RANGE of {bound_scale} digits behind the point over a DECIMAL({precision}, {scale}) \
             has more than {DECIMAL128_MAX_PRECISION} digits; cast what it is ordered by to fewer"
        ))
        .into());
    }
    Ok(Some(DataType::Decimal128(
        DECIMAL128_MAX_PRECISION,
        wider_scale,
    )))
}

/// The call, ordered by values of the type.
pub(crate) fn ordered_by(call: &WindowFunction, target: &DataType) -> WindowFunction {
    let mut call = call.clone();
    for order in &mut call.params.order_by {
        order.expr = cast(order.expr.clone(), target.clone());
    }
    call
}

fn window_call(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => window_call(&alias.expr),
        Expr::WindowFunction(call) => Some(call),
        _ => None,
    }
}

/// The digits behind the point of a range's bounds; `None` where no bound is a number.
fn scale_of_range(call: &WindowFunction) -> Option<i8> {
    let WindowFrame {
        units: WindowFrameUnits::Range,
        start_bound,
        end_bound,
        ..
    } = &call.params.window_frame
    else {
        return None;
    };
    let scales = [start_bound, end_bound].map(scale_of_bound);
    scales.into_iter().flatten().max()
}

fn scale_of_bound(bound: &WindowFrameBound) -> Option<i8> {
    let (WindowFrameBound::Preceding(offset) | WindowFrameBound::Following(offset)) = bound else {
        return None;
    };
    // As it is written, until types are coerced.
    let ScalarValue::Utf8(Some(number)) = offset else {
        return None;
    };
    let fraction = number
        .trim()
        .split_once('.')
        .map_or("", |(_, digits)| digits);
    i8::try_from(fraction.trim_end_matches('0').len()).ok()
}
