//! Conditions on functions of a column as conditions on the column itself.
//!
//! What is found holds wherever the condition is true; functions that are not known, and arguments
//! that are no plain column and constants, say nothing.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Cast, Expr};
use iceberg::spec::PrimitiveType;

use super::fit::{Fit, fit, nanoseconds};
use super::prefix::compare_prefix;
use super::range::{Steps, either_side, number, numbers, within};
use super::time::{Step, TimeOperand};
use super::{ColumnOperand, Converter};
use crate::scan::{Comparison, Predicate};

impl<'a> Converter<'a> {
    /// What holds for a column where a function of it compares so with `value`, which is not NULL.
    pub(super) fn compare_function(
        &self,
        expr: &Expr,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        match expr {
            Expr::Alias(alias) => self.compare_function(&alias.expr, comparison, value),
            Expr::Cast(Cast {
                expr: inner,
                data_type: DataType::Date32,
            }) => {
                let ScalarValue::Date32(Some(day)) = value else {
                    return None;
                };
                let time = self.time(inner)?;
                time.compare(Step::Day, comparison, i128::from(*day))
            }
            Expr::ScalarFunction(call) => self.compare_call(call, comparison, value),
            // Local times of instants, compared as they are.
            Expr::Cast(_) => self.compare_shown(expr, comparison, value),
            _ => None,
        }
    }

    fn compare_call(
        &self,
        call: &ScalarFunction,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        match (call.name(), call.args.as_slice()) {
            ("to_local_time", [_]) => {
                self.compare_shown(&Expr::ScalarFunction(call.clone()), comparison, value)
            }
            ("date_trunc", [Expr::Literal(unit, _), time]) => {
                let step = Step::of_unit(unit.try_as_str()??)?;
                compare_cut(self.time(time)?, step, comparison, value)
            }
            ("date_part", [Expr::Literal(part, _), time]) => {
                let part = part.try_as_str()??;
                if !part.eq_ignore_ascii_case("year") {
                    return None;
                }
                let year = whole(value)?;
                self.time(time)?.compare(Step::Year, comparison, year)
            }
            ("left", [text, Expr::Literal(count, _)]) => {
                self.compare_text(text, count, comparison, value)
            }
            ("substr", [text, Expr::Literal(first, _), Expr::Literal(count, _)])
                if whole(first) == Some(1) =>
            {
                self.compare_text(text, count, comparison, value)
            }
            ("years", [time]) => self.compare_part(time, Step::Year, comparison, value),
            ("months", [time]) => self.compare_part(time, Step::Month, comparison, value),
            ("days", [time]) => self.compare_part(time, Step::Day, comparison, value),
            ("hours", [time]) => self.compare_part(time, Step::Hour, comparison, value),
            ("bucket", [Expr::Literal(buckets, _), column]) => {
                self.compare_bucket(buckets, column, comparison, value)
            }
            ("truncate", [Expr::Literal(width, _), column]) => {
                self.compare_truncated(width, column, comparison, value)
            }
            _ => None,
        }
    }

    fn compare_shown(
        &self,
        expr: &Expr,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        let time = self.time(expr)?;
        let (ns, is_instant) = nanoseconds(value)?;
        if time.is_instant() || is_instant {
            return None;
        }
        time.compare(Step::Same, comparison, ns)
    }

    /// Calls of `years`, `months`, `days` and `hours`, which count in UTC from 1970.
    fn compare_part(
        &self,
        time: &Expr,
        step: Step,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        let count = match value {
            ScalarValue::Date32(Some(day)) if step == Step::Day => i128::from(*day),
            _ if step == Step::Day => return None,
            other => whole(other)?,
        };
        let count = match step {
            Step::Year => count + 1970,
            _ => count,
        };
        self.time(time)?.in_utc().compare(step, comparison, count)
    }

    fn compare_text(
        &self,
        text: &Expr,
        count: &ScalarValue,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        let operand = self.operand(text)?;
        if *operand.kind != PrimitiveType::String {
            return None;
        }
        let count = usize::try_from(whole(count)?).ok()?;
        let value = value.try_as_str()??;
        Some(compare_prefix(operand.field_id, count, comparison, value))
    }

    fn compare_bucket(
        &self,
        buckets: &ScalarValue,
        column: &Expr,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        let operand = self.operand(column)?;
        let buckets = u32::try_from(whole(buckets)?).ok()?;
        let number = i32::try_from(whole(value)?).ok()?;
        // Some writers cut nanoseconds toward zero before they hash, and files stand under what
        // they made of them.
        let is_nano = matches!(
            operand.kind,
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs
        );
        if is_nano || !is_hashed_alike(&operand) {
            return None;
        }
        Some(Predicate::Bucket {
            field_id: operand.field_id,
            buckets,
            comparison,
            number,
        })
    }

    fn compare_truncated(
        &self,
        width: &ScalarValue,
        column: &Expr,
        comparison: Comparison,
        value: &ScalarValue,
    ) -> Option<Predicate> {
        let operand = self.operand(column)?;
        if *operand.kind == PrimitiveType::String {
            return self.compare_text(column, width, comparison, value);
        }
        let is_number = matches!(
            operand.kind,
            PrimitiveType::Int | PrimitiveType::Long | PrimitiveType::Decimal { .. }
        );
        if !is_number || !is_hashed_alike(&operand) {
            return None;
        }
        let Some(Fit::Exact(value)) = fit(value, operand.kind) else {
            return None;
        };
        let (multiples, value) = (MultiplesOf(positive(width)?), number(&value)?);
        either_side(comparison, |comparison| {
            let range = numbers(&multiples, comparison, value, value)?;
            within(operand.field_id, operand.kind, range)
        })
    }
}

/// `date_trunc(unit, time)` compared with a time.
fn compare_cut(
    time: TimeOperand<'_>,
    step: Step,
    comparison: Comparison,
    value: &ScalarValue,
) -> Option<Predicate> {
    /// Up to minutes the engine cuts the stored number, whatever the zone.
    const MINUTE_NS: i128 = 60_000_000_000;
    let (ns, is_instant) = nanoseconds(value)?;
    if is_instant != time.is_instant() {
        return None;
    }
    match step {
        Step::CutTo(unit) if unit <= MINUTE_NS => time.in_utc().compare(step, comparison, ns),
        _ if is_instant => time.compare_instant(step, comparison, ns),
        _ => time.compare(step, comparison, ns),
    }
}

/// Rounds down to a multiple.
struct MultiplesOf(i128);

impl Steps for MultiplesOf {
    fn start(&self, value: i128) -> Option<i128> {
        let below = value - value.rem_euclid(self.0);
        if below == value {
            Some(value)
        } else {
            below.checked_add(self.0)
        }
    }

    fn after(&self, value: i128) -> Option<i128> {
        (value - value.rem_euclid(self.0)).checked_add(self.0)
    }
}

/// Whether the value below the casts has the column's own bucket and digits.
fn is_hashed_alike(operand: &ColumnOperand<'_>) -> bool {
    let shown = &operand.shown;
    match operand.kind {
        PrimitiveType::Int | PrimitiveType::Long => shown.is_integer(),
        PrimitiveType::Decimal { scale, .. } => {
            matches!(shown, DataType::Decimal128(_, shown) if i64::from(*shown) == i64::from(*scale))
        }
        PrimitiveType::Date => *shown == DataType::Date32,
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => {
            matches!(shown, DataType::Timestamp(..))
        }
        PrimitiveType::Boolean | PrimitiveType::Float | PrimitiveType::Double => false,
        _ => true,
    }
}

fn positive(value: &ScalarValue) -> Option<i128> {
    whole(value).filter(|value| *value > 0)
}

/// A whole number of any width.
fn whole(value: &ScalarValue) -> Option<i128> {
    Some(match value {
        ScalarValue::Int8(Some(value)) => i128::from(*value),
        ScalarValue::Int16(Some(value)) => i128::from(*value),
        ScalarValue::Int32(Some(value)) => i128::from(*value),
        ScalarValue::Int64(Some(value)) => i128::from(*value),
        ScalarValue::UInt8(Some(value)) => i128::from(*value),
        ScalarValue::UInt16(Some(value)) => i128::from(*value),
        ScalarValue::UInt32(Some(value)) => i128::from(*value),
        ScalarValue::UInt64(Some(value)) => i128::from(*value),
        _ => return None,
    })
}
