//! The summary of a snapshot: what it added and removed, and the running totals after it.

use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{DataContentType, DataFileFormat, Operation, Struct, Summary, TableMetadata};

use super::manifest::promoted_partition;
use crate::scan::{PlacedFile, is_vector};
use crate::write::{WrittenFile, partition_name};

/// Counts of files, the rows in them or deleted by them, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct FileCounts {
    data_files: u64,
    records: u64,
    /// Of all kinds, deletion vectors among them.
    delete_files: u64,
    position_delete_files: u64,
    equality_delete_files: u64,
    vectors: u64,
    position_deletes: u64,
    equality_deletes: u64,
    bytes: u64,
}

/// What of a file is counted.
struct Counted {
    content: DataContentType,
    format: DataFileFormat,
    records: u64,
    file_bytes: u64,
    /// Of a deletion vector, which shares its file with others.
    vector_bytes: Option<i64>,
}

impl FileCounts {
    fn add(&mut self, file: &Counted) {
        let is_vector = is_vector(file.content, file.format);
        match file.content {
            DataContentType::Data => {
                self.data_files += 1;
                self.records += file.records;
            }
            DataContentType::PositionDeletes => {
                self.delete_files += 1;
                self.position_deletes += file.records;
                self.vectors += u64::from(is_vector);
                self.position_delete_files += u64::from(!is_vector);
            }
            DataContentType::EqualityDeletes => {
                self.delete_files += 1;
                self.equality_deletes += file.records;
                self.equality_delete_files += 1;
            }
        }
        let vector_bytes = file
            .vector_bytes
            .and_then(|bytes| u64::try_from(bytes).ok());
        self.bytes += match is_vector {
            true => vector_bytes.unwrap_or(file.file_bytes),
            false => file.file_bytes,
        };
    }

    fn join(&mut self, other: &Self) {
        self.data_files += other.data_files;
        self.records += other.records;
        self.delete_files += other.delete_files;
        self.position_delete_files += other.position_delete_files;
        self.equality_delete_files += other.equality_delete_files;
        self.vectors += other.vectors;
        self.position_deletes += other.position_deletes;
        self.equality_deletes += other.equality_deletes;
        self.bytes += other.bytes;
    }

    /// The keys of files that were added, or removed, and their values.
    fn keys(&self, is_added: bool) -> [(&'static str, u64); 9] {
        let names = match is_added {
            true => [
                "added-data-files",
                "added-records",
                "added-delete-files",
                "added-position-delete-files",
                "added-equality-delete-files",
                "added-dvs",
                "added-position-deletes",
                "added-equality-deletes",
                "added-files-size",
            ],
            false => [
                "deleted-data-files",
                "deleted-records",
                "removed-delete-files",
                "removed-position-delete-files",
                "removed-equality-delete-files",
                "removed-dvs",
                "removed-position-deletes",
                "removed-equality-deletes",
                "removed-files-size",
            ],
        };
        let values = [
            self.data_files,
            self.records,
            self.delete_files,
            self.position_delete_files,
            self.equality_delete_files,
            self.vectors,
            self.position_deletes,
            self.equality_deletes,
            self.bytes,
        ];
        let mut keys = [("", 0); 9];
        for (key, pair) in keys.iter_mut().zip(names.into_iter().zip(values)) {
            *key = pair;
        }
        keys
    }
}

/// What a snapshot adds and removes.
#[derive(Debug, Clone, Copy, Default)]
struct Delta {
    added: FileCounts,
    removed: FileCounts,
}

impl Delta {
    /// Counts of something, with what is left out when it is zero.
    fn keys(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let keys = self.added.keys(true).into_iter();
        keys.chain(self.removed.keys(false))
            .filter(|(_, count)| *count > 0)
    }
}

/// What a snapshot adds and removes, in all and for each partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    all: Delta,
    partitions: HashMap<(i32, Struct), Delta>,
}

impl Tally {
    pub(super) fn of_added(files: &[WrittenFile]) -> Self {
        let mut tally = Self::default();
        for WrittenFile { data_file, spec_id } in files {
            let counted = Counted {
                content: data_file.content_type(),
                format: data_file.file_format(),
                records: data_file.record_count(),
                file_bytes: data_file.file_size_in_bytes(),
                vector_bytes: data_file.content_size_in_bytes(),
            };
            tally.all.added.add(&counted);
            let partition = (*spec_id, data_file.partition().clone());
            let partition = tally.partitions.entry(partition).or_default();
            partition.added.add(&counted);
        }
        tally
    }

    pub(super) fn remove(&mut self, placed: &PlacedFile) {
        let file = placed.file();
        let counted = Counted {
            content: file.content_type(),
            format: file.file_format(),
            records: file.record_count(),
            file_bytes: file.file_size_in_bytes(),
            vector_bytes: file.content_size_in_bytes(),
        };
        self.all.removed.add(&counted);
        let partition = (placed.spec_id, file.partition().clone());
        let partition = self.partitions.entry(partition).or_default();
        partition.removed.add(&counted);
    }

    /// The changes by partition, whose values have the types that their columns have now: files from
    /// before and after a promotion lie in one partition.
    fn by_partition(&self, metadata: &TableMetadata) -> HashMap<(i32, Struct), Delta> {
        let mut partitions: HashMap<(i32, Struct), Delta> = HashMap::new();
        for ((spec_id, values), delta) in &self.partitions {
            let values = promoted_partition(metadata, *spec_id, values);
            let partition = partitions.entry((*spec_id, values)).or_default();
            partition.added.join(&delta.added);
            partition.removed.join(&delta.removed);
        }
        partitions
    }

    pub(super) fn adds_data(&self) -> bool {
        self.all.added.data_files > 0
    }

    pub(super) fn adds_deletes(&self) -> bool {
        self.all.added.delete_files > 0
    }

    pub(super) fn removes(&self) -> bool {
        let FileCounts {
            data_files,
            delete_files,
            ..
        } = self.all.removed;
        data_files + delete_files > 0
    }
}

/// How many manifests a snapshot wrote itself, took over from its parent, and left out.
#[derive(Debug, Clone, Copy)]
pub(super) struct ManifestCounts {
    pub(super) created: usize,
    pub(super) kept: usize,
    pub(super) replaced: usize,
    /// Entries of the manifests that were written anew.
    pub(super) processed: usize,
}

/// The summary of a snapshot. Keys of the caller never replace keys of the format.
pub(super) fn of_snapshot(
    metadata: &TableMetadata,
    parent: Option<&Summary>,
    operation: Operation,
    tally: &Tally,
    manifests: ManifestCounts,
    extras: &BTreeMap<String, String>,
) -> Summary {
    let mut keys: HashMap<String, String> = extras
        .iter()
        .filter(|(key, _)| !is_of_format(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let partitions = tally.by_partition(metadata);
    let mut put = |key: &str, value: u64| keys.insert(key.to_owned(), value.to_string());
    put("changed-partition-count", partitions.len() as u64);
    put("manifests-created", manifests.created as u64);
    put("manifests-kept", manifests.kept as u64);
    put("manifests-replaced", manifests.replaced as u64);
    put("entries-processed", manifests.processed as u64);
    for (key, count) in tally.all.keys() {
        put(key, count);
    }
    let Delta { added, removed } = &tally.all;
    for (key, more, less) in [
        ("total-data-files", added.data_files, removed.data_files),
        ("total-records", added.records, removed.records),
        ("total-files-size", added.bytes, removed.bytes),
        (
            "total-delete-files",
            added.delete_files,
            removed.delete_files,
        ),
        (
            "total-position-deletes",
            added.position_deletes,
            removed.position_deletes,
        ),
        (
            "total-equality-deletes",
            added.equality_deletes,
            removed.equality_deletes,
        ),
    ] {
        // What is not known is left out.
        if let Some(total) = total(parent, key, more, less) {
            put(key, total);
        }
    }
    keys.insert("engine-name".to_owned(), "lakehouse".to_owned());
    keys.insert(
        "engine-version".to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    keys.extend(partition_keys(metadata, &partitions));
    Summary {
        operation,
        additional_properties: keys,
    }
}

/// Whether a key says what only the producer of a snapshot knows: a caller's own must not pose as
/// it.
fn is_of_format(key: &str) -> bool {
    let counts = FileCounts::default();
    let both = [counts.keys(true), counts.keys(false)];
    let counted = both.iter().flatten().any(|(name, _)| *name == key);
    counted
        || key.starts_with("partitions.")
        || matches!(
            key,
            "operation"
                | "total-data-files"
                | "total-records"
                | "total-files-size"
                | "total-delete-files"
                | "total-position-deletes"
                | "total-equality-deletes"
                | "changed-partition-count"
                | "partition-summaries-included"
                | "manifests-created"
                | "manifests-kept"
                | "manifests-replaced"
                | "entries-processed"
        )
}

/// The parent's total with what was added and without what was removed; unknown when the parent
/// does not tell its own, or tells one that cannot be.
fn total(parent: Option<&Summary>, key: &str, more: u64, less: u64) -> Option<u64> {
    let before: u64 = match parent {
        Some(parent) => parent.additional_properties.get(key)?.parse().ok()?,
        None => 0,
    };
    before.checked_add(more)?.checked_sub(less)
}

/// One key for each changed partition, when there are fewer than the table asks for at most.
fn partition_keys(
    metadata: &TableMetadata,
    partitions: &HashMap<(i32, Struct), Delta>,
) -> Vec<(String, String)> {
    let limit: usize = metadata
        .properties()
        .get("write.summary.partition-limit")
        .and_then(|limit| limit.trim().parse().ok())
        .unwrap_or(0);
    if partitions.is_empty() || partitions.len() >= limit {
        return Vec::new();
    }
    let mut keys = vec![("partition-summaries-included".to_owned(), "true".to_owned())];
    for ((spec_id, values), delta) in partitions {
        let Some(path) = partition_text(metadata, *spec_id, values) else {
            continue;
        };
        let counts: Vec<String> = delta
            .keys()
            .map(|(key, count)| format!("{key}={count}"))
            .collect();
        keys.push((format!("partitions.{path}"), counts.join(",")));
    }
    keys
}

/// A partition as `name=value` for each of its fields; `None` where the spec is without fields, and
/// where values and spec do not fit.
pub(super) fn partition_text(
    metadata: &TableMetadata,
    spec_id: i32,
    values: &Struct,
) -> Option<String> {
    let spec = metadata.partition_spec_by_id(spec_id)?;
    let types = spec.partition_type(metadata.current_schema()).ok()?;
    if spec.is_unpartitioned() || types.fields().len() != values.fields().len() {
        return None;
    }
    Some(partition_name(spec, &types, values))
}
