//! A cache bounded by bytes that drops what was not used for longest.

mod shared_load;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Result;
pub(crate) use shared_load::SharedLoad;

/// Values by key, at most `bytes_max` of them by the weights their owners state.
///
/// Values are handed out as clones, so they should be cheap to clone (an `Arc`). What weighs more
/// than the whole cache is never kept. All methods may be called from many threads at once.
pub(crate) struct ByteCache<K, V> {
    state: Mutex<State<K, V>>,
    bytes_max: u64,
}

struct State<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// Keys by the moment of their last use, oldest first.
    order: BTreeMap<u64, K>,
    /// Loads under way, so that each key is loaded once at a time.
    loading: HashMap<K, Loading<V>>,
    used_bytes: u64,
    next_use: u64,
}

struct Loading<V> {
    load: Arc<SharedLoad<(V, u64)>>,
    /// How many callers wait for it. References would not tell: a caller that leaves still has
    /// its own while it looks.
    waiting: usize,
}

struct Entry<V> {
    value: V,
    weight_bytes: u64,
    last_use: u64,
}

impl<K: Clone + Eq + Hash, V: Clone> ByteCache<K, V> {
    /// An empty cache; with 0 bytes it keeps nothing.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            state: Mutex::new(State {
                entries: HashMap::new(),
                order: BTreeMap::new(),
                loading: HashMap::new(),
                used_bytes: 0,
                next_use: 0,
            }),
            bytes_max,
        }
    }

    /// The value of `key`, which then counts as just used.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.state().touch(key)
    }

    /// Whether there is a value of `key`; this does not count as a use.
    pub(crate) fn holds(&self, key: &K) -> bool {
        self.state().entries.contains_key(key)
    }

    /// Keeps `value`, dropping what was not used for longest until there is room.
    pub(crate) fn insert(&self, key: K, value: V, weight_bytes: u64) {
        if weight_bytes > self.bytes_max {
            return;
        }
        let mut state = self.state();
        state.remove(&key);
        while state.used_bytes + weight_bytes > self.bytes_max {
            if !state.remove_oldest() {
                break;
            }
        }
        let last_use = state.tick();
        state.used_bytes += weight_bytes;
        state.order.insert(last_use, key.clone());
        let entry = Entry {
            value,
            weight_bytes,
            last_use,
        };
        state.entries.insert(key, entry);
    }

    /// The value of `key`, loaded when it is not there; `load` gives it with its weight in bytes.
    ///
    /// Callers that want one key at one time share one load. A failed load is not remembered: the
    /// next caller tries again.
    ///
    /// # Errors
    /// What `load` answers.
    pub(crate) async fn get_or_load<F>(&self, key: &K, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<(V, u64)>> + Send + 'static,
        V: Send + Sync + 'static,
    {
        // Whoever leaves last, by value, error or cancellation, takes the load off the list.
        let waiting = {
            let mut state = self.state();
            if let Some(value) = state.touch(key) {
                return Ok(value);
            }
            let listed = state.loading.entry(key.clone());
            let listed = listed.or_insert_with(|| Loading {
                load: Arc::new(SharedLoad::new()),
                waiting: 0,
            });
            listed.waiting += 1;
            Waiting {
                cache: self,
                key,
                load: Arc::clone(&listed.load),
            }
        };
        let loaded = waiting.load.get(load).await?;
        let (value, weight_bytes) = &*loaded;
        // The first to come back keeps the value.
        if waiting.unlist() {
            self.insert(key.clone(), value.clone(), *weight_bytes);
        }
        Ok(value.clone())
    }

    /// The sum of the kept values' weights, in bytes.
    #[cfg(test)]
    pub(crate) fn used_bytes(&self) -> u64 {
        self.state().used_bytes
    }

    fn state(&self) -> MutexGuard<'_, State<K, V>> {
        // No code that can panic runs under the lock, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller waiting for a load.
struct Waiting<'a, K: Clone + Eq + Hash, V: Clone> {
    cache: &'a ByteCache<K, V>,
    key: &'a K,
    load: Arc<SharedLoad<(V, u64)>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Waiting<'_, K, V> {
    /// Lets new callers start a load of their own; whether this one was the load they join.
    fn unlist(&self) -> bool {
        let mut state = self.cache.state();
        let is_listed = self.listed(&mut state).is_some();
        if is_listed {
            state.loading.remove(self.key);
        }
        is_listed
    }

    fn listed<'s>(&self, state: &'s mut State<K, V>) -> Option<&'s mut Loading<V>> {
        let listed = state.loading.get_mut(self.key);
        listed.filter(|listed| Arc::ptr_eq(&listed.load, &self.load))
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Waiting<'_, K, V> {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        let Some(listed) = self.listed(&mut state) else {
            return;
        };
        listed.waiting -= 1;
        if listed.waiting == 0 {
            state.loading.remove(self.key);
        }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> State<K, V> {
    fn tick(&mut self) -> u64 {
        self.next_use += 1;
        self.next_use
    }

    fn touch(&mut self, key: &K) -> Option<V> {
        let now = self.tick();
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.last_use);
        entry.last_use = now;
        self.order.insert(now, key.clone());
        Some(entry.value.clone())
    }

    fn remove(&mut self, key: &K) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.last_use);
            self.used_bytes -= entry.weight_bytes;
        }
    }

    fn remove_oldest(&mut self) -> bool {
        let Some((_, key)) = self.order.pop_first() else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&key) {
            self.used_bytes -= entry.weight_bytes;
        }
        true
    }
}

impl<K, V> fmt::Debug for ByteCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteCache")
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::Error;

    #[test]
    fn what_was_not_used_for_longest_leaves_first() {
        let cache = ByteCache::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 4);
        assert_eq!(cache.get(&"a"), Some(1));
        cache.insert("c", 3, 4);
        assert_eq!(cache.get(&"b"), None);
        assert_eq!((cache.get(&"a"), cache.get(&"c")), (Some(1), Some(3)));
        assert_eq!(cache.used_bytes(), 8);
    }

    #[test]
    fn the_bound_holds_for_replaced_and_oversized_values() {
        let cache = ByteCache::new(10);
        cache.insert("a", 1, 6);
        cache.insert("a", 2, 7);
        assert_eq!(cache.used_bytes(), 7);
        cache.insert("huge", 3, 11);
        assert_eq!(cache.get(&"huge"), None);
        assert_eq!(cache.get(&"a"), Some(2));
    }

    #[tokio::test]
    async fn one_load_serves_all_who_wait_and_a_failure_is_not_kept() {
        let cache = ByteCache::new(10);
        let loads = Arc::new(AtomicU32::new(0));
        let load = || {
            let loads = Arc::clone(&loads);
            async move {
                loads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok((7, 1))
            }
        };
        let (first, second) =
            tokio::join!(cache.get_or_load(&"k", load), cache.get_or_load(&"k", load));
        assert_eq!((first.unwrap(), second.unwrap()), (7, 7));
        assert_eq!(loads.load(Ordering::Relaxed), 1);

        let failed = cache
            .get_or_load(&"bad", || async { Err(Error::invalid("no")) })
            .await;
        assert!(failed.is_err());
        assert_eq!(cache.get_or_load(&"bad", load).await.unwrap(), 7);
        assert!(cache.state().loading.is_empty());
    }

    #[tokio::test]
    async fn a_load_that_all_have_left_is_not_listed_any_more() {
        let cache = ByteCache::<_, i32>::new(10);
        let never = || std::future::pending::<Result<(i32, u64)>>();
        let mut one = Box::pin(cache.get_or_load(&"k", never));
        let mut other = Box::pin(cache.get_or_load(&"k", never));
        assert!(futures::poll!(one.as_mut()).is_pending());
        assert!(futures::poll!(other.as_mut()).is_pending());
        // Who leaves on another thread may still hold the load when the last one looks.
        let held = cache.state().loading.get(&"k").map(|l| Arc::clone(&l.load));
        drop(one);
        assert_eq!(cache.state().loading.len(), 1);
        drop(other);
        assert!(cache.state().loading.is_empty());
        drop(held);
        assert_eq!(
            cache
                .get_or_load(&"k", || async { Ok((7, 1)) })
                .await
                .unwrap(),
            7
        );
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "what is spawned here is waited for, and this floor knows no runtime"
    )]
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn loads_that_many_threads_leave_at_once_are_not_listed_any_more() {
        let cache = Arc::new(ByteCache::<u32, i32>::new(10));
        for key in 0..200 {
            let callers = (0..4).map(|_| {
                let cache = Arc::clone(&cache);
                tokio::spawn(async move {
                    let never = || std::future::pending::<Result<(i32, u64)>>();
                    let mut load = Box::pin(cache.get_or_load(&key, never));
                    assert!(futures::poll!(load.as_mut()).is_pending());
                    tokio::task::yield_now().await;
                })
            });
            for caller in callers.collect::<Vec<_>>() {
                caller.await.unwrap();
            }
        }
        assert!(cache.state().loading.is_empty());
    }
}
