//! Partition values of fixed length: UUIDs and `fixed`.
//!
//! The format crate cannot write a UUID, nor two values of one length. It is told that they are
//! bytes of any length, and what it wrote gets their true types: the rows lose the lengths before
//! the values, the header says what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{
    Literal, NestedField, PartitionSpec, PrimitiveLiteral, PrimitiveType, Schema, SchemaRef,
    Struct, StructType, Type,
};
use serde_json::{Value as Json, json};

use crate::error::{Error, Result};
use crate::scan::{
    AvroHeader, RowSchema, map_rows, partition_fields, put_long, take_bytes, take_long,
};

/// The bytes of a UUID.
const UUID_BYTES: u64 = 16;
/// The highest bit of either half of a UUID; with them turned round, it compares as signed halves
/// do.
const SIGNS: u128 = 1 << 127 | 1 << 63;
/// The variant of a value that may be missing: null is the first.
const PRESENT: u64 = 1;

/// How the manifest of a spec with such values is written.
#[derive(Debug)]
pub(super) struct FixedValues {
    schema: SchemaRef,
    told_schema: SchemaRef,
    /// The partition fields by id.
    fields: BTreeMap<i32, FixedType>,
    /// The UUIDs of each of the tuple's places.
    uuids: BTreeMap<usize, Vec<u128>>,
}

#[derive(Debug, Clone, Copy)]
struct FixedType {
    size: u64,
    is_uuid: bool,
}

impl FixedType {
    fn of(kind: &Type) -> Option<Self> {
        match kind {
            Type::Primitive(PrimitiveType::Uuid) => Some(Self {
                size: UUID_BYTES,
                is_uuid: true,
            }),
            Type::Primitive(PrimitiveType::Fixed(size)) => Some(Self {
                size: *size,
                is_uuid: false,
            }),
            _ => None,
        }
    }

    /// The type in Avro, under the name that Iceberg's Java library gives it, unless another field
    /// has it.
    fn to_avro(self, field_id: i32, taken: &mut BTreeSet<String>) -> Json {
        let mut name = match self.is_uuid {
            true => "uuid_fixed".to_owned(),
            false => format!("fixed_{}", self.size),
        };
        if !taken.insert(name.clone()) {
            name = format!("{name}_{field_id}");
        }
        let mut kind = json!({"type": "fixed", "size": self.size, "name": name});
        if self.is_uuid {
            kind["logicalType"] = json!("uuid");
        }
        kind
    }
}

impl FixedValues {
    /// `None` for a spec without such values.
    pub(super) fn of(
        schema: &SchemaRef,
        spec: &PartitionSpec,
        partition_type: &StructType,
    ) -> Result<Option<Self>> {
        let fields = partition_type.fields().iter();
        let fields = fields.filter_map(|field| Some((field.id, FixedType::of(&field.field_type)?)));
        let fields: BTreeMap<_, _> = fields.collect();
        if fields.is_empty() {
            return Ok(None);
        }
        let sources: BTreeSet<i32> = spec.fields().iter().map(|field| field.source_id).collect();
        let columns = sources.into_iter().filter_map(|id| {
            let kind = match &*schema.field_by_id(id)?.field_type {
                kind if FixedType::of(kind).is_some() => Type::Primitive(PrimitiveType::Binary),
                kind => kind.clone(),
            };
            let column = NestedField::optional(id, format!("column {id}"), kind);
            Some(Arc::new(column))
        });
        let told_schema = Schema::builder()
            .with_schema_id(schema.schema_id())
            .with_fields(columns)
            .build()?;
        Ok(Some(Self {
            schema: Arc::clone(schema),
            told_schema: Arc::new(told_schema),
            fields,
            uuids: BTreeMap::new(),
        }))
    }

    /// The columns that the format crate is told of.
    pub(super) fn told_schema(&self) -> &SchemaRef {
        &self.told_schema
    }

    /// The values of a file as the format crate is told of them.
    pub(super) fn told(&mut self, values: &Struct) -> Struct {
        let values = values.fields().iter().enumerate();
        let values = values.map(|(place, value)| match value {
            Some(Literal::Primitive(PrimitiveLiteral::UInt128(uuid))) => {
                self.uuids.entry(place).or_default().push(*uuid);
                Some(Literal::binary(uuid.to_be_bytes()))
            }
            other => other.clone(),
        });
        Struct::from_iter(values)
    }

    /// Whether the least and the greatest UUIDs are the same to all readers: Java's library has
    /// compared the halves as signed numbers, and passes by manifests whose bounds say that a value
    /// is not there.
    pub(super) fn have_one_order(&self) -> bool {
        let signed = |uuid: &&u128| **uuid ^ SIGNS;
        self.uuids.values().all(|uuids| {
            uuids.iter().min() == uuids.iter().min_by_key(signed)
                && uuids.iter().max() == uuids.iter().max_by_key(signed)
        })
    }

    /// What the format crate wrote, with the true columns and values.
    ///
    /// # Errors
    /// When a value has not the length of its type, or the format crate wrote something else.
    pub(super) fn restored(&self, manifest: &[u8]) -> Result<Bytes> {
        let lost = || Error::internal("a manifest is not as it was to be written");
        let mut header = AvroHeader::parse(manifest).ok_or_else(lost)?;
        let mut rows = header.json("avro.schema").ok_or_else(lost)?;
        let mut steps = Vec::new();
        self.put_steps(&rows, &mut steps).ok_or_else(lost)?;
        let mut taken = BTreeSet::new();
        for field in partition_fields(&mut rows).ok_or_else(lost)? {
            if let Some((id, fixed)) = self.field(field) {
                field["type"] = json!(["null", fixed.to_avro(id, &mut taken)]);
            }
        }
        header.set_json("avro.schema", &rows);
        header.set_json("schema", &serde_json::to_value(&self.schema)?);
        let restored = map_rows(&header, |row, to| {
            steps.iter().try_for_each(|step| step.take(row, to))
        });
        restored.map(Bytes::from).ok_or_else(lost)
    }

    /// What is done with a row, field by field; records have nothing around their fields.
    fn put_steps(&self, record: &Json, steps: &mut Vec<Step>) -> Option<()> {
        for field in record["fields"].as_array()? {
            let kind = &field["type"];
            if field["name"] == "data_file" || field["name"] == "partition" {
                self.put_steps(kind, steps)?;
            } else if let Some((_, fixed)) = self.field(field) {
                steps.push(Step::Fixed(usize::try_from(fixed.size).ok()?));
            } else {
                steps.push(Step::Copy(RowSchema::parse(kind)?));
            }
        }
        Some(())
    }

    fn field(&self, avro: &Json) -> Option<(i32, FixedType)> {
        let id = i32::try_from(avro["field-id"].as_i64()?).ok()?;
        Some((id, *self.fields.get(&id)?))
    }
}

/// What is done with a field of a row.
#[derive(Debug)]
enum Step {
    Copy(RowSchema),
    /// Bytes of this length, which stands before them and is left out.
    Fixed(usize),
}

impl Step {
    fn take(&self, row: &mut &[u8], to: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Copy(schema) => {
                let before = *row;
                schema.skip_row(row)?;
                to.extend_from_slice(&before[..before.len() - row.len()]);
            }
            Self::Fixed(size) => {
                let variant = u64::try_from(take_long(row)?).ok()?;
                put_long(to, variant);
                if variant == PRESENT {
                    let value = take_bytes(row)?;
                    to.extend_from_slice((value.len() == *size).then_some(value)?);
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
