//! One store for the engine that finds the right store by a path's first segment.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{Location, Storage};

/// Reads only: writing goes through [`super::Storage`], which knows about durability.
#[derive(Debug)]
pub(super) struct RoutingStore {
    storage: Storage,
    /// The bucket that all paths are keys of; without one, their first segments say where they are.
    bucket: Option<String>,
}

impl RoutingStore {
    pub(super) fn new(storage: Storage) -> Self {
        Self {
            storage,
            bucket: None,
        }
    }

    pub(super) fn of_bucket(storage: Storage, bucket: String) -> Self {
        Self {
            storage,
            bucket: Some(bucket),
        }
    }

    fn location(&self, path: &Path) -> Option<Location> {
        match &self.bucket {
            Some(bucket) => Some(Location::of_key(bucket, path)),
            None => Location::routed(path),
        }
    }

    fn route(&self, path: &Path) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let location = self.location(path);
        let location = location.ok_or_else(|| object_store::Error::NotFound {
            path: path.to_string(),
            source: "the first segment names no store".into(),
        })?;
        let storage = &self.storage;
        let found = storage.stores.find(&location, storage.statement.as_ref());
        found.map_err(|error| object_store::Error::Generic {
            store: "lakehouse",
            source: error.into(),
        })
    }
}

fn read_only(path: &Path) -> object_store::Error {
    object_store::Error::PermissionDenied {
        path: path.to_string(),
        source: "this store reads only".into(),
    }
}

impl fmt::Display for RoutingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lakehouse")
    }
}

#[async_trait]
impl ObjectStore for RoutingStore {
    async fn put_opts(&self, path: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only(path))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only(path))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let (store, path) = self.route(path)?;
        store.get_opts(&path, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations
            .and_then(|path| async move { Err(read_only(&path)) })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let path = prefix.cloned().unwrap_or_default();
        match self.route(&path) {
            Ok((store, path)) => store.list(Some(&path)),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (store, path) = self.route(&prefix.cloned().unwrap_or_default())?;
        store.list_with_delimiter(Some(&path)).await
    }

    async fn copy_opts(&self, _: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only(to))
    }
}
