//! Statistics of sources that say nothing of NULLs, where the engine would count more of them than
//! rows.
//!
//! Of a limit the engine knows how many rows it gives, and takes the NULLs of all rows below for
//! theirs. Of a join it knows how many rows it may give, perhaps none, with the NULLs of both sides.
//! To estimate the next join it subtracts one from the other, which may be less than nothing.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::error::Result;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, ExecutionPlan, Partitioning};
use lakehouse_core::provider::UncountedNulls;

/// A planner that sees to it for the lake's tables: operators are estimated as soon as they are
/// made.
#[derive(Debug)]
pub(crate) struct NullCountsPlanner {
    planner: Arc<dyn QueryPlanner + Send + Sync>,
}

impl NullCountsPlanner {
    pub(crate) fn new(planner: Arc<dyn QueryPlanner + Send + Sync>) -> Self {
        Self { planner }
    }
}

#[async_trait]
impl QueryPlanner for NullCountsPlanner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &SessionState,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut joins, mut limits) = (0, 0);
        plan.apply(|node| {
            let (join, limit) = match node {
                LogicalPlan::Join(_) => (1, 0),
                LogicalPlan::Limit(_) => (0, 1),
                LogicalPlan::Sort(sort) => (0, usize::from(sort.fetch.is_some())),
                LogicalPlan::TableScan(scan) => (0, usize::from(scan.fetch.is_some())),
                _ => (0, 0),
            };
            joins += join;
            limits += limit;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if joins == 0 || joins + limits == 1 {
            return self.planner.create_physical_plan(plan, state).await;
        }
        let mut state = state.clone();
        state.config_mut().set_extension(Arc::new(UncountedNulls));
        self.planner.create_physical_plan(plan, &state).await
    }
}

/// A rule that sees to it for other sources. Stands before all rules that look at statistics.
#[derive(Debug)]
pub(crate) struct NullCounts;

impl PhysicalOptimizerRule for NullCounts {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        below(plan, Above::default())
    }

    fn name(&self) -> &str {
        "lakehouse_null_counts"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What stands above an operator, up to the next aggregate, of which no NULLs are known.
#[derive(Debug, Clone, Copy, Default)]
struct Above {
    has_limit: bool,
    joins: usize,
}

/// The operator and what is below it, without the counts that would be taken for others' rows.
fn below(mut node: Arc<dyn ExecutionPlan>, mut above: Above) -> Result<Arc<dyn ExecutionPlan>> {
    let operator = node.as_any();
    if operator.is::<AggregateExec>() {
        above = Above::default();
    }
    above.has_limit |= operator.is::<GlobalLimitExec>()
        || operator.is::<LocalLimitExec>()
        || node.fetch().is_some();
    above.joins += usize::from(node.children().len() > 1);
    if above.has_limit || above.joins > 1 {
        node = without_null_counts(node);
    }
    node.map_children(|child| below(child, above).map(Transformed::yes))
        .data()
}

/// A source whose columns may have any number of NULLs; other nodes as they are.
fn without_null_counts(node: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(scan) = node.as_any().downcast_ref::<DataSourceExec>() else {
        return node;
    };
    let source = scan.data_source();
    let Some(config) = source.as_any().downcast_ref::<FileScanConfig>() else {
        return DataSourceExec::from_data_source(UncountedSource(Arc::clone(source)));
    };
    let mut statistics = config.statistics();
    for column in &mut statistics.column_statistics {
        column.null_count = Precision::Absent;
    }
    let config = FileScanConfigBuilder::from(config.clone()).with_statistics(statistics);
    DataSourceExec::from_data_source(config.build())
}

/// A source, such as one of rows in memory, that counts no NULLs in its columns.
#[derive(Debug)]
struct UncountedSource(Arc<dyn DataSource>);

impl UncountedSource {
    fn around(source: Arc<dyn DataSource>) -> Arc<dyn DataSource> {
        Arc::new(Self(source))
    }
}

impl DataSource for UncountedSource {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        self.0.open(partition, context)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn fmt_as(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(t, f)
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        repartition_file_min_size: usize,
        output_ordering: Option<LexOrdering>,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let source = self.0.repartitioned(
            target_partitions,
            repartition_file_min_size,
            output_ordering,
        )?;
        Ok(source.map(Self::around))
    }

    fn output_partitioning(&self) -> Partitioning {
        self.0.output_partitioning()
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        self.0.eq_properties()
    }

    fn scheduling_type(&self) -> SchedulingType {
        self.0.scheduling_type()
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Statistics> {
        let mut statistics = self.0.partition_statistics(partition)?;
        for column in &mut statistics.column_statistics {
            column.null_count = Precision::Absent;
        }
        Ok(statistics)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        self.0.with_fetch(limit).map(Self::around)
    }

    fn fetch(&self) -> Option<usize> {
        self.0.fetch()
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let source = self.0.try_swapping_with_projection(projection)?;
        Ok(source.map(Self::around))
    }
}
