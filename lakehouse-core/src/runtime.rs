//! Spawning, memory and spill budgets: the only module that starts tasks or threads.

mod containment;
mod reservation;
mod spill;
mod spill_file;
mod stores;
mod turns;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, UnboundedMemoryPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

use crate::error::{Error, ErrorKind, Result};
use crate::settings::Settings;
use crate::storage::{Storage, WorkGuard};
pub(crate) use containment::{contained, contained_future, contained_stream, contained_work};
pub use containment::{engine_call, engine_change, engine_future, engine_stream, is_contained};
pub use reservation::Reservation;
pub use spill::SpillFolder;
pub use spill_file::{SpillFile, SpillSpace};
use stores::LakeStores;
pub use turns::Turns;

/// What all sessions of a lake share for execution: memory pool, spill folder, object stores.
#[derive(Debug, Clone)]
pub struct Runtime {
    env: Arc<RuntimeEnv>,
    spill: Arc<SpillFolder>,
}

impl Runtime {
    /// Makes the budgets of `settings` real and registers `storage` with the engine.
    ///
    /// # Errors
    /// When the spill folder cannot be made, and when the column cache takes the whole memory
    /// budget.
    pub fn new(settings: &Settings, storage: &Storage) -> Result<Self> {
        let spill = SpillFolder::create(settings.spill.folder.as_deref())?;
        let pool: Arc<dyn MemoryPool> = match query_memory(settings)? {
            Some(bytes) => Arc::new(FairSpillPool::new(bytes)),
            None => Arc::new(UnboundedMemoryPool::default()),
        };
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![
                spill.path().to_path_buf(),
            ]))
            .with_max_temp_directory_size(settings.spill.bytes_max);
        let env = RuntimeEnvBuilder::new()
            .with_object_store_registry(Arc::new(LakeStores::new(storage.clone())))
            .with_memory_pool(pool)
            .with_disk_manager_builder(disk)
            .build_arc()?;
        env.register_object_store(storage.url().as_ref(), storage.routing_store());
        Ok(Self {
            env,
            spill: Arc::new(spill),
        })
    }

    /// Makes another storage's files known to the engine.
    pub fn register_storage(&self, storage: &Storage) {
        self.env
            .register_object_store(storage.url().as_ref(), storage.routing_store());
    }

    /// The engine's form of these budgets.
    pub fn env(&self) -> &Arc<RuntimeEnv> {
        &self.env
    }

    /// An empty share of the memory budget, named for error messages.
    pub fn reserve(&self, name: impl Into<String>) -> Reservation {
        Reservation::new(&self.env.memory_pool, name)
    }

    /// Where work may spill what memory does not hold.
    pub fn spill_space(&self) -> SpillSpace {
        SpillSpace::new(Arc::clone(&self.env.disk_manager), self.spill.parent())
    }

    /// An error of a statement, with the folder and what to do where the engine could not spill.
    pub fn with_spill_folder(&self, error: Error) -> Error {
        // The words of Arrow's writers, which the engine writes nothing else to files with.
        let is_spill = error.message().starts_with("Io error: ");
        match error.kind() {
            ErrorKind::ResourcesExhausted if is_spill => {
                spill::without_room(self.spill.parent(), error)
            }
            _ => error,
        }
    }

    /// The private folder of this process, emptied when the last clone is dropped.
    pub fn spill_folder(&self) -> &std::path::Path {
        self.spill.path()
    }
}

/// The part of the memory budget that queries have, in bytes; `None` without a budget.
fn query_memory(settings: &Settings) -> Result<Option<usize>> {
    let Some(budget) = settings.memory_budget_bytes else {
        return Ok(None);
    };
    let columns = settings.column_cache_bytes();
    let left = budget.checked_sub(columns).filter(|left| *left > 0);
    let left = left.ok_or_else(|| {
        Error::invalid(format!(
            "caches.column_bytes_max ({columns}) leaves nothing of memory_budget_bytes \
             ({budget}) to queries; lower it or raise the budget"
        ))
    })?;
    usize::try_from(left).map(Some).map_err(|error| {
        Error::invalid("memory_budget_bytes is larger than this machine can address")
            .with_source(error)
    })
}

/// A task that is cancelled when its handle is dropped.
#[derive(Debug)]
pub struct Task<T> {
    handle: tokio::task::JoinHandle<T>,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.handle)
            .poll(cx)
            .map(|joined| joined.map_err(join_error))
    }
}

/// Starts `work` on the current runtime; dropping the task cancels it.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Task<T> {
    Task {
        handle: start(work),
    }
}

/// Starts `work` that must run to its end even when nobody waits for it any longer, such as a
/// commit whose pointer swap may already have been sent. Whoever ends the runtime waits for the
/// `guard`.
///
/// # Errors
/// When the work panicked or the runtime is going down.
pub async fn finish<T: Send + 'static>(
    guard: WorkGuard,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    start(guarded(guard, work)).await.map_err(join_error)
}

/// Starts `work` that nobody waits for, such as cleaning up behind something that was dropped, but
/// who ends the runtime, by the `guard`. Outside of a runtime, and when one is going down, nothing
/// is done.
pub(crate) fn detach(guard: WorkGuard, work: impl Future<Output = ()> + Send + 'static) {
    if tokio::runtime::Handle::try_current().is_ok() {
        drop(start(guarded(guard, work)));
    }
}

async fn guarded<T>(guard: WorkGuard, work: impl Future<Output = T>) -> T {
    let _guard = guard;
    work.await
}

#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
fn start<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    match turns::turn() {
        Some(turn) => tokio::spawn(turn.take(Box::pin(work))),
        None => tokio::spawn(work),
    }
}

/// Runs `work` so that it can be repeated, on a runtime of one thread: [`blocking`] work below it
/// is done at once and on this thread, and the tasks that are started below it take `turns`.
///
/// `work` is what drives the runtime, such as its `block_on`; the runtime has to call
/// [`Turns::pass`] when its thread has nothing to do.
pub fn on_this_thread<T>(turns: Arc<Turns>, work: impl FnOnce() -> T) -> T {
    turns::with_turns(turns, work)
}

/// Runs blocking `work` away from the threads that serve queries.
///
/// # Errors
/// When the work panicked or the runtime is going down.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if turns::are_taken() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(join_error)
}

fn join_error(error: tokio::task::JoinError) -> Error {
    if error.is_cancelled() {
        Error::new(ErrorKind::Cancelled, "the work was cancelled").with_source(error)
    } else {
        Error::internal("a task of the library panicked").with_source(error)
    }
}
