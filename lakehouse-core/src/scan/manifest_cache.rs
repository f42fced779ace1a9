//! Decoded manifest lists and manifests by path, bounded by bytes and shared by sessions.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// What counts reads through this clone of the cache.
    reads: Option<Arc<ManifestReads>>,
}

/// How many manifest lists and manifests were asked for, and what of them was not kept.
#[derive(Debug, Default)]
pub(crate) struct ManifestReads {
    asked: AtomicU64,
    loaded: AtomicU64,
    lists_loaded: AtomicU64,
    loaded_bytes: AtomicU64,
}

impl ManifestReads {
    /// Manifests that were asked for, each time they were.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Manifests read from storage for it; the others were kept, or read for somebody else.
    pub(crate) fn loaded(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Manifest lists read from storage.
    pub(crate) fn lists_loaded(&self) -> u64 {
        self.lists_loaded.load(Ordering::Relaxed)
    }

    /// Bytes read from storage for both.
    pub(crate) fn loaded_bytes(&self) -> u64 {
        self.loaded_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn count_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_list(&self, bytes: usize) {
        self.lists_loaded.fetch_add(1, Ordering::Relaxed);
        self.loaded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_manifest(&self, bytes: usize) {
        self.loaded.fetch_add(1, Ordering::Relaxed);
        self.loaded_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
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
            reads: None,
        }
    }

    /// The same cache, counting what is read through this clone of it.
    pub(crate) fn counted(&self, reads: &Arc<ManifestReads>) -> Self {
        Self {
            reads: Some(Arc::clone(reads)),
            ..self.clone()
        }
    }

    /// What counts the reads through this clone.
    pub(super) fn reads(&self) -> Option<&Arc<ManifestReads>> {
        self.reads.as_ref()
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
