//! A CSV file as a table of texts, read as a stream.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::path::Path;
use datafusion::object_store::{ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream::{self, BoxStream, Fuse};
use futures::{StreamExt, TryStreamExt};
use lakehouse_core::error::Result;

use super::csv_records::{CsvRecords, Emptiness};
use crate::statement::CsvForm;

/// A CSV file and how its values stand in it.
#[derive(Debug, Clone)]
pub(super) struct CsvFile {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    pub(super) compression: FileCompressionType,
    pub(super) form: CsvForm,
}

impl CsvFile {
    /// The names in its first row; none for a file without rows.
    ///
    /// # Errors
    /// What the store meets, and for a first row that cannot be read.
    pub(super) async fn header(&self) -> Result<Vec<String>> {
        let mut records = CsvRecords::of_header(&self.form);
        let mut bytes = self.bytes().await?;
        while let Some(bytes) = bytes.try_next().await? {
            records.read(&bytes, 1)?;
            if records.is_full(1) {
                return records.header();
            }
        }
        records.finish()?;
        records.header()
    }

    /// Its bytes, unpacked.
    async fn bytes(&self) -> EngineResult<BoxStream<'static, EngineResult<Bytes>>> {
        let found = self.store.get(&self.path).await?;
        let packed = found.into_stream().map_err(DataFusionError::from).boxed();
        self.compression.convert_stream(packed)
    }
}

/// The rows of a CSV file as texts.
pub(super) struct CsvRows {
    pub(super) file: CsvFile,
    pub(super) schema: SchemaRef,
    /// What an empty text is in each column.
    pub(super) columns: Vec<Emptiness>,
}

impl fmt::Debug for CsvRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsvRows")
            .field("path", &self.file.path)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for CsvRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (file, schema, columns) = (
            self.file.clone(),
            Arc::clone(&self.schema),
            self.columns.clone(),
        );
        let rows_max = context.session_config().batch_size();
        let batches = async move {
            let reading = Reading {
                bytes: file.bytes().await?.fuse(),
                rest: Bytes::new(),
                records: CsvRecords::new(&file.form, columns.len()),
                schema,
                columns,
                rows_max,
            };
            Ok::<_, DataFusionError>(stream::try_unfold(reading, Reading::next))
        };
        let batches = stream::once(batches).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            batches,
        ))
    }
}

struct Reading {
    bytes: Fuse<BoxStream<'static, EngineResult<Bytes>>>,
    /// What was got of the file and not read yet.
    rest: Bytes,
    records: CsvRecords,
    schema: SchemaRef,
    columns: Vec<Emptiness>,
    rows_max: usize,
}

impl Reading {
    async fn next(mut self) -> EngineResult<Option<(RecordBatch, Self)>> {
        while !self.records.is_full(self.rows_max) {
            if !self.rest.is_empty() {
                let read = self.records.read(&self.rest, self.rows_max)?;
                self.rest = self.rest.slice(read..);
            } else if let Some(bytes) = self.bytes.try_next().await? {
                self.rest = bytes;
            } else {
                self.records.finish()?;
                break;
            }
        }
        if self.records.rows() == 0 {
            return Ok(None);
        }
        let values = self.records.take(&self.columns)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), values)?;
        Ok(Some((batch, self)))
    }
}
