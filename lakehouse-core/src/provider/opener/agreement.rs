//! What a manifest and the file that it lists must both say.

use std::collections::HashMap;

use datafusion::datasource::listing::FileRange;
use parquet::file::metadata::ParquetMetaData;

use crate::error::{Error, Result};
use crate::scan::{ColumnCount, ListedFile};

/// Refuses a file that cannot be the one that the manifest lists; it really is `file_bytes` long.
///
/// # Errors
/// [`crate::error::ErrorKind::Corrupt`] for another number of rows, and for a file of another size
/// whose columns have other sizes too.
pub(super) fn check_agreement(
    file: &ListedFile,
    footer: &ParquetMetaData,
    file_bytes: u64,
) -> Result<()> {
    check_rows(file, footer)?;
    if file_bytes == file.file_size_in_bytes() {
        Ok(())
    } else {
        check_column_sizes(file, footer)
    }
}

/// The manifest and the file must agree on the number of rows: one of them is damaged otherwise.
fn check_rows(file: &ListedFile, footer: &ParquetMetaData) -> Result<()> {
    let found = footer.file_metadata().num_rows();
    if u64::try_from(found).ok() == Some(file.record_count()) {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "the file has {found} rows, another number of rows than the {} that the manifest says: one \
         of them is damaged or belongs to another table; restore them",
        file.record_count()
    )))
}

/// A file of another size than the manifest says is the manifest's file only if its columns have
/// the sizes that the manifest says, as far as it says any.
fn check_column_sizes(file: &ListedFile, footer: &ParquetMetaData) -> Result<()> {
    let mut found: HashMap<i32, u64> = HashMap::new();
    for column in footer.row_groups().iter().flat_map(|group| group.columns()) {
        let known = column.column_descr().self_type().get_basic_info();
        if known.has_id() {
            let size = found.entry(known.id()).or_default();
            let bytes = u64::try_from(column.compressed_size()).unwrap_or_default();
            *size = size.saturating_add(bytes);
        }
    }
    // Files of before a table was one of Iceberg have no ids.
    let said = file.counts(ColumnCount::Size);
    let mut said = said.filter(|_| !found.is_empty());
    match said.find(|(id, said)| found.get(id) != Some(said)) {
        Some((id, said)) => Err(Error::corrupt(format!(
            "the file has another size than the {} bytes where the manifest says that it ends, and \
             its field {id} takes {} bytes where the manifest says {said}: it was replaced; \
             restore it",
            file.file_size_in_bytes(),
            found.get(&id).copied().unwrap_or_default(),
        ))),
        None => Ok(()),
    }
}

/// A range that ends where the manifest says that the file does ends where it really does.
pub(super) fn to_real_end(range: &FileRange, file: &ListedFile) -> FileRange {
    let is_last = u64::try_from(range.end).is_ok_and(|end| end >= file.file_size_in_bytes());
    FileRange {
        start: range.start,
        end: if is_last { i64::MAX } else { range.end },
    }
}
