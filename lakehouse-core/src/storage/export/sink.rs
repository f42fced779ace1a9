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
use crate::storage::WorkGuard;
use crate::storage::calls::{Calls, generic};

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
    files: Mutex<Files>,
    /// The engine's tasks may outlive their statement, and these outlive the tasks.
    calls: Calls,
    /// The engine tells another error than the store's own.
    failure: Mutex<Option<Error>>,
}

/// The files that were begun.
#[derive(Debug, Default)]
struct Files {
    begun: Vec<Path>,
    /// Whether no more may be begun.
    are_closed: bool,
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
                calls: Calls::default(),
                failure: Mutex::default(),
            }),
        }
    }

    /// The target as the user wrote it.
    pub(super) fn target(&self) -> &str {
        &self.seen.target
    }

    /// Refuses more files and waits for the end of what is under way, so that nothing appears
    /// afterwards. Gives the files that were begun.
    pub(super) async fn close(&self) -> Vec<Path> {
        let begun = {
            let mut files = lock(&self.seen.files);
            files.are_closed = true;
            std::mem::take(&mut files.begun)
        };
        self.seen.calls.ended().await;
        begun
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

    fn begin(&self, path: &Path) -> Result<Begun> {
        let (path, name) = self.place(path)?;
        let mut files = lock(&self.seen.files);
        if files.are_closed {
            return Err(generic("the statement has ended"));
        }
        files.begun.push(path.clone());
        let _call = self.seen.calls.begin();
        Ok(Begun { path, name, _call })
    }
}

/// A file that is begun.
struct Begun {
    /// In the store.
    path: Path,
    /// As it is told.
    name: String,
    _call: WorkGuard,
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
        generic(told)
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
        let Begun { path, name, _call } = self.begin(path)?;
        let store = Arc::clone(&self.store);
        let put = async move { store.put_opts(&path, payload, options).await };
        let put = self.seen.calls.finish(put).await;
        put.map_err(|error| self.seen.keep(error, &name))
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let Begun { path, name, _call } = self.begin(path)?;
        let (store, seen) = (Arc::clone(&self.store), Arc::clone(&self.seen));
        let begun = seen.calls.put_multipart(store, path, options).await;
        let upload = begun.map_err(|error| seen.keep(error, &name))?;
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
