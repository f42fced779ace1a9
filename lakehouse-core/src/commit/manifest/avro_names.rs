//! Names of partition fields as Avro allows them.
//!
//! The format crate calls the fields of a manifest's partition tuple what the partition spec calls
//! them, also `with space`, and Avro libraries refuse the whole file for it. Readers find the
//! fields by id, so they may have other names: those that Iceberg's Java library would give them.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;

use crate::scan::{AvroHeader, partition_fields};

/// The manifest, under another header if a name in it is no Avro name.
pub(super) fn with_avro_names(manifest: Bytes) -> Bytes {
    renamed(&manifest).map_or(manifest, Bytes::from)
}

fn renamed(manifest: &[u8]) -> Option<Vec<u8>> {
    let mut header = AvroHeader::parse(manifest)?;
    let mut schema = header.json("avro.schema")?;
    let fields = partition_fields(&mut schema)?;
    let is_avro = |name: &str| avro_name(name) == name;
    if fields
        .iter()
        .all(|field| field["name"].as_str().is_none_or(is_avro))
    {
        return None;
    }
    let mut taken = BTreeSet::new();
    for field in fields {
        let mut name = avro_name(field["name"].as_str()?);
        if !taken.insert(name.clone()) {
            name = format!("{name}_{}", field["field-id"]);
            taken.insert(name.clone());
        }
        field
            .as_object_mut()?
            .insert("name".to_owned(), json!(name));
    }
    header.set_json("avro.schema", &schema);
    Some(header.to_bytes())
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

    use super::{AvroHeader, avro_name, partition_fields, with_avro_names};

    #[tokio::test]
    async fn j02_the_header_keeps_the_schema_and_the_true_names() {
        let column = NestedField::optional(1, "with space", Type::Primitive(PrimitiveType::Int));
        let schema = Schema::builder().with_fields([Arc::new(column)]);
        let schema = Arc::new(schema.build().unwrap());
        let spec = PartitionSpec::builder(Arc::clone(&schema))
            .add_partition_field("with space", "with space", Transform::Identity)
            .unwrap()
            .build()
            .unwrap();
        let memory = FileIO::new_with_memory();
        let output = memory.new_output("memory:/m.avro").unwrap();
        ManifestWriterBuilder::new(output, Some(1), Arc::clone(&schema), spec)
            .build_v2_data()
            .write_manifest_file()
            .await
            .unwrap();
        let bytes = memory.new_input("memory:/m.avro").unwrap();

        let renamed = with_avro_names(bytes.read().await.unwrap());

        let header = AvroHeader::parse(&renamed).unwrap();
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
