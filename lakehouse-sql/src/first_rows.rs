//! Sorts that keep the first rows only keep the right ones.
//!
//! Where the engine keeps the first rows only, it leaves out rows by a comparison with the last of
//! them. In keys that are lists, structs or maps, NULLs inside stand elsewhere there than in its
//! sorts: of such rows all are sorted. And it forgets keys that are constant in each partition,
//! though partitions share the comparison: such sorts get the keys back by which rows are merged.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

/// See the module documentation. Stands behind the rule that puts limits into sorts.
#[derive(Debug)]
pub(crate) struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let merged = plan.transform_up(|node| {
            let Some(merge) = node.as_any().downcast_ref::<SortPreservingMergeExec>() else {
                return Ok(Transformed::no(node));
            };
            let order = merge.expr().clone();
            node.map_children(|input| with_keys(input, &order, true))
        })?;
        let sorted = merged.data.transform_up(|node| {
            let sort = node.as_any().downcast_ref::<SortExec>();
            Ok(match sort.map(of_all_rows).transpose()?.flatten() {
                Some(limit) => Transformed::yes(limit),
                None => Transformed::no(node),
            })
        });
        sorted.data()
    }

    fn name(&self) -> &str {
        "lakehouse_first_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Rows that are merged in this order, none of which is left out by fewer keys.
fn with_keys(
    node: Arc<dyn ExecutionPlan>,
    order: &LexOrdering,
    is_merged: bool,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(sort) = node.as_any().downcast_ref::<SortExec>() else {
        // Between the two, columns may have other places.
        return match node.maintains_input_order().as_slice() {
            [true] => node.map_children(|input| with_keys(input, order, false)),
            _ => Ok(Transformed::no(node)),
        };
    };
    if sort.fetch().is_none() || sort.expr().len() >= order.len() {
        return Ok(Transformed::no(node));
    }
    let whole: Arc<dyn ExecutionPlan> = match is_merged {
        true => {
            let whole = SortExec::new(order.clone(), Arc::clone(sort.input()));
            let whole = whole.with_preserve_partitioning(sort.preserve_partitioning());
            Arc::new(whole.with_fetch(sort.fetch()))
        }
        false => limited(sort, sort.fetch().unwrap_or(usize::MAX)),
    };
    Ok(Transformed::yes(whole))
}

/// The first rows by a key that is a list, a struct or a map, found by sorting all.
fn of_all_rows(sort: &SortExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(fetch) = sort.fetch() else {
        return Ok(None);
    };
    let schema = sort.schema();
    for key in sort.expr() {
        if key.expr.data_type(&schema)?.is_nested() {
            return Ok(Some(limited(sort, fetch)));
        }
    }
    Ok(None)
}

/// All rows sorted, and the first of them.
fn limited(sort: &SortExec, fetch: usize) -> Arc<dyn ExecutionPlan> {
    let all = Arc::new(sort.with_fetch(None));
    Arc::new(LocalLimitExec::new(all, fetch))
}
