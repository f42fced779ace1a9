//! What can be committed: one type for each kind of change, planned from a table without IO.

use std::sync::Arc;

use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};

use super::evolution::{
    self, EvolvePartitions, EvolveSchema, SetLocation, SetSortOrder, UpgradeFormat,
};
use super::file_change::FileChange;
use super::properties::{RemoveProperties, SetProperties};
use super::publish::{CherryPick, FastForward, PublishChanges};
use super::references::{DropReference, SetReference};
use super::replace::ReplaceTable;
use super::rewrite_manifests::RewriteManifests;
use super::rollback::{RollbackToSnapshot, RollbackToTimestamp, SetCurrentSnapshot};
use crate::catalog::{AskedSwap, SwapTrace, TablePointer, build_on};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{MAIN_BRANCH, Table};

/// A change to one table, to be committed by [`super::Commits::commit`].
#[derive(Debug)]
pub enum Change {
    /// Adds and removes files of a branch.
    Files(Arc<FileChange>),
    /// Makes or moves a branch or tag.
    SetReference(SetReference),
    /// Drops a branch or tag.
    DropReference(DropReference),
    /// Moves `main` back to an ancestor.
    RollbackToSnapshot(RollbackToSnapshot),
    /// Moves `main` back to the newest ancestor before a time.
    RollbackToTimestamp(RollbackToTimestamp),
    /// Moves `main` to any snapshot.
    SetCurrentSnapshot(SetCurrentSnapshot),
    /// Applies a snapshot to `main`.
    CherryPick(CherryPick),
    /// Applies a staged snapshot to `main`.
    PublishChanges(PublishChanges),
    /// Moves a branch forward.
    FastForward(FastForward),
    /// Gathers manifests.
    RewriteManifests(RewriteManifests),
    /// Sets table properties.
    SetProperties(SetProperties),
    /// Removes table properties.
    RemoveProperties(RemoveProperties),
    /// Changes the columns.
    EvolveSchema(EvolveSchema),
    /// Changes the partitioning.
    EvolvePartitions(EvolvePartitions),
    /// Changes the order of new files.
    SetSortOrder(SetSortOrder),
    /// Raises the format version.
    UpgradeFormat(UpgradeFormat),
    /// Lets new files go elsewhere.
    SetLocation(SetLocation),
    /// Puts another definition and other rows in the place of all there are.
    Replace(Arc<ReplaceTable>),
}

impl Change {
    /// The change's name in logs.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Files(change) => change.name(),
            Self::SetReference(_) => "set-reference",
            Self::DropReference(_) => "drop-reference",
            Self::RollbackToSnapshot(_) => "rollback-to-snapshot",
            Self::RollbackToTimestamp(_) => "rollback-to-timestamp",
            Self::SetCurrentSnapshot(_) => "set-current-snapshot",
            Self::CherryPick(_) => "cherry-pick",
            Self::PublishChanges(_) => "publish-changes",
            Self::FastForward(_) => "fast-forward",
            Self::RewriteManifests(_) => "rewrite-manifests",
            Self::SetProperties(_) => "set-properties",
            Self::RemoveProperties(_) => "remove-properties",
            Self::EvolveSchema(_) => "evolve-schema",
            Self::EvolvePartitions(_) => "evolve-partitions",
            Self::SetSortOrder(_) => "set-sort-order",
            Self::UpgradeFormat(_) => "upgrade-format",
            Self::SetLocation(_) => "set-location",
            Self::Replace(_) => "replace-table",
        }
    }

    /// The files that the change adds, where it knows them.
    pub(super) fn files(&self) -> Option<&FileChange> {
        match self {
            Self::Files(change) => Some(change),
            Self::Replace(change) => Some(&change.rows),
            _ => None,
        }
    }

    /// The same to be changed before the change is planned.
    pub(super) fn files_mut(&mut self) -> Option<&mut FileChange> {
        match self {
            Self::Files(change) => Some(Arc::make_mut(change)),
            Self::Replace(change) => Some(Arc::make_mut(&mut Arc::make_mut(change).rows)),
            _ => None,
        }
    }

    /// Whether the change has a pointer swap of its own: one that moves `main` to a snapshot that
    /// exists brings no time with it, the catalog gives it the time of the swap; one of the table's
    /// definition, when a catalog refuses it, must not take the rows of others with it.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::RollbackToSnapshot(_)
            | Self::RollbackToTimestamp(_)
            | Self::SetCurrentSnapshot(_)
            | Self::CherryPick(_)
            | Self::PublishChanges(_)
            | Self::EvolveSchema(_)
            | Self::EvolvePartitions(_)
            | Self::SetSortOrder(_)
            | Self::UpgradeFormat(_)
            | Self::SetLocation(_)
            | Self::Replace(_) => true,
            Self::FastForward(change) => change.branch.eq_ignore_ascii_case(MAIN_BRANCH),
            Self::SetReference(change) => change.name.eq_ignore_ascii_case(MAIN_BRANCH),
            Self::SetProperties(change) => change.raises_version(),
            Self::Files(change) => change.columns.is_some(),
            Self::RewriteManifests(_) | Self::DropReference(_) | Self::RemoveProperties(_) => false,
        }
    }
}

macro_rules! change_from {
    ($($kind:ident),+) => {
        $(impl From<$kind> for Change {
            fn from(change: $kind) -> Self {
                Self::$kind(change)
            }
        })+
    };
}

change_from!(
    SetReference,
    DropReference,
    RollbackToSnapshot,
    RollbackToTimestamp,
    SetCurrentSnapshot,
    CherryPick,
    PublishChanges,
    FastForward,
    RewriteManifests,
    SetProperties,
    RemoveProperties,
    EvolveSchema,
    EvolvePartitions,
    SetSortOrder,
    UpgradeFormat,
    SetLocation
);

impl From<FileChange> for Change {
    fn from(change: FileChange) -> Self {
        Self::Files(Arc::new(change))
    }
}

impl From<ReplaceTable> for Change {
    fn from(change: ReplaceTable) -> Self {
        Self::Replace(Arc::new(change))
    }
}

/// What becomes of a change's data files when it is certain that it was not committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FilesOnFailure {
    /// They stay: the caller may commit them again, or deletes them.
    #[default]
    Keep,
    /// They are deleted with the commit's own files.
    Delete,
}

/// What one change does to a table's metadata.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// In the order they are applied; none when the table is as it should be already.
    pub(super) updates: Vec<TableUpdate>,
    /// Where the touched ref pointed before.
    pub(super) previous_snapshot_id: Option<i64>,
    /// Where it points after.
    pub(super) snapshot_id: Option<i64>,
}

impl Step {
    /// Nothing to do: the ref points where it did.
    pub(super) fn unchanged(snapshot_id: i64) -> Self {
        Self {
            updates: Vec::new(),
            previous_snapshot_id: Some(snapshot_id),
            snapshot_id: Some(snapshot_id),
        }
    }

    /// Updates that leave the current snapshot as it is.
    pub(super) fn of_metadata(table: &Table, updates: Vec<TableUpdate>) -> Self {
        let current = table.metadata().current_snapshot_id();
        Self {
            updates,
            previous_snapshot_id: current,
            snapshot_id: current,
        }
    }
}

/// Applies updates as a catalog does, to see whether they can be and what follows.
pub(super) fn apply(metadata: &TableMetadata, updates: &[TableUpdate]) -> Result<TableMetadata> {
    let built = build_on(metadata, None, |builder| {
        let mut updates = updates.iter().cloned();
        updates.try_fold(builder, |builder, update| update.apply(builder))
    });
    Ok(built.map_err(unfit)?.metadata)
}

/// The format crate's error about updates that it cannot apply: it calls them bad data, though the
/// table is sound and the change is not.
fn unfit(error: iceberg::Error) -> Error {
    let error = Error::from(error);
    match error.kind() {
        ErrorKind::Corrupt => {
            let message = format!("the change does not fit the table: {}", error.message());
            Error::invalid(message).with_source(error)
        }
        _ => error,
    }
}

/// What must hold for `updates`, planned on `base`, to be right: the table is the same one and
/// every touched ref stands where it stood; a ref that was not there still is not. For changes of
/// the table's definition see [`evolution::requirements`].
pub(super) fn requirements(base: &TableMetadata, updates: &[TableUpdate]) -> Vec<TableRequirement> {
    let mut refs: Vec<&str> = updates.iter().filter_map(touched_ref).collect();
    refs.sort_unstable();
    refs.dedup();
    let uuid = TableRequirement::UuidMatch { uuid: base.uuid() };
    std::iter::once(uuid)
        .chain(
            refs.into_iter()
                .map(|name| TableRequirement::RefSnapshotIdMatch {
                    r#ref: name.to_owned(),
                    snapshot_id: base.snapshot_for_ref(name).map(|head| head.snapshot_id()),
                }),
        )
        .chain(evolution::requirements(base, updates))
        .collect()
}

/// What a catalog was asked for and did not answer.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) updates: Vec<TableUpdate>,
    /// The swap of files it stood for, where that is known.
    pub(super) swap: Option<AskedSwap>,
}

impl Sent {
    /// What the table's state `now` tells about the outcome, when it was planned on `base`.
    ///
    /// A snapshot id is ours alone: one of them in the history proves the whole. Else the files tell
    /// it. Where they are not known, a change of refs, properties or the definition counts as
    /// applied when the table is as it asks, though somebody else may have made it so; and as never
    /// applied when something that had to stand still has moved.
    pub(super) fn trace(&self, base: &TableMetadata, now: &TablePointer) -> SwapTrace {
        let mut added = self.updates.iter().filter_map(|update| match update {
            TableUpdate::AddSnapshot { snapshot } => Some(snapshot.snapshot_id()),
            _ => None,
        });
        if added.any(|id| now.metadata.snapshot_by_id(id).is_some()) {
            return SwapTrace::Applied;
        }
        if let Some(swap) = &self.swap {
            return swap.trace(now);
        }
        let is_added = evolution::is_added(&self.updates, base, &now.metadata);
        if is_added || self.is_as_asked(&now.metadata) {
            SwapTrace::Applied
        } else if self.has_moved(base, &now.metadata) {
            SwapTrace::NeverApplied
        } else {
            SwapTrace::Open
        }
    }

    /// Whether some ref that the updates touch no longer stands where `base` saw it.
    fn has_moved(&self, base: &TableMetadata, now: &TableMetadata) -> bool {
        let head = |metadata: &TableMetadata, name: &str| {
            metadata
                .snapshot_for_ref(name)
                .map(|head| head.snapshot_id())
        };
        self.updates
            .iter()
            .filter_map(touched_ref)
            .any(|name| head(base, name) != head(now, name))
            || evolution::has_moved(&self.updates, base, now)
    }

    /// Whether a table is as the updates ask; never when they add snapshots.
    fn is_as_asked(&self, now: &TableMetadata) -> bool {
        self.updates.iter().all(|update| match update {
            TableUpdate::SetSnapshotRef {
                ref_name,
                reference,
            } => now
                .snapshot_for_ref(ref_name)
                .is_some_and(|head| head.snapshot_id() == reference.snapshot_id),
            TableUpdate::RemoveSnapshotRef { ref_name } => now.snapshot_for_ref(ref_name).is_none(),
            TableUpdate::SetProperties { updates } => updates
                .iter()
                .all(|(key, value)| now.properties().get(key) == Some(value)),
            TableUpdate::RemoveProperties { removals } => removals
                .iter()
                .all(|key| !now.properties().contains_key(key)),
            definition => {
                evolution::is_as_asked(definition, &self.updates, now).unwrap_or_default()
            }
        })
    }
}

fn touched_ref(update: &TableUpdate) -> Option<&str> {
    match update {
        TableUpdate::SetSnapshotRef { ref_name, .. }
        | TableUpdate::RemoveSnapshotRef { ref_name } => Some(ref_name),
        _ => None,
    }
}
