//! Manifests of one spec gathered and cut anew, with the same files.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use iceberg::spec::{ManifestContentType, ManifestFile, PartitionSpec, Struct};

use super::file_change::{FileChange, Kind};
use super::manifest::{Draft, ManifestFiles, ManifestKey, has_live_files};
use super::merge::MergePolicy;
use crate::error::{Error, Result};
use crate::scan::{
    MANIFEST_READS_MAX, ManifestCache, compare_values, placed_files, read_manifests,
};
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
    let mut manifests = Vec::new();
    let (spec_id, content) = match group.first() {
        Some(first) => (first.partition_spec_id, first.content),
        None => return Ok((manifests, 0)),
    };
    let places = sorted_places(table, cache, group, fields).await?;
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let size = places.len().div_ceil(wanted).max(1);
    // Not more is held than is read at a time, in whole manifests, so that those they come from are
    // read as seldom as may be.
    let held = size.saturating_mul(MANIFEST_READS_MAX);
    for held in places.chunks(held) {
        let mut drafts = read_places(table, cache, group, held).await?;
        while !drafts.is_empty() {
            let rest = drafts.split_off(size.min(drafts.len()));
            let metadata = table.metadata();
            let written = files.write(table.storage(), metadata, spec_id, content, &drafts);
            manifests.push(written.await?);
            drafts = rest;
        }
    }
    Ok((manifests, places.len()))
}

/// Where a file is listed: the manifest's place in its group, and the file's in the manifest.
type Place = (u32, u32);

/// The places of all live files, by their partition values and as they come.
async fn sorted_places(
    table: &Table,
    cache: &ManifestCache,
    group: &[ManifestFile],
    fields: &[i32],
) -> Result<Vec<Place>> {
    let mut tuples: HashMap<Struct, u32> = HashMap::new();
    let mut places: Vec<(u32, Place)> = Vec::new();
    for (chunk, first) in group
        .chunks(MANIFEST_READS_MAX)
        .zip((0..).step_by(MANIFEST_READS_MAX))
    {
        let read = read_manifests(table.storage(), chunk.to_vec(), cache).await?;
        for (manifest, read) in (first..).zip(&read) {
            for (position, file) in placed_files(read)?.iter().enumerate() {
                if !file.is_alive() {
                    continue;
                }
                let values = fields
                    .iter()
                    .map(|field| file.partition_value(*field).cloned());
                let new = number(tuples.len())?;
                let tuple = *tuples.entry(Struct::from_iter(values)).or_insert(new);
                places.push((tuple, (number(manifest)?, number(position)?)));
            }
        }
    }
    let mut order: Vec<(Struct, u32)> = tuples.into_iter().collect();
    order.sort_by(|(one, _), (other, _)| compare_tuples(one, other));
    let mut ranks = vec![0_u32; order.len()];
    for (rank, (_, tuple)) in order.iter().enumerate() {
        if let Some(place) = ranks.get_mut(*tuple as usize) {
            *place = number(rank)?;
        }
    }
    places.sort_by_key(|(tuple, place)| (ranks.get(*tuple as usize).copied(), *place));
    Ok(places.into_iter().map(|(_, place)| place).collect())
}

fn number(place: usize) -> Result<u32> {
    u32::try_from(place).map_err(|_| Error::unsupported("there are too many files to gather"))
}

fn compare_tuples(one: &Struct, other: &Struct) -> Ordering {
    let pairs = one.fields().iter().zip(other.fields());
    pairs
        .map(|(one, other)| compare_values(one.as_ref(), other.as_ref()))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// The files at some places, in their order.
async fn read_places(
    table: &Table,
    cache: &ManifestCache,
    group: &[ManifestFile],
    places: &[Place],
) -> Result<Vec<Draft>> {
    let mut wanted: BTreeMap<u32, HashMap<u32, usize>> = BTreeMap::new();
    for (order, (manifest, position)) in places.iter().enumerate() {
        let of_manifest = wanted.entry(*manifest).or_default();
        of_manifest.insert(*position, order);
    }
    let mut found: Vec<Option<Draft>> = places.iter().map(|_| None).collect();
    let wanted: Vec<(u32, HashMap<u32, usize>)> = wanted.into_iter().collect();
    for chunk in wanted.chunks(MANIFEST_READS_MAX) {
        let of_chunk = chunk.iter().filter_map(|(at, _)| group.get(*at as usize));
        let of_chunk = of_chunk.cloned().collect();
        let read = read_manifests(table.storage(), of_chunk, cache).await?;
        for ((_, positions), read) in chunk.iter().zip(&read) {
            for (position, file) in (0_u32..).zip(placed_files(read)?) {
                let order = positions.get(&position);
                if let Some(place) = order.and_then(|order| found.get_mut(*order)) {
                    *place = Some(Draft::Existing(file));
                }
            }
        }
    }
    let found: Option<Vec<Draft>> = found.into_iter().collect();
    found.ok_or_else(|| Error::internal("a file to gather is not where it was"))
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
