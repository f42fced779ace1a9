//! Literals in a form that the engine reads whole.

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, TypedString, Value,
};

/// Digits behind the second of a microsecond.
const MICROSECOND_DIGITS: usize = 6;
/// Digits behind the second of a nanosecond.
const NANOSECOND_DIGITS: u64 = 9;

/// Decimal digits that every double keeps.
const DOUBLE_DIGITS: usize = 15;

/// A number with more digits than a double holds, as the decimal it says: the engine reads numbers
/// with a point as doubles, and a value on its way into a DECIMAL column would lose its last digits.
pub(super) fn exact_decimal(value: &Value) -> Option<Expr> {
    decimal(value, DOUBLE_DIGITS + 1)
}

/// A number with a point and at least so many digits, as the decimal it says.
pub(in crate::resolve) fn decimal(value: &Value, digits_min: usize) -> Option<Expr> {
    let Value::Number(text, _) = value else {
        return None;
    };
    let (whole, fraction) = text.split_once('.')?;
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let whole = whole.trim_start_matches('0');
    let digits = whole.len() + fraction.len();
    if !is_plain(whole) || !is_plain(fraction) || !(digits_min..=38).contains(&digits) {
        return None;
    }
    let (digits, scale) = (
        u64::try_from(digits).ok()?,
        i64::try_from(fraction.len()).ok()?,
    );
    Some(Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::value(Value::SingleQuotedString(text.clone()))),
        data_type: DataType::Decimal(ExactNumberInfo::PrecisionAndScale(digits, scale)),
        array: false,
        format: None,
    })
}

/// A timestamp that says more than microseconds is one of nanoseconds; what cannot hold it refuses
/// it later, instead of cutting it now.
pub(super) fn keep_nanoseconds(typed: &mut TypedString) {
    let (DataType::Timestamp(precision @ None, _), Value::SingleQuotedString(text)) =
        (&mut typed.data_type, &typed.value.value)
    else {
        return;
    };
    let fraction = text.rsplit_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    if digits.skip(MICROSECOND_DIGITS).any(|digit| digit != b'0') {
        *precision = Some(NANOSECOND_DIGITS);
    }
}
