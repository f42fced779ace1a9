//! The dictionary page of a column chunk, and what new values add to it.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;

use super::bounds::Bounds;
use super::edits::NewValues;
use super::values::{Stored, value_ends};

/// The bytes that say how long a text is.
const LENGTH_BYTES: usize = 4;

/// So many places without a value are kept however few values there are.
const EMPTY_PLACES_MAX: usize = 256;

/// Distinct values by their place.
#[derive(Debug)]
pub(super) struct Dictionary {
    values: Values,
    /// Where the new values are.
    new: Vec<u32>,
    /// Which of the values some row has.
    used: Vec<bool>,
    /// The page, which holds the new values as well.
    page: Bytes,
    /// Where in the page each value ends.
    ends: Vec<usize>,
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
    page: Bytes,
    /// Where in the page they stand.
    values: Vec<Range<usize>>,
    /// The rank of each value among all; equal values have ranks next to each other.
    ranks: Vec<u32>,
    /// The values by rank.
    ranked: Vec<u32>,
}

impl Dictionary {
    /// Reads a dictionary page of `count` values and adds the new ones that it lacks; `None` when it
    /// does not hold so many.
    pub(super) fn read(stored: Stored, page: Bytes, count: u32, new: &NewValues) -> Option<Self> {
        let mut ends = value_ends(stored, &page, count as usize)?;
        // New values are fewer than those that are there, so that these are looked up.
        let mut places: HashMap<&[u8], Option<u32>> = HashMap::with_capacity(new.values().len());
        places.extend(new.values().iter().map(|value| (&value[..], None)));
        let mut start = 0;
        for (place, end) in (0..).zip(&ends) {
            if places.is_empty() {
                break;
            }
            if let Some(found) = places.get_mut(&page[start..*end]) {
                found.get_or_insert(place);
            }
            start = *end;
        }
        let held = ends.last().copied().unwrap_or(0);
        let mut bytes = page.slice(..held);
        let mut added = Vec::new();
        let mut new_places = Vec::with_capacity(new.values().len());
        for value in new.values() {
            let place = places.get_mut(&value[..])?;
            let next = u32::try_from(ends.len()).ok()?;
            let place = *place.get_or_insert_with(|| {
                added.extend_from_slice(value);
                ends.push(held + added.len());
                next
            });
            new_places.push(place);
        }
        if !added.is_empty() {
            bytes = Bytes::from([&bytes[..], &added].concat());
        }
        u32::try_from(ends.len()).ok()?;
        Some(Self {
            values: match stored {
                Stored::Int32 => {
                    let values = bytes.as_chunks::<4>().0.iter();
                    Values::Int32(values.map(|bytes| i32::from_le_bytes(*bytes)).collect())
                }
                Stored::Int64 => {
                    let values = bytes.as_chunks::<8>().0.iter();
                    Values::Int64(values.map(|bytes| i64::from_le_bytes(*bytes)).collect())
                }
                Stored::Bytes => Values::Bytes(Texts::new(bytes.clone(), &ends)?),
            },
            new: new_places,
            used: vec![false; ends.len()],
            page: bytes,
            ends,
        })
    }

    /// The bytes of all values, the new ones among them.
    pub(super) fn page_bytes(&self) -> usize {
        self.page.len()
    }

    /// The place of a new value; `None` when there is none such.
    pub(super) fn place_of_new(&self, new: usize) -> Option<u32> {
        self.new.get(new).copied()
    }

    /// The bounds of the values at some places, which rows have; `None` when a place is none of the
    /// dictionary, or there are no places.
    pub(super) fn bounds_of_used(&mut self, places: &[u32]) -> Option<Bounds> {
        for place in places {
            *self.used.get_mut(*place as usize)? = true;
        }
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
                Some(Bounds::Bytes(texts.of_rank(low)?, texts.of_rank(high)?))
            }
        }
    }
}

/// What becomes of a dictionary page.
pub(super) struct DictionaryPage {
    pub(super) bytes: Vec<u8>,
    /// How many values it has.
    pub(super) count: u32,
}

impl Dictionary {
    /// The page without the values that no row has any more: what was deleted is not to be found in
    /// the new file. Their places stay, with nothing there, so that those of others stay the same.
    ///
    /// `None` when most places would be of that kind.
    pub(super) fn into_page(self, stored: Stored) -> Option<DictionaryPage> {
        let used = self.used.iter().filter(|used| **used).count();
        if self.ends.len() > EMPTY_PLACES_MAX && used < self.ends.len() / 4 {
            return None;
        }
        let nothing = vec![0; stored.width().unwrap_or(LENGTH_BYTES)];
        let mut bytes = Vec::with_capacity(self.page.len());
        let mut start = 0;
        for (used, end) in self.used.iter().zip(&self.ends) {
            match used {
                true => bytes.extend_from_slice(self.page.get(start..*end)?),
                false => bytes.extend_from_slice(&nothing),
            }
            start = *end;
        }
        let count = u32::try_from(self.ends.len()).ok()?;
        Some(DictionaryPage { bytes, count })
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
    /// `ends` says where each value ends, which begins with its length.
    fn new(page: Bytes, ends: &[usize]) -> Option<Self> {
        let starts = [0].into_iter().chain(ends.iter().copied());
        let values: Vec<Range<usize>> = starts
            .zip(ends)
            .map(|(start, end)| start + 4..*end)
            .collect();
        let mut ranked: Vec<u32> = (0..u32::try_from(values.len()).ok()?).collect();
        let value = |place: &u32| &page[values[*place as usize].clone()];
        ranked.sort_unstable_by(|one, other| value(one).cmp(value(other)));
        let mut ranks = vec![0; values.len()];
        for (rank, place) in (0..).zip(&ranked) {
            ranks[*place as usize] = rank;
        }
        Some(Self {
            page,
            values,
            ranks,
            ranked,
        })
    }

    fn of_rank(&self, rank: u32) -> Option<Vec<u8>> {
        let place = *self.ranked.get(rank as usize)?;
        let value = self.values.get(place as usize)?.clone();
        Some(self.page.get(value)?.to_vec())
    }
}
