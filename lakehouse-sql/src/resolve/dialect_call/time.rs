//! Days added and counted, as other engines write it.
//!
//! Between two times there are as many units as have passed in whole, as for Trino, Athena and
//! Spark. Months are not counted, and hours not added to what may be a date.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Interval, TimezoneInfo, UnaryOperator, Value,
};

use super::{date_of, nested};

const MICROS_PER_SECOND: i64 = 1_000_000;
/// Units that are counted, in microseconds.
const COUNTED: &[(&str, i64)] = &[
    ("microsecond", 1),
    ("millisecond", 1_000),
    ("second", MICROS_PER_SECOND),
    ("minute", 60 * MICROS_PER_SECOND),
    ("hour", 3_600 * MICROS_PER_SECOND),
    ("day", 86_400 * MICROS_PER_SECOND),
    ("week", 7 * 86_400 * MICROS_PER_SECOND),
];
/// Units that are added, as a number of days or months.
const ADDED: &[(&str, i64, &str)] = &[
    ("day", 1, "day"),
    ("week", 7, "day"),
    ("month", 1, "month"),
    ("quarter", 3, "month"),
    ("year", 12, "month"),
];

/// The call of such a function, if it is one of those that are written out.
pub(super) fn written_out(name: &str, arguments: &[&Expr]) -> Option<Expr> {
    match (name, arguments) {
        ("datediff", [end, start]) => {
            Some(binary(date_of(end), BinaryOperator::Minus, date_of(start)))
        }
        ("date_diff" | "datediff", [unit, start, end]) => counted(&unit_of(unit)?, start, end),
        ("date_add" | "dateadd", [unit, number, time]) => {
            let unit = unit_of(unit)?;
            let (_, times, kind) = ADDED.iter().find(|(known, _, _)| *known == unit)?;
            let number = whole_number(number)?.checked_mul(*times)?;
            let interval = interval(format!("{number} {kind}"));
            Some(binary((*time).clone(), BinaryOperator::Plus, interval))
        }
        ("date_add", [time, interval @ Expr::Interval(_)]) => Some(binary(
            (*time).clone(),
            BinaryOperator::Plus,
            (*interval).clone(),
        )),
        ("date_add" | "dateadd", [day, days]) => {
            Some(binary(date_of(day), BinaryOperator::Plus, *nested(days)))
        }
        ("date_sub", [day, days]) if !matches!(days, Expr::Interval(_)) => {
            Some(binary(date_of(day), BinaryOperator::Minus, *nested(days)))
        }
        _ => None,
    }
}

/// The units of time that have passed in whole.
fn counted(unit: &str, start: &Expr, end: &Expr) -> Option<Expr> {
    let (_, micros) = COUNTED.iter().find(|(known, _)| *known == unit)?;
    let passed = binary(micros_of(end), BinaryOperator::Minus, micros_of(start));
    let unit = Expr::value(Value::Number(micros.to_string(), false));
    Some(binary(passed, BinaryOperator::Divide, unit))
}

fn micros_of(time: &Expr) -> Expr {
    let time = cast(time.clone(), DataType::Timestamp(None, TimezoneInfo::None));
    cast(time, DataType::BigInt(None))
}

/// A unit, written as text or as a word; `days` is `day`.
fn unit_of(unit: &Expr) -> Option<String> {
    let text = match unit {
        Expr::Identifier(word) if word.quote_style.is_none() => &word.value,
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => text,
            _ => return None,
        },
        _ => return None,
    };
    let lower = text.to_lowercase();
    Some(lower.strip_suffix('s').unwrap_or(&lower).to_owned())
}

fn whole_number(number: &Expr) -> Option<i64> {
    match number {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.to_string().parse().ok(),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => whole_number(expr)?.checked_neg(),
        _ => None,
    }
}

fn interval(text: String) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(Expr::value(Value::SingleQuotedString(text))),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

fn cast(value: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(value),
        data_type,
        array: false,
        format: None,
    }
}

/// An operation in parentheses.
fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::Nested(Box::new(Expr::BinaryOp {
        left: Box::new(left),
        op,
        right: Box::new(right),
    }))
}
