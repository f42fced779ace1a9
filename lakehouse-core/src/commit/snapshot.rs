//! The one producer of snapshots: new manifests once, a new manifest list for each attempt.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{FormatVersion, ManifestContentType, ManifestFile, Snapshot, TableMetadata};
use uuid::Uuid;

use super::change::Step;
use super::file_change::{FileChange, Kind};
use super::manifest::{self, ListHeader, ManifestFiles, has_live_files};
use super::merge::{MergePolicy, Merger};
use super::removal::{Ground, Remaining, Removal};
use super::rewrite_manifests::Gathered;
use super::summary::{self, ManifestCounts, Tally};
use super::validate::Validation;
use crate::catalog::metadata_folder;
use crate::clock::{Clock, new_snapshot_id};
use crate::error::{Error, ErrorKind, Result};
use crate::scan::ManifestCache;
use crate::storage::join;
use crate::table::Table;
use crate::write::WrittenFile;

/// By how much the format crate lets a snapshot lag behind the last update of its table.
const LAG_MS_MAX: i64 = 60_000;

/// A snapshot to be: its id, its manifests, and what they add and remove. Made once for a commit,
/// whatever the number of attempts; since the id stays, no two attempts of one commit can both be
/// applied.
#[derive(Debug)]
pub(super) struct StagedSnapshot {
    snapshot_id: i64,
    commit_id: Uuid,
    format_version: FormatVersion,
    change: Arc<FileChange>,
    files: ManifestFiles,
    /// The manifests of added files, once they are written, without the deletes of some data files.
    added: Option<(BTreeSet<String>, Vec<ManifestFile>)>,
    /// Added files that no attempt needs to commit, because what they delete is gone.
    needless: Vec<String>,
    tally: Tally,
    removal: Removal,
    merger: Merger,
    gathered: Gathered,
    validation: Validation,
    /// Manifest lists written for attempts.
    list_locations: Vec<String>,
    /// What the last attempt came to: its list and the manifests that it names.
    current: HashSet<String>,
}

/// The manifests of an attempt.
struct Assembled {
    manifests: Vec<ManifestFile>,
    tally: Tally,
    /// Entries that were written anew to gather manifests.
    processed: usize,
}

impl StagedSnapshot {
    /// A snapshot to be of `change` to `table`; nothing is written yet.
    ///
    /// # Errors
    /// When the change contradicts itself or the table's format; for encrypted tables.
    pub(super) fn new(table: &Table, clock: &dyn Clock, change: Arc<FileChange>) -> Result<Self> {
        let metadata = table.metadata();
        refuse_encryption(metadata)?;
        change.check(metadata.format_version())?;
        change.check_replacing(metadata)?;
        let mut snapshot_id = new_snapshot_id(clock);
        while snapshot_id == 0 || metadata.snapshot_by_id(snapshot_id).is_some() {
            snapshot_id = new_snapshot_id(clock);
        }
        let commit_id = clock.new_uuid();
        Ok(Self {
            snapshot_id,
            commit_id,
            format_version: metadata.format_version(),
            files: ManifestFiles::new(snapshot_id, commit_id.to_string()),
            added: None,
            needless: Vec::new(),
            tally: Tally::of_added(&change.added),
            removal: Removal::new(&change, table)?,
            merger: Merger::default(),
            gathered: Gathered::default(),
            validation: Validation::default(),
            change,
            list_locations: Vec::new(),
            current: HashSet::new(),
        })
    }

    /// Does ahead what does not depend on who commits first: writes the manifests of added files,
    /// waits until they and the files are on the disk, and looks at the branch as it is now.
    pub(super) async fn prepare(&mut self, table: &Table, cache: &ManifestCache) -> Result<()> {
        self.check_table(table.metadata())?;
        let change = Arc::clone(&self.change);
        if matches!(change.kind, Kind::Append | Kind::Manifests(_)) || change.is_empty() {
            self.write_added(table, &BTreeSet::new()).await?;
            return Ok(());
        }
        let (_, head) = change.head(table)?;
        let gone = self.validate(table, head, cache).await?;
        self.write_added(table, &gone).await?;
        self.remove(table, head, cache, &gone).await?;
        self.files.sync(table.storage()).await
    }

    /// The manifests of the added files but the deletes of those data files that are `gone`.
    async fn write_added(
        &mut self,
        table: &Table,
        gone: &BTreeSet<String>,
    ) -> Result<Vec<ManifestFile>> {
        if let Some((known, added)) = &self.added
            && known == gone
        {
            return Ok(added.clone());
        }
        let (storage, metadata) = (table.storage(), table.metadata());
        let change = Arc::clone(&self.change);
        let number = change.data_sequence_number(metadata.format_version());
        let (wanted, _) = change.without_deletes_of(gone);
        let added = self
            .files
            .write_added(storage, metadata, &wanted, number)
            .await?;
        // Deletion vectors share files.
        let data: BTreeSet<&str> = wanted
            .iter()
            .map(|file| file.data_file.file_path())
            .collect();
        storage.sync(data).await?;
        self.files.sync(storage).await?;
        self.added = Some((gone.clone(), added.clone()));
        Ok(added)
    }

    /// Added files that were left out of what was committed.
    pub(super) fn needless(&self) -> impl Iterator<Item = &str> {
        self.needless.iter().map(String::as_str)
    }

    /// What the change adds where these data files are gone.
    fn tally(&mut self, gone: &BTreeSet<String>) -> Tally {
        if gone.is_empty() {
            self.needless.clear();
            return self.tally.clone();
        }
        let (wanted, rest) = self.change.without_deletes_of(gone);
        let path = |file: &WrittenFile| file.data_file.file_path().to_owned();
        let kept: HashSet<String> = wanted.iter().map(path).collect();
        let rest: BTreeSet<String> = rest.iter().map(path).collect();
        self.needless = rest
            .into_iter()
            .filter(|file| !kept.contains(file))
            .collect();
        Tally::of_added(&wanted)
    }

    pub(super) fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    pub(super) fn change(&self) -> &Arc<FileChange> {
        &self.change
    }

    /// Every metadata file this commit wrote: for cleaning up after it failed.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        self.files
            .written()
            .iter()
            .chain(&self.list_locations)
            .map(String::as_str)
    }

    /// What was written for attempts and is no part of the snapshot that `step` adds. A later
    /// attempt may need no snapshot of its own any more.
    pub(super) fn unused(&self, step: &Step) -> impl Iterator<Item = &str> {
        let is_added = step.updates.iter().any(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => snapshot.snapshot_id() == self.snapshot_id,
            _ => false,
        });
        self.written()
            .filter(move |location| !is_added || !self.current.contains(*location))
    }

    /// Writes the manifest list of this attempt and tells the snapshot on top of `parent`; `None`
    /// when there is nothing to change.
    ///
    /// The list is distinct for each attempt, so that a reader of one that won never meets the
    /// bytes of one that lost.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] for what [`Validation::check`] and [`Removal::apply`] refuse.
    pub(super) async fn produce(
        &mut self,
        table: &Table,
        cache: &ManifestCache,
        parent: Option<&Snapshot>,
        now_ms: i64,
    ) -> Result<Option<Snapshot>> {
        let (storage, metadata) = (table.storage(), table.metadata());
        self.check_table(metadata)?;
        self.current.clear();
        let Some(assembled) = self.assemble(table, parent, cache).await? else {
            return Ok(None);
        };
        self.files.sync(storage).await?;
        let Assembled {
            manifests,
            tally,
            processed,
        } = assembled;
        let manifest_paths = manifests.iter().map(|file| file.manifest_path.clone());
        self.current.extend(manifest_paths);
        let counts = self
            .counts(table, parent, cache, &manifests, processed)
            .await?;
        let parent_id = parent.map(Snapshot::snapshot_id);
        let header = ListHeader {
            format_version: metadata.format_version(),
            snapshot_id: self.snapshot_id,
            parent_id,
            sequence_number: metadata.next_sequence_number(),
            first_row_id: metadata.next_row_id(),
        };
        let (bytes, assigned_rows) = manifest::encode_list(header, manifests).await?;
        let location = self.next_list(metadata)?;
        self.current.insert(location.clone());
        storage.write_new(&location, bytes).await?;
        storage.sync([location.as_str()]).await?;

        let summary = summary::of_snapshot(
            metadata,
            parent.map(Snapshot::summary),
            self.change.operation(&tally),
            &tally,
            counts,
            &self.change.summary_keys(),
        );
        let builder = Snapshot::builder()
            .with_snapshot_id(self.snapshot_id)
            .with_parent_snapshot_id(parent_id)
            .with_sequence_number(header.sequence_number)
            .with_timestamp_ms(timestamp_ms(metadata, parent, now_ms))
            .with_manifest_list(location)
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id());
        Ok(Some(match metadata.format_version() {
            FormatVersion::V1 | FormatVersion::V2 => builder.build(),
            FormatVersion::V3 => builder
                .with_row_range(header.first_row_id, assigned_rows)
                .build(),
        }))
    }

    async fn validate(
        &mut self,
        table: &Table,
        parent: Option<&Snapshot>,
        cache: &ManifestCache,
    ) -> Result<BTreeSet<String>> {
        let partitions = self.removal.partitions();
        self.validation
            .check(&self.change, partitions, table, parent, cache)
            .await
    }

    async fn remove(
        &mut self,
        table: &Table,
        parent: Option<&Snapshot>,
        cache: &ManifestCache,
        gone: &BTreeSet<String>,
    ) -> Result<Remaining> {
        let list = parent_list(table, parent, cache).await?;
        let metadata = table.metadata();
        let number = self.change.data_sequence_number(metadata.format_version());
        let ground = Ground {
            table,
            cache,
            list: &list,
            head_id: parent.map(Snapshot::snapshot_id),
            gone,
            added_number: number.unwrap_or_else(|| metadata.next_sequence_number()),
        };
        self.removal
            .apply(&self.change, &ground, &mut self.files)
            .await
    }

    /// The manifests of the snapshot on top of `parent`.
    async fn assemble(
        &mut self,
        table: &Table,
        parent: Option<&Snapshot>,
        cache: &ManifestCache,
    ) -> Result<Option<Assembled>> {
        let policy = MergePolicy::of(table.metadata());
        if let Kind::Manifests(rewrite) = &self.change.kind {
            let list = parent_list(table, parent, cache).await?;
            let gathered = self
                .gathered
                .apply(rewrite, policy, table, cache, &list, &mut self.files)
                .await?;
            return Ok(gathered.map(|(manifests, processed)| Assembled {
                manifests,
                tally: Tally::default(),
                processed,
            }));
        }
        if self.change.is_empty() {
            return Ok(None);
        }
        self.change.check_definition(table.metadata(), parent)?;
        self.change.check_stream(table.metadata(), parent)?;
        let gone = self.validate(table, parent, cache).await?;
        let mut remaining = self.remove(table, parent, cache, &gone).await?;
        let mut tally = self.tally(&gone);
        for file in remaining.removed() {
            tally.remove(file);
        }
        if !self.change.is_worth_it(&tally) {
            return Ok(None);
        }
        let added = self.write_added(table, &gone).await?;
        let is_data = |file: &ManifestFile| file.content == ManifestContentType::Data;
        let (mut data, mut deletes): (Vec<_>, Vec<_>) = added.into_iter().partition(is_data);
        data.append(&mut remaining.data);
        deletes.append(&mut remaining.deletes);
        let mut manifests = Vec::new();
        for group in [data, deletes] {
            let merged = self
                .merger
                .merge(policy, table, cache, &mut self.files, group)
                .await?;
            manifests.extend(merged);
        }
        Ok(Some(Assembled {
            manifests,
            tally,
            processed: 0,
        }))
    }

    async fn counts(
        &self,
        table: &Table,
        parent: Option<&Snapshot>,
        cache: &ManifestCache,
        manifests: &[ManifestFile],
        processed: usize,
    ) -> Result<ManifestCounts> {
        let is_own = |file: &&ManifestFile| file.added_snapshot_id == self.snapshot_id;
        let created = manifests.iter().filter(is_own).count();
        let kept = manifests.len() - created;
        let before = parent_list(table, parent, cache).await?;
        let before = before.iter().filter(|file| has_live_files(file)).count();
        Ok(ManifestCounts {
            created,
            kept,
            replaced: before.saturating_sub(kept),
            processed,
        })
    }

    fn next_list(&mut self, metadata: &TableMetadata) -> Result<String> {
        let name = format!(
            "snap-{}-{}-{}.avro",
            self.snapshot_id,
            self.list_locations.len() + 1,
            self.commit_id
        );
        let location = join(&metadata_folder(metadata)?, &name);
        self.list_locations.push(location.clone());
        Ok(location)
    }

    /// The files were written for one table in one format: a table of the same name that came
    /// later has other field ids and folders.
    fn check_table(&self, metadata: &TableMetadata) -> Result<()> {
        if metadata.uuid() != self.change.table_uuid {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the table was dropped and made anew while rows were written to it; \
                 nothing was changed, try again",
            ));
        }
        if metadata.format_version() != self.format_version {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the table's format version was raised while rows were written to it; nothing was \
                 changed, try again",
            ));
        }
        Ok(())
    }
}

async fn parent_list(
    table: &Table,
    parent: Option<&Snapshot>,
    cache: &ManifestCache,
) -> Result<Arc<Vec<ManifestFile>>> {
    match parent {
        Some(parent) => manifest::read_list(table.storage(), parent, cache).await,
        None => Ok(Arc::default()),
    }
}

fn refuse_encryption(metadata: &TableMetadata) -> Result<()> {
    if metadata.properties().contains_key("encryption.key-id") {
        return Err(Error::unsupported(
            "the table is encrypted (property \"encryption.key-id\"), writing to it is not offered",
        ));
    }
    Ok(())
}

/// The time of a new snapshot: the clock's, unless that would not lie after the last entry of the
/// snapshot log and the parent, so that no two states of a table have the same time.
///
/// A clock that lags behind the table's last updates by more than a minute is not followed, because
/// no reader takes such a snapshot: the time of the last update is taken instead.
pub(super) fn timestamp_ms(
    metadata: &TableMetadata,
    parent: Option<&Snapshot>,
    now_ms: i64,
) -> i64 {
    let updated_ms = metadata
        .metadata_log()
        .last()
        .map_or(i64::MIN, |entry| entry.timestamp_ms)
        .max(metadata.last_updated_ms());
    let now_ms = match now_ms < updated_ms.saturating_sub(LAG_MS_MAX) {
        true => updated_ms,
        false => now_ms,
    };
    let logged = metadata.history().last().map(|entry| entry.timestamp_ms());
    [logged, parent.map(Snapshot::timestamp_ms)]
        .into_iter()
        .flatten()
        .fold(now_ms, |time_ms, before| {
            time_ms.max(before.saturating_add(1))
        })
}
