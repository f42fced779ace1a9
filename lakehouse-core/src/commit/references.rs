//! Making, moving and dropping branches and tags.

use iceberg::TableUpdate;
use iceberg::spec::{SnapshotReference, SnapshotRetention};

use super::change::Step;
use super::readable::require_readable;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{Name, hint};
use crate::table::{MAIN_BRANCH, Reference, ReferenceKind, Table};

/// What to do when a ref of the name exists or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceMode {
    /// Make a new one; an existing one of the name is an error, or left as it is.
    Create {
        /// Whether an existing one is left as it is.
        if_not_exists: bool,
    },
    /// Move an existing one.
    Replace,
    /// Move an existing one, or make a new one.
    CreateOrReplace,
}

/// For how long a ref and a branch's snapshots are kept; what is unset stays as it is when a ref
/// is replaced, and follows the table's properties when it is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// For how long the ref itself is kept, in milliseconds.
    pub ref_age_ms_max: Option<i64>,
    /// How many snapshots of a branch expiry keeps at least.
    pub snapshots_min: Option<i32>,
    /// For how long snapshots of a branch are kept, in milliseconds.
    pub snapshot_age_ms_max: Option<i64>,
}

/// Makes or moves a branch or tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetReference {
    /// The ref's name, matched without regard to case.
    pub name: String,
    /// Branch or tag.
    pub kind: ReferenceKind,
    /// The snapshot it is to name; the current one when unset.
    pub snapshot_id: Option<i64>,
    /// For how long it is kept.
    pub retention: Retention,
    /// What an existing ref of the name means.
    pub mode: ReferenceMode,
}

/// What a [`SetReference`] comes to.
pub(super) enum ReferencePlan {
    /// Updates, or none.
    Step(Step),
    /// A branch of a table that nothing was written to: it begins with a snapshot of its own.
    EmptyBranch(SnapshotRetention),
}

impl SetReference {
    pub(super) fn plan(&self, table: &Table) -> Result<ReferencePlan> {
        self.check()?;
        let existing = find(table, &self.name)?;
        if let Some(existing) = existing {
            self.check_existing(existing)?;
            if self.mode
                == (ReferenceMode::Create {
                    if_not_exists: true,
                })
            {
                return Ok(ReferencePlan::Step(Step::unchanged(existing.snapshot_id)));
            }
        } else if self.mode == ReferenceMode::Replace {
            return Err(not_found(table, &self.name, Some(self.kind)));
        } else if self.name.eq_ignore_ascii_case(MAIN_BRANCH) {
            // A table that nothing was written to has the branch without a snapshot.
            return Err(Error::new(
                ErrorKind::AlreadyExists,
                "branch \"main\" exists in every table; write to it to give it a snapshot",
            ));
        }
        let retention = self.retention(existing);
        let Some(snapshot_id) = self.snapshot_id.or(table.metadata().current_snapshot_id()) else {
            if self.kind == ReferenceKind::Branch && self.mode != ReferenceMode::Replace {
                return Ok(ReferencePlan::EmptyBranch(retention));
            }
            return Err(Error::invalid(format!(
                "{} {:?} needs a snapshot to name, and nothing has been written to the table",
                self.kind.as_str(),
                self.name
            )));
        };
        require_snapshot(table, snapshot_id)?;
        if self.kind == ReferenceKind::Branch {
            require_readable(table, snapshot_id, &self.name)?;
        }
        let reference = SnapshotReference::new(snapshot_id, retention);
        let ref_name = existing.map_or(&self.name, |existing| &existing.name);
        Ok(ReferencePlan::Step(Step {
            updates: vec![TableUpdate::SetSnapshotRef {
                ref_name: ref_name.clone(),
                reference,
            }],
            previous_snapshot_id: existing.map(|existing| existing.snapshot_id),
            snapshot_id: Some(snapshot_id),
        }))
    }

    fn check(&self) -> Result<()> {
        if self.name.is_empty() {
            return Err(Error::invalid(format!(
                "a {} needs a name",
                self.kind.as_str()
            )));
        }
        let Retention {
            ref_age_ms_max,
            snapshots_min,
            snapshot_age_ms_max,
        } = self.retention;
        let of_snapshots = snapshots_min.is_some() || snapshot_age_ms_max.is_some();
        if self.kind == ReferenceKind::Tag && of_snapshots {
            return Err(Error::invalid(
                "a tag names one snapshot: it has no snapshot retention, only RETAIN for itself",
            ));
        }
        let positive = ref_age_ms_max.is_none_or(|age| age > 0)
            && snapshot_age_ms_max.is_none_or(|age| age > 0)
            && snapshots_min.is_none_or(|count| count > 0);
        if !positive {
            return Err(Error::invalid("a retention must be greater than zero"));
        }
        Ok(())
    }

    fn check_existing(&self, existing: &Reference) -> Result<()> {
        if existing.kind != self.kind {
            return Err(Error::invalid(format!(
                "{:?} is a {}, not a {}",
                existing.name,
                existing.kind.as_str(),
                self.kind.as_str()
            )));
        }
        match self.mode {
            ReferenceMode::Create {
                if_not_exists: false,
            } => Err(Error::new(
                ErrorKind::AlreadyExists,
                format!("{} {:?} exists already", self.kind.as_str(), existing.name),
            )),
            ReferenceMode::Create {
                if_not_exists: true,
            }
            | ReferenceMode::Replace
            | ReferenceMode::CreateOrReplace => Ok(()),
        }
    }

    fn retention(&self, existing: Option<&Reference>) -> SnapshotRetention {
        let ref_age_ms_max = self
            .retention
            .ref_age_ms_max
            .or_else(|| existing.and_then(|existing| existing.ref_age_ms_max));
        match self.kind {
            ReferenceKind::Tag => SnapshotRetention::Tag {
                max_ref_age_ms: ref_age_ms_max,
            },
            ReferenceKind::Branch => SnapshotRetention::branch(
                self.retention
                    .snapshots_min
                    .or_else(|| existing.and_then(|existing| existing.snapshots_min)),
                self.retention
                    .snapshot_age_ms_max
                    .or_else(|| existing.and_then(|existing| existing.snapshot_age_ms_max)),
                ref_age_ms_max,
            ),
        }
    }
}

/// Drops a branch or tag; its snapshots stay until they expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReference {
    /// The ref's name, matched without regard to case.
    pub name: String,
    /// Branch or tag.
    pub kind: ReferenceKind,
    /// Whether a missing one is no error.
    pub if_exists: bool,
}

impl DropReference {
    pub(super) fn plan(&self, table: &Table) -> Result<Step> {
        if self.name.eq_ignore_ascii_case(MAIN_BRANCH) {
            return Err(Error::invalid("branch \"main\" cannot be dropped"));
        }
        let Some(existing) = find(table, &self.name)? else {
            if self.if_exists {
                return Ok(Step::default());
            }
            return Err(not_found(table, &self.name, Some(self.kind)));
        };
        if existing.kind != self.kind {
            return Err(Error::invalid(format!(
                "{:?} is a {}, not a {}; use DROP {}",
                existing.name,
                existing.kind.as_str(),
                self.kind.as_str(),
                existing.kind.as_str().to_uppercase()
            )));
        }
        Ok(Step {
            updates: vec![TableUpdate::RemoveSnapshotRef {
                ref_name: existing.name.clone(),
            }],
            previous_snapshot_id: Some(existing.snapshot_id),
            snapshot_id: None,
        })
    }
}

/// The ref of a name, matched without regard to case; an exact match wins.
pub(super) fn find<'a>(table: &'a Table, name: &str) -> Result<Option<&'a Reference>> {
    Name::quoted(name).find(table.refs()?, |reference| &reference.name)
}

/// The error for a ref that does not exist.
pub(super) fn not_found(table: &Table, name: &str, kind: Option<ReferenceKind>) -> Error {
    let wanted = kind.map_or("branch or tag", ReferenceKind::as_str);
    let known = table.refs().unwrap_or_default();
    let names = known.iter().map(|reference| reference.name.as_str());
    Error::not_found(format!(
        "the table has no {wanted} {name:?}{}",
        hint(name, names)
    ))
}

/// Refuses a snapshot that the table does not know.
pub(super) fn require_snapshot(table: &Table, snapshot_id: i64) -> Result<()> {
    if table.metadata().snapshot_by_id(snapshot_id).is_none() {
        return Err(Error::not_found(format!(
            "the table has no snapshot {snapshot_id}: it never had or it has expired"
        )));
    }
    Ok(())
}
