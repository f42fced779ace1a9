//! The smallest and the largest value of a page or of a column chunk.

use std::cmp::Ordering;

use parquet::basic::BoundaryOrder;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ColumnIndexBuilder;
use parquet::file::statistics::{Statistics, ValueStatistics};

use super::super::bounds::next_text;

/// Least and greatest of some values that are not NULL.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bounds {
    Int32(i32, i32),
    Int64(i64, i64),
    Bytes(Vec<u8>, Vec<u8>),
}

impl Bounds {
    /// The bounds of both.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int32(low, high), Self::Int32(lower, higher)) => {
                Self::Int32(low.min(lower), high.max(higher))
            }
            (Self::Int64(low, high), Self::Int64(lower, higher)) => {
                Self::Int64(low.min(lower), high.max(higher))
            }
            (Self::Bytes(low, high), Self::Bytes(lower, higher)) => {
                Self::Bytes(low.min(lower), high.max(higher))
            }
            // Values of one column are of one type.
            (known, _) => known,
        }
    }

    /// How the values lie to those of an earlier page: least to least and greatest to greatest.
    fn compare(&self, earlier: &Self) -> (Ordering, Ordering) {
        match (self, earlier) {
            (Self::Int32(low, high), Self::Int32(lower, higher)) => {
                (low.cmp(lower), high.cmp(higher))
            }
            (Self::Int64(low, high), Self::Int64(lower, higher)) => {
                (low.cmp(lower), high.cmp(higher))
            }
            (Self::Bytes(low, high), Self::Bytes(lower, higher)) => {
                (low.cmp(lower), high.cmp(higher))
            }
            _ => (Ordering::Equal, Ordering::Equal),
        }
    }

    /// As a footer holds them, of at most `length` bytes where values have no fixed size.
    pub(super) fn statistics(self, nulls: u64, cut: &Cut) -> Statistics {
        match self {
            Self::Int32(low, high) => {
                Statistics::int32(Some(low), Some(high), None, Some(nulls), false)
            }
            Self::Int64(low, high) => {
                Statistics::int64(Some(low), Some(high), None, Some(nulls), false)
            }
            Self::Bytes(low, high) => {
                let (low, low_is_exact) = cut.lower(low);
                let (high, high_is_exact) = cut.upper(high);
                let of = |bytes: Vec<u8>| Some(ByteArray::from(bytes));
                let values = ValueStatistics::new(of(low), of(high), None, Some(nulls), false)
                    .with_min_is_exact(low_is_exact)
                    .with_max_is_exact(high_is_exact);
                Statistics::ByteArray(values)
            }
        }
    }

    /// As a page index holds them.
    fn plain(self, cut: &Cut) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Int32(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            Self::Int64(low, high) => (low.to_le_bytes().to_vec(), high.to_le_bytes().to_vec()),
            Self::Bytes(low, high) => (cut.lower(low).0, cut.upper(high).0),
        }
    }
}

/// How long bounds of texts and bytes may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// In bytes; `None` for whole values.
    pub(super) length: Option<usize>,
    /// Whether values are texts, which are cut between characters.
    pub(super) is_text: bool,
}

impl Cut {
    fn prefix<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let length = self.length.filter(|length| *length < bytes.len())?;
        let cut = &bytes[..length];
        if !self.is_text {
            return Some(cut);
        }
        match std::str::from_utf8(cut) {
            Ok(_) => Some(cut),
            // The last character was cut in two; what is no text at all stays whole.
            Err(error) if error.error_len().is_none() => Some(&cut[..error.valid_up_to()]),
            Err(_) => None,
        }
    }

    /// A lower bound, and whether it is the value itself.
    fn lower(&self, bytes: Vec<u8>) -> (Vec<u8>, bool) {
        match self.prefix(&bytes) {
            Some(prefix) => (prefix.to_vec(), false),
            None => (bytes, true),
        }
    }

    /// An upper bound, and whether it is the value itself.
    fn upper(&self, bytes: Vec<u8>) -> (Vec<u8>, bool) {
        let grown = self.prefix(&bytes).and_then(|prefix| match self.is_text {
            true => {
                let text = std::str::from_utf8(prefix).ok()?;
                next_text(text).map(String::into_bytes)
            }
            false => {
                let grows = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
                let mut grown = prefix[..=grows].to_vec();
                grown[grows] += 1;
                Some(grown)
            }
        });
        match grown {
            Some(grown) => (grown, false),
            None => (bytes, true),
        }
    }
}

/// The bounds of the pages of a column chunk, as they come.
pub(super) struct PageBounds {
    index: ColumnIndexBuilder,
    cut: Cut,
    last: Option<Bounds>,
    ascends: bool,
    descends: bool,
}

impl PageBounds {
    pub(super) fn new(index: ColumnIndexBuilder, cut: Cut) -> Self {
        Self {
            index,
            cut,
            last: None,
            ascends: true,
            descends: true,
        }
    }

    /// Adds a page; one without bounds has NULLs only.
    pub(super) fn add(&mut self, bounds: Option<&Bounds>, nulls: i64) {
        let Some(bounds) = bounds else {
            self.index.append(true, Vec::new(), Vec::new(), nulls);
            return;
        };
        if let Some(last) = &self.last {
            let (low, high) = bounds.compare(last);
            self.ascends &= low != Ordering::Less && high != Ordering::Less;
            self.descends &= low != Ordering::Greater && high != Ordering::Greater;
        }
        self.last = Some(bounds.clone());
        let (low, high) = bounds.clone().plain(&self.cut);
        self.index.append(false, low, high, nulls);
    }

    /// What a page index says of the column chunk.
    pub(super) fn finish(mut self) -> ColumnIndexBuilder {
        self.index
            .set_boundary_order(match (self.ascends, self.descends) {
                (true, _) => BoundaryOrder::ASCENDING,
                (false, true) => BoundaryOrder::DESCENDING,
                (false, false) => BoundaryOrder::UNORDERED,
            });
        self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_cut_between_characters_and_never_too_narrow() {
        let text = Cut {
            length: Some(4),
            is_text: true,
        };
        assert_eq!(text.lower("abcd".into()), ("abcd".into(), true));
        assert_eq!(text.lower("abcde".into()), ("abcd".into(), false));
        assert_eq!(text.upper("abcde".into()), ("abce".into(), false));
        assert_eq!(text.lower("abcäx".into()), ("abc".into(), false));
        assert_eq!(text.upper("abcäx".into()), ("abd".into(), false));
        // Nothing so short is above: the whole value stays.
        let highest = "\u{10FFFF}\u{10FFFF}";
        assert_eq!(text.upper(highest.into()), (highest.into(), true));
        let bytes = Cut {
            length: Some(2),
            is_text: false,
        };
        assert_eq!(bytes.upper(vec![1, 255, 3]), (vec![2], false));
        assert_eq!(bytes.upper(vec![255, 255, 3]), (vec![255, 255, 3], true));
    }
}
