//! Changes of metadata whose times lie after those of the machine's clock.

use iceberg::Result;
use iceberg::spec::{FormatVersion, TableMetadata, TableMetadataBuildResult, TableMetadataBuilder};
use serde_json::Value;

use crate::clock::{Clock, SystemClock};

/// How far behind the last entry of a log a time may lie; the format crate refuses more.
pub(super) const CLOCK_SKEW_MS_MAX: i64 = 60_000;
/// How far before the present times are moved, so that none is one of the present.
const BEFORE_NOW_MS: i64 = 1_000;

/// Builds on `metadata`, all times as the change says or as the machine's clock does, but none
/// before those that the metadata has.
///
/// The format crate takes times from the machine's clock, and refuses those that lie well before
/// logged ones: after one commit of a machine whose clock is ahead, no other could change the table
/// until the clocks meet. So the change is made to a copy whose times are over.
///
/// # Errors
/// What the format crate refuses.
pub(crate) fn build_on(
    metadata: &TableMetadata,
    predecessor: Option<String>,
    change: impl FnOnce(TableMetadataBuilder) -> Result<TableMetadataBuilder>,
) -> Result<TableMetadataBuildResult> {
    let now_ms = SystemClock.now_ms();
    let history = metadata.history().iter().map(|entry| entry.timestamp_ms());
    let last_ms = history.fold(metadata.last_updated_ms(), i64::max);
    // The format crate writes version 1 without its refs.
    if last_ms <= now_ms + CLOCK_SKEW_MS_MAX / 2 || metadata.format_version() == FormatVersion::V1 {
        return change(metadata.clone().into_builder(predecessor))?.build();
    }
    let held = held(metadata, now_ms - BEFORE_NOW_MS)?;
    let builder = held.clone().into_builder(predecessor.clone());
    let mut built = change(builder)?.build()?;
    let times = Times {
        metadata,
        held: &held,
        predecessor: predecessor.as_deref(),
        last_ms,
    };
    built.metadata = times.put_back(&built.metadata)?;
    Ok(built)
}

/// A copy without times after `latest_ms`.
fn held(metadata: &TableMetadata, latest_ms: i64) -> Result<TableMetadata> {
    let mut json = serde_json::to_value(metadata)?;
    let hold = |time: &mut Value| {
        if time.as_i64().is_some_and(|time| time > latest_ms) {
            *time = Value::from(latest_ms);
        }
    };
    hold(&mut json["last-updated-ms"]);
    for log in ["snapshot-log", "metadata-log"] {
        for entry in entries(&mut json, log) {
            hold(&mut entry["timestamp-ms"]);
        }
    }
    Ok(serde_json::from_value(json)?)
}

fn entries<'a>(json: &'a mut Value, log: &str) -> impl Iterator<Item = &'a mut Value> {
    let log = json.get_mut(log).and_then(Value::as_array_mut);
    log.into_iter().flatten()
}

/// Where the times of what was built come from.
struct Times<'a> {
    metadata: &'a TableMetadata,
    held: &'a TableMetadata,
    predecessor: Option<&'a str>,
    /// The last of all.
    last_ms: i64,
}

impl Times<'_> {
    fn put_back(&self, built: &TableMetadata) -> Result<TableMetadata> {
        let mut json = serde_json::to_value(built)?;
        json["last-updated-ms"] = Value::from(built.last_updated_ms().max(self.last_ms));
        // Entries may have left the log, and new ones stand at its end.
        let mut known = self.held.history().iter().zip(self.metadata.history());
        for entry in entries(&mut json, "snapshot-log") {
            let (id, time) = (
                entry["snapshot-id"].as_i64(),
                entry["timestamp-ms"].as_i64(),
            );
            let known = known.find(|(held, _)| {
                Some(held.snapshot_id) == id && Some(held.timestamp_ms()) == time
            });
            let time = match known {
                Some((_, known)) => known.timestamp_ms(),
                None => self.of_new(time.unwrap_or(self.last_ms)),
            };
            entry["timestamp-ms"] = Value::from(time);
        }
        for entry in entries(&mut json, "metadata-log") {
            let file = entry["metadata-file"].as_str();
            let mut log = self.metadata.metadata_log().iter();
            let known = log.find(|known| Some(known.metadata_file.as_str()) == file);
            let time = match known {
                Some(known) => known.timestamp_ms,
                None if file == self.predecessor => self.metadata.last_updated_ms(),
                None => continue,
            };
            entry["timestamp-ms"] = Value::from(time);
        }
        Ok(serde_json::from_value(json)?)
    }

    /// A snapshot that was made for the table has a time that fits; a move to another has the
    /// machine's.
    fn of_new(&self, time_ms: i64) -> i64 {
        match time_ms < self.last_ms.saturating_sub(CLOCK_SKEW_MS_MAX) {
            true => self.last_ms,
            false => time_ms,
        }
    }
}
