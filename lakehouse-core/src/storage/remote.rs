//! Stores of remote locations, which come from outside: this crate knows no cloud.

use std::fmt::Debug;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;

use super::counted::{CountedStore, IoCounters, IoCounts};
use crate::error::Result;

/// Finds the store of a bucket's objects. Implemented once per cloud; asked for each file, so an
/// answer must cost no more than a look into a map.
pub trait RemoteStores: Debug + Send + Sync {
    /// The store whose paths are the keys of `bucket`, with the credentials that hold for `key`.
    ///
    /// # Errors
    /// When there is no store for the bucket, or its settings are wrong.
    fn store(&self, bucket: &str, key: &Path) -> Result<Arc<dyn ObjectStore>>;
}

/// Remote stores with one count of their requests.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    stores: Arc<dyn RemoteStores>,
    counters: Arc<IoCounters>,
}

impl Remote {
    pub(super) fn new(stores: Arc<dyn RemoteStores>) -> Self {
        Self {
            stores,
            counters: Arc::default(),
        }
    }

    pub(super) fn stores(&self) -> &Arc<dyn RemoteStores> {
        &self.stores
    }

    pub(super) fn store(&self, bucket: &str, key: &Path) -> Result<CountedStore> {
        let store = self.stores.store(bucket, key)?;
        Ok(CountedStore::counting(store, Arc::clone(&self.counters)))
    }

    pub(super) fn counts(&self) -> IoCounts {
        self.counters.snapshot()
    }
}
