//! Dynamic filters applied to rows: where rows that cannot matter would cost much further up.
//!
//! A join tells the scans below it which keys it holds. Between the two an aggregate may stand,
//! which would group rows that no join partner ever asks for; there the scan itself leaves them
//! out. Right below a join it does not: the join looks each key up once anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::{RecordBatch, cast::AsArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::{
    is_dynamic_physical_expr, snapshot_generation,
};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;

use super::source::LakeSource;

/// Rows that are filtered before it is judged whether that pays.
const TRIAL_ROWS: usize = 64 * 1024;

/// Filtering goes on while it leaves at most one row of so many.
const KEPT_ONE_OF: usize = 4;

/// What the files of one partition found out about a filter.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// The state of the filter that the counts are about.
    generation: AtomicU64,
    seen: AtomicUsize,
    kept: AtomicUsize,
}

impl Trial {
    /// Whether the filter, in the state of `generation`, is worth being applied.
    fn pays(&self, generation: u64) -> bool {
        // Partitions have trials of their own: nobody else counts meanwhile.
        if self.generation.swap(generation, Ordering::Relaxed) != generation {
            self.seen.store(0, Ordering::Relaxed);
            self.kept.store(0, Ordering::Relaxed);
        }
        let seen = self.seen.load(Ordering::Relaxed);
        let kept = self.kept.load(Ordering::Relaxed);
        seen < TRIAL_ROWS || kept.saturating_mul(KEPT_ONE_OF) <= seen
    }

    fn count(&self, seen: usize, kept: usize) {
        self.seen.fetch_add(seen, Ordering::Relaxed);
        self.kept.fetch_add(kept, Ordering::Relaxed);
    }
}

/// The dynamic filters of a scan, for the rows of one file.
#[derive(Debug)]
pub(super) struct RowFilter {
    condition: Arc<dyn PhysicalExpr>,
    trial: Arc<Trial>,
}

impl RowFilter {
    /// The dynamic parts of `predicate` that are about columns of `schema`; `None` when there are
    /// none.
    pub(super) fn new(
        predicate: &Arc<dyn PhysicalExpr>,
        schema: &SchemaRef,
        trial: Arc<Trial>,
    ) -> Option<Self> {
        let parts = split_conjunction(predicate).into_iter();
        let dynamic = parts.filter(|part| is_dynamic_physical_expr(part));
        let known: Vec<_> = dynamic
            .filter_map(|part| reassign_expr_columns(Arc::clone(part), schema).ok())
            .collect();
        (!known.is_empty()).then(|| Self {
            condition: conjunction(known),
            trial,
        })
    }

    /// The rows of `batch` that may matter, or all of them while filtering does not pay.
    pub(super) fn filter(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let generation = snapshot_generation(&self.condition);
        if rows == 0 || !self.trial.pays(generation) {
            return Ok(batch);
        }
        let keep = self.condition.evaluate(&batch)?.into_array(rows)?;
        let Some(keep) = keep.as_boolean_opt() else {
            return Ok(batch);
        };
        let kept = keep.true_count();
        self.trial.count(rows, kept);
        if kept == rows {
            return Ok(batch);
        }
        // What is unknown is left out, as by the engine's own filters.
        Ok(filter_record_batch(&batch, keep)?)
    }
}

/// Lets scans below aggregates apply dynamic filters to rows.
///
/// Belongs behind the engine's last pushdown of filters. Without it scans answer the same and only
/// skip files, row groups and pages by them.
#[derive(Debug)]
pub struct RowFilterRule;

impl PhysicalOptimizerRule for RowFilterRule {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            if !node.as_any().is::<AggregateExec>() {
                return Ok(Transformed::no(node));
            }
            let input = node.children().first().map(|input| filtering(input));
            match input.transpose()?.flatten() {
                Some(input) => Ok(Transformed::yes(node.with_new_children(vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_row_filter"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `plan` with a scan that filters rows; `None` when its rows do not come from a scan with dynamic
/// filters, one to one.
fn filtering(plan: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let node = plan.as_any();
    if let Some(scan) = node.downcast_ref::<DataSourceExec>() {
        return Ok(filtering_scan(scan));
    }
    let hands_on = node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<CooperativeExec>();
    let children = plan.children();
    match children.as_slice() {
        [input] if hands_on => match filtering(input)? {
            Some(input) => Arc::clone(plan).with_new_children(vec![input]).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

fn filtering_scan(scan: &DataSourceExec) -> Option<Arc<dyn ExecutionPlan>> {
    let config = scan
        .data_source()
        .as_any()
        .downcast_ref::<FileScanConfig>()?;
    let source = config.file_source().as_any().downcast_ref::<LakeSource>()?;
    let source = source.filtering_rows()?;
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source));
    Some(DataSourceExec::from_data_source(config.build()))
}
