//! Times as text: `2026-01-31 12:30:00.5`, with the offset behind it if they have a zone.
//!
//! The form of Spark, DuckDB and the SQL standard; the engine writes a `T` between date and time,
//! which no `LIKE '2026-01-31 12%'` finds.

use std::any::Any;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::common::ScalarValue;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::local_time::{parse_zone, time_of};

/// A time as a text of a type.
pub(crate) fn time_text(time: Expr, target: DataType) -> Expr {
    let function = ScalarUDF::from(TimeText {
        signature: Signature::any(1, Volatility::Immutable),
        target,
    });
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(function), vec![time]))
}

/// See the module documentation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TimeText {
    signature: Signature,
    target: DataType,
}

impl ScalarUDFImpl for TimeText {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "time_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [time] = args.args.as_slice() else {
            return Err(Error::internal("a cast takes one value").into());
        };
        let texts = cast(&texts(&time.to_array(1)?)?, &self.target)?;
        Ok(match time {
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&texts, 0)?)
            }
            ColumnarValue::Array(_) => ColumnarValue::Array(texts),
        })
    }
}

fn texts(times: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, zone) = times.data_type() else {
        return Err(Error::internal("what is no time is written as one"));
    };
    let zone = zone.as_deref().map(parse_zone).transpose()?;
    let numbers = cast(times, &DataType::Int64)?;
    let write = |number| {
        text(number, *unit, zone).ok_or_else(|| {
            Error::invalid(format!(
                "time {number} is out of range of what is written as text"
            ))
        })
    };
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    let texts = numbers.map(|number| number.map(write).transpose());
    Ok(Arc::new(texts.collect::<Result<StringArray>>()?))
}

fn text(number: i64, unit: TimeUnit, zone: Option<Tz>) -> Option<String> {
    let instant = time_of(number, unit)?;
    let Some(zone) = zone else {
        return Some(clock_text(instant));
    };
    let offset = zone.offset_from_utc_datetime(&instant).fix();
    let local = instant.checked_add_offset(offset)?;
    Some(format!("{}{offset}", clock_text(local)))
}

fn clock_text(time: NaiveDateTime) -> String {
    let whole = time.format("%Y-%m-%d %H:%M:%S");
    match time.nanosecond() {
        0 => whole.to_string(),
        nanoseconds => {
            let digits = format!("{nanoseconds:09}");
            format!("{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}
