//! Parquet footers that sessions share.

use std::sync::Arc;

use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::cache::ByteCache;
use crate::error::{Error, Result};

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

    /// The footer of a file, without its page index unless an earlier query has read it.
    ///
    /// # Errors
    /// When the file is missing or no Parquet file.
    pub(crate) async fn footer<F: AsyncFileReader>(
        &self,
        location: &str,
        size_bytes: u64,
        reader: &mut F,
    ) -> Result<Arc<ParquetMetaData>> {
        let load = async {
            let size = size_bytes;
            let hint = usize::try_from(size.min(FOOTER_BYTES)).ok();
            let footer = ParquetMetaDataReader::new()
                .with_prefetch_hint(hint)
                .with_page_index_policy(PageIndexPolicy::Skip)
                .load_and_finish(&mut *reader, size)
                .await
                .map_err(|error| Error::from(error).with_context("file", location))?;
            let bytes = footer.memory_size() as u64;
            Ok((Arc::new(footer), bytes))
        };
        self.footers.get_or_load(&location.to_owned(), load).await
    }

    /// `footer` with its page index.
    ///
    /// # Errors
    /// As [`Self::footer`].
    pub(crate) async fn with_page_index<F: AsyncFileReader>(
        &self,
        location: &str,
        footer: Arc<ParquetMetaData>,
        reader: &mut F,
    ) -> Result<Arc<ParquetMetaData>> {
        let has_index = |footer: &ParquetMetaData| {
            footer.column_index().is_some() && footer.offset_index().is_some()
        };
        if has_index(&footer) {
            return Ok(footer);
        }
        // Another range of the file may have read it meanwhile.
        if let Some(known) = self.footers.get(&location.to_owned())
            && has_index(&known)
        {
            return Ok(known);
        }
        let mut loader = ParquetMetaDataReader::new_with_metadata(footer.as_ref().clone())
            .with_page_index_policy(PageIndexPolicy::Optional);
        let loaded = match loader.load_page_index(&mut *reader).await {
            Ok(()) => loader.finish(),
            Err(error) => Err(error),
        };
        let footer = loaded.map_err(|error| Error::from(error).with_context("file", location))?;
        let footer = Arc::new(footer);
        let bytes = footer.memory_size() as u64;
        self.footers
            .insert(location.to_owned(), Arc::clone(&footer), bytes);
        Ok(footer)
    }
}
