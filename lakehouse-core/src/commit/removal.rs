//! Removing files from a snapshot's manifests: those that hold one are rewritten, others are kept.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use iceberg::spec::{ManifestContentType, ManifestFile, Operation};

use super::file_change::{FileChange, Kind};
use super::manifest::{Draft, ManifestFiles, ManifestKey, has_live_files};
use super::summary::partition_text;
use super::validate::lost;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{
    DeleteKind, MANIFEST_READS_MAX, ManifestCache, Matched, PartitionSet, PlacedFile, Predicate,
    ReadManifest, delete_must_match, manifest_may_hold, manifest_may_match, matched_rows,
    placed_files, predicate_text, read_manifests,
};
use crate::table::Table;
use crate::write::WrittenFile;

/// A delete file: its location, and where in it a deletion vector lies.
type DeleteKey = (String, Option<i64>);

/// Which files a change removes, whatever the snapshot it is applied to.
#[derive(Debug, Default)]
pub(super) struct Removal {
    filter: Option<Predicate>,
    partitions: Option<PartitionSet>,
    /// Partitions that the change has replaced elsewhere: nobody may have touched them since.
    checked: Option<PartitionSet>,
    /// With the data file that they are for.
    superseded: HashMap<DeleteKey, Option<String>>,
    /// Manifests that were looked at, so that a retry does not do it again.
    known_data: HashMap<ManifestKey, Outcome>,
    known_deletes: HashMap<(ManifestKey, Vec<usize>), Arc<Rewritten>>,
}

#[derive(Debug, Clone)]
enum Outcome {
    Untouched,
    Rewritten(Arc<Rewritten>),
}

/// A manifest without some of its files.
#[derive(Debug)]
struct Rewritten {
    manifest: ManifestFile,
    removed: Vec<PlacedFile>,
    /// The least data sequence number of the files that stay.
    least_number: Option<i64>,
}

/// A snapshot's manifests after a removal.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    pub(super) data: Vec<ManifestFile>,
    pub(super) deletes: Vec<ManifestFile>,
    rewritten: Vec<Arc<Rewritten>>,
}

impl Remaining {
    /// The files that went.
    pub(super) fn removed(&self) -> impl Iterator<Item = &PlacedFile> {
        self.rewritten.iter().flat_map(|one| &one.removed)
    }
}

/// The state that files are removed from.
pub(super) struct Ground<'a> {
    pub(super) table: &'a Table,
    pub(super) cache: &'a ManifestCache,
    /// The manifests of the branch's head.
    pub(super) list: &'a [ManifestFile],
    pub(super) head_id: Option<i64>,
    /// Data files that others have removed with all their rows, and so with their deletes.
    pub(super) gone: &'a BTreeSet<String>,
    /// The least data sequence number of the files that the change adds.
    pub(super) added_number: i64,
}

impl Removal {
    /// What `change` removes.
    ///
    /// # Errors
    /// When partitions cannot be told apart, or deletes are superseded that are for many files.
    pub(super) fn new(change: &FileChange, table: &Table) -> Result<Self> {
        let metadata = table.metadata();
        let mut removal = Self::default();
        match &change.kind {
            Kind::OverwriteRows(filter) | Kind::DeleteRows(filter) => {
                removal.filter = Some(filter.clone());
            }
            Kind::ReplacePartitions => {
                let mut partitions = PartitionSet::new(metadata);
                // By the spec that the files were written with: the table's own may be another one
                // by now.
                let is_unpartitioned = |file: &WrittenFile| {
                    let spec = metadata.partition_spec_by_id(file.spec_id);
                    spec.is_some_and(|spec| spec.is_unpartitioned())
                };
                if !change.added.is_empty() && change.added.iter().all(is_unpartitioned) {
                    partitions.set_all();
                }
                for file in &change.added {
                    partitions.insert(metadata, file.spec_id, file.data_file.partition())?;
                }
                removal.partitions = Some(partitions);
            }
            Kind::CherryPick(Operation::Overwrite) => {
                let mut partitions = PartitionSet::new(metadata);
                for file in &change.added {
                    partitions.insert(metadata, file.spec_id, file.data_file.partition())?;
                }
                for file in &change.removed {
                    let (_, tuple) = file.partition_tuple();
                    partitions.insert(metadata, file.spec_id(), tuple)?;
                }
                removal.checked = Some(partitions);
            }
            Kind::CherryPick(_)
            | Kind::Append
            | Kind::RowLevel(_)
            | Kind::Rewrite
            | Kind::Manifests(_) => {}
        }
        // A data file has one vector: the new one takes the place of the old.
        let with_vector = change.vector_paths();
        let old_vectors = change.referenced.iter().filter_map(|file| {
            let vector = file.deletes.vector.as_deref()?;
            with_vector.contains(file.path()).then_some(vector)
        });
        for deletes in change.superseded.iter().chain(old_vectors) {
            let is_for_one = deletes.kind() == DeleteKind::Vector
                || deletes.kind() == DeleteKind::Positions && deletes.referenced_path().is_some();
            if !is_for_one {
                return Err(Error::internal(
                    "deletes that are not for one data file alone cannot be superseded",
                )
                .with_context("file", deletes.path()));
            }
            let offset = deletes.data_file().content_offset();
            let key = (deletes.path().to_owned(), offset);
            removal.superseded.insert(key, deletes.referenced_path());
        }
        Ok(removal)
    }

    /// The partitions whose files the change replaces.
    pub(super) fn partitions(&self) -> Option<&PartitionSet> {
        self.partitions.as_ref().or(self.checked.as_ref())
    }

    /// Removes the files from the manifests of a snapshot.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when a named file is not there; when some but not all rows of a file
    /// match a filter, [`ErrorKind::InvalidInput`] on the snapshot that was read, else
    /// [`ErrorKind::Conflict`].
    pub(super) async fn apply(
        &mut self,
        change: &FileChange,
        ground: &Ground<'_>,
        files: &mut ManifestFiles,
    ) -> Result<Remaining> {
        let mut remaining = Remaining::default();
        let live = || ground.list.iter().filter(|file| has_live_files(file));
        let of = |content| move |file: &&ManifestFile| file.content == content;
        let data: Vec<_> = live().filter(of(ManifestContentType::Data)).collect();
        let deletes: Vec<_> = live().filter(of(ManifestContentType::Deletes)).collect();
        let removed = self
            .remove_data(change, ground, files, &data, &mut remaining)
            .await?;
        self.remove_deletes(ground, files, &deletes, &removed, &mut remaining)
            .await?;
        Ok(remaining)
    }

    /// Removes data files; tells the locations of those that went.
    async fn remove_data(
        &mut self,
        change: &FileChange,
        ground: &Ground<'_>,
        files: &mut ManifestFiles,
        list: &[&ManifestFile],
        remaining: &mut Remaining,
    ) -> Result<HashSet<String>> {
        let named: HashSet<&str> = change.removed.iter().map(|file| file.path()).collect();
        let mut outcomes: Vec<Option<Outcome>> = list
            .iter()
            .map(|file| self.known_data.get(&ManifestKey::of(file)).cloned())
            .collect();
        let likely = |file: &ManifestFile| self.may_list_data(change, ground, file);
        let first: Vec<usize> = (0..list.len()).filter(|at| likely(list[*at])).collect();
        // The bounds that lists give tell where a file is; should they be wrong, all are read.
        let rest: Vec<usize> = (0..list.len()).filter(|at| !likely(list[*at])).collect();
        for (places, is_rest) in [(first, false), (rest, true)] {
            if is_rest && missing(&named, &outcomes).is_none() {
                break;
            }
            let places = places.into_iter().filter(|at| outcomes[*at].is_none());
            let places: Vec<usize> = places.collect();
            for chunk in places.chunks(MANIFEST_READS_MAX) {
                let wanted = chunk.iter().map(|at| list[*at].clone()).collect();
                let storage = ground.table.storage();
                let read = read_manifests(storage, wanted, ground.cache).await?;
                for (at, read) in chunk.iter().zip(read) {
                    let outcome = self
                        .data_outcome(change, ground, files, &named, &read)
                        .await?;
                    let key = ManifestKey::of(&read.file);
                    self.known_data.insert(key, outcome.clone());
                    outcomes[*at] = Some(outcome);
                }
            }
        }
        if let Some(path) = missing(&named, &outcomes) {
            return Err(lost(
                "it removed a data file that the change replaces (missing files to delete)",
            )
            .with_context("file", path));
        }
        let mut removed = HashSet::new();
        for (file, outcome) in list.iter().zip(outcomes) {
            if let Some(Outcome::Rewritten(rewritten)) = outcome {
                removed.extend(rewritten.removed.iter().map(|file| file.path().to_owned()));
                remaining.data.push(rewritten.manifest.clone());
                remaining.rewritten.push(rewritten);
            } else {
                remaining.data.push((*file).clone());
            }
        }
        Ok(removed)
    }

    fn may_list_data(
        &self,
        change: &FileChange,
        ground: &Ground<'_>,
        manifest: &ManifestFile,
    ) -> bool {
        if let Some(filter) = &self.filter {
            return manifest_may_match(filter, manifest, ground.table.metadata());
        }
        if let Some(partitions) = &self.partitions {
            return partitions.may_be_in(manifest, ground.table.metadata());
        }
        let numbers = manifest.min_sequence_number..=manifest.sequence_number;
        change.removed.iter().any(|file| {
            let (layout, tuple) = file.partition_tuple();
            numbers.contains(&file.sequence_number)
                && file.spec_id() == manifest.partition_spec_id
                && manifest_may_hold(manifest, layout, tuple)
        })
    }

    async fn data_outcome(
        &self,
        change: &FileChange,
        ground: &Ground<'_>,
        files: &mut ManifestFiles,
        named: &HashSet<&str>,
        read: &ReadManifest,
    ) -> Result<Outcome> {
        let placed = placed_files(read)?;
        let mut goes = Vec::with_capacity(placed.len());
        for file in &placed {
            goes.push(file.is_alive() && self.data_goes(change, ground, named, file)?);
        }
        if !goes.contains(&true) {
            return Ok(Outcome::Untouched);
        }
        let rewritten = rewrite(ground, files, &read.file, placed, &goes).await?;
        Ok(Outcome::Rewritten(Arc::new(rewritten)))
    }

    fn data_goes(
        &self,
        change: &FileChange,
        ground: &Ground<'_>,
        named: &HashSet<&str>,
        file: &PlacedFile,
    ) -> Result<bool> {
        if named.contains(file.path()) {
            return Ok(true);
        }
        if let Some(partitions) = &self.partitions {
            return match partitions.matched(file) {
                Matched::None => Ok(false),
                Matched::All => Ok(true),
                Matched::Unknown => Err(unclear_partition(change, ground, partitions, file)),
            };
        }
        let Some(filter) = &self.filter else {
            return Ok(false);
        };
        match matched_rows(filter, file) {
            Matched::None => Ok(false),
            Matched::All => Ok(true),
            Matched::Unknown => {
                let kind = match ground.head_id == change.base_snapshot_id {
                    true => ErrorKind::InvalidInput,
                    false => ErrorKind::Conflict,
                };
                Err(Error::new(
                    kind,
                    "a data file cannot be removed where some, but not all, of its rows may match \
                     the filter; change its rows with DELETE, UPDATE or MERGE",
                )
                .with_context("file", file.path())
                .with_context("filter", predicate_text(filter, ground.table.metadata())))
            }
        }
    }

    async fn remove_deletes(
        &mut self,
        ground: &Ground<'_>,
        files: &mut ManifestFiles,
        list: &[&ManifestFile],
        removed: &HashSet<String>,
        remaining: &mut Remaining,
    ) -> Result<()> {
        let is_gone = |path: &Option<String>| {
            let path = path.as_ref();
            path.is_some_and(|path| ground.gone.contains(path))
        };
        let wanted = self.superseded.iter().filter(|(_, path)| !is_gone(path));
        let mut missing: HashSet<DeleteKey> = wanted.map(|(key, _)| key.clone()).collect();
        let is_idle = removed.is_empty()
            && missing.is_empty()
            && self.filter.is_none()
            && self.partitions.is_none();
        if is_idle {
            remaining.deletes = list.iter().map(|file| (*file).clone()).collect();
            return Ok(());
        }
        let least_number = self.least_number(ground, remaining);
        for chunk in list.chunks(MANIFEST_READS_MAX) {
            let wanted = chunk.iter().map(|file| (*file).clone()).collect();
            let read = read_manifests(ground.table.storage(), wanted, ground.cache).await?;
            for read in read {
                let placed = placed_files(&read)?;
                let mut goes: Vec<bool> = placed
                    .iter()
                    .map(|file| file.is_alive() && self.deletes_go(file, removed))
                    .collect();
                if !goes.contains(&true) {
                    remaining.deletes.push(read.file);
                    continue;
                }
                // What applies to no file goes along.
                for (file, goes) in placed.iter().zip(&mut goes) {
                    *goes |= file.is_alive() && file.sequence_number < least_number;
                    if *goes {
                        missing.remove(&delete_key(file));
                    }
                }
                let places = (0..goes.len()).filter(|at| goes[*at]).collect();
                let key = (ManifestKey::of(&read.file), places);
                let rewritten = match self.known_deletes.get(&key) {
                    Some(known) => Arc::clone(known),
                    None => {
                        let new = rewrite(ground, files, &read.file, placed, &goes).await?;
                        let new = Arc::new(new);
                        self.known_deletes.insert(key, Arc::clone(&new));
                        new
                    }
                };
                remaining.deletes.push(rewritten.manifest.clone());
                remaining.rewritten.push(rewritten);
            }
        }
        match missing.into_iter().next() {
            None => Ok(()),
            Some((path, _)) => Err(lost(
                "it removed or replaced deletes that the change replaces (missing files to delete)",
            )
            .with_context("file", path)),
        }
    }

    fn deletes_go(&self, file: &PlacedFile, removed: &HashSet<String>) -> bool {
        if self.superseded.contains_key(&delete_key(file)) {
            return true;
        }
        // Some writers list the deletes of one file under another spec than the file's: they go with
        // it, and stay with it.
        if let Some(path) = file.referenced_path() {
            return removed.contains(&path);
        }
        let filter = self.filter.as_ref();
        let partitions = self.partitions.as_ref();
        filter.is_some_and(|filter| delete_must_match(filter, file))
            || partitions.is_some_and(|partitions| partitions.contains(file) == Some(true))
    }

    /// The least data sequence number that a live data file has after the change, or less: deletes
    /// with a smaller one apply to nothing.
    fn least_number(&self, ground: &Ground<'_>, remaining: &Remaining) -> i64 {
        let own: HashMap<&str, Option<i64>> = remaining
            .rewritten
            .iter()
            .map(|one| (one.manifest.manifest_path.as_str(), one.least_number))
            .collect();
        remaining
            .data
            .iter()
            .filter_map(|file| match own.get(file.manifest_path.as_str()) {
                Some(least) => *least,
                None => Some(file.min_sequence_number),
            })
            .fold(ground.added_number, i64::min)
    }
}

/// Why partitions cannot be replaced: it cannot be told whether the rows of a file are in them.
fn unclear_partition(
    change: &FileChange,
    ground: &Ground<'_>,
    partitions: &PartitionSet,
    file: &PlacedFile,
) -> Error {
    if partitions.contains(file).is_none() {
        return Error::unsupported(
            "a manifest does not tell the partition of a file, so that partitions cannot be \
             replaced; rewrite the table's data files with the engine that wrote them",
        )
        .with_context("file", file.path());
    }
    let kind = match file.file_sequence_number > change.base_sequence_number {
        true => ErrorKind::Conflict,
        false => ErrorKind::InvalidInput,
    };
    let tuple = file.file().partition();
    let partition = partition_text(ground.table.metadata(), file.spec_id, tuple);
    Error::new(
        kind,
        "partitions cannot be replaced where a data file of another partitioning of the table may \
         hold rows of them, and others; rewrite the table's data files with the partitioning of \
         the new rows, overwrite by a filter or a static partition, or DELETE the old rows and \
         INSERT the new ones",
    )
    .with_context("file", file.path())
    .with_context("partition spec", file.spec_id)
    .with_context("partition", partition.unwrap_or_else(|| "none".to_owned()))
}

fn delete_key(file: &PlacedFile) -> DeleteKey {
    (file.path().to_owned(), file.file().content_offset())
}

/// A named file that no manifest was found to hold.
fn missing<'a>(named: &HashSet<&'a str>, outcomes: &[Option<Outcome>]) -> Option<&'a str> {
    let mut missing = named.clone();
    for outcome in outcomes.iter().flatten() {
        if let Outcome::Rewritten(rewritten) = outcome {
            for file in &rewritten.removed {
                missing.remove(file.path());
            }
        }
    }
    missing.into_iter().min()
}

/// Writes a manifest anew: what goes as deleted, what stays as existing, and nothing of what was
/// deleted before.
async fn rewrite(
    ground: &Ground<'_>,
    files: &mut ManifestFiles,
    manifest: &ManifestFile,
    placed: Vec<PlacedFile>,
    goes: &[bool],
) -> Result<Rewritten> {
    let mut drafts = Vec::with_capacity(placed.len());
    let mut removed = Vec::new();
    let mut least_number: Option<i64> = None;
    for (file, goes) in placed.into_iter().zip(goes) {
        if *goes {
            removed.push(file.clone());
            drafts.push(Draft::Deleted(file));
        } else if file.is_alive() {
            let number = file.sequence_number;
            least_number = Some(least_number.map_or(number, |least| least.min(number)));
            drafts.push(Draft::Existing(file));
        }
    }
    let manifest = files
        .write(
            ground.table.storage(),
            ground.table.metadata(),
            manifest.partition_spec_id,
            manifest.content,
            &drafts,
        )
        .await
        .map_err(|error| error.with_context("manifest", &manifest.manifest_path))?;
    Ok(Rewritten {
        manifest,
        removed,
        least_number,
    })
}
