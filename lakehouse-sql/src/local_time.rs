//! Times as the clocks of a zone show them, and what texts say, as instants.
//!
//! Clocks that are set forward skip an hour, and clocks that are set back show one twice. The
//! engine fails on such times, or makes NULL of them. Here, as in Java and Spark, a time that was
//! skipped is moved on by what was skipped, and of two instants the earlier one is meant. And where
//! a text names a zone of its own, the engine would give the time that clocks in UTC show.

use std::any::Any;
use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType as Arrow, Field, FieldRef, Int64Type, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use datafusion::common::format::DEFAULT_CAST_OPTIONS;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Cast, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::prelude::Expr;
use lakehouse_core::error::{Error, Result};

use crate::of_columns::of_columns;

/// Where the time begins in a text, behind the date and what is between them.
const TIME_START: usize = 11;

/// The form of a time without seconds.
const MINUTES: &[u8] = b"00:00";

/// A time zone by its IANA name or offset.
///
/// # Errors
/// When there is no such zone.
pub(crate) fn parse_zone(zone: &str) -> Result<Tz> {
    zone.parse().map_err(|error: arrow::error::ArrowError| {
        Error::invalid(format!(
            "{zone:?} is no time zone; expected a name like 'Europe/Berlin' or an offset like '+02:00'"
        ))
        .with_source(error)
    })
}

/// Whether a zone is UTC by one of its usual names, so that nothing needs to be done.
pub(crate) fn is_utc(zone: &str) -> bool {
    ["UTC", "Etc/UTC", "Z", "+00:00"]
        .iter()
        .any(|name| zone.eq_ignore_ascii_case(name))
}

/// The instant, in UTC, at which the clocks of a zone show a time; `None` beyond the calendar.
pub(crate) fn instant_of(local: NaiveDateTime, zone: Tz) -> Option<NaiveDateTime> {
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) => offset.fix(),
        LocalResult::Ambiguous(first, second) => {
            let (first, second) = (first.fix(), second.fix());
            match first.local_minus_utc() >= second.local_minus_utc() {
                true => first,
                false => second,
            }
        }
        // As if the clocks had not been set forward yet.
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::days(1))?;
            zone.offset_from_utc_datetime(&before).fix()
        }
    };
    local.checked_sub_offset(offset)
}

/// What a text says about a time.
pub(crate) struct WrittenTime {
    local: NaiveDateTime,
    zone: Option<Tz>,
}

impl WrittenTime {
    /// Whether the text names a zone.
    pub(crate) fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// Reads a text in the form `2026-01-31 12:30:00.5`, with or without a zone behind it.
    ///
    /// # Errors
    /// When the text says no time.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let unreadable = || {
            Error::invalid(format!(
                "{text:?} is no time; expected a form like '2026-01-31 12:30:00', with or without \
                 a zone"
            ))
        };
        let (local, zone) = without_zone(text.trim()).ok_or_else(unreadable)?;
        let local = string_to_datetime(&Utc, &with_seconds(local))
            .map_err(|error| unreadable().with_source(error))?
            .naive_utc();
        let zone = match zone {
            "" => None,
            "z" | "Z" => Some(parse_zone("UTC")?),
            name => Some(parse_zone(name)?),
        };
        Ok(Self { local, zone })
    }

    /// The instant in UTC; `around` is the zone of a text that names none.
    pub(crate) fn instant(&self, around: Tz) -> Option<NaiveDateTime> {
        instant_of(self.local, self.zone.unwrap_or(around))
    }

    /// What clocks show at that time, in the zone `around` if the text names one.
    fn local(&self, around: Tz) -> Option<NaiveDateTime> {
        let Some(zone) = self.zone else {
            return Some(self.local);
        };
        let instant = instant_of(self.local, zone)?;
        let offset = around.offset_from_utc_datetime(&instant).fix();
        instant.checked_add_offset(offset)
    }
}

/// The parts of a text before its zone and from there on.
fn without_zone(text: &str) -> Option<(&str, &str)> {
    let of_time = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    let time = text.as_bytes().get(TIME_START..).unwrap_or_default();
    let zone = TIME_START + time.iter().take_while(|byte| of_time(byte)).count();
    let zone = zone.min(text.len());
    Some((text.get(..zone)?.trim_end(), text.get(zone..)?.trim()))
}

/// A time with the seconds that a text in the form `2026-01-31 12:30` leaves out.
fn with_seconds(local: &str) -> Cow<'_, str> {
    let is_short = |time: &[u8]| {
        time.len() == MINUTES.len()
            && time.iter().zip(MINUTES).all(|(byte, form)| match form {
                b':' => *byte == b':',
                _ => byte.is_ascii_digit(),
            })
    };
    match local.as_bytes().get(TIME_START..).is_some_and(is_short) {
        true => Cow::Owned(format!("{local}:00")),
        false => Cow::Borrowed(local),
    }
}

/// Units of a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// A number of units since 1970 as a time; `None` beyond the calendar.
pub(crate) fn time_of(number: i64, unit: TimeUnit) -> Option<NaiveDateTime> {
    let units = per_second(unit);
    let nanoseconds = number.rem_euclid(units) * (1_000_000_000 / units);
    let nanoseconds = u32::try_from(nanoseconds).ok()?;
    let time = DateTime::from_timestamp(number.div_euclid(units), nanoseconds)?;
    Some(time.naive_utc())
}

/// A time as a number of units since 1970, cut to whole ones; `None` where 64 bits do not hold it.
pub(crate) fn number_of(time: NaiveDateTime, unit: TimeUnit) -> Option<i64> {
    let (units, time) = (per_second(unit), time.and_utc());
    let below = i64::from(time.timestamp_subsec_nanos()) / (1_000_000_000 / units);
    let number = i128::from(time.timestamp()) * i128::from(units) + i128::from(below);
    i64::try_from(number).ok()
}

/// Whether nanoseconds hold all of these times, and what they are cut to.
///
/// # Errors
/// When the times cannot be read.
pub(crate) fn is_held(times: &ColumnarValue) -> EngineResult<bool> {
    let scale = match times.data_type() {
        Arrow::Timestamp(unit, _) => 1_000_000_000 / per_second(unit),
        _ => return Ok(true),
    };
    let numbers = cast(&times.to_array(1)?, &Arrow::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    // The first years are left out: what they are cut to may lie before.
    let largest = i64::MAX / scale;
    let range = -largest / 100 * 99..=largest;
    Ok(numbers
        .iter()
        .flatten()
        .all(|number| range.contains(&number)))
}

/// What becomes of a value that the type has no place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Misfit {
    /// Digits are cut off; what is no time is an error.
    Cut,
    /// Digits are cut off; what is no time is NULL.
    Null,
    /// An error, digits that would be cut off too.
    Refuse,
}

impl Misfit {
    /// How the engine casts a value.
    pub(crate) fn options(self) -> CastOptions<'static> {
        CastOptions {
            safe: self == Self::Null,
            ..DEFAULT_CAST_OPTIONS
        }
    }
}

/// The dates of texts as they are written: a time and a zone behind a date do not move it.
fn read_dates(texts: &ArrayRef, target: &Arrow, misfit: Misfit) -> Result<ArrayRef> {
    let texts = cast(texts, &Arrow::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let written = |text| with_seconds(without_zone(text).map_or(text, |(local, _)| local));
    let dates: StringArray = texts.map(|text| text.map(str::trim).map(written)).collect();
    let options = misfit.options();
    Ok(cast_with_options(&dates, target, &options)?)
}

/// The times of day that texts say: one of digits alone, which the engine takes for a number of
/// units since midnight, says none.
fn read_times_of_day(texts: &ArrayRef, target: &Arrow, misfit: Misfit) -> Result<ArrayRef> {
    let texts = cast(texts, &Arrow::Utf8)?;
    let texts = texts.as_string::<i32>().iter();
    let written = |text: &'_ str| match (text.contains(':'), misfit) {
        (true, _) => Ok(Some(text.trim().to_owned())),
        (false, Misfit::Null) => Ok(None),
        (false, _) => Err(Error::invalid(format!(
            "{text:?} is no time of day; expected a form like '12:30:00' or '12:30'"
        ))),
    };
    let times = texts.map(|text| text.map_or(Ok(None), written));
    let times: StringArray = times.collect::<Result<_>>()?;
    let options = misfit.options();
    Ok(cast_with_options(&times, target, &options)?)
}

/// Times of a type: texts, dates and times without zone are read in `zone`, the session's, where
/// they need one.
///
/// # Errors
/// When a value says no such time, depending on `misfit`.
pub(crate) fn read_times(
    values: &ArrayRef,
    target: &Arrow,
    zone: &str,
    misfit: Misfit,
) -> Result<ArrayRef> {
    if matches!(target, Arrow::Date32 | Arrow::Date64) {
        return read_dates(values, target, misfit);
    }
    if matches!(target, Arrow::Time32(_) | Arrow::Time64(_)) {
        return read_times_of_day(values, target, misfit);
    }
    let Arrow::Timestamp(unit, to_zone) = target else {
        return Err(Error::internal(format!("{target} is no type of times")));
    };
    let around = parse_zone(
        to_zone
            .as_deref()
            .filter(|_| !values.data_type().is_string())
            .unwrap_or(zone),
    )?;
    let mut numbers = Vec::with_capacity(values.len());
    let mut keep = |read: Result<Option<i64>>| -> Result<()> {
        numbers.push(match (read, misfit) {
            (Ok(number), _) => number,
            (Err(_), Misfit::Null) => None,
            (Err(error), _) => return Err(error),
        });
        Ok(())
    };
    if values.data_type().is_string() {
        let texts = cast(values, &Arrow::Utf8)?;
        for text in texts.as_string::<i32>() {
            let read = |text| of_text(text, *unit, to_zone.is_some(), around, misfit);
            keep(text.map(read).transpose())?;
        }
    } else {
        let options = misfit.options();
        let local = cast_with_options(values, &Arrow::Timestamp(*unit, None), &options);
        let local = cast(&local?, &Arrow::Int64)?;
        for local in local.as_primitive::<Int64Type>() {
            let read = |local| {
                let time = time_of(local, *unit).and_then(|time| instant_of(time, around));
                let number = time.and_then(|time| number_of(time, *unit));
                number.ok_or_else(|| Error::invalid(format!("time {local} is out of range")))
            };
            keep(local.map(read).transpose())?;
        }
    }
    Ok(cast(&Int64Array::from(numbers), target)?)
}

/// Whether times may have nanoseconds where a column has microseconds.
pub(crate) fn is_cut(given: &Arrow, column: &Arrow) -> bool {
    match (given, column) {
        (Arrow::Timestamp(TimeUnit::Nanosecond, _), Arrow::Timestamp(TimeUnit::Microsecond, _))
        | (Arrow::Time64(TimeUnit::Nanosecond), Arrow::Time64(TimeUnit::Microsecond)) => true,
        (
            text,
            Arrow::Timestamp(TimeUnit::Microsecond, _) | Arrow::Time64(TimeUnit::Microsecond),
        ) => text.is_string(),
        _ => false,
    }
}

/// Times for a column of type `target`; those without zone are read in `zone`.
///
/// # Errors
/// For a time with nanoseconds where the column has microseconds, and for texts that say no time.
pub(crate) fn stored_times(values: &ArrayRef, target: &Arrow, zone: &Arc<str>) -> Result<ArrayRef> {
    let (unit, of_column) = match target {
        Arrow::Timestamp(unit, of_column) => (unit, of_column),
        Arrow::Time64(_) => {
            let fine = Arrow::Time64(TimeUnit::Nanosecond);
            let fine = match values.data_type().is_string() {
                true => read_times_of_day(values, &fine, Misfit::Cut)?,
                false => cast_with_options(values, &fine, &DEFAULT_CAST_OPTIONS)?,
            };
            refuse_nanoseconds(&fine)?;
            return Ok(cast_with_options(&fine, target, &DEFAULT_CAST_OPTIONS)?);
        }
        _ => return read_times(values, target, zone, Misfit::Cut),
    };
    let of_column = of_column.as_ref().map(|_| Arc::clone(zone));
    let given = values.data_type();
    let is_fine = matches!(given, Arrow::Timestamp(TimeUnit::Nanosecond, _));
    if *unit == TimeUnit::Microsecond && (is_fine || given.is_string()) {
        // What a text says is finer than a microsecond shows in nanoseconds; times beyond their
        // range are NULL there, and no text says them that finely.
        let nanoseconds = Arrow::Timestamp(TimeUnit::Nanosecond, of_column.clone());
        refuse_nanoseconds(&cast(values, &nanoseconds)?)?;
    }
    let is_read = match given {
        Arrow::Timestamp(_, of_value) => of_value.is_none() && of_column.is_some(),
        _ => true,
    };
    let in_zone = Arrow::Timestamp(*unit, of_column);
    let stored = match is_read {
        true => read_times(values, &in_zone, zone, Misfit::Cut)?,
        false => cast_with_options(values, &in_zone, &DEFAULT_CAST_OPTIONS)?,
    };
    Ok(cast_with_options(&stored, target, &DEFAULT_CAST_OPTIONS)?)
}

/// Fails on the first time in nanoseconds that is no whole number of microseconds.
fn refuse_nanoseconds(times: &ArrayRef) -> Result<()> {
    let numbers = cast(times, &Arrow::Int64)?;
    let mut numbers = numbers.as_primitive::<Int64Type>().iter();
    let is_fine = |number: Option<i64>| number.is_some_and(|number| number % 1_000 != 0);
    let Some(index) = numbers.position(is_fine) else {
        return Ok(());
    };
    let options = FormatOptions::default();
    let time = ArrayFormatter::try_new(times.as_ref(), &options)?;
    let instead = match times.data_type() {
        Arrow::Timestamp(..) => ", or use TIMESTAMP_NS in a table of format version 3",
        _ => "",
    };
    Err(Error::invalid(format!(
        "{} has nanoseconds, which a column of microseconds would lose; round it{instead}",
        time.value(index)
    )))
}

/// What the clocks of their zone show at instants, in the same unit.
///
/// # Errors
/// When the zone is not known.
pub(crate) fn local_times(instants: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let zone = match instants.data_type() {
        Arrow::Timestamp(_, Some(zone)) => parse_zone(zone)?,
        other => return Err(Error::internal(format!("{other} is no type of instants"))),
    };
    let local = |instant| {
        let instant = time_of(instant, unit)?;
        let offset = zone.offset_from_utc_datetime(&instant).fix();
        number_of(instant.checked_add_offset(offset)?, unit)
    };
    let numbers = cast(instants, &Arrow::Int64)?;
    let numbers = numbers.as_primitive::<Int64Type>().iter();
    let mut locals = Vec::with_capacity(numbers.len());
    for number in numbers {
        let shown = number.map(|number| {
            local(number).ok_or_else(|| Error::invalid(format!("time {number} is out of range")))
        });
        locals.push(shown.transpose()?);
    }
    Ok(cast(
        &Int64Array::from(locals),
        &Arrow::Timestamp(unit, None),
    )?)
}

fn of_text(text: &str, unit: TimeUnit, is_zoned: bool, around: Tz, misfit: Misfit) -> Result<i64> {
    let written = WrittenTime::parse(text)?;
    let time = match is_zoned {
        true => written.instant(around),
        false => written.local(around),
    };
    let number = time.and_then(|time| number_of(time, unit));
    let number = number.ok_or_else(|| Error::invalid(format!("time {text:?} is out of range")))?;
    if misfit == Misfit::Refuse && time_of(number, unit) != time {
        return Err(Error::invalid(format!(
            "{text:?} has more digits behind the second than the time that it is compared with"
        )));
    }
    Ok(number)
}

/// An expression as times of a type, see [`read_times`].
pub(crate) fn read_time(value: Expr, target: Arrow, zone: &Arc<str>, misfit: Misfit) -> Expr {
    let function = Arc::new(ScalarUDF::from(ReadTime {
        signature: Signature::any(1, Volatility::Immutable),
        target,
        zone: Arc::clone(zone),
        misfit,
    }));
    Expr::ScalarFunction(ScalarFunction::new_udf(function, vec![value]))
}

/// A call of [`read_time`] that stands for a cast to microseconds, as that cast: who stores a value
/// decides anew what may be cut off.
pub(crate) fn as_cast(expr: Expr) -> Expr {
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr
        && let Some(read) = func.inner().as_any().downcast_ref::<ReadTime>()
        && let (
            Arrow::Timestamp(TimeUnit::Microsecond, _) | Arrow::Time64(TimeUnit::Microsecond),
            Misfit::Cut,
            [value],
        ) = (&read.target, read.misfit, args.as_slice())
    {
        return Expr::Cast(Cast::new(Box::new(value.clone()), read.target.clone()));
    }
    expr
}

/// See [`read_times`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct ReadTime {
    signature: Signature,
    target: Arrow,
    zone: Arc<str>,
    misfit: Misfit,
}

impl ScalarUDFImpl for ReadTime {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "read_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[Arrow]) -> EngineResult<Arrow> {
        Ok(self.target.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let may_be_null = self.misfit == Misfit::Null;
        let nullable = may_be_null || args.arg_fields.iter().any(|field| field.is_nullable());
        let field = Field::new(self.name(), self.target.clone(), nullable);
        Ok(Arc::new(field))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        of_columns(&args, |[values]| {
            Ok(read_times(values, &self.target, &self.zone, self.misfit)?)
        })
    }
}
