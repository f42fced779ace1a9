//! The store of one bucket: finds the bucket's region when it is another than was thought, and tells
//! failures in words that help.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use lakehouse_core::error::{Error, ErrorKind, Result as OurResult};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

use super::access::Access;
use super::answer::{self, Asked, Cause, Operation};
use super::body::Body;
use super::region::region_of;

/// Attempts to make a new object whose answers were lost, and the first pause between them.
const WRITE_ATTEMPTS_MAX: u32 = 4;
const WRITE_PAUSE_MS: u64 = 100;

/// Objects deleted with one request.
const DELETED_MAX: usize = 1_000;

/// The largest object that is read back to find out whether it was this writer who made it.
const READ_BACK_BYTES_MAX: usize = 64 << 20;

/// One bucket, as one kind of access reaches it. Clones share what was found out of the region.
#[derive(Debug, Clone)]
pub(super) struct BucketStore {
    bucket: Arc<str>,
    pub(super) access: Arc<Access>,
    client: Arc<RwLock<Client>>,
}

#[derive(Debug, Clone)]
struct Client {
    region: String,
    store: Arc<AmazonS3>,
}

impl BucketStore {
    /// # Errors
    /// As [`Access::client`].
    pub(super) fn try_new(bucket: &str, access: Arc<Access>) -> OurResult<Self> {
        let region = access.first_region().to_owned();
        let store = Arc::new(access.client(bucket, &region)?);
        Ok(Self {
            bucket: bucket.into(),
            access,
            client: Arc::new(RwLock::new(Client { region, store })),
        })
    }

    fn client(&self) -> Client {
        self.client
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn told(
        &self,
        operation: Operation,
        path: Option<&Path>,
        error: object_store::Error,
    ) -> object_store::Error {
        let asked = Asked {
            operation,
            bucket: &self.bucket,
            endpoint: self.access.shown_endpoint(),
            path,
        };
        answer::told(error, asked)
    }

    /// Asks, and once more in the bucket's own region when the answer is that it is another one.
    async fn ask<T, F>(
        &self,
        operation: Operation,
        path: Option<&Path>,
        ask: impl Fn(Arc<AmazonS3>) -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let client = self.client();
        let error = match ask(client.store).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let moved = match answer::cause(&error) {
            Cause::OtherRegion => Some(self.moved(&client.region).await?),
            Cause::Unsaid => self.moved(&client.region).await.ok(),
            Cause::Told => None,
        };
        let ended = match moved {
            Some(moved) => ask(moved).await,
            None => Err(error),
        };
        ended.map_err(|error| self.told(operation, path, error))
    }

    /// A client in the bucket's own region, which all requests use from here on.
    async fn moved(&self, from: &str) -> Result<Arc<AmazonS3>> {
        let now = self.client();
        if now.region != from {
            return Ok(now.store);
        }
        let found = region_of(&self.bucket, &self.access).await;
        let region = found.map_err(answer::wrapped)?;
        tracing::debug!(bucket = %self.bucket, from, region, "the bucket is in another region");
        let store = self.access.client(&self.bucket, &region);
        let store = Arc::new(store.map_err(answer::wrapped)?);
        let mut client = self.client.write().unwrap_or_else(PoisonError::into_inner);
        *client = Client {
            region,
            store: Arc::clone(&store),
        };
        Ok(store)
    }

    /// What S3 answers to a reader of an object, with the body as it comes.
    pub(super) async fn get(&self, path: &Path, options: &GetOptions) -> Result<GetResult> {
        let get = |store: Arc<AmazonS3>| {
            let options = options.clone();
            async move { store.get_opts(path, options).await }
        };
        self.ask(Operation::Read, Some(path), get).await
    }

    /// Deletes so many objects as one request may name. Fewer answers than objects come when the
    /// request failed as a whole.
    async fn delete_together(&self, paths: Vec<Path>) -> Vec<Result<Path>> {
        let client = self.client();
        let mut deleted = sent(&client.store, &paths).await;
        if let [Err(error), ..] = deleted.as_slice()
            && answer::cause(error) == Cause::OtherRegion
        {
            deleted = match self.moved(&client.region).await {
                Ok(moved) => sent(&moved, &paths).await,
                Err(error) => return vec![Err(error)],
            };
        }
        let told = |(at, answer): (usize, Result<Path>)| {
            answer.map_err(|error| self.told(Operation::Delete, paths.get(at), error))
        };
        deleted.into_iter().enumerate().map(told).collect()
    }

    /// Whether there is an object of this size, of a name that nobody else writes under.
    async fn has(&self, path: &Path, bytes: u64) -> bool {
        let head = GetOptions {
            head: true,
            ..GetOptions::default()
        };
        let found = self.get(path, &head).await;
        found.is_ok_and(|found| found.meta.size == bytes)
    }

    /// Whether the object holds these very bytes.
    async fn holds(&self, path: &Path, payload: &PutPayload) -> bool {
        if payload.content_length() > READ_BACK_BYTES_MAX {
            return false;
        }
        let Ok(found) = self.client().store.get(path).await else {
            return false;
        };
        if found.meta.size != payload.content_length() as u64 {
            return false;
        }
        match found.bytes().await {
            Ok(found) => found == Bytes::from(payload.clone()),
            Err(_) => false,
        }
    }
}

/// The answers to a request that deletes objects, in their order.
async fn sent(store: &AmazonS3, paths: &[Path]) -> Vec<Result<Path>> {
    let named = stream::iter(paths.to_vec()).map(Ok).boxed();
    store.delete_stream(named).collect().await
}

/// Whether an object may have been made by a request that failed so.
fn may_be_made(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. }) || is_passing(error)
}

/// Whether the same request may succeed a little later, of an error as it is told.
pub(super) fn is_passing(error: &object_store::Error) -> bool {
    match error {
        object_store::Error::Generic { source, .. } => source
            .downcast_ref::<Error>()
            .is_some_and(|error| error.kind() == ErrorKind::Unavailable),
        _ => false,
    }
}

impl fmt::Display for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)
    }
}

#[async_trait]
impl ObjectStore for BucketStore {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let is_new = options.mode == PutMode::Create;
        let put = |store: Arc<AmazonS3>| {
            let (payload, options) = (payload.clone(), options.clone());
            async move { store.put_opts(path, payload, options).await }
        };
        if !is_new {
            return self.ask(Operation::Write, Some(path), put).await;
        }
        // A request that makes an object only where there is none may be carried out and its answer
        // be lost; sent again, it finds what it made itself. The client does not send it again.
        let mut attempts = 1;
        loop {
            match self.ask(Operation::Write, Some(path), &put).await {
                Err(error) if may_be_made(&error) => {
                    if self.holds(path, &payload).await {
                        return Ok(PutResult {
                            e_tag: None,
                            version: None,
                        });
                    }
                    let is_taken = matches!(error, object_store::Error::AlreadyExists { .. });
                    if is_taken || attempts == WRITE_ATTEMPTS_MAX {
                        return Err(error);
                    }
                    let pause = Duration::from_millis(WRITE_PAUSE_MS << attempts);
                    self.access.clock.sleep(pause).await;
                    attempts += 1;
                }
                ended => return ended,
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = |store: Arc<AmazonS3>| {
            let options = options.clone();
            async move { store.put_multipart_opts(path, options).await }
        };
        let upload = self.ask(Operation::Write, Some(path), begin).await?;
        Ok(Box::new(ToldUpload {
            upload,
            sent_bytes: 0,
            path: path.clone(),
            store: self.clone(),
        }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let got = self.get(path, &options).await?;
        let is_head = options.head;
        let GetResult {
            payload,
            meta,
            range,
            attributes,
        } = got;
        let payload = match payload {
            GetResultPayload::Stream(bytes) if !is_head => {
                let body = Body::new(self.clone(), path.clone(), options, &meta, range.clone());
                GetResultPayload::Stream(body.stream(bytes))
            }
            other => other,
        };
        Ok(GetResult {
            payload,
            meta,
            range,
            attributes,
        })
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deleted = paths.try_chunks(DELETED_MAX).then(move |paths| {
            let store = store.clone();
            async move {
                match paths {
                    Ok(paths) => store.delete_together(paths).await,
                    Err(unnamed) => vec![Err(unnamed.1)],
                }
            }
        });
        deleted.map(stream::iter).flatten().boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let told = self.clone();
        let prefix = prefix.cloned();
        // The first request may find out that the bucket is elsewhere: then all is listed there.
        let begun = async move {
            let client = told.client();
            let mut listed = client.store.list(prefix.as_ref()).peekable();
            let is_elsewhere = matches!(
                std::pin::Pin::new(&mut listed).peek().await,
                Some(Err(error)) if answer::cause(error) == Cause::OtherRegion
            );
            let listed = match is_elsewhere {
                false => listed.boxed(),
                true => told.moved(&client.region).await?.list(prefix.as_ref()),
            };
            let told = told.clone();
            let told = move |error| told.told(Operation::List, prefix.as_ref(), error);
            Ok::<_, object_store::Error>(listed.map_err(told))
        };
        stream::once(begun).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = |store: Arc<AmazonS3>| async move { store.list_with_delimiter(prefix).await };
        self.ask(Operation::List, prefix, list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = |store: Arc<AmazonS3>| {
            let options = options.clone();
            async move { store.copy_opts(from, to, options).await }
        };
        self.ask(Operation::Copy, Some(from), copy).await
    }
}

/// An upload in parts whose failures are told as those of the store are.
struct ToldUpload {
    upload: Box<dyn MultipartUpload>,
    sent_bytes: u64,
    path: Path,
    store: BucketStore,
}

impl fmt::Debug for ToldUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldUpload").finish_non_exhaustive()
    }
}

impl ToldUpload {
    fn told(&self, error: object_store::Error) -> object_store::Error {
        self.store.told(Operation::Write, Some(&self.path), error)
    }
}

#[async_trait]
impl MultipartUpload for ToldUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        let (store, path) = (self.store.clone(), self.path.clone());
        self.sent_bytes += data.content_length() as u64;
        let part = self.upload.put_part(data);
        let told = move |error| store.told(Operation::Write, Some(&path), error);
        Box::pin(async move { part.await.map_err(told) })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let error = match self.upload.complete().await {
            Ok(completed) => return Ok(completed),
            Err(error) => self.told(error),
        };
        // Sent again after a lost answer, it finds no upload any more.
        match is_passing(&error) && self.store.has(&self.path, self.sent_bytes).await {
            true => Ok(PutResult {
                e_tag: None,
                version: None,
            }),
            false => Err(error),
        }
    }

    async fn abort(&mut self) -> Result<()> {
        let aborted = self.upload.abort().await;
        aborted.map_err(|error| self.told(error))
    }
}
