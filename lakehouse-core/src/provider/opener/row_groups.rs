//! The column chunks of one file, as they stand in it.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::physical_plan::ParquetFileMetrics;
use parquet::arrow::ProjectionMask;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;

use super::super::file::LakeFile;
use super::super::file_reader::{ColumnChunks, FileReader};
use super::LakeOpener;
use super::agreement::check_agreement;
use crate::error::Result;

/// A file whose column chunks are read whole.
#[derive(Debug, Clone)]
pub(in crate::provider) struct ChunkFile {
    reader: FileReader,
    footer: Arc<ParquetMetaData>,
}

impl LakeOpener {
    /// A file with its footer and page index, for reading column chunks.
    ///
    /// # Errors
    /// When the file's footer cannot be read, or is not what the manifest says.
    pub(in crate::provider) async fn chunks_of(&self, file: &LakeFile) -> Result<ChunkFile> {
        let location = file.data_file().file_path();
        let metrics = ParquetFileMetrics::new(self.partition, location, &self.metrics);
        let reader = self.footer_reader(file, metrics)?;
        let found = self.footer_of(file, &reader).await?;
        let mut reader = reader
            .of_size(found.file_bytes)
            .metered(&self.counters.page_indexes);
        check_agreement(file.data_file(), &found.metadata, found.file_bytes)?;
        let footers = &self.shape.footers;
        let footer = footers
            .with_page_index(location, found, &mut reader)
            .await?;
        let groups: Vec<usize> = (0..footer.num_row_groups()).collect();
        let chunks = ColumnChunks::new(&footer, &groups, &ProjectionMask::all());
        Ok(ChunkFile {
            reader: reader.metered(&self.counters.data).of_pages(chunks),
            footer,
        })
    }
}

impl ChunkFile {
    /// What the file says of its row groups.
    pub(in crate::provider) fn footer(&self) -> &Arc<ParquetMetaData> {
        &self.footer
    }

    /// The pages of one column of a row group.
    ///
    /// # Errors
    /// When the file cannot be read, or the pages cannot be what the footer says.
    pub(in crate::provider) async fn bytes(&self, group: usize, leaf: usize) -> Result<Bytes> {
        let (start, length) = self.footer.row_group(group).column(leaf).byte_range();
        let mut reader = self.reader.clone();
        Ok(reader.get_bytes(start..start + length).await?)
    }
}
