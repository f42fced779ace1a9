//! Partition transforms and bounds once more, one value at a time and as simple as can be.
#![expect(
    clippy::cast_possible_truncation,
    reason = "test values are made to fit"
)]

use chrono::{DateTime, Datelike};
use iceberg::spec::{PrimitiveLiteral, PrimitiveType, Transform};

/// The transform of one value by the words of the specification.
pub(crate) fn transform(
    transform: Transform,
    value_type: &PrimitiveType,
    value: Option<&PrimitiveLiteral>,
) -> Option<PrimitiveLiteral> {
    use PrimitiveLiteral as L;
    let value = value?;
    match transform {
        Transform::Identity => Some(value.clone()),
        Transform::Void => None,
        Transform::Bucket(count) => {
            let hash = murmur3(&hashed_bytes(value_type, value)) & 0x7FFF_FFFF;
            Some(L::Int((hash % count) as i32))
        }
        Transform::Truncate(width) => Some(match value {
            L::Int(value) => L::Int(floor(i128::from(*value), width) as i32),
            L::Long(value) => L::Long(floor(i128::from(*value), width) as i64),
            L::Int128(value) => L::Int128(floor(*value, width)),
            L::String(text) => L::String(text.chars().take(width as usize).collect()),
            L::Binary(bytes) => L::Binary(bytes.iter().copied().take(width as usize).collect()),
            other => panic!("{other:?}"),
        }),
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour => {
            let seconds = match (value_type, value) {
                (PrimitiveType::Date, L::Int(days)) => i64::from(*days) * 86_400,
                (_, L::Long(us)) => us.div_euclid(1_000_000),
                other => panic!("{other:?}"),
            };
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            let year = time.year() - 1970;
            Some(L::Int(match transform {
                Transform::Year => year,
                Transform::Month => year * 12 + time.month0() as i32,
                Transform::Day => seconds.div_euclid(86_400) as i32,
                _ => seconds.div_euclid(3_600) as i32,
            }))
        }
        Transform::Unknown => panic!("not a transform"),
    }
}

fn floor(value: i128, width: u32) -> i128 {
    let width = i128::from(width);
    let mut cut = value / width * width;
    if cut > value {
        cut -= width;
    }
    cut
}

fn hashed_bytes(value_type: &PrimitiveType, value: &PrimitiveLiteral) -> Vec<u8> {
    use PrimitiveLiteral as L;
    match value {
        L::Int(value) => i64::from(*value).to_le_bytes().to_vec(),
        L::Long(value) => value.to_le_bytes().to_vec(),
        L::String(text) => text.as_bytes().to_vec(),
        L::Binary(bytes) => bytes.clone(),
        L::UInt128(value) => value.to_be_bytes().to_vec(),
        L::Int128(value) => {
            // Leading bytes go as long as the rest still means the same number.
            let mut bytes = value.to_be_bytes().to_vec();
            while bytes.len() > 1
                && ((bytes[0] == 0 && bytes[1] < 0x80) || (bytes[0] == 0xFF && bytes[1] >= 0x80))
            {
                bytes.remove(0);
            }
            bytes
        }
        other => panic!("{value_type} {other:?}"),
    }
}

/// MurmurHash3, 32 bits, x86, seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let scramble = |k: u32| {
        k.wrapping_mul(0xCC9E_2D51)
            .rotate_left(15)
            .wrapping_mul(0x1B87_3593)
    };
    let mut hash = 0_u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        hash ^= scramble(u32::from_le_bytes(chunk.try_into().unwrap()));
        hash = hash
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xE654_6B64);
    }
    let mut tail = [0_u8; 4];
    tail[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    hash ^= scramble(u32::from_le_bytes(tail));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85EB_CA6B);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xC2B2_AE35);
    hash ^ (hash >> 16)
}

/// Whether `value` is not below `lower` and not above `upper`; zeros are told apart.
pub(crate) fn within(
    value: &PrimitiveLiteral,
    lower: Option<&PrimitiveLiteral>,
    upper: Option<&PrimitiveLiteral>,
) -> bool {
    let not_above = |low: &PrimitiveLiteral, high: &PrimitiveLiteral| {
        use PrimitiveLiteral as L;
        match (low, high) {
            (L::Boolean(low), L::Boolean(high)) => low <= high,
            (L::Int(low), L::Int(high)) => low <= high,
            (L::Long(low), L::Long(high)) => low <= high,
            (L::Float(low), L::Float(high)) => low.total_cmp(high).is_le(),
            (L::Double(low), L::Double(high)) => low.total_cmp(high).is_le(),
            (L::String(low), L::String(high)) => low.as_bytes() <= high.as_bytes(),
            (L::Binary(low), L::Binary(high)) => low <= high,
            (L::Int128(low), L::Int128(high)) => low <= high,
            (L::UInt128(low), L::UInt128(high)) => low <= high,
            other => panic!("{other:?}"),
        }
    };
    lower.is_none_or(|lower| not_above(lower, value))
        && upper.is_none_or(|upper| not_above(value, upper))
}

#[test]
fn t07_the_simple_hash_is_the_specified_one() {
    assert_eq!(murmur3(&34_i64.to_le_bytes()), 2_017_239_379);
    assert_eq!(murmur3(b"iceberg"), 1_210_000_089);
}
