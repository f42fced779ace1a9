//! Literals that the engine takes for the same though their types differ.
//!
//! It compares times without their zones, and bytes of a fixed length, NULL among them, without the
//! length.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Whether a plan, subqueries included, has such literals.
pub(super) fn has_alike_literals(plan: &LogicalPlan) -> Result<bool> {
    let mut seen = Seen::default();
    plan.apply_with_subqueries(|node| node.apply_expressions(|expr| seen.look_at(expr)))?;
    Ok(seen.is_alike)
}

/// Whether the expressions of one node have such literals.
pub(super) fn node_has_alike_literals(node: &LogicalPlan) -> Result<bool> {
    let mut seen = Seen::default();
    node.apply_expressions(|expr| seen.look_at(expr))?;
    Ok(seen.is_alike)
}

#[derive(Default)]
struct Seen {
    types: HashMap<ScalarValue, DataType>,
    is_alike: bool,
}

impl Seen {
    fn look_at(&mut self, expr: &Expr) -> Result<TreeNodeRecursion> {
        expr.apply(|part| {
            if let Expr::Literal(value, _) = part
                && let kind @ (DataType::Timestamp(..) | DataType::FixedSizeBinary(_)) =
                    value.data_type()
            {
                let first = self.types.entry(value.clone());
                self.is_alike |= *first.or_insert_with(|| kind.clone()) != kind;
            }
            Ok(match self.is_alike {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })
    }
}
