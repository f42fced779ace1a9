//! Joins that tell of each row whether a subquery has rows for it.

use std::collections::{BTreeSet, HashSet};

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, ExprSchema, JoinType, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::expr::InSubquery;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Case, ExprSchemable, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::decorrelate::PullUpCorrelatedExpr;
use datafusion::prelude::{Expr, lit};

use super::{Lift, unknown_membership};

/// The engine's name of the column that such a join adds.
const MARK: &str = "mark";

impl Lift<'_> {
    /// A column that is true where `subquery` has rows, or with `key` where one of them is equal to
    /// it in the first column, and false elsewhere; `None` where the rows cannot be joined.
    pub(super) fn mark(
        &mut self,
        subquery: &LogicalPlan,
        key: Option<&Expr>,
    ) -> Result<Option<Expr>> {
        let mut pull_up = PullUpCorrelatedExpr::new().with_exists_sub_query(key.is_none());
        let found = subquery.clone().rewrite(&mut pull_up).data()?;
        if !pull_up.can_pull_up {
            return Ok(None);
        }
        let name = self.next_name();
        let rows = format!("{name}_rows");
        let found = LogicalPlanBuilder::from(found)
            .alias(rows.as_str())?
            .build()?;
        let maps = pull_up.correlated_subquery_cols_map.values();
        let own: BTreeSet<&Column> = maps.flatten().collect();
        let mut conditions = Vec::new();
        for condition in pull_up.join_filters {
            conditions.push(of_rows(condition, &own, &rows)?);
        }
        if let Some(key) = key {
            let first = found.schema().columns().into_iter().next();
            conditions.extend(first.map(|first| key.clone().eq(Expr::Column(first))));
        }
        let condition = conjunction(conditions).unwrap_or_else(|| lit(true));
        let needed: HashSet<&Column> = condition.column_refs();
        let columns = found.schema().columns().into_iter();
        let columns: Vec<Expr> = columns
            .filter(|column| needed.contains(column))
            .map(Expr::Column)
            .collect();
        let found = match columns.is_empty() {
            true => found,
            false => LogicalPlanBuilder::from(found).project(columns)?.build()?,
        };
        let input = LogicalPlanBuilder::from(self.input.clone());
        let columns = self.input.schema().columns().into_iter().map(Expr::Column);
        let mark = Expr::Column(Column::new(Some(rows), MARK)).alias(&name);
        self.input = input
            .join_on(found, JoinType::LeftMark, Some(condition))?
            .project(columns.chain([mark]).collect::<Vec<_>>())?
            .build()?;
        self.is_changed = true;
        Ok(Some(Expr::Column(Column::new_unqualified(name))))
    }

    /// What `IN` is, NULL where it is not known; `None` where the rows cannot be joined.
    pub(super) fn membership(&mut self, membership: &InSubquery) -> Result<Option<Expr>> {
        let key = membership.expr.as_ref();
        let subquery = membership.subquery.subquery.as_ref();
        if key.contains_outer() {
            return Ok(None);
        }
        let key_may_be_null = key.nullable(self.input.schema().as_ref())?;
        let first = subquery.schema().columns().into_iter().next();
        let Some(first) = first else {
            return Ok(None);
        };
        let found_may_be_null = subquery.schema().nullable(&first)?;
        let is_asked_twice = key_may_be_null || found_may_be_null;
        if is_asked_twice && (key.is_volatile() || may_change(subquery)?) {
            return Err(unknown_membership().into());
        }
        let Some(is_found) = self.mark(subquery, Some(key))? else {
            return Ok(None);
        };
        let yes = (Box::new(is_found.clone()), Box::new(lit(true)));
        let mut cases = vec![yes];
        let unknown = || Box::new(lit(ScalarValue::Boolean(None)));
        if key_may_be_null {
            let Some(has_rows) = self.mark(subquery, None)? else {
                return Ok(None);
            };
            cases.push((Box::new(key.clone().is_null().and(has_rows)), unknown()));
        }
        if found_may_be_null {
            let nulls = LogicalPlanBuilder::from(subquery.clone())
                .filter(Expr::Column(first).is_null())?
                .build()?;
            let Some(has_null) = self.mark(&nulls, None)? else {
                return Ok(None);
            };
            cases.push((Box::new(has_null), unknown()));
        }
        if cases.len() == 1 {
            return Ok(Some(is_found));
        }
        let case = Case::new(None, cases, Some(Box::new(lit(false))));
        Ok(Some(Expr::Case(case)))
    }
}

/// A condition on the subquery's rows as the join sees them: `own` are its columns.
fn of_rows(condition: Expr, own: &BTreeSet<&Column>, rows: &str) -> Result<Expr> {
    condition
        .transform(|expr| match expr {
            Expr::Column(column) if own.contains(&column) => {
                let column = Column::new(Some(rows), column.name);
                Ok(Transformed::yes(Expr::Column(column)))
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
}

/// Whether a plan may give other rows when it is run again.
fn may_change(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let is_cut = matches!(node, LogicalPlan::Limit(_));
        Ok(is_cut || node.expressions().iter().any(Expr::is_volatile))
    })
}
