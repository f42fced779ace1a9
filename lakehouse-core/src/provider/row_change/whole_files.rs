//! Files that a DELETE takes whole, without reading them.

use std::collections::HashSet;
use std::sync::Arc;

use super::RowChange;
use crate::commit::{Committed, FileChange};
use crate::error::Result;
use crate::scan::{self, ScanFile};
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

    /// The change of files when nothing but whole files goes.
    pub(super) fn whole_delete(&self) -> Option<FileChange> {
        let filter = self.delete_filter.as_ref()?;
        if self.removed.is_empty() {
            return None;
        }
        let mut change = FileChange::delete_rows(self.table(), filter.clone());
        if let Some(branch) = &self.branch {
            change = change.with_branch(branch);
        }
        if let Some(id) = &self.wap_id {
            change = change.staged(Some(id.clone()));
        }
        Some(change)
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
        let plan = scan::plan(&before, filter, self.lake.scans().manifests()).await?;
        Ok(live_rows(&plan.files))
    }
}

/// Live rows of files, as far as their deletes tell.
pub(super) fn live_rows(files: &[ScanFile]) -> u64 {
    files.iter().map(|file| file.live_rows().0).sum()
}
