//! Values as text for people, in the whole calendar: the format crate's panics on far dates.

use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType, Transform, Type};
use serde_json::Value;
use uuid::Uuid;

use super::calendar::{DAY_US, date_text, time_text};
use crate::error::Result;

/// A partition value for people, given the type of the transform's results.
pub(crate) fn partition_value_text(
    transform: Transform,
    result: &PrimitiveType,
    value: Option<&Literal>,
) -> String {
    use PrimitiveLiteral as L;
    let value = match value {
        None => return "null".to_owned(),
        Some(Literal::Primitive(value)) => value,
        Some(_) => return String::new(),
    };
    match (transform, value) {
        (Transform::Year, L::Int(years)) => format!("{:04}", 1970 + i64::from(*years)),
        (Transform::Month, L::Int(months)) => {
            let (year, month) = (months.div_euclid(12), months.rem_euclid(12));
            format!("{:04}-{:02}", 1970 + i64::from(year), month + 1)
        }
        (Transform::Day, L::Int(days)) => date_text(i64::from(*days)),
        (Transform::Hour, L::Int(hours)) => {
            let (day, hour) = (hours.div_euclid(24), hours.rem_euclid(24));
            format!("{}-{hour:02}", date_text(i64::from(day)))
        }
        _ => value_text(result, value),
    }
}

/// A value of a type for people.
pub(crate) fn value_text(value_type: &PrimitiveType, value: &PrimitiveLiteral) -> String {
    use PrimitiveLiteral as L;
    match (value_type, value) {
        (PrimitiveType::Date, L::Int(days)) => date_text(i64::from(*days)),
        (PrimitiveType::Time, L::Long(us)) => time_text(*us, 1_000_000, 6),
        (PrimitiveType::Timestamp, L::Long(us)) => instant_text(*us, 1, ""),
        (PrimitiveType::Timestamptz, L::Long(us)) => instant_text(*us, 1, "+00:00"),
        (PrimitiveType::TimestampNs, L::Long(ns)) => instant_text(*ns, 1_000, ""),
        (PrimitiveType::TimestamptzNs, L::Long(ns)) => instant_text(*ns, 1_000, "+00:00"),
        (PrimitiveType::Decimal { scale, .. }, L::Int128(unscaled)) => {
            decimal_text(*unscaled, *scale as usize)
        }
        (_, L::Boolean(value)) => value.to_string(),
        (_, L::Int(value)) => value.to_string(),
        (_, L::Long(value)) => value.to_string(),
        (_, L::Float(value)) => value.to_string(),
        (_, L::Double(value)) => value.to_string(),
        (_, L::String(value)) => value.clone(),
        (_, L::UInt128(value)) => Uuid::from_u128(*value).to_string(),
        (_, L::Binary(bytes)) => base64(bytes),
        (_, L::Int128(value)) => value.to_string(),
        (_, L::AboveMax | L::BelowMin) => String::new(),
    }
}

/// A column's default as the table's metadata writes it, in the whole calendar.
///
/// # Errors
/// When the value is none of the type.
pub fn default_json(default: &Literal, field_type: &Type) -> Result<Value> {
    use PrimitiveType as T;
    match (field_type, default) {
        (
            Type::Primitive(kind @ (T::Timestamptz | T::TimestamptzNs)),
            Literal::Primitive(value),
        ) => Ok(Value::from(value_text(kind, value))),
        _ => Ok(default.clone().try_into_json(field_type)?),
    }
}

/// Base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place)) & 0x3F;
            text.push(match place <= chunk.len() {
                true => char::from(DIGITS[digit as usize]),
                false => '=',
            });
        }
    }
    text
}

/// A timestamp of `per_us` ticks in a microsecond.
fn instant_text(ticks: i64, per_us: i64, zone: &str) -> String {
    let day = DAY_US * per_us;
    let digits = if per_us == 1 { 6 } else { 9 };
    let time = time_text(ticks.rem_euclid(day), 1_000_000 * per_us, digits);
    format!("{}T{time}{zone}", date_text(ticks.div_euclid(day)))
}

fn decimal_text(unscaled: i128, scale: usize) -> String {
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_like_their_type() {
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(1420, 2), "14.20");
        assert_eq!(decimal_text(7, 0), "7");
        assert_eq!(instant_text(-1, 1, ""), "1969-12-31T23:59:59.999999");
        assert_eq!(
            instant_text(0, 1_000, "+00:00"),
            "1970-01-01T00:00:00+00:00"
        );
    }

    #[test]
    fn bytes_read_as_base64() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xFB, 0xFF]), "+/8=");
    }

    #[test]
    fn defaults_before_1970_have_a_text_to_the_fraction() {
        let text = |kind, ticks| {
            let default = Literal::Primitive(PrimitiveLiteral::Long(ticks));
            default_json(&default, &Type::Primitive(kind)).unwrap()
        };
        let micros = text(PrimitiveType::Timestamptz, -500_000);
        assert_eq!(micros, "1969-12-31T23:59:59.500000+00:00");
        let nanos = text(PrimitiveType::TimestamptzNs, -1);
        assert_eq!(nanos, "1969-12-31T23:59:59.999999999+00:00");
        assert_eq!(text(PrimitiveType::Long, -1), -1);
    }

    #[test]
    fn far_dates_have_a_text() {
        let date = |days| value_text(&PrimitiveType::Date, &PrimitiveLiteral::Int(days));
        assert_eq!(date(100_000_000), "275760-09-13");
        assert_eq!(date(i32::MIN), "-5877641-06-23");
        for us in [i64::MIN, i64::MAX] {
            let text = value_text(&PrimitiveType::Timestamptz, &PrimitiveLiteral::Long(us));
            assert!(text.ends_with("+00:00"), "{text}");
        }
    }
}
