//! The values of a data page after some of them were edited.

use super::bounds::Bounds;
use super::dictionary::Dictionary;
use super::edits::{NewValues, Part, ValueEdit, parts};
use super::hybrid;

/// How a column's values are stored, as far as they are taken apart here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Int32,
    Int64,
    /// Texts and bytes of any length, which compare byte by byte.
    Bytes,
}

impl Stored {
    /// The bytes of a value, where all have the same.
    pub(super) fn width(self) -> Option<usize> {
        match self {
            Self::Int32 => Some(4),
            Self::Int64 => Some(8),
            Self::Bytes => None,
        }
    }
}

/// The values of a page.
#[derive(Debug)]
pub(super) struct Kept {
    /// As they stand in a page.
    pub(super) bytes: Vec<u8>,
    /// `None` when there is no value.
    pub(super) bounds: Option<Bounds>,
}

/// Where a text or bytes that begin at `from` end; `None` when that is outside.
fn end_of(bytes: &[u8], from: usize) -> Option<usize> {
    let length = bytes.get(from..)?.first_chunk::<4>()?;
    let end = (from + 4).checked_add(u32::from_le_bytes(*length) as usize)?;
    (end <= bytes.len()).then_some(end)
}

/// Where each of `count` values in plain form ends; `None` when the bytes do not hold so many.
pub(super) fn value_ends(stored: Stored, bytes: &[u8], count: usize) -> Option<Vec<usize>> {
    if let Some(width) = stored.width() {
        let is_held = count.checked_mul(width)? <= bytes.len();
        return is_held.then(|| (1..=count).map(|place| place * width).collect());
    }
    let mut ends = Vec::with_capacity(count.min(bytes.len() / 4));
    let mut from = 0;
    for _ in 0..count {
        from = end_of(bytes, from)?;
        ends.push(from);
    }
    Some(ends)
}

/// `count` values in plain form after their edits; `None` when the bytes do not hold so many.
pub(super) fn plain(
    stored: Stored,
    bytes: &[u8],
    count: usize,
    edits: &[ValueEdit],
    new: &NewValues,
) -> Option<Kept> {
    let Some(width) = stored.width() else {
        return texts(bytes, count, edits, new);
    };
    let bytes = bytes.get(..count.checked_mul(width)?)?;
    let mut kept = Vec::with_capacity(bytes.len() + edits.len() * width);
    for part in parts(edits, count) {
        match part {
            Part::Old(run) => {
                kept.extend_from_slice(bytes.get(run.start * width..run.end * width)?)
            }
            Part::New(place) => kept.extend_from_slice(new.values().get(place)?),
        }
    }
    let bounds = match stored {
        Stored::Int32 => {
            let numbers = kept.as_chunks::<4>().0.iter();
            let bounds = bounds_of(numbers.map(|bytes| i32::from_le_bytes(*bytes)));
            bounds.map(|(low, high)| Bounds::Int32(low, high))
        }
        Stored::Int64 | Stored::Bytes => {
            let numbers = kept.as_chunks::<8>().0.iter();
            let bounds = bounds_of(numbers.map(|bytes| i64::from_le_bytes(*bytes)));
            bounds.map(|(low, high)| Bounds::Int64(low, high))
        }
    };
    Some(Kept {
        bytes: kept,
        bounds,
    })
}

fn bounds_of<T: Copy + Ord>(mut values: impl Iterator<Item = T>) -> Option<(T, T)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(low, high), value| {
        (low.min(value), high.max(value))
    }))
}

fn texts(bytes: &[u8], count: usize, edits: &[ValueEdit], new: &NewValues) -> Option<Kept> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut bounds: Option<(&[u8], &[u8])> = None;
    let mut see = |value| {
        bounds = Some(match bounds {
            None => (value, value),
            Some((low, high)) if value < low => (value, high),
            Some((low, high)) if value > high => (low, value),
            Some(known) => known,
        });
    };
    let (mut from, mut place) = (0, 0);
    for part in parts(edits, count) {
        let run = match part {
            Part::Old(run) => run,
            Part::New(place) => {
                let value = new.values().get(place)?;
                kept.extend_from_slice(value);
                see(value.get(4..)?);
                continue;
            }
        };
        while place < run.start {
            from = end_of(bytes, from)?;
            place += 1;
        }
        let start = from;
        while place < run.end {
            let end = end_of(bytes, from)?;
            see(&bytes[from + 4..end]);
            from = end;
            place += 1;
        }
        kept.extend_from_slice(&bytes[start..from]);
    }
    Some(Kept {
        bytes: kept,
        bounds: bounds.map(|(low, high)| Bounds::Bytes(low.to_vec(), high.to_vec())),
    })
}

/// `count` places in a dictionary after their edits; `None` when the bytes do not hold so many, or
/// places that the dictionary does not have.
pub(super) fn places(
    dictionary: &mut Dictionary,
    bytes: &[u8],
    count: usize,
    edits: &[ValueEdit],
) -> Option<Kept> {
    let (mut width, old) = match bytes.split_first() {
        Some((width, packed)) => (*width, hybrid::decode(packed, *width, count)?),
        // Some writers leave out all of a page of NULLs.
        None if count == 0 => (0, Vec::new()),
        None => return None,
    };
    let mut places = Vec::with_capacity(count + edits.len());
    for part in parts(edits, count) {
        match part {
            Part::Old(run) => places.extend_from_slice(old.get(run)?),
            Part::New(new) => {
                let place = dictionary.place_of_new(new)?;
                width = width.max(bits_of(place));
                places.push(place);
            }
        }
    }
    let bounds = match places.is_empty() {
        true => None,
        false => Some(dictionary.bounds_of_used(&places)?),
    };
    let mut kept = Vec::with_capacity(bytes.len() + 8 + edits.len());
    kept.push(width);
    hybrid::encode(&places, width, &mut kept);
    Some(Kept {
        bytes: kept,
        bounds,
    })
}

/// The bits of a number.
pub(super) fn bits_of(number: u32) -> u8 {
    u8::try_from(u32::BITS - number.leading_zeros()).unwrap_or(u8::MAX)
}
