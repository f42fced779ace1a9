//! How many bytes a call makes for its rows, at most.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;

/// The size of a result that has no end.
pub(super) const ENDLESS: u128 = u128::MAX;
/// What a value of a list takes beside itself while the list is made.
const PLACE_BYTES: u128 = 16;

/// Below this size a rough answer will do, which takes no look at each row.
const ROUGH_BYTES_MAX: u128 = 64 << 20;

/// The bytes of the results of all rows.
pub(super) type Size = fn(&Arguments) -> Result<u128>;

/// The arguments of a call, those that are the same for all rows once.
pub(super) struct Arguments {
    arguments: Vec<(ArrayRef, bool)>,
    rows: usize,
}

impl Arguments {
    pub(super) fn try_new(args: &[ColumnarValue], rows: usize) -> Result<Self> {
        let arguments = args.iter().map(|arg| match arg {
            ColumnarValue::Array(array) => Ok((Arc::clone(array), false)),
            ColumnarValue::Scalar(value) => Ok((value.to_array()?, true)),
        });
        Ok(Self {
            arguments: arguments.collect::<Result<_>>()?,
            rows,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.arguments.len()
    }

    pub(super) fn data_type(&self, argument: usize) -> Option<&DataType> {
        let (array, _) = self.arguments.get(argument)?;
        Some(array.data_type())
    }

    /// An argument that the function takes as whole numbers.
    pub(super) fn integers(&self, argument: usize) -> Result<Integers> {
        let (array, is_same) = &self.arguments[argument];
        Ok(Integers {
            values: cast(array, &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .clone(),
            is_same: *is_same,
        })
    }

    /// An argument as it came, with the place in it that a row has.
    pub(super) fn at(&self, argument: usize, row: usize) -> (&ArrayRef, usize) {
        let (array, is_same) = &self.arguments[argument];
        (array, if *is_same { 0 } else { row })
    }

    /// The text of a row, if it has one.
    fn text(&self, argument: usize, row: usize) -> Option<Cow<'_, str>> {
        let (array, place) = self.at(argument, row);
        if array.is_null(place) {
            return None;
        }
        match array.data_type() {
            DataType::Utf8 => Some(array.as_string::<i32>().value(place).into()),
            DataType::LargeUtf8 => Some(array.as_string::<i64>().value(place).into()),
            DataType::Utf8View => Some(array.as_string_view().value(place).into()),
            _ => None,
        }
    }

    /// The bytes of one value of an argument.
    fn value_bytes(&self, argument: usize, row: usize) -> Result<u128> {
        if let Some(text) = self.text(argument, row) {
            return Ok(text.len() as u128);
        }
        let (array, place) = self.at(argument, row);
        if let Some(width) = array.data_type().primitive_width() {
            return Ok(width as u128);
        }
        Ok(array.slice(place, 1).to_data().get_slice_memory_size()? as u128)
    }

    /// At least the bytes of an argument's values in all rows.
    fn rough_bytes(&self, argument: usize) -> u128 {
        let (array, is_same) = &self.arguments[argument];
        let times = if *is_same { self.rows } else { 1 };
        array.get_array_memory_size() as u128 * times as u128
    }

    /// The sum over all rows.
    pub(super) fn sum(&self, bytes: impl Fn(usize) -> Result<u128>) -> Result<u128> {
        (0..self.rows).try_fold(0_u128, |sum, row| Ok(sum.saturating_add(bytes(row)?)))
    }
}

/// Whole numbers by row.
pub(super) struct Integers {
    values: Int64Array,
    is_same: bool,
}

impl Integers {
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let place = if self.is_same { 0 } else { row };
        self.values
            .is_valid(place)
            .then(|| self.values.value(place))
    }

    /// The number that all rows have.
    fn same(&self) -> Option<u128> {
        self.is_same.then(|| self.count(0))
    }

    /// The number of a row as how often something is made.
    fn count(&self, row: usize) -> u128 {
        self.get(row)
            .map_or(0, |count| u128::from(count.max(0).unsigned_abs()))
    }
}

/// `repeat(text, count)`.
pub(super) fn repeated_text(args: &Arguments) -> Result<u128> {
    let counts = args.integers(1)?;
    if let Some(bytes) = rough(counts.same().map(|count| args.rough_bytes(0) * count)) {
        return Ok(bytes);
    }
    args.sum(|row| {
        let bytes = args.text(0, row).map_or(0, |text| text.len() as u128);
        Ok(bytes * counts.count(row))
    })
}

/// `lpad(text, length[, fill])`: characters of up to four bytes.
pub(super) fn padded(args: &Arguments) -> Result<u128> {
    let lengths = args.integers(1)?;
    let filled = lengths.same().map(|length| 4 * length * args.rows as u128);
    if let Some(bytes) = rough(filled.map(|bytes| bytes + args.rough_bytes(0))) {
        return Ok(bytes);
    }
    args.sum(|row| {
        let Some(text) = args.text(0, row) else {
            return Ok(0);
        };
        let character_bytes = match args.len() {
            2 => 1,
            _ => match args.text(2, row) {
                None => 0,
                Some(fill) if fill.is_empty() => 0,
                Some(fill) if fill.is_ascii() => 1,
                Some(_) => 4,
            },
        };
        Ok(text.len() as u128 + lengths.count(row) * character_bytes)
    })
}

/// `array_repeat(value, count)`.
pub(super) fn repeated_elements(args: &Arguments) -> Result<u128> {
    let counts = args.integers(1)?;
    args.sum(|row| match counts.count(row) {
        0 => Ok(0),
        count => Ok(count.saturating_mul(PLACE_BYTES + args.value_bytes(0, row)?)),
    })
}

/// `array_resize(list, length[, value])`.
pub(super) fn resized(args: &Arguments) -> Result<u128> {
    let lengths = args.integers(1)?;
    args.sum(|row| {
        let bytes = match args.len() {
            2 => 0,
            _ => args.value_bytes(2, row)?,
        };
        Ok(lengths.count(row).saturating_mul(PLACE_BYTES + bytes))
    })
}

/// `concat(value, …)` and `concat_ws(separator, value, …)`.
pub(super) fn joined(args: &Arguments) -> Result<u128> {
    // The first stands between all others.
    let times = |argument| if argument == 0 { args.len() as u128 } else { 1 };
    let sizes = (0..args.len()).map(|argument| args.rough_bytes(argument) * times(argument));
    if let Some(bytes) = rough(Some(sizes.sum())) {
        return Ok(bytes);
    }
    args.sum(|row| {
        (0..args.len()).try_fold(0_u128, |sum, argument| {
            Ok(sum + args.value_bytes(argument, row)? * times(argument))
        })
    })
}

/// `replace(text, from, to)`.
pub(super) fn replaced(args: &Arguments) -> Result<u128> {
    // A byte becomes a whole text at most.
    let (_, is_same) = args.arguments[2];
    let longest = is_same.then(|| args.text(2, 0).map_or(0, |to| to.len() as u128));
    if let Some(bytes) = rough(longest.map(|to| (args.rough_bytes(0) + 1) * (to + 1))) {
        return Ok(bytes);
    }
    args.sum(|row| {
        let texts = (args.text(0, row), args.text(1, row), args.text(2, row));
        let (Some(text), Some(from), Some(to)) = texts else {
            return Ok(0);
        };
        let bytes = text.len() as u128;
        if to.len() <= from.len() {
            return Ok(bytes);
        }
        let times = match from.len() {
            0 => text.len() + 1,
            _ => text.matches(from.as_ref()).count(),
        };
        Ok(bytes + times as u128 * to.len() as u128)
    })
}

/// A rough size where it is small enough to be taken.
fn rough(bytes: Option<u128>) -> Option<u128> {
    bytes.filter(|bytes| *bytes <= ROUGH_BYTES_MAX)
}
