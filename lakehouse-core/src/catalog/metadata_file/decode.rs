//! From the bytes of a metadata file to metadata, or to the reason why not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use iceberg::spec::TableMetadata;
use serde_json::Value;

use crate::catalog::{foreign_type, nano_default};
use crate::error::{Error, ErrorKind, Result};

/// What a compressed file may unfold to: a small one could otherwise fill the memory.
pub(super) const JSON_BYTES_MAX: u64 = 1 << 30;
/// The largest file whose fault is looked for: taken apart, JSON needs many times its size.
const EXPLAINED_BYTES_MAX: usize = 64 << 20;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const FORMAT_VERSION_MAX: u64 = 3;

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
    let metadata = match super::json::from_slice(json) {
        Ok(metadata) => metadata,
        Err(error) => without_foreign_types(json).ok_or_else(|| explain(json, error))?,
    };
    refuse_encryption(&metadata)?;
    let defaults = super::default::lost(json, &metadata)?;
    if defaults.is_empty() {
        return Ok(metadata);
    }
    let mut value = super::json::to_value(&metadata)?;
    value["properties"][nano_default::PROPERTY] = Value::from(serde_json::to_string(&defaults)?);
    let metadata = super::json::from_value(value)?;
    // Whoever reads the table later may rely on them.
    for schema in metadata.schemas_iter() {
        nano_default::with_defaults(&metadata, schema)?;
    }
    Ok(metadata)
}

/// Metadata with types that the format crate does not know, and nothing else that is wrong.
fn without_foreign_types(json: &[u8]) -> Option<TableMetadata> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let version = value.get("format-version").and_then(Value::as_u64)?;
    if version > FORMAT_VERSION_MAX || !foreign_type::replace_in_metadata(&mut value) {
        return None;
    }
    super::json::from_value(value).ok()
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
    Error::corrupt("the file is no valid Iceberg table metadata; restore it").with_source(error)
}

#[cfg(test)]
mod tests {
    use iceberg::spec::{Literal, PrimitiveLiteral, Schema};
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

    fn decode_value(value: &Value) -> Result<(TableMetadata, Vec<u8>)> {
        let json = value.to_string().into_bytes();
        let metadata = decode(&json)?.0;
        Ok((metadata, json))
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
    fn types_of_the_format_alone_do_not_keep_a_table_shut() {
        for name in ["variant", "geometry(srid:4326)", "unknown"] {
            let mut foreign = metadata();
            foreign["format-version"] = json!(3);
            foreign["next-row-id"] = json!(0);
            foreign["schemas"][0]["fields"][0]["type"] = json!({"type": "list", "element-id": 2, "element": name, "element-required": false});
            let (read, _) = decode_value(&foreign).unwrap();
            let types = foreign_type::foreign_types(&read).unwrap();
            assert_eq!(types.get(&2).map(String::as_str), Some(name));
            let error = foreign_type::refuse_write(&read).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_default_that_cannot_be_read_is_refused() {
        let mut plain = metadata();
        plain["format-version"] = json!(3);
        plain["next-row-id"] = json!(0);
        let field = |kind: &str, default: Value| {
            let mut changed = plain.clone();
            changed["schemas"][0]["fields"][0] = json!({"id": 1, "name": "a", "required": false,
                "type": kind, "initial-default": default, "write-default": default});
            changed
        };
        for (kind, default) in [
            ("boolean", json!(true)),
            ("int", json!(-3)),
            ("long", json!(4_000_000_000_u64)),
            ("float", json!(1.5)),
            ("double", json!(2)),
            ("decimal(9, 2)", json!("-14.20")),
            ("date", json!("1969-12-31")),
            ("time", json!("22:31:08.123456")),
            ("timestamp", json!("2017-11-16T22:31:08")),
            ("timestamptz", json!("2017-11-16T22:31:08.000001+00:00")),
            ("string", json!("text")),
            ("uuid", json!("f79c3e09-677c-4bbd-a479-3f349cb785e7")),
            ("fixed[2]", json!("00ff")),
            ("binary", json!("ff")),
        ] {
            let (read, _) = decode_value(&field(kind, default)).unwrap();
            let schema = read.current_schema();
            assert!(
                schema.field_by_id(1).unwrap().initial_default.is_some(),
                "{kind}"
            );
            // What a commit writes is read again.
            super::super::json::to_vec(&read, None).unwrap();
        }
        let lost = field("timestamp_ns", json!("3017-11-16T22:31:08.000000001"));
        let (kind, text) = kind_and_text(&lost);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(
            text.contains("\"a\"") && text.contains("timestamp_ns"),
            "{text}"
        );
        decode_value(&field("timestamp_ns", Value::Null)).unwrap();
    }

    #[test]
    fn defaults_in_nanoseconds_are_read_and_keep_the_table_from_being_written() {
        let mut changed = metadata();
        changed["format-version"] = json!(3);
        changed["next-row-id"] = json!(0);
        changed["last-column-id"] = json!(4);
        let time = "1970-01-01T00:00:00.000000001";
        changed["schemas"] = json!([
            {"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "timestamp_ns"}
            ]},
            {"type": "struct", "schema-id": 3, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "timestamp_ns",
                    "write-default": time},
                {"id": 2, "name": "l", "required": false, "type": {"type": "list",
                    "element-id": 3, "element-required": true, "element": {"type": "struct",
                    "fields": [{"id": 4, "name": "at", "required": true,
                        "type": "timestamptz_ns", "initial-default": format!("{time}+00:00"),
                        "write-default": format!("{time}+00:00")}]}}}
            ]}
        ]);
        changed["current-schema-id"] = json!(3);
        let (read, _) = decode_value(&changed).unwrap();
        let error = foreign_type::refuse_write(&read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("\"a\""), "{error}");
        let with = |id| {
            let schema = read.schema_by_id(id).unwrap();
            nano_default::with_defaults(&read, schema).unwrap()
        };
        let one = Some(Literal::Primitive(PrimitiveLiteral::Long(1)));
        let defaults = |schema: &Schema, id| {
            let field = schema.field_by_id(id).unwrap();
            (field.initial_default.clone(), field.write_default.clone())
        };
        assert_eq!(defaults(&with(0), 1), (None, None));
        assert_eq!(defaults(&with(3), 1), (None, one.clone()));
        assert_eq!(defaults(&with(3), 4), (one.clone(), one));
    }

    #[test]
    fn a_default_that_cannot_be_written_again_is_read_only() {
        let mut plain = metadata();
        plain["format-version"] = json!(3);
        plain["next-row-id"] = json!(0);
        let field = |id: i32, kind: Value, default: Value| {
            json!({"id": id, "name": "a", "required": false, "type": kind,
                "initial-default": default})
        };
        let early = "1969-12-31T23:59:59.5+00:00";
        let whole = "1969-12-31T23:59:59+00:00";
        let inner = |default: &str| json!({"type": "struct", "fields": [field(2, json!("timestamptz"), json!(default))]});
        let list = json!({"type": "list", "element-id": 2, "element-required": false, "element": "timestamptz"});
        for (kind, default, is_written) in [
            (json!("timestamptz"), json!(early), false),
            (json!("timestamptz"), json!(whole), true),
            (json!("timestamp"), json!("1969-12-31T23:59:59.5"), true),
            (inner(early), Value::Null, false),
            (inner(whole), json!({"2": early}), false),
            (inner(whole), json!({"2": whole}), true),
            (list.clone(), json!([whole, null, early]), false),
            (list, json!([whole, null]), true),
        ] {
            let mut changed = plain.clone();
            changed["schemas"][0]["fields"][0] = field(1, kind, default);
            let (read, json) = decode_value(&changed).unwrap();
            let json = String::from_utf8(json).unwrap();
            match foreign_type::refuse_write(&read) {
                Ok(()) => {
                    assert!(is_written, "{json}");
                    super::super::json::to_vec(&read, None).unwrap();
                }
                Err(error) => {
                    assert!(!is_written, "{json}");
                    assert_eq!(error.kind(), ErrorKind::Unsupported);
                    assert!(error.to_string().contains("before 1970"), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_part_of_a_default_that_cannot_be_read_is_refused() {
        let field = |kind: Value, default: Value| {
            let mut changed = metadata();
            changed["format-version"] = json!(3);
            changed["next-row-id"] = json!(0);
            changed["last-column-id"] = json!(4);
            changed["schemas"][0]["fields"][0] = json!({"id": 1, "name": "a", "required": false,
                "type": kind, "initial-default": default, "write-default": default});
            changed
        };
        let inner = |id: i32, name: &str, kind: &str| json!({"id": id, "name": name, "required": false, "type": kind});
        let list = |kind: &str| json!({"type": "list", "element-id": 2, "element-required": false, "element": kind});
        let map = |kind: &str| {
            json!({"type": "map", "key-id": 2, "key": "string", "value-id": 3,
                "value-required": false, "value": kind})
        };
        let fields = |kind: &str| json!({"type": "struct", "fields": [inner(2, "x", "int"), inner(3, "y", kind)]});
        let time = "2017-11-16T22:31:08.000000001";
        for (good, bad, default, other) in [
            (
                list("int"),
                list("timestamp_ns"),
                json!([1, null]),
                json!([null, time]),
            ),
            (
                map("int"),
                map("timestamp_ns"),
                json!({"keys": ["k", "l"], "values": [1, null]}),
                json!({"keys": ["k"], "values": [time]}),
            ),
            (
                fields("int"),
                fields("timestamp_ns"),
                json!({"2": 1, "3": 5}),
                json!({"2": 1, "3": time}),
            ),
            (
                fields("int"),
                fields("timestamp_ns"),
                json!({}),
                json!({"3": time}),
            ),
        ] {
            let (read, _) = decode_value(&field(good.clone(), default)).unwrap();
            assert!(
                read.current_schema()
                    .field_by_id(1)
                    .unwrap()
                    .initial_default
                    .is_some()
            );
            super::super::json::to_vec(&read, None).unwrap();
            let (kind, text) = kind_and_text(&field(bad, other));
            assert_eq!(kind, ErrorKind::Unsupported, "{text}");
            assert!(text.contains("\"a\""), "{text}");
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        let mut newer = metadata();
        newer["format-version"] = json!(4);
        let (kind, text) = kind_and_text(&newer);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(text.contains("format version 4"), "{text}");

        let mut encrypted = metadata();
        encrypted["properties"] = json!({"encryption.key-id": "k"});
        let (kind, text) = kind_and_text(&encrypted);
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(text.contains("encrypted"), "{text}");
    }
}
