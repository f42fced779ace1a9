//! The encoder of one Parquet file: row groups of rows that are gathered, and row groups whose
//! columns come ready.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, SchemaRef};
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescriptor, TypePtr};

use super::page_rewrite::PageChunk;
use crate::error::{Error, Result};

/// How all Parquet files of one write are encoded.
#[derive(Debug, Clone)]
pub(crate) struct FileOptions {
    pub(crate) properties: WriterPropertiesPtr,
    /// The columns with their field ids.
    pub(super) schema: TypePtr,
}

impl FileOptions {
    /// The leaf columns.
    pub(crate) fn columns(&self) -> SchemaDescriptor {
        SchemaDescriptor::new(Arc::clone(&self.schema))
    }
}

/// Encodes a file into memory, from where its bytes are taken as they come.
pub(super) struct FileEncoder {
    file: SerializedFileWriter<Vec<u8>>,
    columns: ArrowRowGroupWriterFactory,
    stored: SchemaRef,
    group: Option<RowGroup>,
}

/// A row group that is being gathered.
struct RowGroup {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

/// One column of a row group that comes ready.
pub(super) enum ReadyColumn {
    Encoded(ArrowColumnChunk),
    Pages(PageChunk),
}

impl std::fmt::Debug for FileEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileEncoder")
            .field("row_groups", &self.row_groups().len())
            .field("rows", &self.group.as_ref().map(|group| group.rows))
            .finish_non_exhaustive()
    }
}

impl FileEncoder {
    /// Begins a file for rows in stored form.
    pub(super) fn try_new(stored: &SchemaRef, options: &FileOptions) -> Result<Self> {
        let (schema, properties) = (&options.schema, &options.properties);
        let file =
            SerializedFileWriter::new(Vec::new(), Arc::clone(schema), Arc::clone(properties))?;
        Ok(Self {
            columns: ArrowRowGroupWriterFactory::new(&file, Arc::clone(stored)),
            file,
            stored: Arc::clone(stored),
            group: None,
        })
    }

    /// The row groups that are whole.
    pub(super) fn row_groups(&self) -> &[RowGroupMetaData] {
        self.file.flushed_row_groups()
    }

    /// Adds rows; row groups end where they are full.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut first = 0;
        while first < rows.num_rows() {
            let properties = Arc::clone(self.file.properties());
            let index = self.file.flushed_row_groups().len();
            let group = match &mut self.group {
                Some(group) => group,
                None => self.group.insert(RowGroup {
                    columns: self.columns.create_column_writers(index)?,
                    rows: 0,
                }),
            };
            let rows_max = properties.max_row_group_row_count().unwrap_or(usize::MAX);
            let bytes_max = properties.max_row_group_bytes().unwrap_or(usize::MAX);
            let fitting = group.fitting_rows(rows_max, bytes_max);
            let length = fitting.min(rows.num_rows() - first);
            if length > 0 {
                group.write(&self.stored, &rows.slice(first, length))?;
                first += length;
            }
            if group.fitting_rows(rows_max, bytes_max) == 0 {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Ends the row group that is being gathered.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        let mut written = self.file.next_row_group()?;
        for column in group.columns {
            column.close()?.append_to_row_group(&mut written)?;
        }
        written.close()?;
        Ok(())
    }

    /// Adds a row group whose columns are ready, in the order of the schema's leaves.
    pub(super) fn append(&mut self, columns: Vec<ReadyColumn>) -> Result<()> {
        self.flush()?;
        let mut written = self.file.next_row_group()?;
        for column in columns {
            match column {
                ReadyColumn::Encoded(chunk) => chunk.append_to_row_group(&mut written)?,
                ReadyColumn::Pages(chunk) => written.append_column(&chunk.pages, chunk.close)?,
            }
        }
        written.close()?;
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(&mut self) -> Result<ParquetMetaData> {
        self.flush()?;
        Ok(self.file.finish()?)
    }

    /// What was encoded since the last time.
    pub(super) fn take_encoded(&mut self) -> Vec<u8> {
        std::mem::take(self.file.inner_mut())
    }

    /// Bytes held in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let gathered = self.group.as_ref().map_or(0, RowGroup::memory_bytes);
        gathered + self.file.inner().capacity()
    }

    /// The size the file would have if it ended now, as far as it is known.
    pub(super) fn size_bytes(&self) -> usize {
        let gathered = self.group.as_ref().map_or(0, RowGroup::encoded_bytes);
        gathered + self.file.bytes_written()
    }
}

impl RowGroup {
    /// How many more rows fit, by the mean size of those that are there.
    fn fitting_rows(&self, rows_max: usize, bytes_max: usize) -> usize {
        let rows = rows_max.saturating_sub(self.rows);
        if self.rows == 0 {
            return rows.max(1);
        }
        let encoded = self.encoded_bytes();
        match (encoded / self.rows, bytes_max.saturating_sub(encoded)) {
            (0, left) if left > 0 => rows,
            (0, _) => 0,
            (row_bytes, left) => rows.min(left / row_bytes),
        }
    }

    fn write(&mut self, stored: &SchemaRef, rows: &RecordBatch) -> Result<()> {
        let mut writers = self.columns.iter_mut();
        for (field, column) in stored.fields().iter().zip(rows.columns()) {
            encode(field, column, &mut writers)?;
        }
        self.rows += rows.num_rows();
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.columns
            .iter()
            .map(ArrowColumnWriter::memory_size)
            .sum()
    }

    fn encoded_bytes(&self) -> usize {
        let sizes = self.columns.iter();
        sizes
            .map(ArrowColumnWriter::get_estimated_total_bytes)
            .sum()
    }
}

/// Encodes the leaves of one column by their writers, which come in order.
pub(super) fn encode<'a>(
    field: &Field,
    column: &ArrayRef,
    writers: &mut impl Iterator<Item = &'a mut ArrowColumnWriter>,
) -> Result<()> {
    for leaf in compute_leaves(field, column)? {
        let writer = writers.next();
        let writer =
            writer.ok_or_else(|| Error::internal("a column has more leaves than known"))?;
        writer.write(&leaf)?;
    }
    Ok(())
}
