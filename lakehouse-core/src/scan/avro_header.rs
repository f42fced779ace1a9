//! The header of an Avro file: its metadata, read and replaced without touching the rows.

use std::collections::BTreeMap;

use serde_json::Value as Json;

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// The metadata of an Avro file, and everything after it.
#[derive(Debug, Clone)]
pub(crate) struct AvroHeader<'a> {
    metadata: BTreeMap<String, Vec<u8>>,
    /// Sync marker and blocks.
    rest: &'a [u8],
}

impl<'a> AvroHeader<'a> {
    /// `None` when the bytes are not the beginning of an Avro file.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut metadata = BTreeMap::new();
        loop {
            let mut count = take_long(&mut rest)?;
            if count == 0 {
                break;
            }
            // A negative count is followed by the size of the block.
            if count < 0 {
                count = count.checked_neg()?;
                take_long(&mut rest)?;
            }
            for _ in 0..count {
                let key = String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?;
                metadata.insert(key, take_bytes(&mut rest)?.to_vec());
            }
        }
        (rest.len() >= SYNC_BYTES).then_some(Self { metadata, rest })
    }

    /// A metadata entry that holds JSON; `None` when it is missing or is none.
    pub(crate) fn json(&self, key: &str) -> Option<Json> {
        serde_json::from_slice(self.metadata.get(key)?).ok()
    }

    /// A metadata entry that holds text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.metadata.get(key)?).ok()
    }

    /// All metadata entries.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.metadata.iter()
    }

    /// Replaces a metadata entry.
    pub(crate) fn set_json(&mut self, key: &str, value: &Json) {
        self.set_text(key, &value.to_string());
    }

    /// As [`Self::set_json`], for plain text.
    pub(super) fn set_text(&mut self, key: &str, value: &str) {
        self.metadata
            .insert(key.to_owned(), value.as_bytes().to_vec());
    }

    /// The sync marker that ends each block, and the blocks.
    pub(super) fn blocks(&self) -> (&'a [u8], &'a [u8]) {
        self.rest.split_at(SYNC_BYTES)
    }

    /// The file with this header.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.to_bytes_before_blocks();
        bytes.extend_from_slice(self.blocks().1);
        bytes
    }

    /// The file with this header and without rows.
    pub(super) fn to_bytes_before_blocks(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_long(&mut bytes, self.metadata.len() as u64);
        for (key, value) in &self.metadata {
            put_long(&mut bytes, key.len() as u64);
            bytes.extend_from_slice(key.as_bytes());
            put_long(&mut bytes, value.len() as u64);
            bytes.extend_from_slice(value);
        }
        put_long(&mut bytes, 0);
        bytes.extend_from_slice(self.blocks().0);
        bytes
    }

    /// Whether the names in the rows' schema are Avro names; the decoder panics on some others.
    pub(crate) fn has_valid_names(&self) -> bool {
        self.json("avro.schema")
            .is_some_and(|schema| names_are_valid(&schema))
    }

    /// Whether the rows have a top-level field of this name.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        let schema = self.json("avro.schema").unwrap_or_default();
        schema["fields"]
            .as_array()
            .is_some_and(|fields| fields.iter().any(|field| field["name"] == name))
    }
}

/// The fields of the partition tuple in the schema of a manifest's rows.
pub(crate) fn partition_fields(schema: &mut Json) -> Option<&mut Vec<Json>> {
    let fields = schema.get_mut("fields")?.as_array_mut()?;
    let data_file = fields
        .iter_mut()
        .find(|field| field["name"] == "data_file")?;
    let fields = data_file.get_mut("type")?.get_mut("fields")?;
    let partition = fields
        .as_array_mut()?
        .iter_mut()
        .find(|field| field["name"] == "partition")?;
    partition.get_mut("type")?.get_mut("fields")?.as_array_mut()
}

fn names_are_valid(schema: &Json) -> bool {
    match schema {
        Json::Array(parts) => parts.iter().all(names_are_valid),
        Json::Object(entries) => entries.iter().all(|(key, value)| match key.as_str() {
            "name" | "namespace" => value.as_str().is_some_and(is_name),
            // Iceberg writes none, and the decoder does not check them before it uses them.
            "aliases" => value.as_array().is_some_and(|aliases| {
                aliases
                    .iter()
                    .all(|alias| alias.as_str().is_some_and(is_name))
            }),
            _ => names_are_valid(value),
        }),
        _ => true,
    }
}

/// Letters, digits and underscores, in parts with dots between.
fn is_name(name: &str) -> bool {
    name.split('.').all(|part| {
        let mut chars = part.chars();
        chars
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && chars.all(|char| char.is_ascii_alphanumeric() || char == '_')
    })
}

/// A zig-zag varint.
pub(crate) fn take_long(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
        }
    }
    None
}

/// A length and as many bytes.
pub(crate) fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_long(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// A number that is not negative, as a zig-zag varint.
pub(crate) fn put_long(bytes: &mut Vec<u8>, number: u64) {
    let mut rest = number << 1;
    loop {
        let low = rest.to_le_bytes()[0] & 0x7F;
        rest >>= 7;
        if rest == 0 {
            bytes.push(low);
            return;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(metadata: &[(&str, &str)]) -> Vec<u8> {
        let metadata = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        let rest = &[7; 20];
        AvroHeader { metadata, rest }.to_bytes()
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let long = "x".repeat(1000);
        let bytes = file(&[
            ("avro.schema", r#"{"fields":[{"name":"a"}]}"#),
            ("k", &long),
        ]);
        let mut header = AvroHeader::parse(&bytes).unwrap();
        assert_eq!(header.text("k"), Some(long.as_str()));
        assert!(header.has_field("a") && !header.has_field("b"));
        assert_eq!(header.to_bytes(), bytes);
        header.set_json("k", &serde_json::json!([1]));
        let replaced = header.to_bytes();
        let again = AvroHeader::parse(&replaced).unwrap();
        assert_eq!(again.json("k"), Some(serde_json::json!([1])));
        assert_eq!(again.rest, [7; 20]);
    }

    #[test]
    fn bytes_that_are_no_header_are_told() {
        let bytes = file(&[("k", "v")]);
        for end in 0..bytes.len() - 4 {
            assert!(AvroHeader::parse(&bytes[..end]).is_none(), "{end}");
        }
        assert!(AvroHeader::parse(b"PAR1").is_none());
        assert!(AvroHeader::parse(b"Obj\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF").is_none());
    }
}
