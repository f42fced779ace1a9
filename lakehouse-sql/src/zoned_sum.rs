//! Times with zone, and intervals added to them.
//!
//! Months and days go by the calendar of the zone, the rest by the clock. The engine does the same,
//! and fails where the calendar leads to an hour that clocks skip or show twice.

use std::any::Any;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use chrono::{Months, Offset, TimeDelta, TimeZone};
use datafusion::common::DFSchema;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{BinaryExpr, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, ExprSchemable, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::local_time::{instant_of, is_utc, number_of, parse_zone, time_of};
use crate::of_columns::of_columns;

/// A sum, or difference, of a time with zone and an interval by the rule of this module; `None` for
/// all others.
///
/// # Errors
/// When the type of an operand is not known.
pub(crate) fn zoned_sum(sum: &BinaryExpr, schema: &DFSchema) -> EngineResult<Option<Expr>> {
    let is_minus = match sum.op {
        Operator::Plus => false,
        Operator::Minus => true,
        _ => return Ok(None),
    };
    let (left, right) = (sum.left.get_type(schema)?, sum.right.get_type(schema)?);
    let (time, interval, target) = match (left, right) {
        (time @ DataType::Timestamp(..), DataType::Interval(_)) => (&sum.left, &sum.right, time),
        (DataType::Interval(_), time @ DataType::Timestamp(..)) if !is_minus => {
            (&sum.right, &sum.left, time)
        }
        _ => return Ok(None),
    };
    let DataType::Timestamp(unit, Some(zone)) = &target else {
        return Ok(None);
    };
    if is_utc(zone) {
        return Ok(None);
    }
    let function = ScalarUDF::from(ZonedSum {
        signature: Signature::any(2, Volatility::Immutable),
        unit: *unit,
        zone: Arc::clone(zone),
        is_minus,
    });
    let operands = vec![time.as_ref().clone(), interval.as_ref().clone()];
    let call = ScalarFunction::new_udf(Arc::new(function), operands);
    Ok(Some(Expr::ScalarFunction(call)))
}

/// See the module documentation.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ZonedSum {
    signature: Signature,
    unit: TimeUnit,
    zone: Arc<str>,
    is_minus: bool,
}

impl ScalarUDFImpl for ZonedSum {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "zoned_sum"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Timestamp(self.unit, Some(Arc::clone(&self.zone))))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[times, intervals]| self.sums(times, intervals))
    }
}

impl ZonedSum {
    fn sums(&self, times: &ArrayRef, intervals: &ArrayRef) -> EngineResult<ArrayRef> {
        let zone = parse_zone(&self.zone)?;
        let times = cast(times, &DataType::Int64)?;
        let intervals = cast(intervals, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let intervals = intervals.as_primitive::<IntervalMonthDayNanoType>();
        let times = times.as_primitive::<Int64Type>();
        let pairs = times.iter().zip(intervals);
        let sums = pairs.map(|(time, interval)| match (time, interval) {
            (Some(time), Some(interval)) => self.sum(time, interval, zone).map(Some),
            _ => Ok(None),
        });
        let sums: Int64Array = sums.collect::<Result<_>>()?;
        let target = DataType::Timestamp(self.unit, Some(Arc::clone(&self.zone)));
        Ok(cast(&sums, &target)?)
    }

    fn sum(&self, time: i64, interval: IntervalMonthDayNano, zone: Tz) -> Result<i64> {
        let sum = || {
            let sign = if self.is_minus { -1_i64 } else { 1 };
            let mut instant = time_of(time, self.unit)?;
            if interval.months != 0 || interval.days != 0 {
                let offset = zone.offset_from_utc_datetime(&instant).fix();
                let local = instant.checked_add_offset(offset)?;
                let months = sign * i64::from(interval.months);
                let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
                let local = match months < 0 {
                    true => local.checked_sub_months(count)?,
                    false => local.checked_add_months(count)?,
                };
                let days = TimeDelta::try_days(sign * i64::from(interval.days))?;
                instant = instant_of(local.checked_add_signed(days)?, zone)?;
            }
            let rest = TimeDelta::nanoseconds(interval.nanoseconds.checked_mul(sign)?);
            number_of(instant.checked_add_signed(rest)?, self.unit)
        };
        sum().ok_or_else(|| Error::invalid("the sum of a time and an interval is out of range"))
    }
}
