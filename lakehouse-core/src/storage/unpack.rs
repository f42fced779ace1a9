//! Unpacks bytes of other writers, within a limit that is held before there is room for more.

mod snappy;

use std::io::{Cursor, Read};

use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use flate2::read::DeflateDecoder;

use crate::error::{Error, ErrorKind, Result};

/// What packed a block of an Avro file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockCodec {
    /// Nothing.
    Plain,
    /// Deflate without a frame.
    Deflate,
    /// Snappy without a frame, and a checksum.
    Snappy,
    /// A Zstandard frame.
    Zstandard,
    /// A bzip2 stream.
    Bzip2,
    /// An xz stream.
    Xz,
}

impl BlockCodec {
    /// The codec that Avro has this name for.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for other names.
    pub(crate) fn from_name(name: &str) -> Result<Self> {
        Ok(match name {
            "null" => Self::Plain,
            "deflate" => Self::Deflate,
            "snappy" => Self::Snappy,
            "zstandard" => Self::Zstandard,
            "bzip2" => Self::Bzip2,
            "xz" => Self::Xz,
            other => {
                return Err(Error::unsupported(format!(
                    "the Avro file is packed by {other:?}, and only deflate, snappy, zstandard, \
                     bzip2 and xz are read; rewrite it with the engine that wrote it"
                )));
            }
        })
    }

    /// What `block` unfolds to.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it cannot be unpacked, [`ErrorKind::ResourcesExhausted`] when it
    /// unfolds to more than `bytes_max`.
    pub(crate) fn unpack(self, block: &[u8], bytes_max: u64) -> Result<Vec<u8>> {
        let of_engine = |codec: FileCompressionType| {
            let reader = codec.convert_read(Cursor::new(block.to_vec()))?;
            read_all(reader, bytes_max)
        };
        match self {
            Self::Plain => read_all(block, bytes_max),
            Self::Deflate => read_all(DeflateDecoder::new(block), bytes_max),
            Self::Snappy => snappy::unpack(block, bytes_max),
            Self::Zstandard => of_engine(FileCompressionType::ZSTD),
            Self::Bzip2 => of_engine(FileCompressionType::BZIP2),
            Self::Xz => of_engine(FileCompressionType::XZ),
        }
    }
}

fn read_all(packed: impl Read, bytes_max: u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    // One byte more than allowed tells a block that is too large from one that just fits.
    packed
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|error| damaged().with_source(error))?;
    if plain.len() as u64 > bytes_max {
        return Err(too_large(bytes_max));
    }
    Ok(plain)
}

fn damaged() -> Error {
    Error::corrupt("the Avro file is damaged: a block cannot be unpacked")
}

fn too_large(bytes_max: u64) -> Error {
    Error::new(
        ErrorKind::ResourcesExhausted,
        format!("a block of the Avro file unfolds to more than the {bytes_max} bytes left for it"),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use flate2::Compression;
    use flate2::read::DeflateEncoder;
    use futures::{StreamExt, TryStreamExt, stream};

    use super::*;

    async fn packed(codec: BlockCodec, plain: &[u8]) -> Vec<u8> {
        let engine = match codec {
            BlockCodec::Zstandard => FileCompressionType::ZSTD,
            BlockCodec::Bzip2 => FileCompressionType::BZIP2,
            BlockCodec::Xz => FileCompressionType::XZ,
            _ => {
                let encoder = DeflateEncoder::new(plain, Compression::best());
                return read_all(encoder, u64::MAX).unwrap();
            }
        };
        let plain = stream::iter([Ok(Bytes::copy_from_slice(plain))]).boxed();
        let parts = engine.convert_to_compress_stream(plain).unwrap();
        parts.try_collect::<Vec<_>>().await.unwrap().concat()
    }

    #[tokio::test]
    async fn what_unfolds_beyond_its_limit_is_refused_and_the_rest_comes_back() {
        let plain = vec![7_u8; 1 << 20];
        for name in ["deflate", "zstandard", "bzip2", "xz"] {
            let codec = BlockCodec::from_name(name).unwrap();
            let packed = packed(codec, &plain).await;
            assert!(packed.len() < 4096, "{name}");
            assert_eq!(codec.unpack(&packed, 1 << 20).unwrap(), plain, "{name}");
            let error = codec.unpack(&packed, (1 << 20) - 1).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ResourcesExhausted, "{name}");
            let error = codec
                .unpack(&packed[..packed.len() / 2], 1 << 20)
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        }
    }
}
