//! Types that the format has and the format crate does not: kept apart, so that the rest is read.
//!
//! The format crate refuses a whole table for one column of such a type. So each is replaced by a
//! type that it knows before it parses, and what stood there is written into a property of ours. A
//! table that has the property is never written to: its metadata would lose the types.

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;
use serde_json::Value;

use super::{nano_default, unwritten_default, void_partition};
use crate::error::{Error, Result};

/// The property that says which fields have a type of this kind: a JSON object from field ids to
/// types. It is made when metadata is read, and is in no file.
pub(crate) const PROPERTY: &str = "lakehouse.foreign-types";

/// The type without values: every row is NULL, and no file holds the column.
pub(crate) const UNKNOWN: &str = "unknown";

/// The types, with what stands for them. Nothing is read of any but [`UNKNOWN`].
const STAND_INS: [(&str, &str); 4] = [
    (UNKNOWN, "string"),
    ("variant", "binary"),
    ("geometry", "binary"),
    ("geography", "binary"),
];

/// Replaces such types in table metadata and notes them in [`PROPERTY`]; false when there are none.
pub(super) fn replace_in_metadata(metadata: &mut Value) -> bool {
    let mut found = BTreeMap::new();
    let Some(object) = metadata.as_object_mut() else {
        return false;
    };
    if let Some(schema) = object.get_mut("schema") {
        replace_in_fields(schema, &mut found);
    }
    if let Some(schemas) = object.get_mut("schemas").and_then(Value::as_array_mut) {
        for schema in schemas {
            replace_in_fields(schema, &mut found);
        }
    }
    if found.is_empty() {
        return false;
    }
    let types: serde_json::Map<String, Value> = found
        .into_iter()
        .map(|(id, name)| (id.to_string(), Value::from(name)))
        .collect();
    let properties = object
        .entry("properties")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        let types = Value::Object(types).to_string();
        properties.insert(PROPERTY.to_owned(), Value::from(types));
    }
    true
}

/// Replaces such types in a schema alone, as manifests have it.
pub(crate) fn replace_in_schema(schema: &mut Value) {
    replace_in_fields(schema, &mut BTreeMap::new());
}

fn replace_in_fields(owner: &mut Value, found: &mut BTreeMap<i64, String>) {
    let fields = owner.get_mut("fields").and_then(Value::as_array_mut);
    for field in fields.into_iter().flatten() {
        let id = field.get("id").and_then(Value::as_i64);
        if let (Some(id), Some(field_type)) = (id, field.get_mut("type")) {
            replace(field_type, id, found);
        }
    }
}

// The parser bounds the depth of JSON, and with it this recursion.
fn replace(field_type: &mut Value, id: i64, found: &mut BTreeMap<i64, String>) {
    if let Value::String(name) = field_type {
        let base = name.split('(').next().unwrap_or_default().trim();
        if let Some((_, stand_in)) = STAND_INS.iter().find(|(foreign, _)| *foreign == base) {
            found.insert(id, name.clone());
            *field_type = Value::from(*stand_in);
        }
        return;
    }
    replace_in_fields(field_type, found);
    for (id_key, type_key) in [
        ("element-id", "element"),
        ("key-id", "key"),
        ("value-id", "value"),
    ] {
        let id = field_type.get(id_key).and_then(Value::as_i64);
        if let (Some(id), Some(inner)) = (id, field_type.get_mut(type_key)) {
            replace(inner, id, found);
        }
    }
}

/// The types that were replaced, by field id.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] when the property is not what this module writes.
pub(crate) fn foreign_types(metadata: &TableMetadata) -> Result<BTreeMap<i32, String>> {
    match metadata.properties().get(PROPERTY) {
        None => Ok(BTreeMap::new()),
        Some(json) => serde_json::from_str(json).map_err(|error| {
            Error::corrupt(format!("table property {PROPERTY:?} is reserved")).with_source(error)
        }),
    }
}

/// Refuses to write to a table with such types, or with defaults or a partitioning that cannot be
/// written.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`], with the types.
pub(crate) fn refuse_write(metadata: &TableMetadata) -> Result<()> {
    let types = foreign_types(metadata)?;
    if types.is_empty() {
        nano_default::refuse_write(metadata)?;
        void_partition::refuse_write(metadata)?;
        return unwritten_default::refuse_write(metadata);
    }
    let mut names: Vec<String> = types.into_values().collect();
    names.sort_unstable();
    names.dedup();
    Err(Error::unsupported(format!(
        "the table has columns of type {}, which this library does not write; it can only be read",
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_replaced_at_every_level() {
        let mut metadata = json!({"schemas": [{"fields": [
            {"id": 1, "name": "a", "type": "geometry(srid:4326)"},
            {"id": 2, "name": "b", "type": {"type": "list", "element-id": 3, "element":
                {"type": "struct", "fields": [{"id": 4, "name": "c", "type": "variant"}]}}},
            {"id": 5, "name": "d", "type": {"type": "map", "key-id": 6, "key": "string",
                "value-id": 7, "value": "unknown"}}
        ]}]});
        assert!(replace_in_metadata(&mut metadata));
        let fields = &metadata["schemas"][0]["fields"];
        assert_eq!(fields[0]["type"], "binary");
        assert_eq!(fields[1]["type"]["element"]["fields"][0]["type"], "binary");
        assert_eq!(fields[2]["type"]["value"], "string");
        let noted = metadata["properties"][PROPERTY].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(noted).unwrap(),
            json!({"1": "geometry(srid:4326)", "4": "variant", "7": "unknown"})
        );
        let mut plain = json!({"schemas": [{"fields": [{"id": 1, "type": "string"}]}]});
        assert!(!replace_in_metadata(&mut plain));
    }
}
