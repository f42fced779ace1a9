//! The engine's stores by URL: those it is given, and buckets as the lake's storage reaches them.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;

use crate::storage::Storage;

/// Schemes of buckets.
const BUCKET_SCHEMES: [&str; 3] = ["s3", "s3a", "s3n"];

/// Stores for statements that name files by URL, such as `SELECT … FROM 's3://bucket/raw/'`.
#[derive(Debug)]
pub(super) struct LakeStores {
    given: DefaultObjectStoreRegistry,
    storage: Storage,
}

impl LakeStores {
    pub(super) fn new(storage: Storage) -> Self {
        Self {
            given: DefaultObjectStoreRegistry::new(),
            storage,
        }
    }
}

impl ObjectStoreRegistry for LakeStores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.given.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.given.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let bucket = match BUCKET_SCHEMES.contains(&url.scheme()) {
            true => url.host_str(),
            false => None,
        };
        let found = self.given.get_store(url);
        match (
            found,
            bucket.and_then(|bucket| self.storage.bucket_store(bucket)),
        ) {
            (Err(_), Some(store)) => Ok(store),
            (found, _) => found,
        }
    }
}
