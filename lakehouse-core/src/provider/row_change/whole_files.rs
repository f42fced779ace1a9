//! Files that a DELETE takes whole, without reading them.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::prelude::{SessionConfig, SessionContext};

use super::RowChange;
use crate::commit::{Committed, FileChange};
use crate::error::Result;
use crate::provider::LakeTable;
use crate::scan::{self, Predicate, ScanFile};
use crate::table::{Table, Version};

impl RowChange {
    /// Finds the files whose rows surely all are deleted, where [`Self::delete_filter`] says which
    /// rows are, and gives their locations: the input must not name their rows. A file stays with
    /// the input when its deletes do not tell how many rows are left of it.
    ///
    /// # Errors
    /// As [`crate::scan::plan`].
    pub async fn take_whole_files(&mut self) -> Result<Arc<HashSet<String>>> {
        let Some(filter) = &self.delete_filter else {
            return Ok(Arc::default());
        };
        let manifests = self.lake.scans().manifests();
        let plan = scan::plan(self.table(), filter, manifests).await?;
        let all = plan.files.len();
        let whole = |file: &ScanFile| file.live_rows().1 && file.must_match(filter);
        self.removed = plan.files.into_iter().filter(whole).collect();
        if self.removed.len() < all {
            self.delete_filter = None;
        }
        let paths = self.removed.iter().map(|file| file.path().to_owned());
        Ok(Arc::new(paths.collect()))
    }

    /// The change of files of a branch when nothing but whole files goes.
    pub(super) fn whole_delete(&self, branch: &str) -> Option<FileChange> {
        let filter = self.delete_filter.as_ref()?;
        if self.removed.is_empty() {
            return None;
        }
        let change = FileChange::delete_rows(self.table(), filter.clone()).with_branch(branch);
        Some(self.terms.apply(change))
    }

    /// How many rows a delete of whole files took, which was made on the newest state: files that
    /// others added meanwhile went with them.
    pub(super) async fn rows_of_whole_delete(&self, committed: &Committed) -> Result<u64> {
        let base = self.table().snapshot_id();
        if committed.previous_snapshot_id == base {
            return Ok(live_rows(&self.removed));
        }
        let (Some(filter), Some(previous)) = (&self.delete_filter, committed.previous_snapshot_id)
        else {
            return Ok(0);
        };
        let before: Table = committed.table.at(Version::Snapshot(previous))?;
        let manifests = self.lake.scans().manifests();
        let plan = scan::plan(&before, filter, manifests).await?;
        if plan.files.iter().all(|file| file.live_rows().1) {
            return Ok(live_rows(&plan.files));
        }
        let all = scan::plan(&before, &Predicate::AlwaysTrue, manifests).await?;
        let gone: HashSet<&str> = plan.files.iter().map(ScanFile::path).collect();
        let others = all.files.iter().map(ScanFile::path);
        let others = others.filter(|path| !gone.contains(path));
        let others = others.map(ToOwned::to_owned).collect();
        self.count_rows(before, others).await
    }

    /// Counts the live rows of a table without those of some files, by reading their deletes.
    async fn count_rows(&self, table: Table, others: HashSet<String>) -> Result<u64> {
        let rows =
            LakeTable::new(table, self.lake.scans().clone())?.without_files(Arc::new(others));
        let environment = Arc::clone(self.lake.runtime().env());
        let context = SessionContext::new_with_config_rt(SessionConfig::new(), environment);
        let count = context.read_table(Arc::new(rows))?.count().await?;
        Ok(count as u64)
    }
}

/// Live rows of files, as far as their deletes tell.
pub(super) fn live_rows(files: &[ScanFile]) -> u64 {
    files.iter().map(|file| file.live_rows().0).sum()
}
