//! Deletion vectors from the bytes of their blobs, trusting none of them.

use roaring::RoaringBitmap;

use super::deleted_rows::DeletedRows;
use crate::error::{Error, Result};

/// The largest blob that is read; the format counts its length in 32 bits, other engines in 31.
pub(crate) const VECTOR_BYTES_MAX: u64 = 1 << 31;

const MAGIC: [u8; 4] = [0xD1, 0xD3, 0x39, 0x64];
const LENGTH_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;

/// The deleted rows that a blob of type `deletion-vector-v1` holds.
///
/// `deleted` is how many there must be, and `rows` how many rows the data file has.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] for anything that is not as the format says.
pub(crate) fn parse_vector(blob: &[u8], deleted: u64, rows: u64) -> Result<DeletedRows> {
    let bitmaps = checked_bitmaps(blob)?;
    let vector = bitmaps_of(bitmaps)?;
    if vector.len() != deleted {
        return Err(damaged(&format!(
            "it deletes {} rows where the manifest says {deleted}",
            vector.len()
        )));
    }
    match vector.last() {
        Some(last) if last >= rows => Err(damaged(&format!(
            "it deletes row {last} of a data file of {rows} rows"
        ))),
        _ => Ok(vector),
    }
}

/// The bytes between the magic number and the checksum, after both were checked.
fn checked_bitmaps(blob: &[u8]) -> Result<&[u8]> {
    let cut_off = || damaged("it is shorter than its own frame");
    let (length, rest) = blob
        .split_first_chunk::<LENGTH_BYTES>()
        .ok_or_else(cut_off)?;
    let (body, checksum) = rest
        .split_last_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(cut_off)?;
    let length = u32::from_be_bytes(*length);
    if usize::try_from(length).ok() != Some(body.len()) {
        return Err(damaged(&format!(
            "it says that it has {length} bytes, the manifest says {}",
            body.len()
        )));
    }
    let bitmaps = body
        .strip_prefix(&MAGIC)
        .ok_or_else(|| damaged("it does not begin as a deletion vector"))?;
    if crc32fast::hash(body) != u32::from_be_bytes(*checksum) {
        return Err(damaged("its checksum is wrong"));
    }
    Ok(bitmaps)
}

/// Bitmaps of 32 bits by ascending upper bits, which fill `bytes` to the end.
fn bitmaps_of(mut bytes: &[u8]) -> Result<DeletedRows> {
    /// An upper half, a cookie and a number of containers.
    const BITMAP_BYTES_MIN: usize = 12;
    let cut_off = || damaged("it is cut off");
    let count = u64::from_le_bytes(*take(&mut bytes).ok_or_else(cut_off)?);
    // So many fit at most; beyond that, each is read before there is room for the next.
    let fit = usize::try_from(count)
        .ok()
        .filter(|count| count.saturating_mul(BITMAP_BYTES_MIN) <= bytes.len())
        .ok_or_else(cut_off)?;
    let mut bitmaps: Vec<(u32, RoaringBitmap)> = Vec::with_capacity(fit);
    for _ in 0..count {
        let high = u32::from_le_bytes(*take(&mut bytes).ok_or_else(cut_off)?);
        if bitmaps.last().is_some_and(|(last, _)| *last >= high) {
            return Err(damaged("its parts are out of order"));
        }
        // Reads no further than the slice, container by container, each of at most 256 KiB.
        let bitmap = RoaringBitmap::deserialize_from(&mut bytes)
            .map_err(|error| damaged("one of its bitmaps cannot be read").with_source(error))?;
        bitmaps.push((high, bitmap));
    }
    if !bytes.is_empty() {
        return Err(damaged("it goes on after its end"));
    }
    Ok(DeletedRows::from_bitmaps(bitmaps))
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(taken)
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!(
        "a deletion vector is damaged: {what}; restore its file"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use roaring::RoaringTreemap;

    use super::*;
    use crate::error::ErrorKind;

    /// The frame around bitmaps.
    fn framed(bitmaps: &[u8]) -> Vec<u8> {
        let body = [&MAGIC, bitmaps].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let checksum = crc32fast::hash(&body).to_be_bytes();
        [&length[..], &body, &checksum].concat()
    }

    fn bitmaps(rows: &RoaringTreemap) -> Vec<u8> {
        let mut bytes = Vec::new();
        rows.serialize_into(&mut bytes).unwrap();
        bytes
    }

    /// Rows 1, 3 and 2^32 + 7, byte for byte as the format describes them.
    fn by_hand() -> Vec<u8> {
        let mut bytes = 2_u64.to_le_bytes().to_vec();
        let container = |high: u32, values: &[u16]| {
            let mut bytes = high.to_le_bytes().to_vec();
            bytes.extend(12_346_u32.to_le_bytes());
            bytes.extend(1_u32.to_le_bytes());
            bytes.extend(0_u16.to_le_bytes());
            bytes.extend(u16::try_from(values.len() - 1).unwrap().to_le_bytes());
            bytes.extend(16_u32.to_le_bytes());
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            bytes
        };
        bytes.extend(container(0, &[1, 3]));
        bytes.extend(container(1, &[7]));
        bytes
    }

    const ROWS: u64 = 1 << 33;

    #[test]
    fn a_vector_is_read_as_the_format_says() {
        let vector = parse_vector(&framed(&by_hand()), 3, ROWS).unwrap();
        let runs: Vec<_> = vector.runs(0..ROWS).collect();
        let high = 1 << 32;
        assert_eq!(runs, [1..2, 3..4, high + 7..high + 8]);
        let none = parse_vector(&framed(&bitmaps(&RoaringTreemap::new())), 0, 0).unwrap();
        assert_eq!(none.len(), 0);
    }

    #[test]
    fn d16_a_vector_that_is_not_as_it_should_be_is_refused() {
        let good = framed(&by_hand());
        let refused = |blob: &[u8], deleted, rows, expected: &str| {
            let error = parse_vector(blob, deleted, rows).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains(expected), "{error}");
        };
        refused(&good, 2, ROWS, "deletes 3 rows");
        refused(&good, 3, (1 << 32) + 7, "of a data file of");
        refused(&good[..good.len() - 1], 3, ROWS, "the manifest says");
        refused(&good[..5], 3, ROWS, "frame");
        refused(&[], 3, ROWS, "frame");
        let changed = |at: usize| {
            let mut blob = good.clone();
            blob[at] ^= 1;
            blob
        };
        refused(&changed(0), 3, ROWS, "the manifest says");
        refused(&changed(4), 3, ROWS, "does not begin");
        refused(&changed(20), 3, ROWS, "checksum");
        refused(&changed(good.len() - 1), 3, ROWS, "checksum");
        // What has the right checksum may still be wrong.
        let mut twice = by_hand();
        let second = twice.len() - 22;
        twice[second] = 0;
        refused(&framed(&twice), 3, ROWS, "out of order");
        let longer = [&by_hand()[..], &[0]].concat();
        refused(&framed(&longer), 3, ROWS, "goes on");
        let mut many = by_hand();
        many[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        refused(&framed(&many), 3, ROWS, "cut off");
        let mut unsorted = by_hand();
        unsorted[28..32].copy_from_slice(&[3, 0, 1, 0]);
        refused(&framed(&unsorted), 3, ROWS, "cannot be read");
    }

    fn rows() -> impl Strategy<Value = RoaringTreemap> {
        let runs = proptest::collection::vec((0_u64..200_000, 1_u64..9_000), 0..6);
        let single = proptest::collection::vec(0_u64..(1 << 33), 0..300);
        (runs, single).prop_map(|(runs, single)| {
            let mut rows = RoaringTreemap::from_iter(single);
            for (start, length) in runs {
                rows.insert_range(start..start + length);
            }
            rows.optimize();
            rows
        })
    }

    proptest! {
        #[test]
        fn every_vector_comes_back(rows in rows()) {
            let vector = parse_vector(&framed(&bitmaps(&rows)), rows.len(), ROWS).unwrap();
            let back: RoaringTreemap = vector.runs(0..ROWS).flatten().collect();
            prop_assert_eq!(back, rows);
        }

        /// With a checksum that fits, so that nothing but the parser stands in the way.
        #[test]
        fn d16_mutated_vectors_end_in_an_error_or_in_the_promised_number_of_rows(
            rows in rows(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut bytes = bitmaps(&rows);
            for (at, byte) in changes {
                let at = at.index(bytes.len().min(64));
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(vector) = parse_vector(&framed(&bytes), rows.len(), ROWS) {
                prop_assert_eq!(vector.len(), rows.len());
                prop_assert!(vector.last().is_none_or(|last| last < ROWS));
                let by_runs: u64 = vector.runs(0..ROWS).map(|run| run.end - run.start).sum();
                prop_assert_eq!(by_runs, rows.len());
            }
        }
    }
}
