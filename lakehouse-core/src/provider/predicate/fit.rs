//! Literals of the engine as values of a column's type, exactly or by their place between them.

use datafusion::common::ScalarValue;
use iceberg::spec::{Datum, PrimitiveType};

use super::super::values::DAY_US;

/// Where a literal lies among the values of a column's type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fit {
    /// It is this value.
    Exact(Datum),
    /// It lies after this value and before the next one.
    After(Datum),
    /// It lies above all values.
    Above,
    /// It lies below all values.
    Below,
}

/// Fits a literal that is not NULL; `None` when the two cannot be compared without a guess.
pub(super) fn fit(value: &ScalarValue, kind: &PrimitiveType) -> Option<Fit> {
    if let ScalarValue::Dictionary(_, inner) = value {
        return fit(inner, kind);
    }
    match kind {
        PrimitiveType::Boolean => match value {
            ScalarValue::Boolean(Some(value)) => Some(Fit::Exact(Datum::bool(*value))),
            _ => None,
        },
        PrimitiveType::Int => whole(
            number(value)?,
            i128::from(i32::MIN),
            i128::from(i32::MAX),
            |v| i32::try_from(v).ok().map(Datum::int),
        ),
        PrimitiveType::Long => whole(
            number(value)?,
            i128::from(i64::MIN),
            i128::from(i64::MAX),
            |v| i64::try_from(v).ok().map(Datum::long),
        ),
        PrimitiveType::Decimal { precision, scale } => decimal(value, *precision, *scale, kind),
        PrimitiveType::Float => float(value),
        PrimitiveType::Double => match value {
            ScalarValue::Float64(Some(value)) if !value.is_nan() => {
                Some(Fit::Exact(Datum::double(*value)))
            }
            ScalarValue::Float32(Some(value)) if !value.is_nan() => {
                Some(Fit::Exact(Datum::double(f64::from(*value))))
            }
            _ => None,
        },
        PrimitiveType::Date => match value {
            ScalarValue::Date32(Some(days)) => Some(Fit::Exact(Datum::date(*days))),
            _ => None,
        },
        PrimitiveType::Time => match value {
            ScalarValue::Time64Microsecond(Some(us)) => {
                Datum::time_micros(*us).ok().map(Fit::Exact)
            }
            _ => None,
        },
        PrimitiveType::Timestamp => moment(value, 1_000, false, Datum::timestamp_micros),
        PrimitiveType::Timestamptz => moment(value, 1_000, true, Datum::timestamptz_micros),
        PrimitiveType::TimestampNs => moment(value, 1, false, Datum::timestamp_nanos),
        PrimitiveType::TimestamptzNs => moment(value, 1, true, Datum::timestamptz_nanos),
        PrimitiveType::String => match value.try_as_str() {
            Some(Some(text)) => Some(Fit::Exact(Datum::string(text))),
            _ => None,
        },
        PrimitiveType::Uuid => {
            let bytes: [u8; 16] = bytes(value)?.try_into().ok()?;
            Some(Fit::Exact(Datum::uuid(uuid::Uuid::from_bytes(bytes))))
        }
        PrimitiveType::Fixed(length) => {
            let bytes = bytes(value)?;
            let same = u64::try_from(bytes.len()) == Ok(*length);
            same.then(|| Fit::Exact(Datum::fixed(bytes.iter().copied())))
        }
        PrimitiveType::Binary => Some(Fit::Exact(Datum::binary(bytes(value)?.iter().copied()))),
    }
}

/// A number with a decimal scale.
struct Number {
    digits: i128,
    scale: u32,
}

fn number(value: &ScalarValue) -> Option<Number> {
    let digits = match value {
        ScalarValue::Int8(Some(value)) => i128::from(*value),
        ScalarValue::Int16(Some(value)) => i128::from(*value),
        ScalarValue::Int32(Some(value)) => i128::from(*value),
        ScalarValue::Int64(Some(value)) => i128::from(*value),
        ScalarValue::UInt8(Some(value)) => i128::from(*value),
        ScalarValue::UInt16(Some(value)) => i128::from(*value),
        ScalarValue::UInt32(Some(value)) => i128::from(*value),
        ScalarValue::UInt64(Some(value)) => i128::from(*value),
        ScalarValue::Decimal128(Some(digits), _, scale) => {
            let scale = u32::try_from(*scale).ok()?;
            return Some(Number {
                digits: *digits,
                scale,
            });
        }
        _ => return None,
    };
    Some(Number { digits, scale: 0 })
}

/// Fits a number among whole multiples of one.
fn whole(
    number: Number,
    least: i128,
    most: i128,
    datum: impl Fn(i128) -> Option<Datum>,
) -> Option<Fit> {
    let unit = 10_i128.checked_pow(number.scale)?;
    let floor = number.digits.div_euclid(unit);
    if floor < least {
        return Some(Fit::Below);
    }
    if floor > most {
        return Some(Fit::Above);
    }
    let is_exact = number.digits.rem_euclid(unit) == 0;
    Some(if is_exact {
        Fit::Exact(datum(floor)?)
    } else {
        Fit::After(datum(floor)?)
    })
}

fn decimal(value: &ScalarValue, precision: u32, scale: u32, kind: &PrimitiveType) -> Option<Fit> {
    let number = number(value)?;
    let most = 10_i128.checked_pow(precision)? - 1;
    let rescaled = if scale >= number.scale {
        let factor = 10_i128.checked_pow(scale - number.scale)?;
        Number {
            digits: number.digits.checked_mul(factor)?,
            scale: 0,
        }
    } else {
        Number {
            digits: number.digits,
            scale: number.scale - scale,
        }
    };
    whole(rescaled, -most, most, |digits| {
        Datum::try_from_bytes(&digits.to_be_bytes(), kind.clone()).ok()
    })
}

fn float(value: &ScalarValue) -> Option<Fit> {
    match value {
        ScalarValue::Float32(Some(value)) if !value.is_nan() => {
            Some(Fit::Exact(Datum::float(*value)))
        }
        ScalarValue::Float64(Some(value)) if !value.is_nan() => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a value that changes is turned away"
            )]
            let narrow = *value as f32;
            (f64::from(narrow).to_bits() == value.to_bits())
                .then(|| Fit::Exact(Datum::float(narrow)))
        }
        _ => None,
    }
}

/// Fits a time among multiples of `unit_ns`. A literal with a zone is an instant, one without is
/// none: only times of one kind are compared here.
fn moment(
    value: &ScalarValue,
    unit_ns: i128,
    zoned: bool,
    datum: impl Fn(i64) -> Datum,
) -> Option<Fit> {
    let (ns, is_zoned) = nanoseconds(value)?;
    if is_zoned != zoned {
        return None;
    }
    let floor = ns.div_euclid(unit_ns);
    let Ok(floor) = i64::try_from(floor) else {
        return Some(if floor < 0 { Fit::Below } else { Fit::Above });
    };
    Some(if ns.rem_euclid(unit_ns) == 0 {
        Fit::Exact(datum(floor))
    } else {
        Fit::After(datum(floor))
    })
}

/// A time in nanoseconds since 1970, and whether it is an instant.
pub(super) fn nanoseconds(value: &ScalarValue) -> Option<(i128, bool)> {
    let (ns, zone) = match value {
        ScalarValue::TimestampSecond(Some(v), zone) => (i128::from(*v) * 1_000_000_000, zone),
        ScalarValue::TimestampMillisecond(Some(v), zone) => (i128::from(*v) * 1_000_000, zone),
        ScalarValue::TimestampMicrosecond(Some(v), zone) => (i128::from(*v) * 1_000, zone),
        ScalarValue::TimestampNanosecond(Some(v), zone) => (i128::from(*v), zone),
        ScalarValue::Date32(Some(days)) => (i128::from(*days) * i128::from(DAY_US) * 1_000, &None),
        _ => return None,
    };
    Some((ns, zone.is_some()))
}

fn bytes(value: &ScalarValue) -> Option<&[u8]> {
    match value {
        ScalarValue::Binary(Some(bytes))
        | ScalarValue::LargeBinary(Some(bytes))
        | ScalarValue::BinaryView(Some(bytes))
        | ScalarValue::FixedSizeBinary(_, Some(bytes)) => Some(bytes),
        _ => None,
    }
}
