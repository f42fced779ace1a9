//! `INTERSECT ALL` and `EXCEPT ALL` count how often a row comes.
//!
//! The engine makes semi and anti joins of them, which keep all copies of a row or none. So copies
//! are numbered on both sides, and the number is one more key of the join.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::Expr;

/// The number of a copy on the left, and on the right.
const COPIES: [&str; 2] = ["__copy_of_left", "__copy_of_right"];

/// See the module documentation. Stands behind the engine's own coercion, which makes keys alike.
#[derive(Debug)]
pub(crate) struct SetOperationRule;

impl AnalyzerRule for SetOperationRule {
    fn name(&self) -> &str {
        "lakehouse_set_operations"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let counted = plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if ignores_copies(&join) => {
                Ok(Transformed::yes(with_numbered_copies(join)?))
            }
            other => Ok(Transformed::no(other)),
        })?;
        Ok(counted.data)
    }
}

/// Whether a join is of rows in which NULL equals NULL, some of which may come more than once. No
/// subqueries are joins yet, so it is a set operation.
fn ignores_copies(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.null_equality == NullEquality::NullEqualsNull
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn with_numbered_copies(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join
        .schema
        .iter()
        .map(|column| Expr::Column(Column::from(column)))
        .collect();
    let [left_copy, right_copy] = COPIES;
    let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) = join.on.iter().cloned().unzip();
    let left = numbered(join.left, left_keys, left_copy)?;
    let right = numbered(join.right, right_keys, right_copy)?;
    let copies = (
        Expr::Column(Column::from_name(left_copy)),
        Expr::Column(Column::from_name(right_copy)),
    );
    let mut keys = join.on;
    keys.push(copies);
    let counted = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        keys,
        join.filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(counted))
        .project(columns)?
        .build()
}

/// Rows with the number of each among those of the same keys.
fn numbered(rows: Arc<LogicalPlan>, keys: Vec<Expr>, name: &str) -> Result<LogicalPlan> {
    let number = row_number().partition_by(keys).build()?;
    let column = Expr::Column(Column::from_name(number.schema_name().to_string()));
    let mut columns: Vec<Expr> = rows
        .schema()
        .iter()
        .map(|column| Expr::Column(Column::from(column)))
        .collect();
    columns.push(column.alias(name));
    LogicalPlanBuilder::from(rows)
        .window(vec![number])?
        .project(columns)?
        .build()
}
