//! A scan that reads files while it is still planned.
//!
//! Where nothing above a scan waits for its end, the first rows need not wait for the last manifest.
//! The partitions of such a scan take files from one queue, which planning fills as long as there is
//! room; when nobody wants more rows, as behind a LIMIT, planning stops too. What it costs: exact
//! statistics are not known, and files are dealt out as partitions come, not by their sizes.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::instant::Instant;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig};
use datafusion::datasource::source::DataSource;
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::MemoryPool;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, Time,
};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use tracing::Instrument;

use super::account::ScanAccount;
use super::deletes::ScanDeletes;
use super::file::LakeFile;
use super::file_groups::single_pieces;
use super::file_queue::{FileQueue, QueueEnd};
use super::opener::Batches;
use crate::error::{Error, Result};
use crate::runtime::{self, Task};
use crate::scan::{Planning, ScanPlan};
use crate::table::Table;

/// Lets scans that are planned under it read files while they are planned.
///
/// An extension of the engine's session configuration ([`with_extension`]), for statements in which
/// nothing waits for all rows of a scan: no aggregate, join, sort or window stands above it. Without
/// it, scans are planned whole, so that their statistics are exact. A plan made under it is run
/// once.
///
/// [`with_extension`]: datafusion::prelude::SessionConfig::with_extension
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamedPlanning;

/// Files that wait to be taken, for each partition.
const QUEUED_FILES: usize = 4;

/// How a streamed scan finds its files.
#[derive(Debug)]
pub(super) struct StreamedFiles {
    pub(super) planning: Arc<Planning>,
    pub(super) table: Table,
    /// Who pays for positions of deleted rows.
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) partitions: usize,
    /// What is told of the scan.
    pub(super) account: Arc<ScanAccount>,
}

/// A scan whose files are found while it runs.
#[derive(Debug)]
pub(super) struct StreamedScan {
    /// The scan as it would be of no files: projection, filters, limit, metrics.
    template: FileScanConfig,
    files: Arc<StreamedFiles>,
    run: Mutex<Run>,
}

/// What partitions were opened. Since they share the files, each can be opened once.
#[derive(Debug)]
struct Run {
    is_opened: Vec<bool>,
    /// Given up when all are opened: from then on they alone keep planning going.
    source: Option<Arc<FileSupply>>,
}

impl StreamedScan {
    /// A scan like `template`, which has no files of its own.
    pub(super) fn new(template: FileScanConfig, files: Arc<StreamedFiles>) -> Self {
        let run = Run {
            is_opened: vec![false; files.partitions],
            source: Some(Arc::new(FileSupply {
                queue: FileQueue::new(files.partitions.saturating_mul(QUEUED_FILES)),
                files: Arc::clone(&files),
                metrics: template.metrics(),
                task: OnceLock::new(),
            })),
        };
        Self {
            template,
            files,
            run: Mutex::new(run),
        }
    }

    /// What the scan has of the engine: projection, filters, limit, metrics.
    pub(super) fn template(&self) -> &FileScanConfig {
        &self.template
    }

    /// The same of another template, which the engine made of this one's.
    fn with_template(&self, template: &dyn Any) -> EngineResult<Arc<dyn DataSource>> {
        let template = template
            .downcast_ref::<FileScanConfig>()
            .ok_or_else(|| Error::internal("a scan of files became another kind of scan"))?;
        let scan = Self::new(template.clone(), Arc::clone(&self.files));
        Ok(Arc::new(scan))
    }

    /// The files, for one of the partitions.
    fn supply(&self, partition: usize) -> Result<Arc<FileSupply>> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = run.is_opened.get_mut(partition).is_some_and(|is_opened| {
            let was_opened = std::mem::replace(is_opened, true);
            !was_opened
        });
        let supply = match is_first {
            true => run.source.as_ref().map(Arc::clone),
            false => None,
        };
        if run.is_opened.iter().all(|is_opened| *is_opened) {
            run.source = None;
        }
        supply.ok_or_else(|| {
            Error::unsupported(
                "a plan whose scans are planned while they run is run once; plan the statement \
                 again",
            )
        })
    }
}

impl DataSource for StreamedScan {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> EngineResult<SendableRecordBatchStream> {
        let template = &self.template;
        let store = context
            .runtime_env()
            .object_store(&template.object_store_url)?;
        let rows = template
            .batch_size
            .unwrap_or_else(|| context.session_config().batch_size());
        let source = template.file_source().with_batch_size(rows);
        let opener = source.create_file_opener(store, template, partition)?;
        let mut stream = SuppliedStream {
            schema: template.projected_schema()?,
            supply: self.supply(partition)?,
            opener,
            current: None,
            next: None,
            rows_left: template.limit,
            metrics: StreamMetrics::new(source.metrics(), partition),
        };
        stream.open_next();
        Ok(Box::pin(cooperative(stream)))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(
                    f,
                    "planned while read by {} partitions, ",
                    self.files.partitions
                )?;
            }
            DisplayFormatType::TreeRender => writeln!(f, "planned while read")?,
        }
        self.template.fmt_as(format, f)
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.files.partitions)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.template.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::Cooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> EngineResult<Statistics> {
        self.template.partition_statistics(partition)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        let template = self.template.with_fetch(limit)?;
        self.with_template(template.as_any()).ok()
    }

    fn fetch(&self) -> Option<usize> {
        self.template.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.template.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> EngineResult<Option<Arc<dyn DataSource>>> {
        let swapped = self.template.try_swapping_with_projection(projection)?;
        swapped
            .map(|template| self.with_template(template.as_any()))
            .transpose()
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> EngineResult<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let mut pushed = self.template.try_pushdown_filters(filters, config)?;
        if let Some(template) = pushed.updated_node.take() {
            pushed.updated_node = Some(self.with_template(template.as_any())?);
        }
        Ok(pushed)
    }
}

/// What planning found, in the scan operator's metrics.
#[derive(Debug)]
struct Planned {
    manifests: Count,
    files: Count,
}

impl Planned {
    fn new(metrics: &ExecutionPlanMetricsSet) -> Self {
        let count = |name: &'static str| MetricBuilder::new(metrics).global_counter(name);
        Self {
            manifests: count("manifests_planned"),
            files: count("files_planned"),
        }
    }
}

/// The files of one run, planned from when the first is wanted to when nobody wants any.
#[derive(Debug)]
struct FileSupply {
    queue: Arc<FileQueue>,
    files: Arc<StreamedFiles>,
    metrics: ExecutionPlanMetricsSet,
    task: OnceLock<Task<()>>,
}

impl FileSupply {
    /// Opens the next file; `None` behind the last.
    async fn open(self: Arc<Self>, opener: Arc<dyn FileOpener>) -> EngineResult<Option<Batches>> {
        self.task.get_or_init(|| {
            let end = self.queue.putting_end();
            let planned = Planned::new(&self.metrics);
            let plan = plan(Arc::clone(&self.files), planned, end);
            runtime::spawn(plan.in_current_span())
        });
        match self.queue.take().await? {
            Some(file) => Ok(Some(opener.open(file)?.await?)),
            None => Ok(None),
        }
    }
}

async fn plan(files: Arc<StreamedFiles>, planned: Planned, mut end: QueueEnd) {
    let result = put_all(&files, &planned, &mut end).await;
    end.close(result);
}

async fn put_all(files: &StreamedFiles, planned: &Planned, end: &mut QueueEnd) -> Result<()> {
    // Parts count the manifests that they read.
    let mut counts = files.planning.counts();
    counts.manifests_total = counts.manifests_skipped;
    files.account.add(&ScanPlan {
        counts,
        ..ScanPlan::default()
    });
    let mut parts = Arc::clone(&files.planning).parts();
    while let Some(part) = parts.try_next().await? {
        planned.manifests.add(1);
        planned.files.add(part.files.len());
        files.account.add(&part);
        for file in lake_files(files, part) {
            for piece in single_pieces(file)? {
                end.put(piece).await;
            }
        }
    }
    files.account.complete();
    Ok(())
}

/// The files of one manifest, with what deletes their rows. That names its files, so that no delete
/// is read for two manifests.
fn lake_files(files: &StreamedFiles, part: ScanPlan) -> impl Iterator<Item = LakeFile> {
    let deletes = part.has_deletes().then(|| {
        let deletes = ScanDeletes::new(&part, &files.table, &files.pool);
        Arc::new(deletes)
    });
    part.files.into_iter().map(move |file| match &deletes {
        Some(deletes) => LakeFile::new(file).with_deletes(Arc::clone(deletes)),
        None => LakeFile::new(file),
    })
}

/// The rows of the files that one partition takes. The next file is opened while one is read.
struct SuppliedStream {
    schema: SchemaRef,
    supply: Arc<FileSupply>,
    opener: Arc<dyn FileOpener>,
    current: Option<Batches>,
    /// `None` behind the last file, and behind an error.
    next: Option<Next>,
    /// How many rows are enough.
    rows_left: Option<usize>,
    metrics: StreamMetrics,
}

/// The file behind the current one.
enum Next {
    Opening(BoxFuture<'static, EngineResult<Option<Batches>>>),
    Opened(EngineResult<Option<Batches>>),
}

impl SuppliedStream {
    fn open_next(&mut self) {
        let opening = Arc::clone(&self.supply).open(Arc::clone(&self.opener));
        self.next = Some(Next::Opening(opening.boxed()));
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<EngineResult<RecordBatch>>> {
        if self.rows_left == Some(0) {
            return Poll::Ready(None);
        }
        loop {
            if let Some(Next::Opening(opening)) = &mut self.next
                && let Poll::Ready(opened) = opening.poll_unpin(cx)
            {
                self.next = Some(Next::Opened(opened));
            }
            if let Some(current) = &mut self.current {
                match ready!(current.poll_next_unpin(cx)) {
                    Some(batch) => return Poll::Ready(Some(batch.map(|batch| self.cut(batch)))),
                    None => self.current = None,
                }
            }
            match self.next.take() {
                Some(Next::Opened(Ok(Some(batches)))) => {
                    self.metrics.opening.end();
                    self.current = Some(batches);
                    self.open_next();
                }
                Some(Next::Opened(Err(error))) => return Poll::Ready(Some(Err(error))),
                Some(Next::Opened(Ok(None))) | None => return Poll::Ready(None),
                opening => {
                    self.metrics.opening.begin();
                    self.next = opening;
                    return Poll::Pending;
                }
            }
        }
    }

    fn cut(&mut self, batch: RecordBatch) -> RecordBatch {
        let Some(left) = &mut self.rows_left else {
            return batch;
        };
        let rows = batch.num_rows().min(*left);
        *left -= rows;
        batch.slice(0, rows)
    }
}

impl Stream for SuppliedStream {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let begun = now();
        let polled = self.poll_batch(cx);
        self.metrics.processing.add_elapsed(begun);
        if let Poll::Ready(Some(Err(_)) | None) = &polled {
            // Nothing comes behind an error.
            self.current = None;
            self.next = None;
            self.metrics.opening.end();
        }
        self.metrics.rows.record_poll(polled)
    }
}

impl RecordBatchStream for SuppliedStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The metrics of one partition, under the names that the engine's own scans give them.
struct StreamMetrics {
    rows: BaselineMetrics,
    /// The time in which there was no file to read, be it for want of an open or of a planned one.
    opening: Stopwatch,
    processing: Time,
}

impl StreamMetrics {
    fn new(metrics: &ExecutionPlanMetricsSet, partition: usize) -> Self {
        let time = |name| MetricBuilder::new(metrics).subset_time(name, partition);
        Self {
            rows: BaselineMetrics::new(metrics, partition),
            opening: Stopwatch {
                time: time("time_elapsed_opening"),
                begun: None,
            },
            processing: time("time_elapsed_processing"),
        }
    }
}

/// A time that begins and ends between polls.
struct Stopwatch {
    time: Time,
    begun: Option<Instant>,
}

impl Stopwatch {
    fn begin(&mut self) {
        self.begun.get_or_insert_with(now);
    }

    fn end(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.time.add_elapsed(begun);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the engine's metrics are in real time, and nothing else depends on it"
)]
fn now() -> Instant {
    Instant::now()
}
