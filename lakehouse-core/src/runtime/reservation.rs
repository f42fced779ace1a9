//! Memory that one piece of work has asked the shared budget for.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::error::{Error, ErrorKind, Result};

/// A share of a memory budget, given back when dropped.
#[derive(Debug)]
pub struct Reservation {
    inner: MemoryReservation,
}

impl Reservation {
    /// An empty reservation of `pool`; `name` stands in the pool's error messages.
    ///
    /// The work is known to the pool as one that can give memory back when asked to.
    pub fn new(pool: &Arc<dyn MemoryPool>, name: impl Into<String>) -> Self {
        Self {
            inner: MemoryConsumer::new(name)
                .with_can_spill(true)
                .register(pool),
        }
    }

    /// As [`Self::new`], for work that cannot give memory back before it ends.
    pub fn unspillable(pool: &Arc<dyn MemoryPool>, name: impl Into<String>) -> Self {
        Self {
            inner: MemoryConsumer::new(name).register(pool),
        }
    }

    /// Bytes that are reserved now.
    pub fn size_bytes(&self) -> usize {
        self.inner.size()
    }

    /// Makes the reservation `bytes` large; when the budget does not allow it, nothing changes.
    ///
    /// # Errors
    /// [`ErrorKind::ResourcesExhausted`] when the budget is used up.
    pub fn resize(&mut self, bytes: usize) -> Result<()> {
        self.inner.try_resize(bytes).map_err(|error| {
            Error::new(
                ErrorKind::ResourcesExhausted,
                format!(
                    "the memory budget does not hold {bytes} bytes for {}; raise \
                     memory_budget_bytes or ask for less",
                    self.inner.consumer().name()
                ),
            )
            .with_source(error)
        })
    }
}
