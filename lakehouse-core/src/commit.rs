//! From a change to its outcome: conflict checks, retry, and one pointer swap for many changes.
//!
//! A [`Change`] is planned on the table's state, its snapshot is produced, and the catalog is asked
//! to swap the pointer under requirements that say what the plan stood on. Whoever loses plans
//! anew on the newer state. A change ends as [`Committed`], or as an error of kind
//! [`ErrorKind::Conflict`] (certainly not applied, its own files deleted) or
//! [`ErrorKind::Unknown`] (nothing deleted); every other kind means that nothing was changed.

mod change;
mod cleanup;
mod create;
mod evolution;
mod file_change;
mod group;
mod isolation;
mod manifest;
mod merge;
mod properties;
mod publish;
mod purge;
mod readable;
mod references;
mod removal;
mod replace;
mod retry;
mod rewrite_manifests;
mod rollback;
mod snapshot;
mod stream;
mod summary;
mod tally;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::oneshot;
use tracing::Instrument;

pub use change::{Change, FilesOnFailure};
pub use create::NewTable;
pub use evolution::{
    ACCEPT_ANY_SCHEMA, ColumnPath, DistributionMode, EvolvePartitions, EvolveSchema, NewColumn,
    NewPartitionField, PartitionFieldReference, PartitionOperation, Position, SchemaOperation,
    SetLocation, SetSortOrder, SortTerm, UpgradeFormat, merge_schema,
};
pub use file_change::FileChange;
pub use isolation::{Isolation, RowStatement};
pub use properties::{RemoveProperties, SetProperties};
pub use publish::{CherryPick, FastForward, PublishChanges};
pub use purge::Purged;
pub use references::{DropReference, ReferenceMode, Retention, SetReference};
pub use replace::ReplaceTable;
pub use rewrite_manifests::RewriteManifests;
pub use rollback::{RollbackToSnapshot, RollbackToTimestamp, SetCurrentSnapshot};
pub use stream::{StreamStep, stream_position};
pub use tally::CommitCounts;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::name::TableIdent;
use crate::runtime;
use crate::scan::ManifestCache;
use crate::table::Table;
use group::{Caller, Leader, Queue, Request};
use snapshot::StagedSnapshot;
use tally::Tally;

/// A change that took place.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The table after the pointer swap; it may hold changes of others that shared the swap.
    pub table: Table,
    /// Where the touched branch or tag points after the change; for a change of properties the
    /// current snapshot, for a dropped ref nothing.
    pub snapshot_id: Option<i64>,
    /// Where it pointed before.
    pub previous_snapshot_id: Option<i64>,
    /// How often the change was planned: 1 when nobody else was first.
    pub attempts: u32,
    /// Whether there was anything to do, false for instance for CREATE TAG IF NOT EXISTS of one
    /// that exists.
    pub is_changed: bool,
}

type QueueKey = (String, TableIdent);

/// The door to every pointer swap of a lake: one for each lake, cheap to clone.
///
/// Changes to one table that go through the same `Commits` share swaps; several processes, or
/// several of these, are kept apart by the catalog's compare-and-swap.
#[derive(Debug, Clone)]
pub struct Commits {
    clock: Arc<dyn Clock>,
    queues: Arc<Mutex<HashMap<QueueKey, Weak<Queue>>>>,
    summary: Arc<BTreeMap<String, String>>,
    manifests: ManifestCache,
    tally: Arc<Tally>,
}

/// What commits keep of manifests when nobody shares a cache with them, in bytes.
const OWN_CACHE_BYTES: u64 = 16 << 20;

/// Tells the tasks of a change that its caller has gone.
struct Presence(Arc<Caller>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Commits {
    /// Commits whose times and identifiers come from `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            queues: Arc::default(),
            manifests: ManifestCache::new(OWN_CACHE_BYTES),
            summary: Arc::default(),
            tally: Arc::default(),
        }
    }

    /// How many changes have come to which end, of these commits and of those made from them:
    /// whoever drops the future of one learns so what became of it, once the lake's work has ended.
    pub fn counts(&self) -> CommitCounts {
        self.tally.counts()
    }

    /// The same commits, sharing swaps with these, whose snapshots carry `keys` in their summary:
    /// who or what made them. They never replace keys of the format or of the change.
    #[must_use]
    pub fn with_summary(&self, keys: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            summary: Arc::new(keys.into_iter().collect()),
            ..self.clone()
        }
    }

    /// The same commits with a cache of manifests that others use as well.
    #[must_use]
    pub fn with_manifests(mut self, manifests: ManifestCache) -> Self {
        self.manifests = manifests;
        self
    }

    /// Commits a change to a table, again and again while others come first.
    ///
    /// Dropping the future before the catalog was asked for the swap leaves the table as it is and
    /// deletes what was written for the commit; dropped later, the swap is finished in the
    /// background and logged.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the retries that the table's `commit.retry.*` properties allow
    /// are used up. [`ErrorKind::Unknown`] when it is not known whether the change took place,
    /// even after the history was read again. Else what makes the change impossible on the
    /// table's state, or what catalog and storage answer; nothing was changed then.
    pub async fn commit(
        &self,
        catalog: &Arc<dyn Catalog>,
        ident: &TableIdent,
        change: impl Into<Change>,
    ) -> Result<Committed> {
        let mut change = change.into();
        if let Some(files) = change.files_mut() {
            let summary = &mut files.summary;
            for (key, value) in self.summary.iter() {
                summary.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let caller = Arc::new(Caller::default());
        let _presence = Presence(Arc::clone(&caller));
        let span = tracing::debug_span!("commit", table = %ident, change = change.name());
        let work = self
            .clone()
            .run(Arc::clone(catalog), ident.clone(), change, caller)
            .instrument(span);
        let work = self.tally.counted(work);
        // It is large, and its callers need not be.
        let guard = catalog.storage().begin_work();
        runtime::finish(guard, Box::pin(work)).await.map_err(lost)?
    }

    async fn run(
        self,
        catalog: Arc<dyn Catalog>,
        ident: TableIdent,
        change: Change,
        caller: Arc<Caller>,
    ) -> Result<Committed> {
        let started_at = self.clock.instant();
        let queue = self.queue((catalog.name().to_owned(), ident.clone()));
        let _room = queue.room.acquire().await.map_err(|error| {
            Error::internal("the queue of commits was closed").with_source(error)
        })?;
        let (reply, mut answer) = oneshot::channel();
        let mut request = Request {
            change,
            staged: None,
            caller,
            reply,
            started_at,
            attempts: 0,
            was_unknown: false,
        };
        let staging = self.stage_snapshot(&catalog, &ident, &mut request);
        if let Err(error) = runtime::contained_work(staging).await {
            request.fail(catalog.storage(), error).await;
        } else {
            queue.push(request);
        }
        loop {
            tokio::select! {
                biased;
                outcome = &mut answer => {
                    return outcome.map_err(lost)?;
                }
                _turn = queue.turn.lock() => {
                    let leader = Leader {
                        catalog: &catalog,
                        ident: &ident,
                        clock: self.clock.as_ref(),
                        manifests: &self.manifests,
                        queue: &queue,
                    };
                    leader.lead().await;
                }
            }
        }
    }

    /// Does what a change of files takes outside of the queue, so that many can do it at once.
    async fn stage_snapshot(
        &self,
        catalog: &Arc<dyn Catalog>,
        ident: &TableIdent,
        request: &mut Request,
    ) -> Result<()> {
        let Change::Files(change) = &request.change else {
            return Ok(());
        };
        if change.columns.is_some() {
            // Its manifests need the new columns, whose swap it has to itself.
            return Ok(());
        }
        let pointer = catalog.load_table(ident).await?;
        if pointer.metadata.uuid() != change.table_uuid {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the table was dropped and made anew while rows were written to it",
            )
            .with_context("table", ident));
        }
        let table = Table::new(pointer, catalog.storage().clone());
        let staged = StagedSnapshot::new(&table, self.clock.as_ref(), Arc::clone(change))?;
        let staged = request.staged.insert(staged);
        staged
            .prepare(&table, &self.manifests)
            .await
            .map_err(|error| error.with_context("table", ident))
    }

    fn queue(&self, key: QueueKey) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&key).and_then(Weak::upgrade) {
            return queue;
        }
        // Queues that nobody holds are forgotten here, so that the map does not grow for ever.
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Queue::default());
        queues.insert(key, Arc::downgrade(&queue));
        queue
    }
}

/// The task that would have told the outcome is gone.
fn lost(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(
        ErrorKind::Unknown,
        "the task of a commit ended before it told its outcome: look at the table's history",
    )
    .with_source(error)
}
