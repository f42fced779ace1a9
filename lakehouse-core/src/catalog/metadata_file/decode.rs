//! From the bytes of a metadata file to metadata, or to the reason why not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use iceberg::spec::TableMetadata;
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// What a compressed file may unfold to: a small one could otherwise fill the memory.
const JSON_BYTES_MAX: u64 = 1 << 30;
/// The largest file whose fault is looked for: taken apart, JSON needs many times its size.
const EXPLAINED_BYTES_MAX: usize = 64 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const FORMAT_VERSION_MAX: u64 = 3;
/// Types of the Iceberg specification that the format crate does not know.
const TYPES_UNKNOWN: [&str; 4] = ["variant", "geometry", "geography", "unknown"];

/// The metadata in a plain or gzip file, told apart by its first bytes, and its JSON.
pub(super) fn decode(bytes: &[u8]) -> Result<(TableMetadata, Cow<'_, [u8]>)> {
    let json = if bytes.starts_with(&GZIP_MAGIC) {
        Cow::Owned(decompress(bytes, JSON_BYTES_MAX)?)
    } else {
        Cow::Borrowed(bytes)
    };
    Ok((parse(&json)?, json))
}

fn decompress(bytes: &[u8], bytes_max: u64) -> Result<Vec<u8>> {
    let mut json = Vec::new();
    // One byte more than allowed tells a file that is too large from one that just fits.
    MultiGzDecoder::new(bytes)
        .take(bytes_max + 1)
        .read_to_end(&mut json)
        .map_err(|error| {
            Error::corrupt("the compressed metadata file is truncated or damaged; restore it")
                .with_source(error)
        })?;
    if json.len() as u64 > bytes_max {
        return Err(Error::new(
            ErrorKind::ResourcesExhausted,
            format!("the compressed metadata file unfolds to more than {bytes_max} bytes"),
        ));
    }
    Ok(json)
}

pub(super) fn compress(json: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json)?;
    Ok(encoder.finish()?)
}

/// Whether `write.metadata.compression-codec` asks for gzip.
pub(super) fn is_gzip_asked(properties: &HashMap<String, String>) -> Result<bool> {
    const KEY: &str = "write.metadata.compression-codec";
    match properties.get(KEY).map(|codec| codec.trim().to_lowercase()) {
        None => Ok(false),
        Some(codec) if codec == "none" || codec.is_empty() => Ok(false),
        Some(codec) if codec == "gzip" => Ok(true),
        Some(codec) => Err(Error::invalid(format!(
            "table property {KEY:?} must be \"none\" or \"gzip\", it is {codec:?}"
        ))),
    }
}

fn parse(json: &[u8]) -> Result<TableMetadata> {
    let metadata = super::json::from_slice(json).map_err(|error| explain(json, error))?;
    refuse_encryption(&metadata)?;
    Ok(metadata)
}

fn refuse_encryption(metadata: &TableMetadata) -> Result<()> {
    let is_encrypted = metadata.properties().contains_key("encryption.key-id")
        || metadata.encryption_keys_iter().next().is_some()
        || metadata
            .snapshots()
            .any(|snapshot| snapshot.encryption_key_id().is_some());
    if is_encrypted {
        return Err(Error::unsupported(
            "the table is encrypted, which this library does not offer",
        ));
    }
    Ok(())
}

/// Why the format crate did not take a file; it says only that nothing matched.
fn explain(json: &[u8], error: serde_json::Error) -> Error {
    if json.len() > EXPLAINED_BYTES_MAX {
        return Error::corrupt(
            "the metadata file is truncated, not JSON or no Iceberg table metadata; restore it",
        )
        .with_source(error);
    }
    let Ok(value) = serde_json::from_slice::<Value>(json) else {
        let what = if json.is_empty() {
            "is empty"
        } else {
            "is truncated or not JSON"
        };
        return Error::corrupt(format!("the metadata file {what}; restore it")).with_source(error);
    };
    let version = value.get("format-version").and_then(Value::as_u64);
    let Some(version) = version else {
        return Error::corrupt(
            "the file is JSON but no Iceberg table metadata: it has no \"format-version\"",
        );
    };
    if version > FORMAT_VERSION_MAX {
        return Error::unsupported(format!(
            "the table has Iceberg format version {version}; \
             versions 1 to {FORMAT_VERSION_MAX} are offered"
        ));
    }
    if let Some(unknown) = unknown_type(&value) {
        return Error::unsupported(format!(
            "the table has a column of type {unknown}, which this library does not offer"
        ));
    }
    Error::corrupt("the file is no valid Iceberg table metadata; restore it").with_source(error)
}

/// The first type in the schemas that the format crate does not know.
fn unknown_type(metadata: &Value) -> Option<String> {
    let many = metadata.get("schemas").and_then(Value::as_array);
    let one = metadata.get("schema");
    many.into_iter()
        .flatten()
        .chain(one)
        .filter_map(|schema| schema.get("fields")?.as_array())
        .flatten()
        .find_map(|field| unknown_in(field.get("type")?))
}

fn unknown_in(field_type: &Value) -> Option<String> {
    match field_type {
        Value::String(name) => {
            let base = name.split('(').next().unwrap_or_default().trim();
            TYPES_UNKNOWN.contains(&base).then(|| name.clone())
        }
        // The parser bounds the depth of JSON, and with it this recursion.
        Value::Object(nested) => {
            let fields = nested.get("fields").and_then(Value::as_array);
            fields
                .into_iter()
                .flatten()
                .filter_map(|field| field.get("type"))
                .chain(
                    ["element", "key", "value"]
                        .iter()
                        .filter_map(|key| nested.get(*key)),
                )
                .find_map(unknown_in)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata() -> Value {
        json!({
            "format-version": 2,
            "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": "/t",
            "last-sequence-number": 0,
            "last-updated-ms": 1,
            "last-column-id": 1,
            "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "long"}
            ]}],
            "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}],
            "last-partition-id": 999,
            "default-sort-order-id": 0,
            "sort-orders": [{"order-id": 0, "fields": []}]
        })
    }

    fn kind_and_text(value: &Value) -> (ErrorKind, String) {
        let error = decode(value.to_string().as_bytes()).unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn plain_and_gzip_files_are_told_apart_by_their_bytes() {
        let plain = metadata().to_string().into_bytes();
        let packed = compress(&plain).unwrap();
        let (read, json) = decode(&packed).unwrap();
        assert_eq!(read, decode(&plain).unwrap().0);
        assert_eq!(json, plain);
    }

    #[test]
    fn a_compressed_file_that_unfolds_too_far_is_refused() {
        let packed = compress(&[b' '; 4096]).unwrap();
        let error = decompress(&packed, 4095).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourcesExhausted);
        assert_eq!(decompress(&packed, 4096).unwrap().len(), 4096);
    }

    #[test]
    fn truncated_empty_and_foreign_files_are_corrupt() {
        let plain = metadata().to_string().into_bytes();
        let packed = compress(&plain).unwrap();
        for bytes in [&plain[..40], &packed[..40], b"", b"PAR1", b"{}", b"[1]"] {
            assert_eq!(decode(bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        let mut newer = metadata();
        newer["format-version"] = json!(4);
        let (kind, text) = kind_and_text(&newer);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(text.contains("format version 4"), "{text}");

        for name in ["variant", "geometry(srid:4326)", "unknown"] {
            let mut foreign = metadata();
            foreign["format-version"] = json!(3);
            foreign["next-row-id"] = json!(0);
            foreign["schemas"][0]["fields"][0]["type"] = json!({"type": "list", "element-id": 2, "element": name, "element-required": false});
            let (kind, text) = kind_and_text(&foreign);
            assert_eq!(kind, ErrorKind::Unsupported, "{text}");
            assert!(text.contains(name), "{text}");
        }

        let mut encrypted = metadata();
        encrypted["properties"] = json!({"encryption.key-id": "k"});
        let (kind, text) = kind_and_text(&encrypted);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(text.contains("encrypted"), "{text}");
    }
}
