//! Conditions that are said exactly: true for the rows for which the filter is, and for no others.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use iceberg::spec::{PrimitiveType, Schema, Type};

use super::fit::{Fit, fit};
use super::{LIST_MAX, convert};
use crate::scan::Predicate;
use crate::table::Table;

/// The conjunction of `filters`, if it can be said exactly. By it rows are deleted that nobody has
/// looked at, so it is said only of forms that leave nothing to be understood.
pub fn exact_predicate(filters: &[Expr], table: &Table) -> Option<Predicate> {
    let schema = table.schema();
    let is_exact = filters.iter().all(|filter| is_exact(filter, schema));
    is_exact.then(|| convert(filters, schema))
}

fn is_exact(expr: &Expr, schema: &Schema) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Boolean(Some(_)), _) => true,
        Expr::IsNull(column) | Expr::IsNotNull(column) => kind_of(column, schema).is_some(),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or => is_exact(left, schema) && is_exact(right, schema),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq => is_compared(left, right, schema),
            _ => false,
        },
        Expr::InList(list) => {
            let is_compared = |value| is_compared(&list.expr, value, schema);
            !list.negated
                && (1..=LIST_MAX).contains(&list.list.len())
                && list.list.iter().all(is_compared)
        }
        _ => false,
    }
}

/// Whether a column is compared with a value of its own type.
fn is_compared(column: &Expr, value: &Expr, schema: &Schema) -> bool {
    let (Some(kind), Expr::Literal(value, _)) = (kind_of(column, schema), value) else {
        return false;
    };
    !value.is_null() && matches!(fit(value, kind), Some(Fit::Exact(_)))
}

/// The type of a column whose order everybody agrees on.
fn kind_of<'a>(column: &Expr, schema: &'a Schema) -> Option<&'a PrimitiveType> {
    let Expr::Column(column) = column else {
        return None;
    };
    let field = schema
        .as_struct()
        .fields()
        .iter()
        .find(|field| field.name == column.name)?;
    match field.field_type.as_ref() {
        Type::Primitive(
            kind @ (PrimitiveType::Boolean
            | PrimitiveType::Int
            | PrimitiveType::Long
            | PrimitiveType::Date
            | PrimitiveType::Timestamp
            | PrimitiveType::Timestamptz
            | PrimitiveType::String
            | PrimitiveType::Decimal { .. }),
        ) => Some(kind),
        _ => None,
    }
}
