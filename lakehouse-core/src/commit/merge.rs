//! Small manifests of one spec merged into larger ones, as Iceberg's merge append does.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use iceberg::spec::{ManifestContentType, ManifestFile, ManifestStatus, TableMetadata};

use super::manifest::{Draft, ManifestFiles, ManifestKey};
use crate::error::{ErrorKind, Result};
use crate::scan::{ManifestCache, placed_files, read_manifests};
use crate::table::Table;

/// When manifests are merged, by the table's properties `commit.manifest.*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MergePolicy {
    is_enabled: bool,
    pub(super) target_bytes: u64,
    /// The bin of the newest manifest waits until it has so many.
    count_min: usize,
}

impl MergePolicy {
    /// A property that cannot be read does not stop commits, since a commit is also what mends it.
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        let number = |key: &str, default: u64| {
            let value = metadata.properties().get(key);
            let value = value.and_then(|text| text.trim().parse().ok());
            value.filter(|number| *number > 0).unwrap_or(default)
        };
        let enabled = metadata.properties().get("commit.manifest-merge.enabled");
        let count_min = number("commit.manifest.min-count-to-merge", 100);
        Self {
            is_enabled: enabled.is_none_or(|text| !text.trim().eq_ignore_ascii_case("false")),
            target_bytes: number("commit.manifest.target-size-bytes", 8 << 20),
            count_min: usize::try_from(count_min).unwrap_or(usize::MAX),
        }
    }
}

/// Packs neighbours into bins of at most `target_bytes`, from the end, so that the first bin is the
/// one that stays small.
fn bins(lengths: &[u64], target_bytes: u64) -> Vec<Range<usize>> {
    let mut bins = Vec::new();
    let (mut end, mut bytes) = (lengths.len(), 0_u64);
    for (at, length) in lengths.iter().enumerate().rev() {
        let more = bytes.saturating_add(*length);
        if more > target_bytes && at + 1 < end {
            bins.push(at + 1..end);
            (end, bytes) = (at + 1, *length);
        } else {
            bytes = more;
        }
    }
    if end > 0 {
        bins.push(0..end);
    }
    bins.reverse();
    bins
}

/// What one commit merged, for its retries.
#[derive(Debug, Default)]
pub(super) struct Merger {
    known: HashMap<Vec<ManifestKey>, ManifestFile>,
}

impl Merger {
    /// Merges manifests of one content, the newest first, where the policy says so.
    pub(super) async fn merge(
        &mut self,
        policy: MergePolicy,
        table: &Table,
        cache: &ManifestCache,
        files: &mut ManifestFiles,
        manifests: Vec<ManifestFile>,
    ) -> Result<Vec<ManifestFile>> {
        let Some(newest) = manifests.first().map(ManifestKey::of) else {
            return Ok(manifests);
        };
        if !policy.is_enabled {
            return Ok(manifests);
        }
        let mut by_spec: BTreeMap<i32, Vec<ManifestFile>> = BTreeMap::new();
        for manifest in manifests {
            let group = by_spec.entry(manifest.partition_spec_id).or_default();
            group.push(manifest);
        }
        let mut merged = Vec::new();
        for (_, group) in by_spec.into_iter().rev() {
            let length = |file: &ManifestFile| u64::try_from(file.manifest_length).unwrap_or(0);
            let lengths: Vec<u64> = group.iter().map(length).collect();
            for bin in bins(&lengths, policy.target_bytes) {
                let bin = &group[bin];
                let waits = bin.len() < policy.count_min
                    && bin.iter().any(|file| ManifestKey::of(file) == newest);
                if bin.len() == 1 || waits {
                    merged.extend_from_slice(bin);
                    continue;
                }
                match self.merge_bin(table, cache, files, bin).await {
                    Ok(manifest) => merged.push(manifest),
                    // What cannot be written anew stays as it is.
                    Err(error) if error.kind() == ErrorKind::Unsupported => {
                        tracing::debug!(%error, "manifests are not merged");
                        merged.extend_from_slice(bin);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(merged)
    }

    async fn merge_bin(
        &mut self,
        table: &Table,
        cache: &ManifestCache,
        files: &mut ManifestFiles,
        bin: &[ManifestFile],
    ) -> Result<ManifestFile> {
        let key: Vec<_> = bin.iter().map(ManifestKey::of).collect();
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let (spec_id, content) = match bin.first() {
            Some(first) => (first.partition_spec_id, first.content),
            None => (0, ManifestContentType::Data),
        };
        let metadata = table.metadata();
        let mut drafts = Vec::new();
        for read in read_manifests(table.storage(), bin.to_vec(), cache).await? {
            for file in placed_files(&read)? {
                let is_own = file.snapshot_id == files.snapshot_id();
                match file.status() {
                    ManifestStatus::Added if is_own => drafts.push(Draft::AddedBefore(file)),
                    ManifestStatus::Deleted if is_own => drafts.push(Draft::Deleted(file)),
                    ManifestStatus::Deleted => {}
                    ManifestStatus::Added | ManifestStatus::Existing => {
                        drafts.push(Draft::Existing(file));
                    }
                }
            }
        }
        let merged = files.write(table.storage(), metadata, spec_id, content, &drafts);
        let merged = merged.await?;
        self.known.insert(key, merged.clone());
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::bins;

    #[test]
    fn bins_are_packed_from_the_end() {
        assert!(bins(&[], 10).is_empty());
        assert_eq!(bins(&[3, 8], 10), [0..1, 1..2]);
        assert_eq!(bins(&[3, 3, 3, 3], 10), [0..1, 1..4]);
        assert_eq!(bins(&[3, 20, 3], 10), [0..1, 1..2, 2..3]);
        assert_eq!(bins(&[20, 20], 10), [0..1, 1..2]);
        assert_eq!(bins(&[5, 5, 5, 5, 1], 10), [0..1, 1..3, 3..5]);
    }
}
