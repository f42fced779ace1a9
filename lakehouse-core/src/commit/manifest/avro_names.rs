//! Names of partition fields and of their types as Avro allows them.
//!
//! The format crate calls the fields of a manifest's partition tuple what the partition spec calls
//! them, also `with space`, and tells the type of decimals of one precision and scale, which has a
//! name, for each field anew. Avro libraries refuse the whole file for either. Readers find the
//! fields by id, so they may have other names: those that Iceberg's Java library would give them.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Value as Json, json};

use crate::scan::{AvroHeader, partition_fields};

/// The manifest, under another header if a name in it is no Avro name.
pub(super) fn with_avro_names(manifest: Bytes) -> Bytes {
    renamed(&manifest).map_or(manifest, Bytes::from)
}

fn renamed(manifest: &[u8]) -> Option<Vec<u8>> {
    let mut header = AvroHeader::parse(manifest)?;
    let mut schema = header.json("avro.schema")?;
    let mut names = BTreeSet::new();
    let mut types = BTreeSet::new();
    let mut is_other = false;
    for field in partition_fields(&mut schema)? {
        let id = field["field-id"].clone();
        let field_type = fixed_type(&mut field["type"]).and_then(|kind| kind.get_mut("name"));
        if let Some(name) = field_type {
            is_other |= put_free_name(name, str::to_owned, &id, &mut types)?;
        }
        is_other |= put_free_name(field.get_mut("name")?, avro_name, &id, &mut names)?;
    }
    if !is_other {
        return None;
    }
    header.set_json("avro.schema", &schema);
    Some(header.to_bytes())
}

/// The type of fixed length that a field of a partition tuple may have, if it is told there.
fn fixed_type(kind: &mut Json) -> Option<&mut Json> {
    let mut variants = kind.as_array_mut()?.iter_mut();
    variants.find(|variant| variant["type"] == "fixed")
}

/// Gives something the name that `allowed` makes of its own, with its field's id if it is taken;
/// tells whether that is another one.
fn put_free_name(
    name: &mut Json,
    allowed: impl Fn(&str) -> String,
    id: &Json,
    taken: &mut BTreeSet<String>,
) -> Option<bool> {
    let own = name.as_str()?.to_owned();
    let mut free = allowed(&own);
    if !taken.insert(free.clone()) {
        free = format!("{free}_{id}");
        taken.insert(free.clone());
    }
    let is_other = free != own;
    *name = json!(free);
    Some(is_other)
}

/// `with_x20space` of `with space`, `_1st` of `1st`: a character beyond ASCII letters, digits and
/// underscores is its UTF-16 units in hexadecimal.
fn avro_name(name: &str) -> String {
    let mut made = String::with_capacity(name.len());
    for (at, char) in name.chars().enumerate() {
        match char {
            'a'..='z' | 'A'..='Z' | '_' => made.push(char),
            '0'..='9' if at > 0 => made.push(char),
            '0'..='9' => made.extend(['_', char]),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    made.push_str(&format!("_x{unit:X}"));
                }
            }
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::io::FileIO;
    use iceberg::spec::{
        ManifestWriterBuilder, NestedField, PartitionSpec, PrimitiveType, Schema, Transform, Type,
    };

    use super::{AvroHeader, Bytes, avro_name, partition_fields, with_avro_names};

    /// A manifest without files of a table that is partitioned by its columns as they are.
    async fn renamed(columns: &[(&str, PrimitiveType)]) -> (Arc<Schema>, Bytes) {
        let fields = columns.iter().zip(1..).map(|((name, kind), id)| {
            let kind = Type::Primitive(kind.clone());
            Arc::new(NestedField::optional(id, *name, kind))
        });
        let schema = Schema::builder().with_fields(fields).build();
        let schema = Arc::new(schema.unwrap());
        let mut spec = PartitionSpec::builder(Arc::clone(&schema));
        for (name, _) in columns {
            let field = spec.add_partition_field(*name, *name, Transform::Identity);
            spec = field.unwrap();
        }
        let memory = FileIO::new_with_memory();
        let output = memory.new_output("memory:/m.avro").unwrap();
        let spec = spec.build().unwrap();
        ManifestWriterBuilder::new(output, Some(1), Arc::clone(&schema), spec)
            .build_v2_data()
            .write_manifest_file()
            .await
            .unwrap();
        let bytes = memory.new_input("memory:/m.avro").unwrap();
        (schema, with_avro_names(bytes.read().await.unwrap()))
    }

    #[tokio::test]
    async fn j02_the_header_keeps_the_schema_and_the_true_names() {
        let (schema, manifest) = renamed(&[("with space", PrimitiveType::Int)]).await;

        let header = AvroHeader::parse(&manifest).unwrap();
        let found: Schema = serde_json::from_value(header.json("schema").unwrap()).unwrap();
        assert_eq!(&found, schema.as_ref());
        assert_eq!(
            header.json("partition-spec").unwrap()[0]["name"],
            "with space"
        );
        let mut rows = header.json("avro.schema").unwrap();
        let fields = partition_fields(&mut rows).unwrap();
        assert_eq!(fields[0]["name"], "with_x20space");
        assert_eq!(fields[0]["field-id"], 1000);
    }

    /// Avro libraries take a name that is told twice for a damaged file.
    #[tokio::test]
    async fn types_of_one_length_have_names_of_their_own() {
        let kind = |precision, scale| PrimitiveType::Decimal { precision, scale };
        let columns = [("a", kind(9, 2)), ("b", kind(9, 2)), ("c", kind(9, 3))];
        let (_, manifest) = renamed(&columns).await;

        let header = AvroHeader::parse(&manifest).unwrap();
        let mut rows = header.json("avro.schema").unwrap();
        let fields = partition_fields(&mut rows).unwrap().iter();
        let names: Vec<_> = fields
            .map(|field| field["type"][1]["name"].clone())
            .collect();
        assert_eq!(names, ["decimal_9_2", "decimal_9_2_1001", "decimal_9_3"]);
    }

    #[test]
    fn names_are_those_of_the_java_library() {
        for (name, expected) in [
            ("plain_1", "plain_1"),
            ("with space", "with_x20space"),
            ("1st", "_1st"),
            ("dot.ted", "dot_x2Eted"),
            ("größe", "gr_xF6_xDFe"),
            ("🦀", "_xD83E_xDD80"),
        ] {
            assert_eq!(avro_name(name), expected);
        }
    }
}
