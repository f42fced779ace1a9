//! Making rows exactly the types a table stores, without losing anything, or refusing them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef,
    Time64MicrosecondType, TimeUnit,
};
use arrow::util::display::array_value_to_string;

use crate::error::{Error, ErrorKind, Result};
use crate::table::calendar::DAY_US;

/// Turns batches into the types of [`crate::table::write_schema`], or types that Parquet encodes to
/// the same bytes.
#[derive(Debug)]
pub(super) struct Conformer {
    stored: SchemaRef,
    /// The schema of the last batch that came out: most batches of a stream look the same.
    last: Option<SchemaRef>,
}

impl Conformer {
    /// For rows of a table whose stored schema is `stored`.
    pub(super) fn new(stored: SchemaRef) -> Self {
        Self { stored, last: None }
    }

    /// The rows in stored form; columns are taken by position, nested fields by name and position.
    ///
    /// `rows_before` is how many rows came before these, where an error is to say the row's number.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for other columns, for types that do not convert, for values that
    /// would change, and for NULL in a required column: by column and value.
    pub(super) fn conform(
        &mut self,
        batch: &RecordBatch,
        rows_before: Option<u64>,
    ) -> Result<RecordBatch> {
        let refused = match self.convert(batch) {
            Err(error) if error.kind() == ErrorKind::InvalidInput => error,
            outcome => return outcome,
        };
        match rows_before {
            Some(before) => Err(self.at_row(batch, before, refused)),
            None => Err(refused),
        }
    }

    fn convert(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let fields = self.stored.fields();
        if fields.len() != batch.num_columns() {
            return Err(Error::invalid(format!(
                "the rows have {} columns, the table has {}: {}",
                batch.num_columns(),
                fields.len(),
                names(fields)
            )));
        }
        let columns = fields.iter().zip(batch.columns()).map(|(field, column)| {
            let column = convert(column, field, field.name(), Place::TopLevel)?;
            check_required(&column, field, field.name(), None)?;
            Ok(column)
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let schema = self.schema_of(&columns);
        Ok(RecordBatch::try_new(schema, columns)?)
    }

    /// The error of the first row that is refused, with its number; `refused` itself where it is
    /// not about a row.
    fn at_row(&mut self, batch: &RecordBatch, before: u64, refused: Error) -> Error {
        // So many first rows are taken, and so many are not.
        let (mut taken, mut not) = (0, batch.num_rows());
        if self.convert(&batch.slice(0, 0)).is_err() {
            return refused;
        }
        while taken + 1 < not {
            let middle = taken.midpoint(not);
            match self.convert(&batch.slice(0, middle)) {
                Ok(_) => taken = middle,
                Err(_) => not = middle,
            }
        }
        let row = batch.slice(taken, 1);
        let error = self.convert(&row).err().unwrap_or(refused);
        error.with_context("row", before + not as u64)
    }

    fn schema_of(&mut self, columns: &[ArrayRef]) -> SchemaRef {
        if let Some(last) = &self.last {
            let mut pairs = last.fields().iter().zip(columns);
            if pairs.all(|(field, column)| field.data_type() == column.data_type()) {
                return Arc::clone(last);
            }
        }
        let fields: Fields = self
            .stored
            .fields()
            .iter()
            .zip(columns)
            .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
            .collect();
        let schema = Arc::new(ArrowSchema::new(fields));
        self.last = Some(Arc::clone(&schema));
        schema
    }
}

/// Where a value stands: top-level columns may keep a form that Parquet encodes alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    TopLevel,
    Nested,
}

fn names(fields: &Fields) -> String {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names.join(", ")
}

fn check_required(
    array: &ArrayRef,
    field: &Field,
    path: &str,
    parents: Option<&NullBuffer>,
) -> Result<()> {
    if field.is_nullable() {
        return Ok(());
    }
    let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else {
        return Ok(());
    };
    // Below a NULL there is no value that could be missing.
    let missing = (0..nulls.len())
        .any(|row| nulls.is_null(row) && parents.is_none_or(|parents| parents.is_valid(row)));
    if missing {
        return Err(Error::invalid(format!(
            "column {path:?} is required and must not be NULL"
        )));
    }
    Ok(())
}

fn convert(array: &ArrayRef, target: &Field, path: &str, place: Place) -> Result<ArrayRef> {
    if array.data_type() == &DataType::Null {
        return Ok(new_null_array(target.data_type(), array.len()));
    }
    match target.data_type() {
        DataType::Struct(fields) => convert_struct(array, fields, path),
        DataType::List(element) => convert_list(array, element, path),
        DataType::Map(entries, sorted) => convert_map(array, entries, *sorted, path),
        leaf => {
            let converted = convert_leaf(array, leaf, path, place)?;
            check_values(&converted, leaf, path)?;
            Ok(converted)
        }
    }
}

fn mismatch(array: &ArrayRef, target: &DataType, path: &str) -> Error {
    Error::invalid(format!(
        "column {path:?} has type {}, the table stores {target}; cast it first",
        array.data_type()
    ))
}

fn convert_struct(array: &ArrayRef, fields: &Fields, path: &str) -> Result<ArrayRef> {
    let (Some(given), DataType::Struct(given_fields)) = (array.as_struct_opt(), array.data_type())
    else {
        return Err(Error::invalid(format!(
            "column {path:?} has type {}, the table stores a struct of {}",
            array.data_type(),
            names(fields)
        )));
    };
    let same_names = given_fields.len() == fields.len()
        && given_fields
            .iter()
            .zip(fields)
            .all(|(given, field)| given.name().eq_ignore_ascii_case(field.name()));
    if !same_names {
        return Err(Error::invalid(format!(
            "column {path:?} has the fields {}, the table stores {} in this order",
            names(given_fields),
            names(fields)
        )));
    }
    let children = fields.iter().zip(given.columns()).map(|(field, child)| {
        let path = format!("{path}.{}", field.name());
        let child = convert(child, field, &path, Place::Nested)?;
        check_required(&child, field, &path, given.nulls())?;
        Ok(child)
    });
    let children: Vec<ArrayRef> = children.collect::<Result<_>>()?;
    let nulls = given.nulls().cloned();
    Ok(Arc::new(StructArray::try_new_with_length(
        fields.clone(),
        children,
        nulls,
        given.len(),
    )?))
}

fn convert_list(array: &ArrayRef, element: &FieldRef, path: &str) -> Result<ArrayRef> {
    let plain = match array.data_type() {
        DataType::List(_) => Arc::clone(array),
        DataType::LargeList(given)
        | DataType::FixedSizeList(given, _)
        | DataType::ListView(given)
        | DataType::LargeListView(given) => cast(array, &DataType::List(Arc::clone(given)))?,
        _ => return Err(mismatch(array, &DataType::List(Arc::clone(element)), path)),
    };
    let list = plain.as_list::<i32>();
    let (offsets, range) = from_zero(list.offsets());
    let path = format!("{path}.element");
    let values = list.values().slice(range.0, range.1);
    let values = convert(&values, element, &path, Place::Nested)?;
    check_required(&values, element, &path, None)?;
    let nulls = list.nulls().cloned();
    Ok(Arc::new(ListArray::try_new(
        Arc::clone(element),
        offsets,
        values,
        nulls,
    )?))
}

fn convert_map(array: &ArrayRef, entries: &FieldRef, sorted: bool, path: &str) -> Result<ArrayRef> {
    let target = || DataType::Map(Arc::clone(entries), sorted);
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(Error::internal("a map must have entries"));
    };
    let (Some(map), [key, value]) = (array.as_map_opt(), fields.as_ref()) else {
        return Err(mismatch(array, &target(), path));
    };
    let (offsets, (start, length)) = from_zero(map.offsets());
    let mut columns = Vec::with_capacity(2);
    for (field, given) in [(key, map.keys()), (value, map.values())] {
        let path = format!("{path}.{}", field.name());
        let given = given.slice(start, length);
        let column = convert(&given, field, &path, Place::Nested)?;
        check_required(&column, field, &path, None)?;
        columns.push(column);
    }
    let pairs = StructArray::try_new(fields.clone(), columns, None)?;
    let nulls = map.nulls().cloned();
    Ok(Arc::new(MapArray::try_new(
        Arc::clone(entries),
        offsets,
        pairs,
        nulls,
        sorted,
    )?))
}

/// Offsets that begin at zero, and start and length of the values they are about.
fn from_zero(offsets: &OffsetBuffer<i32>) -> (OffsetBuffer<i32>, (usize, usize)) {
    let first = offsets.first().copied().unwrap_or_default();
    let last = offsets.last().copied().unwrap_or_default();
    // Offsets are never negative.
    let range = (first as usize, (last - first) as usize);
    if first == 0 {
        return (offsets.clone(), range);
    }
    let moved: ScalarBuffer<i32> = offsets.iter().map(|offset| offset - first).collect();
    (OffsetBuffer::new(moved), range)
}

fn convert_leaf(array: &ArrayRef, target: &DataType, path: &str, place: Place) -> Result<ArrayRef> {
    let given = array.data_type();
    if given == target || (place == Place::TopLevel && encodes_alike(given, target)) {
        return Ok(Arc::clone(array));
    }
    match given {
        DataType::Dictionary(_, value) => {
            return convert_leaf(&cast(array, value)?, target, path, place);
        }
        DataType::RunEndEncoded(_, value) => {
            return convert_leaf(&cast(array, value.data_type())?, target, path, place);
        }
        _ => {}
    }
    if !may_convert(given, target) {
        return Err(mismatch(array, target, path));
    }
    match (given, target) {
        // Wider floats and another name of the same zone hold every value.
        (DataType::Float16 | DataType::Float32, _) => Ok(cast(array, target)?),
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) if from == to => {
            Ok(cast(array, target)?)
        }
        (DataType::BinaryView | DataType::LargeBinary, DataType::FixedSizeBinary(_)) => {
            let plain = cast(array, &DataType::Binary)?;
            lossless(&plain, target, path)
        }
        _ => lossless(array, target, path),
    }
}

/// Whether Parquet encodes a top-level column of `given` to the bytes of `stored`.
fn encodes_alike(given: &DataType, stored: &DataType) -> bool {
    use DataType as D;
    match (given, stored) {
        (D::LargeUtf8 | D::Utf8View, D::Utf8) | (D::Binary | D::BinaryView, D::LargeBinary) => true,
        (D::Dictionary(_, value), D::Utf8) => matches!(**value, D::Utf8 | D::LargeUtf8),
        (D::Dictionary(_, value), D::LargeBinary) => {
            matches!(**value, D::Binary | D::LargeBinary)
        }
        _ => false,
    }
}

/// Whether values of `given` may be stored as `target`, as far as each value allows it.
fn may_convert(given: &DataType, target: &DataType) -> bool {
    use DataType as D;
    match target {
        D::Int32 | D::Int64 => given.is_integer(),
        D::Float32 => matches!(given, D::Float16),
        D::Float64 => matches!(given, D::Float16 | D::Float32),
        D::Decimal128(_, _) => given.is_integer() || given.is_decimal(),
        D::Date32 => matches!(given, D::Date64),
        D::Time64(TimeUnit::Microsecond) => matches!(given, D::Time32(_) | D::Time64(_)),
        // A time without zone is not an instant, nor the other way round.
        D::Timestamp(_, zone) => {
            matches!(given, D::Timestamp(_, other) if other.is_some() == zone.is_some())
        }
        D::Utf8 => matches!(given, D::LargeUtf8 | D::Utf8View),
        D::LargeBinary => {
            matches!(given, D::Binary | D::BinaryView | D::FixedSizeBinary(_))
        }
        D::FixedSizeBinary(_) => matches!(given, D::Binary | D::BinaryView | D::LargeBinary),
        _ => false,
    }
}

/// Casts, and casts back to see that no value changed.
fn lossless(array: &ArrayRef, target: &DataType, path: &str) -> Result<ArrayRef> {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let refused = |row: usize| {
        let value = array_value_to_string(array, row).unwrap_or_else(|_| "?".to_owned());
        Error::invalid(format!(
            "value {value} of column {path:?} cannot be stored as {target} without a change"
        ))
    };
    let converted = cast_with_options(array, target, &options)
        .map_err(|error| mismatch(array, target, path).with_source(error))?;
    let back = cast_with_options(&converted, array.data_type(), &options)?;
    let changed = distinct(&back, array)?;
    match changed.values().set_indices().next() {
        Some(row) => Err(refused(row)),
        None => Ok(converted),
    }
}

/// Values an Arrow array may hold although its type says that it cannot.
fn check_values(array: &ArrayRef, stored: &DataType, path: &str) -> Result<()> {
    match stored {
        DataType::Decimal128(precision, _) => {
            let values = array.as_primitive::<Decimal128Type>();
            values
                .validate_decimal_precision(*precision)
                .map_err(|error| {
                    Error::invalid(format!(
                        "a value of column {path:?} is too large for {stored}"
                    ))
                    .with_source(error)
                })
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            let values = array.as_primitive::<Time64MicrosecondType>();
            match values.iter().flatten().find(|us| !(0..DAY_US).contains(us)) {
                Some(us) => Err(Error::invalid(format!(
                    "a value of column {path:?} is no time of day: {us} microseconds"
                ))),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
