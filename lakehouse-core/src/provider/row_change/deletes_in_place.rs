//! Rows that a DELETE found in files that stay, and that others had deleted by the time of its
//! commit: they are not told twice.
//!
//! A position that two delete files name is deleted once, so such commits do not conflict, and
//! neither does one whose data file has gone with all its rows.

use std::collections::HashMap;

use datafusion::datasource::physical_plan::ParquetFileMetrics;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet};

use super::RowChange;
use crate::commit::{Committed, RowStatement};
use crate::error::Result;
use crate::provider::deletes::{DeleteMetrics, ScanDeletes};
use crate::provider::scan_counters::ReadMeter;
use crate::scan::{self, ScanFile};
use crate::table::Version;

/// What a DELETE names of files that stay.
#[derive(Debug)]
pub(super) struct DeletesInPlace {
    /// The files by location, with all their rows.
    files: HashMap<String, u64>,
    /// The rows that were found in them.
    rows: u64,
}

impl DeletesInPlace {
    /// Others' deletes conflict with every other statement.
    pub(super) fn of(change: &RowChange, files: &[ScanFile], rows: u64) -> Self {
        let is_delete = change.statement == RowStatement::Delete;
        let files = files.iter().filter(|_| is_delete);
        let files = files.map(|file| (file.path().to_owned(), file.data_file().record_count()));
        Self {
            files: files.collect(),
            rows,
        }
    }

    /// How many of the rows were deleted before the commit. Equality deletes of others are not
    /// looked into.
    ///
    /// # Errors
    /// What reading the deletes answers.
    pub(super) async fn deleted_before(
        &self,
        change: &RowChange,
        committed: &Committed,
    ) -> Result<u64> {
        let (Some(before), Some(after)) = (committed.previous_snapshot_id, committed.snapshot_id)
        else {
            return Ok(0);
        };
        if self.files.is_empty() || Some(before) == change.table().snapshot_id() {
            return Ok(0);
        }
        let before = self.deleted_at(change, committed, before).await?;
        let after = self.deleted_at(change, committed, after).await?;
        Ok(self.rows.saturating_sub(after.saturating_sub(before)))
    }

    /// How many rows of the files are deleted at a snapshot.
    async fn deleted_at(
        &self,
        change: &RowChange,
        committed: &Committed,
        snapshot_id: i64,
    ) -> Result<u64> {
        let table = committed.table.at(Version::Snapshot(snapshot_id))?;
        let manifests = change.lake.scans().manifests();
        let mut plan = scan::plan(&table, &change.conflict_filter, manifests).await?;
        plan.files
            .retain(|file| self.files.contains_key(file.path()));
        let pool = &change.lake.runtime().env().memory_pool;
        let deletes = ScanDeletes::new(&plan, &table, pool);
        let unseen = ExecutionPlanMetricsSet::new();
        // A file that is not there any more has no row.
        let mut deleted: u64 = self.files.values().sum();
        for file in &plan.files {
            let metrics = DeleteMetrics {
                file: ParquetFileMetrics::new(0, file.path(), &unseen),
                files_read: Count::new(),
                read: ReadMeter::default(),
            };
            let found = deletes.rows_of(file, &metrics).await?.keep();
            let found = found.map_or(0, |rows| rows.len());
            deleted -= file.data_file().record_count().saturating_sub(found);
        }
        Ok(deleted)
    }
}
