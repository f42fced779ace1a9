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
    use super::avro_name;

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
