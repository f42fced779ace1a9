//! From a file's arrays to a table's arrays: casts of promoted leaves and nested types rebuilt by
//! field id.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType, FieldRef, Fields};
use datafusion::common::ScalarValue;

use crate::error::{Error, Result};
use crate::table::with_one_nan;

/// How one array of a file becomes one of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Conversion {
    /// As it is.
    Same,
    /// Floats, with one NaN.
    Float,
    /// A leaf whose type was promoted since the file was written.
    Cast(DataType),
    /// A struct put together anew from children of the file and constants.
    Struct {
        /// The table's fields.
        fields: Fields,
        /// Where each of them comes from.
        children: Vec<Child>,
    },
    /// A list with converted elements.
    List {
        /// The table's element field.
        element: FieldRef,
        /// How elements become the table's.
        conversion: Box<Conversion>,
    },
    /// A map with converted keys and values.
    Map {
        /// The table's entries field.
        entries: FieldRef,
        /// The table's key and value fields.
        fields: Fields,
        /// Whether the type says that keys are sorted.
        sorted: bool,
        /// How keys become the table's.
        key: Box<Conversion>,
        /// How values become the table's.
        value: Box<Conversion>,
    },
}

/// Where one field of a struct comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Child {
    /// A child of the file's struct, by position.
    File(usize, Conversion),
    /// The file does not have it: its default, or NULL.
    Constant(ScalarValue),
}

impl Conversion {
    /// Converts an array; costs nothing for [`Self::Same`] and copies no leaf that keeps its type,
    /// but for floats with other NaN.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Corrupt`] when the file holds what its table cannot: NULL in a
    /// required field, a value out of range.
    pub(crate) fn convert(&self, array: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Same => Ok(Arc::clone(array)),
            Self::Float => Ok(with_one_nan(array)),
            Self::Cast(data_type) => Ok(with_one_nan(&cast(array, data_type)?)),
            Self::Struct { fields, children } => convert_struct(array, fields, children),
            Self::List {
                element,
                conversion,
            } => {
                let list = array
                    .as_list_opt::<i32>()
                    .ok_or_else(|| unexpected("a list", array))?;
                let values = conversion.convert(list.values())?;
                let rebuilt = ListArray::try_new(
                    Arc::clone(element),
                    list.offsets().clone(),
                    values,
                    list.nulls().cloned(),
                );
                Ok(Arc::new(rebuilt.map_err(corrupt)?))
            }
            Self::Map {
                entries,
                fields,
                sorted,
                key,
                value,
            } => {
                let map = array
                    .as_map_opt()
                    .ok_or_else(|| unexpected("a map", array))?;
                let inner = StructArray::try_new(
                    fields.clone(),
                    vec![key.convert(map.keys())?, value.convert(map.values())?],
                    map.entries().nulls().cloned(),
                )
                .map_err(corrupt)?;
                let rebuilt = MapArray::try_new(
                    Arc::clone(entries),
                    map.offsets().clone(),
                    inner,
                    map.nulls().cloned(),
                    *sorted,
                );
                Ok(Arc::new(rebuilt.map_err(corrupt)?))
            }
        }
    }
}

fn convert_struct(array: &ArrayRef, fields: &Fields, children: &[Child]) -> Result<ArrayRef> {
    let parent = array
        .as_struct_opt()
        .ok_or_else(|| unexpected("a struct", array))?;
    let mut columns = Vec::with_capacity(children.len());
    for child in children {
        columns.push(match child {
            Child::File(position, conversion) => {
                let column = parent.columns().get(*position).ok_or_else(|| {
                    Error::internal("a struct was decoded with fewer fields than its schema")
                })?;
                below(&conversion.convert(column)?, parent.nulls())?
            }
            Child::Constant(value) => {
                below(&value.to_array_of_size(parent.len())?, parent.nulls())?
            }
        });
    }
    let rebuilt = StructArray::try_new_with_length(
        fields.clone(),
        columns,
        parent.nulls().cloned(),
        parent.len(),
    );
    Ok(Arc::new(rebuilt.map_err(corrupt)?))
}

/// The values of a field, NULL where its struct is: the engine takes a field out of a struct without
/// a look at the struct's nulls, and of a required field a file has a value there.
fn below(column: &ArrayRef, parents: Option<&NullBuffer>) -> Result<ArrayRef> {
    let Some(parents) = parents.filter(|parents| parents.null_count() > 0) else {
        return Ok(Arc::clone(column));
    };
    if column.data_type() == &DataType::Null
        || column.nulls().is_some_and(|own| own.contains(parents))
    {
        return Ok(Arc::clone(column));
    }
    let Some(inner) = column.as_struct_opt() else {
        let is_below = BooleanArray::new(!parents.inner(), None);
        return nullif(column, &is_below).map_err(corrupt);
    };
    let nulls = NullBuffer::union(inner.nulls(), Some(parents));
    let columns = inner.columns().iter();
    let columns: Vec<ArrayRef> = columns
        .map(|column| below(column, nulls.as_ref()))
        .collect::<Result<_>>()?;
    let fields = inner.fields().clone();
    let rebuilt = StructArray::try_new_with_length(fields, columns, nulls, inner.len());
    Ok(Arc::new(rebuilt.map_err(corrupt)?))
}

/// A cast that fails rather than turns a value into NULL.
fn cast(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    // Bytes become text through plain text: that way is checked to be UTF-8.
    if matches!(array.data_type(), DataType::Binary) && *data_type == DataType::Utf8View {
        let text = cast_with_options(array, &DataType::Utf8, &options).map_err(corrupt)?;
        return cast_with_options(&text, data_type, &options).map_err(corrupt);
    }
    cast_with_options(array, data_type, &options).map_err(corrupt)
}

fn unexpected(expected: &str, array: &ArrayRef) -> Error {
    Error::internal(format!(
        "expected {expected} from the Parquet reader, got {}",
        array.data_type()
    ))
}

fn corrupt(error: arrow::error::ArrowError) -> Error {
    Error::corrupt("a data file holds values that its table's schema does not admit")
        .with_source(error)
}
