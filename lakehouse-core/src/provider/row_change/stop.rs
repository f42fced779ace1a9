//! Tells all tasks of a change that it is given up.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{Error, ErrorKind, Result};

/// Whether a change is given up; clones tell of the same change.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

/// Gives a change up when it is dropped.
#[derive(Debug)]
pub(super) struct StopOnDrop(Stop);

impl Stop {
    pub(super) fn new() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }

    /// Gives the change up.
    pub(super) fn stop(&self) {
        self.sender.send_replace(true);
    }

    /// Gives the change up when the answer is dropped.
    pub(super) fn on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// Ends when the change is given up.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self
            .sender
            .subscribe()
            .wait_for(|is_stopped| *is_stopped)
            .await;
    }

    /// Whether the work may go on.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when the change is given up.
    pub(super) fn check(&self) -> Result<()> {
        match *self.sender.borrow() {
            true => Err(given_up()),
            false => Ok(()),
        }
    }

    /// The outcome of work that may be dropped when the change is given up.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] when that happens first.
    pub(super) async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.stopped() => Err(given_up()),
            outcome = work => Ok(outcome),
        }
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn given_up() -> Error {
    Error::new(ErrorKind::Cancelled, "the change of rows was given up")
}
