//! Structs that are written in `INSERT … VALUES`, with all fields of their column.
//!
//! The engine plans `VALUES` by their types, before anybody sees the columns: it takes a struct with
//! other fields for a mistake.

use datafusion::sql::sqlparser::ast::{Expr, Spanned, Value};
use iceberg::spec::{NestedFieldRef, Type};
use lakehouse_core::error::Result;

use super::column_value::{default_of, refuse_missing};
use super::dialect_call::{lower_name, plain_arguments, plain_call};

/// Writes structs, also those in lists, by the names of their column's fields: values without names
/// by their place, and the defaults of fields that are left out.
///
/// # Errors
/// For required fields without a default that are left out, by name and place.
pub(super) fn complete_structs(value: &mut Expr, field_type: &Type) -> Result<()> {
    match (value, field_type) {
        (Expr::Nested(inner), _) => complete_structs(inner, field_type),
        (Expr::Array(array), Type::List(list)) => {
            let mut elements = array.elem.iter_mut();
            elements
                .try_for_each(|element| complete_structs(element, &list.element_field.field_type))
        }
        (value, Type::Struct(wanted)) => {
            let fields = wanted.fields();
            let Some(given) = written_fields(value, fields) else {
                return Ok(());
            };
            let place = value.span().start;
            let mut arguments = Vec::with_capacity(2 * fields.len());
            for (field, given) in fields.iter().zip(given) {
                let value = match given {
                    Some(mut value) => {
                        complete_structs(&mut value, &field.field_type)?;
                        value
                    }
                    None => {
                        refuse_missing(field, place)?;
                        default_of(field)?
                    }
                };
                let name = Value::SingleQuotedString(field.name.clone());
                arguments.extend([Expr::value(name), value]);
            }
            *value = Expr::Function(plain_call("named_struct", arguments));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The values of a struct by the fields of its column; `None` where it is no struct that is written
/// out, or has others.
fn written_fields(value: &Expr, fields: &[NestedFieldRef]) -> Option<Vec<Option<Expr>>> {
    let by_place = |values: Vec<Expr>| {
        (values.len() == fields.len()).then(|| values.into_iter().map(Some).collect())
    };
    match value {
        Expr::Tuple(values) => by_place(values.clone()),
        Expr::Struct { values, fields } if fields.is_empty() => {
            let has_names = values
                .iter()
                .any(|value| matches!(value, Expr::Named { .. }));
            by_place(values.clone()).filter(|_| !has_names)
        }
        Expr::Function(function) => {
            let values = plain_arguments(function)?.into_iter().cloned().collect();
            match lower_name(function)?.as_str() {
                "row" | "struct" => by_place(values),
                "named_struct" => by_name(values, fields),
                _ => None,
            }
        }
        _ => None,
    }
}

fn by_name(arguments: Vec<Expr>, fields: &[NestedFieldRef]) -> Option<Vec<Option<Expr>>> {
    let mut given = vec![None; fields.len()];
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let Expr::Value(name) = &name else {
            return None;
        };
        let Value::SingleQuotedString(name) = &name.value else {
            return None;
        };
        let is_alike = |field: &NestedFieldRef| field.name.eq_ignore_ascii_case(name);
        let exact = fields.iter().position(|field| field.name == *name);
        let place = exact.or_else(|| fields.iter().position(is_alike))?;
        if given[place].replace(arguments.next()?).is_some() {
            return None;
        }
    }
    Some(given)
}
