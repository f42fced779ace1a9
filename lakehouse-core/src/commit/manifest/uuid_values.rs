//! UUIDs among partition values, which the format crate does not write: it is told that they are 16
//! bytes, and the manifest's header then says what they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{
    NestedField, PartitionSpec, PrimitiveType, Schema, SchemaRef, StructType, Type,
};
use serde_json::json;

use crate::error::{Error, Result};
use crate::scan::{AvroHeader, partition_fields};

/// The bytes of a UUID.
const UUID_BYTES: u64 = 16;

/// The columns and types to write a spec's partition values with where some of them are UUIDs.
pub(super) fn as_bytes(
    schema: &Schema,
    spec: &PartitionSpec,
    partition_type: &StructType,
) -> Result<Option<(SchemaRef, StructType)>> {
    if uuids(partition_type).next().is_none() {
        return Ok(None);
    }
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for field in spec.fields() {
        let Some(source) = schema.field_by_id(field.source_id) else {
            continue;
        };
        if seen.insert(source.id) {
            let kind = match source.field_type.as_ref() {
                Type::Primitive(PrimitiveType::Uuid) => {
                    Type::Primitive(PrimitiveType::Fixed(UUID_BYTES))
                }
                other => other.clone(),
            };
            // The header gets the true schema.
            let name = format!("column {}", source.id);
            columns.push(Arc::new(NestedField::optional(source.id, name, kind)));
        }
    }
    let schema = Arc::new(Schema::builder().with_fields(columns).build()?);
    let partition_type = spec.partition_type(&schema)?;
    Ok(Some((schema, partition_type)))
}

/// The ids of the partition fields that are UUIDs.
fn uuids(partition_type: &StructType) -> impl Iterator<Item = i32> {
    let fields = partition_type.fields().iter();
    let is_uuid = |kind: &Type| *kind == Type::Primitive(PrimitiveType::Uuid);
    fields
        .filter(move |field| is_uuid(&field.field_type))
        .map(|field| field.id)
}

/// A manifest that was written with [`as_bytes`], under a header with the true columns and types.
///
/// # Errors
/// When the header is not what the format crate writes.
pub(super) fn with_uuids(
    manifest: &Bytes,
    schema: &Schema,
    partition_type: &StructType,
) -> Result<Bytes> {
    let lost = || Error::internal("a manifest's header is not as it was written");
    let mut header = AvroHeader::parse(manifest).ok_or_else(lost)?;
    header.set_json("schema", &serde_json::to_value(schema)?);
    let mut rows = header.json("avro.schema").ok_or_else(lost)?;
    let fields = partition_fields(&mut rows).ok_or_else(lost)?;
    for id in uuids(partition_type) {
        let mut fields = fields.iter_mut();
        let field = fields.find(|field| field["field-id"] == json!(id));
        let kinds = field.and_then(|field| field["type"].as_array_mut());
        let kind = kinds.and_then(|kinds| kinds.iter_mut().find(|kind| kind.is_object()));
        let kind = kind
            .and_then(|kind| kind.as_object_mut())
            .ok_or_else(lost)?;
        kind.insert("logicalType".to_owned(), json!("uuid"));
        kind.insert("name".to_owned(), json!(format!("uuid_fixed_{id}")));
    }
    header.set_json("avro.schema", &rows);
    Ok(Bytes::from(header.to_bytes()))
}
