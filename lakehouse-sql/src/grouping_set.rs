//! Grouping sets that come more than once, and the one without columns over no rows.
//!
//! The engine tells the groups of sets apart by the columns of their sets, so groups of equal sets
//! become one, with all rows twice: here each repetition has one more column, a text that is the
//! same in all rows. And its groups come from rows, so that `()` gives none where there are no rows:
//! see [`grand_total`].

mod grand_total;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, not_impl_err};
use datafusion::error::Result;
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{GroupingSet, LogicalPlan, LogicalPlanBuilder, cast, lit};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

pub(crate) use grand_total::GrandTotalRule;

/// What the texts of repetitions begin with.
const REPETITION: &str = "__repetition_of_grouping_set_";

/// Makes sets that are repeated different. Stands behind the engine's `grouping` function, which is
/// then a column of bits, one for each column of the sets.
#[derive(Debug)]
pub(crate) struct GroupingSetRule;

impl AnalyzerRule for GroupingSetRule {
    fn name(&self) -> &str {
        "lakehouse_grouping_sets"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let different = plan.transform_up_with_subqueries(|node| {
            let LogicalPlan::Aggregate(aggregate) = &node else {
                return Ok(Transformed::no(node));
            };
            match told_apart(aggregate)? {
                Some(different) => Ok(Transformed::yes(different)),
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(different.data)
    }
}

/// The aggregate with its repeated sets told apart; `None` without any.
fn told_apart(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let [Expr::GroupingSet(sets)] = aggregate.group_expr.as_slice() else {
        return Ok(None);
    };
    // Columns that no set has had stay in their order: repetitions come last.
    let mut firsts: Vec<Vec<Expr>> = Vec::new();
    let mut repeated: Vec<Vec<Expr>> = Vec::new();
    let mut markers = 0_u32;
    for set in sets_of(sets) {
        if !firsts.iter().any(|first| are_same(first, &set)) {
            firsts.push(set);
            continue;
        }
        let is_told_by = |marker: &Expr| {
            let mut set = set.clone();
            set.push(marker.clone());
            (!repeated.iter().any(|other| are_same(other, &set))).then_some(set)
        };
        let known = (0..markers).find_map(|number| is_told_by(&marker(number)));
        let told = known.or_else(|| {
            markers += 1;
            is_told_by(&marker(markers - 1))
        });
        repeated.extend(told);
    }
    if markers == 0 {
        return Ok(None);
    }
    firsts.append(&mut repeated);
    let sets = Expr::GroupingSet(GroupingSet::GroupingSets(firsts));
    let input = Arc::clone(&aggregate.input);
    let told = Aggregate::try_new(input, vec![sets], aggregate.aggr_expr.clone())?;
    let Some(step) = 1_u64.checked_shl(markers) else {
        return not_impl_err!("a grouping set that comes more than {markers} times");
    };
    let columns = aggregate.schema.iter().map(|(qualifier, field)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        match field.name() == Aggregate::INTERNAL_GROUPING_ID {
            // The bits of the texts are the last ones.
            true => cast(
                cast(column, DataType::UInt64) / lit(step),
                field.data_type().clone(),
            )
            .alias(Aggregate::INTERNAL_GROUPING_ID),
            false => column,
        }
    });
    LogicalPlanBuilder::from(LogicalPlan::Aggregate(told))
        .project(columns.collect::<Vec<_>>())?
        .build()
        .map(Some)
}

fn marker(number: u32) -> Expr {
    lit(format!("{REPETITION}{number}"))
}

/// The sets, longest first where they are written as one list. No set has a column twice.
fn sets_of(sets: &GroupingSet) -> Vec<Vec<Expr>> {
    let mut sets = match sets {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(columns) => (0..=columns.len())
            .rev()
            .filter_map(|count| columns.get(..count).map(<[Expr]>::to_vec))
            .collect(),
        GroupingSet::Cube(columns) => {
            let mut sets = vec![Vec::new()];
            for column in columns.iter().rev() {
                let with: Vec<Vec<Expr>> = sets
                    .iter()
                    .map(|set| std::iter::once(column).chain(set).cloned().collect())
                    .collect();
                sets = with.into_iter().chain(sets).collect();
            }
            sets
        }
    };
    for set in &mut sets {
        let mut columns: Vec<Expr> = Vec::with_capacity(set.len());
        for column in set.drain(..) {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        *set = columns;
    }
    sets
}

fn are_same(set: &[Expr], other: &[Expr]) -> bool {
    set.len() == other.len() && set.iter().all(|column| other.contains(column))
}
