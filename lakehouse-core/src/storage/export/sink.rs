//! The store that the engine writes an export's files to, which remembers what went wrong.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use uuid::Uuid;

use super::ExportForm;
use crate::error::Error;

/// A store of one export's files, by their paths below its target.
#[derive(Debug)]
pub(super) struct Sink {
    store: Arc<dyn ObjectStore>,
    base: Path,
    form: ExportForm,
    /// What the engine's names of folders begin with.
    mark: String,
    seen: Arc<Seen>,
}

/// What became known of the files.
#[derive(Debug)]
struct Seen {
    target: String,
    files: Mutex<Vec<Path>>,
    /// The engine tells another error than the store's own.
    failure: Mutex<Option<Error>>,
}

impl Sink {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        base: Path,
        form: ExportForm,
        target: String,
        id: Uuid,
    ) -> Self {
        Self {
            store,
            base,
            form,
            mark: format!("{id}."),
            seen: Arc::new(Seen {
                target,
                files: Mutex::default(),
                failure: Mutex::default(),
            }),
        }
    }

    /// The target as the user wrote it.
    pub(super) fn target(&self) -> &str {
        &self.seen.target
    }

    /// The files that were begun.
    pub(super) fn files(&self) -> Vec<Path> {
        lock(&self.seen.files).clone()
    }

    /// The first error of the store.
    pub(super) fn take_failure(&self) -> Option<Error> {
        lock(&self.seen.failure).take()
    }

    /// The path in the store, and the name to tell.
    fn place(&self, path: &Path) -> Result<(Path, String)> {
        let target = &self.seen.target;
        if self.form == ExportForm::File {
            return Ok((self.base.clone(), target.clone()));
        }
        // The engine encodes the names of folders, which are encoded as other systems read them.
        let below = Path::from_url_path(path.as_ref())?;
        let below = below.parts().map(|part| {
            let part = part.as_ref();
            part.strip_prefix(&self.mark).unwrap_or(part).to_owned()
        });
        let below = below.collect::<Vec<_>>().join("/");
        let name = format!(
            "{}/{below}",
            target.trim_end_matches(std::path::is_separator)
        );
        Ok((Path::parse(format!("{}/{below}", self.base))?, name))
    }

    fn begin(&self, path: &Path) -> Result<(Path, String)> {
        let (path, name) = self.place(path)?;
        lock(&self.seen.files).push(path.clone());
        Ok((path, name))
    }
}

impl Seen {
    /// Keeps an error of the store, which the engine may tell as one of its own.
    fn keep(&self, error: object_store::Error, name: &str) -> object_store::Error {
        let error = Error::from(error);
        let told = error.to_string();
        lock(&self.failure).get_or_insert_with(|| {
            let told = match std::error::Error::source(&error) {
                // The store tells the name under which the file is not complete.
                Some(source) if !error.message().contains(": ") => {
                    Error::new(error.kind(), error.message()).with_source(source.to_string())
                }
                _ => Error::new(error.kind(), error.message()),
            };
            told.with_context("file", name)
        });
        object_store::Error::Generic {
            store: "export",
            source: told.into(),
        }
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_only(path: &Path) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: format!("reading of {path}"),
        implementer: "export".to_owned(),
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "export to {}", self.seen.target)
    }
}

#[async_trait]
impl ObjectStore for Sink {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (path, name) = self.begin(path)?;
        let put = self.store.put_opts(&path, payload, options).await;
        put.map_err(|error| self.seen.keep(error, &name))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let (path, name) = self.begin(path)?;
        let begun = self.store.put_multipart_opts(&path, options).await;
        let upload = begun.map_err(|error| self.seen.keep(error, &name))?;
        let seen = Arc::clone(&self.seen);
        Ok(Box::new(SeenUpload { upload, name, seen }))
    }

    async fn get_opts(&self, path: &Path, _: GetOptions) -> Result<GetResult> {
        Err(write_only(path))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.map(|path| Err(write_only(&path?))).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let refused = Err(write_only(&self.base));
        futures::stream::once(async { refused }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(write_only(&self.base))
    }

    async fn copy_opts(&self, from: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(write_only(from))
    }
}

/// A file that is written in parts.
#[derive(Debug)]
struct SeenUpload {
    upload: Box<dyn MultipartUpload>,
    name: String,
    seen: Arc<Seen>,
}

#[async_trait]
impl MultipartUpload for SeenUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.upload.put_part(data);
        let (seen, name) = (Arc::clone(&self.seen), self.name.clone());
        Box::pin(async move { part.await.map_err(|error| seen.keep(error, &name)) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let completed = self.upload.complete().await;
        completed.map_err(|error| self.seen.keep(error, &self.name))
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
