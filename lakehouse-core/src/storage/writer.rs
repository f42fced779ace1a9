//! Writing one new file of unknown size with bounded memory.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions,
    PutPayload,
};
use parquet::arrow::async_writer::AsyncFileWriter;

use super::WorkGuard;
use super::calls::Calls;
use crate::error::Result;
use crate::runtime;

/// Bytes gathered before a part is sent; a file of at most one part is a single request.
const PART_BYTES: usize = 8 << 20;

/// A file being written. Nothing stands under its name before [`Self::finish`]; dropped before, it
/// is given up as by [`Self::abort`].
pub struct StorageWriter {
    location: String,
    store: Arc<dyn ObjectStore>,
    path: Path,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    written_bytes: u64,
    upload: Option<Box<dyn MultipartUpload>>,
    /// Whether the file may stand although no answer said so.
    may_stand: bool,
    calls: Calls,
    work: WorkGuard,
}

impl StorageWriter {
    pub(super) fn new(
        location: String,
        store: Arc<dyn ObjectStore>,
        path: Path,
        work: WorkGuard,
    ) -> Self {
        Self {
            location,
            store,
            path,
            pending: Vec::new(),
            pending_bytes: 0,
            written_bytes: 0,
            upload: None,
            may_stand: false,
            calls: Calls::default(),
            work,
        }
    }

    /// Where the file will stand.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Bytes handed over so far.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Bytes held in memory until their part is sent.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Hands over the next bytes.
    ///
    /// # Errors
    /// What the store answers to a part; the file must then be given up with [`Self::abort`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.written_bytes += bytes.len() as u64;
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes >= PART_BYTES {
            self.send_part()
                .await
                .map_err(|error| super::at(error, &self.location))?;
        }
        Ok(())
    }

    /// Ends the file: it now stands under its name, whole. Returns its size in bytes.
    ///
    /// # Errors
    /// What the store answers; the file must then be given up with [`Self::abort`], for it may
    /// stand although the answer was lost.
    pub async fn finish(&mut self) -> Result<u64> {
        let finished = match self.upload.is_some() {
            true => self.complete().await,
            false => self.put().await,
        };
        finished.map_err(|error| super::at(error, &self.location))?;
        Ok(self.written_bytes)
    }

    /// Gives the file up; parts that were sent are thrown away, and the file itself where nobody
    /// knows whether it stands.
    ///
    /// # Errors
    /// What the store answers; the parts are then left for the store's own clean-up.
    pub async fn abort(&mut self) -> Result<()> {
        self.pending.clear();
        let given_up = self.remains().remove().await;
        given_up.map_err(|error| super::at(error, &self.location))
    }

    fn remains(&mut self) -> Remains {
        let may_stand = std::mem::take(&mut self.may_stand);
        Remains {
            upload: self.upload.take(),
            calls: self.calls.clone(),
            file: may_stand.then(|| (Arc::clone(&self.store), self.path.clone())),
        }
    }

    fn take_payload(&mut self) -> PutPayload {
        self.pending_bytes = 0;
        std::mem::take(&mut self.pending).into_iter().collect()
    }

    async fn put(&mut self) -> object_store::Result<()> {
        let payload = self.take_payload();
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        self.may_stand = true;
        let (store, path) = (Arc::clone(&self.store), self.path.clone());
        let put = async move { store.put_opts(&path, payload, options).await };
        let put = self.calls.finish(put).await;
        // One that stood there before is another's.
        let is_known = matches!(put, Ok(_) | Err(object_store::Error::AlreadyExists { .. }));
        self.may_stand = !is_known;
        put.map(|_| ())
    }

    async fn send_part(&mut self) -> object_store::Result<()> {
        if self.upload.is_none() {
            let (store, path) = (Arc::clone(&self.store), self.path.clone());
            let begun = self
                .calls
                .put_multipart(store, path, PutMultipartOptions::default());
            self.upload = Some(begun.await?);
        }
        let payload = self.take_payload();
        if let Some(upload) = &mut self.upload {
            upload.put_part(payload).await?;
        }
        Ok(())
    }

    async fn complete(&mut self) -> object_store::Result<()> {
        if self.pending_bytes > 0 {
            self.send_part().await?;
        }
        if let Some(mut upload) = self.upload.take() {
            self.may_stand = true;
            upload.complete().await?;
        }
        self.may_stand = false;
        Ok(())
    }
}

impl Drop for StorageWriter {
    fn drop(&mut self) {
        let remains = self.remains();
        if remains.is_empty() {
            return;
        }
        let location = std::mem::take(&mut self.location);
        runtime::detach(self.work.another(), async move {
            if let Err(error) = remains.remove().await {
                tracing::warn!(%error, file = location, "a file or parts of it were left behind");
            }
        });
    }
}

/// What a file that was given up may have left in the store.
struct Remains {
    upload: Option<Box<dyn MultipartUpload>>,
    /// Those that are under way when the file is given up.
    calls: Calls,
    /// Where the file may stand.
    file: Option<(Arc<dyn ObjectStore>, Path)>,
}

impl Remains {
    fn is_empty(&self) -> bool {
        self.upload.is_none() && self.file.is_none() && self.calls.have_ended()
    }

    async fn remove(self) -> object_store::Result<()> {
        let aborted = match self.upload {
            Some(mut upload) => upload.abort().await,
            None => Ok(()),
        };
        self.calls.ended().await;
        let deleted = match self.file {
            Some((store, path)) => store.delete(&path).await,
            None => Ok(()),
        };
        super::unless_missing(aborted).and(super::unless_missing(deleted))
    }
}

impl fmt::Debug for StorageWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageWriter")
            .field("location", &self.location)
            .field("written_bytes", &self.written_bytes)
            .finish_non_exhaustive()
    }
}

impl AsyncFileWriter for StorageWriter {
    fn write(&mut self, bs: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        Box::pin(async move { Ok(Self::write(self, bs).await?) })
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        Box::pin(async move { Ok(self.finish().await.map(|_| ())?) })
    }
}
