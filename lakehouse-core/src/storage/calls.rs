//! Calls of a store that run to their ends: one that is dropped may still make a file, also after
//! the file was deleted.

use std::error::Error as StdError;
use std::future::{Future, ready};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path;
use object_store::{
    Error, MultipartUpload, ObjectStore, PutMultipartOptions, PutPayload, PutResult, Result,
    UploadPart,
};

use super::WorkGuard;
use super::open_work::OpenWork;
use crate::runtime;

/// The calls that write one file or one export. Clones count the same calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    open: OpenWork,
}

impl Calls {
    /// Waits until no call is under way and no upload is open.
    pub(super) async fn ended(&self) {
        self.open.ended().await;
    }

    /// Whether no call is under way and no upload is open.
    pub(super) fn have_ended(&self) -> bool {
        self.open.has_ended()
    }

    /// Counts as a call that is under way until the guard is dropped.
    pub(super) fn begin(&self) -> WorkGuard {
        self.open.begin()
    }

    /// Runs a call to its end, also when nobody waits for it any longer.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        finish(self.begin(), call).await
    }

    /// Begins a file that is written in parts. What was written is removed when the upload is
    /// dropped, and when it fails to complete.
    pub(super) async fn put_multipart(
        &self,
        store: Arc<dyn ObjectStore>,
        path: Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let open = self.begin();
        let begin = async move {
            let upload = Some(store.put_multipart_opts(&path, options).await?);
            Ok(Box::new(Upload { upload, open }) as Box<dyn MultipartUpload>)
        };
        self.finish(begin).await
    }
}

/// A file that is written in parts.
#[derive(Debug)]
struct Upload {
    /// Until it is completed or aborted.
    upload: Option<Box<dyn MultipartUpload>>,
    open: WorkGuard,
}

impl Upload {
    fn take(&mut self) -> Result<Box<dyn MultipartUpload>> {
        self.upload.take().ok_or_else(has_ended)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        match &mut self.upload {
            Some(upload) => upload.put_part(data),
            None => Box::pin(ready(Err(has_ended()))),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut upload = self.take()?;
        let complete = async move {
            let completed = upload.complete().await;
            if completed.is_err() {
                // The error of the first is the one to tell.
                let _ = upload.abort().await;
            }
            completed
        };
        finish(self.open.another(), complete).await
    }

    async fn abort(&mut self) -> Result<()> {
        let mut upload = self.take()?;
        finish(self.open.another(), async move { upload.abort().await }).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            runtime::detach(self.open.another(), async move {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(%error, "parts of a file were left behind");
                }
            });
        }
    }
}

async fn finish<T: Send + 'static>(
    open: WorkGuard,
    call: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    runtime::finish(open, call).await.map_err(generic).flatten()
}

/// An error that is no store's.
pub(super) fn generic(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Generic {
        store: "storage",
        source: error.into(),
    }
}

fn has_ended() -> Error {
    generic("the file was completed or given up")
}
