//! Partition transforms over Arrow arrays.
//!
//! Hashing is the format crate's; the rest is here, because the crate cuts sub-microsecond values
//! towards zero, answers NULL beyond its calendar's range, wraps around at the ends of integers and
//! does not know every stored type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Int32Array, LargeBinaryArray, PrimitiveArray,
    StringArray, new_null_array,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampNanosecondType,
};
use iceberg::spec::Transform;
use iceberg::transform::create_transform_function;

use crate::error::{Error, Result};
use crate::table::calendar::{DAY_US, HOUR_US, months, years};
use crate::table::transform::text_prefix;

/// The partition values of `values`, whose type is the table's stored form.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for a transform that is not known or does not take the
/// type, [`crate::error::ErrorKind::InvalidInput`] for a value without a partition value, such as
/// an hour beyond 32 bits.
pub(crate) fn apply(transform: Transform, values: &ArrayRef) -> Result<ArrayRef> {
    match transform {
        Transform::Identity => Ok(Arc::clone(values)),
        Transform::Void => Ok(new_null_array(values.data_type(), values.len())),
        Transform::Bucket(count) => bucket(count, values),
        Transform::Truncate(width) => truncate(width, values),
        Transform::Year => calendar(transform, values, years),
        Transform::Month => calendar(transform, values, months),
        Transform::Day => day(values),
        Transform::Hour => hour(values),
        Transform::Unknown => Err(Error::unsupported(
            "the table is partitioned by a transform that is not known here; write to it with the \
             engine that made it",
        )),
    }
}

fn refused(transform: Transform, values: &ArrayRef) -> Error {
    Error::unsupported(format!(
        "partition transform {transform} does not take values of type {}",
        values.data_type()
    ))
}

/// `(hash & i32::MAX) % count`; nanoseconds hash as the microsecond they lie in.
fn bucket(count: u32, values: &ArrayRef) -> Result<ArrayRef> {
    let transform = Transform::Bucket(count);
    if count == 0 || i32::try_from(count).is_err() {
        return Err(Error::unsupported(format!(
            "partition transform {transform} has no valid number of buckets"
        )));
    }
    let hashed: ArrayRef = match values.data_type() {
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Arc::new(
            values
                .as_primitive::<TimestampNanosecondType>()
                .unary::<_, TimestampMicrosecondType>(|ns| ns.div_euclid(1_000)),
        ),
        DataType::Boolean | DataType::Float32 | DataType::Float64 => {
            return Err(refused(transform, values));
        }
        _ => Arc::clone(values),
    };
    Ok(create_transform_function(&transform)?.transform(hashed)?)
}

fn truncate(width: u32, values: &ArrayRef) -> Result<ArrayRef> {
    let transform = Transform::Truncate(width);
    if width == 0 {
        return Err(Error::unsupported(
            "partition transform truncate[0] has no valid width",
        ));
    }
    let chars = width as usize;
    Ok(match values.data_type() {
        DataType::Int32 => {
            let cut = |value: i32| {
                let cut = floor_to(i128::from(value), width);
                i32::try_from(cut).map_err(|_| beyond(transform, value))
            };
            Arc::new(
                values
                    .as_primitive::<Int32Type>()
                    .try_unary::<_, Int32Type, _>(cut)?,
            )
        }
        DataType::Int64 => {
            let cut = |value: i64| {
                let cut = floor_to(i128::from(value), width);
                i64::try_from(cut).map_err(|_| beyond(transform, value))
            };
            Arc::new(
                values
                    .as_primitive::<Int64Type>()
                    .try_unary::<_, Int64Type, _>(cut)?,
            )
        }
        DataType::Decimal128(precision, scale) => {
            let cut = values
                .as_primitive::<Decimal128Type>()
                .unary::<_, Decimal128Type>(|value| floor_to(value, width))
                .with_precision_and_scale(*precision, *scale)?;
            cut.validate_decimal_precision(*precision)
                .map_err(|error| {
                    Error::invalid(format!(
                        "partition transform {transform} leaves the range of {}",
                        values.data_type()
                    ))
                    .with_source(error)
                })?;
            Arc::new(cut)
        }
        DataType::Utf8 => {
            let texts = values.as_string::<i32>().iter();
            Arc::new(
                texts
                    .map(|text| text.map(|text| text_prefix(text, chars)))
                    .collect::<StringArray>(),
            )
        }
        DataType::LargeBinary => {
            let bytes = values.as_binary::<i64>().iter();
            Arc::new(
                bytes
                    .map(|bytes| bytes.map(|bytes| &bytes[..bytes.len().min(chars)]))
                    .collect::<LargeBinaryArray>(),
            )
        }
        _ => return Err(refused(transform, values)),
    })
}

/// The largest multiple of `width` that is not above `value`; negative values go down too.
fn floor_to(value: i128, width: u32) -> i128 {
    value.saturating_sub(value.rem_euclid(i128::from(width)))
}

fn beyond(transform: Transform, value: impl std::fmt::Display) -> Error {
    Error::invalid(format!(
        "partition transform {transform} of value {value} leaves the range of the column's type"
    ))
}

/// Calls `of_day` with the day each value lies in, rounded down also before 1970.
fn calendar(transform: Transform, values: &ArrayRef, of_day: fn(i64) -> i64) -> Result<ArrayRef> {
    let result: Int32Array = match values.data_type() {
        DataType::Date32 => small(values.as_primitive::<Date32Type>(), transform, |days| {
            of_day(i64::from(days))
        })?,
        DataType::Timestamp(TimeUnit::Microsecond, _) => small(
            values.as_primitive::<TimestampMicrosecondType>(),
            transform,
            |us| of_day(us.div_euclid(DAY_US)),
        )?,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => small(
            values.as_primitive::<TimestampNanosecondType>(),
            transform,
            |ns| of_day(ns.div_euclid(DAY_US * 1_000)),
        )?,
        _ => return Err(refused(transform, values)),
    };
    Ok(Arc::new(result))
}

fn day(values: &ArrayRef) -> Result<ArrayRef> {
    if values.data_type() == &DataType::Date32 {
        return Ok(Arc::clone(values));
    }
    let days = calendar(Transform::Day, values, |day| day)?;
    let days: Date32Array = days.as_primitive::<Int32Type>().reinterpret_cast();
    Ok(Arc::new(days))
}

fn hour(values: &ArrayRef) -> Result<ArrayRef> {
    let result = match values.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => small(
            values.as_primitive::<TimestampMicrosecondType>(),
            Transform::Hour,
            |us| us.div_euclid(HOUR_US),
        )?,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => small(
            values.as_primitive::<TimestampNanosecondType>(),
            Transform::Hour,
            |ns| ns.div_euclid(HOUR_US * 1_000),
        )?,
        _ => return Err(refused(Transform::Hour, values)),
    };
    Ok(Arc::new(result))
}

/// `count` of each value as 32 bits, or an error that names the value.
fn small<T: ArrowPrimitiveType>(
    values: &PrimitiveArray<T>,
    transform: Transform,
    count: impl Fn(T::Native) -> i64,
) -> Result<Int32Array> {
    values.try_unary(|value| {
        i32::try_from(count(value)).map_err(|_| {
            Error::invalid(format!(
                "partition transform {transform} of value {value:?} does not fit into 32 bits"
            ))
        })
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, Decimal128Array, FixedSizeBinaryArray, Int64Array, Time64MicrosecondArray,
        TimestampMicrosecondArray, TimestampNanosecondArray,
    };
    use uuid::Uuid;

    use super::*;

    fn ints(transform: Transform, values: impl Array + 'static) -> Vec<Option<i32>> {
        let values: ArrayRef = Arc::new(values);
        let result = apply(transform, &values).unwrap();
        match result.data_type() {
            DataType::Date32 => result.as_primitive::<Date32Type>().iter().collect(),
            _ => result.as_primitive::<Int32Type>().iter().collect(),
        }
    }

    #[test]
    fn t01_times_before_1970_round_down() {
        // 1969-12-31T23:59:59, the last microsecond of 1969, 1970 itself, NULL.
        let times = || {
            TimestampMicrosecondArray::from(vec![Some(-1_000_000), Some(-1), Some(0), None])
                .with_timezone("+00:00")
        };
        for transform in [
            Transform::Year,
            Transform::Month,
            Transform::Day,
            Transform::Hour,
        ] {
            let expected = vec![Some(-1), Some(-1), Some(0), None];
            assert_eq!(ints(transform, times()), expected, "{transform}");
            let nanos = TimestampNanosecondArray::from(vec![Some(-1), Some(0)]);
            assert_eq!(ints(transform, nanos), [Some(-1), Some(0)], "{transform}");
        }
        let month = Date32Array::from(vec![-31, -32, -365, -366]);
        assert_eq!(
            ints(Transform::Month, month),
            [Some(-1), Some(-2), Some(-12), Some(-13)]
        );
        assert_eq!(
            ints(Transform::Day, Date32Array::from(vec![-1])),
            [Some(-1)]
        );
    }

    #[test]
    fn t04_truncate_goes_down_for_negative_values() {
        let numbers = Int32Array::from(vec![-1, -10, -11, 0, 1, 19]);
        let cut = [-10, -10, -20, 0, 0, 10].map(Some);
        assert_eq!(ints(Transform::Truncate(10), numbers), cut);
        let longs: ArrayRef = Arc::new(Int64Array::from(vec![-1]));
        let longs = apply(Transform::Truncate(10), &longs).unwrap();
        assert_eq!(longs.as_primitive::<Int64Type>().value(0), -10);
        let price = Decimal128Array::from(vec![1065, -5])
            .with_precision_and_scale(9, 2)
            .unwrap();
        let price: ArrayRef = Arc::new(price);
        let cut = apply(Transform::Truncate(50), &price).unwrap();
        assert_eq!(cut.as_primitive::<Decimal128Type>().values(), &[1050, -50]);
    }

    #[test]
    fn t04_truncate_refuses_to_wrap_around() {
        let least: ArrayRef = Arc::new(Int32Array::from(vec![i32::MIN]));
        assert!(apply(Transform::Truncate(10), &least).is_err());
        let least: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN]));
        assert!(apply(Transform::Truncate(10), &least).is_err());
    }

    #[test]
    fn t04_truncate_counts_code_points_and_bytes() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["iceberg", "äöü😀x", "", "a"]));
        let cut = apply(Transform::Truncate(4), &text).unwrap();
        let cut: Vec<_> = cut.as_string::<i32>().iter().flatten().collect();
        assert_eq!(cut, ["iceb", "äöü😀", "", "a"]);
        let bytes: ArrayRef = Arc::new(LargeBinaryArray::from(vec![&[0_u8, 1, 2, 3, 4][..]]));
        let cut = apply(Transform::Truncate(3), &bytes).unwrap();
        assert_eq!(cut.as_binary::<i64>().value(0), [0, 1, 2]);
    }

    /// The hash of one value by the specification's definition, through a bucket count that shows
    /// all of its bits but the sign.
    fn hash(values: impl Array + 'static) -> i32 {
        ints(Transform::Bucket(i32::MAX as u32), values)[0].unwrap()
    }

    /// What a hash of the specification's table becomes.
    fn seen(hash: i32) -> i32 {
        (hash & i32::MAX) % i32::MAX
    }

    #[test]
    fn t05_negative_decimals_hash_their_shortest_form() {
        let decimal = |unscaled: i128| {
            Decimal128Array::from(vec![unscaled])
                .with_precision_and_scale(9, 2)
                .unwrap()
        };
        let bytes = |bytes: &[u8]| hash(BinaryArray::from(vec![bytes]));
        assert_eq!(hash(decimal(1420)), seen(-500_754_589));
        assert_eq!(hash(decimal(-1)), bytes(&[0xFF]));
        assert_eq!(hash(decimal(-128)), bytes(&[0x80]));
        assert_eq!(hash(decimal(-129)), bytes(&[0xFF, 0x7F]));
        assert_eq!(hash(decimal(128)), bytes(&[0x00, 0x80]));
        assert_eq!(hash(decimal(0)), bytes(&[0x00]));
    }

    #[test]
    fn t06_uuids_hash_in_network_order() {
        let uuid = Uuid::parse_str("f79c3e09-677c-4bbd-a479-3f349cb785e7").unwrap();
        let stored = FixedSizeBinaryArray::try_from_iter([uuid.as_bytes()].into_iter()).unwrap();
        assert_eq!(hash(stored), seen(1_488_055_340));
    }

    #[test]
    fn t07_bucket_hashes_are_those_of_the_specification() {
        assert_eq!(hash(Int32Array::from(vec![34])), seen(2_017_239_379));
        assert_eq!(hash(Int64Array::from(vec![34])), seen(2_017_239_379));
        assert_eq!(hash(Date32Array::from(vec![17_486])), seen(-653_330_422));
        let time = Time64MicrosecondArray::from(vec![81_068_000_000]);
        assert_eq!(hash(time), seen(-662_762_989));
        let instant = 1_510_871_468_000_000;
        for (us, expected) in [(instant, -2_047_944_441), (instant + 1, -1_207_196_810)] {
            assert_eq!(
                hash(TimestampMicrosecondArray::from(vec![us])),
                seen(expected)
            );
            let ns = TimestampNanosecondArray::from(vec![us * 1_000 + 999]);
            assert_eq!(hash(ns), seen(expected));
        }
        assert_eq!(
            hash(StringArray::from(vec!["iceberg"])),
            seen(1_210_000_089)
        );
        let bytes = || vec![&[0_u8, 1, 2, 3][..]];
        assert_eq!(hash(LargeBinaryArray::from(bytes())), seen(-188_683_207));
        // A character beyond the basic plane hashes as its UTF-8 bytes.
        let emoji = "😀";
        let as_bytes = BinaryArray::from(vec![emoji.as_bytes()]);
        assert_eq!(hash(StringArray::from(vec![emoji])), hash(as_bytes));
    }

    #[test]
    fn t07_nanoseconds_before_1970_hash_as_the_microsecond_they_lie_in() {
        let ns = TimestampNanosecondArray::from(vec![-1]);
        assert_eq!(hash(ns), hash(TimestampMicrosecondArray::from(vec![-1])));
    }

    #[test]
    fn t12_hours_beyond_32_bits_are_refused() {
        let far: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX]));
        let error = apply(Transform::Hour, &far).unwrap_err().to_string();
        assert!(error.contains("9223372036854775807"), "{error}");
        // Years of the same value fit.
        assert_eq!(
            ints(
                Transform::Year,
                TimestampMicrosecondArray::from(vec![i64::MAX])
            )
            .len(),
            1
        );
    }
}
