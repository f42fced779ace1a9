//! Snappy blocks without a frame, as Avro has them: a length, literals and copies, a checksum.

use super::{damaged, too_large};
use crate::error::Result;

/// What Snappy can make of one byte, with room to spare.
const RATIO_MAX: u64 = 64;
const CHECKSUM_BYTES: usize = 4;

/// What a block unfolds to, when its checksum says so too.
///
/// # Errors
/// As [`super::BlockCodec::unpack`].
pub(super) fn unpack(block: &[u8], bytes_max: u64) -> Result<Vec<u8>> {
    let split = block.split_last_chunk::<CHECKSUM_BYTES>();
    let (mut packed, checksum) = split.ok_or_else(damaged)?;
    let length = take_length(&mut packed).ok_or_else(damaged)?;
    if length > (packed.len() as u64).saturating_mul(RATIO_MAX) {
        return Err(damaged());
    }
    if length > bytes_max {
        return Err(too_large(bytes_max));
    }
    let length = usize::try_from(length).map_err(|_| damaged())?;
    let mut plain = Vec::with_capacity(length);
    while !packed.is_empty() {
        take_element(&mut packed, &mut plain, length).ok_or_else(damaged)?;
    }
    let is_whole = plain.len() == length;
    if is_whole && crc32fast::hash(&plain) == u32::from_be_bytes(*checksum) {
        Ok(plain)
    } else {
        Err(damaged())
    }
}

/// The length that a block begins with, a varint of at most 32 bits.
fn take_length(packed: &mut &[u8]) -> Option<u64> {
    let mut length = 0_u64;
    for shift in (0..35).step_by(7) {
        let byte = u64::from(*packed.split_off_first()?);
        length |= (byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return (length <= u64::from(u32::MAX)).then_some(length);
        }
    }
    None
}

/// Adds what the next literal or copy stands for; nothing when it is cut off, says what is not
/// there or goes beyond `length` bytes.
fn take_element(packed: &mut &[u8], plain: &mut Vec<u8>, length: usize) -> Option<()> {
    let tag = usize::from(*packed.split_off_first()?);
    let room = length - plain.len();
    if tag & 3 == 0 {
        let count = match tag >> 2 {
            short @ 0..60 => short,
            long => take_number(packed, long - 59)?,
        };
        let count = count.checked_add(1).filter(|count| *count <= room)?;
        plain.extend_from_slice(packed.split_off(..count)?);
        return Some(());
    }
    let (count, back) = match tag & 3 {
        1 => (
            4 + (tag >> 2 & 7),
            (tag >> 5) << 8 | take_number(packed, 1)?,
        ),
        2 => (1 + (tag >> 2), take_number(packed, 2)?),
        _ => (1 + (tag >> 2), take_number(packed, 4)?),
    };
    let start = plain
        .len()
        .checked_sub(back)
        .filter(|_| back > 0 && count <= room)?;
    // A copy may reach into what it makes itself.
    for at in start..start + count {
        plain.push(*plain.get(at)?);
    }
    Some(())
}

/// A number of some bytes, the lowest first.
fn take_number(packed: &mut &[u8], bytes: usize) -> Option<usize> {
    let bytes = packed.split_off(..bytes)?;
    let number = bytes
        .iter()
        .rev()
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    usize::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorKind;
    use crate::scan::PageSizes;

    /// The one page of a Parquet file that holds `bytes` as one value.
    fn page(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let column: ArrayRef = Arc::new(BinaryArray::from(vec![bytes]));
        let batch = RecordBatch::try_from_iter([("b", column)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_dictionary_enabled(false)
            .build();
        let mut file = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let sizes = PageSizes::read(&file[4..]).unwrap();
        file[4 + sizes.header..][..sizes.stored].to_vec()
    }

    fn with_checksum(packed: &[u8], plain: &[u8]) -> Vec<u8> {
        [packed, &crc32fast::hash(plain).to_be_bytes()].concat()
    }

    fn check(bytes: &[u8]) {
        let plain = page(bytes, Compression::UNCOMPRESSED);
        let packed = with_checksum(&page(bytes, Compression::SNAPPY), &plain);
        let size = plain.len() as u64;
        assert_eq!(unpack(&packed, size).unwrap(), plain);
        let error = unpack(&packed, size - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourcesExhausted);
        for cut in [0, 1, packed.len() / 2, packed.len() - 5, packed.len() - 1] {
            assert!(unpack(&packed[..cut], size).is_err());
        }
    }

    #[test]
    fn what_the_usual_encoder_packs_comes_back() {
        check(&[]);
        check(&[7; 100_000]);
        check("text ".repeat(5_000).as_bytes());
        let far: Vec<u8> = (0..200_000_u32)
            .flat_map(|n| (n.wrapping_mul(n) % 1009).to_le_bytes())
            .collect();
        check(&far);
        check(&[&far[..70_000], &far[1..70_000]].concat());
    }

    #[test]
    fn blocks_that_say_what_cannot_be_are_refused() {
        for packed in [
            &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0][..],
            // A copy from before the beginning, from nowhere, and one that is too long.
            &[5, 0, b'a', 0b0000_0001, 2],
            &[5, 0, b'a', 0b0000_0001, 0],
            &[3, 0, b'a', 0b0000_0001, 1],
            // A literal beyond the end, and more than was said.
            &[3, 0b0000_1000, b'a', b'b'],
            &[1, 0b0000_0100, b'a', b'b'],
            &[9, 0xFC, 0xFF, 0xFF, 0xFF, 0xFF, b'a'],
        ] {
            let error = unpack(&with_checksum(packed, b"aaaaa"), 1 << 20).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{packed:?}");
        }
        let good = with_checksum(&[5, 0, b'a', 0b0000_0001, 1], b"aaaaa");
        assert_eq!(unpack(&good, 5).unwrap(), b"aaaaa");
        let other = with_checksum(&[5, 0, b'a', 0b0000_0001, 1], b"aaaab");
        assert_eq!(unpack(&other, 5).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_error_or_in_what_they_say(
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            if let Ok(plain) = unpack(&bytes, 1 << 20) {
                prop_assert!(plain.len() <= 1 << 20);
            }
        }
    }
}
