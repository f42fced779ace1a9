//! The one producer of snapshots: new manifests once, a new manifest list for each attempt.

use std::collections::{BTreeMap, HashSet};

use iceberg::spec::{FormatVersion, ManifestFile, Snapshot, TableMetadata};
use uuid::Uuid;

use super::manifest::{self, ListHeader};
use super::summary::{self, Added, ManifestCounts};
use crate::clock::{Clock, new_snapshot_id};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{Storage, join};
use crate::write::WrittenFile;

/// By how much the format crate lets a snapshot lag behind the last update of its table.
const LAG_MS_MAX: i64 = 60_000;

/// A snapshot to be: its id, its manifests, and what they add. Made once for a commit, whatever
/// the number of attempts; since the id stays, no two attempts of one commit can both be applied.
#[derive(Debug)]
pub(super) struct StagedSnapshot {
    snapshot_id: i64,
    commit_id: Uuid,
    table_uuid: Uuid,
    format_version: FormatVersion,
    manifests: Vec<ManifestFile>,
    added: Added,
    extras: BTreeMap<String, String>,
    /// Manifests written for this commit, also half-written ones.
    manifest_locations: Vec<String>,
    /// Manifest lists written for attempts.
    list_locations: Vec<String>,
}

impl StagedSnapshot {
    /// A snapshot to be that adds `files` to the table of `metadata`; nothing is written yet.
    pub(super) fn new(
        metadata: &TableMetadata,
        clock: &dyn Clock,
        files: &[WrittenFile],
        extras: BTreeMap<String, String>,
    ) -> Result<Self> {
        refuse_encryption(metadata)?;
        refuse_repeated(files)?;
        let mut snapshot_id = new_snapshot_id(clock);
        while snapshot_id == 0 || metadata.snapshot_by_id(snapshot_id).is_some() {
            snapshot_id = new_snapshot_id(clock);
        }
        Ok(Self {
            snapshot_id,
            commit_id: clock.new_uuid(),
            table_uuid: metadata.uuid(),
            format_version: metadata.format_version(),
            manifests: Vec::new(),
            added: Added::of(files),
            extras,
            manifest_locations: Vec::new(),
            list_locations: Vec::new(),
        })
    }

    /// Writes the manifests and waits until they and the data files are on the disk.
    pub(super) async fn write_manifests(
        &mut self,
        storage: &Storage,
        metadata: &TableMetadata,
        files: &[WrittenFile],
    ) -> Result<()> {
        self.manifests = manifest::write_added(
            storage,
            metadata,
            self.snapshot_id,
            &self.commit_id.to_string(),
            files,
            &mut self.manifest_locations,
        )
        .await?;
        let data = files.iter().map(|file| file.data_file.file_path());
        let manifests = self.manifest_locations.iter().map(String::as_str);
        storage.sync(data.chain(manifests)).await
    }

    pub(super) fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// Every metadata file this commit wrote: for cleaning up after it failed.
    pub(super) fn written(&self) -> impl Iterator<Item = &str> {
        self.manifest_locations
            .iter()
            .chain(&self.list_locations)
            .map(String::as_str)
    }

    /// Manifest lists of attempts before the last one.
    pub(super) fn outdated_lists(&self) -> &[String] {
        match self.list_locations.split_last() {
            Some((_, outdated)) => outdated,
            None => &[],
        }
    }

    /// Writes the manifest list of this attempt and tells the snapshot on top of `parent`.
    ///
    /// The list is distinct for each attempt, so that a reader of one that won never meets the
    /// bytes of one that lost.
    pub(super) async fn produce(
        &mut self,
        storage: &Storage,
        metadata: &TableMetadata,
        parent: Option<&Snapshot>,
        now_ms: i64,
    ) -> Result<Snapshot> {
        self.check_table(metadata)?;
        let mut manifests = self.manifests.clone();
        let created = manifests.len();
        if let Some(parent) = parent {
            let kept = manifest::read_list(storage, parent).await?;
            manifests.extend(kept.into_iter().filter(manifest::has_live_files));
        }
        let counts = ManifestCounts {
            created,
            kept: manifests.len() - created,
        };
        let parent_id = parent.map(Snapshot::snapshot_id);
        let header = ListHeader {
            format_version: metadata.format_version(),
            snapshot_id: self.snapshot_id,
            parent_id,
            sequence_number: metadata.next_sequence_number(),
            first_row_id: metadata.next_row_id(),
        };
        let (bytes, assigned_rows) = manifest::encode_list(header, manifests).await?;
        let location = self.next_list(metadata);
        storage.write_new(&location, bytes).await?;
        storage.sync([location.as_str()]).await?;

        let summary = summary::of_append(
            metadata,
            parent.map(Snapshot::summary),
            &self.added,
            counts,
            &self.extras,
        );
        let builder = Snapshot::builder()
            .with_snapshot_id(self.snapshot_id)
            .with_parent_snapshot_id(parent_id)
            .with_sequence_number(header.sequence_number)
            .with_timestamp_ms(timestamp_ms(metadata, parent, now_ms))
            .with_manifest_list(location)
            .with_summary(summary)
            .with_schema_id(metadata.current_schema_id());
        Ok(match metadata.format_version() {
            FormatVersion::V1 | FormatVersion::V2 => builder.build(),
            FormatVersion::V3 => builder
                .with_row_range(header.first_row_id, assigned_rows)
                .build(),
        })
    }

    fn next_list(&mut self, metadata: &TableMetadata) -> String {
        let name = format!(
            "snap-{}-{}-{}.avro",
            self.snapshot_id,
            self.list_locations.len() + 1,
            self.commit_id
        );
        let location = join(&manifest::metadata_folder(metadata), &name);
        self.list_locations.push(location.clone());
        location
    }

    /// The files were written for one table in one format: a table of the same name that came
    /// later has other field ids and folders.
    fn check_table(&self, metadata: &TableMetadata) -> Result<()> {
        if metadata.uuid() != self.table_uuid {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the table was dropped and made anew while rows were written to it",
            ));
        }
        if metadata.format_version() != self.format_version {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the table's format version was raised while rows were written to it; write again",
            ));
        }
        Ok(())
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

fn refuse_repeated(files: &[WrittenFile]) -> Result<()> {
    let mut paths = HashSet::with_capacity(files.len());
    match files
        .iter()
        .map(|file| file.data_file.file_path())
        .find(|path| !paths.insert(*path))
    {
        Some(path) => {
            Err(Error::internal("a data file is named twice by one commit")
                .with_context("file", path))
        }
        None => Ok(()),
    }
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
