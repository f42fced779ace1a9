//! The dictionary page of a column chunk, and what new values add to it.

use std::collections::HashMap;

use bytes::Bytes;

use super::bounds::Bounds;
use super::edits::NewValues;
use super::values::{Stored, plain_values};

/// Distinct values by their place.
#[derive(Debug)]
pub(super) struct Dictionary {
    values: Values,
    /// Where the new values are.
    new: Vec<u32>,
    /// The page, which holds the new values as well.
    pub(super) page: Bytes,
    /// How many values it has.
    pub(super) count: u32,
}

/// What bounds are made of.
#[derive(Debug)]
enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Bytes(Texts),
}

/// Values of any length, and how they compare.
#[derive(Debug)]
struct Texts {
    values: Vec<Bytes>,
    /// The rank of each value among all; equal values have ranks next to each other.
    ranks: Vec<u32>,
    /// The values by rank.
    ranked: Vec<u32>,
}

impl Dictionary {
    /// Reads a dictionary page of `count` values and adds the new ones that it lacks; `None` when it
    /// does not hold so many.
    pub(super) fn read(stored: Stored, page: Bytes, count: u32, new: &NewValues) -> Option<Self> {
        let known = match stored {
            Stored::Bytes => plain_values(stored, &page, count as usize)?,
            _ if new.values().is_empty() => Vec::new(),
            _ => plain_values(stored, &page, count as usize)?,
        };
        let mut dictionary = Self {
            values: Values::Int32(Vec::new()),
            new: Vec::with_capacity(new.values().len()),
            page,
            count,
        };
        let mut texts = known.clone();
        if !new.values().is_empty() {
            let mut places: HashMap<&[u8], u32> = HashMap::with_capacity(known.len());
            for (place, value) in (0..).zip(&known) {
                places.entry(value).or_insert(place);
            }
            let held: usize = known.iter().map(Bytes::len).sum();
            let mut bytes = dictionary.page.get(..held)?.to_vec();
            for value in new.values() {
                let place = *places.entry(value).or_insert_with(|| {
                    bytes.extend_from_slice(value);
                    texts.push(value.clone());
                    dictionary.count += 1;
                    dictionary.count - 1
                });
                dictionary.new.push(place);
            }
            dictionary.page = Bytes::from(bytes);
        }
        let (page, count) = (&dictionary.page, dictionary.count as usize);
        dictionary.values = match stored {
            Stored::Int32 => {
                let values = page.get(..count.checked_mul(4)?)?.as_chunks::<4>().0;
                let values = values.iter().map(|bytes| i32::from_le_bytes(*bytes));
                Values::Int32(values.collect())
            }
            Stored::Int64 => {
                let values = page.get(..count.checked_mul(8)?)?.as_chunks::<8>().0;
                let values = values.iter().map(|bytes| i64::from_le_bytes(*bytes));
                Values::Int64(values.collect())
            }
            Stored::Bytes => Values::Bytes(Texts::new(texts)?),
        };
        Some(dictionary)
    }

    /// The place of a new value; `None` when there is none such.
    pub(super) fn place_of_new(&self, new: usize) -> Option<u32> {
        self.new.get(new).copied()
    }

    /// The bounds of the values at some places; `None` when a place is none of the dictionary, or
    /// there are no places.
    pub(super) fn bounds(&self, places: &[u32]) -> Option<Bounds> {
        match &self.values {
            Values::Int32(values) => {
                let (low, high) = range(places, values)?;
                Some(Bounds::Int32(low, high))
            }
            Values::Int64(values) => {
                let (low, high) = range(places, values)?;
                Some(Bounds::Int64(low, high))
            }
            Values::Bytes(texts) => {
                let (low, high) = range(places, &texts.ranks)?;
                let value = |rank: u32| {
                    let place = *texts.ranked.get(rank as usize)?;
                    // Behind its length.
                    Some(texts.values.get(place as usize)?.get(4..)?.to_vec())
                };
                Some(Bounds::Bytes(value(low)?, value(high)?))
            }
        }
    }
}

/// Least and greatest of `values` at some places.
fn range<T: Copy + Ord>(places: &[u32], values: &[T]) -> Option<(T, T)> {
    let first = *values.get(*places.first()? as usize)?;
    let highest = *places.iter().max()?;
    if highest as usize >= values.len() {
        return None;
    }
    let bounds = places.iter().fold((first, first), |(low, high), place| {
        let value = values[*place as usize];
        (low.min(value), high.max(value))
    });
    Some(bounds)
}

impl Texts {
    fn new(values: Vec<Bytes>) -> Option<Self> {
        let mut ranked: Vec<u32> = (0..u32::try_from(values.len()).ok()?).collect();
        let value = |place: &u32| values[*place as usize].get(4..);
        ranked.sort_unstable_by(|one, other| value(one).cmp(&value(other)));
        let mut ranks = vec![0; values.len()];
        for (rank, place) in (0..).zip(&ranked) {
            ranks[*place as usize] = rank;
        }
        Some(Self {
            values,
            ranks,
            ranked,
        })
    }
}
