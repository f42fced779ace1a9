//! How many bytes a series of numbers, days or times takes.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit};
use datafusion::error::Result;

use super::size::{Arguments, ENDLESS, Integers};

/// What a value takes while its list is made.
const VALUE_BYTES: u128 = 8;
const NANOS_PER_HOUR: i128 = 3_600_000_000_000;
/// Days have 23 hours at least, where a zone puts its clocks forward.
const NANOS_PER_DAY_MIN: i128 = 23 * NANOS_PER_HOUR;
const NANOS_PER_DAY: i128 = 24 * NANOS_PER_HOUR;
const DAYS_PER_MONTH_MIN: i128 = 28;

/// `generate_series(start, end[, step])`.
pub(super) fn to_the_end(args: &Arguments) -> Result<u128> {
    series(args)
}

/// `range(end)` and `range(start, end[, step])`.
pub(super) fn before_the_end(args: &Arguments) -> Result<u128> {
    series(args)
}

fn series(args: &Arguments) -> Result<u128> {
    match args.data_type(0) {
        Some(DataType::Int64) => numbers(args),
        Some(DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _)) => times(args),
        _ => Ok(0),
    }
}

fn numbers(args: &Arguments) -> Result<u128> {
    if (0..args.len()).any(|argument| args.data_type(argument) == Some(&DataType::Null)) {
        return Ok(0);
    }
    let numbers = (0..args.len()).map(|argument| args.integers(argument));
    let numbers: Vec<Integers> = numbers.collect::<Result<_>>()?;
    args.sum(|row| {
        let numbers: Option<Vec<i64>> = numbers.iter().map(|column| column.get(row)).collect();
        let (start, end, step) = match numbers.as_deref() {
            Some([end]) => (0, *end, 1),
            Some([start, end]) => (*start, *end, 1),
            Some([start, end, step]) => (*start, *end, *step),
            _ => return Ok(0),
        };
        Ok(count(i128::from(start), i128::from(end), i128::from(step)) * VALUE_BYTES)
    })
}

/// The values from start to end, with both; a step of nothing is the engine's to refuse.
fn count(start: i128, end: i128, step: i128) -> u128 {
    let is_forward = step > 0;
    if step == 0 || (is_forward && start > end) || (!is_forward && start < end) {
        return 0;
    }
    start.abs_diff(end) / step.unsigned_abs() + 1
}

fn times(args: &Arguments) -> Result<u128> {
    if args.len() != 3 || (0..3).any(|place| args.data_type(place) == Some(&DataType::Null)) {
        return Ok(0);
    }
    let (starts, ends) = (args.integers(0)?, args.integers(1)?);
    let units = (nanos_per_unit(args, 0), nanos_per_unit(args, 1));
    args.sum(|row| {
        let (Some(start), Some(end)) = (starts.get(row), ends.get(row)) else {
            return Ok(0);
        };
        let (steps, place) = args.at(2, row);
        if steps.is_null(place) {
            return Ok(0);
        }
        let Some(steps) = steps.as_primitive_opt::<IntervalMonthDayNanoType>() else {
            return Ok(0);
        };
        let Some(step) = shortest(steps.value(place)) else {
            return Ok(ENDLESS);
        };
        let (start, end) = (i128::from(start) * units.0, i128::from(end) * units.1);
        Ok(count(start, end, step) * VALUE_BYTES)
    })
}

fn nanos_per_unit(args: &Arguments, argument: usize) -> i128 {
    match args.data_type(argument) {
        Some(DataType::Date32) => NANOS_PER_DAY,
        Some(DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _)) => 1_000_000,
        Some(DataType::Timestamp(TimeUnit::Second, _)) => 1_000_000_000,
        Some(DataType::Timestamp(TimeUnit::Microsecond, _)) => 1_000,
        _ => 1,
    }
}

/// The least that a step goes on, in nanoseconds; nothing where its parts go both ways, and the
/// end is perhaps never reached.
fn shortest(step: IntervalMonthDayNano) -> Option<i128> {
    let parts = [
        i128::from(step.months) * DAYS_PER_MONTH_MIN * NANOS_PER_DAY_MIN,
        i128::from(step.days) * NANOS_PER_DAY_MIN,
        i128::from(step.nanoseconds),
    ];
    let goes_both_ways = parts.iter().any(|part| *part > 0) && parts.iter().any(|part| *part < 0);
    (!goes_both_ways).then(|| parts.iter().sum())
}
