//! Conditions on the day, month, year or zone of a time as ranges of times.

use std::str::FromStr;

use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Offset, TimeZone};
use datafusion::logical_expr::{Cast, Expr};
use iceberg::spec::{PrimitiveType, Type};

use super::Converter;
use super::range::{Range, Steps, either_side, numbers, within};
use crate::provider::pruning::is_utc;
use crate::provider::values::DAY_US;
use crate::scan::{Comparison, Predicate};
use crate::table::calendar::{HOUR_US, first_of_month, months};

const MICRO_NS: i128 = 1_000;
const SECOND_NS: i128 = 1_000_000_000;
const DAY_NS: i128 = DAY_US as i128 * MICRO_NS;

/// A column of times, as casts show it.
pub(super) struct TimeOperand<'a> {
    field_id: i32,
    kind: &'a PrimitiveType,
    /// The zone whose clock shows the times; none is UTC, or the column's own local time.
    zone: Option<Tz>,
    /// Whether values are instants; otherwise they are what the clock shows.
    is_instant: bool,
}

/// What is taken of what a clock shows. Never decreases, however the clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All of it, in nanoseconds.
    Same,
    /// Hours since 1970.
    Hour,
    /// Days since 1970.
    Day,
    /// Months since 1970.
    Month,
    /// Years since the year 0.
    Year,
    /// Nanoseconds, rounded down to a multiple of so many.
    CutTo(i128),
    /// Nanoseconds, rounded down to a Monday.
    CutToWeek,
    /// Nanoseconds, rounded down to a multiple of so many months since 1970.
    CutToMonths(i64),
}

impl Step {
    /// What `date_trunc` cuts to.
    pub(super) fn of_unit(unit: &str) -> Option<Self> {
        Some(match unit.to_ascii_lowercase().as_str() {
            "microsecond" => Self::CutTo(MICRO_NS),
            "millisecond" => Self::CutTo(1_000_000),
            "second" => Self::CutTo(SECOND_NS),
            "minute" => Self::CutTo(60 * SECOND_NS),
            "hour" => Self::CutTo(3_600 * SECOND_NS),
            "day" => Self::CutTo(DAY_NS),
            "week" => Self::CutToWeek,
            "month" => Self::CutToMonths(1),
            "quarter" => Self::CutToMonths(3),
            "year" => Self::CutToMonths(12),
            _ => return None,
        })
    }

    /// The first time of the step that `ns` lies in, or of the next one.
    fn cut(self, ns: i128, next: i128) -> Option<i128> {
        let day = ns.div_euclid(DAY_NS);
        match self {
            Self::CutTo(unit) => Some((ns.div_euclid(unit) + next) * unit),
            // 1970 began on a Thursday.
            Self::CutToWeek => Some((((day + 3).div_euclid(7) + next) * 7 - 3) * DAY_NS),
            Self::CutToMonths(count) => {
                let month = months(i64::try_from(day).ok()?);
                let cut = month.div_euclid(count) + i64::try_from(next).ok()?;
                Some(month_ns(i128::from(cut.checked_mul(count)?))?)
            }
            _ => None,
        }
    }
}

/// When a month begins, which is counted from 1970-01.
fn month_ns(month: i128) -> Option<i128> {
    /// Beyond the years of all times; far from where counting ends.
    const MONTHS_MAX: i128 = 1 << 40;
    let month = i64::try_from(month)
        .ok()
        .filter(|_| month.abs() < MONTHS_MAX)?;
    Some(i128::from(first_of_month(month)) * DAY_NS)
}

impl Steps for Step {
    fn start(&self, value: i128) -> Option<i128> {
        match self {
            Self::Same => Some(value),
            Self::Hour => Some(value * i128::from(HOUR_US) * MICRO_NS),
            Self::Day => Some(value * DAY_NS),
            Self::Month => month_ns(value),
            Self::Year => month_ns((value - 1970) * 12),
            cut if cut.cut(value, 0)? == value => Some(value),
            cut => cut.cut(value, 1),
        }
    }

    fn after(&self, value: i128) -> Option<i128> {
        match self {
            Self::CutTo(_) | Self::CutToWeek | Self::CutToMonths(_) => self.cut(value, 1),
            other => other.start(value + 1),
        }
    }
}

impl<'a> TimeOperand<'a> {
    /// Whether values are instants.
    pub(super) fn is_instant(&self) -> bool {
        self.is_instant
    }

    /// The same times as a clock in UTC shows them, unless they are what another one shows.
    pub(super) fn in_utc(self) -> Self {
        let zone = self.zone.filter(|_| !self.is_instant);
        Self { zone, ..self }
    }

    /// What holds for the column where the step of what the clock shows compares so with `value`.
    pub(super) fn compare(
        &self,
        step: Step,
        comparison: Comparison,
        value: i128,
    ) -> Option<Predicate> {
        self.compare_between(step, comparison, value, value)
    }

    /// As [`Self::compare`], for a step whose first instant is compared with an instant.
    pub(super) fn compare_instant(
        &self,
        step: Step,
        comparison: Comparison,
        instant: i128,
    ) -> Option<Predicate> {
        let (least, most) = self.offsets(instant)?;
        self.compare_between(step, comparison, instant + least, instant + most)
    }

    fn compare_between(
        &self,
        step: Step,
        comparison: Comparison,
        least: i128,
        most: i128,
    ) -> Option<Predicate> {
        either_side(comparison, |comparison| {
            let shown = numbers(&step, comparison, least, most)?;
            // What a clock shows at or after a time happens no earlier than its furthest advance.
            let start = match shown.start {
                Some(start) => Some(start - self.offsets(start)?.1),
                None => None,
            };
            let end = match shown.end {
                Some(end) => Some(end - self.offsets(end)?.0),
                None => None,
            };
            let unit = self.unit_ns()?;
            let up = |ns: i128| -(-ns).div_euclid(unit);
            let range = Range {
                start: start.map(up),
                end: end.map(up),
            };
            within(self.field_id, self.kind, range)
        })
    }

    fn unit_ns(&self) -> Option<i128> {
        match self.kind {
            PrimitiveType::Timestamp | PrimitiveType::Timestamptz => Some(MICRO_NS),
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => Some(1),
            PrimitiveType::Date => Some(DAY_NS),
            _ => None,
        }
    }

    /// The least and the greatest advance of the zone's clock around a time, of any clock.
    ///
    /// Asked for at each hour of two days: clocks are never more than a day ahead or behind, and
    /// none was changed twice within an hour.
    fn offsets(&self, ns: i128) -> Option<(i128, i128)> {
        const HOURS: i64 = 26;
        let Some(zone) = &self.zone else {
            return Some((0, 0));
        };
        let middle = i64::try_from(ns.div_euclid(SECOND_NS)).ok()?;
        let (mut least, mut most) = (i128::MAX, i128::MIN);
        for hour in -HOURS..=HOURS {
            let at = DateTime::from_timestamp(middle.checked_add(hour * 3_600)?, 0)?;
            let offset = zone.offset_from_utc_datetime(&at.naive_utc()).fix();
            let offset = i128::from(offset.local_minus_utc()) * SECOND_NS;
            (least, most) = (least.min(offset), most.max(offset));
        }
        Some((least, most))
    }
}

impl<'a> Converter<'a> {
    /// A column of times below casts that only change how they are shown.
    pub(super) fn time(&self, expr: &Expr) -> Option<TimeOperand<'a>> {
        match expr {
            Expr::Alias(alias) => self.time(&alias.expr),
            Expr::ScalarFunction(call) if call.name() == "to_local_time" => {
                let [instant] = call.args.as_slice() else {
                    return None;
                };
                let instant = self.time(instant).filter(TimeOperand::is_instant)?;
                Some(TimeOperand {
                    is_instant: false,
                    ..instant
                })
            }
            Expr::Cast(Cast { expr, data_type }) => {
                let inner = self.time(expr)?;
                let DataType::Timestamp(unit, zone) = data_type else {
                    return None;
                };
                match (inner.kind, zone) {
                    // Midnights.
                    (PrimitiveType::Date, None) if is_micro_or_nano(*unit) => Some(inner),
                    (PrimitiveType::Date, _) => None,
                    _ if *unit != unit_of(inner.kind)? => None,
                    (_, Some(zone)) if inner.is_instant => Some(TimeOperand {
                        zone: match is_utc(Some(zone)) {
                            true => None,
                            false => Some(Tz::from_str(zone).ok()?),
                        },
                        ..inner
                    }),
                    (_, None) if !inner.is_instant => Some(inner),
                    // The engine keeps the number, which is the local time in UTC alone.
                    (_, None) if inner.zone.is_none() => Some(TimeOperand {
                        is_instant: false,
                        ..inner
                    }),
                    _ => None,
                }
            }
            _ => {
                let field = self.field_of(expr)?;
                let Type::Primitive(kind) = field.field_type.as_ref() else {
                    return None;
                };
                let is_instant = match kind {
                    PrimitiveType::Date | PrimitiveType::Timestamp | PrimitiveType::TimestampNs => {
                        false
                    }
                    PrimitiveType::Timestamptz | PrimitiveType::TimestamptzNs => true,
                    _ => return None,
                };
                Some(TimeOperand {
                    field_id: field.id,
                    kind,
                    zone: None,
                    is_instant,
                })
            }
        }
    }
}

fn is_micro_or_nano(unit: TimeUnit) -> bool {
    matches!(unit, TimeUnit::Microsecond | TimeUnit::Nanosecond)
}

fn unit_of(kind: &PrimitiveType) -> Option<TimeUnit> {
    match kind {
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => Some(TimeUnit::Microsecond),
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => Some(TimeUnit::Nanosecond),
        _ => None,
    }
}
