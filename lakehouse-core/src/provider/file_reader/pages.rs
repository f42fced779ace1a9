//! Pages of column chunks, measured before they are decoded.

use std::ops::Range;

use parquet::arrow::ProjectionMask;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use crate::scan::PageSizes;

/// The column chunks that a read of one file needs, in the order of their bytes.
#[derive(Debug)]
pub(in super::super) struct ColumnChunks {
    chunks: Vec<Chunk>,
}

#[derive(Debug)]
struct Chunk {
    bytes: Range<u64>,
    compression: Compression,
    /// As the footer says, where it says what can be: old writers leave it at 0.
    unpacked_bytes: Option<u64>,
    values: u64,
}

impl ColumnChunks {
    /// The chunks of some row groups' columns in `mask`.
    pub(in super::super) fn new(
        footer: &ParquetMetaData,
        groups: &[usize],
        mask: &ProjectionMask,
    ) -> Self {
        let mut chunks = Vec::new();
        for group in groups
            .iter()
            .filter_map(|group| footer.row_groups().get(*group))
        {
            let columns = group.columns().iter().enumerate();
            let wanted = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
            let wanted = wanted.map(|(_, column)| Chunk::new(column));
            // Those of an empty row group may begin where the next one's do.
            chunks.extend(wanted.filter(|chunk| !chunk.bytes.is_empty()));
        }
        chunks.sort_unstable_by_key(|chunk| chunk.bytes.start);
        Self { chunks }
    }

    /// Whether `bytes`, which stand at `range` of the file, are pages that can be decoded in
    /// memory that their size explains; else what is wrong.
    pub(super) fn check(&self, range: &Range<u64>, bytes: &[u8]) -> Result<(), &'static str> {
        let following = self
            .chunks
            .partition_point(|chunk| chunk.bytes.start <= range.start);
        let chunk = following
            .checked_sub(1)
            .and_then(|position| self.chunks.get(position))
            .filter(|chunk| range.end <= chunk.bytes.end)
            .ok_or("a page lies outside of its column")?;
        let values = chunk.values_of(bytes)?;
        if *range == chunk.bytes && values != chunk.values {
            return Err("a column's pages do not hold the values that its footer says");
        }
        Ok(())
    }
}

impl Chunk {
    fn new(column: &ColumnChunkMetaData) -> Self {
        let (start, length) = column.byte_range();
        Self {
            bytes: start..start.saturating_add(length),
            compression: column.compression(),
            unpacked_bytes: u64::try_from(column.uncompressed_size())
                .ok()
                .filter(|unpacked| *unpacked >= length),
            values: u64::try_from(column.num_values()).unwrap_or(0),
        }
    }

    /// The values in pages of this chunk.
    fn values_of(&self, mut bytes: &[u8]) -> Result<u64, &'static str> {
        let mut values = 0_u64;
        while !bytes.is_empty() {
            let sizes = PageSizes::read(bytes).ok_or("a page has no header")?;
            let end = sizes
                .header
                .checked_add(sizes.stored)
                .ok_or("a page is longer than its column")?;
            bytes = bytes.get(end..).ok_or("a page is longer than its column")?;
            if sizes.unpacked as u64 > self.unpacked_bytes_max(sizes.stored as u64) {
                return Err("a page cannot unfold to what its header says");
            }
            values = values.saturating_add(sizes.values);
        }
        Ok(values)
    }

    /// The most that a page of `stored` bytes can unfold to: what its column does, and what the
    /// codec can make of the bytes at best.
    fn unpacked_bytes_max(&self, stored: u64) -> u64 {
        let ratio = match self.compression {
            Compression::UNCOMPRESSED => 1,
            Compression::SNAPPY => 64,
            Compression::LZO | Compression::LZ4 | Compression::LZ4_RAW => 256,
            Compression::GZIP(_) => 1_100,
            // Both can say "the same byte again" for a whole block.
            Compression::ZSTD(_) | Compression::BROTLI(_) => 1 << 16,
        };
        // Frames of a few bytes.
        let best = stored.saturating_add(16).saturating_mul(ratio);
        let said = self.unpacked_bytes.unwrap_or(u64::MAX);
        best.min(said.max(stored))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use bytes::Bytes;
    use parquet::arrow::ArrowWriter;
    use parquet::file::metadata::ParquetMetaDataReader;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn file(compression: Compression) -> (Bytes, ParquetMetaData) {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let texts = (0..1000).map(|row| (row % 3 > 0).then(|| format!("text {row}")));
        let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
        let batch = RecordBatch::try_from_iter([("id", ids), ("s", texts)]).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
            .build();
        let mut bytes = Vec::new();
        let mut writer =
            ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let bytes = Bytes::from(bytes);
        let footer = ParquetMetaDataReader::new()
            .parse_and_finish(&bytes)
            .unwrap();
        (bytes, footer)
    }

    /// The first chunk's place and bytes, and what checks them.
    fn chunk(compression: Compression, column: usize) -> (ColumnChunks, Range<u64>, Vec<u8>) {
        let (bytes, footer) = file(compression);
        let chunks = ColumnChunks::new(&footer, &[0], &ProjectionMask::all());
        let (start, length) = footer.row_group(0).column(column).byte_range();
        let range = start..start + length;
        let at = |byte: u64| usize::try_from(byte).unwrap();
        let part = bytes[at(range.start)..at(range.end)].to_vec();
        (chunks, range, part)
    }

    #[test]
    fn whole_chunks_and_single_pages_pass() {
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(Default::default()),
            Compression::ZSTD(Default::default()),
        ] {
            for column in 0..2 {
                let (chunks, range, bytes) = chunk(compression, column);
                chunks.check(&range, &bytes).unwrap();
                let first = PageSizes::read(&bytes).unwrap();
                let end = first.header + first.stored;
                let page = range.start..range.start + end as u64;
                chunks.check(&page, &bytes[..end]).unwrap();
            }
        }
    }

    #[test]
    fn a_page_that_says_it_unfolds_to_gigabytes_is_refused() {
        for compression in [Compression::SNAPPY, Compression::ZSTD(Default::default())] {
            let (chunks, range, mut bytes) = chunk(compression, 0);
            // Type of page, then the size: a field header and a varint each.
            let end = (3..).find(|at| bytes[*at] & 0x80 == 0).unwrap();
            let size = [0xFE, 0xFF, 0xFF, 0xFF, 0x0F];
            bytes.splice(3..=end, size);
            let what = chunks.check(&range, &bytes).unwrap_err();
            assert!(what.contains("unfold"), "{what}");
        }
    }

    #[test]
    fn pages_that_are_cut_off_or_missing_are_refused() {
        let (chunks, range, bytes) = chunk(Compression::SNAPPY, 0);
        assert!(chunks.check(&range, &bytes[..bytes.len() - 1]).is_err());
        let first = PageSizes::read(&bytes).unwrap();
        let second = &bytes[first.header + first.stored..];
        let third = PageSizes::read(second).unwrap();
        let fewer = [
            &bytes[..first.header + first.stored],
            &second[third.header + third.stored..],
        ];
        let what = chunks.check(&range, &fewer.concat()).unwrap_err();
        assert!(what.contains("values"), "{what}");
        let outside = range.start..range.end + 1_000_000;
        assert!(chunks.check(&outside, &bytes).is_err());
    }
}
