//! JSON files in which the key of a map that has no value is there.
//!
//! The engine leaves out all that is NULL, and a map is read back with fewer keys.

use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::LineDelimited;
use bytes::Bytes;
use datafusion::datasource::file_format::write::BatchSerializer;
use datafusion::error::Result as EngineResult;

use crate::unique_keys::has_maps;

/// Rows as the lines of a file.
pub(super) struct JsonText;

impl BatchSerializer for JsonText {
    fn serialize(&self, batch: RecordBatch, _: bool) -> EngineResult<Bytes> {
        let schema = batch.schema();
        let has_maps = schema
            .fields()
            .iter()
            .any(|field| has_maps(field.data_type()));
        let mut text = Vec::with_capacity(4096);
        let form = WriterBuilder::new().with_explicit_nulls(has_maps);
        let mut writer = form.build::<_, LineDelimited>(&mut text);
        writer.write(&batch)?;
        writer.finish()?;
        Ok(Bytes::from(text))
    }
}
