//! Parquet footers that sessions share.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::async_reader::{AsyncFileReader, MetadataFetch};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{
    ColumnChunkMetaData, FooterTail, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
    RowGroupMetaData,
};

use super::thrift;
use crate::cache::ByteCache;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime;

/// How much of a file's end is read at first: enough for the footers of most files.
const FOOTER_BYTES: u64 = 128 << 10;
/// What may lie between the parts of a page index, which writers put next to each other.
const INDEX_GAPS_BYTES_MAX: u64 = 16 << 20;

/// Footers by location; files of a lake never change, so none is ever stale.
#[derive(Debug)]
pub(crate) struct FooterCache {
    footers: ByteCache<String, Footer>,
}

/// A Parquet footer, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Footer {
    /// What it says.
    pub(crate) metadata: Arc<ParquetMetaData>,
    /// How long the file is that ends with it.
    pub(crate) file_bytes: u64,
}

impl FooterCache {
    /// A cache that keeps at most about `bytes_max`.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self {
            footers: ByteCache::new(bytes_max),
        }
    }

    /// The footer of a file, without its page index unless an earlier query has read it; `read`
    /// finds it when nobody has.
    ///
    /// # Errors
    /// What `read` answers.
    pub(crate) async fn footer<R>(&self, location: &str, read: impl FnOnce() -> R) -> Result<Footer>
    where
        R: Future<Output = Result<Footer>> + Send + 'static,
    {
        let key = location.to_owned();
        let load = || {
            let (read, location) = (read(), key.clone());
            async move {
                let footer = runtime::contained_future(read)
                    .await
                    .map_err(|error| error.in_file(location))?;
                let bytes = footer.metadata.memory_size() as u64;
                Ok((footer, bytes))
            }
        };
        self.footers.get_or_load(&key, load).await
    }

    /// `footer` with its page index, or as it is when the index is damaged: without one, more is
    /// read, and nothing else than with it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) async fn with_page_index<F: AsyncFileReader>(
        &self,
        location: &str,
        footer: Footer,
        reader: &mut F,
    ) -> Result<Arc<ParquetMetaData>> {
        let has_index = |footer: &ParquetMetaData| {
            footer.column_index().is_some() && footer.offset_index().is_some()
        };
        if has_index(&footer.metadata) {
            return Ok(footer.metadata);
        }
        // Another range of the file may have read it meanwhile.
        if let Some(known) = self.footers.get(&location.to_owned())
            && has_index(&known.metadata)
        {
            return Ok(known.metadata);
        }
        let Some(metadata) = sound_page_index(location, &footer.metadata, reader).await? else {
            return Ok(footer.metadata);
        };
        let metadata = Arc::new(metadata);
        let bytes = metadata.memory_size() as u64;
        let known = Footer {
            metadata: Arc::clone(&metadata),
            ..footer
        };
        self.footers.insert(location.to_owned(), known, bytes);
        Ok(metadata)
    }
}

/// The footer with its page index; `None` when the index is damaged.
async fn sound_page_index<F: AsyncFileReader>(
    location: &str,
    footer: &ParquetMetaData,
    reader: &mut F,
) -> Result<Option<ParquetMetaData>> {
    let read = runtime::contained_future(read_page_index(footer, reader)).await;
    match read {
        Ok(footer) => Ok(Some(footer)),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(file = location, %error, "the file is read without its page index");
            Ok(None)
        }
        Err(error) => Err(error.in_file(location)),
    }
}

/// Whether a footer is read with the index of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageIndex {
    /// Where the file has one.
    Read,
    /// Without.
    Skip,
}

/// The footer of a file of `size_bytes`, from its end. A page index that is damaged is left out.
///
/// # Errors
/// When the file is missing or no Parquet file of this size.
pub(crate) async fn read_footer<F: AsyncFileReader>(
    location: &str,
    reader: &mut F,
    size_bytes: u64,
    pages: PageIndex,
) -> Result<Arc<ParquetMetaData>> {
    let footer = measured_footer(size_bytes, reader).await?;
    let indexed = match pages {
        PageIndex::Read => sound_page_index(location, &footer, reader).await?,
        PageIndex::Skip => None,
    };
    Ok(Arc::new(indexed.unwrap_or(footer)))
}

/// Reads and decodes a footer once its lengths are known to be those of the file.
async fn measured_footer<F: AsyncFileReader>(size: u64, reader: &mut F) -> Result<ParquetMetaData> {
    let too_short = || Error::corrupt("the file is too short for a Parquet file; restore it");
    if size < FOOTER_SIZE as u64 {
        return Err(too_short());
    }
    let end = reader
        .get_bytes(size.saturating_sub(FOOTER_BYTES)..size)
        .await?;
    let tail = end.last_chunk::<FOOTER_SIZE>().ok_or_else(too_short)?;
    let tail = FooterTail::try_new(tail)
        .map_err(|_| damaged("the file does not end as Parquet files do"))?;
    if tail.is_encrypted_footer() {
        return Err(Error::unsupported(
            "the file is encrypted, and encrypted files are not read",
        ));
    }
    let length = tail.metadata_length();
    let footer_start = size
        .checked_sub((FOOTER_SIZE as u64).saturating_add(length as u64))
        .ok_or_else(|| {
            Error::corrupt("the Parquet footer says that it is longer than its file; restore it")
        })?;
    let bytes = match end.len().checked_sub(length + FOOTER_SIZE) {
        Some(begin) => end.slice(begin..begin + length),
        None => {
            let end = footer_start + length as u64;
            reader.get_bytes(footer_start..end).await?
        }
    };
    if !thrift::is_file_metadata(&bytes) {
        return Err(Error::corrupt(
            "the Parquet footer is damaged: it holds what no footer holds; restore the file",
        ));
    }
    let footer = without_false_dictionaries(ParquetMetaDataReader::decode_metadata(&bytes)?)?;
    check(&footer, footer_start).map(|()| footer)
}

/// The footer without dictionary pages that cannot be: some writers say 0 for none.
fn without_false_dictionaries(footer: ParquetMetaData) -> Result<ParquetMetaData> {
    let is_false = |column: &ColumnChunkMetaData| {
        let start = column.dictionary_page_offset();
        start.is_some_and(|start| start <= 0 || start > column.data_page_offset())
    };
    let mut columns = footer.row_groups().iter().flat_map(|g| g.columns());
    if !columns.any(is_false) {
        return Ok(footer);
    }
    let mut builder = footer.into_builder();
    let groups = builder.take_row_groups();
    for group in groups {
        let columns = group.columns().iter().map(|column| {
            if is_false(column) {
                let column = column.clone().into_builder();
                column.set_dictionary_page_offset(None).build()
            } else {
                Ok(column.clone())
            }
        });
        let columns = columns.collect::<ParquetResult<Vec<_>>>()?;
        let group = group.into_builder().set_column_metadata(columns).build()?;
        builder = builder.add_row_group(group);
    }
    Ok(builder.build())
}

/// What a footer says twice must be the same, and its columns must lie before it.
fn check(footer: &ParquetMetaData, footer_start: u64) -> Result<()> {
    let rows = footer
        .row_groups()
        .iter()
        .try_fold(0_i64, |rows, group| rows.checked_add(row_count(group)?));
    if rows != Some(footer.file_metadata().num_rows()) {
        return Err(damaged("its row groups do not hold the rows of the file"));
    }
    for column in footer.row_groups().iter().flat_map(|g| g.columns()) {
        let start = column
            .dictionary_page_offset()
            .unwrap_or_else(|| column.data_page_offset());
        let end = start.checked_add(column.compressed_size());
        let is_inside = start >= 0
            && column.compressed_size() >= 0
            && column.uncompressed_size() >= 0
            && end.is_some_and(|end| end.cast_unsigned() <= footer_start);
        if !is_inside {
            return Err(damaged("a column lies outside of the file"));
        }
    }
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!(
        "the Parquet footer is damaged: {what}; restore the file"
    ))
}

/// The rows of a group, if each column that is not repeated has as many values.
fn row_count(group: &RowGroupMetaData) -> Option<i64> {
    let rows = group.num_rows();
    let agrees = group.columns().iter().all(|column| {
        if column.column_descr().max_rep_level() == 0 {
            column.num_values() == rows
        } else {
            column.num_values() >= rows
        }
    });
    (rows >= 0 && agrees).then_some(rows)
}

/// Reads and decodes the page index of all columns, measured before it is decoded.
async fn read_page_index<F: AsyncFileReader>(
    footer: &ParquetMetaData,
    reader: &mut F,
) -> Result<ParquetMetaData> {
    let parts = index_parts(footer)?;
    let start = parts.iter().map(|part| part.bytes.start).min();
    let end = parts.iter().map(|part| part.bytes.end).max();
    let (Some(start), Some(end)) = (start, end) else {
        return Ok(footer.clone());
    };
    let lengths = parts.iter().map(|part| part.bytes.end - part.bytes.start);
    let total = lengths.fold(0, u64::saturating_add);
    if end - start > total.saturating_add(INDEX_GAPS_BYTES_MAX) {
        return Err(Error::corrupt(
            "the page index is damaged: its parts lie all over the file; restore the file",
        ));
    }
    let bytes = reader.get_bytes(start..end).await?;
    let index = Fetched { start, bytes };
    for part in &parts {
        let bytes = index.slice(&part.bytes);
        // An index of no bytes is none.
        let is_whole = |bytes: Bytes| bytes.is_empty() || (part.is_whole)(&bytes);
        if !bytes.is_some_and(is_whole) {
            return Err(Error::corrupt(
                "the page index is damaged: it holds what no index holds; restore the file",
            ));
        }
    }
    let mut loader = ParquetMetaDataReader::new_with_metadata(footer.clone())
        .with_page_index_policy(PageIndexPolicy::Optional);
    loader.load_page_index(index).await?;
    let footer = loader.finish()?;
    check_pages(&footer).map(|()| footer)
}

/// Pages must follow each other inside their column, from its first row on.
fn check_pages(footer: &ParquetMetaData) -> Result<()> {
    let groups = footer.row_groups().iter();
    for (group, columns) in groups.zip(footer.offset_index().into_iter().flatten()) {
        for (column, index) in group.columns().iter().zip(columns) {
            let (start, length) = column.byte_range();
            let pages = index.page_locations();
            let is_inside = pages.iter().all(|page| {
                let size = u64::try_from(page.compressed_page_size).ok();
                let begin = u64::try_from(page.offset).ok();
                begin
                    .zip(size)
                    .and_then(|(begin, size)| Some((begin, begin.checked_add(size)?)))
                    .is_some_and(|(begin, end)| start <= begin && end <= start + length)
            });
            let is_sorted = pages.is_sorted_by(|page, next| {
                page.first_row_index < next.first_row_index && page.offset < next.offset
            });
            let first = pages.first().map_or(0, |page| page.first_row_index);
            let last = pages.last().map_or(0, |page| page.first_row_index);
            if !(is_inside && is_sorted && first == 0 && last <= group.num_rows()) {
                return Err(Error::corrupt(
                    "the page index is damaged: pages lie outside of their column; restore the \
                     file",
                ));
            }
        }
    }
    Ok(())
}

/// The index of one column, and how it is measured.
struct IndexPart {
    bytes: Range<u64>,
    is_whole: Measure,
}

/// Whether bytes are one whole structure of a kind.
type Measure = fn(&[u8]) -> bool;

fn index_parts(footer: &ParquetMetaData) -> Result<Vec<IndexPart>> {
    let mut parts = Vec::new();
    for column in footer.row_groups().iter().flat_map(|g| g.columns()) {
        let column_index = (column.column_index_offset(), column.column_index_length());
        let offset_index = (column.offset_index_offset(), column.offset_index_length());
        let of_column = [
            (column_index, thrift::is_column_index as Measure),
            (offset_index, thrift::is_offset_index),
        ];
        for (place, is_whole) in of_column {
            let (Some(offset), Some(length)) = place else {
                continue;
            };
            let bytes = u64::try_from(offset)
                .ok()
                .zip(u64::try_from(length).ok())
                .and_then(|(start, length)| Some(start..start.checked_add(length)?))
                .ok_or_else(|| damaged("the page index lies outside of the file"))?;
            parts.push(IndexPart { bytes, is_whole });
        }
    }
    Ok(parts)
}

/// Bytes that were read already, for a decoder that asks for them itself.
struct Fetched {
    start: u64,
    bytes: Bytes,
}

impl Fetched {
    fn slice(&self, range: &Range<u64>) -> Option<Bytes> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        (from <= to && to <= self.bytes.len()).then(|| self.bytes.slice(from..to))
    }
}

impl MetadataFetch for Fetched {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let slice = self.slice(&range).ok_or_else(|| {
            ParquetError::General("the page index lies outside of what the footer says".to_owned())
        });
        async move { slice }.boxed()
    }
}
