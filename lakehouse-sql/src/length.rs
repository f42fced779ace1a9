//! Lengths of time: differences of times and intervals as one number, and their parts.
//!
//! A difference of times is a number of microseconds, an interval a number of months, of days and of
//! nanoseconds. Where the two meet, an interval is what its days of 24 hours and the rest add up to;
//! a month has no length of its own. Of the parts of a difference the engine gives how many fit into
//! it as a whole, and loses fractions of seconds.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::local_time::per_second;
use crate::of_columns::of_columns;

pub(crate) const DAY_NANOSECONDS: i128 = 86_400_000_000_000;
const SECOND_MICROSECONDS: i64 = 1_000_000;

/// A length of time of type `given` as a difference of times in a unit. What is no length stays.
///
/// # Errors
/// When a literal has months, or no place in the unit.
pub(crate) fn exact_length(value: Expr, given: &DataType, unit: TimeUnit) -> EngineResult<Expr> {
    if !matches!(given, DataType::Interval(_) | DataType::Duration(_))
        || *given == DataType::Duration(unit)
    {
        return Ok(value);
    }
    if let Expr::Literal(length, metadata) = &value {
        let exact = lengths(&length.to_array()?, unit)?;
        let exact = ScalarValue::try_from_array(&exact, 0)?;
        return Ok(Expr::Literal(exact, metadata.clone()));
    }
    let function = ScalarUDF::from(ExactLength {
        signature: Signature::any(1, Volatility::Immutable),
        unit,
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![value]);
    Ok(Expr::ScalarFunction(call))
}

/// Lengths of time as differences of times in a unit.
fn lengths(values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let target = DataType::Duration(unit);
    let numbers: Int64Array = match values.data_type() {
        DataType::Duration(from) => {
            let numbers = cast(values, &DataType::Int64)?;
            let (from, to) = (per_second(*from), per_second(unit));
            let scaled = |number: i64| {
                let number = i128::from(number) * i128::from(to);
                whole(number, i128::from(from)).ok_or_else(|| no_place(unit))
            };
            let numbers = numbers.as_primitive::<Int64Type>();
            let scaled = numbers.iter().map(|number| number.map(scaled).transpose());
            scaled.collect::<Result<_>>()?
        }
        _ => {
            let intervals = cast(values, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
            let exact = |interval| length_of(interval, unit);
            let numbers = intervals.iter().map(|value| value.map(exact).transpose());
            numbers.collect::<Result<_>>()?
        }
    };
    Ok(cast(&numbers, &target)?)
}

fn length_of(interval: IntervalMonthDayNano, unit: TimeUnit) -> Result<i64> {
    if interval.months != 0 {
        return Err(Error::invalid(
            "an interval with months or years is compared with a length of time, and months are of \
             several lengths; write days, or compare times: `b > a + INTERVAL '1 month'`",
        ));
    }
    let nanoseconds =
        i128::from(interval.days) * DAY_NANOSECONDS + i128::from(interval.nanoseconds);
    let nanoseconds_of_unit = 1_000_000_000 / i128::from(per_second(unit));
    whole(nanoseconds, nanoseconds_of_unit).ok_or_else(|| no_place(unit))
}

/// A division without rest, whose result 64 bits hold.
fn whole(number: i128, by: i128) -> Option<i64> {
    (number % by == 0)
        .then(|| i64::try_from(number / by).ok())
        .flatten()
}

fn no_place(unit: TimeUnit) -> Error {
    Error::invalid(format!(
        "a length of time is too long, or too fine, for the {} in which it is compared",
        match unit {
            TimeUnit::Nanosecond => "nanoseconds",
            _ => "microseconds",
        }
    ))
}

/// See [`exact_length`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactLength {
    signature: Signature,
    unit: TimeUnit,
}

impl ScalarUDFImpl for ExactLength {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "exact_length"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Duration(self.unit))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| Ok(lengths(values, self.unit)?))
    }
}

/// A part of a difference of times that `extract` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    /// All of it in seconds, with fractions.
    Epoch,
    /// Whole units, up to the next larger unit: microseconds of a unit, and units of the next one.
    Field { microseconds: i64, of_next: i64 },
}

impl Part {
    fn parse(name: &str) -> Option<Self> {
        let field = |microseconds, of_next| {
            Some(Self::Field {
                microseconds,
                of_next,
            })
        };
        match name.trim_matches(['\'', '"']).to_lowercase().as_str() {
            "epoch" => Some(Self::Epoch),
            "day" | "days" => field(86_400 * SECOND_MICROSECONDS, i64::MAX),
            "hour" | "hours" => field(3_600 * SECOND_MICROSECONDS, 24),
            "minute" | "minutes" => field(60 * SECOND_MICROSECONDS, 60),
            "second" | "seconds" => field(SECOND_MICROSECONDS, 60),
            // As of times, with the seconds.
            "millisecond" | "milliseconds" => field(1_000, 60_000),
            "microsecond" | "microseconds" => field(1, 60 * SECOND_MICROSECONDS),
            _ => None,
        }
    }
}

/// A part of a difference of times, by its name in `date_part`; the parts of a negative one are
/// negative.
///
/// # Errors
/// For parts that a difference of times does not have.
pub(crate) fn part_of_length(name: &str, value: Expr) -> EngineResult<Expr> {
    let part = Part::parse(name).ok_or_else(|| {
        Error::invalid(format!(
            "a difference of times has no part {name:?}; it has day, hour, minute, second, \
             millisecond, microsecond and epoch, which is all of it in seconds"
        ))
    })?;
    let function = ScalarUDF::from(LengthPart {
        signature: Signature::any(1, Volatility::Immutable),
        part,
    });
    let call = ScalarFunction::new_udf(Arc::new(function), vec![value]);
    Ok(Expr::ScalarFunction(call))
}

/// See [`part_of_length`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct LengthPart {
    signature: Signature,
    part: Part,
}

impl ScalarUDFImpl for LengthPart {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "length_part"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(match self.part {
            Part::Epoch => DataType::Float64,
            Part::Field { .. } => DataType::Int32,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| Ok(parts(values, self.part)?))
    }
}

fn parts(values: &ArrayRef, part: Part) -> Result<ArrayRef> {
    let DataType::Duration(unit) = values.data_type() else {
        return Err(Error::internal("parts of what is no difference of times"));
    };
    let units = per_second(*unit);
    let numbers = cast(values, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    Ok(match part {
        Part::Epoch => {
            // Seconds and the rest apart: a double keeps more digits of the two.
            let seconds = |number: i64| {
                let (whole, rest) = (number / units, number % units);
                whole as f64 + rest as f64 / units as f64
            };
            let seconds = numbers.iter().map(|number| number.map(seconds));
            Arc::new(seconds.collect::<Float64Array>())
        }
        Part::Field {
            microseconds,
            of_next,
        } => {
            let field = |number: i64| {
                let all = i128::from(number) * i128::from(SECOND_MICROSECONDS);
                let all = all / i128::from(units) / i128::from(microseconds);
                i32::try_from(all % i128::from(of_next)).map_err(|_| {
                    Error::invalid("a part of a difference of times is too large for an INT")
                })
            };
            let fields = numbers.iter().map(|number| number.map(field).transpose());
            Arc::new(fields.collect::<Result<Int32Array>>()?)
        }
    })
}
