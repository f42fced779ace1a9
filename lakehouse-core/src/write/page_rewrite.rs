//! Column chunks that go from one file into another without their values being decoded.
//!
//! A row group of which some rows go keeps all other values as they are: [`take_over`] copies a
//! chunk as it stands, or leaves values out of its pages, puts new ones in their place, keeps
//! dictionaries, and packs the pages again. Decoding to Arrow and encoding anew would look every
//! value up in a new dictionary, which takes several times as long. Only what is simple is taken
//! apart here: numbers of 32 and 64 bits, texts and bytes, outside of lists and maps, in plain form
//! or by dictionary; whoever rewrites a file decodes the other columns.

mod bounds;
mod codec;
mod data_page;
mod dictionary;
mod edits;
mod hybrid;
mod rewrite;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use bytes::Bytes;
use bytes::buf::Buf;
use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Type as PhysicalType};
use parquet::column::page::{Page, PageReader};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::file::writer::TrackedWrite;
use parquet::schema::types::ColumnDescriptor;

use codec::Codec;
use data_page::{DataPage, level_of};
pub(crate) use edits::{NewValues, RowEdit};
use rewrite::Rewrite;
use values::Stored;

use crate::error::{Error, Result};

/// A column chunk of the file that is read.
#[derive(Debug, Clone)]
pub(crate) struct SourceChunk<'a> {
    pub(crate) metadata: &'a ColumnChunkMetaData,
    pub(crate) column_index: Option<&'a ColumnIndexMetaData>,
    pub(crate) offset_index: Option<&'a OffsetIndexMetaData>,
    /// Its pages, as they stand in the file.
    pub(crate) bytes: Bytes,
    /// The rows of its row group.
    pub(crate) rows: u64,
}

/// A column chunk on its way into another file.
#[derive(Debug)]
pub(crate) struct PageChunk {
    pub(super) pages: ChunkBytes,
    pub(super) close: ColumnCloseResult,
}

impl PageChunk {
    /// Its rows.
    pub(super) fn rows(&self) -> u64 {
        self.close.rows_written
    }
}

/// Pages that begin at some place of a file.
#[derive(Debug, Clone)]
pub(super) struct ChunkBytes {
    start: u64,
    bytes: Bytes,
}

impl Length for ChunkBytes {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for ChunkBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        match length <= bytes.len() {
            true => Ok(bytes.slice(..length)),
            false => Err(outside()),
        }
    }
}

impl ChunkBytes {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let from = start.checked_sub(self.start);
        let from = from.and_then(|from| usize::try_from(from).ok());
        let from = from.filter(|from| *from <= self.bytes.len());
        Ok(self.bytes.slice(from.ok_or_else(outside)?..))
    }
}

fn outside() -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::EOF("a page lies outside of its column chunk".to_owned())
}

/// Whether a chunk can be taken over into a column as it stands: same type, same codec, and
/// statistics that tell what the column's metrics are made of.
pub(crate) fn can_copy(
    source: &ColumnChunkMetaData,
    target: &ColumnDescriptor,
    properties: &WriterProperties,
) -> bool {
    let path = target.path();
    source.column_descr() == target
        && target.max_rep_level() == 0
        && stored(target).is_some()
        && same_codec(source.compression(), properties.compression(path))
        && properties.bloom_filter_properties(path).is_none()
        && source.crypto_metadata().is_none()
        && source
            .statistics()
            .is_some_and(|statistics| tells_bounds(statistics, source.num_values(), properties))
}

/// Whether the values of a chunk that can be copied can be edited.
pub(crate) fn can_edit(source: &ColumnChunkMetaData) -> bool {
    #[expect(
        deprecated,
        reason = "older writers say so of levels that no flat column has"
    )]
    let is_known = |encoding: Encoding| {
        matches!(
            encoding,
            Encoding::PLAIN
                | Encoding::RLE
                | Encoding::BIT_PACKED
                | Encoding::RLE_DICTIONARY
                | Encoding::PLAIN_DICTIONARY
        )
    };
    Codec::is_offered(source.compression()) && source.encodings().all(is_known)
}

/// How values are stored that are taken apart here. Floats are decoded, because NaN has to be
/// counted.
fn stored(column: &ColumnDescriptor) -> Option<Stored> {
    let is_unsigned = matches!(
        column.logical_type_ref(),
        Some(LogicalType::Integer {
            is_signed: false,
            ..
        })
    );
    let is_decimal = column.converted_type() == ConvertedType::DECIMAL
        || matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }));
    match column.physical_type() {
        _ if is_unsigned => None,
        PhysicalType::INT32 => Some(Stored::Int32),
        PhysicalType::INT64 => Some(Stored::Int64),
        // Decimals in bytes compare as numbers.
        PhysicalType::BYTE_ARRAY if !is_decimal => Some(Stored::Bytes),
        _ => None,
    }
}

fn same_codec(source: Compression, target: Compression) -> bool {
    // Levels are not written down.
    std::mem::discriminant(&source) == std::mem::discriminant(&target)
}

/// Whether bounds are there, and as long as this file's are to be.
fn tells_bounds(statistics: &Statistics, values: i64, properties: &WriterProperties) -> bool {
    let nulls = statistics.null_count_opt();
    if nulls.is_some() && nulls == u64::try_from(values).ok() {
        return true;
    }
    if nulls.is_none() || statistics.is_min_max_deprecated() {
        return false;
    }
    let (Some(low), Some(high)) = (statistics.min_bytes_opt(), statistics.max_bytes_opt()) else {
        return false;
    };
    // A character that was cut in two may take three bytes more.
    let is_long = |bound: &[u8]| match properties.statistics_truncate_length() {
        Some(length) => bound.len() + 3 >= length,
        None => false,
    };
    (statistics.min_is_exact() || is_long(low)) && (statistics.max_is_exact() || is_long(high))
}

/// The chunk as it stands.
fn copy(source: &SourceChunk<'_>) -> PageChunk {
    let (start, length) = source.metadata.byte_range();
    PageChunk {
        pages: ChunkBytes {
            start,
            bytes: source.bytes.clone(),
        },
        close: ColumnCloseResult {
            bytes_written: length,
            rows_written: source.rows,
            metadata: source.metadata.clone(),
            bloom_filter: None,
            column_index: source.column_index.cloned(),
            offset_index: source.offset_index.cloned(),
        },
    }
}

/// The chunk after `edits` of its rows, which ascend; as it stands when there are none and the file
/// says where its pages are: a footer says so of all columns, or of none.
///
/// `None` when a page is of a form that is not taken apart here.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] when a page is damaged.
pub(crate) fn take_over(
    source: &SourceChunk<'_>,
    edits: &[RowEdit],
    new: &NewValues,
    properties: &WriterProperties,
) -> Result<Option<PageChunk>> {
    if edits.is_empty() && source.offset_index.is_some() {
        return Ok(Some(copy(source)));
    }
    let column = source.metadata.column_descr_ptr();
    let compression = properties.compression(column.path());
    let (Some(stored), Some(codec)) = (stored(&column), Codec::of(compression)?) else {
        return Ok(None);
    };
    let mut pages = pages_of(source)?;
    let mut sink = TrackedWrite::new(Vec::with_capacity(source.bytes.len()));
    let mut rewrite = Rewrite::new(column, stored, codec, properties, &mut sink);
    let mut first = 0_u32;
    while let Some(page) = pages.get_next_page()? {
        if let Page::DictionaryPage {
            buf, num_values, ..
        } = page
        {
            if !rewrite.dictionary(buf, num_values, new)? {
                return Ok(None);
            }
            continue;
        }
        let rows_max = source.rows.saturating_sub(u64::from(first));
        let Some(page) = DataPage::of(page, &rewrite.column, rows_max)? else {
            return Ok(None);
        };
        let end = first
            .checked_add(page.rows)
            .ok_or_else(|| damaged("a page has too many rows"))?;
        let from = edits.partition_point(|edit| edit.row < first);
        let to = edits.partition_point(|edit| edit.row < end);
        let edits = edits[from..to].iter().map(|edit| RowEdit {
            row: edit.row - first,
            ..*edit
        });
        if !rewrite.page(&page, &edits.collect::<Vec<_>>(), new)? {
            return Ok(None);
        }
        first = end;
    }
    if u64::from(first) != source.rows {
        return Err(damaged("its pages do not hold the rows of the row group"));
    }
    let Some((dictionary, close)) = rewrite.finish()? else {
        return Ok(None);
    };
    let bytes = Bytes::from([dictionary, sink.into_inner()?].concat());
    let pages = ChunkBytes { start: 0, bytes };
    Ok(Some(PageChunk { pages, close }))
}

fn pages_of(source: &SourceChunk<'_>) -> Result<SerializedPageReader<ChunkBytes>> {
    let reader = ChunkBytes {
        start: source.metadata.byte_range().0,
        bytes: source.bytes.clone(),
    };
    let rows = usize::try_from(source.rows)
        .map_err(|_| Error::internal("a row group has more rows than memory has bytes"))?;
    let reader = Arc::new(reader);
    Ok(SerializedPageReader::new(
        reader,
        source.metadata,
        rows,
        None,
    )?)
}

/// The values of a chunk that has them in plain form on one page, as new ones for the rows of
/// another.
///
/// `None` for a column that is not taken apart here.
///
/// # Errors
/// [`crate::error::ErrorKind::Internal`] when the chunk is of another form.
pub(super) fn new_values(source: &SourceChunk<'_>) -> Result<Option<NewValues>> {
    let column = source.metadata.column_descr();
    let Some(stored) = stored(column).filter(|_| column.max_rep_level() == 0) else {
        return Ok(None);
    };
    let other = || Error::internal("new values were not encoded as they are read");
    let mut pages = pages_of(source)?;
    let page = pages.get_next_page()?.ok_or_else(other)?;
    let page =
        DataPage::of(page, column, source.rows)?.filter(|page| page.encoding == Encoding::PLAIN);
    let page = page.ok_or_else(other)?;
    let deepest = level_of(column.max_def_level());
    let levels = page.levels.as_deref();
    let values = NewValues::read(stored, levels, page.rows, deepest, &page.values);
    match pages.get_next_page()? {
        None => values.map(Some).ok_or_else(other),
        Some(_) => Err(other()),
    }
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!(
        "a Parquet column is damaged: {what}; restore the file"
    ))
}
