//! A load that many wait for, and that goes on as long as one of them does.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::error::{Error, Result};

type Running<T> = Shared<BoxFuture<'static, std::result::Result<Arc<T>, Arc<Error>>>>;

/// A value that is loaded when it is first asked for, once for all who ask.
///
/// Whoever waits drives the load. With a cell in which the first to come does all the work, a
/// partition that nobody polls any more, because its reader waits for another partition, would keep
/// that other one waiting for ever.
pub(crate) struct SharedLoad<T> {
    running: Mutex<Option<Running<T>>>,
}

impl<T: Send + Sync + 'static> SharedLoad<T> {
    /// Nothing is loaded yet.
    pub(crate) fn new() -> Self {
        Self {
            running: Mutex::new(None),
        }
    }

    /// The value; `load` is only made use of by the first who asks, or after a failure.
    ///
    /// # Errors
    /// What the load answers, to everybody who waited for it.
    pub(crate) async fn get<F>(&self, load: impl FnOnce() -> F) -> Result<Arc<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            let started = running.take().unwrap_or_else(|| {
                let load = load();
                let shared = async move { load.await.map(Arc::new).map_err(Arc::new) };
                shared.boxed().shared()
            });
            running.insert(started).clone()
        };
        let failed = running.clone();
        running.await.map_err(|error| {
            // Whoever asks from now on tries again, unless somebody does already.
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            if running.as_ref().is_some_and(|later| later.ptr_eq(&failed)) {
                *running = None;
            }
            copy_of(error)
        })
    }
}

impl<T> fmt::Debug for SharedLoad<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLoad").finish_non_exhaustive()
    }
}

/// The same error once more.
fn copy_of(error: Arc<Error>) -> Error {
    let copy = Error::new(error.kind(), error.message());
    let copy = error
        .context()
        .iter()
        .fold(copy, |copy, (key, value)| copy.with_context(key, value));
    match error.source() {
        Some(_) => copy.with_source(SharedCause(error)),
        None => copy,
    }
}

/// What caused an error that several got.
#[derive(Debug)]
struct SharedCause(Arc<Error>);

impl fmt::Display for SharedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => fmt::Display::fmt(cause, f),
            None => fmt::Display::fmt(&self.0, f),
        }
    }
}

impl StdError for SharedCause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_load_goes_on_when_the_first_who_asked_is_not_polled_any_more() {
        let loads = Arc::new(AtomicU32::new(0));
        let shared = SharedLoad::new();
        let load = || {
            let loads = Arc::clone(&loads);
            async move {
                tokio::task::yield_now().await;
                Ok(loads.fetch_add(1, Ordering::Relaxed))
            }
        };
        let mut stalled = pin!(shared.get(load));
        assert!(matches!(futures::poll!(stalled.as_mut()), Poll::Pending));
        assert_eq!(*shared.get(load).await.unwrap(), 0);
        assert_eq!(*shared.get(load).await.unwrap(), 0);
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_failure_reaches_all_who_wait_and_is_not_kept() {
        let shared = SharedLoad::new();
        let fail = || async {
            tokio::task::yield_now().await;
            let cause = std::io::Error::other("no disk");
            Err(Error::corrupt("bad")
                .with_context("file", "f")
                .with_source(cause))
        };
        let (first, second) = tokio::join!(shared.get(fail), shared.get(fail));
        for error in [
            first.map(|_: Arc<i32>| ()).unwrap_err(),
            second.map(|_| ()).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "bad (file: f): no disk");
        }
        assert_eq!(*shared.get(|| async { Ok(7) }).await.unwrap(), 7);
    }
}
