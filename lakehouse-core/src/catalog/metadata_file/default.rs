//! Defaults of columns, which the format crate drops without a word when it cannot read them.

use iceberg::spec::{NestedField, Schema, TableMetadata};
use serde_json::Value;

use crate::error::{Error, Result};

const KEYS: [&str; 2] = ["initial-default", "write-default"];

/// Refuses metadata whose JSON has a default that did not arrive: rows would be NULL instead.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] by name of the column.
pub(super) fn refuse_lost(json: &[u8], metadata: &TableMetadata) -> Result<()> {
    // Almost no table has defaults; taking the JSON apart once more is left to those that do.
    let text = String::from_utf8_lossy(json);
    if !KEYS.iter().any(|key| text.contains(key)) {
        return Ok(());
    }
    let value: Value = serde_json::from_slice(json)?;
    let many = value.get("schemas").and_then(Value::as_array);
    for schema in many.into_iter().flatten() {
        let id = schema.get("schema-id").and_then(Value::as_i64);
        let parsed = id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(|id| metadata.schema_by_id(id));
        if let Some(parsed) = parsed {
            check_fields(schema, parsed)?;
        }
    }
    Ok(())
}

fn check_fields(owner: &Value, schema: &Schema) -> Result<()> {
    let fields = owner.get("fields").and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        let id = field.get("id").and_then(Value::as_i64);
        let parsed = id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(|id| schema.field_by_id(id));
        if let Some(parsed) = parsed {
            for (key, arrived) in KEYS.iter().zip(defaults(parsed)) {
                let stands = field.get(*key).is_some_and(|default| !default.is_null());
                if stands && !arrived {
                    return Err(Error::unsupported(format!(
                        "column {:?} has a default of type {} ({key} {}), which this library does \
                         not read",
                        parsed.name, parsed.field_type, field[*key]
                    )));
                }
            }
        }
        if let Some(inner) = field.get("type") {
            check_type(inner, schema)?;
        }
    }
    Ok(())
}

fn check_type(field_type: &Value, schema: &Schema) -> Result<()> {
    check_fields(field_type, schema)?;
    for key in ["element", "key", "value"] {
        if let Some(inner) = field_type.get(key) {
            check_type(inner, schema)?;
        }
    }
    Ok(())
}

fn defaults(field: &NestedField) -> [bool; 2] {
    [
        field.initial_default.is_some(),
        field.write_default.is_some(),
    ]
}
