//! Lower and upper bounds: decoding from Parquet, cutting to length, Iceberg's form.

use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType};
use parquet::file::statistics::Statistics;

use crate::error::Result;
use crate::table::transform::text_prefix;

/// The smallest and largest value of a row group's column, or bounds around them.
///
/// `None` when the statistics hold none, or are not of the form the type is stored in.
pub(super) fn decode(
    statistics: &Statistics,
    value_type: &PrimitiveType,
) -> Option<(PrimitiveLiteral, PrimitiveLiteral)> {
    use PrimitiveLiteral as L;
    Some(match statistics {
        Statistics::Boolean(values) => (
            L::Boolean(*values.min_opt()?),
            L::Boolean(*values.max_opt()?),
        ),
        Statistics::Int32(values) => {
            let literal = |value: i32| match value_type {
                PrimitiveType::Decimal { .. } => L::Int128(i128::from(value)),
                _ => L::Int(value),
            };
            (literal(*values.min_opt()?), literal(*values.max_opt()?))
        }
        Statistics::Int64(values) => {
            let literal = |value: i64| match value_type {
                PrimitiveType::Decimal { .. } => L::Int128(i128::from(value)),
                _ => L::Long(value),
            };
            (literal(*values.min_opt()?), literal(*values.max_opt()?))
        }
        Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_) => (
            bytes_literal(statistics.min_bytes_opt()?, value_type)?,
            bytes_literal(statistics.max_bytes_opt()?, value_type)?,
        ),
        // Floats are counted while they are written: NaN and signed zero need more than a footer.
        Statistics::Float(_) | Statistics::Double(_) | Statistics::Int96(_) => return None,
    })
}

fn bytes_literal(bytes: &[u8], value_type: &PrimitiveType) -> Option<PrimitiveLiteral> {
    use PrimitiveLiteral as L;
    Some(match value_type {
        PrimitiveType::String => L::String(std::str::from_utf8(bytes).ok()?.to_owned()),
        PrimitiveType::Binary | PrimitiveType::Fixed(_) => L::Binary(bytes.to_vec()),
        PrimitiveType::Uuid => L::UInt128(u128::from_be_bytes(bytes.try_into().ok()?)),
        PrimitiveType::Decimal { .. } => L::Int128(signed_big_endian(bytes)?),
        _ => return None,
    })
}

/// Two's complement of at most 16 bytes.
fn signed_big_endian(bytes: &[u8]) -> Option<i128> {
    let start = 16_usize.checked_sub(bytes.len())?;
    let sign = match bytes.first()? & 0x80 {
        0 => 0x00,
        _ => 0xFF,
    };
    let mut whole = [sign; 16];
    whole[start..].copy_from_slice(bytes);
    Some(i128::from_be_bytes(whole))
}

/// A lower bound of at most `length` code points or bytes.
pub(super) fn cut_lower(bound: PrimitiveLiteral, length: usize) -> PrimitiveLiteral {
    match bound {
        PrimitiveLiteral::String(mut text) => {
            text.truncate(text_prefix(&text, length).len());
            PrimitiveLiteral::String(text)
        }
        PrimitiveLiteral::Binary(mut bytes) => {
            bytes.truncate(length);
            PrimitiveLiteral::Binary(bytes)
        }
        other => other,
    }
}

/// An upper bound of at most `length` code points or bytes; `None` when there is none so short.
pub(super) fn cut_upper(bound: PrimitiveLiteral, length: usize) -> Option<PrimitiveLiteral> {
    match bound {
        PrimitiveLiteral::String(text) => {
            let kept = text_prefix(&text, length);
            match kept.len() == text.len() {
                true => Some(PrimitiveLiteral::String(text)),
                false => next_text(kept).map(PrimitiveLiteral::String),
            }
        }
        PrimitiveLiteral::Binary(mut bytes) => {
            if bytes.len() > length {
                bytes.truncate(length);
                // The last byte that can grow does, and what follows it is dropped.
                let grows = bytes.iter().rposition(|byte| *byte < u8::MAX)?;
                bytes.truncate(grows + 1);
                bytes[grows] += 1;
            }
            Some(PrimitiveLiteral::Binary(bytes))
        }
        other => Some(other),
    }
}

/// The shortest text above every text that begins with `text`.
pub(super) fn next_text(text: &str) -> Option<String> {
    for (start, last) in text.char_indices().rev() {
        // Surrogates are no characters, and UTF-8 keeps the order of code points.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            _ => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            let mut grown = text[..start].to_owned();
            grown.push(next);
            return Some(grown);
        }
    }
    None
}

/// A bound in the form that file metadata holds.
pub(super) fn datum(bound: &PrimitiveLiteral, value_type: &PrimitiveType) -> Result<Datum> {
    use PrimitiveLiteral as L;
    let bytes = match bound {
        L::Boolean(value) => vec![u8::from(*value)],
        L::Int(value) => value.to_le_bytes().to_vec(),
        L::Long(value) => value.to_le_bytes().to_vec(),
        L::Float(value) => value.to_le_bytes().to_vec(),
        L::Double(value) => value.to_le_bytes().to_vec(),
        L::String(value) => value.as_bytes().to_vec(),
        L::Binary(value) => value.clone(),
        L::Int128(value) => value.to_be_bytes().to_vec(),
        L::UInt128(value) => value.to_be_bytes().to_vec(),
        L::AboveMax | L::BelowMin => Vec::new(),
    };
    Ok(Datum::try_from_bytes(&bytes, value_type.clone())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upper(text: &str, length: usize) -> Option<String> {
        match cut_upper(PrimitiveLiteral::String(text.to_owned()), length) {
            Some(PrimitiveLiteral::String(text)) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn m04_upper_bounds_grow_on_code_points() {
        assert_eq!(upper("abc", 3).as_deref(), Some("abc"));
        assert_eq!(upper("abcd", 3).as_deref(), Some("abd"));
        assert_eq!(upper("ab\u{D7FF}x", 3).as_deref(), Some("ab\u{E000}"));
        assert_eq!(upper("ab\u{7F}x", 3).as_deref(), Some("ab\u{80}"));
        assert_eq!(upper("ab\u{FFFF}x", 3).as_deref(), Some("ab\u{10000}"));
        // The last character is the last there is: the one before it grows.
        assert_eq!(upper("a\u{10FFFF}x", 2).as_deref(), Some("b"));
        assert_eq!(upper("\u{10FFFF}\u{10FFFF}x", 2), None);
    }

    #[test]
    fn m04_bytes_carry_and_lower_bounds_are_prefixes() {
        let upper = |bytes: &[u8]| cut_upper(PrimitiveLiteral::Binary(bytes.to_vec()), 2);
        assert_eq!(
            upper(&[1, 2, 3]),
            Some(PrimitiveLiteral::Binary(vec![1, 3]))
        );
        assert_eq!(upper(&[1, 255, 3]), Some(PrimitiveLiteral::Binary(vec![2])));
        assert_eq!(upper(&[255, 255, 0]), None);
        assert_eq!(
            upper(&[255, 255]),
            Some(PrimitiveLiteral::Binary(vec![255, 255]))
        );
        let lower = cut_lower(PrimitiveLiteral::String("äöü".to_owned()), 2);
        assert_eq!(lower, PrimitiveLiteral::String("äö".to_owned()));
    }

    #[test]
    fn m12_texts_compare_by_their_bytes() {
        let low = PrimitiveLiteral::String("\u{FFFF}".to_owned());
        let high = PrimitiveLiteral::String("\u{10000}".to_owned());
        assert!(low < high);
    }

    #[test]
    fn decimals_decode_with_their_sign() {
        assert_eq!(signed_big_endian(&[0xFF]), Some(-1));
        assert_eq!(signed_big_endian(&[0x00, 0x80]), Some(128));
        assert_eq!(signed_big_endian(&[0; 17]), None);
    }
}
