//! Ranges of numbers as conditions on a column that stores such numbers.

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};

use super::{all, any};
use crate::scan::{Comparison, Predicate};

/// A function that never decreases, by where its values begin.
pub(super) trait Steps {
    /// The least number whose step is `value` or a later one; `None` beyond what can be counted.
    fn start(&self, value: i128) -> Option<i128>;
    /// The least number whose step is later than `value`.
    fn after(&self, value: i128) -> Option<i128>;
}

/// Numbers from a first one up to one that is not included, where they end at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: Option<i128>,
    pub(super) end: Option<i128>,
}

/// The numbers whose step compares so with a value, of which only known is that it lies between
/// `least` and `most`. Nothing for `<>`, which is no range.
pub(super) fn numbers(
    steps: &impl Steps,
    comparison: Comparison,
    least: i128,
    most: i128,
) -> Option<Range> {
    let (start, end) = match comparison {
        Comparison::Eq => (Some(steps.start(least)?), Some(steps.after(most)?)),
        Comparison::Lt => (None, Some(steps.start(most)?)),
        Comparison::LtEq => (None, Some(steps.after(most)?)),
        Comparison::Gt => (Some(steps.after(least)?), None),
        Comparison::GtEq => (Some(steps.start(least)?), None),
        Comparison::NotEq => return None,
    };
    Some(Range { start, end })
}

/// The condition that a comparison gives, `<>` as `<` or `>`.
pub(super) fn either_side(
    comparison: Comparison,
    condition: impl Fn(Comparison) -> Option<Predicate>,
) -> Option<Predicate> {
    match comparison {
        Comparison::NotEq => Some(any(vec![
            condition(Comparison::Lt)?,
            condition(Comparison::Gt)?,
        ])),
        other => condition(other),
    }
}

/// The column holds a number of the range, in the column's own unit.
pub(super) fn within(field_id: i32, kind: &PrimitiveType, range: Range) -> Option<Predicate> {
    let (least, most) = limits(kind)?;
    let mut parts = Vec::with_capacity(2);
    if let Some(start) = range.start.filter(|start| *start > least) {
        if start > most {
            return Some(Predicate::AlwaysFalse);
        }
        parts.push(Predicate::Compare {
            field_id,
            comparison: Comparison::GtEq,
            literal: datum(kind, start)?,
        });
    }
    if let Some(end) = range.end.filter(|end| *end <= most) {
        if end <= least {
            return Some(Predicate::AlwaysFalse);
        }
        parts.push(Predicate::Compare {
            field_id,
            comparison: Comparison::Lt,
            literal: datum(kind, end)?,
        });
    }
    Some(match parts.is_empty() {
        true => Predicate::IsNotNull { field_id },
        false => all(parts),
    })
}

/// The least and the greatest number that a column of the type stores.
fn limits(kind: &PrimitiveType) -> Option<(i128, i128)> {
    Some(match kind {
        PrimitiveType::Int | PrimitiveType::Date => (i128::from(i32::MIN), i128::from(i32::MAX)),
        PrimitiveType::Decimal { precision, .. } => {
            let most = 10_i128.checked_pow(*precision)? - 1;
            (-most, most)
        }
        PrimitiveType::Long
        | PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => (i128::from(i64::MIN), i128::from(i64::MAX)),
        _ => return None,
    })
}

fn datum(kind: &PrimitiveType, number: i128) -> Option<Datum> {
    let long = || i64::try_from(number).ok();
    match kind {
        PrimitiveType::Int => i32::try_from(number).ok().map(Datum::int),
        PrimitiveType::Date => i32::try_from(number).ok().map(Datum::date),
        PrimitiveType::Long => long().map(Datum::long),
        PrimitiveType::Timestamp => long().map(Datum::timestamp_micros),
        PrimitiveType::Timestamptz => long().map(Datum::timestamptz_micros),
        PrimitiveType::TimestampNs => long().map(Datum::timestamp_nanos),
        PrimitiveType::TimestamptzNs => long().map(Datum::timestamptz_nanos),
        PrimitiveType::Decimal { .. } => {
            Datum::try_from_bytes(&number.to_be_bytes(), kind.clone()).ok()
        }
        _ => None,
    }
}

/// The number that a value of a whole or decimal type is stored as.
pub(super) fn number(value: &Datum) -> Option<i128> {
    match value.literal() {
        PrimitiveLiteral::Int(number) => Some(i128::from(*number)),
        PrimitiveLiteral::Long(number) => Some(i128::from(*number)),
        PrimitiveLiteral::Int128(number) => Some(*number),
        _ => None,
    }
}
