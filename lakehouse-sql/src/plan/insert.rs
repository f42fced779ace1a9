//! INSERT … SELECT: the source's rows in the target's columns.
//!
//! The engine's own planner hands the target's columns to every VALUES inside of the source, also
//! where it is a table of the query; so only `INSERT … VALUES` itself is left to it, whose literals
//! take the columns' types.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::catalog::TableProvider;
use datafusion::catalog::default_table_source::{provider_as_source, source_as_provider};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::planner::ContextProvider;
use datafusion::logical_expr::{ExprSchemable, LogicalPlan, LogicalPlanBuilder, TableSource};
use datafusion::prelude::Expr;
use datafusion::sql::parser::Statement as EngineStatement;
use datafusion::sql::planner::{SqlToRel, object_name_to_table_reference};
use datafusion::sql::sqlparser::ast::{Ident, Insert, Query, SetExpr, Statement, TableObject};
use lakehouse_core::commit::{Isolation, merge_schema};
use lakehouse_core::error::{Error, Result};
use lakehouse_core::name::{hint, quote};
use lakehouse_core::provider::{InsertInto, InsertMode, LakeTable, WriteTerms, filter_predicate};
use lakehouse_core::scan::{Comparison, Predicate};

use super::conflict::read_again;
use super::context::GovernedContext;
use crate::environment::OverwriteMode;
use crate::exact_cast::cast_type;
use crate::govern::GovernedTables;
use crate::hex_text::{bytes_of_hex, is_bytes};
use crate::query_type::{stored_fields, with_types_of_rows};
use crate::resolve::InsertForm;
use crate::text_decimal::read_decimals;
use crate::uuid_text::{may_be_uuid, parse_uuid, uuid_of_text, uuid_value};

/// The insert of a statement, also below an `EXPLAIN`.
fn insert_of(statement: &EngineStatement) -> Option<&Insert> {
    match statement {
        EngineStatement::Statement(inner) => match inner.as_ref() {
            Statement::Insert(insert) => Some(insert),
            _ => None,
        },
        EngineStatement::Explain(explain) => insert_of(&explain.statement),
        _ => None,
    }
}

/// Tells the target of an insert how rows take their place in it.
///
/// # Errors
/// For partition values that are none of their columns.
pub(super) fn aim(
    statement: &EngineStatement,
    form: &InsertForm,
    mut tables: GovernedTables,
) -> Result<GovernedTables> {
    let is_plain = form.overwrite.is_none() && form.terms == WriteTerms::default();
    let Some(TableObject::TableName(name)) = insert_of(statement).map(|insert| &insert.table)
    else {
        return Ok(tables);
    };
    let reference = object_name_to_table_reference(name.clone(), true)?;
    let Some(source) = tables.get_mut(&reference).filter(|_| !is_plain) else {
        return Ok(tables);
    };
    let provider = source_as_provider(source)?;
    let target = provider
        .as_any()
        .downcast_ref::<LakeTable>()
        .ok_or_else(|| Error::internal("the target of an insert is no table of the lake"))?;
    let mode = match form.overwrite {
        None => InsertMode::Append,
        Some(OverwriteMode::Dynamic) => InsertMode::ReplacePartitions,
        Some(OverwriteMode::Static) => InsertMode::OverwriteRows(replaced(form, target)?),
    };
    let into = InsertInto::new(mode, form.terms.clone());
    *source = provider_as_source(Arc::new(target.clone().with_insert_into(into)));
    Ok(tables)
}

/// Tells an overwrite which rows of its target the inserted ones are computed from.
///
/// # Errors
/// Those of planning the rows.
pub(super) fn with_reads(plan: LogicalPlan, state: &SessionState) -> Result<LogicalPlan> {
    let aimed = plan.transform_down(|node| {
        let LogicalPlan::Dml(mut dml) = node else {
            return Ok(Transformed::no(node));
        };
        let provider = source_as_provider(&dml.target)?;
        let target = provider.as_any().downcast_ref::<LakeTable>();
        if let Some(target) = target
            && let Some(into) = target.insert_into_mode()
            && into.mode != InsertMode::Append
        {
            let level = into.terms.isolation.unwrap_or(Isolation::Serializable);
            let read_filter = read_again(&dml.input, 0, target.table(), level, state)?;
            let mut into = into.clone();
            into.read_filter = read_filter;
            dml.target = provider_as_source(Arc::new(target.clone().with_insert_into(into)));
        }
        Ok(Transformed::new(
            LogicalPlan::Dml(dml),
            true,
            TreeNodeRecursion::Stop,
        ))
    });
    Ok(aimed.data()?)
}

/// The rows that a static overwrite replaces: those with the fixed values.
fn replaced(form: &InsertForm, target: &LakeTable) -> Result<Predicate> {
    let mut parts = Vec::with_capacity(form.fixed.len());
    for (name, value) in &form.fixed {
        let data_type = target.schema().field_with_name(name)?.data_type().clone();
        let own = match value.try_as_str().flatten() {
            Some(text) if may_be_uuid(&data_type) => parse_uuid(text).map(uuid_value),
            Some(_) if data_type.is_decimal() => decimal_value(value, &data_type),
            _ => value.cast_to(&data_type).map_err(Error::from),
        };
        let value = own.map_err(|error| {
            Error::invalid(format!(
                "{value} in PARTITION is no value of column {}",
                quote(name)
            ))
            .with_source(error)
        })?;
        if is_nan(&value) {
            return Err(Error::unsupported(format!(
                "rows cannot be replaced by the value NaN of column {0} in PARTITION: delete them \
                 (WHERE isnan({0})) and insert the new ones",
                quote(name)
            )));
        }
        let column = Expr::Column(Column::new_unqualified(name));
        let condition = match value.is_null() {
            true => column.is_null(),
            false => column.eq(Expr::Literal(value, None)),
        };
        // A weaker condition would replace too much, so nothing but the condition itself will do.
        match filter_predicate(&[condition], target.table()) {
            part @ (Predicate::IsNull { .. }
            | Predicate::Compare {
                comparison: Comparison::Eq,
                ..
            }) => parts.push(part),
            _ => {
                return Err(Error::unsupported(format!(
                    "rows cannot be replaced by this value of column {} in PARTITION",
                    quote(name)
                )));
            }
        }
    }
    Ok(match parts.len() {
        0 => Predicate::AlwaysTrue,
        1 => parts.swap_remove(0),
        _ => Predicate::And(parts),
    })
}

/// Conditions on rows do not speak of NaN.
fn is_nan(value: &ScalarValue) -> bool {
    match value {
        ScalarValue::Float32(Some(value)) => value.is_nan(),
        ScalarValue::Float64(Some(value)) => value.is_nan(),
        _ => false,
    }
}

/// Whether the engine's planner may have this insert.
pub(super) fn is_engines(insert: &Insert, form: &InsertForm) -> bool {
    let is_values = insert
        .source
        .as_deref()
        .is_none_or(|query| matches!(*query.body, SetExpr::Values(_)));
    is_values && form.fixed.is_empty() && !form.by_name
}

/// Plans an insert of a query's rows.
pub(super) fn plan_insert(
    insert: Insert,
    form: &InsertForm,
    planner: &SqlToRel<'_, GovernedContext<'_>>,
    context: &GovernedContext<'_>,
) -> Result<LogicalPlan> {
    let mut insert = insert;
    let (TableObject::TableName(name), Some(source)) = (&insert.table, insert.source.take()) else {
        return Err(Error::unsupported("INSERT takes a table and a query"));
    };
    let reference = object_name_to_table_reference(name.clone(), true)?;
    let mut target = context.get_table_source(reference.clone())?;
    if let Some(columns) = columns_of_values(&insert.columns, &source, form, &target.schema()) {
        let insert = Insert {
            columns,
            source: Some(source),
            ..insert
        };
        return plan_values(insert, form, planner, reference, target);
    }
    let source = with_types_of_rows(plan_source(source, planner)?, context.state())?;
    if form.merges_schema {
        target = with_columns_of(&source, form, &target)?;
    }
    let columns: Vec<&str> = insert
        .columns
        .iter()
        .map(|column| column.value.as_str())
        .collect();
    let schema = target.schema();
    let given = source.schema();
    let places = match form.by_name {
        true => places_by_name(&schema, given, &form.fixed)?,
        false => places_by_position(&schema, given, &columns, &form.fixed)?,
    };
    insert_rows(source, reference, target, &places, form)
}

/// The columns that the rows of a `VALUES` go to beside fixed ones, where its rows fit them.
fn columns_of_values(
    listed: &[Ident],
    source: &Query,
    form: &InsertForm,
    schema: &Schema,
) -> Option<Vec<Ident>> {
    let SetExpr::Values(values) = source.body.as_ref() else {
        return None;
    };
    let columns: Vec<Ident> = match listed {
        [] => {
            let names = schema.fields().iter().map(|field| field.name());
            let names = names.filter(|name| !is_fixed(&form.fixed, name));
            names.map(|name| Ident::with_quote('"', name)).collect()
        }
        listed => listed.to_vec(),
    };
    let distinct: HashSet<&str> = columns.iter().map(|column| column.value.as_str()).collect();
    let fits =
        distinct.len() == columns.len() && values.rows.iter().all(|row| row.len() == columns.len());
    (fits && !form.by_name && !form.fixed.is_empty()).then_some(columns)
}

/// Plans an insert of values beside fixed columns. The engine's planner makes the values those of
/// their columns; what it puts into the fixed ones is not read.
fn plan_values(
    insert: Insert,
    form: &InsertForm,
    planner: &SqlToRel<'_, GovernedContext<'_>>,
    reference: TableReference,
    target: Arc<dyn TableSource>,
) -> Result<LogicalPlan> {
    let plan = planner.sql_statement_to_plan(Statement::Insert(insert));
    let LogicalPlan::Dml(planned) = plan.map_err(super::planning_error)? else {
        return Err(Error::internal("the engine planned no insert of an INSERT"));
    };
    let schema = target.schema();
    let fields = schema.fields().iter().enumerate();
    let places =
        fields.map(|(place, field)| (!is_fixed(&form.fixed, field.name())).then_some(place));
    let places: Vec<Option<usize>> = places.collect();
    insert_rows(
        Arc::unwrap_or_clone(planned.input),
        reference,
        target,
        &places,
        form,
    )
}

fn plan_source<C: ContextProvider>(
    source: Box<Query>,
    planner: &SqlToRel<'_, C>,
) -> Result<LogicalPlan> {
    planner
        .sql_statement_to_plan(Statement::Query(source))
        .map_err(super::planning_error)
}

/// The target with the columns that the source's rows bring.
fn with_columns_of(
    source: &LogicalPlan,
    form: &InsertForm,
    target: &Arc<dyn TableSource>,
) -> Result<Arc<dyn TableSource>> {
    let provider = source_as_provider(target)?;
    let Some(table) = provider.as_any().downcast_ref::<LakeTable>() else {
        return Err(Error::internal(
            "the target of an insert is no table of the lake",
        ));
    };
    let metadata = table.table().metadata();
    let format = metadata.format_version();
    let mut brought = stored_fields(source, format);
    brought.retain(|field| !is_fixed(&form.fixed, field.name()));
    let operations = merge_schema(metadata, &Schema::new(brought))?;
    if operations.is_empty() {
        return Ok(Arc::clone(target));
    }
    let evolved = table.clone().with_added_columns(operations)?;
    Ok(provider_as_source(Arc::new(evolved)))
}

fn is_fixed(fixed: &[(String, ScalarValue)], name: &str) -> bool {
    fixed.iter().any(|(fixed, _)| fixed == name)
}

/// For each of the target's columns the source's column that goes there: by position among those of
/// `columns`, or among all that have no fixed value.
fn places_by_position(
    schema: &Schema,
    given: &DFSchema,
    columns: &[&str],
    fixed: &[(String, ScalarValue)],
) -> Result<Vec<Option<usize>>> {
    let names = || schema.fields().iter().map(|field| field.name().as_str());
    let all: Vec<&str> = names().filter(|name| !is_fixed(fixed, name)).collect();
    let columns = match columns {
        [] => all.as_slice(),
        columns => columns,
    };
    if given.fields().len() != columns.len() {
        return Err(Error::invalid(format!(
            "the query has {} columns, the insert takes {}",
            given.fields().len(),
            columns.len()
        )));
    }
    if let Some(twice) = columns
        .iter()
        .enumerate()
        .find_map(|(index, column)| columns[..index].contains(column).then_some(column))
    {
        return Err(Error::invalid(format!(
            "column {} is written twice",
            quote(twice)
        )));
    }
    let place = |name: &str| columns.iter().position(|column| *column == name);
    Ok(names().map(place).collect())
}

/// For each of the target's columns the source's column of its name, whatever the letter case.
fn places_by_name(
    schema: &Schema,
    given: &DFSchema,
    fixed: &[(String, ScalarValue)],
) -> Result<Vec<Option<usize>>> {
    let mut places = vec![None; schema.fields().len()];
    for (index, field) in given.fields().iter().enumerate() {
        let name = field.name();
        let targets = schema.fields().iter();
        let place = targets
            .clone()
            .position(|target| target.name() == name)
            .or_else(|| {
                targets
                    .clone()
                    .position(|target| target.name().eq_ignore_ascii_case(name))
            })
            .filter(|place| !is_fixed(fixed, schema.field(*place).name()))
            .ok_or_else(|| {
                let names = targets.clone().map(|target| target.name().as_str());
                Error::not_found(format!(
                    "the query has a column {} that the insert has no place for{}",
                    quote(name),
                    hint(name, names)
                ))
            })?;
        if places[place].replace(index).is_some() {
            return Err(Error::invalid(format!(
                "the query has two columns for column {} of the table",
                quote(schema.field(place).name())
            )));
        }
    }
    Ok(places)
}

/// The source's columns in their places; fixed values and defaults in the others.
fn insert_rows(
    source: LogicalPlan,
    reference: TableReference,
    target: Arc<dyn TableSource>,
    places: &[Option<usize>],
    form: &InsertForm,
) -> Result<LogicalPlan> {
    let schema = target.schema();
    let given = Arc::clone(source.schema());
    let by_position: Vec<Expr> = given.iter().map(Expr::from).collect();
    let mut values = Vec::with_capacity(schema.fields().len());
    for (place, field) in places.iter().zip(schema.fields()) {
        let mut fixed = form.fixed.iter();
        let value = match (place, fixed.find(|(name, _)| name == field.name())) {
            (Some(position), _) => {
                let value = by_position[*position].clone();
                let target = field.data_type();
                // `COPY … TO` has written them so.
                let is_hex = form.file.is_some() && is_bytes(target) && !may_be_uuid(target);
                match is_hex && value.get_type(&given)?.is_string() {
                    true => bytes_of_hex(value, target),
                    false => value,
                }
            }
            (None, Some((_, value))) => Expr::Literal(value.clone(), None),
            (None, None) => target
                .get_column_default(field.name())
                .cloned()
                .unwrap_or(Expr::Literal(ScalarValue::Null, None)),
        };
        values.push(cast(value, field.data_type(), &given)?.alias(field.name()));
    }
    let rows = LogicalPlanBuilder::from(source).project(values)?.build()?;
    Ok(LogicalPlanBuilder::insert_into(rows, reference, target, InsertOp::Append)?.build()?)
}

/// The decimal that a text says.
fn decimal_value(text: &ScalarValue, data_type: &DataType) -> Result<ScalarValue> {
    let decimal = read_decimals(&text.to_array()?, data_type, false)?;
    Ok(ScalarValue::try_from_array(&decimal, 0)?)
}

fn cast(value: Expr, data_type: &DataType, schema: &DFSchema) -> Result<Expr> {
    let given = value.get_type(schema)?;
    if may_be_uuid(data_type) && given.is_string() {
        return Ok(uuid_of_text(value));
    }
    Ok(value.cast_to(&cast_type(&given, data_type), schema)?)
}
