//! Planning on its way: manifest list and deletes are read, manifests of data files still to come.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::ManifestFile;

use super::delete_index::DeleteIndex;
use super::manifest::{self, MANIFEST_READS_MAX, ReadManifest};
use super::manifest_cache::ManifestCache;
use super::plan::{
    PlanCounts, ScanPlan, empty_manifests, manifests_for, select, wanted_delete_manifests,
    wanted_manifests,
};
use super::predicate::Predicate;
use crate::error::{Error, Result};
use crate::runtime::{self, Task};
use crate::table::Table;

/// How many manifests a plan in parts reads ahead at first. Each one that is used doubles the
/// number, up to [`MANIFEST_READS_MAX`]: who needs few files has not paid for many manifests.
const FIRST_READS: usize = 2;

/// A plan whose deletes are known, because they must be before any data file is read, and whose data
/// files are found when [`Self::whole`] or [`Self::parts`] is asked for them.
pub(crate) struct Planning {
    table: Table,
    predicate: Predicate,
    cache: ManifestCache,
    snapshot_id: Option<i64>,
    deletes: DeleteIndex,
    /// The manifests that may list a wanted file, in the order of the manifest list.
    wanted: Vec<ManifestFile>,
    counts: PlanCounts,
}

impl Planning {
    /// Reads what must be known before the first data file: the manifest list, and the manifests of
    /// delete files.
    ///
    /// # Errors
    /// As [`super::plan()`].
    pub(crate) async fn begin(
        table: &Table,
        predicate: Predicate,
        cache: &ManifestCache,
    ) -> Result<Self> {
        let mut planning = Self {
            table: table.clone(),
            predicate,
            cache: cache.clone(),
            snapshot_id: table.snapshot_id(),
            deletes: DeleteIndex::default(),
            wanted: Vec::new(),
            counts: PlanCounts::default(),
        };
        match planning.read_deletes().await {
            Ok(()) => Ok(planning),
            Err(error) => Err(planning.named(error)),
        }
    }

    async fn read_deletes(&mut self) -> Result<()> {
        let Some(snapshot) = self.table.snapshot() else {
            return Ok(());
        };
        let (storage, metadata) = (self.table.storage(), self.table.metadata());
        let list = manifest::read_list(storage, snapshot, &self.cache).await?;
        let (deletes, deletes_total) = wanted_delete_manifests(&list, metadata, &self.predicate);
        let deletes = manifest::read_manifests(storage, deletes, &self.cache).await?;
        let (wanted, total) = wanted_manifests(&list, metadata, &self.predicate);
        self.deletes = DeleteIndex::new(&deletes, metadata)?;
        self.counts.delete_manifests_total = deletes_total;
        self.counts.delete_manifests_skipped = deletes_total - deletes.len();
        self.counts.manifests_total = total;
        self.counts.manifests_skipped = total - wanted.len();
        self.counts.manifests_skipped_empty = empty_manifests(&list);
        self.wanted = wanted;
        Ok(())
    }

    /// What is known before the manifests of data files are read: how many of them will be.
    pub(crate) fn counts(&self) -> PlanCounts {
        self.counts
    }

    /// What deletes rows of the snapshot's files.
    pub(crate) fn deletes(&self) -> &DeleteIndex {
        &self.deletes
    }

    /// How many of the manifests that any `rows_max` rows take are not in memory.
    pub(crate) fn unread(&self, rows_max: Option<u64>) -> usize {
        let needed = &self.wanted[..self.needed(rows_max)];
        let unread = needed.iter().filter(|file| !self.cache.holds(file));
        unread.count()
    }

    /// How many rows the manifest list promises of the wanted manifests; `None` when it does not
    /// say.
    pub(crate) fn listed_rows(&self) -> Option<u64> {
        self.wanted.iter().try_fold(0_u64, |sum, file| {
            sum.checked_add(file.added_rows_count?)?
                .checked_add(file.existing_rows_count?)
        })
    }

    fn needed(&self, rows_max: Option<u64>) -> usize {
        rows_max.map_or(self.wanted.len(), |rows| manifests_for(&self.wanted, rows))
    }

    /// All files, or as many as hold `rows_max` rows.
    ///
    /// # Errors
    /// As [`super::plan()`].
    #[tracing::instrument(
        name = "plan_scan",
        skip_all,
        fields(table = %self.table.ident(), snapshot = self.snapshot_id)
    )]
    pub(crate) async fn whole(&self, rows_max: Option<u64>) -> Result<ScanPlan> {
        let read = self.read_whole(rows_max).await;
        read.map_err(|error| self.named(error))
    }

    async fn read_whole(&self, rows_max: Option<u64>) -> Result<ScanPlan> {
        let storage = self.table.storage();
        let read = async |files: &[ManifestFile]| {
            manifest::read_manifests(storage, files.to_vec(), &self.cache).await
        };
        let (first, rest) = self.wanted.split_at(self.needed(rows_max));
        let mut manifests = read(first).await?;
        let mut plan = select(&manifests, &self.deletes, &self.predicate, rows_max)?;
        // The list's row counts are a promise, and tell nothing of deletes; where they are not
        // kept the other manifests are read.
        if !rest.is_empty() && rows_max.is_some_and(|rows| plan.live_rows().0 < rows) {
            manifests.extend(read(rest).await?);
            plan = select(&manifests, &self.deletes, &self.predicate, rows_max)?;
        }
        plan.snapshot_id = self.snapshot_id;
        plan.counts.delete_manifests_total = self.counts.delete_manifests_total;
        plan.counts.delete_manifests_skipped = self.counts.delete_manifests_skipped;
        plan.counts.manifests_total = self.counts.manifests_total;
        plan.counts.manifests_skipped = self.counts.manifests_total - manifests.len();
        plan.counts.manifests_skipped_limit = self.wanted.len() - manifests.len();
        plan.counts.manifests_skipped_empty = self.counts.manifests_skipped_empty;
        Ok(plan)
    }

    /// The plan in parts, one for each manifest, in the order of the manifest list. Manifests are
    /// read ahead of the parts that were taken; dropping the stream ends the reading.
    ///
    /// # Errors
    /// The stream ends with the first error; they are those of [`super::plan()`].
    pub(crate) fn parts(self: Arc<Self>) -> BoxStream<'static, Result<ScanPlan>> {
        let ahead = ReadAhead {
            next: 0,
            reads_max: FIRST_READS,
            reads: VecDeque::new(),
            planning: Arc::clone(&self),
        };
        let parts = stream::try_unfold(ahead, |mut ahead| async move {
            let Some(read) = ahead.next().await? else {
                return Ok(None);
            };
            let planning = &ahead.planning;
            let mut part = select(&[read], &planning.deletes, &planning.predicate, None)?;
            part.snapshot_id = planning.snapshot_id;
            part.counts.manifests_total = 1;
            Ok(Some((part, ahead)))
        });
        parts.map_err(move |error| self.named(error)).boxed()
    }

    fn named(&self, error: Error) -> Error {
        error.with_context("table", self.table.ident())
    }
}

impl fmt::Debug for Planning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planning")
            .field("table", self.table.ident())
            .field("snapshot_id", &self.snapshot_id)
            .field("manifests", &self.wanted.len())
            .finish_non_exhaustive()
    }
}

/// Manifests under way, in the order in which they are wanted.
struct ReadAhead {
    planning: Arc<Planning>,
    /// The first manifest whose reading was not started.
    next: usize,
    reads_max: usize,
    /// Tasks, so that the reading goes on while the files of an earlier manifest are scanned.
    reads: VecDeque<Task<Result<ReadManifest>>>,
}

impl ReadAhead {
    async fn next(&mut self) -> Result<Option<ReadManifest>> {
        while self.reads.len() < self.reads_max && self.next < self.planning.wanted.len() {
            let (planning, place) = (Arc::clone(&self.planning), self.next);
            self.next += 1;
            self.reads.push_back(runtime::spawn(async move {
                let file = planning.wanted[place].clone();
                let storage = planning.table.storage();
                let manifest = manifest::read_manifest(storage, &file, &planning.cache).await?;
                Ok(ReadManifest { file, manifest })
            }));
        }
        let Some(read) = self.reads.pop_front() else {
            return Ok(None);
        };
        let read = read.await??;
        self.reads_max = (self.reads_max * 2).min(MANIFEST_READS_MAX);
        Ok(Some(read))
    }
}

#[cfg(test)]
mod tests;
