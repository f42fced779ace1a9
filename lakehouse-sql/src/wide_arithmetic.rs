//! Whole numbers of 32 bits and fewer are added, subtracted and multiplied in 64.
//!
//! The engine takes the wider of their types, and what that does not hold comes back at its other
//! end: two million pieces at 2000 each would cost less than nothing.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Plans sums, differences and products, so that what is made of them knows their types.
#[derive(Debug)]
pub(crate) struct WideArithmetic;

impl ExprPlanner for WideArithmetic {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(
            expr.op,
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply
        ) {
            return Ok(PlannerResult::Original(expr));
        }
        let [left, right] = in_64_bits([expr.left, expr.right], schema);
        let op = expr.op;
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// Both sides of an operation as numbers of 64 bits, where both have fewer.
pub(crate) fn in_64_bits(sides: [Expr; 2], schema: &DFSchema) -> [Expr; 2] {
    let is_narrow = |side: &Expr| {
        matches!(
            side.get_type(schema),
            Ok(DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::UInt8
                | DataType::UInt16
                | DataType::UInt32)
        )
    };
    match sides.iter().all(is_narrow) {
        true => sides.map(|side| Expr::Cast(Cast::new(Box::new(side), DataType::Int64))),
        false => sides,
    }
}
