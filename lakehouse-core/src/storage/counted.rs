//! A store that counts its requests and bytes, in all and for one statement.

use std::fmt;
use std::ops::{Add, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// Running sums of requests and bytes.
#[derive(Debug, Default)]
pub struct IoCounters {
    requests: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
}

/// Requests and bytes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoCounts {
    /// Requests sent to the store.
    pub requests: u64,
    /// Bytes asked for by reads.
    pub read_bytes: u64,
    /// Bytes handed over by writes.
    pub written_bytes: u64,
}

impl Add for IoCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            read_bytes: self.read_bytes + other.read_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

impl IoCounters {
    /// The sums at this moment.
    pub fn snapshot(&self) -> IoCounts {
        IoCounts {
            requests: self.requests.load(Ordering::Relaxed),
            read_bytes: self.read_bytes.load(Ordering::Relaxed),
            written_bytes: self.written_bytes.load(Ordering::Relaxed),
        }
    }

    fn add(&self, read_bytes: u64, written_bytes: u64) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(read_bytes, Ordering::Relaxed);
        self.written_bytes
            .fetch_add(written_bytes, Ordering::Relaxed);
    }
}

/// An object store with counters in front.
#[derive(Debug, Clone)]
pub(super) struct CountedStore {
    store: Arc<dyn ObjectStore>,
    counters: Arc<IoCounters>,
    statement: Option<Arc<IoCounters>>,
}

impl CountedStore {
    pub(super) fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::counting(store, Arc::default())
    }

    /// A store whose requests are added to `counters`.
    pub(super) fn counting(store: Arc<dyn ObjectStore>, counters: Arc<IoCounters>) -> Self {
        Self {
            store,
            counters,
            statement: None,
        }
    }

    pub(super) fn counters(&self) -> &IoCounters {
        &self.counters
    }

    /// The same store, counting for `statement` too.
    pub(super) fn for_statement(
        &self,
        statement: Option<&Arc<IoCounters>>,
    ) -> Arc<dyn ObjectStore> {
        Arc::new(Self {
            store: Arc::clone(&self.store),
            counters: Arc::clone(&self.counters),
            statement: statement.map(Arc::clone),
        })
    }

    fn count(&self, read_bytes: u64, written_bytes: u64) {
        self.counters.add(read_bytes, written_bytes);
        if let Some(statement) = &self.statement {
            statement.add(read_bytes, written_bytes);
        }
    }
}

impl fmt::Display for CountedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "counted {}", self.store)
    }
}

#[async_trait]
impl ObjectStore for CountedStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.count(0, payload.content_length() as u64);
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        // The writer that uses the upload reports its bytes; the request is counted here.
        self.count(0, 0);
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let result = self.store.get_opts(location, options).await?;
        let read = if head {
            0
        } else {
            result.range.end - result.range.start
        };
        self.count(read, 0);
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(
            ranges
                .iter()
                .map(|range| range.end.saturating_sub(range.start))
                .sum(),
            0,
        );
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.count(0, 0);
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(0, 0);
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count(0, 0);
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.count(0, 0);
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.count(0, 0);
        self.store.rename_opts(from, to, options).await
    }
}
