//! Statistics of scans below a `LIMIT`, which say nothing of NULLs.
//!
//! Of a limit the engine knows how many rows it gives, and takes the NULLs of all rows below for
//! theirs. To estimate a join it subtracts one from the other, which is less than nothing where a
//! column has more NULLs than the limit has rows.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};

/// See the module documentation. Stands before all rules that look at statistics.
#[derive(Debug)]
pub(crate) struct LimitedStatistics;

impl PhysicalOptimizerRule for LimitedStatistics {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_down(|node| {
            let operator = node.as_any();
            let is_limit = operator.is::<GlobalLimitExec>()
                || operator.is::<LocalLimitExec>()
                || node.fetch().is_some();
            if !is_limit {
                return Ok(Transformed::no(node));
            }
            let below = node.transform_down(|node| Ok(without_null_counts(node)))?;
            Ok(Transformed::new(
                below.data,
                below.transformed,
                TreeNodeRecursion::Jump,
            ))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_limited_statistics"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// A scan of files whose columns may have any number of NULLs; other nodes as they are.
fn without_null_counts(node: Arc<dyn ExecutionPlan>) -> Transformed<Arc<dyn ExecutionPlan>> {
    let scan = node.as_any().downcast_ref::<DataSourceExec>();
    let Some(config) =
        scan.and_then(|scan| scan.data_source().as_any().downcast_ref::<FileScanConfig>())
    else {
        return Transformed::no(node);
    };
    let mut statistics = config.statistics();
    for column in &mut statistics.column_statistics {
        column.null_count = Precision::Absent;
    }
    let config = FileScanConfigBuilder::from(config.clone()).with_statistics(statistics);
    Transformed::yes(DataSourceExec::from_data_source(config.build()))
}
