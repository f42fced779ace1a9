//! Making staged snapshots and those of other branches part of a branch.

use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{
    ManifestFile, ManifestStatus, Operation, Snapshot, SnapshotReference, SnapshotRetention,
    TableMetadata,
};

use super::change::Step;
use super::file_change::{FileChange, Kind};
use super::manifest;
use super::readable::require_readable;
use super::references::{find, not_found, require_snapshot};
use super::rollback::move_main;
use super::stream::{POSITION, STREAM};
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{
    MANIFEST_READS_MAX, ManifestCache, ReadManifest, ScanFile, placed_files, read_manifests,
};
use crate::table::{MAIN_BRANCH, ReferenceKind, Table, ancestor_ids};

/// The key of a staged snapshot's summary by which it is published.
const WAP_ID: &str = "wap.id";
/// What the snapshot that published it names it as.
const PUBLISHED_WAP_ID: &str = "published-wap-id";
/// What a snapshot names the snapshot as whose changes it applies.
const SOURCE_SNAPSHOT_ID: &str = "source-snapshot-id";

/// Applies the changes of a snapshot, staged or of another branch, to `main`.
///
/// A snapshot on top of `main`'s head becomes the head itself. Else an append adds its files once
/// more, and a replacement of partitions does so when nobody has touched them since; other
/// changes are refused. The new snapshot names its source as `source-snapshot-id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CherryPick {
    /// The snapshot to apply.
    pub snapshot_id: i64,
}

/// Applies the one staged snapshot with a `wap.id` to `main`, as [`CherryPick`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishChanges {
    /// The `wap.id` of the staged snapshot.
    pub wap_id: String,
}

/// How the changes of a snapshot become part of `main`.
pub(super) enum Route {
    /// `main` moves to the snapshot itself.
    Moved(Step),
    /// Its files are added and removed once more.
    Files,
}

impl CherryPick {
    /// How the snapshot is applied to the table as it is.
    pub(super) fn route(&self, table: &Table) -> Result<Route> {
        require_snapshot(table, self.snapshot_id)?;
        let metadata = table.metadata();
        let head = metadata.current_snapshot_id();
        let Some(source) = metadata.snapshot_by_id(self.snapshot_id) else {
            return Err(Error::internal("a snapshot was there a moment ago"));
        };
        self.refuse_repeated(table, source)?;
        if source.parent_snapshot_id() == head {
            return move_main(table, self.snapshot_id).map(Route::Moved);
        }
        let is_replacement = is_replacement(source);
        if source.summary().operation != Operation::Append && !is_replacement {
            return Err(Error::invalid(format!(
                "snapshot {} cannot be cherry-picked: it is no append and no dynamic overwrite, \
                 and its parent is not the head of main",
                self.snapshot_id
            )));
        }
        let is_ancestor = |id| ancestor_ids(metadata, head).any(|ancestor| ancestor == id);
        if is_replacement && !source.parent_snapshot_id().is_none_or(is_ancestor) {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "snapshot {} cannot be cherry-picked: it replaces partitions of a snapshot \
                     that is no ancestor of main's head",
                    self.snapshot_id
                ),
            ));
        }
        require_readable(table, self.snapshot_id, MAIN_BRANCH)?;
        Ok(Route::Files)
    }

    fn refuse_repeated(&self, table: &Table, source: &Snapshot) -> Result<()> {
        let metadata = table.metadata();
        let wap_id = source.summary().additional_properties.get(WAP_ID);
        let refuse = |how: String| {
            let message = format!(
                "snapshot {} cannot be applied twice: {how}",
                self.snapshot_id
            );
            Err(Error::new(ErrorKind::AlreadyExists, message))
        };
        for id in ancestor_ids(metadata, metadata.current_snapshot_id()) {
            if id == self.snapshot_id {
                return refuse("it is an ancestor of main's head".to_owned());
            }
            let Some(ancestor) = metadata.snapshot_by_id(id) else {
                continue;
            };
            let keys = &ancestor.summary().additional_properties;
            let source_id = keys.get(SOURCE_SNAPSHOT_ID);
            if source_id.is_some_and(|text| *text == self.snapshot_id.to_string()) {
                return refuse(format!("snapshot {id} applied it already"));
            }
            if wap_id.is_some()
                && (keys.get(WAP_ID) == wap_id || keys.get(PUBLISHED_WAP_ID) == wap_id)
            {
                return refuse(format!("snapshot {id} published its wap.id already"));
            }
        }
        Ok(())
    }

    /// The changes of the snapshot as ones to be committed.
    pub(super) async fn change(&self, table: &Table, cache: &ManifestCache) -> Result<FileChange> {
        let metadata = table.metadata();
        let Some(source) = metadata.snapshot_by_id(self.snapshot_id) else {
            return Err(Error::internal("a snapshot was there a moment ago"));
        };
        let operation = source.summary().operation.clone();
        let mut change = FileChange::new(table, Kind::CherryPick(operation));
        change.base_snapshot_id = source.parent_snapshot_id();
        // The files have the columns of then.
        let schema = source.schema_id().and_then(|id| metadata.schema_by_id(id));
        if let Some(schema) = schema {
            change.base_schema = Arc::clone(schema);
        }
        let list = manifest::read_list(table.storage(), source, cache).await?;
        let own: Vec<ManifestFile> = list
            .iter()
            .filter(|file| file.added_snapshot_id == self.snapshot_id)
            .cloned()
            .collect();
        for chunk in own.chunks(MANIFEST_READS_MAX) {
            for read in read_manifests(table.storage(), chunk.to_vec(), cache).await? {
                self.take(&read, metadata, &mut change)?;
            }
        }
        let keys = &source.summary().additional_properties;
        let source_id = (SOURCE_SNAPSHOT_ID.to_owned(), self.snapshot_id.to_string());
        let wap_id = keys.get(WAP_ID);
        let wap_id = wap_id.map(|id| (PUBLISHED_WAP_ID.to_owned(), id.clone()));
        let replaces = is_replacement(source);
        let replaces = replaces.then(|| ("replace-partitions".to_owned(), "true".to_owned()));
        let kept = [STREAM, POSITION].into_iter();
        let step = kept.filter_map(|key| Some((key.to_owned(), keys.get(key)?.clone())));
        let summary = [source_id].into_iter().chain(wap_id).chain(replaces);
        Ok(change.with_summary(summary.chain(step)))
    }

    /// Adds to `change` what one of the snapshot's manifests says that it did.
    fn take(
        &self,
        read: &ReadManifest,
        metadata: &TableMetadata,
        change: &mut FileChange,
    ) -> Result<()> {
        for file in placed_files(read)? {
            if file.snapshot_id != self.snapshot_id {
                continue;
            }
            match (file.status(), file.is_data()) {
                (ManifestStatus::Added, true) => {
                    change.added.push(manifest::written_file(metadata, file)?);
                }
                (ManifestStatus::Deleted, true) => {
                    change.removed.push(ScanFile::of_placed(&file));
                }
                // Deletes that go with their files do so again.
                (ManifestStatus::Added, false) => {
                    return Err(Error::unsupported(format!(
                        "snapshot {} cannot be cherry-picked: it adds deletes",
                        self.snapshot_id
                    )));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a snapshot replaced partitions dynamically.
fn is_replacement(snapshot: &Snapshot) -> bool {
    let summary = snapshot.summary();
    let says = summary.additional_properties.get("replace-partitions");
    summary.operation == Operation::Overwrite && says.is_some_and(|text| text == "true")
}

impl PublishChanges {
    /// The snapshot that is to be applied.
    pub(super) fn pick(&self, table: &Table) -> Result<CherryPick> {
        let mut found = table.metadata().snapshots().filter(|snapshot| {
            let keys = &snapshot.summary().additional_properties;
            keys.get(WAP_ID) == Some(&self.wap_id)
        });
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(CherryPick {
                snapshot_id: one.snapshot_id(),
            }),
            (None, _) => Err(Error::not_found(format!(
                "the table has no snapshot with wap.id {:?}",
                self.wap_id
            ))),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "several snapshots of the table have wap.id {:?}; publish one of them with \
                 cherrypick_snapshot",
                self.wap_id
            ))),
        }
    }
}

/// Moves a branch forward to the snapshot of another branch or tag, of which its own is an
/// ancestor. A branch that does not exist is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FastForward {
    /// The branch to move, matched without regard to case.
    pub branch: String,
    /// The branch or tag to move it to.
    pub to: String,
}

impl FastForward {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        let to = find(table, &self.to)?.ok_or_else(|| not_found(table, &self.to, None))?;
        let from = find(table, &self.branch)?;
        let previous_snapshot_id = from.map(|from| from.snapshot_id);
        if let Some(from) = from {
            if from.kind != ReferenceKind::Branch {
                return Err(Error::invalid(format!(
                    "{:?} is a tag: a tag stays at its snapshot, only branches are moved forward",
                    from.name
                )));
            }
            if from.snapshot_id == to.snapshot_id {
                return Ok(Step::unchanged(to.snapshot_id));
            }
            if !ancestor_ids(table.metadata(), Some(to.snapshot_id))
                .any(|ancestor| ancestor == from.snapshot_id)
            {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "branch {:?} cannot be moved forward to {:?}: its snapshot {} is no \
                         ancestor of snapshot {}",
                        from.name, to.name, from.snapshot_id, to.snapshot_id
                    ),
                ));
            }
        }
        require_readable(table, to.snapshot_id, &self.branch)?;
        let retention = SnapshotRetention::branch(
            from.and_then(|from| from.snapshots_min),
            from.and_then(|from| from.snapshot_age_ms_max),
            from.and_then(|from| from.ref_age_ms_max),
        );
        let ref_name = match from {
            Some(from) => from.name.clone(),
            None if self.branch.eq_ignore_ascii_case(MAIN_BRANCH) => MAIN_BRANCH.to_owned(),
            None if self.branch.is_empty() => return Err(Error::invalid("a branch needs a name")),
            None => self.branch.clone(),
        };
        Ok(Step {
            updates: vec![TableUpdate::SetSnapshotRef {
                ref_name,
                reference: SnapshotReference::new(to.snapshot_id, retention),
            }],
            previous_snapshot_id,
            snapshot_id: Some(to.snapshot_id),
        })
    }
}
