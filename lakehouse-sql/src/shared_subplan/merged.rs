//! One subplan with the columns of two that differ in nothing else.
//!
//! The optimizer leaves each reference of a common table expression the columns it needs. Columns
//! decide about no row in the nodes that are known here, so one node with the columns of both has
//! the rows of both.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, Limit, LogicalPlan, Projection, Sort, SubqueryAlias, TableScan,
};

use super::twins::is_same_table;

/// The subplan with the columns of both, by their names; `None` when rows differ, or may.
pub(super) fn merged(one: &LogicalPlan, other: &LogicalPlan) -> Option<LogicalPlan> {
    use LogicalPlan as Plan;
    match (one, other) {
        (Plan::Aggregate(one), Plan::Aggregate(other)) => aggregates(one, other),
        (Plan::Projection(one), Plan::Projection(other)) => {
            let input = inputs(&one.input, &other.input)?;
            let expressions = both(&one.expr, &other.expr);
            let projection = Projection::try_new(expressions, input);
            projection.ok().map(Plan::Projection)
        }
        (Plan::SubqueryAlias(one), Plan::SubqueryAlias(other)) if one.alias == other.alias => {
            let input = inputs(&one.input, &other.input)?;
            let alias = SubqueryAlias::try_new(input, one.alias.clone());
            alias.ok().map(Plan::SubqueryAlias)
        }
        (Plan::Filter(one), Plan::Filter(other)) if one.predicate == other.predicate => {
            let input = inputs(&one.input, &other.input)?;
            let filter = Filter::try_new(one.predicate.clone(), input);
            filter.ok().map(Plan::Filter)
        }
        (Plan::Join(one), Plan::Join(other)) => joins(one, other),
        (Plan::Limit(one), Plan::Limit(other)) => {
            let is_same = one.skip == other.skip && one.fetch == other.fetch;
            is_same.then_some(())?;
            Some(Plan::Limit(Limit {
                skip: one.skip.clone(),
                fetch: one.fetch.clone(),
                input: inputs(&one.input, &other.input)?,
            }))
        }
        (Plan::Sort(one), Plan::Sort(other)) => {
            let is_same = one.expr == other.expr && one.fetch == other.fetch;
            is_same.then_some(())?;
            Some(Plan::Sort(Sort {
                expr: one.expr.clone(),
                fetch: one.fetch,
                input: inputs(&one.input, &other.input)?,
            }))
        }
        (Plan::TableScan(one), Plan::TableScan(other)) => scans(one, other),
        _ => None,
    }
}

/// The columns of `twin` out of `shared`, which has them among others under the same names.
///
/// # Errors
/// When it has not, which merging excludes.
pub(super) fn columns_of(twin: &LogicalPlan, shared: LogicalPlan) -> Result<LogicalPlan> {
    if twin.schema() == shared.schema() {
        return Ok(shared);
    }
    let columns = twin.schema().columns().into_iter().map(Expr::Column);
    let projection = Projection::try_new(columns.collect(), Arc::new(shared))?;
    Ok(LogicalPlan::Projection(projection))
}

fn inputs(one: &LogicalPlan, other: &LogicalPlan) -> Option<Arc<LogicalPlan>> {
    merged(one, other).map(Arc::new)
}

fn aggregates(one: &Aggregate, other: &Aggregate) -> Option<LogicalPlan> {
    let is_same = one.group_expr == other.group_expr && may_be_known(one) == may_be_known(other);
    is_same.then_some(())?;
    let input = inputs(&one.input, &other.input)?;
    let values = both(&one.aggr_expr, &other.aggr_expr);
    let aggregate = Aggregate::try_new(input, one.group_expr.clone(), values);
    aggregate.ok().map(LogicalPlan::Aggregate)
}

/// Whether the table's statistics may tell the values. Together with one that has to be computed,
/// they would be computed too.
fn may_be_known(aggregate: &Aggregate) -> bool {
    let is_known = |value: &Expr| match value.clone().unalias() {
        Expr::AggregateFunction(call) => ["count", "min", "max"].contains(&call.func.name()),
        _ => false,
    };
    aggregate.group_expr.is_empty() && aggregate.aggr_expr.iter().all(is_known)
}

fn joins(one: &Join, other: &Join) -> Option<LogicalPlan> {
    let is_same = one.on == other.on
        && one.filter == other.filter
        && one.join_type == other.join_type
        && one.join_constraint == other.join_constraint
        && one.null_equality == other.null_equality
        && one.null_aware == other.null_aware;
    is_same.then_some(())?;
    let join = Join::try_new(
        inputs(&one.left, &other.left)?,
        inputs(&one.right, &other.right)?,
        one.on.clone(),
        one.filter.clone(),
        one.join_type,
        one.join_constraint,
        one.null_equality,
        one.null_aware,
    );
    join.ok().map(LogicalPlan::Join)
}

fn scans(one: &TableScan, other: &TableScan) -> Option<LogicalPlan> {
    let is_same = one.table_name == other.table_name
        && is_same_table(&one.source, &other.source)
        && one.filters == other.filters
        && one.fetch == other.fetch;
    is_same.then_some(())?;
    let projection = match (&one.projection, &other.projection) {
        (Some(one), Some(other)) => {
            let mut columns: Vec<usize> = one.iter().chain(other).copied().collect();
            columns.sort_unstable();
            columns.dedup();
            Some(columns)
        }
        (None, None) => None,
        _ => return None,
    };
    let scan = TableScan::try_new(
        one.table_name.clone(),
        Arc::clone(&one.source),
        projection,
        one.filters.clone(),
        one.fetch,
    );
    scan.ok().map(LogicalPlan::TableScan)
}

/// The expressions of both, each once.
fn both(one: &[Expr], other: &[Expr]) -> Vec<Expr> {
    let more = other.iter().filter(|expression| !one.contains(expression));
    one.iter().chain(more).cloned().collect()
}
