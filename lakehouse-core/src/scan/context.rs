//! The caches that scans share.

use std::sync::Arc;

use super::footer::FooterCache;
use super::manifest_cache::ManifestCache;
use crate::settings::CacheSettings;

/// The caches that all scans of a lake share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScanContext {
    manifests: ManifestCache,
    footers: Arc<FooterCache>,
}

impl ScanContext {
    /// Empty caches of the sizes in `settings`.
    pub fn new(settings: &CacheSettings) -> Self {
        Self {
            manifests: ManifestCache::new(settings.manifest_bytes_max),
            footers: Arc::new(FooterCache::new(settings.footer_bytes_max)),
        }
    }

    /// Parquet footers.
    pub(crate) fn footers(&self) -> &Arc<FooterCache> {
        &self.footers
    }

    /// Decoded manifests.
    pub fn manifests(&self) -> &ManifestCache {
        &self.manifests
    }
}
