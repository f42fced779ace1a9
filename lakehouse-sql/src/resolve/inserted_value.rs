//! Values of an insert, in the form in which they lose nothing on the way to their column.

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Insert, SelectItem, SetExpr,
    UnaryOperator,
};

use super::dialect_call::{lower_name, plain_call};
use super::spelling::decimal;

/// Writes numbers with a point as decimals, which the engine would read as doubles (1.005 would be
/// 1.00 in a column of two digits), and marks the casts of a `VALUES`: without the mark nobody could
/// tell them from those that the engine adds, and only the engine's are refused what they lose.
pub(super) fn mark_values(insert: &mut Insert) {
    let Some(source) = &mut insert.source else {
        return;
    };
    mark_rows(&mut source.body);
}

fn mark_rows(rows: &mut SetExpr) {
    match rows {
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
        SetExpr::SetOperation { left, right, .. } => {
            mark_rows(left);
            mark_rows(right);
        }
        SetExpr::Query(query) => mark_rows(&mut query.body),
        _ => {}
    }
}

/// Functions whose arguments are the values that are inserted.
const MADE_OF: [&str; 6] = [
    "make_array",
    "array",
    "map",
    "named_struct",
    "row",
    "struct",
];

/// Writes a number with a point as a decimal, also in lists, maps and structs that are written out.
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
        Expr::Array(array) => array.elem.iter_mut().for_each(exact),
        Expr::Tuple(values) => values.iter_mut().for_each(exact),
        Expr::Struct { values, .. } => values.iter_mut().for_each(exact),
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            let results = conditions.iter_mut().map(|when| &mut when.result);
            results.chain(else_result.as_deref_mut()).for_each(exact);
        }
        Expr::Function(call)
            if lower_name(call).is_some_and(|name| MADE_OF.contains(&name.as_str())) =>
        {
            if let FunctionArguments::List(arguments) = &mut call.args {
                for argument in &mut arguments.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) = argument {
                        exact(value);
                    }
                }
            }
        }
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
