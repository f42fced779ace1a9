//! Column values as pruning compares them: borrowed, and comparable across type promotions.

use std::cmp::Ordering;

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};
use uuid::Uuid;

const NANOS_PER_MICRO: i128 = 1_000;
const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// A value of a column, without the width of its type: what was promoted compares as it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    /// `boolean`
    Boolean(bool),
    /// `int`, `long`
    Integer(i64),
    /// `float`, `double`
    Float(f64),
    /// `decimal`: the unscaled value and the scale.
    Decimal(i128, u32),
    /// `time`, in microseconds.
    Time(i64),
    /// `date` and the timestamps, in nanoseconds since 1970; whether they name an instant (`tz`).
    Moment(i128, bool),
    /// `uuid`
    Uuid(u128),
    /// `string`
    Text(&'a str),
    /// `fixed`, `binary`
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// A literal of a type; `None` when the two do not belong together.
    pub(crate) fn of(kind: &PrimitiveType, literal: &'a PrimitiveLiteral) -> Option<Self> {
        use PrimitiveLiteral as Literal;
        Some(match (kind, literal) {
            (PrimitiveType::Boolean, Literal::Boolean(v)) => Self::Boolean(*v),
            (PrimitiveType::Int, Literal::Int(v)) => Self::Integer(i64::from(*v)),
            (PrimitiveType::Long, Literal::Int(v)) => Self::Integer(i64::from(*v)),
            (PrimitiveType::Long, Literal::Long(v)) => Self::Integer(*v),
            (PrimitiveType::Float | PrimitiveType::Double, Literal::Float(v)) => {
                Self::Float(f64::from(v.0))
            }
            (PrimitiveType::Double, Literal::Double(v)) => Self::Float(v.0),
            (PrimitiveType::Decimal { scale, .. }, Literal::Int128(v)) => Self::Decimal(*v, *scale),
            (PrimitiveType::Date, Literal::Int(days)) => Self::date(*days),
            (PrimitiveType::Time, Literal::Long(v)) => Self::Time(*v),
            (_, Literal::Long(v)) => Self::moment(kind, *v)?,
            (PrimitiveType::Uuid, Literal::UInt128(v)) => Self::Uuid(*v),
            (PrimitiveType::String, Literal::String(v)) => Self::Text(v),
            (PrimitiveType::Fixed(_) | PrimitiveType::Binary, Literal::Binary(v)) => Self::Bytes(v),
            _ => return None,
        })
    }

    /// A bound or literal with its type.
    pub(crate) fn of_datum(datum: &'a Datum) -> Option<Self> {
        Self::of(datum.data_type(), datum.literal())
    }

    /// A value in Iceberg's single-value serialisation. A value that was written before its column
    /// was promoted is told by its length. `None` for bytes that are no value of the type, such as
    /// invalid UTF-8: nothing is then known of the column.
    pub(crate) fn decode(kind: &PrimitiveType, bytes: &'a [u8]) -> Option<Self> {
        Some(match kind {
            PrimitiveType::Boolean => Self::Boolean(u8::from_le_bytes(bytes.try_into().ok()?) != 0),
            PrimitiveType::Int | PrimitiveType::Long => Self::Integer(match *bytes {
                [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
                _ => i64::from_le_bytes(bytes.try_into().ok()?),
            }),
            PrimitiveType::Float | PrimitiveType::Double => Self::Float(match *bytes {
                [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
                _ => f64::from_le_bytes(bytes.try_into().ok()?),
            }),
            PrimitiveType::Decimal { scale, .. } => Self::Decimal(big_endian(bytes)?, *scale),
            PrimitiveType::Date => Self::date(i32::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Time => Self::Time(i64::from_le_bytes(bytes.try_into().ok()?)),
            PrimitiveType::Timestamp | PrimitiveType::TimestampNs if bytes.len() == 4 => {
                Self::date(i32::from_le_bytes(bytes.try_into().ok()?))
            }
            PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::TimestampNs
            | PrimitiveType::TimestamptzNs => {
                Self::moment(kind, i64::from_le_bytes(bytes.try_into().ok()?))?
            }
            PrimitiveType::Uuid => Self::Uuid(u128::from_be_bytes(bytes.try_into().ok()?)),
            PrimitiveType::String => Self::Text(std::str::from_utf8(bytes).ok()?),
            PrimitiveType::Fixed(_) | PrimitiveType::Binary => Self::Bytes(bytes),
        })
    }

    fn date(days: i32) -> Self {
        Self::Moment(i128::from(days) * NANOS_PER_DAY, false)
    }

    fn moment(kind: &PrimitiveType, ticks: i64) -> Option<Self> {
        let ticks = i128::from(ticks);
        Some(match kind {
            PrimitiveType::Timestamp => Self::Moment(ticks * NANOS_PER_MICRO, false),
            PrimitiveType::Timestamptz => Self::Moment(ticks * NANOS_PER_MICRO, true),
            PrimitiveType::TimestampNs => Self::Moment(ticks, false),
            PrimitiveType::TimestamptzNs => Self::Moment(ticks, true),
            _ => return None,
        })
    }

    /// How two values are ordered; `None` when that is not known: values of different kinds, NaN,
    /// and zeros of floats, because engines differ in whether -0.0 lies below 0.0.
    pub(crate) fn compare(self, other: Value<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Boolean(a), Value::Boolean(b)) => Some(a.cmp(&b)),
            (Self::Integer(a), Value::Integer(b)) | (Self::Time(a), Value::Time(b)) => {
                Some(a.cmp(&b))
            }
            (Self::Float(a), Value::Float(b)) if a == 0.0 && b == 0.0 => None,
            (Self::Float(a), Value::Float(b)) => a.partial_cmp(&b),
            (Self::Decimal(a, scale), Value::Decimal(b, other)) if scale == other => {
                Some(a.cmp(&b))
            }
            (Self::Moment(a, zone), Value::Moment(b, other)) if zone == other => Some(a.cmp(&b)),
            (Self::Uuid(a), Value::Uuid(b)) => Some(a.cmp(&b)),
            (Self::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Value::Bytes(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// The value as one of `kind`; `None` when the type cannot hold it.
    pub(crate) fn to_datum(self, kind: &PrimitiveType) -> Option<Datum> {
        match (kind, self) {
            (PrimitiveType::Boolean, Self::Boolean(v)) => Some(Datum::bool(v)),
            (PrimitiveType::Int, Self::Integer(v)) => i32::try_from(v).ok().map(Datum::int),
            (PrimitiveType::Long, Self::Integer(v)) => Some(Datum::long(v)),
            (PrimitiveType::Float, Self::Float(v)) => narrow(v).map(Datum::float),
            (PrimitiveType::Double, Self::Float(v)) => Some(Datum::double(v)),
            (PrimitiveType::Decimal { scale, .. }, Self::Decimal(v, own)) if *scale == own => {
                Datum::try_from_bytes(&v.to_be_bytes(), kind.clone()).ok()
            }
            (PrimitiveType::Time, Self::Time(v)) => Datum::time_micros(v).ok(),
            (_, Self::Moment(nanos, zone)) => moment_datum(kind, nanos, zone),
            (PrimitiveType::Uuid, Self::Uuid(v)) => Some(Datum::uuid(Uuid::from_u128(v))),
            (PrimitiveType::String, Self::Text(v)) => Some(Datum::string(v)),
            (PrimitiveType::Fixed(_) | PrimitiveType::Binary, Self::Bytes(v)) => {
                Datum::try_from_bytes(v, kind.clone()).ok()
            }
            _ => None,
        }
    }
}

fn moment_datum(kind: &PrimitiveType, nanos: i128, zone: bool) -> Option<Datum> {
    let exact = |unit: i128| i64::try_from((nanos % unit == 0).then_some(nanos / unit)?).ok();
    match (kind, zone) {
        (PrimitiveType::Date, false) => i32::try_from(exact(NANOS_PER_DAY)?).ok().map(Datum::date),
        (PrimitiveType::Timestamp, false) => exact(NANOS_PER_MICRO).map(Datum::timestamp_micros),
        (PrimitiveType::Timestamptz, true) => exact(NANOS_PER_MICRO).map(Datum::timestamptz_micros),
        (PrimitiveType::TimestampNs, false) => exact(1).map(Datum::timestamp_nanos),
        (PrimitiveType::TimestamptzNs, true) => exact(1).map(Datum::timestamptz_nanos),
        _ => None,
    }
}

/// The float that equals a double; `None` when there is none.
fn narrow(value: f64) -> Option<f32> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a value that changes is turned away"
    )]
    let narrow = value as f32;
    (f64::from(narrow).to_bits() == value.to_bits()).then_some(narrow)
}

/// A two's complement number of up to 16 bytes.
fn big_endian(bytes: &[u8]) -> Option<i128> {
    let first = *bytes.first()?;
    let fill = if first & 0x80 == 0 { 0x00 } else { 0xFF };
    let mut wide = [fill; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(kind: &PrimitiveType, bytes: &[u8]) -> Option<Datum> {
        Value::decode(kind, bytes)?.to_datum(kind)
    }

    #[test]
    fn m07_bounds_from_before_a_promotion_are_told_by_their_length() {
        let seven = 7_i32.to_le_bytes();
        assert_eq!(datum(&PrimitiveType::Long, &seven), Some(Datum::long(7)));
        assert_eq!(
            datum(&PrimitiveType::Double, &1.5_f32.to_le_bytes()),
            Some(Datum::double(1.5))
        );
        assert_eq!(
            datum(&PrimitiveType::Timestamp, &seven),
            Some(Datum::timestamp_micros(7 * 86_400_000_000))
        );
        assert_eq!(datum(&PrimitiveType::Timestamptz, &seven), None);
        assert_eq!(
            Value::Integer(7).compare(Value::decode(&PrimitiveType::Int, &seven).unwrap()),
            Some(Ordering::Equal)
        );
    }

    #[test]
    fn m08_decimals_of_another_scale_are_not_compared() {
        let kind = |precision, scale| PrimitiveType::Decimal { precision, scale };
        let (narrow, wide) = (kind(4, 2), kind(9, 2));
        let value = Value::decode(&narrow, &[0xFF, 0x85]).unwrap();
        assert_eq!(value, Value::Decimal(-123, 2));
        assert_eq!(
            value.compare(Value::decode(&wide, &[0xFF, 0x85]).unwrap()),
            Some(Ordering::Equal)
        );
        let other = Value::decode(&kind(4, 3), &[0xFF, 0x85]).unwrap();
        assert_eq!(value.compare(other), None);
    }

    #[test]
    fn m05_bytes_that_are_no_value_of_the_type_are_unknown() {
        assert_eq!(Value::decode(&PrimitiveType::String, &[0xFF, 0xFE]), None);
        assert_eq!(Value::decode(&PrimitiveType::Int, &[1, 2, 3]), None);
        assert_eq!(Value::decode(&PrimitiveType::Uuid, &[]), None);
        let decimal = PrimitiveType::Decimal {
            precision: 9,
            scale: 0,
        };
        assert_eq!(Value::decode(&decimal, &[]), None);
        assert_eq!(Value::decode(&decimal, &[0; 17]), None);
    }

    #[test]
    fn m02_zeros_and_nan_have_no_known_order() {
        assert_eq!(Value::Float(-0.0).compare(Value::Float(0.0)), None);
        assert_eq!(Value::Float(f64::NAN).compare(Value::Float(0.0)), None);
        assert_eq!(
            Value::Float(-0.0).compare(Value::Float(1.0)),
            Some(Ordering::Less)
        );
    }

    #[test]
    fn m12_text_is_ordered_by_utf8_bytes() {
        // U+FF5E sorts after U+1F600 in UTF-16, before it in UTF-8.
        assert_eq!(
            Value::Text("\u{FF5E}").compare(Value::Text("\u{1F600}")),
            Some(Ordering::Less)
        );
    }
}
