//! One change of a branch's files as one snapshot: what it adds, removes and must find unchanged.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use iceberg::spec::{
    DataContentType, FormatVersion, Operation, SchemaRef, Snapshot, TableMetadata,
};
use uuid::Uuid;

use super::change::FilesOnFailure;
use super::evolution::{EvolveSchema, SchemaOperation};
use super::isolation::{Isolation, RowStatement};
use super::references::{find, not_found};
use super::rewrite_manifests::RewriteManifests;
use super::stream::StreamStep;
use super::summary::Tally;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{DeleteFile, Predicate, ScanFile, is_vector, predicate_text, surely_matches};
use crate::table::{MAIN_BRANCH, ReferenceKind, Table, ancestor_ids};
use crate::write::WrittenFile;

/// Adds and removes files of a branch as one snapshot.
///
/// The change is planned on the snapshot that the table of its constructor views, and checked
/// against everything that was committed to the branch since. A check that fails ends the commit
/// with [`crate::error::ErrorKind::Conflict`], naming the check and the file or filter.
#[derive(Debug, Clone)]
pub struct FileChange {
    pub(super) table_uuid: Uuid,
    /// The snapshot that was read; `None` for a table that nothing was written to.
    pub(super) base_snapshot_id: Option<i64>,
    /// The sequence number of that snapshot.
    pub(super) base_sequence_number: i64,
    /// The columns that added files have.
    pub(super) base_schema: SchemaRef,
    /// Changes of the columns that are committed with the files.
    pub(super) columns: Option<Columns>,
    /// Whether the branch is made where there is none.
    makes_branch: bool,
    pub(super) branch: String,
    pub(super) kind: Kind,
    pub(super) added: Vec<WrittenFile>,
    pub(super) removed: Vec<ScanFile>,
    pub(super) superseded: Vec<DeleteFile>,
    pub(super) referenced: Vec<ScanFile>,
    pub(super) isolation: Option<Isolation>,
    pub(super) conflict_filter: Option<Predicate>,
    pub(super) read_filter: Option<Predicate>,
    pub(super) stage: Option<Stage>,
    pub(super) stream: Option<StreamStep>,
    pub(super) summary: BTreeMap<String, String>,
    pub(super) on_failure: FilesOnFailure,
}

/// What a change of files is, which decides the files that go, the checks and the operation.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Append,
    OverwriteRows(Predicate),
    ReplacePartitions,
    DeleteRows(Predicate),
    RowLevel(RowStatement),
    Rewrite,
    /// What a snapshot of this operation did, once more.
    CherryPick(Operation),
    Manifests(RewriteManifests),
}

/// Changes of a table's columns, and the definition that they were planned on.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    before: Arc<TableMetadata>,
    pub(super) evolve: EvolveSchema,
}

impl Columns {
    /// Refuses another definition: the files have the ids that the columns get on this one.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`].
    pub(super) fn check(&self, now: &TableMetadata) -> Result<()> {
        let parts = |of: &TableMetadata| (of.current_schema_id(), of.last_column_id());
        match parts(&self.before) == parts(now) {
            true => Ok(()),
            false => Err(Error::new(
                ErrorKind::Conflict,
                "somebody else changed the table's columns while rows with other columns were \
                 written to it; nothing was changed, try again",
            )),
        }
    }
}

/// A snapshot that no ref names yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    pub(super) wap_id: Option<String>,
}

impl FileChange {
    pub(super) fn new(table: &Table, kind: Kind) -> Self {
        let base = table.snapshot();
        Self {
            table_uuid: table.metadata().uuid(),
            base_snapshot_id: base.map(|base| base.snapshot_id()),
            base_sequence_number: base.map_or(0, |base| base.sequence_number()),
            base_schema: Arc::clone(table.metadata().current_schema()),
            branch: MAIN_BRANCH.to_owned(),
            kind,
            added: Vec::new(),
            removed: Vec::new(),
            superseded: Vec::new(),
            referenced: Vec::new(),
            isolation: None,
            conflict_filter: None,
            columns: None,
            makes_branch: false,
            read_filter: None,
            stage: None,
            stream: None,
            summary: BTreeMap::new(),
            on_failure: FilesOnFailure::Keep,
        }
    }

    /// Adds data files, which were written for `table`; rows that others commit meanwhile stay. No
    /// files make an empty snapshot.
    pub fn append(table: &Table, files: Vec<WrittenFile>) -> Self {
        Self::new(table, Kind::Append).add(files)
    }

    /// Replaces the rows that match `filter` by those of `added`.
    ///
    /// Files whose rows all match go, files of which none may match stay, and a file of which some
    /// match refuses the change. `filter` must be the condition itself: a weaker one, which is good
    /// enough for pruning, would remove too much.
    pub fn overwrite_rows(table: &Table, filter: Predicate, added: Vec<WrittenFile>) -> Self {
        Self::new(table, Kind::OverwriteRows(filter)).add(added)
    }

    /// Replaces each partition of the current spec that gets a row, all of an unpartitioned table.
    pub fn replace_partitions(table: &Table, added: Vec<WrittenFile>) -> Self {
        Self::new(table, Kind::ReplacePartitions).add(added)
    }

    /// Deletes the rows that match `filter` without reading them, as [`Self::overwrite_rows`] does;
    /// [`Predicate::AlwaysTrue`] deletes all. It is applied to the branch as it is at the commit.
    pub fn delete_rows(table: &Table, filter: Predicate) -> Self {
        Self::new(table, Kind::DeleteRows(filter))
    }

    /// Changes rows of `table`, by files that are named with [`Self::add`], [`Self::remove`],
    /// [`Self::supersede`] and [`Self::referencing`].
    pub fn row_level(table: &Table, statement: RowStatement) -> Self {
        Self::new(table, Kind::RowLevel(statement))
    }

    /// Replaces data files by others with the same rows. They get the sequence number of the
    /// snapshot that `table` views, so that equality deletes of later commits still apply to them.
    pub fn rewrite(table: &Table, removed: &[ScanFile], added: Vec<WrittenFile>) -> Self {
        let change = Self::new(table, Kind::Rewrite).add(added);
        removed.iter().fold(change, Self::remove)
    }

    /// Adds data and delete files.
    #[expect(
        clippy::should_implement_trait,
        reason = "a file is no summand, and nobody adds with a sign here"
    )]
    #[must_use]
    pub fn add(mut self, files: Vec<WrittenFile>) -> Self {
        self.added.extend(files);
        self
    }

    /// Removes a data file that was rewritten or wholly deleted, with its deletion vector and the
    /// position deletes that are for it alone.
    #[must_use]
    pub fn remove(mut self, file: &ScanFile) -> Self {
        self.removed.push(file.clone());
        self
    }

    /// Removes a deletion vector, or position deletes of one data file, that a new one holds.
    #[must_use]
    pub fn supersede(mut self, deletes: &DeleteFile) -> Self {
        self.superseded.push(deletes.clone());
        self
    }

    /// Names a data file that added deletes point to: it must still be there at the commit.
    #[must_use]
    pub fn referencing(mut self, file: &ScanFile) -> Self {
        self.referenced.push(file.clone());
        self
    }

    /// Changes this branch, which must exist, instead of `main`.
    #[must_use]
    pub fn with_branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self
    }

    /// Changes this branch; where there is none, it is made on top of what `main` has.
    #[must_use]
    pub fn with_new_branch(mut self, branch: impl Into<String>) -> Self {
        self.branch = branch.into();
        self.makes_branch = true;
        self
    }

    /// Changes the columns in the same commit. The change is one of a table with these columns
    /// already; `before` is the table without them, and another definition than its conflicts.
    #[must_use]
    pub fn with_columns(mut self, before: &Table, operations: Vec<SchemaOperation>) -> Self {
        self.columns = Some(Columns {
            before: Arc::clone(before.metadata()),
            evolve: EvolveSchema { operations },
        });
        self
    }

    /// Adds keys to the snapshot's summary; they never replace keys of the format.
    #[must_use]
    pub fn with_summary(mut self, keys: impl IntoIterator<Item = (String, String)>) -> Self {
        self.summary.extend(keys);
        self
    }

    /// Says what becomes of the added files when it is certain that they were not committed.
    #[must_use]
    pub fn with_files_on_failure(mut self, on_failure: FilesOnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// Validates at this level. Unset, changes of rows follow the table's
    /// `write.{delete,update,merge}.isolation-level`, overwrites are serializable.
    #[must_use]
    pub fn with_isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Says which rows the change read: files of others that can hold none of them do not
    /// conflict. It may be weaker than the condition itself. Unset, every row counts as read.
    #[must_use]
    pub fn with_conflict_filter(mut self, filter: Predicate) -> Self {
        self.conflict_filter = Some(filter);
        self
    }

    /// Says which rows of the branch the change has read beside those that it is about, as a
    /// subquery does: with [`Isolation::Serializable`], others may neither add nor change nor
    /// delete such rows.
    #[must_use]
    pub fn with_read_filter(mut self, filter: Predicate) -> Self {
        self.read_filter = Some(filter);
        self
    }

    /// Makes the snapshot without moving the branch to it; `wap_id` is what publishing it asks for.
    #[must_use]
    pub fn staged(mut self, wap_id: Option<String>) -> Self {
        self.stage = Some(Stage { wap_id });
        self
    }

    /// Makes the change a step of a stream: refused where the branch has the step already, and a
    /// snapshot also where no row changes.
    #[must_use]
    pub fn with_stream_step(mut self, step: StreamStep) -> Self {
        self.stream = Some(step);
        self
    }

    /// The change's name in logs.
    pub(super) fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Append => "append",
            Kind::OverwriteRows(_) => "overwrite-rows",
            Kind::ReplacePartitions => "replace-partitions",
            Kind::DeleteRows(_) => "delete-rows",
            Kind::RowLevel(statement) => statement.as_str(),
            Kind::Rewrite => "rewrite",
            Kind::CherryPick(_) => "cherry-pick",
            Kind::Manifests(_) => "rewrite-manifests",
        }
    }

    /// The keys that the snapshot's summary has beside those of the format.
    pub(super) fn summary_keys(&self) -> BTreeMap<String, String> {
        let mut keys = self.summary.clone();
        if self.kind == Kind::ReplacePartitions {
            keys.insert("replace-partitions".to_owned(), "true".to_owned());
        }
        if let Some(Stage { wap_id: Some(id) }) = &self.stage {
            keys.insert("wap.id".to_owned(), id.clone());
        }
        keys.extend(self.stream.iter().flat_map(StreamStep::keys));
        keys
    }

    /// The operation of a snapshot that adds and removes so much.
    pub(super) fn operation(&self, tally: &Tally) -> Operation {
        match &self.kind {
            Kind::Append => Operation::Append,
            Kind::Rewrite | Kind::Manifests(_) => Operation::Replace,
            Kind::ReplacePartitions => Operation::Overwrite,
            Kind::DeleteRows(_) => Operation::Delete,
            Kind::CherryPick(operation) => operation.clone(),
            Kind::OverwriteRows(_) | Kind::RowLevel(_) if !tally.adds_data() => Operation::Delete,
            Kind::RowLevel(_) if !tally.adds_deletes() && !tally.removes() => Operation::Append,
            Kind::OverwriteRows(_) | Kind::RowLevel(_) => Operation::Overwrite,
        }
    }

    /// Whether the change does nothing whatever the table holds: a replacement of the partitions of
    /// no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.kind == Kind::ReplacePartitions && self.added.is_empty() && self.stream.is_none()
    }

    /// Whether what a change comes to makes a snapshot. An append always does, its caller may want
    /// the keys in the summary.
    pub(super) fn is_worth_it(&self, tally: &Tally) -> bool {
        matches!(self.kind, Kind::Append | Kind::CherryPick(_))
            || self.stream.is_some()
            || tally.adds_data()
            || tally.adds_deletes()
            || tally.removes()
    }

    /// The data sequence number of added data files, where it is not the snapshot's.
    pub(super) fn data_sequence_number(&self, version: FormatVersion) -> Option<i64> {
        let is_old = self.kind == Kind::Rewrite && version != FormatVersion::V1;
        is_old.then_some(self.base_sequence_number)
    }

    /// The added files but for deletes of data files that are gone, and those.
    pub(super) fn without_deletes_of(
        &self,
        gone: &BTreeSet<String>,
    ) -> (Vec<WrittenFile>, Vec<WrittenFile>) {
        self.added.iter().cloned().partition(|file| {
            let referenced = file.data_file.referenced_data_file();
            referenced.is_none_or(|path| !gone.contains(&path))
        })
    }

    /// The data files that the change adds deletion vectors of.
    pub(super) fn vector_paths(&self) -> BTreeSet<String> {
        let added = self.added.iter().map(|file| &file.data_file);
        added
            .filter(|file| is_vector(file.content_type(), file.file_format()))
            .filter_map(|file| file.referenced_data_file())
            .collect()
    }

    /// Refuses a change that contradicts itself or the table's format.
    pub(super) fn check(&self, version: FormatVersion) -> Result<()> {
        let refuse = |what: String, path: &str| {
            Err(Error::internal(format!("a file to commit {what}")).with_context("file", path))
        };
        let takes_deletes = matches!(self.kind, Kind::RowLevel(_));
        let removed: HashSet<&str> = self.removed.iter().map(ScanFile::path).collect();
        let mut seen = HashSet::with_capacity(self.added.len());
        let mut with_vector = HashSet::new();
        for WrittenFile { data_file, .. } in &self.added {
            let path = data_file.file_path();
            let content = data_file.content_type();
            if !seen.insert((path, data_file.content_offset())) {
                return refuse("is named twice by one commit".to_owned(), path);
            }
            if data_file.first_row_id().is_some() {
                let what = "has row ids already, which only its first commit may give";
                return refuse(what.to_owned(), path);
            }
            if content == DataContentType::Data {
                continue;
            }
            if !takes_deletes {
                return refuse("holds deletes".to_owned(), path);
            }
            let is_vector = is_vector(content, data_file.file_format());
            let is_positions = content == DataContentType::PositionDeletes && !is_vector;
            let is_offered = match version {
                FormatVersion::V1 => false,
                FormatVersion::V2 => !is_vector,
                FormatVersion::V3 => !is_positions,
            };
            if !is_offered {
                return refuse(format!("holds deletes that {version} does not have"), path);
            }
            let Some(referenced) = data_file.referenced_data_file() else {
                match is_vector {
                    true => return refuse("is a vector of no data file".to_owned(), path),
                    false => continue,
                }
            };
            if removed.contains(referenced.as_str()) {
                return refuse(format!("deletes rows of {referenced:?}, which goes"), path);
            }
            if is_vector && !with_vector.insert(referenced) {
                return refuse("is the second vector of a data file".to_owned(), path);
            }
        }
        self.check_rewrite()
    }

    /// Refuses rows beside those that an overwrite by a filter replaces: doing it once more would
    /// not replace them, and others who overwrite them would not be found.
    pub(super) fn check_replacing(&self, metadata: &TableMetadata) -> Result<()> {
        let Kind::OverwriteRows(filter) = &self.kind else {
            return Ok(());
        };
        let outside = self
            .added
            .iter()
            .find(|WrittenFile { data_file, spec_id }| {
                !surely_matches(filter, metadata, *spec_id, data_file)
            });
        match outside {
            None => Ok(()),
            Some(file) => Err(Error::invalid(
                "a file that is added may hold rows which do not match the filter of the overwrite",
            )
            .with_context("file", file.data_file.file_path())
            .with_context("filter", predicate_text(filter, metadata))),
        }
    }

    /// A rewrite of files leaves rows out that are deleted, and has none of its own.
    fn check_rewrite(&self) -> Result<()> {
        let sum = |rows: &mut dyn Iterator<Item = u64>| rows.fold(0, u64::saturating_add);
        let added = sum(&mut self.added.iter().map(|file| file.data_file.record_count()));
        let removed = self
            .removed
            .iter()
            .map(|file| file.data_file().record_count());
        let removed = sum(&mut { removed });
        if self.kind == Kind::Rewrite && added > removed {
            return Err(Error::internal(format!(
                "a rewrite adds {added} rows where it removes {removed}"
            )));
        }
        Ok(())
    }

    /// Refuses files that were written for a definition which has been replaced as a whole: their
    /// columns would be read as missing.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`].
    pub(super) fn check_definition(
        &self,
        metadata: &TableMetadata,
        head: Option<&Snapshot>,
    ) -> Result<()> {
        let (base, current) = (&self.base_schema, metadata.current_schema());
        if self.added.is_empty() || base.schema_id() == current.schema_id() {
            return Ok(());
        }
        let is_replaced = match self.base_snapshot_id {
            Some(id) => {
                let head = head.map(Snapshot::snapshot_id);
                !ancestor_ids(metadata, head).any(|ancestor| ancestor == id)
            }
            // What others made of an empty table: the same columns, whatever their names are now,
            // or others of their names.
            None => base.as_struct().fields().iter().any(|field| {
                current.field_by_id(field.id).is_none()
                    && current.field_by_name(&field.name).is_some()
            }),
        };
        match is_replaced {
            false => Ok(()),
            true => Err(Error::new(
                ErrorKind::Conflict,
                "the table's columns were replaced by others while rows were written to it; \
                 nothing was changed, try again",
            )),
        }
    }

    /// Refuses a step of a stream that the branch has already or that does not follow.
    ///
    /// # Errors
    /// As [`StreamStep::check`].
    pub(super) fn check_stream(
        &self,
        metadata: &TableMetadata,
        head: Option<&Snapshot>,
    ) -> Result<()> {
        let mut steps = self.stream.iter();
        steps.try_for_each(|step| step.check(metadata, head))
    }

    /// The branch as stored, and its head.
    pub(super) fn head<'a>(&self, table: &'a Table) -> Result<(String, Option<&'a Snapshot>)> {
        let metadata = table.metadata();
        if self.branch.eq_ignore_ascii_case(MAIN_BRANCH) {
            let head = metadata.current_snapshot().map(AsRef::as_ref);
            return Ok((MAIN_BRANCH.to_owned(), head));
        }
        let Some(branch) = find(table, &self.branch)? else {
            if self.makes_branch && !self.branch.is_empty() {
                let head = metadata.current_snapshot().map(AsRef::as_ref);
                return Ok((self.branch.clone(), head));
            }
            return Err(not_found(table, &self.branch, Some(ReferenceKind::Branch)));
        };
        if branch.kind != ReferenceKind::Branch {
            return Err(Error::invalid(format!(
                "{:?} is a tag: a tag stays at its snapshot, rows are added to branches",
                branch.name
            )));
        }
        let head = metadata.snapshot_by_id(branch.snapshot_id).ok_or_else(|| {
            Error::corrupt(format!(
                "branch {:?} names snapshot {}, which the metadata does not hold",
                branch.name, branch.snapshot_id
            ))
        })?;
        Ok((branch.name.clone(), Some(head)))
    }
}
