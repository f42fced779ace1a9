//! Column chunks that go from one file into another without their values being decoded.
//!
//! A row group of which some rows go keeps all other values as they are: [`copy`] takes a chunk
//! over as it stands, [`edit`] leaves values out of its pages or puts new ones in their place, keeps
//! dictionaries, and packs the pages again. Decoding to Arrow and encoding anew would look every value up in a new
//! dictionary, which takes several times as long. Only what is simple is taken apart here:
//! numbers of 32 and 64 bits, texts and bytes, outside of lists and maps, in plain form or by
//! dictionary; whoever rewrites a file decodes the other columns.

mod bounds;
mod codec;
mod dictionary;
mod edits;
mod hybrid;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use bytes::buf::Buf;
use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, PageType, Type as PhysicalType,
};
use parquet::column::page::{CompressedPage, Page, PageReader, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::offset_index::OffsetIndexMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use bounds::{Bounds, Cut, PageBounds};
use codec::Codec;
use dictionary::Dictionary;
use edits::edited;
pub(crate) use edits::{NewValues, RowEdit};
use values::{Kept, Stored, bits_of};

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

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8
        || matches!(column.logical_type_ref(), Some(LogicalType::String))
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
pub(crate) fn copy(source: &SourceChunk<'_>) -> PageChunk {
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

/// The chunk after `edits` of its rows, which ascend.
///
/// `None` when a page is of a form that is not taken apart here.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] when a page is damaged.
pub(crate) fn edit(
    source: &SourceChunk<'_>,
    edits: &[RowEdit],
    new: &NewValues,
    properties: &WriterProperties,
) -> Result<Option<PageChunk>> {
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
            rewrite.dictionary(buf, num_values, new)?;
            continue;
        }
        let Some(page) = DataPage::of(page, &rewrite.column)? else {
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
    let close = rewrite.finish()?;
    let bytes = Bytes::from(sink.into_inner()?);
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
    let Some(stored) = stored(column) else {
        return Ok(None);
    };
    let other = || Error::internal("new values were not encoded as they are read");
    let mut pages = pages_of(source)?;
    let page = pages.get_next_page()?.ok_or_else(other)?;
    let page = DataPage::of(page, column)?.filter(|page| page.encoding == Encoding::PLAIN);
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

/// A data page of a column outside of lists and maps.
struct DataPage {
    rows: u32,
    /// Whether each row has a value, `None` when all have; else how deep the value is there.
    levels: Option<Vec<u32>>,
    values: Bytes,
    encoding: Encoding,
}

impl DataPage {
    /// `None` when the levels are of a form that is not taken apart.
    fn of(page: Page, column: &ColumnDescriptor) -> Result<Option<Self>> {
        let deepest = column.max_def_level();
        let short = || damaged("a page ends too early");
        let (rows, levels, values, encoding) = match page {
            Page::DataPage {
                buf,
                num_values,
                encoding,
                def_level_encoding,
                ..
            } => {
                if deepest == 0 {
                    (num_values, None, buf, encoding)
                } else if def_level_encoding == Encoding::RLE {
                    let length = buf.first_chunk::<4>().ok_or_else(short)?;
                    let end = (u32::from_le_bytes(*length) as usize)
                        .checked_add(4)
                        .filter(|end| *end <= buf.len())
                        .ok_or_else(short)?;
                    (
                        num_values,
                        Some(buf.slice(4..end)),
                        buf.slice(end..),
                        encoding,
                    )
                } else {
                    return Ok(None);
                }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let start = rep_levels_byte_len as usize;
                let end = start
                    .checked_add(def_levels_byte_len as usize)
                    .filter(|end| *end <= buf.len())
                    .ok_or_else(short)?;
                let levels = (deepest > 0).then(|| buf.slice(start..end));
                (num_values, levels, buf.slice(end..), encoding)
            }
            Page::DictionaryPage { .. } => return Ok(None),
        };
        let levels = match levels {
            None => None,
            Some(levels) => {
                let deepest = level_of(deepest);
                let levels = hybrid::decode(&levels, bits_of(deepest), rows as usize);
                let levels = levels.ok_or_else(|| damaged("its levels are none"))?;
                (levels.iter().any(|level| *level != deepest)).then_some(levels)
            }
        };
        Ok(Some(Self {
            rows,
            levels,
            values,
            encoding,
        }))
    }
}

fn level_of(level: i16) -> u32 {
    u32::from(level.unsigned_abs())
}

/// What was written of a chunk.
struct Rewrite<'a> {
    column: ColumnDescPtr,
    stored: Stored,
    codec: Codec,
    compression: Compression,
    sink: SerializedPageWriter<'a, Vec<u8>>,
    dictionary: Option<Dictionary>,
    dictionary_offset: Option<i64>,
    data_offset: Option<i64>,
    compressed_bytes: usize,
    uncompressed_bytes: usize,
    rows: u64,
    nulls: u64,
    bounds: Option<Bounds>,
    cut: Cut,
    page_bounds: PageBounds,
    places: OffsetIndexBuilder,
    /// How many pages there are, by kind and encoding.
    encodings: BTreeMap<(i32, i32), (PageType, Encoding, i32)>,
}

impl<'a> Rewrite<'a> {
    fn new(
        column: ColumnDescPtr,
        stored: Stored,
        codec: Codec,
        properties: &WriterProperties,
        sink: &'a mut TrackedWrite<Vec<u8>>,
    ) -> Self {
        let cut = |length| Cut {
            length,
            is_text: is_text(&column),
        };
        let index = ColumnIndexBuilder::new(column.physical_type());
        Self {
            stored,
            codec,
            compression: properties.compression(column.path()),
            sink: SerializedPageWriter::new(sink),
            dictionary: None,
            dictionary_offset: None,
            data_offset: None,
            compressed_bytes: 0,
            uncompressed_bytes: 0,
            rows: 0,
            nulls: 0,
            bounds: None,
            cut: cut(properties.statistics_truncate_length()),
            page_bounds: PageBounds::new(index, cut(properties.column_index_truncate_length())),
            places: OffsetIndexBuilder::new(),
            encodings: BTreeMap::new(),
            column,
        }
    }

    fn dictionary(&mut self, page: Bytes, count: u32, new: &NewValues) -> Result<()> {
        let dictionary = Dictionary::read(self.stored, page, count, new);
        let dictionary = dictionary.ok_or_else(|| damaged("its dictionary ends too early"))?;
        let packed = Page::DictionaryPage {
            buf: self.codec.pack(&dictionary.page)?,
            num_values: dictionary.count,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let (offset, _) = self.put(packed, dictionary.page.len(), Encoding::PLAIN)?;
        self.dictionary_offset = Some(offset);
        self.dictionary = Some(dictionary);
        Ok(())
    }

    /// Writes what becomes of a page; `false` when its values are of a form that is not taken apart.
    fn page(&mut self, page: &DataPage, edits: &[RowEdit], new: &NewValues) -> Result<bool> {
        let wrong = || damaged("a page does not hold the values it says");
        let deepest = level_of(self.column.max_def_level());
        let rows = page.rows as usize;
        let edited = edited(page.levels.as_deref(), rows, deepest, edits, new);
        let edited = edited.ok_or_else(wrong)?;
        if edited.rows == 0 {
            return Ok(true);
        }
        let mut bytes = Vec::with_capacity(page.values.len() + 64);
        if deepest > 0 {
            let mut runs = Vec::new();
            match &edited.levels {
                Some(levels) => hybrid::encode(levels, bits_of(deepest), &mut runs),
                None => hybrid::encode_run(deepest, edited.rows, bits_of(deepest), &mut runs),
            }
            let length = u32::try_from(runs.len())
                .map_err(|_| Error::internal("the levels of a page are too many"))?;
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&runs);
        }
        let (count, kept_count) = edited.values;
        let kept = match (page.encoding, &self.dictionary) {
            (Encoding::PLAIN, _) => {
                values::plain(self.stored, &page.values, count, &edited.edits, new)
            }
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, Some(dictionary)) => {
                values::places(dictionary, &page.values, count, &edited.edits)
            }
            _ => return Ok(false),
        };
        let kept = kept.ok_or_else(wrong)?;
        bytes.extend_from_slice(&kept.bytes);
        let nulls = (edited.rows - kept_count) as u64;
        self.data_page(&bytes, edited.rows, nulls, &kept, page.encoding)?;
        Ok(true)
    }

    fn data_page(
        &mut self,
        page: &[u8],
        rows: usize,
        nulls: u64,
        kept: &Kept,
        encoding: Encoding,
    ) -> Result<()> {
        let too_large = |_| Error::internal("a page is too large");
        let uncompressed = page.len();
        let packed = Page::DataPage {
            buf: self.codec.pack(page)?,
            num_values: u32::try_from(rows).map_err(too_large)?,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let (offset, size) = self.put(packed, uncompressed, encoding)?;
        self.data_offset.get_or_insert(offset);
        self.places
            .append_offset_and_size(offset, i32::try_from(size).map_err(too_large)?);
        self.places
            .append_row_count(i64::try_from(rows).map_err(too_large)?);
        self.page_bounds.add(
            kept.bounds.as_ref(),
            i64::try_from(nulls).map_err(too_large)?,
        );
        self.bounds = match (self.bounds.take(), &kept.bounds) {
            (Some(known), Some(bounds)) => Some(known.and(bounds.clone())),
            (known, bounds) => known.or_else(|| bounds.clone()),
        };
        self.rows += rows as u64;
        self.nulls += nulls;
        Ok(())
    }

    /// Where a page stands, and its bytes there.
    fn put(&mut self, page: Page, uncompressed: usize, encoding: Encoding) -> Result<(i64, usize)> {
        let kind = page.page_type();
        let spec = self
            .sink
            .write_page(CompressedPage::new(page, uncompressed))?;
        self.compressed_bytes += spec.compressed_size;
        self.uncompressed_bytes += spec.uncompressed_size;
        let key = (kind as i32, encoding as i32);
        self.encodings.entry(key).or_insert((kind, encoding, 0)).2 += 1;
        let offset = i64::try_from(spec.offset)
            .map_err(|_| Error::internal("a column chunk is too large"))?;
        Ok((offset, spec.compressed_size))
    }

    fn finish(self) -> Result<ColumnCloseResult> {
        let signed = |bytes: usize| {
            i64::try_from(bytes).map_err(|_| Error::internal("a column chunk is too large"))
        };
        let mut encodings: Vec<Encoding> = self
            .encodings
            .values()
            .map(|(_, encoding, _)| *encoding)
            .chain((self.column.max_def_level() > 0).then_some(Encoding::RLE))
            .collect();
        encodings.sort_unstable_by_key(|encoding| *encoding as i32);
        encodings.dedup();
        let pages = self.encodings.values();
        let pages = pages.map(|(page_type, encoding, count)| PageEncodingStats {
            page_type: *page_type,
            encoding: *encoding,
            count: *count,
        });
        let statistics = match self.bounds {
            Some(bounds) => bounds.statistics(self.nulls, &self.cut),
            None => no_bounds(self.stored, self.nulls),
        };
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(self.compression)
            .set_encodings(encodings)
            .set_page_encoding_stats(pages.collect())
            .set_total_compressed_size(signed(self.compressed_bytes)?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_num_values(signed(usize::try_from(self.rows).unwrap_or(usize::MAX))?)
            .set_dictionary_page_offset(self.dictionary_offset)
            .set_data_page_offset(self.data_offset.unwrap_or_default())
            .set_statistics(statistics)
            .build()?;
        Ok(ColumnCloseResult {
            bytes_written: self.compressed_bytes as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: Some(self.page_bounds.finish().build()?),
            offset_index: Some(self.places.build()),
        })
    }
}

/// Statistics of NULLs only.
fn no_bounds(stored: Stored, nulls: u64) -> Statistics {
    match stored {
        Stored::Int32 => Statistics::int32(None, None, None, Some(nulls), false),
        Stored::Int64 => Statistics::int64(None, None, None, Some(nulls), false),
        Stored::Bytes => Statistics::byte_array(None, None, None, Some(nulls), false),
    }
}
