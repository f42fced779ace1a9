//! Writing the pages of one column chunk, and what its file says of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::{ColumnDescPtr, ColumnDescriptor};

use super::bounds::{Bounds, Cut, PageBounds};
use super::codec::Codec;
use super::data_page::{DataPage, level_of};
use super::dictionary::Dictionary;
use super::edits::{NewValues, RowEdit, edited};
use super::values::{self, Kept, Stored, bits_of};
use super::{damaged, hybrid};
use crate::error::{Error, Result};

/// What was written of a chunk.
pub(super) struct Rewrite<'a> {
    pub(super) column: ColumnDescPtr,
    stored: Stored,
    codec: Codec,
    compression: Compression,
    sink: SerializedPageWriter<'a, Vec<u8>>,
    dictionary: Option<Dictionary>,
    /// The data pages, by their place behind the dictionary page.
    places: Vec<PagePlace>,
    compressed_bytes: usize,
    uncompressed_bytes: usize,
    rows: u64,
    nulls: u64,
    bounds: Option<Bounds>,
    cut: Cut,
    page_bounds: PageBounds,
    /// Pages and dictionaries that new values make larger are decoded.
    page_bytes_max: usize,
    dictionary_bytes_max: usize,
    /// How many pages there are, by kind and encoding.
    encodings: BTreeMap<(i32, i32), (PageType, Encoding, i32)>,
}

/// Where a data page stands.
struct PagePlace {
    offset: i64,
    bytes: i32,
    rows: i64,
}

/// A dictionary page, packed, and what its file says of the chunk that begins with it.
pub(super) type RewrittenChunk = (Vec<u8>, ColumnCloseResult);

/// How many times larger than it is to be a page may become.
const GROWTH_MAX: usize = 4;

/// Up to so many bytes a page is never too large.
const SMALL_PAGE_BYTES: usize = 64 << 10;

fn bytes_max(limit: usize) -> usize {
    limit.saturating_mul(GROWTH_MAX).max(SMALL_PAGE_BYTES)
}

impl<'a> Rewrite<'a> {
    pub(super) fn new(
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
            places: Vec::new(),
            compressed_bytes: 0,
            uncompressed_bytes: 0,
            rows: 0,
            nulls: 0,
            bounds: None,
            cut: cut(properties.statistics_truncate_length()),
            page_bounds: PageBounds::new(index, cut(properties.column_index_truncate_length())),
            page_bytes_max: bytes_max(properties.column_data_page_size_limit(column.path())),
            dictionary_bytes_max: bytes_max(
                properties.column_dictionary_page_size_limit(column.path()),
            ),
            encodings: BTreeMap::new(),
            column,
        }
    }

    /// Reads the dictionary page and adds the new values; `false` when it becomes too large.
    pub(super) fn dictionary(&mut self, page: Bytes, count: u32, new: &NewValues) -> Result<bool> {
        let before = page.len();
        let dictionary = Dictionary::read(self.stored, page, count, new);
        let dictionary = dictionary.ok_or_else(|| damaged("its dictionary ends too early"))?;
        let bytes = dictionary.page_bytes();
        self.dictionary = Some(dictionary);
        Ok(bytes <= before.max(self.dictionary_bytes_max))
    }

    /// Writes what becomes of a page; `false` when its values are of a form that is not taken apart,
    /// or become too many.
    pub(super) fn page(
        &mut self,
        page: &DataPage,
        edits: &[RowEdit],
        new: &NewValues,
    ) -> Result<bool> {
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
        let kept = match (page.encoding, &mut self.dictionary) {
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
        if bytes.len() > self.page_bytes_max.max(page.values.len().saturating_mul(2)) {
            return Ok(false);
        }
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
        let spec = write_page(&mut self.sink, packed, uncompressed)?;
        self.count(&spec, PageType::DATA_PAGE, encoding);
        self.places.push(PagePlace {
            offset: i64::try_from(spec.offset).map_err(too_large)?,
            bytes: i32::try_from(spec.compressed_size).map_err(too_large)?,
            rows: i64::try_from(rows).map_err(too_large)?,
        });
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

    fn count(&mut self, spec: &PageWriteSpec, kind: PageType, encoding: Encoding) {
        self.compressed_bytes += spec.compressed_size;
        self.uncompressed_bytes += spec.uncompressed_size;
        let key = (kind as i32, encoding as i32);
        self.encodings.entry(key).or_insert((kind, encoding, 0)).2 += 1;
    }

    /// The dictionary page, which is known when all rows are; `None` when it would be of little use.
    fn dictionary_page(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(dictionary) = self.dictionary.take() else {
            return Ok(Some(Vec::new()));
        };
        let Some(page) = dictionary.into_page(self.stored) else {
            return Ok(None);
        };
        let packed = Page::DictionaryPage {
            buf: self.codec.pack(&page.bytes)?,
            num_values: page.count,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let mut bytes = TrackedWrite::new(Vec::with_capacity(packed.buffer().len() + 64));
        let mut sink = SerializedPageWriter::new(&mut bytes);
        let spec = write_page(&mut sink, packed, page.bytes.len())?;
        self.count(&spec, PageType::DICTIONARY_PAGE, Encoding::PLAIN);
        Ok(Some(bytes.into_inner()?))
    }

    /// The chunk but for its data pages, before which its dictionary page stands; `None` when it is
    /// better decoded.
    pub(super) fn finish(mut self) -> Result<Option<RewrittenChunk>> {
        let Some(dictionary) = self.dictionary_page()? else {
            return Ok(None);
        };
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
        let start = signed(dictionary.len())?;
        let mut places = OffsetIndexBuilder::new();
        for place in &self.places {
            places.append_offset_and_size(start + place.offset, place.bytes);
            places.append_row_count(place.rows);
        }
        let first = self.places.first().map_or(0, |place| place.offset);
        let metadata = ColumnChunkMetaData::builder(self.column)
            .set_compression(self.compression)
            .set_encodings(encodings)
            .set_page_encoding_stats(pages.collect())
            .set_total_compressed_size(signed(self.compressed_bytes)?)
            .set_total_uncompressed_size(signed(self.uncompressed_bytes)?)
            .set_num_values(signed(usize::try_from(self.rows).unwrap_or(usize::MAX))?)
            .set_dictionary_page_offset((start > 0).then_some(0))
            .set_data_page_offset(start + first)
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: self.compressed_bytes as u64,
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: Some(self.page_bounds.finish().build()?),
            offset_index: Some(places.build()),
        };
        Ok(Some((dictionary, close)))
    }
}

fn write_page(
    sink: &mut SerializedPageWriter<'_, Vec<u8>>,
    page: Page,
    uncompressed: usize,
) -> Result<PageWriteSpec> {
    // Headers count bytes by 31 bits.
    if i32::try_from(uncompressed.max(page.buffer().len())).is_err() {
        return Err(Error::internal("a page is too large"));
    }
    Ok(sink.write_page(CompressedPage::new(page, uncompressed))?)
}

/// Statistics of NULLs only.
fn no_bounds(stored: Stored, nulls: u64) -> Statistics {
    match stored {
        Stored::Int32 => Statistics::int32(None, None, None, Some(nulls), false),
        Stored::Int64 => Statistics::int64(None, None, None, Some(nulls), false),
        Stored::Bytes => Statistics::byte_array(None, None, None, Some(nulls), false),
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8
        || matches!(column.logical_type_ref(), Some(LogicalType::String))
}
