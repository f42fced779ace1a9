//! Values of `INSERT … VALUES` looked at with the eyes of their columns, before the engine plans.
//!
//! The engine takes no text for a UUID, and calls a column that must not be NULL `column1`.

use datafusion::sql::sqlparser::ast::{Expr, Insert, SetExpr, Spanned, Value};
use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use crate::uuid_text::parse_uuid;

/// Writes texts for UUID columns as bytes, and refuses NULL for required columns.
///
/// # Errors
/// By column and place.
pub(super) fn check_values(insert: &mut Insert, schema: &Schema) -> Result<()> {
    let fields = schema.as_struct().fields();
    let targets: Vec<&NestedFieldRef> = match insert.columns.as_slice() {
        [] => fields.iter().collect(),
        columns => {
            let find = |name: &str| fields.iter().find(|field| field.name == name);
            columns
                .iter()
                .filter_map(|column| find(&column.value))
                .collect()
        }
    };
    let body = insert.source.as_mut().map(|source| source.body.as_mut());
    let Some(SetExpr::Values(values)) = body else {
        return Ok(());
    };
    for row in &mut values.rows {
        for (value, field) in row.iter_mut().zip(&targets) {
            check_value(value, field)?;
        }
    }
    Ok(())
}

/// As [`check_values`], for one value on its way into a column or field.
pub(super) fn check_value(value: &mut Expr, field: &NestedFieldRef) -> Result<()> {
    let place = value.span().start;
    let at_place = |error: Error| match place.line {
        0 => error,
        _ => error
            .with_context("line", place.line)
            .with_context("column", place.column),
    };
    let Expr::Value(literal) = value else {
        return Ok(());
    };
    match &literal.value {
        Value::Null if field.required => Err(at_place(Error::invalid(format!(
            "column {} is required and must not be NULL",
            quote(&field.name)
        )))),
        Value::SingleQuotedString(text)
            if *field.field_type == Type::Primitive(PrimitiveType::Uuid) =>
        {
            let uuid = parse_uuid(text)
                .map_err(|error| at_place(error.with_context("table column", &field.name)))?;
            literal.value = Value::HexStringLiteral(uuid.simple().to_string());
            Ok(())
        }
        _ => Ok(()),
    }
}
