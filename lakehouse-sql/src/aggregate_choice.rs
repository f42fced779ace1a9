//! Groups that may not fit the memory budget: sorted and counted one after the other.
//!
//! The engine's hash aggregate spills its groups and merges them again, but in pieces that follow
//! from what it held: where groups are wide or their states large, the merge needs more than the
//! share of the budget that made it spill. Of sorted rows it holds one group at a time. What is
//! sorted are the groups of parts of the rows, which are few where there are few groups at all.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use crate::mergeable_key::is_mergeable;

/// What a group takes in a hash table beside its values, in bytes.
const GROUP_BYTES: usize = 64;
/// What a value without a fixed width is taken for, in bytes: rather too much.
const VALUE_BYTES: usize = 1024;
/// Groups that take less of the budget than this part are hashed.
const PARTS_PER_BUDGET: u64 = 32;

/// Sorts the rows of aggregates whose groups may not fit a memory budget.
#[derive(Debug)]
pub(crate) struct AggregateChoice {
    hashed_bytes_max: usize,
}

impl AggregateChoice {
    /// The rule for queries that may hold so many bytes in memory.
    pub(crate) fn new(budget_bytes: u64) -> Self {
        let hashed_bytes_max = usize::try_from(budget_bytes / PARTS_PER_BUDGET);
        Self {
            hashed_bytes_max: hashed_bytes_max.unwrap_or(usize::MAX),
        }
    }
}

impl PhysicalOptimizerRule for AggregateChoice {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let aggregate = node.as_any().downcast_ref::<AggregateExec>();
            let sorted = match aggregate {
                Some(aggregate) if may_be_beyond(aggregate, self.hashed_bytes_max) => {
                    sorted(aggregate)?
                }
                _ => None,
            };
            Ok(sorted.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &str {
        "lakehouse_aggregate_choice"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether groups may take more than so many bytes, as far as statistics tell.
fn may_be_beyond(aggregate: &AggregateExec, bytes_max: usize) -> bool {
    let statistics = aggregate.partition_statistics(None).ok();
    let groups = statistics.and_then(|known| known.num_rows.get_value().copied());
    let schema = aggregate.schema();
    let widths = schema.fields().iter().map(|field| {
        let width = field.data_type().primitive_width();
        width.unwrap_or(VALUE_BYTES)
    });
    let group_bytes = GROUP_BYTES + widths.sum::<usize>();
    groups.is_none_or(|groups| groups.saturating_mul(group_bytes) > bytes_max)
}

/// The same groups of sorted rows; `None` where sorting does not bring equal keys together, or the
/// aggregate ends early or is of sorted rows already.
fn sorted(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let keys = aggregate.group_expr();
    let key_types = keys.group_schema(&aggregate.input().schema())?;
    let are_mergeable = key_types
        .fields()
        .iter()
        .all(|key| is_mergeable(key.data_type()));
    let is_hashed = *aggregate.input_order_mode() == InputOrderMode::Linear;
    if !are_mergeable || !is_hashed || aggregate.limit_options().is_some() {
        return Ok(None);
    }
    let (mode, groups, keys) = match aggregate.mode() {
        mode @ (AggregateMode::Final | AggregateMode::FinalPartitioned) => {
            (*mode, Arc::clone(aggregate.input()), keys.clone())
        }
        mode @ (AggregateMode::Single | AggregateMode::SinglePartitioned) => {
            let has_order = |call: &Arc<AggregateFunctionExpr>| !call.order_bys().is_empty();
            if keys.has_grouping_set() || aggregate.aggr_expr().iter().any(has_order) {
                return Ok(None);
            }
            let last = match mode {
                AggregateMode::Single => AggregateMode::Final,
                _ => AggregateMode::FinalPartitioned,
            };
            (last, first_stage(aggregate)?, keys.as_final())
        }
        _ => return Ok(None),
    };
    let order = keys.input_exprs().into_iter();
    let Some(order) = LexOrdering::new(order.map(PhysicalSortExpr::new_default)) else {
        return Ok(None);
    };
    let rows = SortExec::new(order, groups).with_preserve_partitioning(true);
    let sorted = AggregateExec::try_new(
        mode,
        keys,
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        Arc::new(rows),
        aggregate.input_schema(),
    )?;
    let is_same = sorted.schema() == aggregate.schema()
        && *sorted.input_order_mode() == InputOrderMode::Sorted;
    Ok(is_same.then(|| Arc::new(sorted) as Arc<dyn ExecutionPlan>))
}

/// The groups of as many rows at a time as memory holds, for an aggregate in one stage.
fn first_stage(aggregate: &AggregateExec) -> Result<Arc<dyn ExecutionPlan>> {
    let first = AggregateExec::try_new(
        AggregateMode::Partial,
        aggregate.group_expr().clone(),
        aggregate.aggr_expr().to_vec(),
        aggregate.filter_expr().to_vec(),
        Arc::clone(aggregate.input()),
        aggregate.input_schema(),
    )?;
    Ok(Arc::new(first))
}
