//! What a column takes from a value of another type: everything that is kept whole.
//!
//! As the SQL standard assigns: numbers among each other, texts that say a value, dates as
//! timestamps. A number with a fraction is no whole number, a timestamp no date, a number no truth
//! value: those who want that say so with a CAST.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::table::with_one_nan;

use crate::field_match::matched;
use crate::of_columns::of_columns;

/// Up to here a double holds every whole number.
const DOUBLE_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
/// Up to here a FLOAT holds every whole number.
const FLOAT_WHOLE_MAX: f64 = 16_777_216.0;

/// Refuses what no value of a type can be in a column of another.
///
/// # Errors
/// `InvalidInput`, with the types and what to write instead.
pub(crate) fn refuse_unlike(given: &DataType, column: &DataType) -> Result<()> {
    if given == column || is_assignable(given, column) {
        return Ok(());
    }
    let instead = match (given.is_nested(), column) {
        (false, DataType::List(_)) => "ARRAY[…] for a list",
        (false, number) if kind(given) == Kind::Length && number.is_numeric() => {
            "extract(epoch FROM …) for its seconds"
        }
        _ => "CAST(… AS …)",
    };
    Err(Error::invalid(format!(
        "a value of type {given} is not stored in a column of type {column} by itself; write \
         {instead} if that is meant"
    )))
}

/// Kinds of types that are assigned alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Truth,
    Date,
    Time,
    Timestamp,
    Text,
    Bytes,
    /// Differences of times, and intervals.
    Length,
    Other,
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Boolean => Kind::Truth,
        DataType::Date32 | DataType::Date64 => Kind::Date,
        DataType::Time32(_) | DataType::Time64(_) => Kind::Time,
        DataType::Timestamp(..) => Kind::Timestamp,
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => Kind::Bytes,
        DataType::Duration(_) | DataType::Interval(_) => Kind::Length,
        number if number.is_numeric() => Kind::Number,
        text if text.is_string() => Kind::Text,
        _ => Kind::Other,
    }
}

fn is_assignable(given: &DataType, column: &DataType) -> bool {
    match (given, column) {
        (DataType::Null, _) => true,
        (DataType::Dictionary(_, given), column) => is_assignable(given, column),
        (
            DataType::List(given) | DataType::LargeList(given) | DataType::FixedSizeList(given, _),
            DataType::List(column),
        ) => is_assignable(given.data_type(), column.data_type()),
        // The engine would make a list of one element.
        (_, DataType::List(_)) => false,
        // Fields that do not fit are refused where they are matched.
        (DataType::Struct(given), DataType::Struct(column)) => matched(given, column)
            .into_iter()
            .all(|(given, field)| is_assignable(given.data_type(), field.data_type())),
        (DataType::Map(given, _), DataType::Map(column, _)) => {
            match (given.data_type(), column.data_type()) {
                (DataType::Struct(given), DataType::Struct(column)) => given
                    .iter()
                    .zip(column)
                    .all(|(given, field)| is_assignable(given.data_type(), field.data_type())),
                _ => true,
            }
        }
        (given, column) => match (kind(given), kind(column)) {
            (Kind::Date, Kind::Timestamp) => true,
            // A text is read, and any value but bytes can be written as one.
            (Kind::Text, _) => true,
            (Kind::Bytes, Kind::Text) => false,
            (_, Kind::Text) => true,
            // What the engine casts among these, or refuses.
            (Kind::Other, _) | (_, Kind::Other) => true,
            (given, column) => given == column,
        },
    }
}

/// Whether a number may have no place among those of another type, and become another number. What
/// is too large is refused by the engine, and decimals are rounded, as everywhere.
fn may_lose(given: &DataType, column: &DataType) -> bool {
    let has_fraction = |data_type: &DataType| match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale > 0,
        other => other.is_floating(),
    };
    let is_wide = |bits: &[DataType]| bits.contains(given);
    match column {
        DataType::Float32 => is_wide(&[
            DataType::Int32,
            DataType::UInt32,
            DataType::Int64,
            DataType::UInt64,
        ]),
        DataType::Float64 => is_wide(&[DataType::Int64, DataType::UInt64]),
        column => column.is_integer() && has_fraction(given),
    }
}

/// Whether a double becomes a decimal, which has digits that the double does not.
fn is_double_as_decimal(given: &DataType, column: &DataType) -> bool {
    given.is_floating() && column.is_decimal()
}

/// The value cast to the column's type by a function that refuses to lose anything, where a cast
/// may; `None` where the engine's own is as good.
pub(crate) fn whole_number(value: &Expr, given: &DataType, column: &DataType) -> Option<Expr> {
    if !is_checked(given, column) {
        return None;
    }
    let function = ScalarUDF::from(WholeNumber {
        signature: Signature::any(1, Volatility::Immutable),
        target: column.clone(),
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![value.clone()]);
    Some(Expr::ScalarFunction(call))
}

/// Whether [`stored_numbers`] may refuse a value of one type in a column of another.
pub(crate) fn is_checked(given: &DataType, column: &DataType) -> bool {
    let is_number = kind(given) == Kind::Number && kind(column) == Kind::Number;
    let may_change = may_lose(given, column) || is_double_as_decimal(given, column);
    is_number && may_change || may_overflow(given, column)
}

/// The values as a column of numbers holds them.
///
/// # Errors
/// For the first that would become another one.
pub(crate) fn stored_numbers(values: &ArrayRef, column: &DataType) -> Result<ArrayRef> {
    let stored = cast_with_options(values, column, &DEFAULT_CAST_OPTIONS)?;
    let given = values.data_type();
    if is_double_as_decimal(given, column) {
        refuse_unknown_digits(values)?;
    } else if may_overflow(given, column) {
        refuse_infinite(values, &stored)?;
        // A text may say one with a sign.
        return Ok(with_one_nan(&stored));
    } else {
        refuse_changed(values, &stored)?;
    }
    Ok(stored)
}

/// A cast to a number that refuses a value which would become another one.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WholeNumber {
    signature: Signature,
    target: DataType,
}

impl ScalarUDFImpl for WholeNumber {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "whole_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| Ok(stored_numbers(values, &self.target)?))
    }
}

/// Fails on the first floating-point number that is so large that it does not know its last digit
/// before the point: a decimal would store one that nobody wrote.
fn refuse_unknown_digits(values: &ArrayRef) -> Result<()> {
    let known_max = match values.data_type() {
        DataType::Float64 => DOUBLE_WHOLE_MAX,
        _ => FLOAT_WHOLE_MAX,
    };
    let doubles = cast_with_options(values, &DataType::Float64, &DEFAULT_CAST_OPTIONS)?;
    let doubles = doubles.as_primitive_opt::<Float64Type>();
    let mut known = doubles.iter().flat_map(|doubles| doubles.iter().flatten());
    match known.find(|double| double.abs() > known_max) {
        None => Ok(()),
        Some(double) => Err(Error::invalid(format!(
            "{double:e} is a floating-point number that does not know all its digits, and no value \
             of a DECIMAL column; write the digits, or CAST(… AS …)"
        ))),
    }
}

/// Whether a number or a text may say one that is larger than a floating-point type holds.
fn may_overflow(given: &DataType, column: &DataType) -> bool {
    match column {
        DataType::Float32 => given.is_string() || *given == DataType::Float64 || given.is_decimal(),
        DataType::Float64 => given.is_string(),
        _ => false,
    }
}

/// Fails on the first value that is infinite as it is stored, and did not say so.
fn refuse_infinite(values: &ArrayRef, stored: &ArrayRef) -> Result<()> {
    let doubles = cast_with_options(stored, &DataType::Float64, &DEFAULT_CAST_OPTIONS)?;
    let doubles = doubles.as_primitive::<Float64Type>().iter().enumerate();
    let infinite = doubles.filter(|(_, double)| double.is_some_and(f64::is_infinite));
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(values.as_ref(), &options)?;
    for (index, _) in infinite {
        let value = shown.value(index).to_string();
        let word = value.trim().trim_start_matches(['+', '-']);
        if !word.to_ascii_lowercase().starts_with("inf") {
            return Err(Error::invalid(format!(
                "{value} is larger than a column of type {} holds",
                stored.data_type()
            )));
        }
    }
    Ok(())
}

/// Fails on the first value that is not the same when it is read again.
fn refuse_changed(values: &ArrayRef, stored: &ArrayRef) -> Result<()> {
    // What is out of range on the way back is NULL there, and so not the same.
    let to_null = CastOptions {
        safe: true,
        ..DEFAULT_CAST_OPTIONS
    };
    let read = cast_with_options(stored, values.data_type(), &to_null)?;
    let changed = distinct(&read, values)?;
    let Some(index) = (0..changed.len()).find(|index| changed.value(*index)) else {
        return Ok(());
    };
    let options = FormatOptions::default();
    let value = ArrayFormatter::try_new(values.as_ref(), &options)?;
    Err(Error::invalid(format!(
        "{} is no value of a column of type {}; round it with round, floor or ceil, or write \
         CAST(… AS …)",
        value.value(index),
        stored.data_type()
    )))
}
