//! The columns and fields that values are assigned to.

use datafusion::sql::sqlparser::ast::{Expr, Ident};
use datafusion::sql::sqlparser::tokenizer::Location;
use iceberg::spec::{NestedFieldRef, Schema, Type};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{Name, hint, quote};

use super::super::column_value::{self, check_value};
use super::super::inserted_value::exact;
use super::super::name;
use super::{ColumnChange, Value};
use crate::parse::invalid_at;
use crate::statement::{AssignedValue, Assignment, Target, WriteOptions};

/// A place in a row: a column, perhaps fields in it, and what the schema says of it.
struct Place {
    column: usize,
    fields: Vec<usize>,
    field: NestedFieldRef,
}

/// Finds what assignments are about; `add` makes a value a column of the query.
///
/// # Errors
/// Unknown columns, columns that are assigned twice, NULL for required ones.
pub(super) fn column_changes(
    assignments: Vec<Assignment>,
    target: &Target,
    schema: &Schema,
    mut add: impl FnMut(Expr) -> usize,
) -> Result<Vec<ColumnChange>> {
    let mut changes: Vec<ColumnChange> = Vec::with_capacity(assignments.len());
    for Assignment { path, value } in assignments {
        let place = find(&path, target, schema)?;
        refuse_overlap(&place, &changes, &path)?;
        let value = assigned(value, &place.field, start(&path), &mut add)?;
        changes.push(ColumnChange {
            column: place.column,
            fields: place.fields,
            value,
        });
    }
    Ok(changes)
}

/// The values of an inserted row, one for each column of the table.
///
/// # Errors
/// Unknown columns, columns that are written twice or must be written, NULL for required ones.
pub(super) fn inserted_row(
    columns: &[Ident],
    values: Vec<AssignedValue>,
    schema: &Schema,
    place: Location,
    mut add: impl FnMut(Expr) -> usize,
) -> Result<Vec<Value>> {
    let fields = schema.as_struct().fields();
    let expected = match columns {
        [] => fields.len(),
        columns => columns.len(),
    };
    if values.len() != expected {
        let message = format!(
            "INSERT has {} values, the table has {expected} columns",
            values.len()
        );
        return Err(invalid_at(place, message));
    }
    let mut row: Vec<Option<Value>> = vec![None; fields.len()];
    for (index, value) in values.into_iter().enumerate() {
        let (column, field, start) = match columns.get(index) {
            Some(ident) => {
                let (column, field) = find_in(fields, ident)?
                    .ok_or_else(|| unknown(std::slice::from_ref(ident), fields, "the table"))?;
                (column, field, ident.span.start)
            }
            None => (index, &fields[index], place),
        };
        if row[column].is_some() {
            let message = format!("column {} is written twice", quote(&field.name));
            return Err(invalid_at(start, message));
        }
        row[column] = Some(assigned(value, field, start, &mut add)?);
    }
    let values = row.into_iter().zip(fields).map(|(value, field)| {
        let value = value.unwrap_or(Value::Default);
        refuse_missing(value, field, place)?;
        Ok(value)
    });
    values.collect()
}

/// Finds a column, or a field in it, that a call assigns; `known` are those before it.
///
/// # Errors
/// As [`column_changes`].
pub(crate) fn column_change(
    path: &[Name],
    alias: &str,
    value: Value,
    schema: &Schema,
    known: &[ColumnChange],
) -> Result<ColumnChange> {
    let path: Vec<Ident> = path.iter().map(ident).collect();
    let target = Target {
        name: Vec::new(),
        alias: Some(Ident::with_quote('"', alias)),
        options: WriteOptions::default(),
    };
    let place = find(&path, &target, schema)?;
    refuse_overlap(&place, known, &path)?;
    Ok(ColumnChange {
        column: place.column,
        fields: place.fields,
        value,
    })
}

/// The values of a row that a call inserts, one for each column of the table.
///
/// # Errors
/// Fields of structs, required columns without a value.
pub(crate) fn inserted(changes: &[ColumnChange], schema: &Schema) -> Result<Vec<Value>> {
    let fields = schema.as_struct().fields().iter().enumerate();
    let values =
        fields.map(
            |(column, field)| match changes.iter().find(|change| change.column == column) {
                Some(change) if change.fields.is_empty() => Ok(change.value),
                Some(_) => Err(Error::invalid(format!(
                    "an inserted row gives column {} a whole value, not one of its fields",
                    quote(&field.name)
                ))),
                None => {
                    refuse_missing(Value::Default, field, Location::empty())?;
                    Ok(Value::Default)
                }
            },
        );
    values.collect()
}

fn ident(name: &Name) -> Ident {
    match name.is_quoted() {
        true => Ident::with_quote('"', name.as_str()),
        false => Ident::new(name.as_str()),
    }
}

fn refuse_overlap(place: &Place, known: &[ColumnChange], path: &[Ident]) -> Result<()> {
    let overlaps = |change: &ColumnChange| {
        let shared = change.fields.len().min(place.fields.len());
        change.column == place.column && change.fields[..shared] == place.fields[..shared]
    };
    match known.iter().any(overlaps) {
        true => {
            let message = format!("column {} is assigned twice", dotted(path));
            Err(invalid_at(start(path), message))
        }
        false => Ok(()),
    }
}

/// A required column needs a value or a default.
fn refuse_missing(value: Value, field: &NestedFieldRef, place: Location) -> Result<()> {
    match value {
        Value::Default => column_value::refuse_missing(field, place),
        Value::Item(_) => Ok(()),
    }
}

fn assigned(
    value: AssignedValue,
    field: &NestedFieldRef,
    place: Location,
    add: &mut impl FnMut(Expr) -> usize,
) -> Result<Value> {
    match value {
        AssignedValue::Default => {
            refuse_missing(Value::Default, field, place)?;
            Ok(Value::Default)
        }
        AssignedValue::Expression(mut value) => {
            check_value(&mut value, field)?;
            exact(&mut value);
            Ok(Value::Item(add(*value)))
        }
    }
}

/// Finds a column by a path, which may begin with the target's name.
fn find(path: &[Ident], target: &Target, schema: &Schema) -> Result<Place> {
    let fields = schema.as_struct().fields();
    let qualifier = qualifier_length(path, target);
    let is_column = |ident: &Ident| find_in(fields, ident).map(|found| found.is_some());
    let [first, ..] = path else {
        return Err(Error::internal("an assignment to nothing"));
    };
    // A column of the target's name is meant where the rest of the path fits it.
    let path = match qualifier {
        0 => path,
        length if is_column(first)? && !is_column(&path[length])? => path,
        length => &path[length..],
    };
    let [first, rest @ ..] = path else {
        return Err(Error::internal("an assignment to nothing"));
    };
    let (column, mut field) =
        find_in(fields, first)?.ok_or_else(|| unknown(path, fields, "the table"))?;
    let mut places = Vec::with_capacity(rest.len());
    for (depth, ident) in rest.iter().enumerate() {
        let Type::Struct(inner) = field.field_type.as_ref() else {
            let message = format!(
                "{} is no struct, so it has no field {ident} to assign; write a new value for all \
                 of it",
                dotted(&path[..=depth])
            );
            return Err(invalid_at(ident.span.start, message));
        };
        let found = find_in(inner.fields(), ident)?;
        let (index, next) = found.ok_or_else(|| {
            let whole = dotted(&path[..=depth]);
            unknown(std::slice::from_ref(ident), inner.fields(), &whole)
        })?;
        places.push(index);
        field = next;
    }
    Ok(Place {
        column,
        fields: places,
        field: std::sync::Arc::clone(field),
    })
}

/// How many of the first parts of a path are the target's name.
fn qualifier_length(path: &[Ident], target: &Target) -> usize {
    let same = |one: &Ident, other: &Ident| one.value.to_lowercase() == other.value.to_lowercase();
    let named = match &target.alias {
        Some(alias) => std::slice::from_ref(alias),
        None => target.name.as_slice(),
    };
    // `cat.ns.t.c`, `ns.t.c` and `t.c`, the longest first; one part at least is the column's.
    (0..named.len())
        .map(|from| &named[from..])
        .find(|name| {
            path.len() > name.len() && name.iter().zip(path).all(|(one, other)| same(one, other))
        })
        .map_or(0, <[Ident]>::len)
}

fn find_in<'a>(
    fields: &'a [NestedFieldRef],
    ident: &Ident,
) -> Result<Option<(usize, &'a NestedFieldRef)>> {
    let places: Vec<(usize, &NestedFieldRef)> = fields.iter().enumerate().collect();
    let found = name(ident)
        .find(&places, |(_, field)| &field.name)
        .map_err(|error| {
            error
                .with_context("line", ident.span.start.line)
                .with_context("column", ident.span.start.column)
        })?;
    Ok(found.copied())
}

fn unknown(path: &[Ident], fields: &[NestedFieldRef], whole: &str) -> Error {
    let (ident, place) = match path {
        [first, ..] => (first.value.as_str(), first.span.start),
        [] => ("", Location::empty()),
    };
    let names = fields.iter().map(|field| field.name.as_str());
    Error::not_found(format!(
        "{whole} has no column {}{}",
        dotted(path),
        hint(ident, names)
    ))
    .with_context("line", place.line)
    .with_context("column", place.column)
}

fn start(path: &[Ident]) -> Location {
    path.first()
        .map_or_else(Location::empty, |first| first.span.start)
}

fn dotted(path: &[Ident]) -> String {
    let parts: Vec<String> = path.iter().map(ToString::to_string).collect();
    parts.join(".")
}
