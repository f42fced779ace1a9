//! Values of fields that a file does not have.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, MapArray, StructArray, new_empty_array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use iceberg::spec::{Literal, Map, MapType, NestedFieldRef, Type};

use super::super::values;
use super::unreadable_value;
use crate::error::{Error, Result};

/// The value of a field that a file does not have: its default, or NULL.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] for a required field without a default,
/// [`crate::error::ErrorKind::Unsupported`] for a default that cannot be the field's value.
pub(super) fn missing(
    wanted: &NestedFieldRef,
    target: &DataType,
    path: &str,
) -> Result<ScalarValue> {
    match &wanted.initial_default {
        Some(default) => value(default, &wanted.field_type, target, path),
        None if wanted.required => Err(Error::corrupt(format!(
            "the data file has no column {path:?} (field id {}), which is required and has no \
             default",
            wanted.id
        ))),
        None => Ok(ScalarValue::try_from(target)?),
    }
}

/// A default as the value of a field.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for a default that cannot be the field's value.
pub(in super::super) fn value(
    default: &Literal,
    field_type: &Type,
    target: &DataType,
    path: &str,
) -> Result<ScalarValue> {
    match (default, field_type, target) {
        (Literal::Primitive(_), Type::Primitive(_), _) => {
            values::literal_scalar(default, target).ok_or_else(|| unreadable_value("default", path))
        }
        (Literal::Struct(given), Type::Struct(wanted), DataType::Struct(targets)) => {
            struct_value(given.fields(), wanted.fields(), targets, path)
        }
        (Literal::List(given), Type::List(wanted), DataType::List(element)) => {
            list_value(given, &wanted.element_field, element, path)
        }
        (Literal::Map(given), Type::Map(wanted), DataType::Map(entries, sorted)) => {
            map_value(given, wanted, entries, *sorted, path)
        }
        _ => Err(unreadable_value("default", path)),
    }
}

/// A field that the struct's default leaves out has its own default.
fn struct_value(
    given: &[Option<Literal>],
    wanted: &[NestedFieldRef],
    targets: &Fields,
    path: &str,
) -> Result<ScalarValue> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(targets.len());
    for (index, (wanted, target)) in wanted.iter().zip(targets).enumerate() {
        let path = format!("{path}.{}", wanted.name);
        let child = match given.get(index).and_then(Option::as_ref) {
            Some(given) => value(given, &wanted.field_type, target.data_type(), &path)?,
            None => missing(wanted, target.data_type(), &path)?,
        };
        columns.push(child.to_array()?);
    }
    let array = StructArray::try_new_with_length(targets.clone(), columns, None, 1)?;
    Ok(ScalarValue::Struct(Arc::new(array)))
}

fn list_value(
    given: &[Option<Literal>],
    wanted: &NestedFieldRef,
    element: &Arc<Field>,
    path: &str,
) -> Result<ScalarValue> {
    let path = format!("{path}.element");
    let elements = items(given.iter().map(Option::as_ref), wanted, element, &path)?;
    let offsets = OffsetBuffer::from_lengths([elements.len()]);
    let array = ListArray::try_new(Arc::clone(element), offsets, elements, None)?;
    Ok(ScalarValue::List(Arc::new(array)))
}

fn map_value(
    given: &Map,
    wanted: &MapType,
    entries: &Arc<Field>,
    sorted: bool,
    path: &str,
) -> Result<ScalarValue> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err(unreadable_value("default", path));
    };
    let [key, value] = fields.as_ref() else {
        return Err(unreadable_value("default", path));
    };
    let (keys, values): (Vec<_>, Vec<_>) = given.clone().into_iter().unzip();
    let keys = items(
        keys.iter().map(Some),
        &wanted.key_field,
        key,
        &format!("{path}.key"),
    )?;
    let values = values.iter().map(Option::as_ref);
    let values = items(values, &wanted.value_field, value, &format!("{path}.value"))?;
    let offsets = OffsetBuffer::from_lengths([keys.len()]);
    let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
    let array = MapArray::try_new(Arc::clone(entries), offsets, pairs, None, sorted)?;
    Ok(ScalarValue::Map(Arc::new(array)))
}

/// The elements of a list, or the keys or values of a map.
fn items<'a>(
    given: impl Iterator<Item = Option<&'a Literal>>,
    wanted: &NestedFieldRef,
    target: &Arc<Field>,
    path: &str,
) -> Result<ArrayRef> {
    let kind = target.data_type();
    let items = given.map(|item| match item {
        Some(item) => value(item, &wanted.field_type, kind, path),
        None => Ok(ScalarValue::try_from(kind)?),
    });
    let items = items.collect::<Result<Vec<_>>>()?;
    Ok(match items.is_empty() {
        true => new_empty_array(kind),
        false => ScalarValue::iter_to_array(items)?,
    })
}
