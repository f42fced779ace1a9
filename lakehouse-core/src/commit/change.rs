//! What can be committed: one type for each kind of change, planned from a table without IO.

use std::sync::Arc;

use iceberg::spec::TableMetadata;
use iceberg::{TableRequirement, TableUpdate};

use super::file_change::FileChange;
use super::properties::{RemoveProperties, SetProperties};
use super::publish::{CherryPick, FastForward, PublishChanges};
use super::references::{DropReference, SetReference};
use super::rewrite_manifests::RewriteManifests;
use super::rollback::{RollbackToSnapshot, RollbackToTimestamp, SetCurrentSnapshot};
use crate::catalog::{AskedSwap, SwapTrace, TablePointer};
use crate::error::Result;
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
        }
    }

    /// Whether the change has a pointer swap of its own: one that moves `main` to a snapshot that
    /// exists brings no time with it, the catalog gives it the time of the swap.
    pub(super) fn is_alone(&self) -> bool {
        match self {
            Self::RollbackToSnapshot(_)
            | Self::RollbackToTimestamp(_)
            | Self::SetCurrentSnapshot(_)
            | Self::CherryPick(_)
            | Self::PublishChanges(_) => true,
            Self::FastForward(change) => change.branch.eq_ignore_ascii_case(MAIN_BRANCH),
            Self::SetReference(change) => change.name.eq_ignore_ascii_case(MAIN_BRANCH),
            Self::Files(_)
            | Self::RewriteManifests(_)
            | Self::DropReference(_)
            | Self::SetProperties(_)
            | Self::RemoveProperties(_) => false,
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
    RemoveProperties
);

impl From<FileChange> for Change {
    fn from(change: FileChange) -> Self {
        Self::Files(Arc::new(change))
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
    let mut builder = metadata.clone().into_builder(None);
    for update in updates {
        builder = update.clone().apply(builder)?;
    }
    Ok(builder.build()?.metadata)
}

/// What must hold for `updates`, planned on `base`, to be right: the table is the same one and
/// every touched ref stands where it stood; a ref that was not there still is not.
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
    /// it. Where they are not known, a change of refs or properties counts as applied when the
    /// table is as it asks, though somebody else may have made it so; and as never applied when a
    /// ref that had to stand still has moved.
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
        if self.is_as_asked(&now.metadata) {
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
            _ => false,
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
