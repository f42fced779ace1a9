//! New names for the columns of a table, `t AS x(a, b)`, given by place.
//!
//! The engine looks the old columns up by their names, folded to lower case, and finds none that is
//! stored in another.

use datafusion::common::{Column, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};
use datafusion::sql::sqlparser::ast::TableFactor;

/// Plans tables and subqueries whose alias names their columns.
#[derive(Debug)]
pub(crate) struct ColumnAliasPlanner;

impl RelationPlanner for ColumnAliasPlanner {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let alias = match &mut relation {
            TableFactor::Table {
                alias, args: None, ..
            }
            | TableFactor::Derived { alias, .. } => {
                alias.take_if(|alias| !alias.columns.is_empty())
            }
            _ => None,
        };
        let Some(mut alias) = alias else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let names = std::mem::take(&mut alias.columns);
        // Without the names of columns it is planned as any other.
        let plan = context.plan(relation)?;
        let columns = plan.schema().fields().len();
        if names.len() != columns {
            return plan_err!(
                "{} has {columns} columns, but {} names are given for them",
                alias.name,
                names.len()
            );
        }
        let renamed: Vec<Expr> = plan
            .schema()
            .iter()
            .zip(names)
            .map(|(column, name)| {
                Expr::Column(Column::from(column)).alias(context.normalize_ident(name.name))
            })
            .collect();
        let plan = LogicalPlanBuilder::from(plan).project(renamed)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(
            plan,
            Some(alias),
        ))))
    }
}
