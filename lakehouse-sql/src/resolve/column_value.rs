//! Values of `INSERT … VALUES` looked at with the eyes of their columns, before the engine plans.
//!
//! The engine takes no text for a UUID, knows no `DEFAULT`, and calls a column that must not be NULL
//! `column1`.

use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Expr, Ident, Insert, SetExpr, Spanned, Value};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Location;
use iceberg::spec::{NestedField, NestedFieldRef, PrimitiveType, Schema, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::quote;

use super::struct_value::complete_structs;
use crate::default_text::default_text;
use crate::parse::{DIALECT, invalid_at};
use crate::uuid_text::parse_uuid;

/// Writes texts for UUID columns as bytes and structs with all fields of their column, and refuses
/// NULL for required columns; `fixed` are columns that have a value already.
///
/// # Errors
/// By column and place.
pub(super) fn check_values(
    insert: &mut Insert,
    schema: &Schema,
    fixed: &[(String, ScalarValue)],
) -> Result<()> {
    let targets = targets(insert, schema, fixed);
    for_each_value(insert, &targets, |value, field| {
        check_value(value, field)?;
        complete_structs(value, &field.field_type)
    })
}

/// Writes the defaults of columns where a `VALUES` says `DEFAULT`; `fixed` are columns that have a
/// value already.
///
/// # Errors
/// For required columns without a default, by column and place.
pub(super) fn write_out_defaults(
    insert: &mut Insert,
    schema: &Schema,
    fixed: &[(String, ScalarValue)],
) -> Result<()> {
    let targets = targets(insert, schema, fixed);
    for_each_value(insert, &targets, |value, field| match value {
        Expr::Identifier(word) if is_default(word) => {
            refuse_missing(field, word.span.start)?;
            *value = default_of(field)?;
            Ok(())
        }
        _ => Ok(()),
    })
}

/// The columns that the values of an insert go to, in order.
fn targets<'a>(
    insert: &Insert,
    schema: &'a Schema,
    fixed: &[(String, ScalarValue)],
) -> Vec<&'a NestedFieldRef> {
    let fields = schema.as_struct().fields();
    let mut targets: Vec<_> = match insert.columns.as_slice() {
        [] => fields.iter().collect(),
        columns => {
            let find = |name: &str| fields.iter().find(|field| field.name == name);
            columns
                .iter()
                .filter_map(|column| find(&column.value))
                .collect()
        }
    };
    targets.retain(|field| fixed.iter().all(|(name, _)| *name != field.name));
    targets
}

fn for_each_value(
    insert: &mut Insert,
    targets: &[&NestedFieldRef],
    mut visit: impl FnMut(&mut Expr, &NestedField) -> Result<()>,
) -> Result<()> {
    let body = insert.source.as_mut().map(|source| source.body.as_mut());
    let Some(SetExpr::Values(values)) = body else {
        return Ok(());
    };
    for row in &mut values.rows {
        for (value, field) in row.iter_mut().zip(targets) {
            visit(value, field)?;
        }
    }
    Ok(())
}

fn is_default(word: &Ident) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("DEFAULT")
}

/// A column's default, or NULL, as it would be typed.
pub(super) fn default_of(field: &NestedField) -> Result<Expr> {
    let Some(text) = default_text(field)? else {
        return Ok(Expr::value(Value::Null));
    };
    Parser::new(&DIALECT)
        .try_with_sql(&text)
        .and_then(|mut parser| parser.parse_expr())
        .map_err(|error| Error::internal(error.to_string()))
}

/// A required column needs a value or a default.
pub(super) fn refuse_missing(field: &NestedField, place: Location) -> Result<()> {
    if !field.required || field.write_default.is_some() {
        return Ok(());
    }
    let message = format!(
        "column {} is required and has no default; give it a value",
        quote(&field.name)
    );
    Err(invalid_at(place, message))
}

/// As [`check_values`], for one value on its way into a column or field.
pub(super) fn check_value(value: &mut Expr, field: &NestedField) -> Result<()> {
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
