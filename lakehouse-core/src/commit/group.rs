//! Commits of one process to one table, taken together into one pointer swap.
//!
//! Each change waits in its table's queue. Whoever gets the turn leads: it takes what waits, plans
//! the changes one after the other, each on what the one before left, and asks the catalog once.
//! Each append stays a snapshot of its own, with its own entry in the snapshot log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use iceberg::TableUpdate;
use iceberg::spec::{SnapshotReference, SnapshotRetention, TableMetadata};
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument;

use super::change::{self, Change, FilesOnFailure, Sent, Step};
use super::file_change::FileChange;
use super::publish::{CherryPick, Route};
use super::references::ReferencePlan;
use super::replace::ReplaceTable;
use super::retry::RetryPolicy;
use super::snapshot::StagedSnapshot;
use super::{Committed, cleanup};
use crate::catalog::{Catalog, CommitOutcome, SwapTrace, TablePointer, Turn, build_on};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::name::TableIdent;
use crate::runtime::contained_work;
use crate::scan::ManifestCache;
use crate::storage::Storage;
use crate::table::Table;

/// Changes taken into one swap; the rest wait for the next.
const GROUP_CHANGES_MAX: usize = 64;

/// Changes of one table that may wait in the queue; further callers wait to enter it.
const QUEUE_CHANGES_MAX: usize = 1_024;

/// Whether somebody still waits for a change.
#[derive(Debug, Default)]
pub(super) struct Caller {
    gone: AtomicBool,
}

impl Caller {
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn leave(&self) {
        self.gone.store(true, Ordering::Release);
    }
}

/// A change that waits for its swap.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) change: Change,
    /// The snapshot of a change that makes one, its manifests written.
    pub(super) staged: Option<StagedSnapshot>,
    pub(super) caller: Arc<Caller>,
    pub(super) reply: oneshot::Sender<Result<Committed>>,
    pub(super) started_at: Instant,
    pub(super) attempts: u32,
    /// Whether the outcome of an attempt was unknown for a time: then nothing is deleted.
    pub(super) was_unknown: bool,
}

impl Request {
    /// Ends the change as not committed: its files go, its caller is told.
    pub(super) async fn fail(self, storage: &Storage, error: Error) {
        if !self.was_unknown {
            self.clean_up(storage).await;
        }
        // Nobody listens when the caller is gone.
        let _ = self.reply.send(Err(error));
    }

    /// Whether the commit deletes added files that it does not need.
    fn owns_files(&self) -> bool {
        let change = self.change.files();
        change.is_some_and(|change| change.on_failure == FilesOnFailure::Delete)
    }

    async fn clean_up(&self, storage: &Storage) {
        let own = self.staged.iter().flat_map(StagedSnapshot::written);
        let data: &[_] = match self.change.files() {
            Some(change) if self.owns_files() => &change.added,
            _ => &[],
        };
        let data = data.iter().map(|file| file.data_file.file_path());
        cleanup::delete_all(storage, own.chain(data)).await;
    }

    /// Ends the change as committed.
    async fn succeed(self, table: Table, step: &Step) {
        if !self.was_unknown
            && let Some(staged) = &self.staged
        {
            let needless = staged.needless().filter(|_| self.owns_files());
            cleanup::delete_all(table.storage(), staged.unused(step).chain(needless)).await;
        }
        if self.caller.is_gone() {
            tracing::info!(
                table = %table.ident(),
                snapshot = step.snapshot_id,
                "a commit was finished after its caller had gone"
            );
        }
        let _ = self.reply.send(Ok(Committed {
            table,
            snapshot_id: step.snapshot_id,
            previous_snapshot_id: step.previous_snapshot_id,
            attempts: self.attempts,
            is_changed: !step.updates.is_empty(),
        }));
    }
}

/// The changes of one table that wait, and whose turn it is.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Request>>,
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) room: Semaphore,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            room: Semaphore::new(QUEUE_CHANGES_MAX),
        }
    }
}

impl Queue {
    pub(super) fn push(&self, request: Request) {
        self.lock().push_back(request);
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Moves waiting changes to `batch`, as many as may share its swap.
    fn take_into(&self, batch: &mut Vec<Request>) {
        let mut waiting = self.lock();
        while batch.len() < GROUP_CHANGES_MAX {
            let holds_lone = batch.iter().any(|request| request.change.is_alone());
            let Some(next) = waiting.pop_front() else {
                return;
            };
            if holds_lone || (next.change.is_alone() && !batch.is_empty()) {
                waiting.push_front(next);
                return;
            }
            batch.push(next);
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Request>> {
        // A panic elsewhere leaves the queue whole: every change in it is still to be made.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change with what it comes to on the state of this attempt.
struct Planned {
    request: Request,
    step: Step,
}

/// A change that cannot be made after those that share its swap.
struct Refused {
    request: Request,
    error: Error,
}

/// The one who leads a table's commits for a while.
pub(super) struct Leader<'a> {
    pub(super) catalog: &'a Arc<dyn Catalog>,
    pub(super) ident: &'a TableIdent,
    pub(super) clock: &'a dyn Clock,
    pub(super) manifests: &'a ManifestCache,
    pub(super) queue: &'a Queue,
}

impl Leader<'_> {
    /// Commits what waits, together; ends when all that was taken has its outcome.
    pub(super) async fn lead(&self) {
        let mut batch = Vec::new();
        loop {
            if batch.is_empty() && self.queue.is_empty() {
                return;
            }
            // Other processes may be first; what comes in meanwhile shares the swap.
            let turn = self.catalog.turn(self.ident).await.unwrap_or_default();
            self.queue.take_into(&mut batch);
            batch = self.without_gone(batch).await;
            if batch.is_empty() {
                continue;
            }
            let attempt = batch
                .iter()
                .map(|request| request.attempts)
                .max()
                .unwrap_or(0)
                + 1;
            let span = tracing::debug_span!(
                "commit_attempt",
                table = %self.ident,
                attempt,
                changes = batch.len(),
            );
            batch = self.attempt(batch, turn).instrument(span).await;
        }
    }

    async fn without_gone(&self, batch: Vec<Request>) -> Vec<Request> {
        let (gone, kept): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|request| request.caller.is_gone());
        for request in gone {
            let error = Error::new(ErrorKind::Cancelled, "the commit was cancelled");
            request.fail(self.catalog.storage(), error).await;
        }
        kept
    }

    /// One attempt; returns the changes that are to be tried again.
    async fn attempt(&self, batch: Vec<Request>, turn: Turn) -> Vec<Request> {
        let base = match self.catalog.load_table(self.ident).await {
            Ok(pointer) => self.table(pointer),
            Err(error) => {
                self.fail_all(batch, error).await;
                return Vec::new();
            }
        };
        let (planned, refused) = self.plan_all(batch, &base).await;
        if planned
            .iter()
            .any(|planned| planned.request.caller.is_gone())
        {
            // Nothing was sent yet: without the change whose caller has gone, the others are
            // planned anew, since they stand on it.
            let mut batch = again(refused, planned.into_iter().map(|planned| planned.request));
            batch.iter_mut().for_each(|request| request.attempts -= 1);
            return batch;
        }
        let updates: Vec<TableUpdate> = planned
            .iter()
            .flat_map(|planned| planned.step.updates.clone())
            .collect();
        if updates.is_empty() {
            succeed_all(planned, &base).await;
            return Vec::new();
        }
        let requirements = change::requirements(base.metadata(), &updates);
        let outcome = self
            .catalog
            .commit(base.pointer(), requirements, updates.clone())
            .await;
        if let Err(error) = turn.end().await {
            tracing::debug!(%error, "a turn ended late");
        }
        let kept = match outcome {
            Ok(CommitOutcome::Committed(pointer)) => {
                succeed_all(planned, &self.table(pointer)).await;
                // What they stood on is there now.
                for Refused { request, error } in refused {
                    request.fail(self.catalog.storage(), error).await;
                }
                return Vec::new();
            }
            Ok(CommitOutcome::Conflicted(error)) => {
                self.after_conflict(planned, &base, error).await
            }
            Ok(CommitOutcome::Unknown { error, swap }) => {
                let sent = Sent { updates, swap };
                self.after_unknown(planned, &base, &sent, error).await
            }
            Err(error) if error.kind() == ErrorKind::Unknown => {
                let sent = Sent {
                    updates,
                    swap: None,
                };
                self.after_unknown(planned, &base, &sent, error).await
            }
            Err(error) => self.after_refusal(planned, &base, error).await,
        };
        again(refused, kept)
    }

    /// Plans each change on what the one before left. Those that cannot be are answered, but for
    /// those that may only have met changes of their own swap, which may never take place.
    async fn plan_all(&self, batch: Vec<Request>, base: &Table) -> (Vec<Planned>, Vec<Refused>) {
        let mut state = base.clone();
        let mut planned: Vec<Planned> = Vec::with_capacity(batch.len());
        let mut refused = Vec::new();
        for mut request in batch {
            request.attempts += 1;
            let snapshot = request.staged.as_ref().map(StagedSnapshot::snapshot_id);
            tracing::debug!(
                change = request.change.name(),
                snapshot,
                "planning a change"
            );
            // Nothing was sent yet: what goes wrong here is the one change's own.
            let next = contained_work(self.plan(&mut request, &state)).await;
            match next {
                Ok((step, next)) => {
                    state = next;
                    planned.push(Planned { request, step });
                }
                Err(error) => {
                    let error = error.with_context("table", self.ident);
                    match planned.iter().any(|before| !before.step.updates.is_empty()) {
                        true => refused.push(Refused { request, error }),
                        false => request.fail(self.catalog.storage(), error).await,
                    }
                }
            }
        }
        (planned, refused)
    }

    /// What a change comes to on `state`, and the state after it.
    async fn plan(&self, request: &mut Request, state: &Table) -> Result<(Step, Table)> {
        let step = match &request.change {
            Change::Files(change) => {
                let change = Arc::clone(change);
                return self.plan_files(&mut request.staged, change, state).await;
            }
            Change::CherryPick(pick) => {
                let pick = *pick;
                return self.plan_pick(&mut request.staged, pick, state).await;
            }
            Change::PublishChanges(change) => {
                let pick = change.pick(state)?;
                return self.plan_pick(&mut request.staged, pick, state).await;
            }
            Change::RewriteManifests(change) => {
                let change = Arc::new(change.change(state));
                return self.plan_files(&mut request.staged, change, state).await;
            }
            Change::Replace(change) => {
                let change = Arc::clone(change);
                return self
                    .plan_replacement(&mut request.staged, &change, state)
                    .await;
            }
            Change::SetReference(change) => match change.plan(state)? {
                ReferencePlan::Step(step) => step,
                ReferencePlan::EmptyBranch(retention) => {
                    let name = change.name.clone();
                    self.plan_empty_branch(&mut request.staged, state, name, retention)
                        .await?
                }
            },
            Change::DropReference(change) => change.plan(state)?,
            Change::RollbackToSnapshot(change) => change.plan(state)?,
            Change::RollbackToTimestamp(change) => change.plan(state)?,
            Change::SetCurrentSnapshot(change) => change.plan(state)?,
            Change::FastForward(change) => change.plan(state)?,
            Change::SetProperties(change) => change.plan(state)?,
            Change::RemoveProperties(change) => change.plan(state)?,
            Change::EvolveSchema(change) => change.plan(state)?,
            Change::EvolvePartitions(change) => change.plan(state)?,
            Change::SetSortOrder(change) => change.plan(state)?,
            Change::UpgradeFormat(change) => change.plan(state)?,
            Change::SetLocation(change) => change.plan(state)?,
        };
        if step.updates.is_empty() {
            return Ok((step, state.clone()));
        }
        let after = change::apply(state.metadata(), &step.updates)?;
        Ok((step, self.state(state, after)))
    }

    /// A change of files on `state`, and the state after it.
    async fn plan_files(
        &self,
        staged: &mut Option<StagedSnapshot>,
        change: Arc<FileChange>,
        state: &Table,
    ) -> Result<(Step, Table)> {
        let (evolved, mut updates) = match &change.columns {
            None => (state.clone(), Vec::new()),
            Some(columns) => {
                columns.check(state.metadata())?;
                let updates = columns.evolve.updates(state.metadata())?;
                let after = change::apply(state.metadata(), &updates)?;
                (self.state(state, after), updates)
            }
        };
        let state = &evolved;
        let staged = match staged {
            Some(staged) => staged,
            None => staged.insert(StagedSnapshot::new(state, self.clock, change)?),
        };
        let change = Arc::clone(staged.change());
        let (branch, head) = change.head(state)?;
        let previous_snapshot_id = head.map(|head| head.snapshot_id());
        let snapshot = staged
            .produce(state, self.manifests, head, self.clock.now_ms())
            .await?;
        let Some(snapshot) = snapshot else {
            let step = Step {
                updates,
                previous_snapshot_id,
                snapshot_id: previous_snapshot_id,
            };
            return Ok((step, state.clone()));
        };
        let snapshot_id = Some(snapshot.snapshot_id());
        let built = build_on(state.metadata(), None, |builder| match &change.stage {
            Some(_) => builder.add_snapshot(snapshot),
            // Keeps the retention of the branch.
            None => builder.set_branch_snapshot(snapshot, &branch),
        })?;
        updates.extend(built.changes);
        let step = Step {
            updates,
            previous_snapshot_id,
            snapshot_id,
        };
        Ok((step, self.state(state, built.metadata)))
    }

    async fn plan_pick(
        &self,
        staged: &mut Option<StagedSnapshot>,
        pick: CherryPick,
        state: &Table,
    ) -> Result<(Step, Table)> {
        match pick.route(state)? {
            Route::Moved(step) => {
                let after = change::apply(state.metadata(), &step.updates)?;
                Ok((step, self.state(state, after)))
            }
            Route::Files => {
                let change = match staged {
                    Some(staged) => Arc::clone(staged.change()),
                    None => Arc::new(pick.change(state, self.manifests).await?),
                };
                self.plan_files(staged, change, state).await
            }
        }
    }

    /// Another definition on `state` with a first snapshot of its own, and the state after it.
    async fn plan_replacement(
        &self,
        staged: &mut Option<StagedSnapshot>,
        change: &ReplaceTable,
        state: &Table,
    ) -> Result<(Step, Table)> {
        let replaced = self.state(state, change.definition(state)?);
        let staged = match staged {
            Some(staged) => staged,
            None => {
                let rows = Arc::clone(&change.rows);
                staged.insert(StagedSnapshot::new(&replaced, self.clock, rows)?)
            }
        };
        let snapshot = staged
            .produce(&replaced, self.manifests, None, self.clock.now_ms())
            .await?
            .ok_or_else(|| Error::internal("an append makes a snapshot"))?;
        let (step, after) = change.step(replaced.metadata(), snapshot)?;
        Ok((step, self.state(state, after)))
    }

    async fn plan_empty_branch(
        &self,
        staged: &mut Option<StagedSnapshot>,
        state: &Table,
        name: String,
        retention: SnapshotRetention,
    ) -> Result<Step> {
        let staged = match staged {
            Some(staged) => staged,
            None => {
                let nothing = Arc::new(FileChange::append(state, Vec::new()));
                staged.insert(StagedSnapshot::new(state, self.clock, nothing)?)
            }
        };
        let snapshot = staged
            .produce(state, self.manifests, None, self.clock.now_ms())
            .await?
            .ok_or_else(|| Error::internal("an append makes a snapshot"))?;
        let snapshot_id = snapshot.snapshot_id();
        Ok(Step {
            updates: vec![
                TableUpdate::AddSnapshot { snapshot },
                TableUpdate::SetSnapshotRef {
                    ref_name: name,
                    reference: SnapshotReference::new(snapshot_id, retention),
                },
            ],
            previous_snapshot_id: None,
            snapshot_id: Some(snapshot_id),
        })
    }

    /// Keeps the changes that may be tried again, after a pause; the others have lost.
    async fn after_conflict(
        &self,
        planned: Vec<Planned>,
        base: &Table,
        conflict: Error,
    ) -> Vec<Request> {
        let policy = RetryPolicy::of_conflicts(base);
        let now = self.clock.instant();
        tracing::debug!(error = %conflict, "somebody else committed first");
        let mut kept = Vec::new();
        let mut lost = Vec::new();
        for Planned { request, .. } in planned {
            let elapsed = now.saturating_duration_since(request.started_at);
            match policy.allows(request.attempts, elapsed) {
                true => kept.push(request),
                false => lost.push(request),
            }
        }
        let error = Error::new(
            ErrorKind::Conflict,
            "other commits to the table came first each time, and the retries that its \
             commit.retry properties allow are used up; nothing was changed, try again",
        )
        .with_context("table", self.ident)
        .with_source(conflict);
        self.fail_all(lost, error).await;
        if let Some(attempts) = kept.iter().map(|request| request.attempts).min() {
            self.clock.sleep(policy.pause(attempts, self.clock)).await;
        }
        kept
    }

    /// The catalog refused before it asked for the swap. When the table has moved on meanwhile,
    /// the updates did not fit the newer state, which is a conflict and no error of the change.
    async fn after_refusal(
        &self,
        planned: Vec<Planned>,
        base: &Table,
        error: Error,
    ) -> Vec<Request> {
        let has_moved = match self.catalog.load_table(self.ident).await {
            Ok(now) => now.metadata_location != base.metadata_location(),
            Err(_) => false,
        };
        if has_moved {
            return self.after_conflict(planned, base, error).await;
        }
        let requests = planned.into_iter().map(|planned| planned.request).collect();
        self.fail_all(requests, error).await;
        Vec::new()
    }

    /// Nobody knows whether the pointer moved: the history is read again, and our own swap looked
    /// for in it.
    async fn after_unknown(
        &self,
        mut planned: Vec<Planned>,
        base: &Table,
        sent: &Sent,
        error: Error,
    ) -> Vec<Request> {
        tracing::warn!(%error, table = %self.ident, "the outcome of a commit is not known yet");
        for planned in &mut planned {
            planned.request.was_unknown = true;
        }
        let policy = RetryPolicy::of_status_checks(base);
        let started_at = self.clock.instant();
        for checks in 1_u32.. {
            if let Ok(now) = self.catalog.load_table(self.ident).await
                && now.metadata.uuid() == base.metadata().uuid()
            {
                match sent.trace(base.metadata(), &now) {
                    SwapTrace::Applied => {
                        succeed_all(planned, &self.table(now)).await;
                        return Vec::new();
                    }
                    SwapTrace::NeverApplied => {
                        return self.after_conflict(planned, base, error).await;
                    }
                    SwapTrace::Open => {}
                }
            }
            let elapsed = self.clock.instant().saturating_duration_since(started_at);
            if !policy.allows(checks, elapsed) {
                break;
            }
            self.clock.sleep(policy.pause(checks, self.clock)).await;
        }
        for Planned { request, step } in planned {
            let mut unknown = Error::new(
                ErrorKind::Unknown,
                "it is not known whether the commit took place: look at the table's history \
                 before it is tried again; none of its files was deleted",
            )
            .with_context("table", self.ident)
            .with_context("cause", &error);
            if let Some(snapshot_id) = step.snapshot_id {
                unknown = unknown.with_context("snapshot", snapshot_id);
            }
            request.fail(self.catalog.storage(), unknown).await;
        }
        Vec::new()
    }

    async fn fail_all(&self, requests: Vec<Request>, error: Error) {
        let storage = self.catalog.storage();
        let mut requests = requests.into_iter();
        let (Some(first), shared) = (requests.next(), error) else {
            return;
        };
        if requests.len() == 0 {
            return first.fail(storage, shared).await;
        }
        let shared = Arc::new(shared);
        for request in std::iter::once(first).chain(requests) {
            let each = Error::new(shared.kind(), shared.to_string());
            request
                .fail(storage, each.with_source(Arc::clone(&shared)))
                .await;
        }
    }

    fn table(&self, pointer: TablePointer) -> Table {
        Table::new(pointer, self.catalog.storage().clone())
    }

    /// A state between two changes of one swap, which no catalog has.
    fn state(&self, before: &Table, metadata: TableMetadata) -> Table {
        let pointer = TablePointer {
            metadata: Arc::new(metadata),
            ..before.pointer().clone()
        };
        self.table(pointer)
    }
}

/// Changes to be tried again, first those that were refused because of others.
fn again(refused: Vec<Refused>, others: impl IntoIterator<Item = Request>) -> Vec<Request> {
    let refused = refused.into_iter().map(|refused| refused.request);
    refused.chain(others).collect()
}

async fn succeed_all(planned: Vec<Planned>, table: &Table) {
    for Planned { request, step } in planned {
        tracing::debug!(snapshot = step.snapshot_id, "committed");
        request.succeed(table.clone(), &step).await;
    }
}
