//! `date_trunc` of times that nanoseconds do not hold, and in zones whose clocks change.
//!
//! The engine counts in nanoseconds, which reach from 1677 to 2262, and lets the numbers wrap
//! around beyond. Only where it need not ask a calendar, it does without. And where midnight comes
//! twice, its day begins twice.

use std::any::Any;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::datetime::date_trunc::DateTruncFunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature,
};
use lakehouse_core::error::Error;

use crate::local_time::{instant_of, is_held, is_utc, number_of, parse_zone, time_of};

/// The engine's function, kept from wrapping around and from days that begin twice.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct DateTrunc {
    engine: DateTruncFunc,
}

impl ScalarUDFImpl for DateTrunc {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.engine.name()
    }

    fn aliases(&self) -> &[String] {
        self.engine.aliases()
    }

    fn signature(&self) -> &Signature {
        self.engine.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engine.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.engine.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [unit, time] = args.args.as_slice() else {
            return self.engine.invoke_with_args(args);
        };
        let Some(unit) = unit_name(unit) else {
            return self.engine.invoke_with_args(args);
        };
        let is_held = is_held(time)?;
        let Some(zone) = calendar_zone(&unit, &time.data_type(), is_held)? else {
            return self.without_calendar(args, is_held);
        };
        let cut = by_calendar(&unit, &time.to_array(1)?, zone)?;
        Ok(match time {
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&cut, 0)?)
            }
            ColumnarValue::Array(_) => ColumnarValue::Array(cut),
        })
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.engine.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.engine.documentation()
    }
}

impl DateTrunc {
    /// By the engine, which for units that need no calendar cuts the number itself.
    fn without_calendar(
        &self,
        mut args: ScalarFunctionArgs,
        is_held: bool,
    ) -> Result<ColumnarValue> {
        let time = match args.args.as_slice() {
            [_, time] if !is_held => time.clone(),
            _ => return self.engine.invoke_with_args(args),
        };
        // Single values go through nanoseconds whatever the unit; arrays do not.
        let is_scalar = matches!(time, ColumnarValue::Scalar(_));
        let times = time.to_array(1)?;
        args.args[1] = ColumnarValue::Array(times);
        match self.engine.invoke_with_args(args)? {
            ColumnarValue::Array(cut) if is_scalar => {
                ScalarValue::try_from_array(&cut, 0).map(ColumnarValue::Scalar)
            }
            cut => Ok(cut),
        }
    }
}

fn unit_name(unit: &ColumnarValue) -> Option<String> {
    let ColumnarValue::Scalar(unit) = unit else {
        return None;
    };
    Some(unit.try_as_str()??.to_lowercase())
}

/// The zone whose calendar must be asked, UTC for times without one; `None` where the engine cuts
/// the times right.
fn calendar_zone(unit: &str, time: &DataType, is_held: bool) -> Result<Option<Tz>> {
    let DataType::Timestamp(_, zone) = time else {
        return Ok(None);
    };
    let is_zoned = zone.is_some();
    let zone = zone.as_deref().filter(|zone| !is_utc(zone));
    let is_asked = match unit {
        "hour" => is_zoned && !is_held,
        "day" => zone.is_some() || is_zoned && !is_held,
        "week" | "month" | "quarter" | "year" => zone.is_some() || !is_held,
        _ => false,
    };
    match is_asked {
        true => Ok(Some(parse_zone(zone.unwrap_or("UTC"))?)),
        false => Ok(None),
    }
}

fn by_calendar(unit: &str, times: &ArrayRef, zone: Tz) -> Result<ArrayRef> {
    let DataType::Timestamp(scale, _) = times.data_type() else {
        return Err(Error::internal("date_trunc of what is no time").into());
    };
    let cut = |number| {
        let instant = time_of(number, *scale)?;
        let offset = zone.offset_from_utc_datetime(&instant).fix();
        let local = instant.checked_add_offset(offset)?;
        let first = first_of(unit, local)?;
        // An hour that comes twice is cut to itself, a day begins once.
        let instant = match unit {
            "hour" => instant.checked_sub_signed(local - first)?,
            _ => instant_of(first, zone)?,
        };
        number_of(instant, *scale)
    };
    let exact = |number| {
        cut(number).ok_or_else(|| {
            Error::invalid(format!(
                "date_trunc of {number}, which the calendar does not reach"
            ))
        })
    };
    let numbers = cast(times, &DataType::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    let numbers = numbers.map(|number| number.map(exact).transpose());
    let numbers: Int64Array = numbers.collect::<std::result::Result<_, Error>>()?;
    Ok(cast(&numbers, times.data_type())?)
}

/// The first time of the unit that a time is in.
fn first_of(unit: &str, time: NaiveDateTime) -> Option<NaiveDateTime> {
    let date = time.date();
    let date = match unit {
        "hour" => return date.and_hms_opt(time.hour(), 0, 0),
        "day" => date,
        "week" => {
            let days = u64::from(date.weekday().num_days_from_monday());
            date.checked_sub_days(Days::new(days))?
        }
        "month" => date.with_day(1)?,
        "quarter" => NaiveDate::from_ymd_opt(date.year(), date.month0() / 3 * 3 + 1, 1)?,
        "year" => NaiveDate::from_ymd_opt(date.year(), 1, 1)?,
        _ => return None,
    };
    date.and_hms_opt(0, 0, 0)
}
