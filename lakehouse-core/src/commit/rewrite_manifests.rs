//! Manifests of one spec gathered and cut anew, with the same files.

use std::cmp::Ordering;
use std::collections::HashMap;

use iceberg::spec::{Literal, ManifestContentType, ManifestFile, PartitionSpec};

use super::file_change::{FileChange, Kind};
use super::manifest::{Draft, ManifestFiles, ManifestKey, has_live_files};
use super::merge::MergePolicy;
use crate::error::{Error, Result};
use crate::scan::{ManifestCache, PlacedFile, compare_values, placed_files, read_manifests};
use crate::table::Table;

/// Rewrites the manifests of a branch's snapshot toward `commit.manifest.target-size-bytes`, data
/// and delete manifests apart. Files, their sequence numbers and their row ids stay.
///
/// How many manifests went and came is told by `manifests-replaced` and `manifests-created` of the
/// new snapshot's summary; when there is nothing to gain, nothing is committed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RewriteManifests {
    /// The partition spec whose manifests are rewritten; the current one when unset.
    pub spec_id: Option<i32>,
    /// The partition fields to sort the files by, by name; all in the order of the spec when empty.
    pub sort_by: Vec<String>,
    /// The branch; `main` when unset.
    pub branch: Option<String>,
}

impl RewriteManifests {
    pub(super) fn change(&self, table: &Table) -> FileChange {
        let change = FileChange::new(table, Kind::Manifests(self.clone()));
        match &self.branch {
            Some(branch) => change.with_branch(branch.clone()),
            None => change,
        }
    }

    fn spec<'a>(&self, table: &'a Table) -> Result<&'a PartitionSpec> {
        let spec_id = self.spec_id.unwrap_or(table.partition_spec().spec_id());
        let spec = table.metadata().partition_spec_by_id(spec_id);
        spec.map(AsRef::as_ref)
            .ok_or_else(|| Error::not_found(format!("the table has no partition spec {spec_id}")))
    }

    /// The ids of the partition fields to sort by.
    fn sort_fields(&self, spec: &PartitionSpec) -> Result<Vec<i32>> {
        if self.sort_by.is_empty() {
            return Ok(spec.fields().iter().map(|field| field.field_id).collect());
        }
        let names = self.sort_by.iter().map(|name| {
            let mut fields = spec.fields().iter();
            let field = fields.find(|field| field.name.eq_ignore_ascii_case(name));
            field.map(|field| field.field_id).ok_or_else(|| {
                Error::invalid(format!(
                    "partition spec {} has no field {name:?} to sort manifests by",
                    spec.spec_id()
                ))
            })
        });
        names.collect()
    }
}

/// What one commit gathered, for its retries.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    known: HashMap<Vec<ManifestKey>, (Vec<ManifestFile>, usize)>,
}

impl Gathered {
    /// The manifests of a list, those of the spec gathered, and the number of entries that were
    /// written; `None` when nothing is gained.
    pub(super) async fn apply(
        &mut self,
        rewrite: &RewriteManifests,
        policy: MergePolicy,
        table: &Table,
        cache: &ManifestCache,
        list: &[ManifestFile],
        files: &mut ManifestFiles,
    ) -> Result<Option<(Vec<ManifestFile>, usize)>> {
        let spec = rewrite.spec(table)?;
        let fields = rewrite.sort_fields(spec)?;
        let live: Vec<_> = list.iter().filter(|file| has_live_files(file)).collect();
        let mut kept: Vec<ManifestFile> = live
            .iter()
            .filter(|file| file.partition_spec_id != spec.spec_id())
            .map(|file| (*file).clone())
            .collect();
        let (mut manifests, mut processed) = (Vec::new(), 0);
        let mut gains = false;
        for content in [ManifestContentType::Data, ManifestContentType::Deletes] {
            let group: Vec<ManifestFile> = live
                .iter()
                .filter(|file| file.partition_spec_id == spec.spec_id())
                .filter(|file| file.content == content)
                .map(|file| (*file).clone())
                .collect();
            let bytes: u64 = group
                .iter()
                .map(|file| u64::try_from(file.manifest_length).unwrap_or(0))
                .sum();
            let wanted = bytes.div_ceil(policy.target_bytes).max(1);
            if group.is_empty() || group.len() == 1 && wanted == 1 {
                kept.extend(group);
                continue;
            }
            gains = true;
            let key: Vec<_> = group.iter().map(ManifestKey::of).collect();
            let gathered = match self.known.get(&key) {
                Some(known) => known.clone(),
                None => {
                    let new = gather(table, cache, files, &group, &fields, wanted).await?;
                    self.known.insert(key, new.clone());
                    new
                }
            };
            manifests.extend(gathered.0);
            processed += gathered.1;
        }
        if !gains {
            return Ok(None);
        }
        let all: Vec<ManifestFile> = manifests.into_iter().chain(kept).collect();
        same_files(&live, &all)?;
        Ok(Some((all, processed)))
    }
}

async fn gather(
    table: &Table,
    cache: &ManifestCache,
    files: &mut ManifestFiles,
    group: &[ManifestFile],
    fields: &[i32],
    wanted: u64,
) -> Result<(Vec<ManifestFile>, usize)> {
    let mut live = Vec::new();
    for read in read_manifests(table.storage(), group.to_vec(), cache).await? {
        live.extend(
            placed_files(&read)?
                .into_iter()
                .filter(PlacedFile::is_alive),
        );
    }
    live.sort_by(|one, other| {
        fields
            .iter()
            .map(|field| order(one, other, *field))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    let count = live.len();
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let size = count.div_ceil(wanted).max(1);
    let mut manifests = Vec::new();
    let mut drafts: Vec<Draft> = live.into_iter().map(Draft::Existing).collect();
    let (spec_id, content) = match group.first() {
        Some(first) => (first.partition_spec_id, first.content),
        None => return Ok((manifests, 0)),
    };
    while !drafts.is_empty() {
        let rest = drafts.split_off(size.min(drafts.len()));
        let metadata = table.metadata();
        let written = files.write(table.storage(), metadata, spec_id, content, &drafts);
        manifests.push(written.await?);
        drafts = rest;
    }
    Ok((manifests, count))
}

/// How two files are ordered by one partition value, NULL first.
fn order(one: &PlacedFile, other: &PlacedFile, field_id: i32) -> Ordering {
    let value = |file: &PlacedFile| -> Option<Literal> { file.partition_value(field_id).cloned() };
    compare_values(value(one).as_ref(), value(other).as_ref())
}

/// Refuses to list other files than before.
fn same_files(before: &[&ManifestFile], after: &[ManifestFile]) -> Result<()> {
    let count = |file: &ManifestFile| {
        let live = file
            .added_files_count?
            .checked_add(file.existing_files_count?)?;
        Some(u64::from(live))
    };
    let add = |sum: u64, file: &ManifestFile| Some(sum + count(file)?);
    let before = before.iter().try_fold(0, |sum, file| add(sum, file));
    let after = after.iter().try_fold(0, add);
    if let (Some(before), Some(after)) = (before, after)
        && before != after
    {
        return Err(Error::corrupt(format!(
            "the manifests hold {after} files where their list says {before}; nothing was changed"
        )));
    }
    Ok(())
}
