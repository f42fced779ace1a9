//! What a manifest says of a file's columns, in little memory and found fast.
//!
//! A hash map for each kind of count, as the format crate has them, takes several times the memory
//! and most of the time of decoding. Here one sorted row per column holds all of them, and bounds
//! stay the bytes they were until somebody compares by them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::mem::{size_of, size_of_val};
use std::ops::Range;
use std::sync::Arc;

use iceberg::spec::PrimitiveType;

use crate::scan::value::Value;

/// The types that bounds of a manifest are of, by field id.
pub(crate) type ColumnTypes = BTreeMap<i32, PrimitiveType>;

/// Something that is counted for each column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnCount {
    /// Bytes of the column in the file.
    Size,
    /// Values, NULL and NaN among them.
    Values,
    /// Values that are NULL.
    Nulls,
    /// Values that are NaN.
    Nans,
}

/// A bound of a column's values that are neither NULL nor NaN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnBound {
    /// None lies below.
    Lower,
    /// None lies above.
    Upper,
}

/// Counts and bounds of a file's columns.
#[derive(Debug, Clone, Default)]
pub(super) struct ColumnStatistics {
    /// Ascending by id.
    columns: Box<[Column]>,
    /// The bounds, one after the other.
    bytes: Box<[u8]>,
    types: Arc<ColumnTypes>,
}

#[derive(Debug, Clone)]
struct Column {
    id: i32,
    counts: [u64; 4],
    bounds: [Span; 2],
}

/// Counts are signed 64-bit numbers in files.
const NO_COUNT: u64 = u64::MAX;

/// A range of the bounds' bytes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

const NO_BOUND: Span = Span {
    start: 0,
    length: u32::MAX,
};

impl Column {
    fn new(id: i32) -> Self {
        Self {
            id,
            counts: [NO_COUNT; 4],
            bounds: [NO_BOUND; 2],
        }
    }

    fn count(&self, kind: ColumnCount) -> Option<u64> {
        let count = self.counts[kind as usize];
        (count != NO_COUNT).then_some(count)
    }

    /// Takes over what `later` knows.
    fn merge(&mut self, later: &Self) {
        for (count, later) in self.counts.iter_mut().zip(&later.counts) {
            if *later != NO_COUNT {
                *count = *later;
            }
        }
        for (bound, later) in self.bounds.iter_mut().zip(&later.bounds) {
            if later.length != NO_BOUND.length {
                *bound = *later;
            }
        }
    }
}

impl ColumnStatistics {
    fn column(&self, id: i32) -> Option<&Column> {
        let place = self.columns.binary_search_by_key(&id, |column| column.id);
        self.columns.get(place.ok()?)
    }

    pub(super) fn count(&self, kind: ColumnCount, id: i32) -> Option<u64> {
        self.column(id)?.count(kind)
    }

    pub(super) fn counts(&self, kind: ColumnCount) -> impl Iterator<Item = (i32, u64)> {
        let columns = self.columns.iter();
        columns.filter_map(move |column| Some((column.id, column.count(kind)?)))
    }

    /// The bound with its type. What is no value of the type is none, and neither are bounds of
    /// which the lower lies above the upper: a writer that ordered values in another way, or damage.
    pub(super) fn bound(&self, kind: ColumnBound, id: i32) -> Option<(&PrimitiveType, Value<'_>)> {
        let column = self.column(id)?;
        let bound = self.typed(column, kind)?;
        let lower = match kind {
            ColumnBound::Lower => Some(bound),
            ColumnBound::Upper => self.typed(column, ColumnBound::Lower),
        };
        let upper = match kind {
            ColumnBound::Lower => self.typed(column, ColumnBound::Upper),
            ColumnBound::Upper => Some(bound),
        };
        let is_inverted = match (lower, upper) {
            (Some((_, lower)), Some((_, upper))) => lower.compare(upper) == Some(Ordering::Greater),
            _ => false,
        };
        (!is_inverted).then_some(bound)
    }

    pub(super) fn bounds(
        &self,
        kind: ColumnBound,
    ) -> impl Iterator<Item = (i32, &PrimitiveType, Value<'_>)> {
        self.columns.iter().filter_map(move |column| {
            let (data_type, value) = self.typed(column, kind)?;
            Some((column.id, data_type, value))
        })
    }

    fn typed(&self, column: &Column, kind: ColumnBound) -> Option<(&PrimitiveType, Value<'_>)> {
        let span = column.bounds[kind as usize];
        let bytes = self.bytes.get(span.range()?)?;
        let data_type = self.types.get(&column.id)?;
        Some((data_type, Value::decode(data_type, bytes)?))
    }

    /// Memory beside the value itself.
    pub(super) fn size_bytes(&self) -> usize {
        size_of_val(&*self.columns) + self.bytes.len()
    }
}

impl Span {
    fn range(self) -> Option<Range<usize>> {
        if self.length == NO_BOUND.length {
            return None;
        }
        let start = usize::try_from(self.start).ok()?;
        Some(start..start.checked_add(usize::try_from(self.length).ok()?)?)
    }
}

/// Memory that the types of a manifest's columns take.
pub(super) fn types_bytes(types: &ColumnTypes) -> usize {
    types.len() * size_of::<(i32, PrimitiveType)>()
}

/// Gathers the statistics of one file after the other, map by map as they stand in manifests.
#[derive(Debug)]
pub(super) struct StatisticsBuilder {
    types: Arc<ColumnTypes>,
    /// Ascending by id up to `sorted`; behind that columns that the current map brought.
    columns: Vec<Column>,
    sorted: usize,
    /// Where the next id of the map is looked for first: most maps of a file have the same order.
    next: usize,
    bytes: Vec<u8>,
}

impl StatisticsBuilder {
    pub(super) fn new(types: Arc<ColumnTypes>) -> Self {
        Self {
            types,
            columns: Vec::new(),
            sorted: 0,
            next: 0,
            bytes: Vec::new(),
        }
    }

    /// Adds an entry of a map of counts; negative ones say nothing.
    pub(super) fn put_count(&mut self, kind: ColumnCount, id: i32, count: i64) {
        if let Ok(count) = u64::try_from(count) {
            self.column(id).counts[kind as usize] = count;
        }
    }

    /// Adds an entry of a map of bounds; `None` when there are more bytes than fit any manifest.
    pub(super) fn put_bound(&mut self, kind: ColumnBound, id: i32, bound: &[u8]) -> Option<()> {
        let start = u32::try_from(self.bytes.len()).ok()?;
        let length = u32::try_from(bound.len()).ok()?;
        if length == NO_BOUND.length {
            return None;
        }
        self.bytes.extend_from_slice(bound);
        self.column(id).bounds[kind as usize] = Span { start, length };
        Some(())
    }

    /// The column of an id, made when there is none.
    fn column(&mut self, id: i32) -> &mut Column {
        let known = &self.columns[..self.sorted];
        let place = match known.get(self.next) {
            Some(column) if column.id == id => Ok(self.next),
            _ => known.binary_search_by_key(&id, |column| column.id),
        };
        let place = place.unwrap_or_else(|_| {
            self.columns.push(Column::new(id));
            self.columns.len() - 1
        });
        self.next = place + 1;
        &mut self.columns[place]
    }

    /// Ends a map: what it brought takes its places. The last of two entries of one id holds.
    pub(super) fn end_map(&mut self) {
        self.next = 0;
        if self.sorted < self.columns.len() {
            self.columns.sort_by_key(|column| column.id);
            self.columns.dedup_by(|later, earlier| {
                let is_same = later.id == earlier.id;
                if is_same {
                    earlier.merge(later);
                }
                is_same
            });
            self.sorted = self.columns.len();
        }
    }

    /// The statistics so far, of one file; the next file's begin with nothing.
    pub(super) fn finish(&mut self) -> ColumnStatistics {
        self.end_map();
        let statistics = ColumnStatistics {
            columns: self.columns.as_slice().into(),
            bytes: self.bytes.as_slice().into(),
            types: Arc::clone(&self.types),
        };
        self.columns.clear();
        self.bytes.clear();
        self.sorted = 0;
        statistics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> StatisticsBuilder {
        let types = [(1, PrimitiveType::Long), (2, PrimitiveType::String)];
        StatisticsBuilder::new(Arc::new(types.into()))
    }

    #[test]
    fn entries_of_any_order_are_found_and_the_last_of_an_id_holds() {
        let mut builder = builder();
        for (id, count) in [(9, 90), (1, 10), (9, 91), (5, -1)] {
            builder.put_count(ColumnCount::Values, id, count);
        }
        builder.end_map();
        for (id, count) in [(7, 70), (9, 0), (1, 1), (7, 71)] {
            builder.put_count(ColumnCount::Nulls, id, count);
        }
        builder.end_map();
        let made = builder.finish();
        let all = |kind| made.counts(kind).collect::<Vec<_>>();
        assert_eq!(all(ColumnCount::Values), [(1, 10), (9, 91)]);
        assert_eq!(all(ColumnCount::Nulls), [(1, 1), (7, 71), (9, 0)]);
        assert_eq!(made.count(ColumnCount::Size, 1), None);
        assert_eq!(builder.finish().counts(ColumnCount::Values).count(), 0);
    }

    #[test]
    fn bounds_are_values_of_the_columns_type_or_nothing() {
        let mut builder = builder();
        for (id, bytes) in [(2, &b"abc"[..]), (1, &[7, 0, 0, 0]), (3, b"x")] {
            builder.put_bound(ColumnBound::Lower, id, bytes).unwrap();
        }
        builder.end_map();
        builder.put_bound(ColumnBound::Upper, 2, &[0xFF]).unwrap();
        builder.put_bound(ColumnBound::Upper, 1, &[1]).unwrap();
        let made = builder.finish();
        let lower: Vec<_> = made.bounds(ColumnBound::Lower).collect();
        assert_eq!(lower.len(), 2);
        assert_eq!(lower[0].2, Value::Integer(7));
        assert_eq!(lower[1].2, Value::Text("abc"));
        assert_eq!(made.bounds(ColumnBound::Upper).count(), 0);
    }

    #[test]
    fn bounds_that_are_inverted_bound_nothing() {
        let mut builder = builder();
        for (kind, text, number) in [
            (ColumnBound::Lower, &b"row 1"[..], 3_i64),
            (ColumnBound::Upper, b"row\09", 3),
        ] {
            builder.put_bound(kind, 2, text).unwrap();
            builder.put_bound(kind, 1, &number.to_le_bytes()).unwrap();
            builder.end_map();
        }
        let made = builder.finish();
        for kind in [ColumnBound::Lower, ColumnBound::Upper] {
            assert_eq!(made.bound(kind, 2), None);
            assert!(made.bound(kind, 1).is_some());
            // They are listed as they stand.
            assert_eq!(made.bounds(kind).count(), 2);
        }
    }
}
