//! Subplans of an optimised logical plan that are the same and give the same rows.

use std::sync::Arc;
use std::vec::IntoIter;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, TableSource, Volatility};

use super::generated_name::renumbered;
use super::merged::{columns_of, merged};
use super::node::SharedNode;

/// The most subplans of one statement that others are compared with.
const KINDS_MAX: usize = 200;

/// The plan with all twins marked; `None` when it has none.
pub(super) fn mark(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    if count_ends(plan, 0) < 2 {
        return Ok(None);
    }
    let mut search = Search::default();
    search.visit(plan, false)?;
    if search.kinds.iter().all(|kind| kind.count < 2) {
        return Ok(None);
    }
    let mut marks = Marks {
        ends: search.ends.into_iter(),
        kinds: search.kinds,
    };
    marks.visit(plan.clone()).data().map(Some)
}

/// Whether a subplan that ends here may be shared: what it gives is small beside what it reads, or
/// is a choice of rows that should be the same wherever it is looked at.
fn is_end(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(_) => true,
        LogicalPlan::Limit(limit) => limit.fetch.is_some(),
        LogicalPlan::Sort(sort) => sort.fetch.is_some(),
        _ => false,
    }
}

/// How many subplans end where they may be shared, up to two: most plans are done with here.
fn count_ends(plan: &LogicalPlan, before: usize) -> usize {
    let here = before + usize::from(is_end(plan));
    plan.inputs().into_iter().fold(here, |count, input| {
        if count < 2 {
            count_ends(input, count)
        } else {
            count
        }
    })
}

/// What a subplan that may end shared is found to be.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Not to be shared, whatever else there is.
    Alone,
    /// The first of its kind, by number.
    First(usize),
    /// One more of a kind.
    Again(usize),
}

/// Subplans that are the same, but for their columns.
struct Kind<'a> {
    first: &'a LogicalPlan,
    /// The first with names that tell nothing.
    renumbered: LogicalPlan,
    /// In the order of the plan's scans, which plans are not compared by.
    sources: Vec<&'a Arc<dyn TableSource>>,
    count: usize,
    /// Whether another has other names, so that its columns are not found by name.
    has_other_names: bool,
    /// With the columns of all, when they differ.
    merged: Option<LogicalPlan>,
}

impl<'a> Kind<'a> {
    /// Takes in `plan` if it is of this kind and has the same columns.
    fn takes_equal(
        &mut self,
        plan: &LogicalPlan,
        renumbered: &LogicalPlan,
        sources: &[&Arc<dyn TableSource>],
    ) -> bool {
        let is_equal = self.merged.is_none()
            && are_same_tables(&self.sources, sources)
            && self.renumbered == *renumbered;
        if is_equal {
            self.count += 1;
            self.has_other_names |= self.first != plan;
        }
        is_equal
    }

    /// Takes in `plan` if it is of this kind and has some columns of its own.
    fn takes_other_columns(&mut self, plan: &LogicalPlan) -> bool {
        if self.has_other_names {
            return false;
        }
        let merged = merged(self.merged.as_ref().unwrap_or(self.first), plan);
        let is_merged = merged.is_some();
        if is_merged {
            self.count += 1;
            self.merged = merged;
        }
        is_merged
    }
}

/// Sorts a plan's subplans by kind, from the top down.
#[derive(Default)]
struct Search<'a> {
    kinds: Vec<Kind<'a>>,
    /// Of each subplan that may end shared, in the order of the walk.
    ends: Vec<End>,
}

impl<'a> Search<'a> {
    /// `is_limited`: a limit above may stop the subplan before its end.
    fn visit(&mut self, plan: &'a LogicalPlan, is_limited: bool) -> Result<()> {
        if is_end(plan) {
            let end = self.end(plan, is_limited)?;
            self.ends.push(end);
            if matches!(end, End::Again(_)) {
                return Ok(());
            }
        }
        for input in shareable_inputs(plan) {
            self.visit(input, limits(plan, is_limited))?;
        }
        Ok(())
    }

    fn end(&mut self, plan: &'a LogicalPlan, is_limited: bool) -> Result<End> {
        // DISTINCT … LIMIT ends with the last row it needs; shared it would read everything.
        let is_stopped = match plan {
            LogicalPlan::Aggregate(aggregate) => is_limited && aggregate.aggr_expr.is_empty(),
            _ => false,
        };
        if is_stopped {
            return Ok(End::Alone);
        }
        let Some(sources) = steady_sources(plan)? else {
            return Ok(End::Alone);
        };
        let renumbered = renumbered(plan)?;
        let mut kinds = self.kinds.iter_mut();
        if let Some(number) = kinds.position(|kind| kind.takes_equal(plan, &renumbered, &sources)) {
            return Ok(End::Again(number));
        }
        let mut kinds = self.kinds.iter_mut();
        if let Some(number) = kinds.position(|kind| kind.takes_other_columns(plan)) {
            return Ok(End::Again(number));
        }
        if self.kinds.len() == KINDS_MAX {
            return Ok(End::Alone);
        }
        self.kinds.push(Kind {
            first: plan,
            renumbered,
            sources,
            count: 1,
            has_other_names: false,
            merged: None,
        });
        Ok(End::First(self.kinds.len() - 1))
    }
}

/// The inputs in which twins are looked for. A recursive query runs its parts again and again, and
/// what they read changes in between.
fn shareable_inputs(plan: &LogicalPlan) -> Vec<&LogicalPlan> {
    match plan {
        LogicalPlan::RecursiveQuery(_) => Vec::new(),
        _ => plan.inputs(),
    }
}

/// Whether a limit may stop the inputs of `plan` before their end.
fn limits(plan: &LogicalPlan, is_limited: bool) -> bool {
    match plan {
        LogicalPlan::Limit(_) => true,
        LogicalPlan::Sort(_) | LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => false,
        _ => is_limited,
    }
}

fn are_same_tables(one: &[&Arc<dyn TableSource>], other: &[&Arc<dyn TableSource>]) -> bool {
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| is_same_table(one, other))
}

/// Whether two sources are one provider, which for a table of a lake is one snapshot of it.
pub(super) fn is_same_table(one: &Arc<dyn TableSource>, other: &Arc<dyn TableSource>) -> bool {
    if Arc::ptr_eq(one, other) {
        return true;
    }
    match (source_as_provider(one), source_as_provider(other)) {
        (Ok(one), Ok(other)) => Arc::ptr_eq(&one, &other),
        _ => false,
    }
}

/// The tables of a subplan that answers the same whenever it is run within a statement; `None` for
/// one that may not, or that reads nothing.
fn steady_sources(plan: &LogicalPlan) -> Result<Option<Vec<&Arc<dyn TableSource>>>> {
    let mut sources = Vec::new();
    let mut is_steady = true;
    plan.apply(|node| {
        is_steady = match node {
            LogicalPlan::TableScan(scan) => {
                sources.push(&scan.source);
                true
            }
            LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Window(_)
            | LogicalPlan::Aggregate(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Join(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Unnest(_) => true,
            // What is not known is not shared.
            _ => false,
        };
        node.apply_expressions(|expression| {
            is_steady &= !expression.exists(|part| Ok(!is_steady_part(part)))?;
            Ok(match is_steady {
                true => TreeNodeRecursion::Continue,
                false => TreeNodeRecursion::Stop,
            })
        })?;
        Ok(match is_steady {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    })?;
    Ok((is_steady && !sources.is_empty()).then_some(sources))
}

/// Whether a part of an expression, apart from its arguments, has one value for one row.
fn is_steady_part(part: &Expr) -> bool {
    let volatility = match part {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => call.fun.signature().volatility,
        Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_)
        | Expr::ScalarSubquery(_)
        | Expr::OuterReferenceColumn(..)
        | Expr::ScalarVariable(..)
        | Expr::Placeholder(_) => return false,
        _ => return true,
    };
    volatility != Volatility::Volatile
}

/// Marks the subplans of which there are several, in a walk of the same order as [`Search`]'s.
struct Marks<'a> {
    ends: IntoIter<End>,
    kinds: Vec<Kind<'a>>,
}

impl Marks<'_> {
    fn visit(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let end = if is_end(&plan) {
            self.ends.next().unwrap_or(End::Alone)
        } else {
            End::Alone
        };
        let (share, is_first) = match end {
            End::Alone => return self.inputs(plan),
            End::First(share) => (share, true),
            End::Again(share) => (share, false),
        };
        // What is below a later twin is that of the first.
        let plan = match is_first {
            true => self.inputs(plan)?,
            false => Transformed::no(plan),
        };
        match self.kinds.get(share) {
            Some(kind) if kind.count > 1 => {
                let twin = match &kind.merged {
                    Some(merged) => {
                        columns_of(&plan.data, SharedNode::mark(share, merged.clone()))?
                    }
                    None => SharedNode::mark(share, plan.data),
                };
                Ok(Transformed::yes(twin))
            }
            _ => Ok(plan),
        }
    }

    fn inputs(&mut self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::RecursiveQuery(_) => Ok(Transformed::no(plan)),
            _ => plan.map_children(|input| self.visit(input)),
        }
    }
}
