//! Defaults of columns as SQL writes them.

use iceberg::spec::{NestedField, PrimitiveType, Type};
use lakehouse_core::error::Result;
use lakehouse_core::table::default_json;

/// The value that rows get that are written without one, as SQL writes it.
///
/// # Errors
/// When the default is no value of its column.
pub(crate) fn default_text(field: &NestedField) -> Result<Option<String>> {
    let Some(default) = &field.write_default else {
        return Ok(None);
    };
    let kind = field.field_type.as_ref();
    let json = default_json(default, kind)?;
    Ok(Some(match (kind, json.as_str()) {
        (Type::Primitive(PrimitiveType::Decimal { .. }), Some(digits)) => digits.to_owned(),
        (Type::Primitive(PrimitiveType::Binary | PrimitiveType::Fixed(_)), Some(hex)) => {
            format!("X{}", literal(hex))
        }
        (_, Some(text)) => literal(text),
        (_, None) => json.to_string(),
    }))
}

/// A text in quotes.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
