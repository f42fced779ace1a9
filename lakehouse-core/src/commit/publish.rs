//! Making staged snapshots and those of other branches part of a branch.

use iceberg::TableUpdate;
use iceberg::spec::{SnapshotReference, SnapshotRetention};

use super::change::Step;
use super::references::{find, not_found};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{MAIN_BRANCH, ReferenceKind, Table, ancestor_ids};

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
