//! The reader that fetches a data file's bytes.

mod pages;

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
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use tokio::sync::OnceCell;

pub(super) use pages::ColumnChunks;

use super::scan_counters::ReadMeter;
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{Footer, PageIndex, read_footer};
use crate::storage::{Location, Scheme, Storage};

/// Reads the bytes of one data file from its own store, and counts them.
///
/// Asks for no byte outside of the file and for no more bytes at once than the file has: stores
/// make room for what they are asked for.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    location: String,
    size_bytes: u64,
    metrics: ParquetFileMetrics,
    meter: ReadMeter,
    chunks: Option<Arc<ColumnChunks>>,
    /// The whole file, once it was asked for; for small files of stores that are far away.
    whole: Option<Arc<OnceCell<Bytes>>>,
}

/// Files of remote stores of at most this size are read with one request and kept while they are
/// open: another request takes longer than the bytes.
const WHOLE_BYTES_MAX: u64 = 1 << 20;

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
            meter: ReadMeter::default(),
            chunks: None,
            whole: whole(location, size_bytes)?,
        })
    }

    /// The same reader, whose reads count into `meter` from here on.
    pub(super) fn metered(mut self, meter: &ReadMeter) -> Self {
        self.meter = meter.clone();
        self
    }

    /// The same reader, for the pages of `chunks`: each range that is then read is taken for pages
    /// of one of them, and measured before anybody decodes it.
    pub(super) fn of_pages(mut self, chunks: ColumnChunks) -> Self {
        self.chunks = Some(Arc::new(chunks));
        self
    }

    /// The same reader, of a file that is `size_bytes` long.
    pub(super) fn of_size(mut self, size_bytes: u64) -> Self {
        if self.size_bytes != size_bytes {
            self.size_bytes = size_bytes;
            // What was read of it is not all of it.
            self.whole = None;
        }
        self
    }

    /// Where the file stands.
    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// How long the file is taken to be: what the manifest says, until the storage was asked.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn count(&self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.metrics.bytes_scanned.add(bytes);
        self.meter.bytes.add(bytes);
    }

    /// The whole file where it is read as one, counted when it is.
    async fn whole(&self) -> ParquetResult<Option<&Bytes>> {
        let Some(whole) = &self.whole else {
            return Ok(None);
        };
        let read = || async {
            self.count(self.size_bytes);
            let _timer = self.meter.time.timer();
            let range = 0..self.size_bytes;
            match self.store.get_range(&self.path, range.clone()).await {
                Ok(bytes) if is_whole(&range, &bytes) => Ok(bytes),
                Ok(_) => Err(self.short().await),
                Err(error) => Err(self.failed(error).await),
            }
        };
        whole.get_or_try_init(read).await.map(Some)
    }

    /// # Errors
    /// When ranges that a footer names cannot be ranges of this file.
    fn check_ranges(&self, ranges: &[Range<u64>]) -> ParquetResult<()> {
        let is_inside =
            |range: &Range<u64>| range.start <= range.end && range.end <= self.size_bytes;
        let lengths = ranges
            .iter()
            .map(|range| range.end.saturating_sub(range.start));
        let total = lengths.fold(0, u64::saturating_add);
        if ranges.iter().all(is_inside) && total <= self.size_bytes {
            return Ok(());
        }
        Err(self.damaged("its footer names bytes that the file does not have"))
    }

    fn check_pages(&self, ranges: &[Range<u64>], parts: &[Bytes]) -> ParquetResult<()> {
        let Some(chunks) = &self.chunks else {
            return Ok(());
        };
        for (range, bytes) in ranges.iter().zip(parts) {
            chunks
                .check(range, bytes)
                .map_err(|what| self.damaged(what))?;
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> ParquetError {
        let error = Error::corrupt(format!(
            "the Parquet file is damaged: {what}; restore the file"
        ));
        ParquetError::External(Box::new(error.with_context("file", &self.location)))
    }

    /// A failed read; a file of another size than the manifest says explains the failure better
    /// than the range that could not be read.
    async fn failed(&self, error: object_store::Error) -> ParquetError {
        let error = Error::from(error);
        let error = match error.kind() {
            // What the store says of it names the file once more.
            ErrorKind::NotFound => Error::not_found(
                "a file of the table does not exist; restore it, or read a snapshot that does not \
                 need it",
            ),
            _ => self.explained(error).await,
        };
        ParquetError::External(Box::new(error.with_context("file", &self.location)))
    }

    /// Stores give less than was asked for at the end of a file.
    async fn short(&self) -> ParquetError {
        let error = Error::corrupt("the file ends before the bytes that its footer names");
        let error = self.explained(error).await;
        ParquetError::External(Box::new(error.with_context("file", &self.location)))
    }

    /// The footer of a file of this size.
    async fn footer(&mut self, pages: PageIndex) -> Result<Footer> {
        let (location, file_bytes) = (self.location.clone(), self.size_bytes);
        let metadata = read_footer(&location, self, file_bytes, pages).await?;
        Ok(Footer {
            metadata,
            file_bytes,
        })
    }

    /// `error`, or that the file is not as long as the manifest says.
    async fn explained(&self, error: Error) -> Error {
        match self.other_size().await {
            Some(found) => self.of_other_size(found, error),
            None => error,
        }
    }

    /// How long the file really is, when it is not as long as it is taken to be.
    async fn other_size(&self) -> Option<u64> {
        let found = self.store.head(&self.path).await.ok()?;
        (found.size != self.size_bytes).then_some(found.size)
    }

    fn of_other_size(&self, found: u64, error: Error) -> Error {
        Error::corrupt(format!(
            "the file has {found} bytes where the manifest says {}: it was cut off or replaced; \
             restore it",
            self.size_bytes
        ))
        .with_source(error)
    }
}

/// The footer of a file where the manifest says that the file ends, or else where it does end.
///
/// Some writers, and tools that copy tables, leave another size in the manifest. Where no footer
/// ends there, the storage is asked how long the file is; a file that was cut off has none there
/// either.
///
/// # Errors
/// As [`read_footer`], and that the file has another size than the manifest says.
pub(super) async fn footer_at_end(mut reader: FileReader, pages: PageIndex) -> Result<Footer> {
    let error = match reader.footer(pages).await {
        Ok(footer) => return Ok(footer),
        Err(error) => error,
    };
    let Some(size) = reader.other_size().await else {
        return Err(error);
    };
    let (file, said) = (reader.location.clone(), reader.size_bytes);
    match reader.clone().of_size(size).footer(pages).await {
        Ok(footer) => {
            tracing::debug!(file, said, size, "the manifest says another size of a file");
            Ok(footer)
        }
        Err(error) => Err(reader.of_other_size(size, error)),
    }
}

/// Where to keep the whole of a small remote file.
fn whole(location: &str, size_bytes: u64) -> Result<Option<Arc<OnceCell<Bytes>>>> {
    let is_remote = match Location::parse(location)?.scheme() {
        Scheme::S3 => true,
        Scheme::File | Scheme::Memory => false,
    };
    Ok((is_remote && size_bytes <= WHOLE_BYTES_MAX).then(Arc::default))
}

/// The bytes of `range`, which lies inside of the file.
fn part(whole: &Bytes, range: &Range<u64>) -> Bytes {
    let at = |byte: u64| usize::try_from(byte).map_or(whole.len(), |at| at.min(whole.len()));
    whole.slice(at(range.start)..at(range.end))
}

fn is_whole(range: &Range<u64>, bytes: &Bytes) -> bool {
    range.end - range.start == bytes.len() as u64
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            self.check_ranges(std::slice::from_ref(&range))?;
            if let Some(whole) = self.whole().await? {
                return Ok(part(whole, &range));
            }
            self.count(range.end.saturating_sub(range.start));
            let _timer = self.meter.time.timer();
            match self.store.get_range(&self.path, range.clone()).await {
                Ok(bytes) if is_whole(&range, &bytes) => Ok(bytes),
                Ok(_) => Err(self.short().await),
                Err(error) => Err(self.failed(error).await),
            }
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            self.check_ranges(&ranges)?;
            if let Some(whole) = self.whole().await? {
                let parts: Vec<Bytes> = ranges.iter().map(|range| part(whole, range)).collect();
                self.check_pages(&ranges, &parts)?;
                return Ok(parts);
            }
            let lengths = ranges.iter().map(|range| range.end - range.start);
            self.count(lengths.sum());
            let _timer = self.meter.time.timer();
            // Stores answer many ranges at once: a local one opens the file once, a remote one
            // joins ranges that are near to each other.
            match self.store.get_ranges(&self.path, &ranges).await {
                Ok(parts) => {
                    if !ranges
                        .iter()
                        .zip(&parts)
                        .all(|(range, part)| is_whole(range, part))
                    {
                        return Err(self.short().await);
                    }
                    self.check_pages(&ranges, &parts)?;
                    Ok(parts)
                }
                Err(error) => Err(self.failed(error).await),
            }
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
