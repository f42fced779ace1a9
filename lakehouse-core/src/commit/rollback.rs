//! Moving `main` to an earlier or another snapshot.

use iceberg::TableUpdate;
use iceberg::spec::{SnapshotReference, SnapshotRetention};

use super::change::Step;
use super::readable::require_readable;
use super::references::{find, not_found, require_snapshot};
use crate::error::{Error, Result};
use crate::table::{MAIN_BRANCH, Table, ancestor_ids, time_text};

/// Moves `main` back to an ancestor of the current snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackToSnapshot {
    /// The ancestor.
    pub snapshot_id: i64,
}

impl RollbackToSnapshot {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        require_snapshot(table, self.snapshot_id)?;
        let metadata = table.metadata();
        if !ancestor_ids(metadata, metadata.current_snapshot_id())
            .any(|ancestor| ancestor == self.snapshot_id)
        {
            return Err(Error::invalid(format!(
                "snapshot {} is not an ancestor of the current snapshot; \
                 set_current_snapshot moves to any snapshot",
                self.snapshot_id
            )));
        }
        move_main(table, self.snapshot_id)
    }
}

/// Moves `main` back to the newest ancestor of the current snapshot from before a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollbackToTimestamp {
    /// Milliseconds since 1970-01-01T00:00:00Z; a snapshot of this very time is too new.
    pub timestamp_ms: i64,
}

impl RollbackToTimestamp {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        let metadata = table.metadata();
        let newest = ancestor_ids(metadata, metadata.current_snapshot_id())
            .filter_map(|id| metadata.snapshot_by_id(id))
            .find(|snapshot| snapshot.timestamp_ms() < self.timestamp_ms)
            .ok_or_else(|| {
                Error::not_found(format!(
                    "no ancestor of the current snapshot is older than {}",
                    time_text(self.timestamp_ms)
                ))
            })?;
        move_main(table, newest.snapshot_id())
    }
}

/// Moves `main` to any snapshot the table knows, an ancestor or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetCurrentSnapshot {
    /// To the snapshot with this id.
    Snapshot(i64),
    /// To the snapshot of a branch or tag.
    Reference(String),
}

impl SetCurrentSnapshot {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        let snapshot_id = match self {
            Self::Snapshot(id) => *id,
            Self::Reference(name) => {
                find(table, name)?
                    .ok_or_else(|| not_found(table, name, None))?
                    .snapshot_id
            }
        };
        require_snapshot(table, snapshot_id)?;
        move_main(table, snapshot_id)
    }
}

/// `main` at another snapshot, its retention kept.
pub(super) fn move_main(table: &Table, snapshot_id: i64) -> Result<Step> {
    let previous_snapshot_id = table.metadata().current_snapshot_id();
    if previous_snapshot_id == Some(snapshot_id) {
        return Ok(Step {
            updates: Vec::new(),
            previous_snapshot_id,
            snapshot_id: Some(snapshot_id),
        });
    }
    require_readable(table, snapshot_id, MAIN_BRANCH)?;
    let retention = find(table, MAIN_BRANCH)?.map_or_else(
        || SnapshotRetention::branch(None, None, None),
        |main| {
            SnapshotRetention::branch(
                main.snapshots_min,
                main.snapshot_age_ms_max,
                main.ref_age_ms_max,
            )
        },
    );
    Ok(Step {
        updates: vec![TableUpdate::SetSnapshotRef {
            ref_name: MAIN_BRANCH.to_owned(),
            reference: SnapshotReference::new(snapshot_id, retention),
        }],
        previous_snapshot_id,
        snapshot_id: Some(snapshot_id),
    })
}
