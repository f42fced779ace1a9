//! The memory that one sort may take for merging what it has spilled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};
use datafusion::execution::runtime_env::RuntimeEnv;

/// What of the budget the merges of one sort may take.
const MERGE_SHARE: usize = 8;

/// A pool that keeps to a share of the budget what cannot be given back.
///
/// A sort merges as many of its spilled files at once as there is memory for, down to the last byte
/// of the budget, which the sorts beside it need for theirs. With a share it merges fewer at once,
/// and more often.
#[derive(Debug)]
struct MergeMemory {
    budget: Arc<dyn MemoryPool>,
    bytes_max: usize,
    taken: AtomicUsize,
}

/// The environment of one sort, within the budget of `runtime`.
pub(super) fn for_one_sort(runtime: &Arc<RuntimeEnv>) -> Arc<RuntimeEnv> {
    let MemoryLimit::Finite(budget) = runtime.memory_pool.memory_limit() else {
        return Arc::clone(runtime);
    };
    let pool = MergeMemory {
        budget: Arc::clone(&runtime.memory_pool),
        bytes_max: budget / MERGE_SHARE,
        taken: AtomicUsize::new(0),
    };
    Arc::new(RuntimeEnv {
        memory_pool: Arc::new(pool),
        ..RuntimeEnv::clone(runtime)
    })
}

impl MergeMemory {
    /// Counts what cannot be given back; what is spilled can.
    fn count(&self, reservation: &MemoryReservation, change: impl FnOnce(&AtomicUsize)) {
        if !reservation.consumer().can_spill() {
            change(&self.taken);
        }
    }
}

impl MemoryPool for MergeMemory {
    fn register(&self, consumer: &MemoryConsumer) {
        self.budget.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.budget.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.budget.grow(reservation, additional);
        self.count(reservation, |taken| {
            taken.fetch_add(additional, Ordering::Relaxed);
        });
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.budget.shrink(reservation, shrink);
        self.count(reservation, |taken| {
            taken.fetch_sub(shrink, Ordering::Relaxed);
        });
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut may_grow = true;
        self.count(reservation, |taken| {
            let grown = taken.fetch_add(additional, Ordering::Relaxed) + additional;
            may_grow = grown <= self.bytes_max;
        });
        let grown = if may_grow {
            self.budget.try_grow(reservation, additional)
        } else {
            Err(resources_datafusion_err!(
                "{additional} bytes more for {} are over the {} bytes that a sort may merge in",
                reservation.consumer().name(),
                self.bytes_max
            ))
        };
        if grown.is_err() {
            self.count(reservation, |taken| {
                taken.fetch_sub(additional, Ordering::Relaxed);
            });
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.budget.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.budget.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::FairSpillPool;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;

    use super::*;

    #[test]
    fn a_sort_merges_in_its_share_and_leaves_the_rest_to_others() {
        let budget: Arc<dyn MemoryPool> = Arc::new(FairSpillPool::new(800));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(Arc::clone(&budget));
        let runtime = for_one_sort(&runtime.build_arc().unwrap());
        let merge = MemoryConsumer::new("merge").register(&runtime.memory_pool);
        assert!(merge.try_grow(60).is_ok());
        assert!(merge.new_empty().try_grow(60).is_err());
        let other = merge.new_empty();
        other.try_grow(40).unwrap();
        assert_eq!(budget.reserved(), 100);

        // What can be given back has all that is left.
        let sort = MemoryConsumer::new("sort").with_can_spill(true);
        let sort = sort.register(&runtime.memory_pool);
        assert!(sort.try_grow(700).is_ok());
        assert!(sort.try_grow(1).is_err());
        drop((sort, other));
        merge.try_grow(30).unwrap();
        assert!(merge.try_grow(11).is_err());
        drop(merge);
        assert_eq!(budget.reserved(), 0);
    }
}
