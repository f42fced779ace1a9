//! How many changes came to which end, for those who gave up waiting for theirs.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Committed;
use crate::error::{ErrorKind, Result};

/// How many changes ended how since a lake was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitCounts {
    /// Changes that took place and changed something.
    pub committed: u64,
    /// Changes of which it is not known whether they took place, with those under way.
    pub unknown: u64,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    committed: AtomicU64,
    unknown: AtomicU64,
}

impl Tally {
    pub(super) fn counts(&self) -> CommitCounts {
        CommitCounts {
            committed: self.committed.load(Ordering::SeqCst),
            unknown: self.unknown.load(Ordering::SeqCst),
        }
    }

    /// Counts the end of `work`, which is under way from the call on; what panics has none.
    pub(super) fn counted<F: Future<Output = Result<Committed>>>(
        self: &Arc<Self>,
        work: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let tally = Arc::clone(self);
        tally.unknown.fetch_add(1, Ordering::SeqCst);
        async move {
            let outcome = work.await;
            if matches!(&outcome, Ok(committed) if committed.is_changed) {
                tally.committed.fetch_add(1, Ordering::SeqCst);
            }
            let is_unknown = matches!(&outcome, Err(error) if error.kind() == ErrorKind::Unknown);
            if !is_unknown {
                tally.unknown.fetch_sub(1, Ordering::SeqCst);
            }
            outcome
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[tokio::test]
    async fn what_nobody_knows_the_end_of_stays_unknown() {
        let tally = Arc::new(Tally::default());
        let fail = |kind| tally.counted(async move { Err(Error::new(kind, "a test")) });
        let counts = |unknown| CommitCounts {
            committed: 0,
            unknown,
        };
        let conflicted = fail(ErrorKind::Conflict);
        assert_eq!(tally.counts(), counts(1));
        conflicted.await.unwrap_err();
        assert_eq!(tally.counts(), counts(0));
        fail(ErrorKind::Unknown).await.unwrap_err();
        drop(fail(ErrorKind::Conflict));
        assert_eq!(tally.counts(), counts(2));
    }
}
