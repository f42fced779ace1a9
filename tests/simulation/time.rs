//! Time of a run: it stands still while anybody is at work, and jumps to the next who waits for it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The time of one run. Who waits is woken one at a time, in an order that is always the same.
#[derive(Debug, Default)]
pub(crate) struct Time {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    now_ms: u64,
    sleepers: u64,
    /// By time and, at one time, by who came first.
    waiting: BTreeMap<(u64, u64), Waker>,
    /// Nobody is at work, and nobody waits for the time.
    is_stuck: bool,
    whole: Option<Waker>,
}

impl Time {
    /// Milliseconds since the run began.
    pub(crate) fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    /// Waits until so much time has passed.
    pub(crate) fn sleep(self: &Arc<Self>, pause: Duration) -> Sleep {
        let mut state = self.state();
        state.sleepers += 1;
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Sleep {
            time: Arc::clone(self),
            key: (state.now_ms.saturating_add(pause_ms), state.sleepers),
        }
    }

    /// Everybody waits: wakes the next. Called by the runtime's thread when it has nothing to do.
    pub(crate) fn pass(&self) {
        let mut state = self.state();
        let waker = match state.waiting.pop_first() {
            Some(((at_ms, _), waker)) => {
                state.now_ms = at_ms.max(state.now_ms);
                Some(waker)
            }
            None => {
                state.is_stuck = true;
                state.whole.take()
            }
        };
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs the whole of a run; nothing when it comes to a stand before its end.
    pub(crate) async fn run<T>(&self, whole: impl Future<Output = T>) -> Option<T> {
        let mut whole = std::pin::pin!(whole);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = whole.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            let mut state = self.state();
            if state.is_stuck {
                return Poll::Ready(None);
            }
            state.whole = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Time::sleep`].
pub(crate) struct Sleep {
    time: Arc<Time>,
    key: (u64, u64),
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.time.state();
        if state.now_ms >= self.key.0 {
            state.waiting.remove(&self.key);
            return Poll::Ready(());
        }
        state.waiting.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.time.state().waiting.remove(&self.key);
    }
}
