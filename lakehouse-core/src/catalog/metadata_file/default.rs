//! Defaults of columns, which the format crate drops without a word when it cannot read them.

use iceberg::spec::{Literal, NestedField, Schema, TableMetadata, Type};
use serde_json::Value;

use crate::catalog::nano_default::{self, FieldDefault, FieldDefaults, NanoDefaults};
use crate::error::{Error, Result};

const KEYS: [&str; 2] = ["initial-default", "write-default"];

/// The defaults in the JSON of metadata that did not arrive: rows would be NULL instead.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] by name of the column, for one that is not a time in
/// nanoseconds.
pub(super) fn lost(json: &[u8], metadata: &TableMetadata) -> Result<NanoDefaults> {
    let mut lost = NanoDefaults::new();
    // Almost no table has defaults; taking the JSON apart once more is left to those that do.
    let text = String::from_utf8_lossy(json);
    if !KEYS.iter().any(|key| text.contains(key)) {
        return Ok(lost);
    }
    let value: Value = serde_json::from_slice(json)?;
    let many = value.get("schemas").and_then(Value::as_array);
    for schema in many.into_iter().flatten() {
        let id = schema.get("schema-id").and_then(Value::as_i64);
        let parsed = id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(|id| metadata.schema_by_id(id));
        if let Some(parsed) = parsed {
            let mut of_fields = FieldDefaults::new();
            check_fields(schema, parsed, &mut of_fields)?;
            if !of_fields.is_empty() {
                lost.insert(parsed.schema_id(), of_fields);
            }
        }
    }
    Ok(lost)
}

fn check_fields(owner: &Value, schema: &Schema, lost: &mut FieldDefaults) -> Result<()> {
    let fields = owner.get("fields").and_then(Value::as_array);
    for field in fields.into_iter().flatten() {
        let id = field.get("id").and_then(Value::as_i64);
        let parsed = id
            .and_then(|id| i32::try_from(id).ok())
            .and_then(|id| schema.field_by_id(id));
        if let Some(parsed) = parsed {
            let nanoseconds = |key: &str| {
                let text = field.get(key)?.as_str()?;
                nano_default::parse(text, &parsed.field_type)
            };
            let [initial, write] = KEYS.map(nanoseconds);
            if initial.is_some() || write.is_some() {
                lost.insert(parsed.id, FieldDefault { initial, write });
            }
            for (key, arrived) in KEYS.iter().zip(defaults(parsed)) {
                if nanoseconds(key).is_none()
                    && !is_whole(field.get(*key), arrived, &parsed.field_type)
                {
                    return Err(Error::unsupported(format!(
                        "column {:?} has a default of type {} ({key} {}), which this library does \
                         not read",
                        parsed.name, parsed.field_type, field[*key]
                    )));
                }
            }
        }
        if let Some(inner) = field.get("type") {
            check_type(inner, schema, lost)?;
        }
    }
    Ok(())
}

fn check_type(field_type: &Value, schema: &Schema, lost: &mut FieldDefaults) -> Result<()> {
    check_fields(field_type, schema, lost)?;
    for key in ["element", "key", "value"] {
        if let Some(inner) = field_type.get(key) {
            check_type(inner, schema, lost)?;
        }
    }
    Ok(())
}

/// Whether all of a default arrived; the format crate leaves out fields of a struct that it cannot
/// read.
fn is_whole(given: Option<&Value>, arrived: Option<&Literal>, kind: &Type) -> bool {
    let Some(given) = given.filter(|given| !given.is_null()) else {
        return true;
    };
    let list = |given: &Value, arrived: &[Option<Literal>], kind: &Type| {
        let given = given.as_array().map_or(&[][..], Vec::as_slice);
        let mut items = given.iter().zip(arrived);
        items.all(|(given, own)| is_whole(Some(given), own.as_ref(), kind))
    };
    match (arrived, kind) {
        (None, _) => false,
        (Some(Literal::Struct(arrived)), Type::Struct(kind)) => {
            let mut fields = kind.fields().iter().zip(arrived.fields());
            fields.all(|(field, own)| {
                let given = given.get(field.id.to_string());
                is_whole(given, own.as_ref(), &field.field_type)
            })
        }
        (Some(Literal::List(arrived)), Type::List(kind)) => {
            list(given, arrived, &kind.element_field.field_type)
        }
        (Some(Literal::Map(arrived)), Type::Map(kind)) => {
            let (_, values): (Vec<_>, Vec<_>) = arrived.clone().into_iter().unzip();
            list(&given["values"], &values, &kind.value_field.field_type)
        }
        (Some(_), _) => true,
    }
}

fn defaults(field: &NestedField) -> [Option<&Literal>; 2] {
    [field.initial_default.as_ref(), field.write_default.as_ref()]
}
