//! Single values of the table format as values of the engine.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use iceberg::spec::{Literal, PrimitiveLiteral};

/// Microseconds and nanoseconds of one day.
pub(super) const DAY_US: i64 = 86_400_000_000;
const DAY_NS: i64 = DAY_US * 1_000;

/// A stored value as a value of a column's read type; `None` when the type cannot hold it.
///
/// The value may have been stored before its column was promoted (`int` to `long`, `float` to
/// `double`, `date` to `timestamp`): it is widened as the column was.
pub(super) fn scalar(literal: &PrimitiveLiteral, data_type: &DataType) -> Option<ScalarValue> {
    use PrimitiveLiteral as Stored;
    Some(match (data_type, literal) {
        (DataType::Boolean, Stored::Boolean(value)) => ScalarValue::Boolean(Some(*value)),
        (DataType::Int32, Stored::Int(value)) => ScalarValue::Int32(Some(*value)),
        (DataType::Int64, Stored::Int(value)) => ScalarValue::Int64(Some(i64::from(*value))),
        (DataType::Int64, Stored::Long(value)) => ScalarValue::Int64(Some(*value)),
        // Of the NaN there are, one.
        (DataType::Float32, Stored::Float(value)) if value.is_nan() => {
            ScalarValue::Float32(Some(f32::NAN))
        }
        (DataType::Float64, Stored::Float(value)) if value.is_nan() => {
            ScalarValue::Float64(Some(f64::NAN))
        }
        (DataType::Float64, Stored::Double(value)) if value.is_nan() => {
            ScalarValue::Float64(Some(f64::NAN))
        }
        (DataType::Float32, Stored::Float(value)) => ScalarValue::Float32(Some(value.0)),
        (DataType::Float64, Stored::Float(value)) => ScalarValue::Float64(Some(f64::from(value.0))),
        (DataType::Float64, Stored::Double(value)) => ScalarValue::Float64(Some(value.0)),
        (DataType::Date32, Stored::Int(value)) => ScalarValue::Date32(Some(*value)),
        (DataType::Time64(TimeUnit::Microsecond), Stored::Long(value)) => {
            ScalarValue::Time64Microsecond(Some(*value))
        }
        (DataType::Timestamp(unit, zone), stored) => {
            let value = timestamp(stored, *unit)?;
            match unit {
                TimeUnit::Microsecond => {
                    ScalarValue::TimestampMicrosecond(Some(value), zone.clone())
                }
                TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(Some(value), zone.clone()),
                TimeUnit::Second | TimeUnit::Millisecond => return None,
            }
        }
        (DataType::Utf8, Stored::String(value)) => ScalarValue::Utf8(Some(value.clone())),
        (DataType::Utf8View, Stored::String(value)) => ScalarValue::Utf8View(Some(value.clone())),
        (DataType::Binary, Stored::Binary(value)) => ScalarValue::Binary(Some(value.clone())),
        (DataType::BinaryView, Stored::Binary(value)) => {
            ScalarValue::BinaryView(Some(value.clone()))
        }
        (DataType::FixedSizeBinary(length), Stored::Binary(value))
            if usize::try_from(*length) == Ok(value.len()) =>
        {
            ScalarValue::FixedSizeBinary(*length, Some(value.clone()))
        }
        (DataType::FixedSizeBinary(16), Stored::UInt128(value)) => {
            ScalarValue::FixedSizeBinary(16, Some(value.to_be_bytes().to_vec()))
        }
        (DataType::Decimal128(precision, scale), Stored::Int128(value)) => {
            ScalarValue::Decimal128(Some(*value), *precision, *scale)
        }
        _ => return None,
    })
}

/// As [`scalar`], for values that may be nested; nested ones have no counterpart here.
pub(super) fn literal_scalar(literal: &Literal, data_type: &DataType) -> Option<ScalarValue> {
    match literal {
        Literal::Primitive(primitive) => scalar(primitive, data_type),
        Literal::Struct(_) | Literal::List(_) | Literal::Map(_) => None,
    }
}

/// A stored timestamp, or a date that became one, in units of the column.
fn timestamp(stored: &PrimitiveLiteral, unit: TimeUnit) -> Option<i64> {
    match stored {
        PrimitiveLiteral::Long(value) => Some(*value),
        PrimitiveLiteral::Int(days) => {
            let day = if unit == TimeUnit::Nanosecond {
                DAY_NS
            } else {
                DAY_US
            };
            i64::from(*days).checked_mul(day)
        }
        _ => None,
    }
}
