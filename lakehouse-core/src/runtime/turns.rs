//! Tasks that go on one at a time, in an order that is always the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// The tasks of a run that is to be repeated, see [`super::on_this_thread`].
///
/// The engine wakes those who wait for it in the order of hash maps with seeds of their own. So
/// nobody goes on when he is woken: all who were wait here, and [`Self::pass`] lets the one go on
/// that was started first.
#[derive(Debug, Default)]
pub struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    /// By the order in which they were started.
    waiting: BTreeMap<u64, Waker>,
    /// Whose turn it is.
    next: Option<u64>,
}

impl Turns {
    /// Lets one task go on; false when none wants to. To be called when the runtime's thread has
    /// nothing else to do.
    pub fn pass(&self) -> bool {
        let mut state = self.state();
        let Some((number, waker)) = state.waiting.pop_first() else {
            return false;
        };
        state.next = Some(number);
        drop(state);
        waker.wake();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Turns>>> = const { RefCell::new(None) };
}

/// Runs `work` with `turns` for the tasks that are started on this thread.
pub(super) fn with_turns<T>(turns: Arc<Turns>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Arc<Turns>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(turns)));
    work()
}

/// Whether this thread's tasks take turns.
pub(super) fn are_taken() -> bool {
    CURRENT.with_borrow(Option::is_some)
}

/// A place among this thread's tasks, where they take turns.
pub(super) fn turn() -> Option<Turn> {
    let turns = CURRENT.with_borrow(Clone::clone)?;
    let mut state = turns.state();
    state.started += 1;
    let number = state.started;
    drop(state);
    Some(Turn { turns, number })
}

/// The place of one task.
pub(super) struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

impl Turn {
    /// Does `work` step by step, each in its turn.
    pub(super) async fn take<T>(self, mut work: Pin<Box<dyn Future<Output = T> + Send>>) -> T {
        poll_fn(|context| match self.has_come(context) {
            true => work.as_mut().poll(context),
            false => std::task::Poll::Pending,
        })
        .await
    }

    fn has_come(&self, context: &Context<'_>) -> bool {
        let mut state = self.turns.state();
        if state.next == Some(self.number) {
            state.next = None;
            return true;
        }
        state.waiting.insert(self.number, context.waker().clone());
        false
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if state.next == Some(self.number) {
            state.next = None;
        }
        let waker = state.waiting.remove(&self.number);
        // What it wakes may take a turn of its own when it goes.
        drop(state);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Notify;

    use super::super::{on_this_thread, spawn};
    use super::Turns;

    /// The order in which two tasks go on that are woken in this order.
    fn order_of(woken: [usize; 2]) -> Vec<usize> {
        let turns = Arc::new(Turns::default());
        let passed = Arc::clone(&turns);
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.on_thread_park(move || _ = passed.pass());
        let runtime = runtime.build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let work = async {
            let gates = [0, 1].map(|_| Arc::new(Notify::new()));
            let tasks = [0, 1].map(|number| {
                let (gate, order) = (Arc::clone(&gates[number]), Arc::clone(&order));
                spawn(async move {
                    gate.notified().await;
                    order.lock().unwrap().push(number);
                })
            });
            let waker = spawn(async move { woken.map(|number| gates[number].notify_one()) });
            waker.await.unwrap();
            for task in tasks {
                task.await.unwrap();
            }
        };
        on_this_thread(turns, || runtime.block_on(work));
        let order = order.lock().unwrap();
        order.clone()
    }

    #[test]
    fn tasks_go_on_in_the_order_in_which_they_were_started() {
        assert_eq!(order_of([0, 1]), [0, 1]);
        assert_eq!(order_of([1, 0]), [0, 1]);
    }
}
