//! Table metadata as JSON and back, with what the format crate leaves out.
//!
//! Its form of format version 1 knows no branches and tags, which other engines write into such
//! tables all the same; and it refuses version 2 files without a sequence number, which DuckDB
//! writes. Both are mended here, so that no tag is lost by a commit.

use std::collections::BTreeMap;

use iceberg::spec::{FormatVersion, SnapshotReference, TableMetadata};
use serde::Deserialize;
use serde_json::Value;

use crate::error::Result;

/// The branch that the metadata's current snapshot stands for.
const MAIN: &str = "main";

/// The metadata that JSON says.
pub(super) fn from_slice(json: &[u8]) -> Result<TableMetadata, serde_json::Error> {
    match serde_json::from_slice(json) {
        Ok(metadata) => with_references(metadata, || serde_json::from_slice(json)),
        Err(error) => match mended(json) {
            Some(value) => serde_json::from_value(value),
            None => Err(error),
        },
    }
}

/// As [`from_slice`], of JSON that was taken apart already.
pub(super) fn from_value(json: Value) -> Result<TableMetadata, serde_json::Error> {
    if json.get("format-version").and_then(Value::as_u64) != Some(1) {
        return serde_json::from_value(json);
    }
    let metadata = serde_json::from_value(json.clone())?;
    with_references(metadata, || Ok(json))
}

/// The text of [`to_value`], with the table's location as `location` writes it.
///
/// # Errors
/// As [`to_value`].
pub(super) fn to_vec(metadata: &TableMetadata, location: Option<&str>) -> Result<Vec<u8>> {
    let location = location.filter(|raw| raw.trim_end_matches('/') == metadata.location());
    if metadata.format_version() != FormatVersion::V1 && location.is_none() {
        return Ok(serde_json::to_vec(metadata)?);
    }
    let mut json = to_value(metadata)?;
    if let Some(location) = location {
        json["location"] = Value::from(location);
    }
    Ok(serde_json::to_vec(&json)?)
}

/// The location that JSON writes, when it ends with a slash.
pub(super) fn slashed_location(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct LocationOnly {
        location: String,
    }
    let parsed: LocationOnly = serde_json::from_slice(json).ok()?;
    Some(parsed.location).filter(|location| location.ends_with('/'))
}

/// The JSON of metadata, complete.
///
/// # Errors
/// When the metadata cannot be written, which would be a defect of the format crate.
pub(crate) fn to_value(metadata: &TableMetadata) -> Result<Value> {
    let mut json = serde_json::to_value(metadata)?;
    if metadata.format_version() == FormatVersion::V1 {
        // Version 2 has the same metadata with its refs.
        let newer = metadata.clone().into_builder(None);
        let newer = newer
            .upgrade_format_version(FormatVersion::V2)?
            .build()?
            .metadata;
        let mut newer = serde_json::to_value(newer)?;
        if let (Some(refs), Some(object)) = (newer.get_mut("refs"), json.as_object_mut()) {
            object.insert("refs".to_owned(), refs.take());
        }
    }
    Ok(json)
}

/// Version 1 metadata with the refs of its JSON.
fn with_references(
    metadata: TableMetadata,
    json: impl FnOnce() -> Result<Value, serde_json::Error>,
) -> Result<TableMetadata, serde_json::Error> {
    if metadata.format_version() != FormatVersion::V1 {
        return Ok(metadata);
    }
    let Some(refs) = json()?.get_mut("refs").map(Value::take) else {
        return Ok(metadata);
    };
    let refs: BTreeMap<String, SnapshotReference> = serde_json::from_value(refs)?;
    if refs.keys().all(|name| name == MAIN) {
        return Ok(metadata);
    }
    let mut builder = metadata.into_builder(None);
    for (name, reference) in refs.into_iter().filter(|(name, _)| name != MAIN) {
        builder = builder
            .set_ref(&name, reference)
            .map_err(serde::de::Error::custom)?;
    }
    Ok(builder.build().map_err(serde::de::Error::custom)?.metadata)
}

/// Version 2 JSON with the sequence number it lacks: the highest of its snapshots, or 0.
fn mended(json: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(json).ok()?;
    let object = value.as_object_mut()?;
    if object.get("format-version")?.as_u64()? != 2 || object.contains_key("last-sequence-number") {
        return None;
    }
    let snapshots = object.get("snapshots").and_then(Value::as_array);
    let numbers = snapshots
        .into_iter()
        .flatten()
        .filter_map(|s| s.get("sequence-number")?.as_i64());
    let last = numbers.max().unwrap_or(0);
    object.insert("last-sequence-number".to_owned(), Value::from(last));
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(version: u64) -> Value {
        let mut metadata = json!({
            "format-version": version,
            "table-uuid": "9c12d441-03fe-4693-9a96-a0705ddf69c1",
            "location": "/t",
            "last-updated-ms": 1_700_000_000_000_i64,
            "last-column-id": 1,
            "current-schema-id": 0,
            "schemas": [{"type": "struct", "schema-id": 0, "fields": [
                {"id": 1, "name": "a", "required": false, "type": "long"}
            ]}],
            "default-spec-id": 0,
            "partition-specs": [{"spec-id": 0, "fields": []}],
            "last-partition-id": 999,
            "default-sort-order-id": 0,
            "sort-orders": [],
            "current-snapshot-id": 7,
            "snapshots": [{
                "snapshot-id": 7, "sequence-number": 0, "timestamp-ms": 1_700_000_000_000_i64,
                "manifest-list": "/t/metadata/l.avro", "schema-id": 0,
                "summary": {"operation": "append"}
            }],
            "refs": {
                "main": {"type": "branch", "snapshot-id": 7},
                "opening": {"type": "tag", "snapshot-id": 7}
            }
        });
        if version == 1 {
            metadata["schema"] = metadata["schemas"][0].clone();
            metadata["partition-spec"] = json!([]);
        }
        metadata
    }

    #[test]
    fn tags_of_version_1_tables_are_read_and_written() {
        let read = from_value(metadata(1)).unwrap();
        assert!(read.snapshot_for_ref("opening").is_some());
        let written = to_value(&read).unwrap();
        assert_eq!(written["format-version"], 1);
        assert_eq!(written["refs"]["opening"]["snapshot-id"], 7);
        let again = from_slice(written.to_string().as_bytes()).unwrap();
        assert!(again.snapshot_for_ref("opening").is_some());
    }

    #[test]
    fn t15_a_slash_at_the_end_of_a_location_stays() {
        let mut slashed = metadata(2);
        slashed["location"] = json!("/t/");
        let text = slashed.to_string();
        let location = slashed_location(text.as_bytes());
        assert_eq!(location.as_deref(), Some("/t/"));
        let read = from_slice(text.as_bytes()).unwrap();
        let written = to_vec(&read, location.as_deref()).unwrap();
        assert_eq!(slashed_location(&written).as_deref(), Some("/t/"));
        assert_eq!(slashed_location(metadata(2).to_string().as_bytes()), None);
    }

    #[test]
    fn a_version_2_file_without_sequence_number_is_read() {
        let read = from_slice(metadata(2).to_string().as_bytes()).unwrap();
        assert_eq!(read.last_sequence_number(), 0);
    }
}
