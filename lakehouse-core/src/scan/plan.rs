//! Which files of a snapshot a read has to open.

use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, DataFileFormat, Literal, ManifestContentType, ManifestFile, ManifestStatus,
    PrimitiveType, Struct, TableMetadata, Transform,
};

use super::delete_file::{DeleteFile, FileDeletes};
use super::delete_index::DeleteIndex;
use super::evaluate::{ColumnFacts, Facts, may_match};
use super::manifest::{ColumnBound, ColumnCount, ListedEntry, ListedFile, ReadManifest};
use super::manifest_cache::ManifestCache;
use super::partition::{PartitionColumn, PartitionLayout, SummaryFacts, TupleFacts, project};
use super::placed_file::PlacedFile;
use super::planning::Planning;
use super::predicate::Predicate;
use super::strict::file_must_match;
use super::value::Value;
use crate::error::{Error, Result};
use crate::table::Table;

/// The files that a read of one snapshot has to open.
#[derive(Debug, Clone, Default)]
pub struct ScanPlan {
    /// The snapshot; `None` for a table that nothing was written to.
    pub snapshot_id: Option<i64>,
    /// The files, in the order of the manifests.
    pub files: Vec<ScanFile>,
    /// What was looked at and skipped.
    pub counts: PlanCounts,
}

/// What planning looked at and what it skipped, for EXPLAIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanCounts {
    /// Manifests of data files in the snapshot.
    pub manifests_total: usize,
    /// Manifests not read: they hold no live file or none in a wanted partition, or were not needed
    /// to reach a row limit.
    pub manifests_skipped: usize,
    /// Those of the skipped manifests that hold no live file.
    pub manifests_skipped_empty: usize,
    /// Those of the skipped manifests that a row limit made needless.
    pub manifests_skipped_limit: usize,
    /// Live data files in the manifests that were read.
    pub files_total: usize,
    /// Bytes of those files.
    pub files_total_bytes: u64,
    /// Files skipped by their partition values.
    pub files_skipped_partition: usize,
    /// Files skipped by their columns' bounds and counts.
    pub files_skipped_bounds: usize,
    /// Files skipped because they hold no rows.
    pub files_skipped_empty: usize,
    /// Files skipped by a filter on metadata columns, such as `_file`.
    pub files_skipped_metadata: usize,
    /// Files not needed to reach a row limit, as far as they were seen.
    pub files_skipped_limit: usize,
    /// Manifests of delete files in the snapshot.
    pub delete_manifests_total: usize,
    /// Manifests of delete files not read, because they hold no live file or none in a wanted
    /// partition.
    pub delete_manifests_skipped: usize,
}

impl AddAssign for PlanCounts {
    fn add_assign(&mut self, other: Self) {
        self.manifests_total += other.manifests_total;
        self.manifests_skipped += other.manifests_skipped;
        self.manifests_skipped_empty += other.manifests_skipped_empty;
        self.manifests_skipped_limit += other.manifests_skipped_limit;
        self.files_total += other.files_total;
        let bytes = self.files_total_bytes;
        self.files_total_bytes = bytes.saturating_add(other.files_total_bytes);
        self.files_skipped_partition += other.files_skipped_partition;
        self.files_skipped_bounds += other.files_skipped_bounds;
        self.files_skipped_empty += other.files_skipped_empty;
        self.files_skipped_metadata += other.files_skipped_metadata;
        self.files_skipped_limit += other.files_skipped_limit;
        self.delete_manifests_total += other.delete_manifests_total;
        self.delete_manifests_skipped += other.delete_manifests_skipped;
    }
}

/// A live data file with all that a reader needs to know of it.
#[derive(Debug, Clone)]
pub struct ScanFile {
    entry: Arc<ListedEntry>,
    layout: Arc<PartitionLayout>,
    /// The data sequence number: deletes apply to files with smaller ones.
    pub sequence_number: i64,
    /// The sequence number of the commit that added the file, where the manifest tells.
    pub file_sequence_number: Option<i64>,
    /// The snapshot that added the file.
    pub added_snapshot_id: i64,
    /// The row id of the file's first row, in tables of format version 3 with row lineage.
    pub first_row_id: Option<i64>,
    /// What deletes rows of the file.
    pub deletes: FileDeletes,
}

impl ScanFile {
    /// A file of equality deletes as one to read: without partition values, because what it
    /// deletes stands in it.
    pub(crate) fn of_deletes(deletes: &DeleteFile) -> Self {
        Self {
            entry: Arc::clone(deletes.entry()),
            layout: Arc::default(),
            sequence_number: deletes.sequence_number,
            file_sequence_number: None,
            added_snapshot_id: 0,
            first_row_id: None,
            deletes: FileDeletes::default(),
        }
    }

    /// A file as a commit found it, without what deletes its rows.
    pub(crate) fn of_placed(placed: &PlacedFile) -> Self {
        Self {
            entry: Arc::clone(placed.entry()),
            layout: Arc::clone(&placed.layout),
            sequence_number: placed.sequence_number,
            file_sequence_number: Some(placed.file_sequence_number),
            added_snapshot_id: placed.snapshot_id,
            first_row_id: placed.first_row_id,
            deletes: FileDeletes::default(),
        }
    }

    /// Path, sizes, metrics.
    pub fn data_file(&self) -> &ListedFile {
        self.entry.data_file()
    }

    /// The file's location, byte for byte as the manifest has it.
    pub fn path(&self) -> &str {
        self.entry.file_path()
    }

    /// How many rows of the file are live: at least so many, and whether exactly.
    pub fn live_rows(&self) -> (u64, bool) {
        self.deletes.live_rows(self.data_file().record_count())
    }

    /// Whether a condition is surely true for all rows of the file.
    pub(crate) fn must_match(&self, predicate: &Predicate) -> bool {
        let (layout, tuple) = self.partition_tuple();
        let columns = FileFacts(self.data_file());
        file_must_match(predicate, &columns, layout, &TupleFacts { layout, tuple })
    }

    /// The id of the partition spec that the file was written with.
    pub fn spec_id(&self) -> i32 {
        self.layout.spec_id
    }

    /// The partition fields of the file's spec with the file's values; `None` is NULL.
    pub fn partition(&self) -> impl Iterator<Item = (&PartitionColumn, Option<&Literal>)> {
        self.layout
            .columns
            .iter()
            .zip(self.data_file().partition().fields())
            .map(|(column, value)| (column, value.as_ref()))
    }

    /// What of an index applies to the file.
    ///
    /// # Errors
    /// As [`DeleteIndex::deletes_for`].
    pub(crate) fn deletes_in(&self, index: &DeleteIndex) -> Result<FileDeletes> {
        let (layout, _) = self.partition_tuple();
        index.deletes_for(
            self.data_file(),
            self.spec_id(),
            layout,
            self.sequence_number,
        )
    }

    /// The file's spec and its partition values by that spec.
    pub(crate) fn partition_tuple(&self) -> (&PartitionLayout, &Struct) {
        (&self.layout, self.data_file().partition())
    }

    /// The one value that a column has in the whole file, because the file is partitioned by it
    /// without a transform: the value, `None` for NULL, and the type it had when the file was
    /// written. No answer when the file is not partitioned so.
    pub fn constant(&self, field_id: i32) -> Option<(&PrimitiveType, Option<&Literal>)> {
        self.partition().find_map(|(column, value)| {
            let wanted = column.source_id == field_id && column.transform == Transform::Identity;
            Some((column.result_type.as_ref().filter(|_| wanted)?, value))
        })
    }
}

impl ScanPlan {
    /// Rows in the plan's files, deleted ones among them.
    pub fn row_count(&self) -> u64 {
        let rows = self
            .files
            .iter()
            .map(|file| file.data_file().record_count());
        rows.fold(0, u64::saturating_add)
    }

    /// Live rows in the plan's files: at least so many, and whether exactly.
    pub fn live_rows(&self) -> (u64, bool) {
        let files = self.files.iter().map(ScanFile::live_rows);
        files.fold((0, true), |(sum, all), (rows, exact)| {
            (u64::saturating_add(sum, rows), all && exact)
        })
    }

    /// Whether rows of the plan's files may be deleted.
    pub fn has_deletes(&self) -> bool {
        self.files.iter().any(|file| !file.deletes.is_empty())
    }

    /// The delete files that apply to the plan's files, each once, in the order of the files.
    pub fn delete_files(&self) -> Vec<&Arc<DeleteFile>> {
        let mut seen = HashSet::new();
        let all = self.files.iter().flat_map(|file| file.deletes.iter());
        all.filter(|file| seen.insert(Arc::as_ptr(file))).collect()
    }

    /// Bytes of the plan's files.
    pub fn size_bytes(&self) -> u64 {
        let sizes = self
            .files
            .iter()
            .map(|file| file.data_file().file_size_in_bytes());
        sizes.fold(0, u64::saturating_add)
    }
}

/// Plans a read of the table's snapshot: every file that may hold a matching row.
///
/// # Errors
/// [`crate::error::ErrorKind::Unsupported`] when a planned file or what deletes its rows is
/// encrypted or in a format that is not read;
/// [`crate::error::ErrorKind::NotFound`] and [`crate::error::ErrorKind::Corrupt`] for a missing or
/// damaged manifest.
pub async fn plan(
    table: &Table,
    predicate: &Predicate,
    manifests: &ManifestCache,
) -> Result<ScanPlan> {
    let planning = Planning::begin(table, predicate.clone(), manifests).await?;
    planning.whole(None).await
}

/// Plans a read of any `rows_max` rows: no more files than hold that many, and no more manifests
/// read than that takes. Only for reads without a condition.
///
/// # Errors
/// As [`plan`].
pub async fn plan_limit(
    table: &Table,
    rows_max: u64,
    manifests: &ManifestCache,
) -> Result<ScanPlan> {
    let planning = Planning::begin(table, Predicate::AlwaysTrue, manifests).await?;
    planning.whole(Some(rows_max)).await
}

/// Manifests of data files without a live one.
pub(super) fn empty_manifests(list: &[ManifestFile]) -> usize {
    let is_empty =
        |file: &&ManifestFile| file.content == ManifestContentType::Data && !has_live_files(file);
    list.iter().filter(is_empty).count()
}

fn has_live_files(file: &ManifestFile) -> bool {
    file.has_added_files() || file.has_existing_files()
}

/// The delete manifests that may list a delete of a wanted file, and how many there are in all.
pub(super) fn wanted_delete_manifests(
    list: &[ManifestFile],
    metadata: &TableMetadata,
    predicate: &Predicate,
) -> (Vec<ManifestFile>, usize) {
    // Deletes of another spec's partitions may reach a wanted file all the same: equality deletes
    // without partition fields are for all, and some writers list deletes under the newest spec.
    let everything = Predicate::AlwaysTrue;
    let has_one_spec = metadata.partition_specs_iter().len() == 1;
    let predicate = if has_one_spec { predicate } else { &everything };
    manifests_of(ManifestContentType::Deletes, list, metadata, predicate)
}

/// The data manifests that may list a wanted file, and how many there are in all.
pub(super) fn wanted_manifests(
    list: &[ManifestFile],
    metadata: &TableMetadata,
    predicate: &Predicate,
) -> (Vec<ManifestFile>, usize) {
    manifests_of(ManifestContentType::Data, list, metadata, predicate)
}

fn manifests_of(
    content: ManifestContentType,
    list: &[ManifestFile],
    metadata: &TableMetadata,
    predicate: &Predicate,
) -> (Vec<ManifestFile>, usize) {
    let mut specs: HashMap<i32, Option<(PartitionLayout, Predicate)>> = HashMap::new();
    let mut total = 0;
    let mut wanted = Vec::new();
    for file in list.iter().filter(|file| file.content == content) {
        total += 1;
        let spec = specs.entry(file.partition_spec_id).or_insert_with(|| {
            let layout = spec_layout(metadata, file.partition_spec_id)?;
            let projected = project(predicate, &layout);
            Some((layout, projected))
        });
        let may_match = match (spec, &file.partitions) {
            (Some((layout, predicate)), Some(summaries)) => {
                may_match(predicate, &SummaryFacts { layout, summaries })
            }
            _ => true,
        };
        if may_match && has_live_files(file) {
            wanted.push(file.clone());
        }
    }
    (wanted, total)
}

/// The layout of one of the table's specs; a source column that was dropped is looked for in older
/// schemas.
pub(super) fn spec_layout(metadata: &TableMetadata, spec_id: i32) -> Option<PartitionLayout> {
    let spec = metadata.partition_spec_by_id(spec_id)?;
    Some(PartitionLayout::new(spec, |id| column_type(metadata, id)))
}

/// The type that a column has now, or had.
pub(super) fn column_type(metadata: &TableMetadata, field_id: i32) -> Option<PrimitiveType> {
    std::iter::once(metadata.current_schema())
        .chain(metadata.schemas_iter())
        .find_map(|schema| schema.field_by_id(field_id))
        .and_then(|field| field.field_type.as_primitive_type().cloned())
}

/// How many of the manifests hold `rows_max` rows, by the manifest list's counts.
pub(super) fn manifests_for(manifests: &[ManifestFile], rows_max: u64) -> usize {
    let mut rows = 0_u64;
    for (position, file) in manifests.iter().enumerate() {
        if rows >= rows_max {
            return position;
        }
        let live = file.added_rows_count.unwrap_or(0);
        rows = rows
            .saturating_add(live)
            .saturating_add(file.existing_rows_count.unwrap_or(0));
    }
    manifests.len()
}

/// The pure half of planning: the wanted files of manifests that were read.
pub(crate) fn select(
    manifests: &[ReadManifest],
    deletes: &DeleteIndex,
    predicate: &Predicate,
    rows_max: Option<u64>,
) -> Result<ScanPlan> {
    let mut plan = ScanPlan::default();
    let mut rows = 0_u64;
    for read in manifests {
        let layout = &read.manifest.layout;
        let on_partition = project(predicate, layout);
        let mut row_ids = RowIds::new(&read.file);
        for entry in &read.manifest.entries {
            let first_row_id = row_ids.next(entry);
            if !entry.is_alive() {
                continue;
            }
            let file = entry.data_file();
            if file.content_type() != DataContentType::Data {
                return Err(delete_among_data(entry, &read.file));
            }
            plan.counts.files_total += 1;
            plan.counts.files_total_bytes = plan
                .counts
                .files_total_bytes
                .saturating_add(file.file_size_in_bytes());
            let tuple = file.partition();
            if !may_match(&on_partition, &TupleFacts { layout, tuple }) {
                plan.counts.files_skipped_partition += 1;
            } else if !may_match(predicate, &FileFacts(file)) {
                plan.counts.files_skipped_bounds += 1;
            } else if file.record_count() == 0 {
                plan.counts.files_skipped_empty += 1;
            } else if rows_max.is_some_and(|rows_max| rows >= rows_max) {
                plan.counts.files_skipped_limit += 1;
            } else {
                refuse_unreadable(file)?;
                let mut planned = scan_file(entry, layout, &read.file, first_row_id)?;
                let spec_id = read.file.partition_spec_id;
                planned.deletes =
                    deletes.deletes_for(file, spec_id, layout, planned.sequence_number)?;
                rows = rows.saturating_add(planned.live_rows().0);
                plan.files.push(planned);
            }
        }
    }
    Ok(plan)
}

fn delete_among_data(entry: &ListedEntry, manifest: &ManifestFile) -> Error {
    let kind = match entry.content_type() {
        DataContentType::EqualityDeletes => "an equality delete file",
        _ => "a position delete file",
    };
    Error::corrupt(format!(
        "a manifest of data files lists {kind}; rewrite the manifest"
    ))
    .with_context("file", entry.file_path())
    .with_context("manifest", &manifest.manifest_path)
}

/// Hands out the row ids that files inherit from their manifest, in the order of its entries.
pub(super) struct RowIds {
    next: Option<i64>,
}

impl RowIds {
    pub(super) fn new(file: &ManifestFile) -> Self {
        let next = file.first_row_id.and_then(|id| i64::try_from(id).ok());
        Self { next }
    }

    /// The first row id of the next entry's file. A manifest without one has files without.
    pub(super) fn next(&mut self, entry: &ListedEntry) -> Option<i64> {
        let next = self.next?;
        if !entry.is_alive() {
            return None;
        }
        if let Some(own) = entry.data_file().first_row_id() {
            return Some(own);
        }
        self.next = i64::try_from(entry.record_count())
            .ok()
            .and_then(|rows| next.checked_add(rows));
        Some(next)
    }
}

fn scan_file(
    entry: &Arc<ListedEntry>,
    layout: &Arc<PartitionLayout>,
    manifest: &ManifestFile,
    first_row_id: Option<i64>,
) -> Result<ScanFile> {
    let sequence_number = sequence_number(entry, manifest).ok_or_else(|| {
        Error::corrupt(
            "an existing file has no sequence number, and only added files inherit one; rewrite \
             the manifest",
        )
        .with_context("file", entry.file_path())
        .with_context("manifest", &manifest.manifest_path)
    })?;
    Ok(ScanFile {
        entry: Arc::clone(entry),
        layout: Arc::clone(layout),
        sequence_number,
        file_sequence_number: file_sequence_number(entry, manifest),
        added_snapshot_id: entry.snapshot_id.unwrap_or(manifest.added_snapshot_id),
        first_row_id,
        deletes: FileDeletes::default(),
    })
}

/// The data sequence number of an entry, which added ones inherit from their manifest.
pub(super) fn sequence_number(entry: &ListedEntry, manifest: &ManifestFile) -> Option<i64> {
    let inherited = inherits_sequence_number(entry, manifest).then_some(manifest.sequence_number);
    entry.sequence_number.or(inherited)
}

/// The sequence number of the commit that added an entry's file, had or inherited.
pub(super) fn file_sequence_number(entry: &ListedEntry, manifest: &ManifestFile) -> Option<i64> {
    let inherited = inherits_sequence_number(entry, manifest).then_some(manifest.sequence_number);
    entry.file_sequence_number.or(inherited)
}

/// Files of manifests from before sequence numbers were introduced have number 0, as their
/// manifest.
fn inherits_sequence_number(entry: &ListedEntry, manifest: &ManifestFile) -> bool {
    entry.status() == ManifestStatus::Added || manifest.sequence_number == 0
}

fn refuse_unreadable(file: &ListedFile) -> Result<()> {
    let refuse =
        |message: String| Err(Error::unsupported(message).with_context("file", file.file_path()));
    if file.key_metadata().is_some_and(|key| !key.is_empty()) {
        return refuse(
            "the data file is encrypted, and encrypted tables are not read; read the table with an \
             engine that has its keys"
                .to_owned(),
        );
    }
    match file.file_format() {
        DataFileFormat::Parquet => Ok(()),
        other => refuse(format!(
            "the data file has the format {other}, only Parquet is read; rewrite the table's data \
             files as Parquet with the engine that wrote them"
        )),
    }
}

/// A file's metrics, as facts about its columns.
pub(super) struct FileFacts<'a>(pub(super) &'a ListedFile);

impl ColumnFacts for FileFacts<'_> {
    fn facts(&self, field_id: i32) -> Facts<'_> {
        let file = self.0;
        Facts {
            lower: ordered_bound(file, ColumnBound::Lower, field_id),
            upper: ordered_bound(file, ColumnBound::Upper, field_id),
            nulls: file.count(ColumnCount::Nulls, field_id),
            nans: file.count(ColumnCount::Nans, field_id),
            values: file.count(ColumnCount::Values, field_id),
        }
    }
}

/// A column's bound. Old Java writers ordered UUIDs as signed numbers and merged bounds by that
/// order: theirs say nothing.
fn ordered_bound(file: &ListedFile, kind: ColumnBound, field_id: i32) -> Option<Value<'_>> {
    let bound = file.bound_value(kind, field_id);
    bound.filter(|bound| !matches!(bound, Value::Uuid(_)))
}

#[cfg(test)]
mod tests;
