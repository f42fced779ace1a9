//! What a change must find unchanged: checks of the snapshots that were committed since its base.

use std::collections::{BTreeSet, HashMap, HashSet};

use iceberg::spec::{
    DataContentType, ManifestContentType, ManifestFile, ManifestStatus, Operation, Snapshot,
    TableMetadata,
};

use super::file_change::{FileChange, Kind};
use super::isolation::{Isolation, RowStatement};
use super::manifest;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{
    DeleteIndex, MANIFEST_READS_MAX, ManifestCache, Matched, PartitionSet, PlacedFile, Predicate,
    ReadManifest, ScanFile, delete_may_match, manifest_may_match, matched_rows, only, placed_files,
    predicate_text, read_manifests,
};
use crate::table::Table;

/// What is said where rows that a subquery read are others by now.
const READ_ROWS: &str = "it added, changed or deleted rows of the table that the statement read beside those it \
     changes, as in a subquery (serializable isolation)";

/// The rows that a check is about.
#[derive(Debug)]
enum Scope<'a> {
    Rows(&'a Predicate, &'a TableMetadata),
    Partitions(&'a PartitionSet),
}

impl Scope<'_> {
    fn may_list(&self, manifest: &ManifestFile, metadata: &TableMetadata) -> bool {
        match self {
            Self::Rows(filter, _) => manifest_may_match(filter, manifest, metadata),
            Self::Partitions(partitions) => partitions.may_be_in(manifest, metadata),
        }
    }

    fn may_hold(&self, file: &PlacedFile) -> bool {
        match self {
            Self::Rows(filter, _) => matched_rows(filter, file) != Matched::None,
            Self::Partitions(partitions) => partitions.matched(file) != Matched::None,
        }
    }

    fn may_delete(&self, file: &PlacedFile, metadata: &TableMetadata) -> bool {
        match self {
            Self::Rows(filter, _) => delete_may_match(filter, file, metadata),
            // Equality deletes without partition fields are for all, and some writers list
            // position deletes under the newest spec.
            Self::Partitions(partitions) => {
                partitions.contains(file) != Some(false)
                    || file.layout.columns.is_empty()
                    || metadata.partition_specs_iter().len() > 1
            }
        }
    }

    /// For the error of a check that failed.
    fn named(&self, error: Error) -> Error {
        match self {
            Self::Rows(filter, metadata) => {
                error.with_context("filter", predicate_text(filter, metadata))
            }
            Self::Partitions(_) => error.with_context("filter", "the replaced partitions"),
        }
    }
}

/// What a change checks of each snapshot.
#[derive(Debug, Default)]
struct Checks<'a> {
    /// No data file was added that may hold such rows.
    no_new_rows: Option<Scope<'a>>,
    /// No delete file was added that may delete such rows.
    no_new_deletes: Option<Scope<'a>>,
    /// No data file was removed that may hold such rows.
    no_removed_rows: Option<Scope<'a>>,
    /// Rows that the change read beside those that it is about: nobody added, changed or deleted
    /// such rows.
    read: Option<Scope<'a>>,
    /// Data files that the change removes: still there, with no new deletes.
    replaced: HashMap<&'a str, &'a ScanFile>,
    /// Whether new equality deletes of replaced files do not matter, because they apply to the
    /// files that replace them too.
    ignores_equality: bool,
    /// Data files with updated rows, which must have no new deletes: else both updates of a row
    /// would stay.
    updated: Vec<&'a ScanFile>,
    /// Data files that added deletes point to.
    referenced: HashSet<&'a str>,
    /// Whether a referenced file may have gone by a deletion of all its rows.
    ignores_deletions: bool,
    /// Data files that get a deletion vector.
    vectors: BTreeSet<String>,
}

/// The checks of one change, and which snapshots have passed them.
#[derive(Debug, Default)]
pub(super) struct Validation {
    /// By the location of the manifest list: a snapshot of a swap that failed comes back with
    /// another one.
    /// With each the data files, referred to by the change, that it removed without that being a
    /// conflict.
    passed: HashMap<String, Vec<String>>,
}

impl Validation {
    /// Checks a change against all snapshots between its base and `head`; tells the data files that
    /// are gone with all their rows, so that the change need not delete any of them.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] with the check that failed, the snapshot, and the file or filter;
    /// also when the history does not reach back to the base.
    pub(super) async fn check(
        &mut self,
        change: &FileChange,
        partitions: Option<&PartitionSet>,
        table: &Table,
        head: Option<&Snapshot>,
        cache: &ManifestCache,
    ) -> Result<BTreeSet<String>> {
        let everything = Predicate::AlwaysTrue;
        let checks = Checks::of(change, partitions, table, &everything)?;
        let mut all_gone = BTreeSet::new();
        if checks.is_empty() {
            return Ok(all_gone);
        }
        for snapshot in since(change.base_snapshot_id, table.metadata(), head)? {
            if let Some(gone) = self.passed.get(snapshot.manifest_list()) {
                all_gone.extend(gone.iter().cloned());
                continue;
            }
            let gone = checks
                .check(snapshot, table, cache)
                .await
                .map_err(|error| error.with_context("snapshot", snapshot.snapshot_id()))?;
            all_gone.extend(gone.iter().cloned());
            self.passed
                .insert(snapshot.manifest_list().to_owned(), gone);
        }
        Ok(all_gone)
    }
}

/// The snapshots of a branch after `base`, newest first.
fn since<'a>(
    base: Option<i64>,
    metadata: &'a TableMetadata,
    head: Option<&'a Snapshot>,
) -> Result<Vec<&'a Snapshot>> {
    let mut found = Vec::new();
    let mut next = head.map(Snapshot::snapshot_id);
    while next != base {
        let snapshot = next
            .and_then(|id| metadata.snapshot_by_id(id))
            // A damaged parent chain may be a ring.
            .filter(|_| found.len() <= metadata.snapshots().len());
        let Some(snapshot) = snapshot else {
            let base = base.map_or("the empty table".to_owned(), |id| format!("snapshot {id}"));
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "cannot determine the history between {base}, which the change read, and the \
                     branch's head: snapshots between them have expired, or the branch was moved; \
                     nothing was changed, try again"
                ),
            ));
        };
        found.push(snapshot.as_ref());
        next = snapshot.parent_snapshot_id();
    }
    Ok(found)
}

impl<'a> Checks<'a> {
    fn of(
        change: &'a FileChange,
        partitions: Option<&'a PartitionSet>,
        table: &'a Table,
        everything: &'a Predicate,
    ) -> Result<Self> {
        let metadata = table.metadata();
        let mut checks = Self {
            replaced: change
                .removed
                .iter()
                .map(|file| (file.path(), file))
                .collect(),
            ..Self::default()
        };
        let filter = change.conflict_filter.as_ref();
        let read = |level: Isolation| match level {
            Isolation::Serializable => {
                let read = change.read_filter.as_ref();
                read.map(|read| Scope::Rows(read, metadata))
            }
            Isolation::Snapshot | Isolation::None => None,
        };
        match &change.kind {
            Kind::Append | Kind::DeleteRows(_) | Kind::Manifests(_) => {}
            Kind::Rewrite => checks.ignores_equality = true,
            Kind::OverwriteRows(rows) => {
                let level = change.isolation.unwrap_or(Isolation::Serializable);
                checks.overwrite(level, || Scope::Rows(filter.unwrap_or(rows), metadata));
                checks.read = read(level);
            }
            Kind::ReplacePartitions | Kind::CherryPick(_) => {
                let level = change.isolation.unwrap_or(Isolation::Serializable);
                if let Some(partitions) = partitions {
                    checks.overwrite(level, || Scope::Partitions(partitions));
                }
                checks.read = read(level);
            }
            Kind::RowLevel(statement) => {
                let level = match change.isolation {
                    Some(level) => level,
                    None => statement.isolation(table)?,
                };
                let filter = filter.unwrap_or(everything);
                let is_delete = *statement == RowStatement::Delete;
                if level == Isolation::Serializable {
                    checks.no_new_rows = Some(Scope::Rows(filter, metadata));
                }
                checks.read = read(level);
                let mut deletes = change.added.iter().map(|file| &file.data_file);
                let adds_deletes = deletes.any(|file| file.content_type() != DataContentType::Data);
                if adds_deletes && !is_delete && level != Isolation::None {
                    checks.no_new_deletes = Some(Scope::Rows(filter, metadata));
                }
                // At other levels no new deletes are allowed anywhere the filter reaches.
                if !is_delete && level == Isolation::None {
                    checks.updated = change.referenced.iter().collect();
                }
                checks.referenced = change.referenced.iter().map(ScanFile::path).collect();
                checks.ignores_deletions = is_delete;
            }
        }
        checks.vectors = change.vector_paths();
        Ok(checks)
    }

    fn overwrite(&mut self, level: Isolation, scope: impl Fn() -> Scope<'a>) {
        if level == Isolation::Serializable {
            self.no_new_rows = Some(scope());
        }
        if level != Isolation::None {
            self.no_new_deletes = Some(scope());
            self.no_removed_rows = Some(scope());
        }
    }

    fn is_empty(&self) -> bool {
        self.no_new_rows.is_none()
            && self.no_new_deletes.is_none()
            && self.no_removed_rows.is_none()
            && self.read.is_none()
            && self.replaced.is_empty()
            && self.referenced.is_empty()
            && self.vectors.is_empty()
    }

    /// Tells the referenced files that are gone, where that is no conflict.
    async fn check(
        &self,
        snapshot: &Snapshot,
        table: &Table,
        cache: &ManifestCache,
    ) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        let list = manifest::read_list(table.storage(), snapshot, cache).await?;
        let wanted: Vec<ManifestFile> = list
            .iter()
            .filter(|file| file.added_snapshot_id == snapshot.snapshot_id())
            .filter(|file| self.wants(file, snapshot, table.metadata()))
            .cloned()
            .collect();
        for chunk in wanted.chunks(MANIFEST_READS_MAX) {
            let read = read_manifests(table.storage(), chunk.to_vec(), cache).await?;
            for read in &read {
                match read.file.content {
                    ManifestContentType::Data => {
                        gone.extend(self.check_data(read, snapshot)?);
                    }
                    ManifestContentType::Deletes => {
                        self.check_deletes(read, snapshot, table.metadata())?;
                    }
                }
            }
        }
        Ok(gone)
    }

    /// Whether a manifest that the snapshot wrote can matter.
    fn wants(&self, file: &ManifestFile, snapshot: &Snapshot, metadata: &TableMetadata) -> bool {
        let scoped = |scope: &Option<Scope<'_>>| {
            let scope = scope.as_ref();
            scope.is_some_and(|scope| scope.may_list(file, metadata))
        };
        let is_read = !is_rewrite(snapshot) && scoped(&self.read);
        match file.content {
            ManifestContentType::Data => {
                let adds = adds_rows(snapshot) && file.has_added_files();
                let is_named = !self.replaced.is_empty() || !self.referenced.is_empty();
                adds && (is_read || scoped(&self.no_new_rows))
                    || file.has_deleted_files()
                        && (is_named || is_read || scoped(&self.no_removed_rows))
            }
            ManifestContentType::Deletes => {
                file.has_added_files()
                    && (self.no_new_deletes.is_some()
                        || self.read.is_some()
                        || !self.replaced.is_empty()
                        || !self.updated.is_empty()
                        || !self.vectors.is_empty())
            }
        }
    }

    fn check_data(&self, read: &ReadManifest, snapshot: &Snapshot) -> Result<Vec<String>> {
        let mut gone = Vec::new();
        let is_deletion = snapshot.summary().operation == Operation::Delete;
        for file in placed_files(read)?.into_iter().filter(is_change) {
            let path = file.path();
            if !is_rewrite(snapshot) {
                let scope = self.read.as_ref().filter(|scope| scope.may_hold(&file));
                refuse(scope, &file, READ_ROWS)?;
            }
            match file.status() {
                ManifestStatus::Added if adds_rows(snapshot) => {
                    refuse(
                        self.no_new_rows
                            .as_ref()
                            .filter(|scope| scope.may_hold(&file)),
                        &file,
                        "it added rows that may match the change's filter (conflicting data)",
                    )?;
                }
                ManifestStatus::Deleted => {
                    if self.replaced.contains_key(path) {
                        return Err(conflict(
                            &file,
                            "it removed a data file that the change replaces (missing files to delete)",
                        ));
                    }
                    if self.referenced.contains(path) {
                        if !(is_deletion && self.ignores_deletions) {
                            return Err(conflict(
                                &file,
                                "it removed a data file whose rows the change deletes (missing \
                                 data files)",
                            ));
                        }
                        gone.push(path.to_owned());
                    }
                    let scope = self.no_removed_rows.as_ref();
                    refuse(
                        scope.filter(|scope| scope.may_hold(&file)),
                        &file,
                        "it removed rows that may match the change's filter (conflicting deletes)",
                    )?;
                }
                ManifestStatus::Added | ManifestStatus::Existing => {}
            }
        }
        Ok(gone)
    }

    fn check_deletes(
        &self,
        read: &ReadManifest,
        snapshot: &Snapshot,
        metadata: &TableMetadata,
    ) -> Result<()> {
        let is_new = |file: &PlacedFile| file.status() == ManifestStatus::Added;
        let is_rewrite = is_rewrite(snapshot);
        for file in placed_files(read)?.into_iter().filter(is_new) {
            let scope = self.read.as_ref();
            let scope = scope.filter(|scope| !is_rewrite && scope.may_delete(&file, metadata));
            refuse(scope, &file, READ_ROWS)?;
            let scope = self.no_new_deletes.as_ref();
            refuse(
                scope.filter(|scope| !is_rewrite && scope.may_delete(&file, metadata)),
                &file,
                "it deleted rows that may match the change's filter (conflicting deletes)",
            )?;
            if file.file().content_type() != DataContentType::PositionDeletes {
                continue;
            }
            // Readers take a vector for all position deletes of its file.
            if let Some(path) = file.first_named(&self.vectors) {
                return Err(conflict(
                    &file,
                    "it added deletes for a data file that gets a deletion vector (conflicting \
                     deletion vectors)",
                )
                .with_context("data file", path));
            }
        }
        // What a rewrite adds was deleted before, unless by an equality delete that did not matter.
        let is_known = is_rewrite && !self.ignores_equality;
        if is_known || self.replaced.is_empty() && self.updated.is_empty() {
            return Ok(());
        }
        let new = only(read, |file| {
            let is_equality = file.file().content_type() == DataContentType::EqualityDeletes;
            is_new(file) && !(is_equality && self.ignores_equality)
        })?;
        let index = DeleteIndex::new(&[new], metadata)?;
        for file in self.replaced.values().chain(&self.updated) {
            if let Some(delete) = file.deletes_in(&index)?.iter().next() {
                return Err(lost(
                    "it deleted rows of a data file that the change replaces (new deletes)",
                )
                .with_context("file", delete.path())
                .with_context("data file", file.path()));
            }
        }
        Ok(())
    }
}

/// Whether the snapshot that wrote the manifest added or removed the file. The entry's own snapshot
/// does not tell: PyIceberg up to 0.11 lists removed files under the one that added them.
fn is_change(file: &PlacedFile) -> bool {
    file.status() != ManifestStatus::Existing
}

/// Rewrites move rows and leave the table's contents as they are.
fn is_rewrite(snapshot: &Snapshot) -> bool {
    snapshot.summary().operation == Operation::Replace
}

/// Rewrites add files and no rows.
fn adds_rows(snapshot: &Snapshot) -> bool {
    match snapshot.summary().operation {
        Operation::Append | Operation::Overwrite => true,
        Operation::Replace | Operation::Delete => false,
    }
}

/// That somebody else's commit came first, and `what` it did.
pub(super) fn lost(what: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("another writer was first: {what}; nothing was changed, try again"),
    )
}

fn conflict(file: &PlacedFile, what: &str) -> Error {
    lost(what).with_context("file", file.path())
}

fn refuse(scope: Option<&Scope<'_>>, file: &PlacedFile, what: &str) -> Result<()> {
    match scope {
        Some(scope) => Err(scope.named(conflict(file, what))),
        None => Ok(()),
    }
}
