//! Iceberg values as Arrow arrays and as text.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, MapBuilder, MapFieldNames, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use chrono::{DateTime, NaiveDateTime, NaiveTime};
use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, Transform};

use crate::error::{Error, Result};
use crate::scan::value::Value;
use crate::table::calendar::civil;

/// The zone of instants.
pub(super) const UTC: &str = "+00:00";

/// The names that maps of tables have too.
pub(super) fn map_names() -> MapFieldNames {
    MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    }
}

/// Small numbers; `None` is NULL.
pub(super) fn ints(values: impl Iterator<Item = Option<i32>>) -> ArrayRef {
    Arc::new(values.collect::<Int32Array>())
}

/// Numbers; `None` is NULL.
pub(super) fn longs(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<Int64Array>())
}

/// A count or size as the number that tables show.
pub(super) fn long(value: u64) -> Option<i64> {
    i64::try_from(value).ok()
}

/// Times in milliseconds since 1970 as instants; `None` is NULL.
pub(super) fn instants(ms: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    let micros = ms.map(|ms| Some(ms?.saturating_mul(1_000)));
    Arc::new(TimestampMicrosecondArray::from_iter(micros).with_timezone(UTC))
}

/// An array of maps; `None` is NULL.
pub(super) fn maps<K, V, E: IntoIterator>(
    keys: K,
    values: V,
    rows: impl Iterator<Item = Option<E>>,
    append: impl Fn(&mut K, &mut V, E::Item),
) -> Result<ArrayRef>
where
    K: arrow::array::ArrayBuilder,
    V: arrow::array::ArrayBuilder,
{
    let mut builder = MapBuilder::new(Some(map_names()), keys, values);
    for row in rows {
        let valid = row.is_some();
        for entry in row.into_iter().flatten() {
            let (keys, values) = builder.entries();
            append(keys, values, entry);
        }
        builder.append(valid)?;
    }
    Ok(Arc::new(builder.finish()))
}

/// Values of one type; those of another type become NULL.
pub(super) fn literals(kind: &PrimitiveType, values: &[Option<Datum>]) -> Result<ArrayRef> {
    use PrimitiveLiteral as Literal;
    macro_rules! pick {
        ($pattern:pat => $value:expr) => {
            values.iter().map(|value| match value.as_ref()?.literal() {
                $pattern => Some($value),
                _ => None,
            })
        };
    }
    Ok(match kind {
        PrimitiveType::Boolean => {
            Arc::new(pick!(Literal::Boolean(v) => *v).collect::<BooleanArray>())
        }
        PrimitiveType::Int => Arc::new(pick!(Literal::Int(v) => *v).collect::<Int32Array>()),
        PrimitiveType::Long => Arc::new(pick!(Literal::Long(v) => *v).collect::<Int64Array>()),
        PrimitiveType::Float => Arc::new(pick!(Literal::Float(v) => v.0).collect::<Float32Array>()),
        PrimitiveType::Double => {
            Arc::new(pick!(Literal::Double(v) => v.0).collect::<Float64Array>())
        }
        PrimitiveType::Decimal { precision, scale } => {
            let (precision, scale) = decimal_size(*precision, *scale)?;
            let values = pick!(Literal::Int128(v) => *v).collect::<Decimal128Array>();
            Arc::new(values.with_precision_and_scale(precision, scale)?)
        }
        PrimitiveType::Date => Arc::new(pick!(Literal::Int(v) => *v).collect::<Date32Array>()),
        PrimitiveType::Time => {
            Arc::new(pick!(Literal::Long(v) => *v).collect::<Time64MicrosecondArray>())
        }
        PrimitiveType::Timestamp => {
            Arc::new(pick!(Literal::Long(v) => *v).collect::<TimestampMicrosecondArray>())
        }
        PrimitiveType::Timestamptz => Arc::new(
            pick!(Literal::Long(v) => *v)
                .collect::<TimestampMicrosecondArray>()
                .with_timezone(UTC),
        ),
        PrimitiveType::TimestampNs => {
            Arc::new(pick!(Literal::Long(v) => *v).collect::<TimestampNanosecondArray>())
        }
        PrimitiveType::TimestamptzNs => Arc::new(
            pick!(Literal::Long(v) => *v)
                .collect::<TimestampNanosecondArray>()
                .with_timezone(UTC),
        ),
        PrimitiveType::String => {
            Arc::new(pick!(Literal::String(v) => v.as_str()).collect::<StringArray>())
        }
        PrimitiveType::Binary => {
            Arc::new(pick!(Literal::Binary(v) => v.as_slice()).collect::<BinaryArray>())
        }
        PrimitiveType::Uuid => fixed(16, pick!(Literal::UInt128(v) => v.to_be_bytes().to_vec()))?,
        PrimitiveType::Fixed(length) => {
            let length = i32::try_from(*length).map_err(|error| {
                Error::unsupported(format!("type fixed({length}) is too wide")).with_source(error)
            })?;
            fixed(length, pick!(Literal::Binary(v) => v.clone()))?
        }
    })
}

fn fixed(length: i32, values: impl Iterator<Item = Option<Vec<u8>>>) -> Result<ArrayRef> {
    let fits = |value: &Vec<u8>| i32::try_from(value.len()) == Ok(length);
    let values = values.map(|value| value.filter(fits));
    Ok(Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, length)?,
    ))
}

fn decimal_size(precision: u32, scale: u32) -> Result<(u8, i8)> {
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(precision), Ok(scale)) => Ok((precision, scale)),
        _ => Err(Error::corrupt(format!(
            "type decimal({precision}, {scale}) is wider than 38 digits"
        ))),
    }
}

/// A partition value as Iceberg's engines write it for people.
pub(super) fn partition_text(
    transform: Transform,
    kind: &PrimitiveType,
    value: Value<'_>,
) -> String {
    match (transform, value) {
        (Transform::Year, Value::Integer(years)) => format!("{:04}", years + 1970),
        (Transform::Month, Value::Integer(months)) => {
            let (years, month) = (months.div_euclid(12), months.rem_euclid(12));
            format!("{:04}-{:02}", years + 1970, month + 1)
        }
        (Transform::Hour, Value::Integer(hours)) => {
            let date = date_text(hours.div_euclid(24));
            format!("{date}-{:02}", hours.rem_euclid(24))
        }
        _ => value_text(kind, value),
    }
}

fn value_text(kind: &PrimitiveType, value: Value<'_>) -> String {
    match value {
        Value::Boolean(v) => v.to_string(),
        Value::Integer(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Decimal(v, scale) => decimal_text(v, scale),
        Value::Time(micros) => time_text(micros),
        Value::Moment(nanos, zone) => moment_text(kind, nanos, zone),
        Value::Uuid(v) => uuid::Uuid::from_u128(v).to_string(),
        Value::Text(v) => v.to_owned(),
        Value::Bytes(v) => v.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn date_text(days: i64) -> String {
    let date = days
        .checked_mul(86_400)
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    match date {
        Some(date) => date.format("%Y-%m-%d").to_string(),
        // Beyond the calendar of the formatter.
        None => {
            let (year, month, _) = civil(days);
            format!("{year}-{month:02}")
        }
    }
}

fn time_text(micros: i64) -> String {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).ok();
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).ok();
    seconds
        .zip(nanos)
        .and_then(|(seconds, nanos)| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos))
        .map_or_else(
            || format!("{micros} us"),
            |time| time.format("%H:%M:%S%.f").to_string(),
        )
}

fn moment_text(kind: &PrimitiveType, nanos: i128, zone: bool) -> String {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    if *kind == PrimitiveType::Date {
        return date_text(seconds.div_euclid(86_400));
    }
    let rest = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or_default();
    let moment: Option<NaiveDateTime> =
        DateTime::from_timestamp(seconds, rest).map(|moment| moment.naive_utc());
    moment.map_or_else(
        || format!("{nanos} ns"),
        |moment| {
            let text = moment.format("%Y-%m-%dT%H:%M:%S%.f");
            format!("{text}{}", if zone { UTC } else { "" })
        },
    )
}

fn decimal_text(unscaled: i128, scale: u32) -> String {
    let digits = unscaled.unsigned_abs().to_string();
    let sign = if unscaled < 0 { "-" } else { "" };
    let scale = usize::try_from(scale).unwrap_or_default();
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}
