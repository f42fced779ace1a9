//! Parquet files with another footer: what old and careless writers say of the same pages.

use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
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
    let bytes = Bytes::from(std::fs::read(path)?);
    let (pages, footer) = split(&bytes)?;
    let mut builder = footer.into_builder();
    for group in builder.take_row_groups() {
        let columns = group.columns().iter();
        let columns = columns.map(|column| edit(column.clone().into_builder()).build());
        let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let group = group.into_builder().set_column_metadata(columns).build()?;
        builder = builder.add_row_group(group);
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
