//! The rows of an Avro file, measured before they are decoded.
//!
//! The decoder of the format crate makes room for each length that it reads, ends silently at a
//! block without rows and forgets what a block holds beyond its rows. Here every block is walked
//! over by the file's own schema: what passes is whole, and decoding it takes memory in proportion
//! to its bytes.

mod schema;

use std::borrow::Cow;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::avro_header::{AvroHeader, take_bytes, take_long};
use crate::error::{Error, ErrorKind, Result};
pub(super) use schema::RowSchema;

/// What the blocks of one file may unfold to, in bytes.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;
/// What Snappy can make of one byte, with room to spare.
const SNAPPY_RATIO_MAX: u64 = 64;
const CODEC: &str = "avro.codec";

/// The Avro file `bytes`, with all its blocks found to be whole; those that were deflated stand
/// unpacked in what comes back. Blocks of other codecs are only measured from outside.
///
/// # Errors
/// [`ErrorKind::Corrupt`] when the file is cut off or says what cannot be,
/// [`ErrorKind::ResourcesExhausted`] when it unfolds to more than a gibibyte.
pub(super) fn whole<'a>(bytes: &'a [u8], header: &AvroHeader<'_>) -> Result<Cow<'a, [u8]>> {
    let (sync, mut blocks) = header.blocks();
    let codec = header.text(CODEC).unwrap_or("null");
    let rows = header
        .json("avro.schema")
        .and_then(|schema| RowSchema::parse(&schema))
        .ok_or_else(|| damaged("its header has no schema of rows"))?;
    let mut unpacked = (codec == "deflate").then(|| {
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
        match (codec, &mut unpacked) {
            ("null", _) => check_rows(&rows, count, block)?,
            (_, Some(file)) => {
                let plain = inflate(block, &mut budget)?;
                check_rows(&rows, count, &plain)?;
                put_block(file, count, &plain, sync);
            }
            ("snappy", None) => check_snappy(block, &mut budget)?,
            _ => {}
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

fn inflate(block: &[u8], budget: &mut u64) -> Result<Vec<u8>> {
    let mut plain = Vec::new();
    // One byte more than allowed tells a block that is too large from one that just fits.
    DeflateDecoder::new(block)
        .take(*budget + 1)
        .read_to_end(&mut plain)
        .map_err(|error| damaged("a block cannot be unpacked").with_source(error))?;
    *budget = budget
        .checked_sub(plain.len() as u64)
        .ok_or_else(too_large)?;
    Ok(plain)
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::ResourcesExhausted,
        format!("the Avro file unfolds to more than {UNPACKED_BYTES_MAX} bytes"),
    )
}

/// A Snappy block begins with the length that it unfolds to, as a plain varint.
fn check_snappy(block: &[u8], budget: &mut u64) -> Result<()> {
    let mut unpacked = 0_u64;
    for (byte, shift) in block.iter().zip((0..35).step_by(7)) {
        unpacked |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if unpacked > (block.len() as u64).saturating_mul(SNAPPY_RATIO_MAX) {
        return Err(damaged("a block cannot unfold to what it says"));
    }
    *budget = budget.checked_sub(unpacked).ok_or_else(too_large)?;
    Ok(())
}

#[cfg(test)]
mod tests;
