//! Deleted keys in memory, each with the latest commit that deletes it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use arrow::row::{RowConverter, SortField};
use datafusion::common::HashMap;
use datafusion::execution::memory_pool::MemoryPool;

use crate::error::{Error, Result};
use crate::runtime::Reservation;

/// Keys that equality deletes name, each with the largest sequence number that deletes it.
///
/// One set serves data files of all ages: a key deletes the rows of files that are older than its
/// number. NULL is a value like any other: it deletes NULL, and nothing else does.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Keys,
    /// Bytes of keys beside the table's entries.
    key_bytes: usize,
    reservation: Reservation,
}

#[derive(Debug)]
enum Keys {
    /// One column whose values are 64-bit numbers or less.
    Integers {
        latest: HashMap<i64, i64>,
        null: Option<i64>,
        /// The least and the greatest key; the least is larger while there is none.
        bounds: (i64, i64),
    },
    /// Any columns, in Arrow's row form: equal bytes are equal keys.
    Rows {
        converter: RowConverter,
        latest: HashMap<Box<[u8]>, i64>,
    },
}

impl KeySet {
    /// An empty set of keys of these types, paid for by `pool`.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unsupported`] for types without a row form.
    pub(crate) fn new(types: &[DataType], pool: &Arc<dyn MemoryPool>) -> Result<Self> {
        let keys = match types {
            [single] if is_integer(single) => Keys::Integers {
                latest: HashMap::default(),
                null: None,
                bounds: (i64::MAX, i64::MIN),
            },
            _ => Keys::Rows {
                converter: row_converter(types)?,
                latest: HashMap::default(),
            },
        };
        Ok(Self {
            keys,
            key_bytes: 0,
            reservation: Reservation::unspillable(pool, "keys of equality deletes"),
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        match &self.keys {
            Keys::Integers { latest, null, .. } => latest.len() + usize::from(null.is_some()),
            Keys::Rows { latest, .. } => latest.len(),
        }
    }

    /// Adds the keys of one batch, deleted by the commit with this sequence number.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::ResourcesExhausted`] when the memory budget does not hold them.
    pub(crate) fn insert(&mut self, columns: &[ArrayRef], sequence_number: i64) -> Result<()> {
        let rows = columns.first().map_or(0, |column| column.len());
        match &mut self.keys {
            Keys::Integers {
                latest,
                null,
                bounds,
            } => {
                // Before the table grows, so that what is not there is not taken.
                let bytes = table_bytes::<(i64, i64)>(latest.len() + rows);
                self.reservation.resize(bytes)?;
                let column = integers(columns)?;
                for value in column.as_primitive::<Int64Type>() {
                    let Some(value) = value else {
                        *null = (*null).max(Some(sequence_number));
                        continue;
                    };
                    *bounds = (bounds.0.min(value), bounds.1.max(value));
                    let known = latest.entry(value).or_insert(sequence_number);
                    *known = (*known).max(sequence_number);
                }
            }
            Keys::Rows { converter, latest } => {
                let converted = converter.convert_columns(columns)?;
                let bytes = table_bytes::<(Box<[u8]>, i64)>(latest.len() + rows);
                let more = converted.iter().map(|row| allocated_bytes(row.as_ref()));
                let most = self.key_bytes.saturating_add(more.sum());
                self.reservation.resize(bytes.saturating_add(most))?;
                for row in &converted {
                    let row: &[u8] = row.as_ref();
                    if let Some(known) = latest.get_mut(row) {
                        *known = (*known).max(sequence_number);
                    } else {
                        self.key_bytes += allocated_bytes(row);
                        latest.insert(row.into(), sequence_number);
                    }
                }
            }
        }
        Ok(())
    }

    /// Which rows of a data file with this sequence number stay; `None` when all do.
    ///
    /// # Errors
    /// Only when `columns` are not of the set's types.
    pub(crate) fn kept(
        &self,
        columns: &[ArrayRef],
        sequence_number: i64,
    ) -> Result<Option<BooleanArray>> {
        let deletes = |latest: Option<i64>| latest.is_some_and(|latest| latest > sequence_number);
        let kept = match &self.keys {
            Keys::Integers {
                latest,
                null,
                bounds: (least, greatest),
            } => {
                let column = integers(columns)?;
                let column = column.as_primitive::<Int64Type>();
                let values = column.values();
                let is_kept = |value: i64| {
                    value < *least || value > *greatest || !deletes(latest.get(&value).copied())
                };
                match column.nulls().filter(|nulls| nulls.null_count() > 0) {
                    None => BooleanBuffer::collect_bool(values.len(), |row| is_kept(values[row])),
                    Some(nulls) => {
                        let null_is_kept = !deletes(*null);
                        BooleanBuffer::collect_bool(values.len(), |row| {
                            if nulls.is_valid(row) {
                                is_kept(values[row])
                            } else {
                                null_is_kept
                            }
                        })
                    }
                }
            }
            Keys::Rows { converter, latest } => {
                let rows = converter.convert_columns(columns)?;
                BooleanBuffer::collect_bool(rows.num_rows(), |row| {
                    !deletes(latest.get(rows.row(row).as_ref()).copied())
                })
            }
        };
        let all = kept.count_set_bits() == kept.len();
        Ok((!all).then(|| BooleanArray::new(kept, None)))
    }
}

/// Turns keys of these types into bytes that are equal where the keys are.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for types without a row form.
pub(crate) fn row_converter(types: &[DataType]) -> Result<RowConverter> {
    let fields = types.iter().map(|kind| SortField::new(kind.clone()));
    RowConverter::new(fields.collect()).map_err(|error| {
        Error::unsupported(format!("keys of equality deletes of types {types:?}"))
            .with_source(error)
    })
}

/// What a set of so many keys of this width takes at most, about, in bytes.
pub(crate) fn estimated_bytes(keys: u64, width_bytes: u64) -> u64 {
    /// A key's place in a table that is half full, and its own allocation.
    const ENTRY_BYTES: u64 = 64;
    keys.saturating_mul(width_bytes.saturating_add(ENTRY_BYTES))
}

fn is_integer(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Time64(TimeUnit::Microsecond)
            | DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
    )
}

fn integers(columns: &[ArrayRef]) -> Result<ArrayRef> {
    match columns {
        [column] if is_integer(column.data_type()) => Ok(cast(column, &DataType::Int64)?),
        _ => Err(Error::internal(
            "a key of one number was compared with another kind of key",
        )),
    }
}

/// What a hash table of so many entries takes: a power of two of slots, each with a control byte.
fn table_bytes<T>(entries: usize) -> usize {
    let slots = entries.saturating_mul(8) / 7 + 1;
    let slots = slots.checked_next_power_of_two().unwrap_or(usize::MAX);
    slots.saturating_mul(size_of::<T>() + 1)
}

/// What a key's own allocation takes.
fn allocated_bytes(key: &[u8]) -> usize {
    key.len().next_multiple_of(16) + 16
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int64Array, StringViewArray};
    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};

    use super::*;
    use crate::error::ErrorKind;

    fn pool() -> Arc<dyn MemoryPool> {
        Arc::new(UnboundedMemoryPool::default())
    }

    fn kept(set: &KeySet, columns: &[ArrayRef], sequence_number: i64) -> Vec<bool> {
        match set.kept(columns, sequence_number).unwrap() {
            Some(kept) => kept.values().iter().collect(),
            None => vec![true; columns[0].len()],
        }
    }

    #[test]
    fn d01_a_key_deletes_what_is_older_than_its_latest_commit() {
        let mut set = KeySet::new(&[DataType::Int64], &pool()).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(1)]));
        set.insert(std::slice::from_ref(&keys), 5).unwrap();
        set.insert(&[keys.slice(0, 1)], 3).unwrap();
        set.insert(&[keys.slice(1, 1)], 7).unwrap();
        assert_eq!(set.len(), 3);
        let rows: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(3)]));
        let rows = [rows];
        assert_eq!(kept(&set, &rows, 4), [false, false, false, true]);
        assert_eq!(kept(&set, &rows, 5), [true, false, true, true]);
        assert_eq!(set.kept(&rows, 7).unwrap(), None);
    }

    #[test]
    fn d03_null_deletes_null_and_nothing_else() {
        let types = [DataType::Int64, DataType::Utf8View];
        let mut set = KeySet::new(&types, &pool()).unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![None, Some("a")]));
        set.insert(&[numbers, texts], 2).unwrap();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(1), None, None]));
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![
            None,
            Some("a"),
            Some("a"),
            None,
        ]));
        assert_eq!(kept(&set, &[numbers, texts], 1), [false, true, false, true]);
    }

    #[test]
    fn zeros_differ_by_sign_as_in_java() {
        let mut set = KeySet::new(&[DataType::Float64], &pool()).unwrap();
        let keys: ArrayRef = Arc::new(Float64Array::from(vec![0.0]));
        set.insert(&[keys], 2).unwrap();
        let rows: ArrayRef = Arc::new(Float64Array::from(vec![0.0, -0.0, 1.0]));
        assert_eq!(kept(&set, &[rows], 1), [false, true, true]);
    }

    #[test]
    fn keys_beyond_the_budget_are_refused_with_what_to_raise() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(10_000));
        let mut set = KeySet::new(&[DataType::Int64], &pool).unwrap();
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        set.insert(&[keys], 1).unwrap();
        assert!(pool.reserved() > 0);
        let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..10_000));
        let error = set.insert(&[keys], 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourcesExhausted);
        assert!(error.to_string().contains("memory_budget_bytes"), "{error}");
        drop(set);
        assert_eq!(pool.reserved(), 0);
    }
}
