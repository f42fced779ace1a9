//! New values of a few rows, in the form in which pages hold them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::Type as ParquetType;

use super::conform::Conformer;
use super::file_encoder::{FileEncoder, FileOptions};
use super::page_rewrite::{NewValues, SourceChunk, new_values};
use super::parquet_file::FileFormat;
use crate::error::Result;

/// The values of some of the table's columns, which are given by position and ascend, by leaf. A
/// leaf that is not edited by pages is left out.
///
/// # Errors
/// As [`super::TableWriter::write`].
pub(super) fn encode_values(
    format: &FileFormat,
    columns: &[(usize, ArrayRef)],
) -> Result<HashMap<usize, NewValues>> {
    let fields = columns
        .iter()
        .map(|(at, _)| format.stored.field(*at).clone());
    let stored = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
    let given = columns.iter().map(|(at, column)| {
        let name = format.stored.field(*at).name();
        Field::new(name, column.data_type().clone(), true)
    });
    let given = Arc::new(ArrowSchema::new(given.collect::<Vec<_>>()));
    let arrays = columns.iter().map(|(_, column)| Arc::clone(column));
    let rows = RecordBatch::try_new(given, arrays.collect())?;
    let rows = Conformer::new(Arc::clone(&stored)).conform(&rows, None)?;
    let roots = format.options.schema.get_fields();
    let roots = columns.iter().map(|(at, _)| Arc::clone(&roots[*at]));
    let schema = ParquetType::group_type_builder(format.options.schema.name())
        .with_fields(roots.collect())
        .build()?;
    // One page of plain values for each column.
    let properties = WriterProperties::builder()
        .set_compression(Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_write_batch_size(usize::MAX)
        .set_data_page_row_count_limit(usize::MAX)
        .set_data_page_size_limit(usize::MAX)
        .set_max_row_group_row_count(None)
        .build();
    let options = FileOptions {
        properties: Arc::new(properties),
        schema: Arc::new(schema),
    };
    let mut encoder = FileEncoder::try_new(&stored, &options)?;
    encoder.write(&rows)?;
    let footer = encoder.finish()?;
    let file = Bytes::from(encoder.take_encoded());
    // Leaves of both schemas follow each other in the same order.
    let all = format.options.columns();
    let leaves = (0..all.num_columns()).filter(|leaf| {
        let root = all.get_column_root_idx(*leaf);
        columns.iter().any(|(at, _)| *at == root)
    });
    let mut values = HashMap::new();
    let chunks = footer.row_groups().iter().flat_map(|group| group.columns());
    for (leaf, metadata) in leaves.zip(chunks) {
        let (start, length) = metadata.byte_range();
        let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX);
        let source = SourceChunk {
            metadata,
            column_index: None,
            offset_index: None,
            bytes: file.slice(at(start)..at(start + length)),
            rows: rows.num_rows() as u64,
        };
        if let Some(new) = new_values(&source)? {
            values.insert(leaf, new);
        }
    }
    Ok(values)
}
