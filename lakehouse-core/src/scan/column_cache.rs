//! Decoded columns of data files, bounded by bytes and shared by sessions.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef};
use arrow::datatypes::DataType;
use moka::sync::Cache;

/// How many columns are known to have been asked for once.
const ASKED_MAX: u64 = 1 << 16;
/// What of the cache the columns of one row group may take: a part of it has to stay for others.
const GROUP_SHARE: u64 = 4;

/// One column of one row group of a file, decoded as an Arrow type. Files of a lake never change
/// under their path, so nothing that is kept can be outdated.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ColumnKey {
    pub(crate) location: Arc<str>,
    pub(crate) row_group: usize,
    /// The position among the file's top-level columns.
    pub(crate) root: usize,
    pub(crate) data_type: DataType,
}

/// All values of a column in a row group, in the batches they were decoded in.
#[derive(Debug, Clone)]
pub(crate) struct KeptColumn(Arc<[ArrayRef]>);

/// Keeps the columns that queries ask for most often.
///
/// A column is kept when it is asked for a second time, so that what is read once costs no memory.
/// When the cache is full, a column comes in only if it was asked for more often than those that
/// would have to leave: a scan of more than fits leaves most of what is kept in place, where a cache
/// that drops what is oldest would have dropped each column just before its next use.
pub(crate) struct ColumnCache {
    columns: Cache<ColumnKey, KeptColumn>,
    asked: Cache<ColumnKey, ()>,
    bytes_max: u64,
}

impl ColumnCache {
    /// An empty cache of at most `bytes_max` bytes; none for 0.
    pub(crate) fn new(bytes_max: u64) -> Option<Self> {
        if bytes_max == 0 {
            return None;
        }
        let columns = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, column: &KeptColumn| {
                u32::try_from(column.size_bytes()).unwrap_or(u32::MAX)
            })
            .build();
        Some(Self {
            columns,
            asked: Cache::new(ASKED_MAX),
            bytes_max,
        })
    }

    /// The column, when it is kept.
    pub(crate) fn get(&self, key: &ColumnKey) -> Option<KeptColumn> {
        self.columns.get(key)
    }

    /// Whether the column is to be kept once it is decoded, because somebody has asked for it
    /// before.
    pub(crate) fn wants(&self, key: &ColumnKey) -> bool {
        let was_asked = self.asked.contains_key(key);
        if !was_asked {
            self.asked.insert(key.clone(), ());
        }
        was_asked
    }

    /// The most bytes that may be gathered for columns of one row group.
    pub(crate) fn group_bytes_max(&self) -> u64 {
        self.bytes_max / GROUP_SHARE
    }

    /// Keeps a column whose values are `arrays`, one after the other.
    pub(crate) fn insert(&self, key: ColumnKey, arrays: Vec<ArrayRef>) {
        let column = KeptColumn::from(arrays);
        if u64::from(u32::MAX) > column.size_bytes() {
            self.columns.insert(key, column);
            // What is beyond the bound leaves now rather than at some later use.
            self.columns.run_pending_tasks();
        }
    }

    /// Bytes that are kept.
    #[cfg(test)]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.columns.run_pending_tasks();
        self.columns.weighted_size()
    }
}

impl fmt::Debug for ColumnCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnCache")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

impl From<Vec<ArrayRef>> for KeptColumn {
    fn from(arrays: Vec<ArrayRef>) -> Self {
        Self(arrays.into())
    }
}

impl KeptColumn {
    /// The values in the batches they were decoded in.
    pub(crate) fn arrays(&self) -> &[ArrayRef] {
        &self.0
    }

    /// The memory the values hold on to. Batches share buffers, such as the texts of a dictionary
    /// page; each counts once.
    fn size_bytes(&self) -> u64 {
        let mut seen = HashSet::new();
        let arrays = self.0.iter();
        arrays
            .map(|array| held_bytes(&array.to_data(), &mut seen))
            .sum()
    }
}

fn held_bytes(data: &ArrayData, seen: &mut HashSet<usize>) -> u64 {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    let mut bytes = size_of::<ArrayData>() as u64;
    for buffer in data.buffers().iter().chain(nulls) {
        if seen.insert(buffer.data_ptr().as_ptr() as usize) {
            bytes = bytes.saturating_add(buffer.capacity() as u64);
        }
    }
    let children = data.child_data().iter();
    children.fold(bytes, |bytes, child| {
        bytes.saturating_add(held_bytes(child, seen))
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    fn key(root: usize) -> ColumnKey {
        ColumnKey {
            location: "file:///a.parquet".into(),
            row_group: 0,
            root,
            data_type: DataType::Int64,
        }
    }

    fn numbers(count: usize) -> Vec<ArrayRef> {
        vec![Arc::new(Int64Array::from(vec![7; count]))]
    }

    #[test]
    fn a_column_is_wanted_when_it_is_asked_for_again() {
        let cache = ColumnCache::new(1 << 20).unwrap();
        assert!(!cache.wants(&key(1)));
        assert!(cache.wants(&key(1)));
        assert!(!cache.wants(&key(2)));
        let other = ColumnKey {
            data_type: DataType::Int32,
            ..key(1)
        };
        assert!(!cache.wants(&other));
    }

    #[test]
    fn the_bound_holds_and_a_scan_of_more_than_fits_leaves_what_is_kept() {
        let cache = ColumnCache::new(100_000).unwrap();
        for round in 0..4 {
            for root in 0..40 {
                if cache.get(&key(root)).is_none() {
                    cache.insert(key(root), numbers(1_000));
                }
                assert!(cache.used_bytes() <= 100_000, "{round} {root}");
            }
        }
        let kept = (0..40)
            .filter(|root| cache.get(&key(*root)).is_some())
            .count();
        assert!((8..=12).contains(&kept), "{kept}");
        cache.insert(key(99), numbers(20_000));
        assert!(cache.get(&key(99)).is_none());
        assert!(cache.used_bytes() <= 100_000);
    }

    #[test]
    fn buffers_that_batches_share_count_once() {
        let long = "a text that is too long to stand in a view of it";
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![long; 1_000]));
        let one = KeptColumn::from(vec![Arc::clone(&texts)]).size_bytes();
        let two = KeptColumn::from(vec![texts.slice(0, 500), texts.slice(500, 500)]).size_bytes();
        assert!(one > 16_000, "{one}");
        assert!(two < one + 1_000, "{two} {one}");
    }
}
