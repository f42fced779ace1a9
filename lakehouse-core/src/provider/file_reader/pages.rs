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
    unpacked_bytes: u64,
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
        for group in groups.iter().filter_map(|group| footer.row_groups().get(*group)) {
            let columns = group.columns().iter().enumerate();
            let wanted = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
            chunks.extend(wanted.map(|(_, column)| Chunk::new(column)));
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
            unpacked_bytes: u64::try_from(column.uncompressed_size()).unwrap_or(0),
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
        best.min(self.unpacked_bytes.max(stored))
    }
}
