//! Parquet footers that sessions share, and the reader that fetches a file's bytes.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::cache::ByteCache;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// How much of a file's end is read at first: enough for the footers of most files.
const FOOTER_BYTES: u64 = 128 << 10;

/// Footers by location; files of a lake never change, so none is ever stale.
#[derive(Debug)]
pub(crate) struct FooterCache {
    footers: ByteCache<String, Arc<ParquetMetaData>>,
}

impl FooterCache {
    /// A cache that keeps at most about `bytes_max`.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            footers: ByteCache::new(bytes_max),
        }
    }

    /// The footer of the reader's file, without its page index unless an earlier query has read it.
    ///
    /// # Errors
    /// When the file is missing or no Parquet file.
    pub(super) async fn footer(&self, reader: &mut FileReader) -> Result<Arc<ParquetMetaData>> {
        let location = reader.location.clone();
        let load = async {
            let size = reader.size_bytes;
            let hint = usize::try_from(size.min(FOOTER_BYTES)).ok();
            let footer = ParquetMetaDataReader::new()
                .with_prefetch_hint(hint)
                .with_page_index_policy(PageIndexPolicy::Skip)
                .load_and_finish(&mut *reader, size)
                .await
                .map_err(|error| Error::from(error).with_context("file", &location))?;
            let bytes = footer.memory_size() as u64;
            Ok((Arc::new(footer), bytes))
        };
        self.footers.get_or_load(&location, load).await
    }

    /// `footer` with its page index.
    ///
    /// # Errors
    /// As [`Self::footer`].
    pub(super) async fn with_page_index(
        &self,
        footer: Arc<ParquetMetaData>,
        reader: &mut FileReader,
    ) -> Result<Arc<ParquetMetaData>> {
        if footer.column_index().is_some() && footer.offset_index().is_some() {
            return Ok(footer);
        }
        let mut loader = ParquetMetaDataReader::new_with_metadata(footer.as_ref().clone())
            .with_page_index_policy(PageIndexPolicy::Optional);
        let loaded = match loader.load_page_index(&mut *reader).await {
            Ok(()) => loader.finish(),
            Err(error) => Err(error),
        };
        let footer =
            loaded.map_err(|error| Error::from(error).with_context("file", &reader.location))?;
        let footer = Arc::new(footer);
        let bytes = footer.memory_size() as u64;
        let location = reader.location.clone();
        self.footers.insert(location, Arc::clone(&footer), bytes);
        Ok(footer)
    }
}

/// Reads the bytes of one data file from its own store, and counts them.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    location: String,
    size_bytes: u64,
    metrics: ParquetFileMetrics,
}

impl FileReader {
    /// A reader of the file at `location`.
    ///
    /// # Errors
    /// As [`Storage::resolve`].
    pub(super) fn new(
        storage: &Storage,
        location: &str,
        size_bytes: u64,
        metrics: ParquetFileMetrics,
    ) -> Result<Self> {
        let (store, path) = storage.resolve(location)?;
        Ok(Self {
            store,
            path,
            location: location.to_owned(),
            size_bytes,
            metrics,
        })
    }

    fn count(&self, bytes: u64) {
        self.metrics
            .bytes_scanned
            .add(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn failed(&self, error: object_store::Error) -> ParquetError {
        let error = Error::from(error).with_context("file", &self.location);
        ParquetError::External(Box::new(error))
    }
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.count(range.end.saturating_sub(range.start));
        async move {
            let bytes = self.store.get_range(&self.path, range).await;
            bytes.map_err(|error| self.failed(error))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.count(
            ranges
                .iter()
                .map(|range| range.end.saturating_sub(range.start))
                .sum(),
        );
        async move {
            // Stores answer many ranges at once: a local one opens the file once, a remote one
            // joins ranges that are near to each other.
            let parts = self.store.get_ranges(&self.path, &ranges).await;
            parts.map_err(|error| self.failed(error))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size_bytes;
            let footer = ParquetMetaDataReader::new()
                .load_and_finish(&mut *self, size)
                .await?;
            Ok(Arc::new(footer))
        }
        .boxed()
    }
}
