//! Writing the pages of one column chunk, and what its file says of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
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

    pub(super) fn dictionary(&mut self, page: Bytes, count: u32, new: &NewValues) -> Result<()> {
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

    pub(super) fn finish(self) -> Result<ColumnCloseResult> {
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

fn is_text(column: &ColumnDescriptor) -> bool {
    column.converted_type() == ConvertedType::UTF8
        || matches!(column.logical_type_ref(), Some(LogicalType::String))
}
