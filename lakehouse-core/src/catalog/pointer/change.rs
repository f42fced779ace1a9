//! From the current metadata, requirements and updates to the new metadata: pure, no IO.

use iceberg::spec::{FormatVersion, MAIN_BRANCH, Snapshot, TableMetadata};
use iceberg::{TableRequirement, TableUpdate};

use crate::catalog::TablePointer;
use crate::catalog::later_clock::{CLOCK_SKEW_MS_MAX, build_on};
use crate::catalog::metadata_file;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};

const DELETE_TRIMMED: &str = "write.metadata.delete-after-commit.enabled";

/// What updates make of a table.
#[derive(Debug)]
pub(super) enum Change {
    /// New metadata, to be written.
    Made(Box<Changed>),
    /// The table is so already.
    Nothing,
    /// A requirement does not hold, or the updates were made for an older state.
    Conflict(Error),
}

/// New metadata and the files it no longer tracks.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) metadata: TableMetadata,
    /// Metadata files that left the log and that the table's properties want deleted.
    pub(super) trimmed_files: Vec<String>,
}

/// Applies `updates`, made for `base`, to `current`.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for updates that no state of the table could take.
pub(super) fn apply(
    current: &TablePointer,
    base: &TablePointer,
    requirements: Vec<TableRequirement>,
    updates: Vec<TableUpdate>,
    clock: &dyn Clock,
) -> Result<Change> {
    let metadata = &current.metadata;
    if let Some(conflict) = conflict(metadata, &base.metadata, &requirements, &updates) {
        return Ok(Change::Conflict(conflict));
    }
    refuse_new_uuid(metadata, &updates)?;
    let adds_snapshot = updates
        .iter()
        .any(|update| matches!(update, TableUpdate::AddSnapshot { .. }));
    let log_entries_known = metadata.history().len();
    let built = build(current, updates)?;
    if !built.is_changed {
        return Ok(Change::Nothing);
    }
    let new = if adds_snapshot {
        // The snapshot's time is the change's time.
        built.metadata
    } else {
        // Entries may have left the log together with expired snapshots: what is beyond the known
        // number is new in any case, and an added entry is the last one.
        let log = built.metadata.history();
        let added = log.len().saturating_sub(log_entries_known).max(usize::from(
            log.last()
                .is_some_and(|last| !metadata.history().contains(last)),
        ));
        metadata_file::stamp(
            &built.metadata,
            change_time(metadata, clock),
            log.len() - added,
        )?
    };
    let trimmed_files = if deletes_trimmed(&new)? {
        built.expired_files
    } else {
        Vec::new()
    };
    Ok(Change::Made(Box::new(Changed {
        metadata: new,
        trimmed_files,
    })))
}

/// What updates make of metadata, all times as they say or as the machine's clock does.
struct Built {
    metadata: TableMetadata,
    is_changed: bool,
    /// Metadata files that left the log.
    expired_files: Vec<String>,
}

/// Applies updates in one step for each snapshot that becomes `main`'s, so that each stands in the
/// snapshot log: within one step the format crate logs the last one only, as if the others, whose
/// commits were answered one by one, had never been current.
fn build(current: &TablePointer, updates: Vec<TableUpdate>) -> Result<Built> {
    let mut built = Built {
        metadata: TableMetadata::clone(&current.metadata),
        is_changed: false,
        expired_files: Vec::new(),
    };
    // All steps make one file, with one predecessor.
    let mut predecessor = Some(current.metadata_location.clone());
    for step in steps(updates) {
        let next = build_on(&built.metadata, predecessor.take(), |builder| {
            let mut step = step.into_iter();
            step.try_fold(builder, |builder, update| update.apply(builder))
        });
        let next = next.map_err(unfit)?;
        built.metadata = next.metadata;
        built.is_changed |= !next.changes.is_empty();
        let expired = next.expired_metadata_logs.into_iter();
        built
            .expired_files
            .extend(expired.map(|log| log.metadata_file));
    }
    Ok(built)
}

/// Cuts updates before each snapshot that follows a move of `main`. Every step but the first begins
/// with a snapshot, and so has its time.
fn steps(updates: Vec<TableUpdate>) -> Vec<Vec<TableUpdate>> {
    let mut steps = vec![Vec::new()];
    let mut has_moved_main = false;
    for update in updates {
        let adds = matches!(update, TableUpdate::AddSnapshot { .. });
        if adds && std::mem::take(&mut has_moved_main) {
            steps.push(Vec::new());
        }
        has_moved_main |= matches!(
            &update,
            TableUpdate::SetSnapshotRef { ref_name, .. } if ref_name == MAIN_BRANCH
        );
        if let Some(step) = steps.last_mut() {
            step.push(update);
        }
    }
    steps
}

/// Why `updates` made for `base` cannot be applied to `current`, if somebody else's commit is why.
fn conflict(
    current: &TableMetadata,
    base: &TableMetadata,
    requirements: &[TableRequirement],
    updates: &[TableUpdate],
) -> Option<Error> {
    // A table of the same name that was made anew is not the table that was worked on.
    if current.uuid() != base.uuid() {
        return Some(conflict_error("the table was dropped and made anew"));
    }
    let unmet = requirements
        .iter()
        .find_map(|requirement| requirement.check(Some(current)).err());
    if let Some(unmet) = unmet {
        return Some(
            conflict_error("the table has changed: a requirement of the commit does not hold")
                .with_source(unmet),
        );
    }
    updates.iter().find_map(|update| match update {
        TableUpdate::AddSnapshot { snapshot } => stale_snapshot(current, snapshot),
        _ => None,
    })
}

/// Why a snapshot does not fit on `current` any longer. The format crate calls this bad data, but
/// a commit to another branch is enough to bring it about, and a retry cures it.
fn stale_snapshot(current: &TableMetadata, snapshot: &Snapshot) -> Option<Error> {
    let behind = current.format_version() != FormatVersion::V1
        && snapshot.sequence_number() <= current.last_sequence_number();
    if behind {
        return Some(conflict_error(format!(
            "somebody else committed sequence number {} first",
            current.last_sequence_number()
        )));
    }
    let rows_taken = current.format_version() >= FormatVersion::V3
        && snapshot
            .first_row_id()
            .is_some_and(|first| first < current.next_row_id());
    if rows_taken {
        return Some(conflict_error(format!(
            "somebody else's rows took the ids up to {}",
            current.next_row_id()
        )));
    }
    let last_ms = current
        .history()
        .last()
        .map_or(i64::MIN, |entry| entry.timestamp_ms())
        .max(current.last_updated_ms());
    (snapshot.timestamp_ms() < last_ms.saturating_sub(CLOCK_SKEW_MS_MAX))
        .then(|| conflict_error("somebody else committed a later time; the clocks may differ"))
}

fn conflict_error(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

fn refuse_new_uuid(metadata: &TableMetadata, updates: &[TableUpdate]) -> Result<()> {
    let changes_uuid = updates.iter().any(
        |update| matches!(update, TableUpdate::AssignUuid { uuid } if *uuid != metadata.uuid()),
    );
    if changes_uuid {
        return Err(Error::invalid("a table's uuid cannot be changed"));
    }
    Ok(())
}

/// The format crate's error about updates it cannot apply: the request is wrong, not stored data.
fn unfit(error: iceberg::Error) -> Error {
    let error = Error::from(error);
    let kind = match error.kind() {
        ErrorKind::Corrupt => ErrorKind::InvalidInput,
        other => other,
    };
    Error::new(
        kind,
        format!("the change does not fit the table: {}", error.message()),
    )
    .with_source(error)
}

/// The time of a change without a snapshot: never before the last change, and after every entry of
/// the snapshot log, so that no two states compare equal.
fn change_time(metadata: &TableMetadata, clock: &dyn Clock) -> i64 {
    let after_log = metadata
        .history()
        .last()
        .map_or(i64::MIN, |entry| entry.timestamp_ms().saturating_add(1));
    clock
        .now_ms()
        .max(metadata.last_updated_ms())
        .max(after_log)
}

fn deletes_trimmed(metadata: &TableMetadata) -> Result<bool> {
    match metadata.properties().get(DELETE_TRIMMED) {
        None => Ok(false),
        Some(text) if text.trim().eq_ignore_ascii_case("false") => Ok(false),
        Some(text) if text.trim().eq_ignore_ascii_case("true") => Ok(true),
        Some(text) => Err(Error::invalid(format!(
            "table property {DELETE_TRIMMED:?} must be true or false, it is {text:?}"
        ))),
    }
}
