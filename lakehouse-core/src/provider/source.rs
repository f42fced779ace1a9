//! The engine's view of a scan's files: projections and filters in, openers out.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{PhysicalExpr, conjunction};
use datafusion::physical_expr_common::physical_expr::is_dynamic_physical_expr;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use object_store::ObjectStore;

use super::account::ScanAccount;
use super::deletes::ScanDeletes;
use super::equality_delete::DeletedKeys;
use super::field_mapping::TableColumns;
use super::opener::LakeOpener;
use super::scan_counters::ScanCounters;
use crate::error::Error;
use crate::scan::{ColumnCache, FooterCache};
use crate::storage::Storage;

/// What is the same for all files of a scan.
#[derive(Debug)]
pub(crate) struct ScanShape {
    /// Where the files are.
    pub(crate) storage: Storage,
    /// Footers that sessions share.
    pub(crate) footers: Arc<FooterCache>,
    /// Decoded columns that sessions share, where they are looked for.
    pub(crate) decoded: Option<Arc<ColumnCache>>,
    /// The positions deleted in the files.
    pub(crate) deletes: ScanDeletes,
    /// The table's columns; behind them those that only deletes look at.
    pub(crate) columns: TableColumns,
    /// The columns' field ids, in the same order.
    pub(crate) field_ids: Arc<[i32]>,
    /// What is scanned and what planning found.
    pub(crate) account: Arc<ScanAccount>,
    /// The equality deletes that files refer to by position.
    pub(crate) deleted_keys: Vec<DeletedKeys>,
}

impl ScanShape {
    /// A scan of these columns of files in `storage`, without equality deletes.
    pub(super) fn new(
        storage: Storage,
        footers: Arc<FooterCache>,
        deletes: ScanDeletes,
        columns: TableColumns,
        account: Arc<ScanAccount>,
    ) -> Self {
        let fields = columns.iceberg.as_struct().fields();
        Self {
            storage,
            footers,
            decoded: None,
            deletes,
            field_ids: fields.iter().map(|field| field.id).collect(),
            columns,
            account,
            deleted_keys: Vec::new(),
        }
    }

    /// The equality deletes at a position that one of the scan's files names.
    pub(super) fn deleted_keys(&self, set: usize) -> crate::error::Result<&DeletedKeys> {
        self.deleted_keys.get(set).ok_or_else(|| {
            Error::internal("a data file has equality deletes that its scan does not know")
        })
    }
}

/// Reads a table's data files inside the engine's own scan operator.
///
/// Filters are used to skip files, row groups and pages only; the operator above still filters.
#[derive(Debug, Clone)]
pub(crate) struct LakeSource {
    shape: Arc<ScanShape>,
    table_schema: TableSchema,
    projection: ProjectionExprs,
    predicate: Option<Arc<dyn PhysicalExpr>>,
    batch_size: Option<usize>,
    has_final_groups: bool,
    filters_rows: bool,
    metrics: ExecutionPlanMetricsSet,
}

impl LakeSource {
    /// A source of all columns and rows.
    pub(crate) fn new(shape: Arc<ScanShape>) -> Self {
        let schema = Arc::clone(&shape.columns.read);
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        Self {
            projection: ProjectionExprs::from_indices(&all, &schema),
            table_schema: TableSchema::new(schema, Vec::new()),
            shape,
            predicate: None,
            batch_size: None,
            has_final_groups: false,
            filters_rows: false,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl LakeSource {
    /// What is the same for all files.
    pub(super) fn shape(&self) -> &ScanShape {
        &self.shape
    }

    /// What files, row groups and pages are skipped by.
    pub(super) fn predicate(&self) -> Option<&Arc<dyn PhysicalExpr>> {
        self.predicate.as_ref()
    }

    /// Says whether the files are dealt out by row groups, so that no split by bytes makes it
    /// better.
    pub(crate) fn with_final_groups(mut self, is_final: bool) -> Self {
        self.has_final_groups = is_final;
        self
    }

    /// The same source, which leaves out rows by its dynamic filters; `None` when it has none.
    pub(super) fn filtering_rows(&self) -> Option<Self> {
        let is_dynamic = self
            .predicate
            .as_ref()
            .is_some_and(is_dynamic_physical_expr);
        is_dynamic.then(|| Self {
            filters_rows: true,
            ..self.clone()
        })
    }

    /// Skips by a condition that the engine does not push down, because it follows from another.
    pub(crate) fn with_derived_conditions(
        mut self,
        conditions: Option<Arc<dyn PhysicalExpr>>,
    ) -> Self {
        self.predicate = conditions;
        self
    }
}

impl FileSource for LakeSource {
    fn create_file_opener(
        &self,
        // Files are found by their own locations, whichever store the plan names.
        _object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        Ok(Arc::new(LakeOpener {
            shape: Arc::clone(&self.shape),
            partition,
            projection: self.projection.clone(),
            predicate: self.predicate.as_ref().map(Arc::clone),
            batch_size: self
                .batch_size
                .unwrap_or_else(|| ConfigOptions::default().execution.batch_size),
            limit: base_config.limit,
            row_filter: self.filters_rows.then(Arc::default),
            counters: ScanCounters::new(&self.metrics, partition),
            metrics: self.metrics.clone(),
        }))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        let mut source = self.clone();
        source.batch_size = Some(batch_size);
        Arc::new(source)
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.predicate.as_ref().map(Arc::clone)
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn supports_repartitioning(&self) -> bool {
        !self.has_final_groups
    }

    fn file_type(&self) -> &'static str {
        "iceberg"
    }

    fn fmt_extra(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match format {
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, ", {}", self.shape.account.label())?;
                if let Some(predicate) = &self.predicate {
                    write!(f, ", predicate={predicate}")?;
                }
                Ok(())
            }
            DisplayFormatType::TreeRender => {
                for part in self.shape.account.label().split(", ") {
                    writeln!(f, "{part}")?;
                }
                Ok(())
            }
        }
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let answers = vec![PushedDown::No; filters.len()];
        if filters.is_empty() {
            return Ok(FilterPushdownPropagation::with_parent_pushdown_result(
                answers,
            ));
        }
        let mut source = self.clone();
        source.predicate = Some(conjunction(
            self.predicate.iter().map(Arc::clone).chain(filters),
        ));
        let source: Arc<dyn FileSource> = Arc::new(source);
        Ok(
            FilterPushdownPropagation::with_parent_pushdown_result(answers)
                .with_updated_node(source),
        )
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let mut source = self.clone();
        source.projection = self.projection.try_merge(projection)?;
        Ok(Some(Arc::new(source)))
    }
}
