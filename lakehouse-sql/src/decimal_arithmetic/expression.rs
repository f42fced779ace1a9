//! The engine's arithmetic expression of decimals, calculated by this project's loops.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Datum, RecordBatch};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::sort_properties::ExprProperties;
use datafusion::logical_expr::statistics::Distribution;
use datafusion::logical_expr::{ColumnarValue, Operator};
use datafusion::physical_expr::expressions::BinaryExpr;
use datafusion::physical_expr_common::datum::apply;
use datafusion::physical_plan::PhysicalExpr;

use super::kernel::{Operation, unchecked};
use super::precision::in_precision;

/// An expression of the engine, whose type, NULLs, results, errors and text it has; but a result
/// with more digits than its type is an error, which the engine's is only beyond 128 bits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DecimalArithmetic {
    checked: BinaryExpr,
}

impl DecimalArithmetic {
    pub(super) fn new(checked: BinaryExpr) -> Self {
        Self { checked }
    }

    /// The text as the engine writes it: a child in parentheses only where it binds less.
    fn write(&self, f: &mut fmt::Formatter<'_>, write: Write) -> fmt::Result {
        let precedence = self.checked.op().precedence();
        let write_child = |f: &mut fmt::Formatter<'_>, child: &dyn PhysicalExpr| {
            if operator(child).is_none_or(|child| child.precedence() >= precedence) {
                return write(child, f);
            }
            write!(f, "(")?;
            write(child, f)?;
            write!(f, ")")
        };
        write_child(f, self.checked.left().as_ref())?;
        write!(f, " {} ", self.checked.op())?;
        write_child(f, self.checked.right().as_ref())
    }
}

/// How a child is written.
type Write = fn(&dyn PhysicalExpr, &mut fmt::Formatter<'_>) -> fmt::Result;

/// The operator of an expression that has two sides.
fn operator(expression: &dyn PhysicalExpr) -> Option<&Operator> {
    let expression = expression.as_any();
    let own = expression.downcast_ref::<DecimalArithmetic>();
    own.map(|own| &own.checked)
        .or_else(|| expression.downcast_ref::<BinaryExpr>())
        .map(BinaryExpr::op)
}

impl fmt::Display for DecimalArithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |child, f| write!(f, "{child}"))
    }
}

impl PhysicalExpr for DecimalArithmetic {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn data_type(&self, input_schema: &Schema) -> Result<DataType> {
        self.checked.data_type(input_schema)
    }

    fn nullable(&self, input_schema: &Schema) -> Result<bool> {
        self.checked.nullable(input_schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let operator = *self.checked.op();
        let Some(operation) = Operation::of(&operator) else {
            return in_precision(self.checked.evaluate(batch)?, operator);
        };
        let left = self.checked.left().evaluate(batch)?;
        let right = self.checked.right().evaluate(batch)?;
        // Which has fewer digits than the widest decimal.
        if let Some(results) = unchecked(operation, &left, &right) {
            return Ok(ColumnarValue::Array(Arc::new(results)));
        }
        let is_decimal =
            |value: &ColumnarValue| matches!(value.data_type(), DataType::Decimal128(..));
        if is_decimal(&left) && is_decimal(&right) {
            let kernel = |left: &dyn Datum, right: &dyn Datum| operation.checked(left, right);
            return in_precision(apply(&left, &right, kernel)?, operator);
        }
        // Children that came later, whose types only the engine's expression knows.
        in_precision(self.checked.evaluate(batch)?, operator)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.checked.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let checked = Arc::new(self.checked.clone()).with_new_children(children)?;
        match checked.as_any().downcast_ref::<BinaryExpr>() {
            Some(checked) => Ok(Arc::new(Self::new(checked.clone()))),
            None => internal_err!("{self} is no arithmetic with its new children"),
        }
    }

    fn evaluate_bounds(&self, children: &[&Interval]) -> Result<Interval> {
        self.checked.evaluate_bounds(children)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        children: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.checked.propagate_constraints(interval, children)
    }

    fn evaluate_statistics(&self, children: &[&Distribution]) -> Result<Distribution> {
        self.checked.evaluate_statistics(children)
    }

    fn get_properties(&self, children: &[ExprProperties]) -> Result<ExprProperties> {
        self.checked.get_properties(children)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, |child, f| child.fmt_sql(f))
    }
}
