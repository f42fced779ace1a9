//! The caches that scans share.

use std::sync::Arc;

use super::column_cache::ColumnCache;
use super::footer::FooterCache;
use super::manifest_cache::ManifestCache;
use crate::settings::Settings;

/// The caches that all scans of a lake share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ScanContext {
    manifests: ManifestCache,
    footers: Arc<FooterCache>,
    columns: Option<Arc<ColumnCache>>,
}

impl ScanContext {
    /// Empty caches of the sizes in `settings`.
    pub fn new(settings: &Settings) -> Self {
        let caches = &settings.caches;
        Self {
            manifests: ManifestCache::new(caches.manifest_bytes_max),
            footers: Arc::new(FooterCache::new(caches.footer_bytes_max)),
            columns: ColumnCache::new(settings.column_cache_bytes()).map(Arc::new),
        }
    }

    /// Decoded columns of data files, where they are kept.
    pub(crate) fn columns(&self) -> Option<&Arc<ColumnCache>> {
        self.columns.as_ref()
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
