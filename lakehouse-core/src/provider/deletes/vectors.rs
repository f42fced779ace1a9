//! Reads the deletion vectors of one Puffin file that a scan needs.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use parquet::arrow::async_reader::AsyncFileReader;

use super::super::file_reader::FileReader;
use super::{Borrowed, Memory, RowsByFile};
use crate::error::{Error, Result};
use crate::scan::{VECTOR_BYTES_MAX, VectorNames, parse_vector, puffin_footer_bytes, vector_names};
use crate::storage::Storage;

/// Up to so many bytes are asked for without a look at how large the file really is.
const UNCHECKED_BYTES_MAX: u64 = 16 << 20;
/// So many bytes are read from the end of a file, for its footer; a longer one is read again.
const FOOTER_BYTES_GUESS: u64 = 8 << 10;
/// A longer footer is not read: it names more vectors than a file has for any reason.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

/// A deletion vector's place, and what the manifests say of it.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) bytes: Range<u64>,
    pub(super) data_file: String,
    /// How many rows it deletes.
    pub(super) deleted: u64,
    /// How many rows the data file has.
    pub(super) rows: u64,
}

/// Reads all of `blobs` at once; the store joins those that are near each other.
pub(super) async fn read(
    reader: &mut FileReader,
    storage: &Storage,
    blobs: &[Blob],
    memory: &Memory,
) -> Result<RowsByFile> {
    let lengths = blobs.iter().map(|blob| blob.bytes.end - blob.bytes.start);
    let total = lengths.clone().fold(0, u64::saturating_add);
    if let Some(length) = lengths.max().filter(|length| *length > VECTOR_BYTES_MAX) {
        return Err(Error::corrupt(format!(
            "a deletion vector has {length} bytes where the format allows {VECTOR_BYTES_MAX}"
        )));
    }
    // Manifests may say another size than the file has, but not another place of a vector.
    let is_inside = blobs
        .iter()
        .all(|blob| blob.bytes.end <= reader.size_bytes());
    if total > UNCHECKED_BYTES_MAX || !is_inside {
        let size = size_with(blobs, reader, storage).await?;
        *reader = reader.clone().of_size(size);
    }
    let mut bytes = Borrowed::new(memory);
    bytes.resize(usize::try_from(total).unwrap_or(usize::MAX))?;
    let ranges = blobs.iter().map(|blob| blob.bytes.clone()).collect();
    let parts = reader.get_byte_ranges(ranges).await?;
    let mut rows = RowsByFile::with_capacity(blobs.len());
    let mut kept = Borrowed::new(memory);
    let mut kept_bytes = 0_usize;
    for (blob, part) in blobs.iter().zip(parts) {
        let vector = parse_vector(&part, blob.deleted, blob.rows).map_err(|error| {
            error
                .with_context("file", reader.location())
                .with_context("offset", blob.bytes.start)
                .with_context("data file", &blob.data_file)
        })?;
        kept_bytes = kept_bytes.saturating_add(vector.size_bytes());
        kept.resize(kept_bytes)?;
        rows.insert(blob.data_file.clone(), Arc::new(vector));
    }
    kept.keep();
    Ok(rows)
}

/// Holds the data files that manifests say vectors are for against those that the footer of the
/// vectors' file says, where it can be read. Tables are copied to another folder by tools that
/// rewrite metadata and leave that footer as it was: below `folder`, the table's, data files may
/// have had another one before.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] for a vector that is another data file's.
pub(super) async fn check_names(
    mut reader: FileReader,
    storage: &Storage,
    folder: &str,
    blobs: &[Blob],
    memory: &Memory,
) -> Result<()> {
    let mut bytes = Borrowed::new(memory);
    let Some(names) = names(&mut reader, storage, &mut bytes).await? else {
        return Ok(());
    };
    for blob in blobs {
        match names.get(&blob.bytes.start) {
            Some(named) if !is_same_file(named, &blob.data_file, folder) => {
                return Err(Error::corrupt(format!(
                    "the manifest says that a deletion vector is for {:?}, the vector's file that \
                     it is for {named:?}; restore the manifest",
                    blob.data_file
                ))
                .with_context("file", reader.location())
                .with_context("offset", blob.bytes.start));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a data file is the one that was `named`, or became it when the whole table was copied:
/// it has the same place below the table's `folder` that the other had below another folder.
fn is_same_file(named: &str, data_file: &str, folder: &str) -> bool {
    let place = |file: &str| {
        let below = file.strip_prefix(folder.trim_end_matches('/'))?;
        below.starts_with('/').then(|| below.to_owned())
    };
    if named == data_file {
        return true;
    }
    match (place(named), place(data_file)) {
        // Files of the table as it stands now are told apart by all of their names.
        (None, Some(place)) => named.ends_with(&place),
        _ => false,
    }
}

async fn names(
    reader: &mut FileReader,
    storage: &Storage,
    bytes: &mut Borrowed<&Memory>,
) -> Result<Option<VectorNames>> {
    let Some((end, length)) = end_of(reader, storage).await? else {
        return Ok(None);
    };
    let length = match usize::try_from(length) {
        Ok(length) if length as u64 <= FOOTER_BYTES_MAX.min(reader.size_bytes()) => length,
        _ => return Ok(None),
    };
    // As text and as what it says.
    bytes.resize(length.saturating_mul(2))?;
    if let Some(start) = end.len().checked_sub(length) {
        return Ok(vector_names(&end[start..]));
    }
    let footer = last_bytes(reader, length as u64).await?;
    Ok(vector_names(&footer))
}

/// The last bytes of a Puffin file, and how many are its footer; `None` for a file without one.
async fn end_of(reader: &mut FileReader, storage: &Storage) -> Result<Option<(Bytes, u64)>> {
    let end = last_bytes(reader, FOOTER_BYTES_GUESS).await;
    if let Ok(end) = &end
        && let Some(length) = puffin_footer_bytes(end)
    {
        return Ok(Some((end.clone(), length)));
    }
    // Manifests may say another size than the file has.
    let size = storage.size_bytes(reader.location()).await?;
    if size == reader.size_bytes() {
        return end.map(|_| None);
    }
    *reader = reader.clone().of_size(size);
    let end = last_bytes(reader, FOOTER_BYTES_GUESS).await?;
    Ok(puffin_footer_bytes(&end).map(|length| (end, length)))
}

async fn last_bytes(reader: &mut FileReader, length: u64) -> Result<Bytes> {
    let size = reader.size_bytes();
    let bytes = reader.get_bytes(size.saturating_sub(length)..size).await;
    bytes.map_err(Error::from)
}

/// How long the file really is. Room is made for as many bytes as are asked for, so many are asked
/// for only where they are.
async fn size_with(blobs: &[Blob], reader: &FileReader, storage: &Storage) -> Result<u64> {
    let size = storage.size_bytes(reader.location()).await?;
    match blobs.iter().find(|blob| blob.bytes.end > size) {
        Some(blob) => Err(Error::corrupt(format!(
            "a deletion vector ends at byte {} of a file of {size}: the file was cut off or \
             replaced; restore it",
            blob.bytes.end
        ))
        .with_context("file", reader.location())
        .with_context("data file", &blob.data_file)),
        None => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_file;

    #[test]
    fn a_copied_data_file_keeps_its_place_below_the_table() {
        let folder = "s3://new/db/t";
        for (named, data_file, wanted) in [
            ("s3://new/db/t/data/a", "s3://new/db/t/data/a", true),
            ("/old/t/data/a", "s3://new/db/t/data/a", true),
            ("s3://old/t/data/p=1/a", "s3://new/db/t/data/p=1/a", true),
            ("s3://old/t/data/p=2/a", "s3://new/db/t/data/p=1/a", false),
            ("s3://old/t/data/b", "s3://new/db/t/data/a", false),
            ("s3://old/t/xdata/a", "s3://new/db/t/data/a", false),
            // Another file of the same table.
            ("s3://new/db/t/x/data/a", "s3://new/db/t/data/a", false),
            // Not below the table's folder.
            ("s3://old/t/data/a", "s3://new/db/t2/data/a", false),
            ("s3://old/files/a", "s3://new/files/a", false),
        ] {
            assert_eq!(
                is_same_file(named, data_file, folder),
                wanted,
                "{named} {data_file}"
            );
        }
        assert!(is_same_file("/old/data/a", "/t/data/a", "/t/"));
    }
}
