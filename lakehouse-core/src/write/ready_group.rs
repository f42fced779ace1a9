//! A row group of which some columns come as pages of another file, and others as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, NullArray, RecordBatch};
use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory};
use parquet::file::writer::SerializedFileWriter;

use super::conform::Conformer;
use super::file_encoder::{ReadyColumn, encode};
use super::metrics::FloatMetrics;
use super::page_rewrite::PageChunk;
use super::parquet_file::FileFormat;
use crate::error::{Error, Result};

/// The columns of one row group, as they become ready.
pub(crate) struct ReadyGroup {
    format: Arc<FileFormat>,
    /// The table's columns that come as rows, by position.
    decoded: Vec<usize>,
    conformer: Conformer,
    /// By leaf, in the order of the schema.
    leaves: Vec<Leaf>,
    pub(super) floats: Vec<FloatMetrics>,
    rows: u64,
}

enum Leaf {
    Missing,
    Encoder(Box<ArrowColumnWriter>),
    Pages(PageChunk),
}

impl std::fmt::Debug for ReadyGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyGroup")
            .field("decoded", &self.decoded)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl ReadyGroup {
    /// A row group of `rows`, of which the columns at `decoded` come as rows.
    pub(super) fn try_new(
        format: &Arc<FileFormat>,
        decoded: Vec<usize>,
        rows: u64,
    ) -> Result<Self> {
        let fields = decoded.iter().map(|at| format.stored.field(*at).clone());
        let stored = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let columns = format.options.columns();
        let mut leaves: Vec<Leaf> = (0..columns.num_columns()).map(|_| Leaf::Missing).collect();
        if !decoded.is_empty() {
            for (leaf, encoder) in encoders(format)?.into_iter().enumerate() {
                if decoded.contains(&columns.get_column_root_idx(leaf)) {
                    leaves[leaf] = Leaf::Encoder(Box::new(encoder));
                }
            }
        }
        Ok(Self {
            floats: format.metrics.floats(),
            format: Arc::clone(format),
            decoded,
            conformer: Conformer::new(stored),
            leaves,
            rows,
        })
    }

    /// Adds rows of the columns that come as rows.
    ///
    /// # Errors
    /// As [`super::TableWriter::write`].
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let rows = self.conformer.conform(rows, None)?;
        let mut encoders = self.leaves.iter_mut().filter_map(|leaf| match leaf {
            Leaf::Encoder(encoder) => Some(&mut **encoder),
            Leaf::Missing | Leaf::Pages(_) => None,
        });
        for (at, column) in self.decoded.iter().zip(rows.columns()) {
            encode(self.format.stored.field(*at), column, &mut encoders)?;
        }
        let among_all = self.among_all(&rows)?;
        self.format.metrics.observe(&mut self.floats, &among_all)
    }

    /// Adds a column that comes as pages; `leaf` is its place in the schema.
    pub(crate) fn pages(&mut self, leaf: usize, chunk: PageChunk) {
        if let Some(place) = self.leaves.get_mut(leaf) {
            *place = Leaf::Pages(chunk);
        }
    }

    /// How many rows the row group has.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// All columns, in the order of the schema.
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Internal`] when one is missing or has another number of rows.
    pub(super) fn finish(self) -> Result<Vec<ReadyColumn>> {
        let rows = self.rows;
        let columns = self.leaves.into_iter().map(|leaf| match leaf {
            Leaf::Missing => Err(Error::internal("a column of a row group is missing")),
            Leaf::Encoder(encoder) => {
                let chunk = encoder.close()?;
                check_rows(chunk.close().rows_written, rows)?;
                Ok(ReadyColumn::Encoded(chunk))
            }
            Leaf::Pages(chunk) => {
                check_rows(chunk.rows(), rows)?;
                Ok(ReadyColumn::Pages(chunk))
            }
        });
        columns.collect()
    }

    /// The rows with columns of nothing where columns come as pages.
    fn among_all(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let stored: &SchemaRef = &self.format.stored;
        let none: ArrayRef = Arc::new(NullArray::new(rows.num_rows()));
        let mut columns = vec![none; stored.fields().len()];
        for (at, column) in self.decoded.iter().zip(rows.columns()) {
            columns[*at] = Arc::clone(column);
        }
        let fields = stored.fields().iter().zip(&columns);
        let fields = fields
            .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        Ok(RecordBatch::try_new(schema, columns)?)
    }
}

fn check_rows(found: u64, rows: u64) -> Result<()> {
    match found == rows {
        true => Ok(()),
        false => Err(Error::internal(format!(
            "a column of a row group has {found} rows where there are {rows}"
        ))),
    }
}

/// An encoder for each leaf.
fn encoders(format: &FileFormat) -> Result<Vec<ArrowColumnWriter>> {
    let options = &format.options;
    // Encoders are made as for a file, of which nothing is kept.
    let (schema, properties) = (Arc::clone(&options.schema), Arc::clone(&options.properties));
    let file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    let factory = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&format.stored));
    Ok(factory.create_column_writers(0)?)
}
