//! Defaults of times in nanoseconds, which the format crate can neither read nor write.
//!
//! They are taken out of the JSON beside it and noted in a property of ours, from where readers put
//! them into schemas. A table that has the property is never written to: its metadata would lose
//! the defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime};
use iceberg::spec::{
    ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveLiteral, PrimitiveType,
    Schema, SchemaRef, StructType, TableMetadata, Type,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The property that says which fields have such defaults: the JSON of [`NanoDefaults`]. It is made
/// when metadata is read, and is in no file.
pub(crate) const PROPERTY: &str = "lakehouse.nanosecond-defaults";

/// Such defaults of a table's schemas, by schema id.
pub(super) type NanoDefaults = BTreeMap<i32, FieldDefaults>;

/// Such defaults of one schema, by field id.
pub(super) type FieldDefaults = BTreeMap<i32, FieldDefault>;

/// What one field has, in nanoseconds since 1970.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FieldDefault {
    /// The value in files that do not have the field.
    pub(super) initial: Option<i64>,
    /// The value in rows whose writer says nothing.
    pub(super) write: Option<i64>,
}

/// The nanoseconds that the JSON form of a default says; `None` for other types, for what is no
/// time, and beyond the years 1677 to 2262.
pub(super) fn parse(text: &str, field_type: &Type) -> Option<i64> {
    match field_type {
        Type::Primitive(PrimitiveType::TimestampNs) => {
            let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
            time.and_utc().timestamp_nanos_opt()
        }
        Type::Primitive(PrimitiveType::TimestamptzNs) => DateTime::parse_from_rfc3339(text)
            .ok()?
            .timestamp_nanos_opt(),
        _ => None,
    }
}

fn noted(metadata: &TableMetadata) -> Result<NanoDefaults> {
    match metadata.properties().get(PROPERTY) {
        None => Ok(NanoDefaults::new()),
        Some(json) => serde_json::from_str(json).map_err(|error| {
            Error::corrupt(format!("table property {PROPERTY:?} is reserved")).with_source(error)
        }),
    }
}

/// A schema of the table with the defaults of its times in nanoseconds.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] when the property is not what this module writes.
pub(crate) fn with_defaults(metadata: &TableMetadata, schema: &SchemaRef) -> Result<SchemaRef> {
    let noted = noted(metadata)?;
    let Some(defaults) = noted.get(&schema.schema_id()) else {
        return Ok(Arc::clone(schema));
    };
    let fields = schema.as_struct().fields().iter();
    let schema = Schema::builder()
        .with_schema_id(schema.schema_id())
        .with_identifier_field_ids(schema.identifier_field_ids())
        .with_fields(fields.map(|field| with_default(field, defaults)))
        .build()?;
    Ok(Arc::new(schema))
}

fn with_default(field: &NestedFieldRef, defaults: &FieldDefaults) -> NestedFieldRef {
    let mut field = NestedField::clone(field);
    if let Some(default) = defaults.get(&field.id) {
        let literal = |value: i64| Literal::Primitive(PrimitiveLiteral::Long(value));
        field.initial_default = default.initial.map(literal);
        field.write_default = default.write.map(literal);
    }
    let inner = |field: &NestedFieldRef| with_default(field, defaults);
    let field_type = match field.field_type.as_ref() {
        Type::Primitive(kind) => Type::Primitive(kind.clone()),
        Type::Struct(fields) => {
            Type::Struct(StructType::new(fields.fields().iter().map(inner).collect()))
        }
        Type::List(list) => Type::List(ListType::new(inner(&list.element_field))),
        Type::Map(map) => Type::Map(MapType::new(inner(&map.key_field), inner(&map.value_field))),
    };
    *field.field_type = field_type;
    Arc::new(field)
}

/// Refuses to write to a table with such defaults.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`], with the column.
pub(super) fn refuse_write(metadata: &TableMetadata) -> Result<()> {
    let noted = noted(metadata)?;
    let found = noted.iter().find_map(|(schema, defaults)| {
        let (field, _) = defaults.first_key_value()?;
        metadata.schema_by_id(*schema)?.name_by_field_id(*field)
    });
    match found {
        None if noted.is_empty() => Ok(()),
        found => Err(Error::unsupported(format!(
            "column {:?} of the table has a default in nanoseconds, which this library does not \
             write; the table can only be read",
            found.unwrap_or_default()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_times_to_the_nanosecond() {
        let local = Type::Primitive(PrimitiveType::TimestampNs);
        let instant = Type::Primitive(PrimitiveType::TimestamptzNs);
        for (text, kind, wanted) in [
            ("1970-01-01T00:00:00", &local, Some(0)),
            ("1970-01-01T00:00:01.000000001", &local, Some(1_000_000_001)),
            ("1969-12-31T23:59:59.999999999", &local, Some(-1)),
            ("1970-01-01T00:00:00.5", &local, Some(500_000_000)),
            ("1970-01-01T00:00:00+00:00", &local, None),
            ("1969-12-31T23:59:59.999999999+00:00", &instant, Some(-1)),
            ("1970-01-01T00:00:00.000000001Z", &instant, Some(1)),
            ("1970-01-01T02:00:00+02:00", &instant, Some(0)),
            ("1970-01-01T00:00:00", &instant, None),
            ("3000-01-01T00:00:00", &local, None),
            ("yesterday", &local, None),
            (
                "1970-01-01T00:00:00",
                &Type::Primitive(PrimitiveType::Timestamp),
                None,
            ),
        ] {
            assert_eq!(parse(text, kind), wanted, "{text}");
        }
    }
}
