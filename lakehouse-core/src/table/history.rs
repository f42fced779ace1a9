//! Which snapshot was current when.

use std::collections::HashSet;

use iceberg::spec::TableMetadata;

/// One entry of the snapshot log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When the snapshot became current, in milliseconds since 1970.
    pub made_current_at_ms: i64,
    /// The snapshot that became current.
    pub snapshot_id: i64,
    /// Its parent, when the table still knows the snapshot and it has one.
    pub parent_id: Option<i64>,
    /// Whether the current snapshot descends from it; false for what was rolled back.
    pub is_current_ancestor: bool,
}

pub(super) fn entries(metadata: &TableMetadata) -> Vec<HistoryEntry> {
    let ancestors: HashSet<i64> = ancestor_ids(metadata, metadata.current_snapshot_id()).collect();
    metadata
        .history()
        .iter()
        .map(|entry| HistoryEntry {
            made_current_at_ms: entry.timestamp_ms(),
            snapshot_id: entry.snapshot_id,
            parent_id: metadata
                .snapshot_by_id(entry.snapshot_id)
                .and_then(|snapshot| snapshot.parent_snapshot_id()),
            is_current_ancestor: ancestors.contains(&entry.snapshot_id),
        })
        .collect()
}

/// A snapshot and its ancestors that the table still knows, newest first.
pub(crate) fn ancestor_ids(
    metadata: &TableMetadata,
    head: Option<i64>,
) -> impl Iterator<Item = i64> {
    // A damaged parent chain may be a ring: no snapshot is visited twice.
    let mut seen = HashSet::new();
    std::iter::successors(head, |id| {
        metadata
            .snapshot_by_id(*id)
            .and_then(|snapshot| snapshot.parent_snapshot_id())
    })
    .take_while(move |id| seen.insert(*id) && metadata.snapshot_by_id(*id).is_some())
}
