//! The types in which values of a JSON file are read, so that an `INSERT` of them loses nothing.

use std::sync::Arc;

use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, Field, FieldRef, Fields};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use crate::hex_text::is_bytes;

/// Digits of the widest decimal that are behind its point, for numbers that whole ones are taken
/// from: a fraction of fewer digits is seen, and refused.
const FRACTION_DIGITS: i8 = 56;

/// A field of a JSON file as it is read for a column: structs in the column's order, and numbers for
/// decimals and whole numbers with their digits, of which doubles would lose some.
pub(super) fn json_field(field: &Field, wanted: &DataType) -> Result<Field> {
    let data_type = match (field.data_type(), wanted) {
        (
            DataType::Int64 | DataType::Float64,
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale),
        ) => {
            // One digit more than is kept tells how to round; readers cut the others off.
            let precision = precision.saturating_add(2).min(DECIMAL256_MAX_PRECISION);
            DataType::Decimal256(precision, scale.saturating_add(1))
        }
        (DataType::Float64, wanted) if wanted.is_integer() => {
            DataType::Decimal256(DECIMAL256_MAX_PRECISION, FRACTION_DIGITS)
        }
        (DataType::Float64, wanted) if wanted.is_string() => return Err(unquoted(field)),
        (DataType::Struct(given), DataType::Struct(wanted)) => {
            let mut fields = Vec::with_capacity(wanted.len());
            for wanted in wanted {
                let found = given.iter().find(|given| given.name() == wanted.name());
                fields.push(match found {
                    Some(found) => json_part(found, wanted.data_type())?,
                    None => Field::new(wanted.name(), wanted.data_type().clone(), true),
                });
            }
            let is_known = |given: &&Arc<Field>| wanted.iter().all(|w| w.name() != given.name());
            if let Some(unknown) = given.iter().find(is_known) {
                return Err(Error::invalid(format!(
                    "the file has a field {} in column {} that the table does not have",
                    quote(unknown.name()),
                    quote(field.name())
                )));
            }
            DataType::Struct(fields.into())
        }
        (DataType::List(given), DataType::List(wanted) | DataType::LargeList(wanted)) => {
            DataType::List(Arc::new(json_part(given, wanted.data_type())?))
        }
        // A map is an object whose keys are not columns.
        (DataType::Struct(given), DataType::Map(entries, sorted)) => {
            DataType::Map(json_entries(given, entries)?, *sorted)
        }
        (given, _) => given.clone(),
    };
    Ok(Field::new(field.name(), data_type, true))
}

/// As [`json_field`], for what is inside of a column: there the reader takes digits for bytes and
/// numbers for doubles, as nothing behind it does.
fn json_part(field: &Field, wanted: &DataType) -> Result<Field> {
    let is_number = matches!(field.data_type(), DataType::Int64 | DataType::Float64);
    if field.data_type().is_string() && is_bytes(wanted) {
        return Ok(Field::new(field.name(), wanted.clone(), true));
    }
    if is_number && wanted.is_floating() {
        return Ok(Field::new(field.name(), DataType::Float64, true));
    }
    json_field(field, wanted)
}

/// The entries of a map whose keys and values are those of an object of `given` fields.
fn json_entries(given: &Fields, entries: &FieldRef) -> Result<FieldRef> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Ok(Arc::clone(entries));
    };
    let [key, value] = pair.as_ref() else {
        return Ok(Arc::clone(entries));
    };
    let read = |field: &FieldRef, given: DataType| -> Result<FieldRef> {
        let read = json_part(&Field::new(field.name(), given, true), field.data_type())?;
        Ok(Arc::new(read.with_nullable(field.is_nullable())))
    };
    let types = given.iter().map(|field| field.data_type().clone());
    let value = match types.reduce(common) {
        None | Some(DataType::Null) => Arc::clone(value),
        Some(given) => read(value, given)?,
    };
    let pair = [read(key, DataType::Utf8)?, value];
    let pair = DataType::Struct(pair.into_iter().collect());
    Ok(Arc::new(entries.as_ref().clone().with_data_type(pair)))
}

/// The type that values of two types of the file are read in; what it does not hold is refused by
/// the reader.
fn common(left: DataType, right: DataType) -> DataType {
    match (left, right) {
        (left, right) if left == right => left,
        (DataType::Null, other) | (other, DataType::Null) => other,
        (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => {
            DataType::Float64
        }
        (DataType::List(left), DataType::List(right)) => {
            let items = common(left.data_type().clone(), right.data_type().clone());
            DataType::List(Arc::new(left.as_ref().clone().with_data_type(items)))
        }
        (DataType::Struct(left), DataType::Struct(right)) => {
            let mut fields: Vec<FieldRef> = left.to_vec();
            for field in &right {
                match fields.iter_mut().find(|known| known.name() == field.name()) {
                    None => fields.push(Arc::clone(field)),
                    Some(known) => {
                        let both = common(known.data_type().clone(), field.data_type().clone());
                        *known = Arc::new(known.as_ref().clone().with_data_type(both));
                    }
                }
            }
            DataType::Struct(fields.into())
        }
        _ => DataType::Utf8,
    }
}

/// Numbers are read as doubles where they are not all whole, and are not written as they were.
fn unquoted(field: &Field) -> Error {
    Error::invalid(format!(
        "{} has numbers in the file that are not all whole ones of 64 bits, and is a VARCHAR in the \
         table, which would get other digits; write them as texts in the file, or copy them into a \
         DECIMAL",
        quote(field.name())
    ))
}
