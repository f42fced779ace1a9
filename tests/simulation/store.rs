//! The files as one process reaches them: calls are slow, fail, or are answered in vain.

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use crate::faults::Call;
use crate::planted::Planted;
use crate::process::{Lost, Process};

/// A store in front of the files of a run.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedStore {
    process: Arc<Process>,
}

impl SimulatedStore {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        Self { process }
    }

    async fn call<T>(
        &self,
        call: Call,
        path: &Path,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        // The folders above are the table's own, the same in every line.
        let name = path.as_ref().splitn(4, '/').last().unwrap_or_default();
        let done = self.process.call(call, name, work, |_| ()).await;
        done.unwrap_or_else(|lost| Err(error(lost)))
    }
}

fn error(lost: Lost) -> Error {
    let kind = match lost {
        Lost::Refused => io::ErrorKind::ConnectionRefused,
        Lost::Unknown => io::ErrorKind::TimedOut,
    };
    Error::Generic {
        store: "simulated store",
        source: Box::new(io::Error::new(kind, "on purpose")),
    }
}

impl fmt::Display for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files of {}", self.process.name)
    }
}

#[async_trait]
impl ObjectStore for SimulatedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        if location.as_ref().contains("/data/") && self.process.world.loses(Planted::FileLost) {
            return Ok(PutResult {
                e_tag: None,
                version: None,
            });
        }
        let files = &self.process.world.files;
        let work = files.put_opts(location, payload, opts);
        self.call(Call::Put, location, work).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let files = &self.process.world.files;
        Ok(Box::new(SimulatedUpload {
            upload: files.put_multipart_opts(location, opts).await?,
            store: self.clone(),
            path: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let work = self.process.world.files.get_opts(location, options);
        self.call(Call::Get, location, work).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = locations.then(move |location| {
            let store = store.clone();
            async move {
                let location = location?;
                if store.process.world.loses(Planted::DeleteInVain) {
                    return Ok(location);
                }
                let work = store.process.world.files.delete(&location);
                store.call(Call::Delete, &location, work).await?;
                Ok(location)
            }
        });
        deleted.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.process.world.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.process.world.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let work = self.process.world.files.copy_opts(from, to, options);
        self.call(Call::Put, to, work).await
    }
}

/// A large file being written.
#[derive(Debug)]
struct SimulatedUpload {
    upload: Box<dyn MultipartUpload>,
    store: SimulatedStore,
    path: Path,
}

#[async_trait]
impl MultipartUpload for SimulatedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.upload.put_part(data);
        let (store, path) = (self.store.clone(), self.path.clone());
        Box::pin(async move { store.call(Call::Put, &path, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let work = self.upload.complete();
        self.store.call(Call::Put, &self.path, work).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
