//! Another definition and other rows in the place of all that a table has, in one swap.

use std::sync::Arc;

use iceberg::TableUpdate;
use iceberg::spec::{Snapshot, TableMetadata};

use super::change::{self, Step};
use super::create::check_empty;
use super::file_change::FileChange;
use super::readable::require_readable_branches;
use super::{Commits, FilesOnFailure, NewTable, evolution, properties};
use crate::catalog::{TablePointer, build_on};
use crate::error::{Error, ErrorKind, Result};
use crate::table::{MAIN_BRANCH, Table};
use crate::write::WrittenFile;

/// A table's definition and rows replaced by others; made by [`Commits::stage_replacement`].
///
/// The table stays the same one: its uuid, history, snapshots, tags and other branches stay, and
/// its properties unless the new definition has them too. `main` begins anew with a snapshot
/// without a parent. Whatever others do meanwhile to `main` or the definition conflicts.
#[derive(Debug, Clone)]
pub struct ReplaceTable {
    base: Table,
    staged: Table,
    updates: Vec<TableUpdate>,
    pub(super) rows: Arc<FileChange>,
}

impl Commits {
    /// The replacement of a table as `base` shows it, with no rows yet; nothing is written.
    ///
    /// Without a location the table stays where it is. A format version above the table's raises
    /// it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for reserved properties, a lower format version, another
    /// location that holds files, and required columns that another branch does not have; what the
    /// format refuses.
    pub async fn stage_replacement(&self, base: &Table, new: NewTable) -> Result<ReplaceTable> {
        properties::check_new(&new.properties)?;
        let mut updates = evolution::replacement(base.metadata(), &new)?;
        let location = new
            .location
            .as_deref()
            .map(|text| text.trim_end_matches('/'));
        if let Some(location) = location.filter(|location| *location != base.location()) {
            check_empty(base.storage(), location).await?;
            updates.push(TableUpdate::SetLocation {
                location: location.to_owned(),
            });
        }
        let pointer = TablePointer {
            metadata: Arc::new(change::apply(base.metadata(), &updates)?),
            ..base.pointer().clone()
        };
        let staged = Table::new(pointer, base.storage().clone());
        require_readable_branches(base, staged.metadata().current_schema())?;
        Ok(ReplaceTable {
            base: base.clone(),
            rows: Arc::new(FileChange::append(&staged, Vec::new())),
            staged,
            updates,
        })
    }
}

impl ReplaceTable {
    /// The table as it is to be: rows are written for it.
    pub fn staged(&self) -> &Table {
        &self.staged
    }

    /// The same with these files, which were written for [`Self::staged`], as its only ones.
    /// They are deleted when it is certain that the replacement did not take place.
    #[must_use]
    pub fn with_files(mut self, files: Vec<WrittenFile>) -> Self {
        let rows = FileChange::append(&self.staged, files);
        self.rows = Arc::new(rows.with_files_on_failure(FilesOnFailure::Delete));
        self
    }

    /// Adds keys to the snapshot's summary; they never replace keys of the format.
    #[must_use]
    pub fn with_summary(mut self, keys: impl IntoIterator<Item = (String, String)>) -> Self {
        Arc::make_mut(&mut self.rows).summary.extend(keys);
        self
    }

    /// The metadata with the new definition, and `main` where it was.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody has changed `main` or the definition.
    pub(super) fn definition(&self, now: &Table) -> Result<TableMetadata> {
        let (base, current) = (self.base.metadata(), now.metadata());
        let parts = |metadata: &TableMetadata| {
            (
                metadata.uuid(),
                metadata.current_snapshot_id(),
                (metadata.current_schema_id(), metadata.last_column_id()),
                metadata.default_partition_spec_id(),
                metadata.last_partition_id(),
                metadata.default_sort_order_id(),
                metadata.format_version(),
                metadata.location().to_owned(),
            )
        };
        if parts(base) != parts(current) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "somebody else changed the table while its replacement was made; nothing was \
                 changed, try again",
            ));
        }
        require_readable_branches(now, self.staged.metadata().current_schema())?;
        change::apply(current, &self.updates)
    }

    /// The updates that make `snapshot` the only one of `main`, and the metadata after them, where
    /// `definition` is that with the new definition.
    pub(super) fn step(
        &self,
        definition: &TableMetadata,
        snapshot: Snapshot,
    ) -> Result<(Step, TableMetadata)> {
        let snapshot_id = snapshot.snapshot_id();
        // Keeps the retention of the branch.
        let built = build_on(definition, None, |builder| {
            builder.set_branch_snapshot(snapshot, MAIN_BRANCH)
        })?;
        let mut updates = self.updates.clone();
        updates.extend(built.changes);
        let step = Step {
            updates,
            previous_snapshot_id: definition.current_snapshot_id(),
            snapshot_id: Some(snapshot_id),
        };
        Ok((step, built.metadata))
    }
}
