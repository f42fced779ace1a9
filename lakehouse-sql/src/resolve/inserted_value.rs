//! Values of an insert, in the form in which they lose nothing on the way to their column.

use datafusion::sql::sqlparser::ast::{Expr, Insert, SelectItem, SetExpr, UnaryOperator};

use super::dialect_call::plain_call;
use super::spelling::decimal;

/// Writes numbers with a point as decimals, which the engine would read as doubles (1.005 would be
/// 1.00 in a column of two digits), and marks the casts of a `VALUES`: without the mark nobody could
/// tell them from those that the engine adds, and only the engine's are refused what they lose.
pub(super) fn mark_values(insert: &mut Insert) {
    let Some(source) = &mut insert.source else {
        return;
    };
    match source.body.as_mut() {
        SetExpr::Values(values) => {
            for value in values.rows.iter_mut().flatten() {
                mark_cast(value);
                exact(value);
            }
        }
        SetExpr::Select(select) => {
            for item in &mut select.projection {
                if let SelectItem::UnnamedExpr(value)
                | SelectItem::ExprWithAlias { expr: value, .. } = item
                {
                    exact(value);
                }
            }
        }
        _ => {}
    }
}

/// Writes a number with a point as a decimal.
pub(crate) fn exact(value: &mut Expr) {
    match value {
        Expr::Value(literal) => {
            if let Some(exact) = decimal(&literal.value) {
                *value = exact;
            }
        }
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        }
        | Expr::Nested(expr) => exact(expr),
        _ => {}
    }
}

/// `coalesce` of one value is the value.
fn mark_cast(value: &mut Expr) {
    match value {
        Expr::Nested(inner) => mark_cast(inner),
        Expr::Cast { .. } => {
            *value = Expr::Function(plain_call("coalesce", vec![value.clone()]));
        }
        _ => {}
    }
}
