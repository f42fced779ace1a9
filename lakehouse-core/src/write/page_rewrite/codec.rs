//! Packing pages as their column is packed.

use bytes::Bytes;
use parquet::basic::Compression;
use zstd::bulk::Compressor;

use crate::error::{Error, Result};

/// Packs pages; kept from page to page, because making one costs as much as a small page.
pub(super) enum Codec {
    Uncompressed,
    Zstd(Compressor<'static>),
}

impl Codec {
    /// `None` for a codec that is not offered here.
    ///
    /// # Errors
    /// When the level is none of the codec.
    pub(super) fn of(compression: Compression) -> Result<Option<Self>> {
        Ok(match compression {
            Compression::UNCOMPRESSED => Some(Self::Uncompressed),
            Compression::ZSTD(level) => {
                let compressor = Compressor::new(level.compression_level());
                Some(Self::Zstd(compressor.map_err(failed)?))
            }
            _ => None,
        })
    }

    /// Whether pages of a codec can be packed.
    pub(super) fn is_offered(compression: Compression) -> bool {
        matches!(
            compression,
            Compression::UNCOMPRESSED | Compression::ZSTD(_)
        )
    }

    /// The page as it stands in a file.
    pub(super) fn pack(&mut self, page: &[u8]) -> Result<Bytes> {
        match self {
            Self::Uncompressed => Ok(Bytes::copy_from_slice(page)),
            Self::Zstd(compressor) => {
                let packed = compressor.compress(page).map_err(failed)?;
                Ok(Bytes::from(packed))
            }
        }
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::internal("a page could not be compressed").with_source(error)
}
