//! What all processes of a run share: files, pointers, the order of faults, and the log of it all.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use lakehouse::Result;
use lakehouse::core::catalog::MemoryPointers;
use lakehouse::core::runtime::Task;
use lakehouse_testkit::Random;
use object_store::memory::InMemory;

use crate::faults::{Call, Fault, Faults};
use crate::planted::Planted;
use crate::scan::Found;
use crate::statement::Manner;
use crate::time::Time;

/// What planted losses that took place are counted as.
pub(crate) const PLANTED: &str = "planted";

/// What statements are counted as whose effect the table's history shows.
pub(crate) const SEEN: &str = "seen";

/// A pointer that was moved.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) at_ms: u64,
}

/// The outside of all processes of one run.
pub(crate) struct World {
    pub(crate) planted: Option<Planted>,
    pub(crate) time: Arc<Time>,
    pub(crate) files: Arc<InMemory>,
    pub(crate) pointers: MemoryPointers,
    faults: Faults,
    is_calm: AtomicBool,
    manner: OnceLock<Manner>,
    random: Mutex<Random>,
    log: Mutex<Vec<String>>,
    moves: Mutex<Vec<Moved>>,
    counts: Mutex<BTreeMap<String, u64>>,
    late: Mutex<Vec<Task<()>>>,
}

impl World {
    /// A world without a table.
    pub(crate) fn new(
        seed: u64,
        time: Arc<Time>,
        faults: Faults,
        planted: Option<Planted>,
    ) -> Self {
        Self {
            planted,
            time,
            files: Arc::default(),
            pointers: MemoryPointers::default(),
            faults,
            is_calm: AtomicBool::new(true),
            manner: OnceLock::new(),
            random: Mutex::new(Random::of_case(seed, 1)),
            log: Mutex::default(),
            moves: Mutex::default(),
            counts: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// Lets calls fail, or no longer.
    pub(crate) fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::SeqCst);
    }

    /// Whether calls of this run fail.
    pub(crate) fn may_fail(&self) -> bool {
        self.faults.is_any()
    }

    /// Whether a process ended, the outcome of a swap was unknown or a file could not be deleted:
    /// only then may files stay that nothing names.
    pub(crate) fn may_leave_files(&self) -> bool {
        let counts = lock(&self.counts);
        counts.keys().any(|what| {
            let is_of = |call: Call| what.ends_with(&format!(" of {}", call.name()));
            let is_answered = what.starts_with("refusal");
            what.starts_with("crash") || is_of(Call::Delete) || is_of(Call::Swap) && !is_answered
        })
    }

    /// Whether a planted loss happens now.
    pub(crate) fn loses(&self, planted: Planted) -> bool {
        let loses = self.planted == Some(planted) && !self.is_calm() && self.random().chance(300);
        if loses {
            self.count(PLANTED);
        }
        loses
    }

    /// Takes a row out of what was found, where that is planted.
    pub(crate) fn spoil(&self, found: &mut HashMap<i64, Result<Found>>) {
        if self.planted != Some(Planted::RowLost) {
            return;
        }
        let readable = found
            .iter_mut()
            .filter_map(|(id, found)| Some((*id, found.as_mut().ok()?)));
        let last = readable.max_by_key(|(id, found)| (found.rows.len(), *id));
        if last.and_then(|(_, found)| found.rows.pop()).is_some() {
            self.count(PLANTED);
        }
    }

    /// Says what statements are like; to be said once.
    pub(crate) fn set_manner(&self, manner: Manner) {
        self.manner.set(manner).unwrap();
    }

    /// What statements are like.
    pub(crate) fn manner(&self) -> Manner {
        self.manner.get().copied().unwrap_or_default()
    }

    /// Whether nothing fails now.
    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::SeqCst)
    }

    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.time.now_ms()
    }

    /// What meets the next call of a kind.
    pub(crate) fn fault(&self, call: Call) -> Fault {
        if self.is_calm() {
            return Fault::default();
        }
        let fault = self.faults.draw(call, &mut self.random());
        if let Some(name) = fault.kind.name() {
            self.count(&format!("{name} of {}", call.name()));
        }
        fault
    }

    pub(crate) fn random(&self) -> MutexGuard<'_, Random> {
        lock(&self.random)
    }

    /// Adds a line to the log.
    pub(crate) fn tell(&self, who: &str, what: impl Display) {
        lock(&self.log).push(format!("{:>7} {who:<6} {what}", self.now_ms()));
    }

    pub(crate) fn log(&self) -> Vec<String> {
        lock(&self.log).clone()
    }

    /// Counts something that happened, for the account at the end.
    pub(crate) fn count(&self, what: &str) {
        *lock(&self.counts).entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        lock(&self.counts).clone()
    }

    /// Notes that the pointer was moved, in the order in which it was.
    pub(crate) fn moved(&self, from: &str, to: &str) {
        lock(&self.moves).push(Moved {
            from: from.to_owned(),
            to: to.to_owned(),
            at_ms: self.now_ms(),
        });
    }

    /// Keeps work that the outside does by itself, see [`Self::settle`].
    pub(crate) fn keep(&self, late: Task<()>) {
        lock(&self.late).push(late);
    }

    /// Waits until the outside has nothing left to do.
    pub(crate) async fn settle(&self) {
        loop {
            let Some(late) = lock(&self.late).pop() else {
                return;
            };
            late.await.unwrap();
        }
    }

    pub(crate) fn moves(&self) -> Vec<Moved> {
        lock(&self.moves).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
