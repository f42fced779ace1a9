//! DELETE: what can be decided by files is, before any row is read.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNodeCore};
use lakehouse_core::error::Result;
use lakehouse_core::provider::{LakeTable, RowChange, RowChangeNode};

/// The plan, or the plan below an explanation, with files left out of its scan whose rows all go.
pub(super) async fn leave_out_whole_files(logical: LogicalPlan) -> Result<LogicalPlan> {
    match logical {
        LogicalPlan::Explain(mut explain) => {
            explain.plan = Arc::new(of_change(Arc::unwrap_or_clone(explain.plan)).await?);
            Ok(LogicalPlan::Explain(explain))
        }
        LogicalPlan::Analyze(mut analyze) => {
            analyze.input = Arc::new(of_change(Arc::unwrap_or_clone(analyze.input)).await?);
            Ok(LogicalPlan::Analyze(analyze))
        }
        other => of_change(other).await,
    }
}

async fn of_change(logical: LogicalPlan) -> Result<LogicalPlan> {
    let Some(node) = super::row_change(&logical) else {
        return Ok(logical);
    };
    if node.change().delete_filter.is_none() {
        return Ok(logical);
    }
    let mut change = RowChange::clone(node.change());
    let whole = change.take_whole_files().await?;
    let input = node.inputs().into_iter().next().cloned();
    let Some(input) = input.filter(|_| !whole.is_empty()) else {
        return Ok(logical);
    };
    let input = input.transform_up(|node| without_files(node, &change, &whole))?;
    Ok(RowChangeNode::try_new(change, input.data)?.into_plan())
}

/// The scan of the target without these files. A condition that is decided by files has no queries
/// inside, so the target is read in one place.
fn without_files(
    node: LogicalPlan,
    change: &RowChange,
    files: &Arc<HashSet<String>>,
) -> datafusion::error::Result<Transformed<LogicalPlan>> {
    let LogicalPlan::TableScan(mut scan) = node else {
        return Ok(Transformed::no(node));
    };
    let provider = source_as_provider(&scan.source)?;
    let table = provider.as_any().downcast_ref::<LakeTable>();
    let Some(table) = table.filter(|table| table.table().ident() == change.target.table.ident())
    else {
        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
    };
    let table = table.clone().without_files(Arc::clone(files));
    scan.source = provider_as_source(Arc::new(table));
    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
}
