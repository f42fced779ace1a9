//! Avro files whose blocks another codec has packed, as other engines write manifests.

use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::{StreamExt, TryStreamExt, stream};
use lakehouse_core::error::{Error, Result};

const MAGIC: &[u8] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// Packs the blocks of the local Avro file at `path`, which nothing has packed, by the codec that
/// Avro calls `codec`: `snappy`, `zstandard`, `bzip2` or `xz`.
///
/// # Errors
/// When the file cannot be read or written, is no plain Avro file, or for another codec.
pub async fn repack_avro(path: &str, codec: &str) -> Result<()> {
    let bytes = std::fs::read(path)?;
    let plain = PlainFile::parse(&bytes)
        .ok_or_else(|| Error::invalid(format!("{path:?} is no Avro file without a codec")))?;
    let mut packed = MAGIC.to_vec();
    put_long(&mut packed, plain.metadata.len() as u64 + 1);
    let codec_entry = (&b"avro.codec"[..], codec.as_bytes());
    for (key, value) in plain.metadata.iter().copied().chain([codec_entry]) {
        put_bytes(&mut packed, key);
        put_bytes(&mut packed, value);
    }
    put_long(&mut packed, 0);
    packed.extend(plain.sync);
    for (count, block) in plain.blocks {
        put_long(&mut packed, count);
        put_bytes(&mut packed, &pack(block, codec).await?);
        packed.extend(plain.sync);
    }
    std::fs::write(path, packed)?;
    Ok(())
}

/// What a file holds, as it stands there.
struct PlainFile<'a> {
    metadata: Vec<(&'a [u8], &'a [u8])>,
    sync: &'a [u8],
    blocks: Vec<(u64, &'a [u8])>,
}

impl<'a> PlainFile<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut metadata = Vec::new();
        loop {
            let count = take_long(&mut rest)?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                let (key, value) = (take_bytes(&mut rest)?, take_bytes(&mut rest)?);
                match (key, value) {
                    (b"avro.codec", b"null") => {}
                    (b"avro.codec", _) => return None,
                    entry => metadata.push(entry),
                }
            }
        }
        let sync = rest.split_off(..SYNC_BYTES)?;
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            blocks.push((take_long(&mut rest)?, take_bytes(&mut rest)?));
            rest = rest.strip_prefix(sync)?;
        }
        Some(Self {
            metadata,
            sync,
            blocks,
        })
    }
}

async fn pack(block: &[u8], codec: &str) -> Result<Vec<u8>> {
    let codec = match codec {
        "snappy" => return Ok(snappy(block)),
        "zstandard" => FileCompressionType::ZSTD,
        "bzip2" => FileCompressionType::BZIP2,
        "xz" => FileCompressionType::XZ,
        other => return Err(Error::invalid(format!("no blocks are packed by {other:?}"))),
    };
    let plain = stream::iter([Ok(Bytes::copy_from_slice(block))]).boxed();
    let parts: Vec<Bytes> = codec
        .convert_to_compress_stream(plain)?
        .try_collect()
        .await?;
    Ok(parts.concat())
}

/// Snappy as it is allowed to be: literals, none of them longer than 60 bytes, and the checksum.
fn snappy(block: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    put_varint(&mut packed, block.len() as u64);
    for part in block.chunks(60) {
        packed.extend(u8::try_from(part.len() - 1).map(|length| length << 2));
        packed.extend(part);
    }
    packed.extend(crc32fast::hash(block).to_be_bytes());
    packed
}

/// A number that is not negative.
fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let byte = bytes.split_off_first()?;
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return (value & 1 == 0).then_some(value >> 1);
        }
    }
    None
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_long(bytes)?).ok()?;
    bytes.split_off(..length)
}

fn put_long(bytes: &mut Vec<u8>, number: u64) {
    put_varint(bytes, number << 1);
}

fn put_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn put_bytes(bytes: &mut Vec<u8>, part: &[u8]) {
    put_long(bytes, part.len() as u64);
    bytes.extend_from_slice(part);
}
