//! The summary of a snapshot: what it added and the running totals after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use iceberg::spec::{Operation, Struct, Summary, TableMetadata};

use crate::write::WrittenFile;

/// Counts of data files, their rows and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileCounts {
    pub(super) files: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl FileCounts {
    fn add(&mut self, file: &WrittenFile) {
        self.files += 1;
        self.records += file.data_file.record_count();
        self.bytes += file.data_file.file_size_in_bytes();
    }
}

/// What an append adds, in all and for each partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Added {
    all: FileCounts,
    partitions: HashMap<(i32, Struct), FileCounts>,
}

impl Added {
    pub(super) fn of(files: &[WrittenFile]) -> Self {
        let mut added = Self::default();
        for file in files {
            added.all.add(file);
            added
                .partitions
                .entry((file.spec_id, file.data_file.partition().clone()))
                .or_default()
                .add(file);
        }
        added
    }
}

/// How many manifests a snapshot wrote itself and how many it took over from its parent.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManifestCounts {
    pub(super) created: usize,
    pub(super) kept: usize,
}

/// The summary of an append. Keys of the caller never replace keys of the format.
pub(super) fn of_append(
    metadata: &TableMetadata,
    parent: Option<&Summary>,
    added: &Added,
    manifests: ManifestCounts,
    extras: &BTreeMap<String, String>,
) -> Summary {
    let mut keys: HashMap<String, String> = extras
        .iter()
        .filter(|(key, _)| key.as_str() != "operation")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut ours: Vec<(&str, Option<u64>)> = vec![
        (
            "changed-partition-count",
            Some(added.partitions.len() as u64),
        ),
        ("manifests-created", Some(manifests.created as u64)),
        ("manifests-kept", Some(manifests.kept as u64)),
        ("manifests-replaced", Some(0)),
        ("entries-processed", Some(0)),
    ];
    let none_if_empty = |count: u64| (added.all.files > 0).then_some(count);
    ours.extend([
        ("added-data-files", none_if_empty(added.all.files)),
        ("added-records", none_if_empty(added.all.records)),
        ("added-files-size", none_if_empty(added.all.bytes)),
    ]);
    for (key, more) in [
        ("total-data-files", added.all.files),
        ("total-records", added.all.records),
        ("total-files-size", added.all.bytes),
        ("total-delete-files", 0),
        ("total-position-deletes", 0),
        ("total-equality-deletes", 0),
    ] {
        ours.push((key, total(parent, key, more)));
    }
    for (key, value) in ours {
        match value {
            Some(value) => keys.insert(key.to_owned(), value.to_string()),
            // What is not known is left out: a caller's own key must not pose as it.
            None => keys.remove(key),
        };
    }
    keys.insert("engine-name".to_owned(), "lakehouse".to_owned());
    keys.insert(
        "engine-version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    keys.extend(partition_keys(metadata, added));
    Summary {
        operation: Operation::Append,
        additional_properties: keys,
    }
}

/// The parent's total and `more`; unknown when the parent does not tell its own.
fn total(parent: Option<&Summary>, key: &str, more: u64) -> Option<u64> {
    let Some(parent) = parent else {
        return Some(more);
    };
    let before: u64 = parent.additional_properties.get(key)?.parse().ok()?;
    before.checked_add(more)
}

/// One key for each changed partition, when there are fewer than the table asks for at most.
fn partition_keys(metadata: &TableMetadata, added: &Added) -> Vec<(String, String)> {
    let limit: usize = metadata
        .properties()
        .get("write.summary.partition-limit")
        .and_then(|limit| limit.trim().parse().ok())
        .unwrap_or(0);
    if added.partitions.is_empty() || added.partitions.len() >= limit {
        return Vec::new();
    }
    let mut keys = vec![("partition-summaries-included".to_owned(), "true".to_owned())];
    for ((spec_id, values), counts) in &added.partitions {
        let Some(spec) = metadata.partition_spec_by_id(*spec_id) else {
            continue;
        };
        if spec.is_unpartitioned() {
            continue;
        }
        let schema = Arc::clone(metadata.current_schema());
        // The path takes it for granted that the spec fits the schema.
        if spec.partition_type(&schema).is_err() {
            continue;
        }
        let path = spec.partition_to_path(values, schema);
        let FileCounts {
            files,
            records,
            bytes,
        } = counts;
        keys.push((
            format!("partitions.{path}"),
            format!("added-data-files={files},added-records={records},added-files-size={bytes}"),
        ));
    }
    keys
}
