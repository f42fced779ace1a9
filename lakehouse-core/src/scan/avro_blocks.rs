//! The rows of an Avro file, measured before they are decoded.
//!
//! The decoder of the format crate makes room for each length that it reads, ends silently at a
//! block without rows and forgets what a block holds beyond its rows. Here every block is unpacked
//! within a limit and walked over by the file's own schema: what passes is whole, and decoding it
//! takes memory in proportion to its bytes.

mod schema;

use std::borrow::Cow;

use super::avro_header::{AvroHeader, take_bytes, take_long};
use crate::error::{Error, Result};
use crate::storage::BlockCodec;
pub(crate) use schema::RowSchema;

/// What the blocks of one file may unfold to, in bytes.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
const CODEC: &str = "avro.codec";

/// The Avro file `bytes`, with all its blocks found to be whole; those that were packed stand
/// unpacked in what comes back.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] when the file is cut off or says what cannot be,
/// [`crate::error::ErrorKind::ResourcesExhausted`] when it unfolds to more than a gibibyte,
/// [`crate::error::ErrorKind::Unsupported`] for a codec that is not read.
pub(super) fn whole<'a>(bytes: &'a [u8], header: &AvroHeader<'_>) -> Result<Cow<'a, [u8]>> {
    let (sync, mut blocks) = header.blocks();
    let codec = BlockCodec::from_name(header.text(CODEC).unwrap_or("null"))?;
    let rows = header
        .json("avro.schema")
        .and_then(|schema| RowSchema::parse(&schema))
        .ok_or_else(|| damaged("its header has no schema of rows"))?;
    let mut unpacked = (codec != BlockCodec::Plain).then(|| {
        let mut header = header.clone();
        header.set_text(CODEC, "null");
        header.to_bytes_before_blocks()
    });
    let mut budget = UNPACKED_BYTES_MAX;
    while !blocks.is_empty() {
        let (count, block) =
            take_block(&mut blocks, sync).ok_or_else(|| damaged("a block of rows is cut off"))?;
        // A decoder takes a block without rows for the end of the file. Writers end a list of
        // nothing with one.
        if count == 0 && !blocks.is_empty() {
            return Err(damaged("a block says that it holds no rows"));
        }
        match &mut unpacked {
            None => check_rows(&rows, count, block)?,
            Some(file) => {
                let plain = codec.unpack(block, budget)?;
                budget -= plain.len() as u64;
                check_rows(&rows, count, &plain)?;
                put_block(file, count, &plain, sync);
            }
        }
    }
    Ok(unpacked.map_or(Cow::Borrowed(bytes), Cow::Owned))
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("the Avro file is damaged: {what}"))
}

/// The next block's number of rows and bytes.
pub(super) fn take_block<'a>(blocks: &mut &'a [u8], sync: &[u8]) -> Option<(u64, &'a [u8])> {
    let count = u64::try_from(take_long(blocks)?).ok()?;
    let block = take_bytes(blocks)?;
    *blocks = blocks.strip_prefix(sync)?;
    Some((count, block))
}

/// The file with each row as `change` writes it, which takes it off the first and puts it behind the
/// second of its arguments; `None` when it does not.
pub(crate) fn map_rows(
    header: &AvroHeader<'_>,
    mut change: impl FnMut(&mut &[u8], &mut Vec<u8>) -> Option<()>,
) -> Option<Vec<u8>> {
    let (sync, mut blocks) = header.blocks();
    let mut file = header.to_bytes_before_blocks();
    let mut changed = Vec::new();
    while !blocks.is_empty() {
        let (count, mut block) = take_block(&mut blocks, sync)?;
        changed.clear();
        for _ in 0..count {
            change(&mut block, &mut changed)?;
        }
        put_block(&mut file, count, &changed, sync);
    }
    Some(file)
}

fn put_block(file: &mut Vec<u8>, count: u64, block: &[u8], sync: &[u8]) {
    super::avro_header::put_long(file, count);
    super::avro_header::put_long(file, block.len() as u64);
    file.extend_from_slice(block);
    file.extend_from_slice(sync);
}

fn check_rows(schema: &RowSchema, count: u64, mut block: &[u8]) -> Result<()> {
    for _ in 0..count {
        let before = block.len();
        schema
            .skip_row(&mut block)
            .filter(|()| block.len() < before)
            .ok_or_else(|| damaged("a row is not what the schema says"))?;
    }
    if block.is_empty() {
        Ok(())
    } else {
        Err(damaged("a block holds more than its rows"))
    }
}

#[cfg(test)]
mod tests;
