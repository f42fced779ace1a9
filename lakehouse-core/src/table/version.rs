//! Which snapshot and schema a version of a table names.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use iceberg::spec::{SchemaRef, SnapshotRef, TableMetadata};

use super::Table;
use super::refs::{self, ReferenceKind};
use crate::error::{Error, Result};
use crate::name::{Name, hint};

/// A version of a table, as `AS OF` clauses and [`super::Table::at`] name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Version {
    /// The snapshot with this id.
    Snapshot(i64),
    /// What was current at this time, in milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// The head of a branch, read with the current schema.
    Branch(String),
    /// The snapshot of a tag.
    Tag(String),
    /// The snapshot with this id, if the text is digits and there is one; else a tag or branch of
    /// this name.
    Reference(String),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(id) => write!(f, "snapshot {id}"),
            Self::Timestamp(ms) => write!(f, "time {}", time_text(*ms)),
            Self::Branch(name) => write!(f, "branch {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
            Self::Reference(name) => write!(f, "version {name}"),
        }
    }
}

/// A time as people read it.
pub(crate) fn time_text(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).map_or_else(
        || format!("{ms} ms since 1970"),
        |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// The snapshot and the schema to read it with.
pub(super) fn resolve(
    table: &Table,
    version: &Version,
) -> Result<(Option<SnapshotRef>, SchemaRef)> {
    let metadata = table.metadata();
    match version {
        Version::Snapshot(id) => {
            let snapshot = metadata.snapshot_by_id(*id).ok_or_else(|| {
                Error::not_found(format!(
                    "the table has no snapshot {id}: it never had or it has expired"
                ))
            })?;
            with_own_schema(metadata, snapshot)
        }
        Version::Timestamp(ms) => with_own_schema(metadata, as_of(metadata, *ms)?),
        Version::Branch(name) => resolve_ref(table, name, Some(ReferenceKind::Branch)),
        Version::Tag(name) => resolve_ref(table, name, Some(ReferenceKind::Tag)),
        Version::Reference(name) => {
            // As in Spark, digits are a snapshot's id before they are a name.
            let id = name.parse::<i64>().ok();
            match id.and_then(|id| metadata.snapshot_by_id(id)) {
                Some(snapshot) => with_own_schema(metadata, snapshot),
                None => resolve_ref(table, name, None).map_err(|error| match id {
                    Some(id) => Error::not_found(format!(
                        "the table has no snapshot {id}: it never had or it has expired; and {}",
                        error.message()
                    )),
                    None => error,
                }),
            }
        }
    }
}

fn resolve_ref(
    table: &Table,
    name: &str,
    kind: Option<ReferenceKind>,
) -> Result<(Option<SnapshotRef>, SchemaRef)> {
    let metadata = table.metadata();
    // A table that nothing was written to has no refs yet, and its main branch is empty.
    if metadata.current_snapshot_id().is_none()
        && kind != Some(ReferenceKind::Tag)
        && name.eq_ignore_ascii_case(refs::MAIN_BRANCH)
    {
        return Ok((None, Arc::clone(metadata.current_schema())));
    }
    let references: Vec<_> = table
        .refs()?
        .iter()
        .filter(|reference| kind.is_none_or(|kind| reference.kind == kind))
        .collect();
    let wanted = kind.map_or("branch or tag", ReferenceKind::as_str);
    let found = Name::quoted(name).find(&references, |reference| &reference.name)?;
    let reference = found.ok_or_else(|| {
        let names = references.iter().map(|reference| reference.name.as_str());
        Error::not_found(format!(
            "the table has no {wanted} {name:?}{}",
            hint(name, names)
        ))
    })?;
    let snapshot = metadata
        .snapshot_by_id(reference.snapshot_id)
        .ok_or_else(|| {
            Error::corrupt(format!(
                "{wanted} {name:?} names snapshot {}, which the metadata does not hold",
                reference.snapshot_id
            ))
        })?;
    match reference.kind {
        ReferenceKind::Branch => Ok((
            Some(Arc::clone(snapshot)),
            Arc::clone(metadata.current_schema()),
        )),
        ReferenceKind::Tag => with_own_schema(metadata, snapshot),
    }
}

fn with_own_schema(
    metadata: &TableMetadata,
    snapshot: &SnapshotRef,
) -> Result<(Option<SnapshotRef>, SchemaRef)> {
    let schema = match snapshot.schema_id() {
        Some(id) => metadata.schema_by_id(id).map(Arc::clone).ok_or_else(|| {
            Error::corrupt(format!(
                "snapshot {} names schema {id}, which the metadata does not hold",
                snapshot.snapshot_id()
            ))
        })?,
        // Snapshots of format version 1 may not say: the current schema is what there is.
        None => Arc::clone(metadata.current_schema()),
    };
    Ok((Some(Arc::clone(snapshot)), schema))
}

/// The snapshot that was current at `ms`: the last entry of the snapshot log at or before it.
///
/// The log, not the parent chain, so that states that were rolled back are seen at the times they
/// were current (Iceberg spec, point in time reads). Entries before one whose snapshot has expired
/// are not used: what was current then is no longer known.
fn as_of(metadata: &TableMetadata, ms: i64) -> Result<&SnapshotRef> {
    let log = metadata.history();
    let known_from = log
        .iter()
        .rposition(|entry| metadata.snapshot_by_id(entry.snapshot_id).is_none())
        .map_or(0, |expired| expired + 1);
    let known = &log[known_from..];
    let entry = known.iter().rev().find(|entry| entry.timestamp_ms() <= ms);
    entry
        .and_then(|entry| metadata.snapshot_by_id(entry.snapshot_id))
        .ok_or_else(|| {
            let first = known.first().map_or_else(
                || "nothing has been written to it".to_owned(),
                |entry| format!("its history begins at {}", time_text(entry.timestamp_ms())),
            );
            Error::not_found(format!(
                "the table has no snapshot as of {} (UTC): {first}",
                time_text(ms)
            ))
        })
}
