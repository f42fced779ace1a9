//! Defaults of columns that the format crate reads and panics on when it writes them.

use iceberg::spec::{
    Literal, NestedField, NestedFieldRef, PrimitiveLiteral, PrimitiveType, TableMetadata, Type,
};

use crate::error::{Error, Result};

const SECOND_US: i64 = 1_000_000;

/// Whether a value is such a default: a time with zone before 1970 that has a fraction of a second.
pub(crate) fn is_unwritten(kind: &PrimitiveType, value: &PrimitiveLiteral) -> bool {
    match (kind, value) {
        (PrimitiveType::Timestamptz, PrimitiveLiteral::Long(us)) => *us < 0 && us % SECOND_US != 0,
        _ => false,
    }
}

/// Refuses to write to a table with such defaults.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`], with the column.
pub(super) fn refuse_write(metadata: &TableMetadata) -> Result<()> {
    let mut schemas = metadata.schemas_iter();
    let found = schemas.find_map(|schema| unwritten(schema.as_struct().fields()));
    match found {
        None => Ok(()),
        Some(field) => Err(Error::unsupported(format!(
            "column {:?} of the table has as default a time before 1970 with a fraction of a \
             second, which this library does not write; the table can only be read",
            field.name
        ))),
    }
}

fn unwritten(fields: &[NestedFieldRef]) -> Option<&NestedField> {
    fields.iter().find_map(|field| {
        let mut defaults = [&field.initial_default, &field.write_default]
            .into_iter()
            .flatten();
        if defaults.any(|default| holds_unwritten(&field.field_type, default)) {
            return Some(field.as_ref());
        }
        match field.field_type.as_ref() {
            Type::Primitive(_) => None,
            Type::Struct(inner) => unwritten(inner.fields()),
            Type::List(list) => unwritten(std::slice::from_ref(&list.element_field)),
            Type::Map(map) => unwritten(std::slice::from_ref(&map.key_field))
                .or_else(|| unwritten(std::slice::from_ref(&map.value_field))),
        }
    })
}

fn holds_unwritten(kind: &Type, value: &Literal) -> bool {
    match (kind, value) {
        (Type::Primitive(kind), Literal::Primitive(value)) => is_unwritten(kind, value),
        (Type::Struct(kind), Literal::Struct(values)) => {
            let mut fields = kind.fields().iter().zip(values.fields());
            fields.any(|(field, value)| {
                let value = value.as_ref();
                value.is_some_and(|value| holds_unwritten(&field.field_type, value))
            })
        }
        (Type::List(kind), Literal::List(values)) => {
            let mut values = values.iter().flatten();
            values.any(|value| holds_unwritten(&kind.element_field.field_type, value))
        }
        (Type::Map(kind), Literal::Map(entries)) => entries.clone().into_iter().any(|entry| {
            holds_unwritten(&kind.key_field.field_type, &entry.0)
                || entry
                    .1
                    .is_some_and(|value| holds_unwritten(&kind.value_field.field_type, &value))
        }),
        _ => false,
    }
}
