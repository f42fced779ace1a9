//! Writing one Parquet file in bounded memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Literal, PrimitiveLiteral, Struct,
};

use super::WrittenFile;
use super::file_encoder::{FileEncoder, FileOptions};
use super::metrics::{FloatMetrics, MetricsPlan};
use super::ready_group::ReadyGroup;
use crate::error::{Error, Result};
use crate::storage::{Storage, StorageWriter};

/// What all data files of one write have in common.
#[derive(Debug)]
pub(super) struct FileFormat {
    pub(super) stored: SchemaRef,
    pub(super) options: FileOptions,
    pub(super) metrics: MetricsPlan,
    pub(super) spec_id: i32,
    /// The order of the rows of each file, where they come in one.
    pub(super) sort_order_id: Option<i32>,
    pub(super) content: DataContentType,
}

/// A data file being written; nothing stands under its name before [`Self::finish`].
///
/// Rows are encoded by the task that hands them over: a batch takes milliseconds, about as long as
/// any step of a query, and writers of other partitions run in tasks of their own.
#[derive(Debug)]
pub(super) struct ParquetFile {
    format: Arc<FileFormat>,
    partition: Struct,
    /// The one data file that a delete file is for.
    referenced: Option<String>,
    encoder: FileEncoder,
    sink: StorageWriter,
    floats: Vec<FloatMetrics>,
    rows: u64,
}

impl ParquetFile {
    /// Begins a file at `location` for rows of one partition.
    pub(super) fn create(
        format: Arc<FileFormat>,
        storage: &Storage,
        location: &str,
        partition: Struct,
    ) -> Result<Self> {
        let encoder = FileEncoder::try_new(&format.stored, &format.options)?;
        Ok(Self {
            sink: storage.writer(location)?,
            floats: format.metrics.floats(),
            format,
            partition,
            referenced: None,
            encoder,
            rows: 0,
        })
    }

    /// Says which data file a delete file is for, when it is for one.
    pub(super) fn referencing(mut self, data_file: Option<String>) -> Self {
        self.referenced = data_file;
        self
    }

    /// Adds rows in stored form; full row groups go to the store.
    ///
    /// # Errors
    /// What the encoder or the store answers; the file must then be given up with [`Self::abort`].
    pub(super) async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.format.metrics.observe(&mut self.floats, rows)?;
        self.rows += rows.num_rows() as u64;
        let groups = self.encoder.row_groups().len();
        self.encoder.write(rows)?;
        if self.encoder.row_groups().len() > groups {
            self.drain().await?;
        }
        Ok(())
    }

    /// Adds a row group whose columns are ready.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub(super) async fn append(&mut self, group: ReadyGroup) -> Result<()> {
        for (seen, more) in self.floats.iter_mut().zip(&group.floats) {
            seen.add(more);
        }
        self.rows += group.rows();
        self.encoder.append(group.finish()?)?;
        self.drain().await
    }

    /// Whether it is for rows of a partition.
    pub(super) fn is_of(&self, partition: &Struct) -> bool {
        // -0.0 equals 0.0, and has a partition of its own.
        let is_same = |(one, other): (&Option<Literal>, &Option<Literal>)| match (one, other) {
            (
                Some(Literal::Primitive(PrimitiveLiteral::Float(one))),
                Some(Literal::Primitive(PrimitiveLiteral::Float(other))),
            ) => one.to_bits() == other.to_bits(),
            (
                Some(Literal::Primitive(PrimitiveLiteral::Double(one))),
                Some(Literal::Primitive(PrimitiveLiteral::Double(other))),
            ) => one.to_bits() == other.to_bits(),
            (one, other) => one == other,
        };
        let (own, other) = (self.partition.fields(), partition.fields());
        own.len() == other.len() && own.iter().zip(other).all(is_same)
    }

    /// Ends the row group that is being gathered and sends it to the store.
    pub(super) async fn flush(&mut self) -> Result<()> {
        self.encoder.flush()?;
        self.drain().await
    }

    /// Bytes held in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.encoder.memory_bytes() + self.sink.pending_bytes()
    }

    /// The size the file would have if it ended now, as far as it is known.
    pub(super) fn size_bytes(&self) -> u64 {
        self.encoder.size_bytes() as u64
    }

    /// Where the file will stand.
    pub(super) fn location(&self) -> &str {
        self.sink.location()
    }

    /// Ends the file: it now stands under its name, whole.
    ///
    /// # Errors
    /// As [`Self::write`]; nothing then stands under the name.
    pub(super) async fn finish(mut self) -> Result<WrittenFile> {
        match self.end().await {
            Ok(data_file) => Ok(WrittenFile {
                data_file,
                spec_id: self.format.spec_id,
            }),
            Err(error) => {
                // The first error is the one to tell; parts left behind are no file.
                let _ = self.sink.abort().await;
                Err(error.with_context("file", self.sink.location()))
            }
        }
    }

    /// Gives the file up; nothing stands under its name.
    pub(super) async fn abort(mut self) -> Result<()> {
        self.sink.abort().await
    }

    async fn end(&mut self) -> Result<DataFile> {
        let footer = self.encoder.finish()?;
        self.drain().await?;
        // All that can fail is done before the file stands under its name.
        let metrics = self.format.metrics.file_metrics(&footer, &self.floats)?;
        let mut builder = DataFileBuilder::default();
        if let Some(order) = self.format.sort_order_id {
            builder.sort_order_id(order);
        }
        let data_file = builder
            .content(self.format.content)
            .file_path(self.sink.location().to_owned())
            .file_format(DataFileFormat::Parquet)
            .partition(self.partition.clone())
            .partition_spec_id(self.format.spec_id)
            .record_count(self.rows)
            .file_size_in_bytes(self.sink.written_bytes())
            .column_sizes(metrics.column_sizes)
            .value_counts(metrics.value_counts)
            .null_value_counts(metrics.null_value_counts)
            .nan_value_counts(metrics.nan_value_counts)
            .lower_bounds(metrics.lower_bounds)
            .upper_bounds(metrics.upper_bounds)
            .split_offsets(Some(metrics.split_offsets))
            .referenced_data_file(self.referenced.take())
            .build()
            .map_err(|error| {
                Error::internal("a data file must be described whole").with_source(error)
            })?;
        self.sink.finish().await?;
        Ok(data_file)
    }

    async fn drain(&mut self) -> Result<()> {
        let encoded = self.encoder.take_encoded();
        if encoded.is_empty() {
            return Ok(());
        }
        self.sink.write(Bytes::from(encoded)).await
    }
}
