//! Parquet files with another footer: what old and careless writers say of the same pages.

use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData, RowGroupMetaDataBuilder,
};

use bytes::Bytes;
use lakehouse_core::error::{Error, Result};

/// Gives the local Parquet file at `path` a footer in which `edit` has changed what is said of each
/// column chunk. Pages and their index stay where they are.
///
/// # Errors
/// When the file cannot be read or written, or is no Parquet file.
pub fn edit_column_chunks(
    path: &str,
    edit: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> Result<()> {
    edit_footer(path, |group| {
        let columns = group.columns().iter();
        let columns = columns.map(|column| edit(column.clone().into_builder()).build());
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        Ok(group.into_builder().set_column_metadata(columns).build()?)
    })
}

/// Gives the local Parquet file at `path` a footer in which `edit` has changed what is said of each
/// row group. Pages and their index stay where they are.
///
/// # Errors
/// When the file cannot be read or written, or is no Parquet file.
pub fn edit_row_groups(
    path: &str,
    edit: impl Fn(RowGroupMetaDataBuilder) -> RowGroupMetaDataBuilder,
) -> Result<()> {
    edit_footer(path, |group| Ok(edit(group.into_builder()).build()?))
}

fn edit_footer(
    path: &str,
    edit: impl Fn(RowGroupMetaData) -> Result<RowGroupMetaData>,
) -> Result<()> {
    let bytes = Bytes::from(std::fs::read(path)?);
    let (pages, footer) = split(&bytes)?;
    let mut builder = footer.into_builder();
    for group in builder.take_row_groups() {
        builder = builder.add_row_group(edit(group)?);
    }
    let mut edited = pages.to_vec();
    let footer = builder.build();
    ParquetMetaDataWriter::new(&mut edited, &footer).finish()?;
    std::fs::write(path, edited)?;
    Ok(())
}

/// What stands before the footer, and the footer without the page index.
fn split(bytes: &Bytes) -> Result<(Bytes, ParquetMetaData)> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(bytes)?;
    let no_footer = || Error::invalid("the file is too short for a Parquet file");
    let end = bytes.len().checked_sub(8).ok_or_else(no_footer)?;
    let length = bytes
        .get(end..end + 4)
        .and_then(|length| length.try_into().ok());
    let length = u32::from_le_bytes(length.ok_or_else(no_footer)?);
    let start = usize::try_from(length)
        .ok()
        .and_then(|length| end.checked_sub(length));
    Ok((bytes.slice(..start.ok_or_else(no_footer)?), footer))
}
