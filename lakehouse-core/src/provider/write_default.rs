//! The value that a column gets where a new row is given none.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use iceberg::spec::NestedFieldRef;

use super::field_mapping::default_value;
use crate::error::Result;

/// The write default of a column in its read type, or NULL. Whether the column may be NULL is the
/// caller's to ask.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] for a default that cannot be the column's value.
pub fn write_default(field: &NestedFieldRef, data_type: &DataType) -> Result<ScalarValue> {
    match &field.write_default {
        Some(default) => default_value(default, &field.field_type, data_type, &field.name),
        None => Ok(ScalarValue::try_from(data_type)?),
    }
}
