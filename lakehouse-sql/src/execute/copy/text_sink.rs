//! Files of text that a serializer of ours writes in the place of the engine's.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::csv::CsvSink;
use datafusion::datasource::file_format::json::JsonSink;
use datafusion::datasource::file_format::write::BatchSerializer;
use datafusion::datasource::file_format::write::demux::DemuxedStreamReceiver;
use datafusion::datasource::file_format::write::orchestration::spawn_writer_tasks_and_join;
use datafusion::datasource::physical_plan::{FileSink, FileSinkConfig};
use datafusion::datasource::sink::{DataSink, DataSinkExec};
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::object_store::ObjectStore;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::{DisplayAs, DisplayFormatType};

use super::csv_text::CsvText;
use super::json_text::JsonText;

/// A plan that writes as here, where it writes files of text.
pub(super) fn with_own_texts(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(writes) = plan.as_any().downcast_ref::<DataSinkExec>() else {
        return plan;
    };
    let sink = writes.sink().as_any();
    let sink = if let Some(sink) = sink.downcast_ref::<CsvSink>() {
        let options = sink.writer_options();
        TextSink {
            config: FileSink::config(sink).clone(),
            rows: Arc::new(CsvText::new(options.writer_options.clone())),
            compression: options.compression,
            compression_level: options.compression_level,
        }
    } else if let Some(sink) = sink.downcast_ref::<JsonSink>() {
        let options = sink.writer_options();
        TextSink {
            config: FileSink::config(sink).clone(),
            rows: Arc::new(JsonText),
            compression: options.compression,
            compression_level: options.compression_level,
        }
    } else {
        return plan;
    };
    let input = Arc::clone(writes.input());
    let order = writes.sort_order().clone();
    Arc::new(DataSinkExec::new(input, Arc::new(sink), order))
}

struct TextSink {
    config: FileSinkConfig,
    rows: Arc<dyn BatchSerializer>,
    compression: CompressionTypeVariant,
    compression_level: Option<u32>,
}

impl fmt::Debug for TextSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextSink({})", self.config.original_url)
    }
}

impl DisplayAs for TextSink {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextSink({})", self.config.original_url)
    }
}

#[async_trait]
impl FileSink for TextSink {
    fn config(&self) -> &FileSinkConfig {
        &self.config
    }

    async fn spawn_writer_tasks_and_join(
        &self,
        context: &Arc<TaskContext>,
        demux_task: SpawnedTask<EngineResult<()>>,
        files: DemuxedStreamReceiver,
        store: Arc<dyn ObjectStore>,
    ) -> EngineResult<u64> {
        spawn_writer_tasks_and_join(
            context,
            Arc::clone(&self.rows),
            self.compression.into(),
            self.compression_level,
            store,
            demux_task,
            files,
        )
        .await
    }
}

#[async_trait]
impl DataSink for TextSink {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn schema(&self) -> &SchemaRef {
        self.config.output_schema()
    }

    async fn write_all(
        &self,
        data: SendableRecordBatchStream,
        context: &Arc<TaskContext>,
    ) -> EngineResult<u64> {
        FileSink::write_all(self, data, context).await
    }
}
