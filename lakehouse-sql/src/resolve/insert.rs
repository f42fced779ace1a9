//! INSERT with its target looked up, and how its rows take their place there.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::sqlparser::ast::{Ident, Insert, TableObject};
use iceberg::spec::{NestedFieldRef, PrimitiveType, Schema, Transform};
use lakehouse_core::commit::ACCEPT_ANY_SCHEMA;
use lakehouse_core::error::{Error, Result};
use lakehouse_core::governance::Privilege;
use lakehouse_core::lake::{FoundTable, Selector};
use lakehouse_core::name::{hint, quote};
use lakehouse_core::provider::WriteTerms;
use lakehouse_core::table::{Table, Version};

use super::audit;
use super::change::terms;
use super::column_value::{check_values, write_out_defaults};
use super::copied_file;
use super::inserted_value::mark_values;
use super::relation::{Found, at_place, context_table, idents, path_text, pin};
use super::{Scope, name, names, refuse_writes_in_the_past};
use crate::constant::Constants;
use crate::environment::OverwriteMode;
use crate::local_time::is_utc;
use crate::session_zone::session_zone;
use crate::statement::{InsertRows, Statement, WriteOptions};

/// The table property that lets rows of INSERT … BY NAME bring columns, as [`ACCEPT_ANY_SCHEMA`]
/// does.
const MERGE_SCHEMA: &str = "write.merge-schema";

/// How the rows of an insert find their columns and take their place.
#[derive(Debug, Default)]
pub(crate) struct InsertForm {
    /// Whether columns of the source go to those of the same name, instead of by position.
    pub(crate) by_name: bool,
    /// Columns that have the same value in all new rows.
    pub(crate) fixed: Vec<(String, ScalarValue)>,
    /// Which rows of the target go.
    pub(crate) overwrite: Option<OverwriteMode>,
    /// On which terms it is written.
    pub(crate) terms: WriteTerms,
    /// Whether rows may bring columns that the table does not have.
    pub(crate) merges_schema: bool,
    /// The file that the rows are copied from, as written.
    pub(crate) file: Option<String>,
}

impl InsertForm {
    /// What the policies are asked beside inserting.
    pub(crate) fn privileges(&self) -> Vec<Privilege> {
        let deletes = self.overwrite.map(|_| Privilege::Delete);
        let alters = self.merges_schema.then_some(Privilege::Alter);
        deletes.into_iter().chain(alters).collect()
    }
}

/// The insert in a statement, also below an `EXPLAIN`.
pub(super) fn insert_of(statement: &mut Statement) -> Option<&mut InsertRows> {
    match statement {
        Statement::Insert(insert) => Some(insert),
        Statement::Explain(explain) => insert_of(&mut explain.statement),
        _ => None,
    }
}

/// Opens the file of a `COPY … FROM`, whose columns follow from those of the target.
pub(super) async fn open_file(
    rows: &mut InsertRows,
    scope: &Scope<'_>,
    found: &mut Found,
) -> Result<()> {
    let (Some(file), TableObject::TableName(target)) = (&rows.file, &rows.insert.table) else {
        return Ok(());
    };
    let path = idents(target)?;
    if context_table(&path, scope).await?.is_some() {
        let message = format!(
            "{} belongs to this session or is a file; files are copied into the lake's tables",
            path_text(&path)
        );
        return Err(at_place(Error::unsupported(message), &path));
    }
    let table = scope
        .lake
        .find_table(&names(&path), &scope.catalog, &scope.namespace)
        .await
        .map_err(|error| at_place(error, &path))?;
    let columns = &rows.insert.columns;
    let opened = copied_file::open(file, columns, &table.table, scope.state).await?;
    rows.by_name = opened.by_name;
    found.add_file(&file.location, opened.provider);
    Ok(())
}

/// Looks up the table an insert writes to: in its current state or at a branch, never a version.
pub(super) async fn resolve_target(
    rows: &mut InsertRows,
    scope: &Scope<'_>,
    found: &mut Found,
) -> Result<InsertForm> {
    let TableObject::TableName(target) = &rows.insert.table else {
        return Err(Error::unsupported("INSERT INTO FUNCTION is not offered"));
    };
    refuse_writes_in_the_past(scope)?;
    let path = idents(target)?;
    if let Some(provider) = context_table(&path, scope).await? {
        let has_options = rows.options != WriteOptions::default();
        if rows.overwrite || !rows.partition.is_empty() || has_options {
            let message = format!(
                "{} belongs to this session or is a file; OVERWRITE, PARTITION and WITH are offered \
                 for the lake's tables",
                path_text(&path)
            );
            return Err(at_place(Error::unsupported(message), &path));
        }
        let replacement = found.add_context_table(&path, provider, Privilege::Insert);
        rows.insert.table = TableObject::TableName(replacement.name);
        return Ok(InsertForm {
            by_name: rows.by_name,
            ..InsertForm::default()
        });
    }
    let table = scope
        .lake
        .find_table(&names(&path), &scope.catalog, &scope.namespace)
        .await
        .map_err(|error| at_place(error, &path))?;
    match &table.selector {
        None | Some(Selector::Version(Version::Branch(_))) => {}
        Some(_) => {
            return Err(Error::invalid(format!(
                "{} can only be read; rows are inserted into the table itself or a branch of it",
                path_text(&path)
            )));
        }
    }
    // What replaces rows must stand on the state that it reads them from.
    let table = audit::view(found.as_loaded(table), &scope.wap)?;
    let table = pin(table, None, None).map_err(|error| at_place(error, &path))?;
    let schema = table.table.metadata().current_schema();
    spell_columns(&mut rows.insert, schema)?;
    let form = form_of(rows, &table, scope)?;
    if !form.by_name {
        write_out_defaults(&mut rows.insert, schema, &form.fixed)?;
    }
    if !form.by_name || form.fixed.is_empty() {
        check_values(&mut rows.insert, schema, &form.fixed)?;
    }
    mark_values(&mut rows.insert);
    let replacement = found.add_lake_table(&path, table, Privilege::Insert)?;
    rows.insert.table = TableObject::TableName(replacement.name);
    Ok(form)
}

fn form_of(rows: &InsertRows, table: &FoundTable, scope: &Scope<'_>) -> Result<InsertForm> {
    let fixed = fixed_values(rows, &table.table, scope)?;
    if !fixed.is_empty() && !rows.insert.columns.is_empty() {
        for column in &rows.insert.columns {
            if fixed.iter().any(|(name, _)| *name == column.value) {
                return Err(at_column(
                    Error::invalid(format!("column {column} has a value in PARTITION already")),
                    column,
                ));
            }
        }
    }
    let mode = match &rows.options.overwrite_mode {
        Some(_) if !rows.overwrite => {
            return Err(Error::invalid(
                "'overwrite-mode' is an option of INSERT OVERWRITE",
            ));
        }
        Some(text) => OverwriteMode::parse(text)?,
        None => scope.overwrite_mode,
    };
    if rows.options.isolation.is_some() && !rows.overwrite {
        return Err(Error::invalid(
            "'isolation-level' is an option of INSERT OVERWRITE: rows that are added never conflict",
        ));
    }
    let options = rows.options.or(&scope.write);
    Ok(InsertForm {
        by_name: rows.by_name,
        fixed,
        overwrite: rows.overwrite.then_some(mode),
        terms: terms(&table.table, &scope.wap, &options)?,
        merges_schema: merges_schema(rows, &options, &table.table)?,
        file: rows.file.as_ref().map(|file| file.location.clone()),
    })
}

/// Whether rows may bring columns that the table does not have: as the statement says, else the
/// session, else the table. Columns are known by their names, so it takes `BY NAME`.
fn merges_schema(rows: &InsertRows, options: &WriteOptions, table: &Table) -> Result<bool> {
    if rows.options.merge_schema == Some(true) && !rows.by_name {
        return Err(Error::invalid(
            "'merge-schema' needs BY NAME: a new column is known by its name alone",
        ));
    }
    let is_set = |key: &str| {
        let value = table.properties().get(key);
        value.is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
    };
    let wanted = options.merge_schema;
    let wanted = wanted.unwrap_or_else(|| is_set(MERGE_SCHEMA) || is_set(ACCEPT_ANY_SCHEMA));
    Ok(wanted && rows.by_name && rows.file.is_none())
}

/// The values of `PARTITION (…)`.
fn fixed_values(
    rows: &InsertRows,
    table: &Table,
    scope: &Scope<'_>,
) -> Result<Vec<(String, ScalarValue)>> {
    let constants = Constants::try_new(scope.state, scope.instant, scope.parameters)?;
    let mut fixed = Vec::new();
    let mut seen = HashSet::new();
    for (column, value) in &rows.partition {
        let field = partition_column(column, table)?;
        if !seen.insert(field.id) {
            let message = format!("partition column {} is named twice", quote(&field.name));
            return Err(at_column(Error::invalid(message), column));
        }
        if let Some(value) = value {
            let value = constants.evaluate(value)?;
            refuse_local_time(&value, field, scope).map_err(|error| at_column(error, column))?;
            fixed.push((field.name.clone(), value));
        }
    }
    Ok(fixed)
}

/// What is replaced and what is written must be the same instant, which a time without a zone is not
/// in a session of another zone than UTC, nor one with a zone for a column without.
fn refuse_local_time(value: &ScalarValue, field: &NestedFieldRef, scope: &Scope<'_>) -> Result<()> {
    let is_zoned = match field.field_type.as_primitive_type() {
        Some(PrimitiveType::Timestamptz | PrimitiveType::TimestamptzNs) => true,
        Some(PrimitiveType::Timestamp | PrimitiveType::TimestampNs | PrimitiveType::Date) => false,
        _ => return Ok(()),
    };
    let has_zone = matches!(value.data_type(), DataType::Timestamp(_, Some(_)));
    let zone = session_zone(scope.state.config_options());
    if is_utc(&zone) || value.is_null() || has_zone == is_zoned {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the value of column {} in PARTITION depends on the session's zone {zone}: give a {}, or SET \
         TIME ZONE 'UTC'",
        quote(&field.name),
        match is_zoned {
            true => "TIMESTAMPTZ with its offset",
            false => "value without a zone",
        }
    )))
}

/// The column that a name in `PARTITION (…)` means: one that the table is partitioned by as it is.
fn partition_column<'a>(column: &Ident, table: &'a Table) -> Result<&'a NestedFieldRef> {
    let schema = table.metadata().current_schema();
    let spec = table.partition_spec();
    let field = find_column(column, schema)?;
    let is_partitioned = spec
        .fields()
        .iter()
        .any(|part| part.source_id == field.id && part.transform == Transform::Identity);
    if !is_partitioned {
        return Err(at_column(
            Error::invalid(format!(
                "the table is not partitioned by column {} as it is; PARTITION (…) takes such \
                 columns only",
                quote(&field.name)
            )),
            column,
        ));
    }
    Ok(field)
}

/// The column list of an insert, each name as it is stored.
fn spell_columns(insert: &mut Insert, schema: &Schema) -> Result<()> {
    for column in &mut insert.columns {
        let found = find_column(column, schema)?;
        found.name.clone_into(&mut column.value);
        column.quote_style = Some('"');
    }
    Ok(())
}

fn find_column<'a>(column: &Ident, schema: &'a Schema) -> Result<&'a NestedFieldRef> {
    let fields = schema.as_struct().fields();
    name(column)
        .find(fields, |field| &field.name)?
        .ok_or_else(|| {
            let names = fields.iter().map(|field| field.name.as_str());
            let message = format!(
                "the table has no column {column}{}",
                hint(&column.value, names)
            );
            at_column(Error::not_found(message), column)
        })
}

fn at_column(error: Error, column: &Ident) -> Error {
    error
        .with_context("line", column.span.start.line)
        .with_context("column", column.span.start.column)
}
