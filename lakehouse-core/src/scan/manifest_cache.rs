//! Decoded manifest lists and manifests by path, bounded by bytes and shared by sessions.

use std::future::Future;
use std::sync::Arc;

use iceberg::spec::ManifestFile;

use super::manifest::DecodedManifest;
use crate::cache::ByteCache;
use crate::error::Result;

/// Keeps what was used last, up to a number of bytes. Files of a table never change under their
/// path, so nothing in it can be outdated. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ManifestCache {
    lists: Arc<ByteCache<String, Arc<Vec<ManifestFile>>>>,
    manifests: Arc<ByteCache<String, Arc<DecodedManifest>>>,
}

/// Manifest lists are small beside the manifests they name: this part of the cache is theirs.
const LISTS_SHARE: u64 = 8;

impl ManifestCache {
    /// A cache of at most `bytes_max` bytes of decoded values; with 0 nothing is kept.
    pub fn new(bytes_max: u64) -> Self {
        let lists_max = bytes_max / LISTS_SHARE;
        Self {
            lists: Arc::new(ByteCache::new(lists_max)),
            manifests: Arc::new(ByteCache::new(bytes_max - lists_max)),
        }
    }

    /// The manifest list of a path, loaded when it is not kept; `load` gives it with its size.
    pub(super) async fn list<F>(
        &self,
        path: &str,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<Vec<ManifestFile>>>
    where
        F: Future<Output = Result<(Arc<Vec<ManifestFile>>, u64)>> + Send + 'static,
    {
        self.lists.get_or_load(&path.to_owned(), load).await
    }

    /// The manifest of a path, loaded when it is not kept; `load` gives it with its size.
    pub(super) async fn manifest<F>(
        &self,
        path: &str,
        load: impl FnOnce() -> F,
    ) -> Result<Arc<DecodedManifest>>
    where
        F: Future<Output = Result<(Arc<DecodedManifest>, u64)>> + Send + 'static,
    {
        self.manifests.get_or_load(&path.to_owned(), load).await
    }

    /// Whether a manifest is kept, so that it need not be read; this does not count as a use.
    pub(super) fn holds(&self, file: &ManifestFile) -> bool {
        self.manifests.holds(&file.manifest_path)
    }

    /// Bytes that are kept, as estimated from the decoded values.
    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> u64 {
        self.lists.used_bytes() + self.manifests.used_bytes()
    }
}
