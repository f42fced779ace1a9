//! Branches and tags.

use std::collections::BTreeMap;

use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata};
use serde::Deserialize;

use crate::catalog::metadata_json;
use crate::error::Result;

/// The branch that unversioned statements read and write.
pub const MAIN_BRANCH: &str = "main";

/// Whether a ref moves with commits or stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReferenceKind {
    /// Moves with each commit to it.
    Branch,
    /// Stays at its snapshot.
    Tag,
}

impl ReferenceKind {
    /// `branch` or `tag`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Tag => "tag",
        }
    }
}

/// A named snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The name, as stored.
    pub name: String,
    /// Branch or tag.
    pub kind: ReferenceKind,
    /// The snapshot it names.
    pub snapshot_id: i64,
    /// For how long the ref itself is kept, in milliseconds.
    pub ref_age_ms_max: Option<i64>,
    /// How many snapshots of a branch expiry keeps at least.
    pub snapshots_min: Option<i32>,
    /// For how long snapshots of a branch are kept, in milliseconds.
    pub snapshot_age_ms_max: Option<i64>,
}

/// The part of the metadata that the format crate keeps to itself.
#[derive(Deserialize)]
struct RefsOnly {
    #[serde(default)]
    refs: BTreeMap<String, SnapshotReference>,
}

/// All refs by name. The format crate has no accessor for them, so they are read from its own
/// JSON form.
pub(super) fn references(metadata: &TableMetadata) -> Result<Vec<Reference>> {
    let parsed: RefsOnly = serde_json::from_value(metadata_json(metadata)?)?;
    Ok(parsed
        .refs
        .into_iter()
        .map(|(name, reference)| describe(name, &reference))
        .collect())
}

fn describe(name: String, reference: &SnapshotReference) -> Reference {
    let snapshot_id = reference.snapshot_id;
    match reference.retention {
        SnapshotRetention::Branch {
            min_snapshots_to_keep,
            max_snapshot_age_ms,
            max_ref_age_ms,
        } => Reference {
            name,
            kind: ReferenceKind::Branch,
            snapshot_id,
            ref_age_ms_max: max_ref_age_ms,
            snapshots_min: min_snapshots_to_keep,
            snapshot_age_ms_max: max_snapshot_age_ms,
        },
        SnapshotRetention::Tag { max_ref_age_ms } => Reference {
            name,
            kind: ReferenceKind::Tag,
            snapshot_id,
            ref_age_ms_max: max_ref_age_ms,
            snapshots_min: None,
            snapshot_age_ms_max: None,
        },
    }
}
