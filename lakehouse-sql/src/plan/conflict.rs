//! What a change of rows says about the rows it looks at, as the table format compares it.
//!
//! Files that others write meanwhile conflict with the change only where they may hold such rows.

use std::collections::HashSet;

use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::Column;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Filter, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::prelude::Expr;
use lakehouse_core::commit::Isolation;
use lakehouse_core::error::{Error, ErrorKind, Result};
use lakehouse_core::provider::{LakeTable, exact_predicate, filter_predicate};
use lakehouse_core::scan::Predicate;
use lakehouse_core::table::{MAIN_BRANCH, Table, Version};

use super::change::Found;

/// Conditions that are true of every row that a change looks at.
pub(super) struct Condition(Vec<Expr>);

impl Condition {
    /// Every row is looked at.
    pub(super) fn all() -> Self {
        Self(Vec::new())
    }

    /// What a `WHERE` says.
    pub(super) fn of_filter(input: &LogicalPlan) -> Self {
        Self(match input {
            LogicalPlan::Filter(filter) => split_conjunction_owned(filter.predicate.clone()),
            _ => Vec::new(),
        })
    }

    /// Whether there is a `WHERE`, or surely none: a plan of another form says neither.
    pub(super) fn is_known(input: &LogicalPlan) -> bool {
        matches!(
            input,
            LogicalPlan::Filter(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Projection(_)
        )
    }

    /// What an `ON` says.
    pub(super) fn of_join(input: &LogicalPlan) -> Self {
        Self(match input {
            LogicalPlan::Join(join) => join
                .filter
                .iter()
                .flat_map(|filter| split_conjunction_owned(filter.clone()))
                .collect(),
            _ => Vec::new(),
        })
    }

    /// The conditions about the target alone, which need nothing else to be known; and whether these
    /// are all.
    fn about_target(&self, target: &HashSet<Column>) -> (Vec<Expr>, bool) {
        let is_about = |expr: &&Expr| {
            let columns = expr.column_refs();
            let is_known = !expr.is_volatile() && !has_subquery(expr);
            is_known && columns.iter().all(|column| target.contains(*column))
        };
        let about: Vec<Expr> = self.0.iter().filter(is_about).cloned().collect();
        let are_all = about.len() == self.0.len();
        (about, are_all)
    }
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
        ))
    })
    .unwrap_or(true)
}

/// What is known of the rows that a change looks at.
pub(super) struct Filters {
    /// Holds for every one of them, and may hold for more: by it conflicts are found.
    pub(super) conflict: Predicate,
    /// Holds for them alone, where that can be said.
    pub(super) exact: Option<Predicate>,
}

/// What a statement's condition says about its target.
pub(super) fn filters(
    condition: &Condition,
    found: &Found,
    table: &Table,
    state: &SessionState,
) -> Result<Filters> {
    let target: HashSet<Column> = found.target().into_iter().collect();
    let (about_target, are_all) = condition.about_target(&target);
    let filter = conjunction(about_target);
    let (Some(filter), Some(scan)) = (filter, leftmost(&found.input)) else {
        return Ok(Filters {
            conflict: Predicate::AlwaysTrue,
            exact: condition.0.is_empty().then_some(Predicate::AlwaysTrue),
        });
    };
    // The conditions as the engine would give them to a scan: with types made equal, simplified.
    let plan = LogicalPlanBuilder::from(scan).filter(filter)?.build()?;
    let plan = state.optimize(&plan)?;
    let mut filters = Vec::new();
    let (mut is_empty, mut is_known) = (true, true);
    plan.apply(|node| {
        match node {
            LogicalPlan::TableScan(scan) => {
                is_empty = false;
                is_known &= scan.fetch.is_none();
                filters.extend(scan.filters.iter().cloned());
            }
            LogicalPlan::Filter(Filter { predicate, .. }) => {
                filters.extend(split_conjunction_owned(predicate.clone()));
            }
            LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_) => {}
            _ => is_known = false,
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if is_empty {
        return Ok(Filters {
            conflict: Predicate::AlwaysFalse,
            exact: None,
        });
    }
    let exact = match are_all && is_known {
        true => exact_predicate(&filters, table),
        false => None,
    };
    Ok(Filters {
        conflict: filter_predicate(&filters, table),
        exact,
    })
}

/// What is true of every row that a plan reads of `target`, as it is written to, when it scans it
/// more than `own` times.
///
/// # Errors
/// [`ErrorKind::Conflict`] when a scan stands on another snapshot than the target, and `level` is
/// serializable: what was committed between the two is not among what others do meanwhile.
pub(super) fn read_again(
    rows: &LogicalPlan,
    own: usize,
    target: &Table,
    level: Isolation,
    state: &SessionState,
) -> Result<Option<Predicate>> {
    if scans(rows, target)?.len() <= own {
        return Ok(None);
    }
    if level == Isolation::Serializable {
        refuse_older(rows, target)?;
    }
    // What the engine gives a scan to sort out early holds for all that is read of it.
    let mut read: Vec<Predicate> = Vec::new();
    for filters in scans(&state.optimize(rows)?, target)? {
        let filter = filter_predicate(&filters, target);
        if filter == Predicate::AlwaysTrue {
            return Ok(Some(filter));
        }
        read.push(filter);
    }
    Ok(Some(match read.len() {
        0 => Predicate::AlwaysFalse,
        1 => read.swap_remove(0),
        _ => Predicate::Or(read),
    }))
}

/// The filters of each scan of a table at the same changing version.
fn scans(plan: &LogicalPlan, target: &Table) -> Result<Vec<Vec<Expr>>> {
    let mut found = Vec::new();
    each_scan(plan, target, |scan, _| {
        found.push(scan.filters.clone());
        Ok(())
    })?;
    Ok(found)
}

/// Rows that were read before, as a frame of a program may hold them, belong to another state.
fn refuse_older(plan: &LogicalPlan, target: &Table) -> Result<()> {
    each_scan(plan, target, |_, table| {
        if table.snapshot_id() == target.snapshot_id() {
            return Ok(());
        }
        let text = |table: &Table| {
            let id = table.snapshot_id();
            id.map_or_else(|| "no snapshot".to_owned(), |id| format!("snapshot {id}"))
        };
        Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the change computes rows from its own table at {}, and changes it at {} \
                 (serializable isolation); read it again, or read a version of it by its snapshot",
                text(table),
                text(target)
            ),
        )
        .with_context("table", target.ident()))
    })
}

/// Each scan of a table at the same changing version.
fn each_scan(
    plan: &LogicalPlan,
    target: &Table,
    mut look: impl FnMut(&TableScan, &Table) -> Result<()>,
) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = provider.as_any().downcast_ref::<LakeTable>()
            && is_same(table.table(), target)
        {
            look(scan, table.table())?;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Whether two views are of one table and of one branch of it. Other versions stay as they are,
/// whoever commits.
fn is_same(one: &Table, other: &Table) -> bool {
    let branch = |table: &Table| match table.version() {
        None => Some(MAIN_BRANCH.to_owned()),
        Some(Version::Branch(name) | Version::Reference(name)) => Some(name.to_lowercase()),
        Some(Version::Snapshot(_) | Version::Timestamp(_) | Version::Tag(_)) => None,
    };
    one.metadata().uuid() == other.metadata().uuid()
        && branch(one).is_some_and(|name| branch(other) == Some(name))
}

/// The target: what stands furthest to the left.
fn leftmost(plan: &LogicalPlan) -> Option<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) => Some(plan.clone()),
        LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::Projection(_) => {
            plan.inputs().first().and_then(|input| leftmost(input))
        }
        _ => None,
    }
}
