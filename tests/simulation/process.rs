//! One process of a run: the calls it makes, until it crashes.

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::faults::{Call, FaultKind};
use crate::world::World;

/// An answer that did not come as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing was done.
    Refused,
    /// Nobody can tell.
    Unknown,
}

/// A process. After a crash none of its calls is answered or done, whatever task made it: that is
/// all that the rest of the world can notice of the end of a process.
pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    has_crashed: AtomicBool,
    crash: Notify,
}

impl Process {
    pub(crate) fn new(world: Arc<World>, name: String) -> Self {
        Self {
            world,
            name,
            has_crashed: AtomicBool::new(false),
            crash: Notify::new(),
        }
    }

    /// Waits for the process's end.
    pub(crate) async fn crashed(&self) {
        if !self.has_crashed.load(Ordering::SeqCst) {
            self.crash.notified().await;
        }
    }

    pub(crate) fn tell(&self, what: impl fmt::Display) {
        self.world.tell(&self.name, what);
    }

    /// Ends the process now.
    pub(crate) fn end(&self) {
        self.has_crashed.store(true, Ordering::SeqCst);
        self.crash.notify_one();
    }

    async fn stop_if_crashed(&self) {
        if self.has_crashed.load(Ordering::SeqCst) {
            pending::<()>().await;
        }
    }

    /// Makes one call, `work`, as its fault says; `late` is what is done of it after the answer
    /// was lost.
    pub(crate) async fn call<T>(
        &self,
        call: Call,
        what: &str,
        work: impl Future<Output = T>,
        late: impl FnOnce(std::time::Duration),
    ) -> Result<T, Lost> {
        self.stop_if_crashed().await;
        let fault = self.world.fault(call);
        if !fault.before.is_zero() {
            self.world.time.sleep(fault.before).await;
        }
        self.stop_if_crashed().await;
        if !self.world.is_calm() {
            let name = fault.kind.name().unwrap_or_default();
            self.tell(format_args!("{} {what} {name}", call.name()));
        }
        match fault.kind {
            FaultKind::Refused => return Err(Lost::Refused),
            FaultKind::RequestLost => return Err(Lost::Unknown),
            FaultKind::Late => {
                late(fault.after);
                return Err(Lost::Unknown);
            }
            FaultKind::CrashBefore => {
                self.end();
                return pending().await;
            }
            FaultKind::None | FaultKind::AnswerLost | FaultKind::CrashAfter => {}
        }
        let done = work.await;
        if fault.kind == FaultKind::CrashAfter {
            self.end();
            return pending().await;
        }
        if !fault.after.is_zero() {
            self.world.time.sleep(fault.after).await;
        }
        self.stop_if_crashed().await;
        match fault.kind {
            FaultKind::AnswerLost => Err(Lost::Unknown),
            _ => Ok(done),
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
