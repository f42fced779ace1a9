//! Numbers of distinct values, as statistics files sketched them.
//!
//! The table's metadata repeats what each sketch estimates, so no statistics file is opened.

use std::collections::HashMap;

use iceberg::spec::{StatisticsFile, TableMetadata};

use super::history::ancestor_ids;

/// The sketches that all engines write.
const THETA_SKETCH: &str = "apache-datasketches-theta-v1";
/// The property of a sketch that says what it estimates.
const ESTIMATE: &str = "ndv";

/// The newest estimate for each column at a snapshot: its own, or that of the nearest ancestor.
///
/// What an ancestor had is an estimate for what became of it, as it is for other engines.
pub(super) fn distinct_counts(
    metadata: &TableMetadata,
    snapshot_id: Option<i64>,
) -> HashMap<i32, u64> {
    let mut counts = HashMap::new();
    let mut left = metadata.statistics_iter().len();
    for id in ancestor_ids(metadata, snapshot_id) {
        if left == 0 {
            break;
        }
        if let Some(file) = metadata.statistics_for_snapshot(id) {
            left -= 1;
            for (field_id, count) in estimates(file) {
                counts.entry(field_id).or_insert(count);
            }
        }
    }
    counts
}

/// The estimates of one file: sketches of single columns, with a number that can be read.
fn estimates(file: &StatisticsFile) -> impl Iterator<Item = (i32, u64)> {
    file.blob_metadata.iter().filter_map(|blob| {
        let [field_id] = blob.fields.as_slice() else {
            return None;
        };
        let is_sketch = blob.r#type == THETA_SKETCH;
        let count = blob.properties.get(ESTIMATE).filter(|_| is_sketch)?;
        Some((*field_id, count.trim().parse().ok()?))
    })
}
