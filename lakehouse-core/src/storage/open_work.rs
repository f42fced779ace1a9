//! Work on files that nobody may be waiting for any longer, counted so that its end can be.

use std::sync::Arc;

use tokio::sync::watch;

/// How much work on the files of a lake is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct OpenWork {
    count: Arc<watch::Sender<usize>>,
}

/// A piece of work on files that must not be cut off; it ends when this is dropped.
#[derive(Debug)]
pub struct WorkGuard {
    work: OpenWork,
}

impl OpenWork {
    pub(super) fn begin(&self) -> WorkGuard {
        self.count.send_modify(|count| *count += 1);
        WorkGuard { work: self.clone() }
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.count.borrow() == 0
    }

    pub(super) async fn ended(&self) {
        let mut count = self.count.subscribe();
        // It fails only without a sender, and `self` is one.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl WorkGuard {
    /// Another piece of the same work, which may go on for longer.
    pub(crate) fn another(&self) -> Self {
        self.work.begin()
    }
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.work.count.send_modify(|count| *count -= 1);
    }
}
