//! Partition transforms of single values, by the Iceberg specification and total: no value panics.
//!
//! The format crate's transforms are not used: before 1970 its `day` is off by one for fractions of
//! a second, its `truncate` loses a decimal's scale, and values at the end of a type's range panic.

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, Transform};

use super::calendar::{DAY_US, HOUR_US, civil};

const NANOS_PER_MICRO: i64 = 1_000;

/// The partition value of `value`, which is not NULL.
///
/// `None` when the transform has no result for it: `void`, an unknown transform, a type that the
/// transform does not take, and results beyond the result type (hours after the year 246953).
pub(crate) fn apply(transform: Transform, value: &Datum) -> Option<Datum> {
    match transform {
        Transform::Identity => Some(value.clone()),
        Transform::Void | Transform::Unknown => None,
        Transform::Bucket(buckets) => bucket(buckets, value).map(Datum::int),
        Transform::Truncate(width) => truncate(width, value),
        Transform::Year => {
            let (year, ..) = civil(days(value)?);
            i32::try_from(year - 1970).ok().map(Datum::int)
        }
        Transform::Month => {
            let (year, month, _) = civil(days(value)?);
            let months = (year - 1970) * 12 + month - 1;
            i32::try_from(months).ok().map(Datum::int)
        }
        Transform::Day => i32::try_from(days(value)?).ok().map(Datum::date),
        Transform::Hour => i32::try_from(hours(value)?).ok().map(Datum::int),
    }
}

/// Whole days since 1970-01-01, rounded toward the past.
fn days(value: &Datum) -> Option<i64> {
    match (value.data_type(), value.literal()) {
        (PrimitiveType::Date, PrimitiveLiteral::Int(days)) => Some(i64::from(*days)),
        _ => Some(micros(value)?.div_euclid(DAY_US)),
    }
}

fn hours(value: &Datum) -> Option<i64> {
    Some(micros(value)?.div_euclid(HOUR_US))
}

/// Whole microseconds since 1970, rounded toward the past.
fn micros(value: &Datum) -> Option<i64> {
    match (value.data_type(), value.literal()) {
        (PrimitiveType::Timestamp | PrimitiveType::Timestamptz, PrimitiveLiteral::Long(micros)) => {
            Some(*micros)
        }
        (
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs,
            PrimitiveLiteral::Long(nanos),
        ) => Some(nanos.div_euclid(NANOS_PER_MICRO)),
        _ => None,
    }
}

fn truncate(width: u32, value: &Datum) -> Option<Datum> {
    if width == 0 {
        return None;
    }
    match (value.data_type(), value.literal()) {
        (PrimitiveType::Int, PrimitiveLiteral::Int(v)) => {
            let v = i64::from(*v);
            let floor = v - v.rem_euclid(i64::from(width));
            i32::try_from(floor).ok().map(Datum::int)
        }
        (PrimitiveType::Long, PrimitiveLiteral::Long(v)) => v
            .checked_sub(v.rem_euclid(i64::from(width)))
            .map(Datum::long),
        (decimal @ PrimitiveType::Decimal { .. }, PrimitiveLiteral::Int128(v)) => {
            let floor = v.checked_sub(v.rem_euclid(i128::from(width)))?;
            Datum::try_from_bytes(&floor.to_be_bytes(), decimal.clone()).ok()
        }
        (PrimitiveType::String, PrimitiveLiteral::String(text)) => Some(Datum::string(
            text_prefix(text, usize::try_from(width).ok()?),
        )),
        (PrimitiveType::Binary, PrimitiveLiteral::Binary(bytes)) => {
            let length = usize::try_from(width).ok()?.min(bytes.len());
            Some(Datum::binary(bytes[..length].iter().copied()))
        }
        _ => None,
    }
}

/// The first `count` code points of a text.
pub(crate) fn text_prefix(text: &str, count: usize) -> &str {
    text.char_indices()
        .nth(count)
        .map_or(text, |(end, _)| &text[..end])
}

fn bucket(buckets: u32, value: &Datum) -> Option<i32> {
    let buckets = i32::try_from(buckets).ok().filter(|buckets| *buckets > 0)?;
    let hash = match (value.data_type(), value.literal()) {
        (PrimitiveType::Int | PrimitiveType::Date, PrimitiveLiteral::Int(v)) => {
            hash_long(i64::from(*v))
        }
        (PrimitiveType::Long | PrimitiveType::Time, PrimitiveLiteral::Long(v)) => hash_long(*v),
        (_, PrimitiveLiteral::Long(_)) => hash_long(micros(value)?),
        (PrimitiveType::Decimal { .. }, PrimitiveLiteral::Int128(v)) => {
            murmur3(minimal_bytes(&v.to_be_bytes()))
        }
        (PrimitiveType::String, PrimitiveLiteral::String(v)) => murmur3(v.as_bytes()),
        (PrimitiveType::Uuid, PrimitiveLiteral::UInt128(v)) => murmur3(&v.to_be_bytes()),
        (PrimitiveType::Fixed(_) | PrimitiveType::Binary, PrimitiveLiteral::Binary(v)) => {
            murmur3(v)
        }
        _ => return None,
    };
    Some((hash.cast_signed() & i32::MAX) % buckets)
}

fn hash_long(value: i64) -> u32 {
    murmur3(&value.to_le_bytes())
}

/// The shortest two's complement form of a big-endian number.
fn minimal_bytes(bytes: &[u8; 16]) -> &[u8] {
    let mut rest: &[u8] = bytes;
    while let [first, second, ..] = rest {
        let sign_only = match first {
            0x00 => second & 0x80 == 0,
            0xFF => second & 0x80 != 0,
            _ => false,
        };
        if !sign_only {
            break;
        }
        rest = &rest[1..];
    }
    rest
}

/// 32-bit Murmur3, x86 variant, seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    fn scramble(block: u32) -> u32 {
        block
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    }
    let mut hash = 0_u32;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        let block = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        hash = (hash ^ scramble(block))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let tail = blocks.remainder();
    if !tail.is_empty() {
        let block = tail
            .iter()
            .rev()
            .fold(0, |block, byte| (block << 8) | u32::from(*byte));
        hash ^= scramble(block);
    }
    // The algorithm takes the length modulo 2^32.
    hash ^= u32::try_from(bytes.len() & 0xFFFF_FFFF).unwrap_or_default();
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(micros: i64) -> Datum {
        Datum::timestamp_micros(micros)
    }

    fn decimal(unscaled: i128) -> Datum {
        let kind = PrimitiveType::Decimal {
            precision: 20,
            scale: 2,
        };
        Datum::try_from_bytes(&unscaled.to_be_bytes(), kind).unwrap()
    }

    #[test]
    fn t01_times_before_1970_are_floored() {
        let day = |micros| apply(Transform::Day, &ts(micros)).unwrap();
        assert_eq!(day(-1), Datum::date(-1));
        assert_eq!(day(-DAY_US), Datum::date(-1));
        // Half a second before a day's end: the format crate answers -1.
        assert_eq!(day(-DAY_US - 500_000), Datum::date(-2));
        assert_eq!(
            apply(Transform::Hour, &ts(-1_000_000)),
            Some(Datum::int(-1))
        );
        assert_eq!(apply(Transform::Month, &ts(-1)), Some(Datum::int(-1)));
        assert_eq!(
            apply(Transform::Year, &Datum::date(-1)),
            Some(Datum::int(-1))
        );
        assert_eq!(
            apply(Transform::Month, &Datum::date(0)),
            Some(Datum::int(0))
        );
        let nanos = Datum::timestamptz_nanos(-1);
        assert_eq!(apply(Transform::Day, &nanos), Some(Datum::date(-1)));
    }

    #[test]
    fn t01_calendar_agrees_with_chrono_at_every_day() {
        use chrono::{Datelike, Days, NaiveDate};
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        for days in (-800_000_i64..800_000).step_by(13) {
            let date = if days < 0 {
                epoch.checked_sub_days(Days::new(days.unsigned_abs()))
            } else {
                epoch.checked_add_days(Days::new(days.unsigned_abs()))
            }
            .unwrap();
            assert_eq!(
                civil(days),
                (
                    i64::from(date.year()),
                    i64::from(date.month()),
                    i64::from(date.day())
                ),
                "{date}"
            );
        }
    }

    #[test]
    fn t04_truncate_rounds_toward_minus_infinity() {
        let truncate = |value| apply(Transform::Truncate(10), &value);
        assert_eq!(truncate(Datum::int(-1)), Some(Datum::int(-10)));
        assert_eq!(truncate(Datum::int(1)), Some(Datum::int(0)));
        assert_eq!(truncate(Datum::long(-11)), Some(Datum::long(-20)));
        assert_eq!(truncate(decimal(-1)), Some(decimal(-10)));
        assert_eq!(truncate(Datum::int(i32::MIN)), None);
        assert_eq!(
            apply(Transform::Truncate(2), &Datum::string("\u{1F600}äb")),
            Some(Datum::string("\u{1F600}ä"))
        );
    }

    /// `(hash & MAX) % MAX` is the hash itself for hashes that are neither negative nor `MAX`.
    fn assert_hash(value: &Datum, hash: i32) {
        let buckets = i32::MAX.cast_unsigned();
        assert_eq!(
            apply(Transform::Bucket(buckets), value),
            Some(Datum::int((hash & i32::MAX) % i32::MAX)),
            "{value}"
        );
    }

    #[test]
    fn t07_t06_buckets_match_the_specification() {
        assert_hash(&Datum::int(34), 2_017_239_379);
        assert_hash(&Datum::long(34), 2_017_239_379);
        assert_hash(&decimal(1420), -500_754_589);
        assert_hash(&Datum::date_from_str("2017-11-16").unwrap(), -653_330_422);
        assert_hash(&Datum::time_from_str("22:31:08").unwrap(), -662_762_989);
        let second = 1_510_871_468_000_000;
        assert_hash(&ts(second), -2_047_944_441);
        assert_hash(&ts(second + 1), -1_207_196_810);
        assert_hash(
            &Datum::timestamptz_nanos(second * 1000 + 1001),
            -1_207_196_810,
        );
        assert_hash(&Datum::string("iceberg"), 1_210_000_089);
        let uuid = Datum::uuid_from_str("f79c3e09-677c-4bbd-a479-3f349cb785e7").unwrap();
        assert_hash(&uuid, 1_488_055_340);
        assert_hash(&Datum::fixed([0, 1, 2, 3]), -188_683_207);
        assert_hash(&Datum::binary([0, 1, 2, 3]), -188_683_207);
    }

    #[test]
    fn t05_negative_decimals_hash_their_minimal_bytes() {
        for (unscaled, bytes) in [
            (0_i128, vec![0x00_u8]),
            (-1, vec![0xFF]),
            (127, vec![0x7F]),
            (128, vec![0x00, 0x80]),
            (-128, vec![0x80]),
            (-129, vec![0xFF, 0x7F]),
        ] {
            assert_eq!(minimal_bytes(&unscaled.to_be_bytes()), bytes, "{unscaled}");
            assert_eq!(
                apply(Transform::Bucket(1000), &decimal(unscaled)),
                apply(Transform::Bucket(1000), &Datum::binary(bytes)),
            );
        }
    }

    #[test]
    fn t12_hours_beyond_the_result_type_have_no_value() {
        assert_eq!(apply(Transform::Hour, &ts(i64::MAX)), None);
        assert_eq!(apply(Transform::Hour, &ts(i64::MIN)), None);
        assert!(apply(Transform::Year, &ts(i64::MIN)).is_some());
        assert!(apply(Transform::Month, &Datum::date(i32::MIN)).is_some());
    }
}
