//! Plans expressions with bytes that the engine would refuse: UUIDs joined to texts, lists.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::logical_expr::ExprSchemable;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::prelude::Expr;
use datafusion::sql::sqlparser::ast::BinaryOperator;

use crate::hex_text::is_bytes;
use crate::uuid_text::as_text;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct BytesPlanner;

impl ExprPlanner for BytesPlanner {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>> {
        if expr.op != BinaryOperator::StringConcat {
            return Ok(PlannerResult::Original(expr));
        }
        Ok(PlannerResult::Original(RawBinaryExpr {
            op: expr.op,
            left: as_text(expr.left, schema),
            right: as_text(expr.right, schema),
        }))
    }

    fn plan_array_literal(
        &self,
        elements: Vec<Expr>,
        schema: &DFSchema,
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let given = |element: &Expr| element.get_type(schema).unwrap_or(DataType::Null);
        let mut types = elements.iter().map(given).filter(is_bytes);
        let Some(first) = types.next() else {
            return Ok(PlannerResult::Original(elements));
        };
        // Those of tables are views, those that are written are none.
        let bytes = match types.all(|other| other == first) {
            true => first,
            false => DataType::Binary,
        };
        let null = ScalarValue::try_from(&bytes)?;
        let typed = elements.into_iter().map(|element| match element {
            Expr::Literal(ScalarValue::Null, metadata) => Expr::Literal(null.clone(), metadata),
            other if is_plain(&given(&other)) && given(&other) != bytes => {
                Expr::Cast(Cast::new(Box::new(other), bytes.clone()))
            }
            other => other,
        });
        Ok(PlannerResult::Original(typed.collect()))
    }
}

/// Whether values of a type are bytes of any number.
fn is_plain(data_type: &DataType) -> bool {
    is_bytes(data_type) && !matches!(data_type, DataType::FixedSizeBinary(_))
}
