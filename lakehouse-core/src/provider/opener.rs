//! Opens one data file, or a byte range of it: what to skip, what to decode, what comes out.

mod agreement;
mod assembly;
mod bloom_filter;
mod chosen_rows;
mod compaction;
mod live_condition;
mod live_rows;
mod page_count;
mod row_groups;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::datasource::listing::{FileRange, PartitionedFile};
use datafusion::datasource::physical_plan::parquet::{
    PagePruningAccessPlanFilter, ParquetAccessPlan, RowGroupAccessPlanFilter,
};
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, ParquetFileMetrics};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_dynamic_physical_expr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, PruningMetrics};
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::ParquetMetaData;

use agreement::{check_agreement, to_real_end};
use assembly::Assembly;
use live_condition::LiveCondition;
use live_rows::{LiveRows, check_count};
use page_count::page_counts;
pub(super) use row_groups::ChunkFile;

use super::deletes::DeleteMetrics;
use super::equality_delete::KeyFilters;
use super::field_mapping::{ColumnSource, Conversion, FileMapping};
use super::file::{FilePruner, LakeFile};
use super::file_reader::{FileReader, footer_at_end};
use super::file_rows::{FileColumns, WantedRows, file_rows, row_count};
use super::metadata_column::{DeletedSource, numbered, row_numbers};
use super::pruning::{Prunable, Trust, prunable};
use super::row_filter::{RowFilter, Trial};
use super::scan_counters::{ScanCounters, Timed};
use super::source::ScanShape;
use crate::error::{Error, Result};
use crate::runtime;
use crate::scan::{DeletedRows, Footer, PageIndex};

/// What comes out of one file.
pub(super) type Batches = BoxStream<'static, EngineResult<RecordBatch>>;

/// Opens the files of one partition of a scan.
#[derive(Debug, Clone)]
pub(super) struct LakeOpener {
    pub(super) shape: Arc<ScanShape>,
    pub(super) partition: usize,
    /// What comes out, in terms of the table's read schema.
    pub(super) projection: ProjectionExprs,
    pub(super) predicate: Option<Arc<dyn PhysicalExpr>>,
    pub(super) batch_size: usize,
    /// How many rows are enough; the scan itself drops no row, so each file may stop there.
    pub(super) limit: Option<usize>,
    /// What files found out about dynamic filters, where these leave out rows.
    pub(super) row_filter: Option<Arc<Trial>>,
    pub(super) counters: ScanCounters,
    pub(super) metrics: ExecutionPlanMetricsSet,
}

impl FileOpener for LakeOpener {
    fn open(&self, file: PartitionedFile) -> EngineResult<FileOpenFuture> {
        let lake_file = file
            .extensions
            .as_ref()
            .and_then(|extension| Arc::clone(extension).downcast::<LakeFile>().ok())
            .ok_or_else(|| {
                DataFusionError::from(Error::internal("a file of a scan lost its description"))
            })?;
        let opener = self.clone();
        Ok(Box::pin(async move {
            let opened = opener.open_named(lake_file, file.range).await;
            opened.map_err(DataFusionError::from)
        }))
    }
}

/// One file on its way from footer to rows.
struct Opened {
    reader: FileReader,
    footer: Arc<ParquetMetaData>,
    mapping: FileMapping,
    metrics: ParquetFileMetrics,
}

/// What keeps deleted rows out of one file's batches.
struct Deletes {
    /// By their positions.
    live: Option<LiveRows>,
    /// By their keys.
    keys: KeyFilters,
}

impl LakeOpener {
    /// An opener of the same kind for all columns and rows of delete files.
    pub(super) fn all_of(&self, shape: Arc<ScanShape>) -> Self {
        let read = &shape.columns.read;
        let all: Vec<usize> = (0..read.fields().len()).collect();
        Self {
            projection: ProjectionExprs::from_indices(&all, read),
            shape,
            predicate: None,
            limit: None,
            row_filter: None,
            counters: self.counters.of_deletes(),
            ..self.clone()
        }
    }

    /// Opens a file; errors name it.
    pub(super) fn open_named(
        &self,
        file: Arc<LakeFile>,
        range: Option<FileRange>,
    ) -> BoxFuture<'static, Result<Batches>> {
        let opener = self.clone();
        async move {
            let location = file.data_file().file_path().to_owned();
            let _timer = opener.counters.time_opening.timer();
            let opening = opener.open_file(file, range);
            let opened = runtime::contained_future(opening).await;
            opened.map_err(|error| error.in_file(&location))
        }
        .boxed()
    }

    /// The columns to decode: those that are asked for, and those that deletes look at.
    fn needed(&self, file: &LakeFile) -> Result<Vec<usize>> {
        let mut needed = self.projection.column_indices();
        for set in file.key_sets() {
            let keys = self.shape.deleted_keys(*set)?;
            needed.extend(keys.key.scanned.iter().map(|path| path.root));
        }
        needed.sort_unstable();
        needed.dedup();
        Ok(needed)
    }

    /// What asks again and again whether the file can be left.
    fn pruner(&self, file: &Arc<LakeFile>) -> Option<FilePruner> {
        let predicate = self.predicate.as_ref()?;
        Some(FilePruner::new(
            Arc::clone(file),
            Arc::clone(predicate),
            Arc::clone(&self.shape.columns.read),
            Arc::clone(&self.shape.field_ids),
        ))
    }

    async fn open_file(&self, file: Arc<LakeFile>, range: Option<FileRange>) -> Result<Batches> {
        let location = file.data_file().file_path();
        let metrics = ParquetFileMetrics::new(self.partition, location, &self.metrics);
        let mut pruner = self.pruner(&file);
        if let Some(pruner) = &mut pruner
            && pruner.should_prune()?
        {
            metrics.files_ranges_pruned_statistics.add_pruned(1);
            if file.is_first_range() {
                self.counters.files_skipped_late.add(1);
            }
            return Ok(futures::stream::empty().boxed());
        }
        if file.is_first_range() {
            self.counters.files_opened.add(1);
        }
        metrics.files_ranges_pruned_statistics.add_matched(1);

        let needed = self.needed(&file)?;
        let mut opened = self.with_footer(&file, &needed, metrics).await?;
        let plan = self.access_plan(&file, &mut opened, range.as_ref()).await?;
        let Some(mut plan) = plan else {
            return Ok(futures::stream::empty().boxed());
        };
        self.choose_rows(&file, &mut opened, &mut plan).await?;
        let deletes_timer = self.counters.time_deletes.timer();
        let flags = self.flags(&opened.mapping, &needed);
        let live = if flags.is_empty() {
            self.live_rows(&file, &opened, &mut plan).await?
        } else {
            // Deleted rows come back with their flags.
            let deleted = self.deleted_rows(&file, &opened).await?;
            for position in &flags {
                let source = DeletedSource::new(deleted.as_ref().map(Arc::clone));
                let sources = &mut opened.mapping.sources;
                sources.insert(*position, ColumnSource::Deleted(source));
            }
            None
        };
        if plan.row_group_index_iter().next().is_none() {
            return Ok(futures::stream::empty().boxed());
        }
        let files_ranges = opened.metrics.files_ranges_pruned_statistics.clone();
        let deletes = Deletes {
            live,
            keys: KeyFilters::read(self, &file, &needed, &flags).await?,
        };
        deletes_timer.done();
        let batches = self.decode(&file, opened, plan, &needed, deletes)?;
        match pruner {
            Some(pruner)
                if self
                    .predicate
                    .as_ref()
                    .is_some_and(is_dynamic_physical_expr) =>
            {
                Ok(StoppableBatches {
                    batches,
                    pruner: Some(pruner),
                    files_ranges,
                    left_early: self.counters.files_left_early.clone(),
                }
                .boxed())
            }
            _ => Ok(batches),
        }
    }

    /// Reads the footer and finds the `needed` columns.
    async fn with_footer(
        &self,
        file: &LakeFile,
        needed: &[usize],
        metrics: ParquetFileMetrics,
    ) -> Result<Opened> {
        let reader = self.footer_reader(file, metrics.clone())?;
        let timer = metrics.metadata_load_time.timer();
        let found = self.footer_of(file, &reader).await?;
        let (reader, footer) = (reader.of_size(found.file_bytes), found.metadata);
        check_agreement(file.data_file(), &footer, found.file_bytes)?;
        let mapping = FileMapping::new(
            &self.shape.columns,
            footer.file_metadata().schema_descr(),
            file,
            needed,
            &self.predicate_columns(),
        )?;
        timer.done();
        Ok(Opened {
            reader,
            footer,
            mapping,
            metrics,
        })
    }

    fn footer_reader(&self, file: &LakeFile, metrics: ParquetFileMetrics) -> Result<FileReader> {
        let location = file.data_file().file_path();
        let size = file.data_file().file_size_in_bytes();
        let reader = FileReader::new(&self.shape.storage, location, size, metrics)?;
        Ok(reader.metered(&self.counters.footers))
    }

    async fn footer_of(&self, file: &LakeFile, reader: &FileReader) -> Result<Footer> {
        let read = || footer_at_end(reader.clone(), PageIndex::Skip);
        let location = file.data_file().file_path();
        self.shape.footers.footer(location, read).await
    }

    /// The table's columns that the predicate looks at, by position.
    fn predicate_columns(&self) -> Vec<usize> {
        self.predicate.as_ref().map_or_else(Vec::new, |predicate| {
            collect_columns(predicate)
                .iter()
                .map(Column::index)
                .collect()
        })
    }

    /// Which row groups and rows to decode; `None` when there are none.
    async fn access_plan(
        &self,
        file: &LakeFile,
        opened: &mut Opened,
        range: Option<&FileRange>,
    ) -> Result<Option<ParquetAccessPlan>> {
        let footer = Arc::clone(&opened.footer);
        let groups = footer.row_groups();
        let mut row_groups =
            RowGroupAccessPlanFilter::new(ParquetAccessPlan::new_all(groups.len()));
        let has_columns = footer.file_metadata().schema_descr().num_columns() > 0;
        if let Some(range) = range.filter(|_| has_columns) {
            // A row group belongs to the range in which its first page starts: the offset that
            // some writers record for the row group itself is wrong.
            row_groups.prune_by_range(groups, &to_real_end(range, file.data_file()));
        }
        let in_range = row_groups.remaining_row_group_count();
        self.counters.row_groups.add(in_range);
        let rows = |plan: &ParquetAccessPlan| row_count(&footer, &plan.row_group_indexes());
        self.counters.rows.add(rows(&row_groups.clone().build()));
        let conditions = match self.conditions(file, opened)? {
            Prunable::NoRow => {
                self.counters.row_groups_no_match.add(in_range);
                return Ok(None);
            }
            Prunable::Conditions(conditions) => conditions,
        };
        let pruning = conditions.as_ref().and_then(|conditions| {
            let schema = Arc::clone(&opened.mapping.file_schema);
            PruningPredicate::try_new(Arc::clone(conditions), schema)
                .ok()
                .filter(|pruning| !pruning.always_true())
        });
        if let Some(pruning) = &pruning {
            row_groups.prune_by_statistics(
                &opened.mapping.file_schema,
                footer.file_metadata().schema_descr(),
                groups,
                pruning,
                &opened.metrics,
            );
        } else {
            let kept = row_groups.remaining_row_group_count();
            opened
                .metrics
                .row_groups_pruned_statistics
                .add_matched(kept);
            opened
                .metrics
                .row_groups_pruned_bloom_filter
                .add_matched(kept);
        }
        let mut plan = row_groups.build();
        if let Some(pruning) = &pruning {
            self.prune_by_bloom_filters(&mut plan, pruning, opened)
                .await?;
        }
        if plan.row_group_index_iter().next().is_none() {
            return Ok(None);
        }
        let kept = plan.row_group_index_iter().count();
        let plan = match &conditions {
            Some(conditions) => self.prune_pages(plan, conditions, opened).await?,
            None => plan,
        };
        let left = plan.row_group_index_iter().count();
        self.counters.row_groups_no_page.add(kept - left);
        Ok((!plan.is_empty()).then_some(plan))
    }

    /// What of `plan` is live, once row groups and long runs that are all deleted are out of it;
    /// `None` when all of it is.
    async fn live_rows(
        &self,
        file: &LakeFile,
        opened: &Opened,
        plan: &mut ParquetAccessPlan,
    ) -> Result<Option<LiveRows>> {
        let Some(deleted) = self.deleted_rows(file, opened).await? else {
            return Ok(None);
        };
        let rows = file.data_file().record_count();
        let kept = plan.row_group_index_iter().count();
        let live = LiveRows::new(plan, &opened.footer, rows, deleted)?;
        let left = plan.row_group_index_iter().count();
        self.counters.row_groups_deleted.add(kept - left);
        let removed = if file.has_vector() {
            &self.counters.rows_deleted_vectors
        } else {
            &self.counters.rows_deleted_positions
        };
        removed.add(usize::try_from(live.removed()).unwrap_or(usize::MAX));
        Ok(Some(live))
    }

    /// The rows of a file that are deleted.
    async fn deleted_rows(
        &self,
        file: &LakeFile,
        opened: &Opened,
    ) -> Result<Option<Arc<DeletedRows>>> {
        if !file.has_position_deletes() {
            return Ok(None);
        }
        check_count(&opened.footer, file.data_file().record_count())?;
        let metrics = DeleteMetrics {
            file: opened.metrics.clone(),
            files_read: self.counters.delete_files_read.clone(),
            read: self.counters.deletes.clone(),
        };
        file.deleted_rows(&self.shape.deletes, &metrics).await
    }

    /// The needed columns that flag deleted rows, by position.
    fn flags(&self, mapping: &FileMapping, needed: &[usize]) -> Vec<usize> {
        let is_flag = |position: &&usize| {
            matches!(
                mapping.sources.get(*position),
                Some(ColumnSource::Deleted(_))
            )
        };
        needed.iter().filter(is_flag).copied().collect()
    }

    /// What leaves out rows of this schema. With a limit the reader counts rows, so none may be
    /// left out behind it.
    fn row_filter(&self, schema: &SchemaRef) -> Option<RowFilter> {
        let trial = self.row_filter.as_ref().filter(|_| self.limit.is_none())?;
        RowFilter::new(self.predicate.as_ref()?, schema, Arc::clone(trial))
    }

    /// What leaves out rows of the columns `needed` together with deleted rows; none with a limit,
    /// as above.
    fn live_condition(&self, needed: &[usize], schema: &SchemaRef) -> Option<LiveCondition> {
        let predicate = self.predicate.as_ref().filter(|_| self.limit.is_none())?;
        LiveCondition::new(predicate, needed, schema)
    }

    /// The predicate in terms of the file's columns, as far as the file's statistics decide it.
    fn conditions(&self, file: &LakeFile, opened: &Opened) -> Result<Prunable> {
        let Some(predicate) = &self.predicate else {
            return Ok(Prunable::Conditions(None));
        };
        let mapping = &opened.mapping;
        let schema = &mapping.file_schema;
        let replace = |column: &Column| -> Option<Arc<dyn PhysicalExpr>> {
            match mapping.sources.get(&column.index())? {
                ColumnSource::Constant(value) => Some(Arc::new(Literal::new(value.clone()))),
                ColumnSource::File(root, conversion) => {
                    let name = schema.field(*root).name();
                    let stored: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, *root));
                    match conversion {
                        Conversion::Same | Conversion::Float => Some(stored),
                        Conversion::Cast(to) => {
                            Some(Arc::new(CastExpr::new(stored, to.clone(), None)))
                        }
                        // Statistics of nested columns are not looked at.
                        _ => None,
                    }
                }
                ColumnSource::Row(_) | ColumnSource::Deleted(_) => None,
            }
        };
        let trust = |root: usize| self.trust(file, opened, root);
        Ok(prunable(predicate, schema, replace, trust)?)
    }

    /// What the statistics of one of the file's columns may be used for.
    fn trust(&self, file: &LakeFile, opened: &Opened, root: usize) -> Trust {
        let mapping = &opened.mapping;
        let Some(Some(physical)) = mapping.physical.get(root) else {
            return Trust::Nothing;
        };
        let name = mapping.file_schema.field(root).name();
        let fields = mapping.file_schema.fields();
        // Statistics are found by name.
        let ambiguous = fields.iter().filter(|field| field.name() == name).count() != 1;
        if ambiguous || !has_sound_statistics(&opened.footer, root, *physical) {
            return Trust::Nothing;
        }
        let table_column = mapping.sources.iter().find_map(|(position, source)| {
            matches!(source, ColumnSource::File(found, _) if *found == root).then_some(*position)
        });
        let is_float = mapping.file_schema.field(root).data_type().is_floating();
        match table_column.and_then(|position| self.shape.field_ids.get(position)) {
            Some(id) => file.trust(*id, is_float),
            None => Trust::Nothing,
        }
    }

    /// Leaves out pages; their index is only read when a condition can use it.
    async fn prune_pages(
        &self,
        plan: ParquetAccessPlan,
        conditions: &Arc<dyn PhysicalExpr>,
        opened: &mut Opened,
    ) -> Result<ParquetAccessPlan> {
        let schema = Arc::clone(&opened.mapping.file_schema);
        let pages = PagePruningAccessPlanFilter::new(conditions, Arc::clone(&schema));
        let has_index = collect_columns(conditions).iter().any(|column| {
            leaf_of(&opened.footer, column.index()).is_some_and(|leaf| {
                plan.row_group_index_iter().any(|group| {
                    opened
                        .footer
                        .row_group(group)
                        .column(leaf)
                        .column_index_offset()
                        .is_some()
                })
            })
        });
        if pages.filter_number() == 0 || !has_index {
            return Ok(plan);
        }
        let location = opened.reader.location().to_owned();
        let footer = Arc::clone(&opened.footer);
        let footers = &self.shape.footers;
        let footer = Footer {
            metadata: footer,
            file_bytes: opened.reader.size_bytes(),
        };
        let mut reader = opened.reader.clone().metered(&self.counters.page_indexes);
        opened.footer = footers
            .with_page_index(&location, footer, &mut reader)
            .await?;
        if opened.footer.column_index().is_none() {
            return Ok(plan);
        }
        Ok(pages.prune_plan_with_page_index(
            plan,
            &schema,
            opened.footer.file_metadata().schema_descr(),
            &opened.footer,
            &opened.metrics,
        ))
    }

    /// The file's place in the cache of columns, when there is one.
    fn columns_of(&self, location: &str) -> Option<FileColumns> {
        let cache = self.shape.decoded.as_ref();
        cache.map(|cache| FileColumns {
            cache: Arc::clone(cache),
            location: location.into(),
            asked: self.counters.columns.clone(),
            kept: self.counters.columns_cached.clone(),
        })
    }

    fn decode(
        &self,
        file: &LakeFile,
        opened: Opened,
        plan: ParquetAccessPlan,
        needed: &[usize],
        deletes: Deletes,
    ) -> Result<Batches> {
        let sources = || needed.iter().filter_map(|p| opened.mapping.sources.get(p));
        let mut options = options(&opened.mapping);
        let mut footer = Arc::clone(&opened.footer);
        let is_numbered = sources().any(ColumnSource::is_numbered);
        if is_numbered {
            options = options.with_virtual_columns(vec![row_numbers()])?;
            footer = numbered(&footer)?;
        }
        let metadata = ArrowReaderMetadata::try_new(footer, options)?;
        let mut roots: Vec<usize> = sources().filter_map(ColumnSource::root).collect();
        roots.sort_unstable();
        roots.dedup();
        let Deletes { mut live, keys } = deletes;
        // How many rows equality deletes leave is not known before they are read.
        let limit = self.limit.filter(|_| file.key_sets().is_empty());
        let limit = limit.map(|limit| {
            let live = live.as_ref();
            live.map_or(limit, |live| live.rows_for(limit))
        });
        let wanted = WantedRows {
            roots,
            row_groups: plan.row_group_indexes(),
            selection: plan.into_overall_row_selection(opened.footer.row_groups())?,
            limit,
            batch_size: self.batch_size,
        };
        self.counters.row_groups_read.add(wanted.row_groups.len());
        self.counters
            .rows_selected
            .add(wanted.row_count(&opened.footer));
        if let Some(selection) = &wanted.selection {
            let columns = ProjectionMask::roots(metadata.parquet_schema(), wanted.roots.clone());
            let counts = page_counts(&opened.footer, &wanted.row_groups, &columns, selection);
            let (pages, read) = counts.unwrap_or_default();
            self.counters.pages.add(pages);
            self.counters.pages_read.add(read);
        }
        let assembly = Assembly::new(
            &self.shape.columns.read,
            &self.projection,
            &opened.mapping,
            needed,
            &wanted.roots,
        )?;
        let assembly = assembly
            .with_row_filter(|schema| self.row_filter(schema))
            .with_live_condition(|schema| self.live_condition(needed, schema));
        let reader = opened.reader.metered(&self.counters.data);
        let location = file.data_file().file_path().to_owned();
        // Row numbers are no columns of the file.
        let columns = self.columns_of(&location).filter(|_| !is_numbered);
        let rows = file_rows(reader, metadata, wanted, columns)?;
        let rows = rows.map(move |batch| {
            let batch = batch.and_then(|batch| {
                let live = live.as_mut().map(|live| live.next_live(batch.num_rows()));
                Ok((batch, live.transpose()?.flatten()))
            });
            assembly.assemble(batch, &keys, &location)
        });
        Ok(Timed::new(rows, self.counters.time_decoding.clone()).boxed())
    }
}

fn options(mapping: &FileMapping) -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_schema(Arc::clone(&mapping.file_schema))
}

/// The only leaf of a top-level column; `None` for nested ones.
pub(super) fn leaf_of(footer: &ParquetMetaData, root: usize) -> Option<usize> {
    let schema = footer.file_metadata().schema_descr();
    let mut leaves =
        (0..schema.num_columns()).filter(|leaf| schema.get_column_root_idx(*leaf) == root);
    leaves.next().filter(|_| leaves.next().is_none())
}

/// Whether every row group says of a column what pruning takes for granted: a count of NULLs, which
/// the engine would read as none, and bounds in the column's own order.
fn has_sound_statistics(footer: &ParquetMetaData, root: usize, physical: PhysicalType) -> bool {
    let Some(leaf) = leaf_of(footer, root) else {
        return false;
    };
    if physical == PhysicalType::INT96 {
        return false;
    }
    footer.row_groups().iter().all(|group| {
        let Some(statistics) = group.column(leaf).statistics() else {
            return false;
        };
        // The bounds of old writers order bytes as signed numbers.
        let signed = statistics.is_min_max_deprecated()
            && matches!(
                physical,
                PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY
            );
        statistics.null_count_opt().is_some() && !signed
    })
}

/// Ends a file early when a dynamic filter has learned that the rest of it cannot matter.
struct StoppableBatches {
    batches: Batches,
    pruner: Option<FilePruner>,
    files_ranges: PruningMetrics,
    left_early: Count,
}

impl Stream for StoppableBatches {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(pruner) = &mut self.pruner else {
            return Poll::Ready(None);
        };
        match pruner.should_prune() {
            Ok(false) => {}
            Ok(true) => {
                self.left_early.add(1);
                self.files_ranges.add_pruned(1);
                self.files_ranges.subtract_matched(1);
                self.pruner = None;
                return Poll::Ready(None);
            }
            Err(error) => return Poll::Ready(Some(Err(error))),
        }
        let batch = ready!(self.batches.poll_next_unpin(cx));
        if batch.is_none() {
            self.pruner = None;
        }
        Poll::Ready(batch)
    }
}
